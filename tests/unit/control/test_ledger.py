"""What a task's spec becomes for the data plane: nothing that was asked for is left out in silence."""

import struct
import zlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from streamferry.control.ledger import relay_spec_of
from streamferry.control.model import TaskItem, TaskKind, TaskSpec, TaskWatermark
from streamferry.media.url import MediaUrl
from streamferry.relay import Playhead

NOW = datetime(2026, 11, 22, tzinfo=UTC)


def png() -> bytes:
    """A grey picture of 1 x 1, with a comment that brings it to the least size the API takes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)
    parts = (chunk(b"IHDR", header), chunk(b"tEXt", b"Comment\0" + bytes(100)), chunk(b"IDAT", zlib.compress(b"\0\0")))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts) + chunk(b"IEND", b"")


def vod(**changes: object) -> TaskSpec:
    """Two files, played for ever."""
    urls = [MediaUrl.parse(f"http://files.example/{name}.mp4") for name in ("a", "b")]
    spec = TaskSpec(
        kind=TaskKind.VOD,
        items=(TaskItem(urls[0]), TaskItem(urls[1], 1.5, 9.0)),
        destination=MediaUrl.parse("rtmp://live.example/app/key"),
        start_at=NOW,
        end_at=NOW + timedelta(hours=1),
    )
    return replace(spec, **changes)


def test_files_keep_their_offsets_loops_and_playhead() -> None:
    """The list goes on where it broke."""
    spec = relay_spec_of(vod(loops=3), Playhead(1, 1, 2000))
    assert [(item.start_s, item.end_s) for item in spec.items] == [(0.0, 0.0), (1.5, 9.0)]
    assert (spec.is_live, spec.loops, spec.playhead) == (False, 3, Playhead(1, 1, 2000))


def test_a_playhead_beyond_a_shorter_list_is_its_beginning() -> None:
    """A list that was replaced by a shorter one starts anew."""
    assert relay_spec_of(vod(), Playhead(4, 7, 100)).playhead == Playhead()


def test_pre_download_and_watermark_reach_the_relay() -> None:
    """Both are the relay's to carry out."""
    mark = TaskWatermark(png(), "image/png", 0.1, 0.2, 0.3)
    spec = relay_spec_of(vod(pre_download=False, watermark=mark), Playhead())
    assert spec.pre_download is False
    assert spec.watermark is not None
    assert (spec.watermark.pos_x, spec.watermark.pos_y, spec.watermark.ratio) == (0.1, 0.2, 0.3)


def test_a_watermark_over_a_live_source_is_refused_in_words() -> None:
    """Not supported yet, and said so: the stream does not go out without it."""
    live = vod(kind=TaskKind.LIVE, items=(TaskItem(MediaUrl.parse("rtmp://a.example/b/c")),))
    assert relay_spec_of(live, Playhead()).is_live
    with pytest.raises(ValueError, match="watermark over a live source"):
        relay_spec_of(replace(live, watermark=TaskWatermark(png(), "image/png", 0, 0, 0.1)), Playhead())
