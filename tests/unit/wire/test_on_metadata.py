"""``onMetaData`` by the headers of a stream: true, or left out."""

import re
from pathlib import Path

import pytest

from kit.flv import read_tags
from streamferry.media.enhanced import tag_kind
from streamferry.media.tag import AUDIO, SCRIPT, SEQUENCE_HEADER, VIDEO
from streamferry.wire.aac import silent_header
from streamferry.wire.bits import BitWriter
from streamferry.wire.flv import parse_metadata
from streamferry.wire.on_metadata import on_metadata

CLIP = Path(__file__).parents[2] / "vectors" / "clip.flv"


def told(*headers, frames=()):
    return parse_metadata(on_metadata(headers, frames))


def golomb(bits, number):
    size = (number + 1).bit_length()
    bits.put(size - 1, 0)
    bits.put(size, number + 1)


def avc_header(*, ticks_a_second=0, is_fixed=True, aspect=False):
    """Of 1280x720, Baseline; with timing if ``ticks_a_second`` is set."""
    bits = BitWriter()
    bits.put(24, 0x42001F)
    for number in (0, 0, 2, 1):
        golomb(bits, number)
    bits.put(1, 0)
    golomb(bits, 79)
    golomb(bits, 44)
    bits.put(3, 0b110)  # Frames only, direct 8x8, no cropping.
    bits.put(1, bool(ticks_a_second))
    if ticks_a_second:
        bits.put(1, aspect)
        if aspect:
            bits.put(8 + 32, 255 << 32 | 0x10001)
        bits.put(1, 1)
        bits.put(1, 0)
        bits.put(1, 1)
        bits.put(3 + 1 + 1 + 24, 1 << 24)
        bits.put(1, 0)
        bits.put(1, 1)
        bits.put(32, 1001)
        bits.put(32, ticks_a_second)
        bits.put(1, is_fixed)
    bits.put(1, 1)
    unit = b"\x67" + re.sub(rb"\0\0(?=[\0-\3])", b"\0\0\3", bits.to_bytes())
    return b"\x17\0\0\0\0\x01\x42\x00\x1f\xff\xe1" + len(unit).to_bytes(2, "big") + unit + b"\x01\x00\x02\x68\x00"


def test_it_is_what_an_encoder_has_made():
    """Beside what ffmpeg writes of the same headers."""
    tags = read_tags(CLIP)
    theirs = next(parse_metadata(body) for tag_type, _, body in tags if tag_type == SCRIPT)
    headers = [(t, body) for t, _, body in tags if t != SCRIPT and tag_kind(t, body) == SEQUENCE_HEADER]
    ours = told(*headers)
    assert ours.pop("audiochannels") == 1
    assert ours == {name: theirs[name] for name in ours}
    assert set(ours) > {"width", "height", "videocodecid", "audiocodecid", "audiosamplerate", "stereo"}


@pytest.mark.parametrize("aspect", [False, True])
@pytest.mark.parametrize(("ticks", "is_fixed", "rate"), [(60000, True, 29.97), (60000, False, None), (0, True, None)])
def test_the_rate_of_pictures_is_told_where_the_header_says_that_it_is_even(ticks, is_fixed, rate, aspect):
    """An encoder that may leave pictures out tells a rate that it does not keep."""
    values = told((VIDEO, avc_header(ticks_a_second=ticks, is_fixed=is_fixed, aspect=aspect)))
    assert (values["width"], values["height"], values.get("framerate")) == (1280, 720, rate)


@pytest.mark.parametrize(
    ("body", "rate_hz", "channels"),
    [
        (silent_header(44100, 2), 44100, 2),
        (silent_header(48000, 6), 48000, 6),
        (silent_header(16000, 8), 16000, 8),
        # HE-AAC of 24 kHz that is heard as 48; the same with parametric stereo; a rate that is not in the table.
        (b"\xaf\x00" + (5 << 27 | 6 << 23 | 2 << 19 | 3 << 15 | 2 << 10).to_bytes(4, "big"), 48000, 2),
        (b"\xaf\x00" + (29 << 27 | 6 << 23 | 1 << 19 | 3 << 15 | 2 << 10).to_bytes(4, "big"), 48000, 2),
        (b"\xaf\x00" + (2 << 43 | 15 << 39 | 12345 << 15 | 1 << 11).to_bytes(6, "big"), 12345, 1),
        (b"\x90OpusOpusHead\x01\x02" + bytes(9), 48000, 2),
        (b"\x90mp4a\x12\x10", 44100, 2),
    ],
)
def test_sound_is_told_as_it_is_heard(body, rate_hz, channels):
    """Whatever the form of its header."""
    values = told((AUDIO, body))
    assert (values["audiosamplerate"], values["audiochannels"], values["stereo"]) == (rate_hz, channels, channels > 1)


@pytest.mark.parametrize(
    ("headers", "wanted"),
    [
        ([(VIDEO, b"\x17\0\0\0\0nonsense")], {"videocodecid": 7}),
        ([(VIDEO, b"\x90av01\x81"), (AUDIO, b"\x90ac-3")], {"videocodecid": 0x61763031, "audiocodecid": 0x61632D33}),
        ([(VIDEO, b"\x1c\0\0\0\0"), (AUDIO, b"\xaf\0\xff\xff")], {"videocodecid": 12, "audiocodecid": 10}),
        ([], {}),
    ],
)
def test_what_a_header_does_not_say_is_left_out(headers, wanted):
    """Damaged ones, and codecs that are not looked into."""
    assert told(*headers) == wanted


def test_codecs_without_headers_are_told_by_their_frames():
    """A header wins over a frame; of several tracks the first is told."""
    frames = [(VIDEO, b"\x12vide"), (AUDIO, b"\x2esoun")]
    assert told(frames=frames) == {"videocodecid": 2, "audiocodecid": 2}
    one = b"\x96\x00avc1\x01" + avc_header()[5:]
    values = told((VIDEO, one), (VIDEO, b"\x90hvc1"), (AUDIO, silent_header(48000, 2)), frames=frames)
    assert (values["videocodecid"], values["width"], values["audiocodecid"]) == (0x61766331, 1280, 10)
