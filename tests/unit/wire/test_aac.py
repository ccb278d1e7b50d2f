"""Silence that is built bit by bit is what a decoder takes for silence."""

import subprocess

import pytest

from kit import programs
from streamferry.wire.aac import FRAME_SAMPLES, SILENT_CHANNELS, silent_frame, silent_header
from streamferry.wire.flv import serialize_flv_header, serialize_tag

FRAMES = 20


@pytest.mark.parametrize("channels", sorted(SILENT_CHANNELS))
@pytest.mark.parametrize("rate_hz", [48000, 22050])
def test_a_strict_decoder_hears_nothing(channels: int, rate_hz: int) -> None:
    """All samples of all channels are there and 0."""
    flv = serialize_flv_header(True, False) + serialize_tag(8, 0, silent_header(rate_hz, channels))
    frame = silent_frame(channels)
    flv += b"".join(serialize_tag(8, i * FRAME_SAMPLES * 1000 // rate_hz, frame) for i in range(FRAMES))
    strictly = ("-v", "error", "-xerror", "-err_detect", "explode", "-f", "flv", "-i", "pipe:0")
    done = subprocess.run(
        [programs.ffmpeg(), *strictly, "-f", "s16le", "pipe:1"], input=flv, capture_output=True, timeout=20, check=False
    )
    assert done.stderr == b""
    assert done.stdout == bytes(2 * channels * FRAME_SAMPLES * FRAMES)
