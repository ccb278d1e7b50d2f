"""ffmpeg's description of its input, as real versions print it."""

from fractions import Fraction

import pytest

from streamferry.prepare.form import AudioForm, VideoForm
from streamferry.prepare.input_description import InputDescription, parse_input_description

MP4 = [
    "Input #0, mov,mp4,m4a,3gp,3g2,mj2, from 'clip.mp4':",
    "  Duration: 01:02:03.50, start: 0.000000, bitrate: 379 kb/s",
    "  Stream #0:0[0x1](und): Video: h264 (Constrained Baseline) (avc1 / 0x31637661), "
    "yuv420p(tv, bt709/unknown/unknown, progressive), 160x90 [SAR 4:3 DAR 64:27], 291 kb/s, 25 fps, 25 tbr, 12800 tbn",
    "    Side data:",
    "      Display Matrix: rotation of -90.00 degrees",
    "  Stream #0:1[0x2](und): Audio: aac (LC) (mp4a / 0x6134706D), 44100 Hz, mono, fltp, 70 kb/s (default)",
]


def test_codecs_sizes_and_rates_are_read() -> None:
    """The form of both tracks, and what else decides whether they can be copied."""
    found = parse_input_description(MP4)
    assert found.video is not None
    assert found.video.form == VideoForm("h264", 160, 90, Fraction(4, 3))
    assert (found.video.pixels, found.video.matrix, found.video.frame_rate) == ("yuv420p", "bt709", 25.0)
    assert not found.video.interlaced
    assert found.audio == AudioForm("aac", 44100, 1)
    assert found.claimed_seconds == 3723.5
    assert found.codecs == ("h264", "aac")


def test_a_rotated_picture_is_shown_upright() -> None:
    """Pixels made square first, then the sides exchanged."""
    found = parse_input_description(MP4)
    assert found.video is not None
    assert found.video.rotation == -90
    assert found.video.shown_size == (90, 212)


@pytest.mark.parametrize("words", ["top first", "bottom first", "top coded first (swapped)"])
def test_interlaced_fields_are_noticed(words: str) -> None:
    """However the fields lie."""
    line = f"Stream #0:0[0x100]: Video: mpeg2video (Main), yuv420p(tv, bt470bg, {words}), 720x576 [SAR 16:15 DAR 4:3]"
    video = parse_input_description([line]).video
    assert video is not None
    assert video.interlaced
    assert video.matrix == "bt470bg"


def test_ten_bits_and_matroska_without_brackets() -> None:
    """Matroska prints the aspect without brackets; an aspect of 0 means square."""
    line = "Stream #0:0(eng): Video: hevc (Main 10), yuv420p10le(tv), 1920x1080, SAR 0:1 DAR 0:1, 50 fps"
    video = parse_input_description([line])
    assert video.video is not None
    assert video.video.pixels == "yuv420p10le"
    assert video.video.form == VideoForm("hevc", 1920, 1080)


@pytest.mark.parametrize(
    ("layout", "channels"),
    [("mono", 1), ("stereo", 2), ("5.1(side)", 6), ("7.1", 8), ("3 channels (FL+FR+LFE)", 3), ("strange", 0)],
)
def test_channels_have_names(layout: str, channels: int) -> None:
    """A name nobody knows is no number."""
    assert parse_input_description([f"Stream #0:0: Audio: ac3, 48000 Hz, {layout}, fltp, 192 kb/s"]).audio == AudioForm(
        "ac3", 48000, channels
    )


def test_cover_pictures_and_second_tracks_are_left_out() -> None:
    """A song's cover is not a film; of two languages the first is played."""
    found = parse_input_description(
        [
            "Stream #0:0: Audio: mp3, 44100 Hz, stereo, fltp, 128 kb/s",
            "Stream #0:1: Video: png, rgb24(pc), 500x500 [SAR 1:1 DAR 1:1], 90k tbr (attached pic)",
            "Stream #0:2: Audio: aac (LC), 48000 Hz, stereo, fltp",
        ]
    )
    assert found.video is None
    assert found.audio == AudioForm("mp3", 44100, 2)


def test_nothing_is_inside_what_cannot_be_read() -> None:
    """No line, no track."""
    assert parse_input_description([]) == InputDescription()
