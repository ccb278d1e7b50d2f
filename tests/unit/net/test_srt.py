"""What an SRT address asks for."""

import pytest

from streamferry.media.url import MediaUrl
from streamferry.net.srt import SrtOptions


def test_options_of_an_address() -> None:
    """Names and units are ffmpeg's: latency comes in microseconds. A stream id may be written as it is."""
    url = MediaUrl.parse("srt://h:9000?passphrase=0123456789&latency=200000&pbkeylen=32&streamid=#!::r=a+b,m=publish")
    assert SrtOptions.of(url) == SrtOptions(False, "#!::r=a+b,m=publish", "0123456789", 32, 200)


def test_a_listener_has_no_host() -> None:
    """``mode=listener`` waits for a caller, at a port of any of our addresses."""
    url = MediaUrl.parse("srt://:9000?mode=listener")
    assert (url.host, url.port) == ("", 9000)
    assert SrtOptions.of(url) == SrtOptions(is_listener=True)


def test_no_number() -> None:
    """The sentence does not repeat what was given."""
    with pytest.raises(ValueError, match="whole numbers"):
        SrtOptions.of(MediaUrl.parse("srt://h:9000?latency=s3cret"))
