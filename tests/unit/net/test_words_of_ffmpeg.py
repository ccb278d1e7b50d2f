"""What lines of ffmpeg's log say, whatever a stranger's file makes of them."""

import pytest

from streamferry.net.ffmpeg_log import LogLine, parse_line, without_addresses


@pytest.mark.parametrize("address", ["https://h/live?key=s3cret", "concat+https://u:s3cret@h/a", "1rtmp://h/s3cret"])
def test_addresses_are_left_out(address):
    assert without_addresses(f"Error opening {address}: refused") == "Error opening (address) refused"


def test_the_part_of_ffmpeg_is_left_out():
    line = "[mov,mp4,m4a,3gp,3g2,mj2 @ 0x55d0c8] [error] moov atom not found"
    assert parse_line(line) == LogLine("error", "moov atom not found")


@pytest.mark.timeout(20)
@pytest.mark.parametrize("letter", ["a", "[", "a1", "[ @ 0x"])
def test_a_long_line_is_read_once(letter):
    """A line of 400,000 characters took the square of its length, which is minutes."""
    line = letter * (400_000 // len(letter))
    assert without_addresses(line) == line
    assert parse_line(line).message == line
