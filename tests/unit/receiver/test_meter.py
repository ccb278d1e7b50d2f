"""StreamMeter: what it says of a stream is what is in its tags."""

import pytest

from scripted.camera import Camera, picture, sound
from streamferry.media.tag import AUDIO, VIDEO
from streamferry.receiver import StreamMeter


def metered(tags):
    meter = StreamMeter()
    meter.count(tags)
    return meter


def test_a_good_stream():
    """Frames, keyframes, headers, time, codecs and size of the picture."""
    camera = Camera(5000, gop=10)
    meter = metered(camera.headers() + camera.film(2))
    assert (meter.video.frames, meter.video.keyframes, meter.video.headers) == (50, 5, 1)
    assert (meter.audio.frames, meter.audio.headers) == (100, 1)
    assert (meter.video.dts_errors, meter.audio.dts_errors) == (0, 0)
    assert (meter.video.longest_gap_ms, meter.audio.longest_gap_ms) == (40, 20)
    assert meter.media_time_ms == 1980
    assert meter.description == "H.264 1280x720 + AAC"


@pytest.mark.parametrize(("times", "errors", "gap"), [([0, 40, 40], 1, 40), ([80, 40, 900], 1, 860), ([0, 1, 2], 0, 1)])
def test_a_clock_that_does_not_rise_is_counted(times, errors, gap):
    """Equal or falling DTS are errors; the longest step is kept."""
    meter = metered([(VIDEO, ms, picture(n)) for n, ms in enumerate(times)])
    assert (meter.video.dts_errors, meter.video.longest_gap_ms) == (errors, gap)


def across_the_wrap():
    return metered([(AUDIO, ms % (1 << 32), sound(0)) for ms in range((1 << 32) - 40, (1 << 32) + 41, 20)])


def test_a_clock_that_wraps_is_no_error():
    """2^32 ms is followed by 0."""
    meter = across_the_wrap()
    assert (meter.audio.dts_errors, meter.audio.longest_gap_ms) == (0, 20)


def test_media_time_goes_on_over_the_wrap():
    """What has been received does not become less."""
    assert across_the_wrap().media_time_ms == 80


def test_nothing_yet():
    """A stream without tags is described as such, and lasts 0 ms."""
    assert StreamMeter().description == "no media yet"
    assert StreamMeter().media_time_ms == 0


@pytest.mark.parametrize(
    ("tag", "codec"),
    [
        ((VIDEO, 0, b"\x1c\x01\x00\x00\x00"), "HEVC"),
        ((VIDEO, 0, b"\x90hvc1...."), "HEVC"),
        ((VIDEO, 0, b"\x90av01...."), "AV1"),
        ((VIDEO, 0, b"\x1f\x01\x00\x00\x00"), "video codec 15"),
        ((AUDIO, 0, b"\x90Opus"), "Opus"),
        ((AUDIO, 0, b"\x2f\xff"), "MP3"),
        ((AUDIO, 0, b"\x10\x00"), "audio codec 1"),
    ],
)
def test_codecs_have_names(tag, codec):
    """Legacy numbers, FourCCs of Enhanced RTMP, and what nobody knows."""
    assert metered([tag]).description == codec


@pytest.mark.parametrize(
    "tag",
    [
        (VIDEO, 0, b""),
        (AUDIO, 0, b""),
        (18, 0, b""),
        (VIDEO, 0, b"\x90"),
        (AUDIO, 0, b"\x90"),
    ],
)
def test_tags_without_a_body_break_nothing(tag):
    """A publisher may send them: some encoders put an empty audio tag first."""
    meter = metered([tag])
    assert meter.video.dts_errors == meter.audio.dts_errors == 0


def test_of_several_tracks_the_first_is_measured():
    """A second picture with the same stamps is no clock that stands still."""
    tags = []
    for number in range(50):
        tags += [(VIDEO, 40 * number, picture(number, is_key=number == 0))]
        tags += [(VIDEO, 40 * number, b"\xa6\x01avc1\x01frame"), (VIDEO, 40 * number, b"\x57\x00")]
    meter = metered(tags)
    assert (meter.video.frames, meter.video.keyframes, meter.video.dts_errors) == (50, 1, 0)
    assert meter.video.codec == "H.264"
