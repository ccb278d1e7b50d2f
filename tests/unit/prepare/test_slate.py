"""The clip of a slate: made once for a form, however many need it."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from streamferry.media.slate import Slate, SlateKind
from streamferry.media.tag import SEQUENCE_HEADER, VIDEO, Tag, kind_of_video
from streamferry.prepare import slate as slate_module
from streamferry.prepare.form import AudioForm, Form, VideoForm
from streamferry.prepare.slate import Canvas, slate_clip
from streamferry.source.flv import FlvReader
from streamferry.wire.codecs import parse_video_header, pixel_format


async def test_a_slate_is_encoded_once_for_a_form_and_kept(tmp_path: Path, monkeypatch: Any) -> None:
    """Also if runs ask for it at the same moment, as after a restart, or one after the other; another form, and a slate
    that looks otherwise, are another clip."""
    encoded: list[tuple[str, int]] = []
    encode = slate_module._encode

    async def counted(slate: Slate, canvas: Canvas) -> bytes:
        encoded.append((slate.color, canvas.video.width))
        return await encode(slate, canvas)

    monkeypatch.setattr(slate_module, "_encode", counted)
    small, large = (Canvas(Form(VideoForm("h264", width, 36), AudioForm("aac", 44100, 1)), 5.0) for width in (64, 96))
    blue, red = (Slate(SlateKind.COLOR, color=color) for color in ("#0000ff", "#ff0000"))
    wanted = [(blue, small), (blue, small), (blue, large), (red, small), (blue, small)]
    urls = await asyncio.gather(*(slate_clip(slate, canvas, tmp_path) for slate, canvas in wanted))
    assert [await slate_clip(slate, canvas, tmp_path) for slate, canvas in wanted] == urls
    assert len(set(urls)) == 3
    assert sorted(encoded) == [("#0000ff", 64), ("#0000ff", 96), ("#ff0000", 64)]
    assert len(list((tmp_path / "slates").iterdir())) == 3


@pytest.mark.parametrize(
    ("codec", "pixels"),
    [("h264", "yuv420p10le"), ("h264", "yuv422p"), ("h264", "yuv420p"), ("hevc", "yuv420p10le"), ("hevc", "yuv420p")],
)
async def test_a_slate_keeps_its_pixels_as_those_on_air(codec: str, pixels: str, tmp_path: Path) -> None:
    """As its own header says, in the codec that is on air: a decoder goes on as it is."""
    form = Form(VideoForm(codec, 64, 36), AudioForm("aac", 44100, 1))
    url = await slate_clip(Slate(SlateKind.COLOR, color="#0000ff"), Canvas(form, 5.0, pixels), tmp_path)
    tags: list[Tag] = []
    (path,) = (tmp_path / "slates").iterdir()
    assert path.as_uri() == url.reveal()
    FlvReader().read(memoryview(path.read_bytes()), 0, tags)
    (header,) = [bytes(body) for kind, _, body in tags if kind == VIDEO and kind_of_video(body) == SEQUENCE_HEADER]
    assert pixel_format(header) == pixels
    found = parse_video_header(header)
    assert (found.codecs[:4], found.width, found.height) == ({"h264": "avc1", "hevc": "hvc1"}[codec], 64, 36)
