"""Thumbnails: a picture of the stream by a real ffmpeg, as seldom as asked for, shared by all who ask."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from kit.clips import ClipFactory
from scripted.camera import laid
from streamferry.control.thumbnails import FRESH_S, STALE_S, Thumbnails
from streamferry.reasons import Reason
from streamferry.tasks.errors import PreviewUnavailable
from streamferry.wire.flv import FLV_HEADER_BYTES, scan_tags
from streamferry.wire.fmp4 import Fragmenter


class ScriptedStream:
    """A preview that ends."""

    def __init__(self, mime: str, data: bytes) -> None:
        self.mime = mime
        self._data = data
        self.is_closed = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for start in range(0, len(self._data), 1000):
            yield self._data[start : start + 1000]

    async def aclose(self) -> None:
        self.is_closed = True


class ScriptedPreviews:
    """Previews of one stream, opened when the test says so."""

    def __init__(self, mime: str = "video/mp4", data: bytes = b"") -> None:
        self._stream = (mime, data)
        self.opened: list[ScriptedStream] = []
        self.may_open = asyncio.Event()
        self.may_open.set()
        self.refusal = ""

    async def open(self, task_id: str) -> ScriptedStream:
        await self.may_open.wait()
        if self.refusal:
            raise PreviewUnavailable(Reason.text(self.refusal))
        self.opened.append(ScriptedStream(*self._stream))
        return self.opened[-1]


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(scope="session")
def fragments(clips: ClipFactory) -> bytes:
    """A preview of two seconds: as each does, it begins with a header and a fragment that a player can begin at."""
    data = clips("two_seconds", ".flv").read_bytes()
    tags: list = []
    scan_tags(memoryview(data), FLV_HEADER_BYTES, len(data), tags)
    header, *pieces = Fragmenter().put(laid(tags))
    return header.data + b"".join(piece.data for piece in pieces[[piece.is_start for piece in pieces].index(True) :])


async def test_a_picture_is_made_once_for_all(fragments):
    """While it is fresh it is given again; who asks at the same time gets the same; the stream is left at once."""
    previews, clock = ScriptedPreviews(data=fragments), Clock()
    async with Thumbnails(previews, clock) as thumbnails:
        one, other = await asyncio.gather(thumbnails.get("t"), thumbnails.get("t"))
        assert one == other
        assert one.startswith(b"\xff\xd8")
        clock.now += FRESH_S - 0.1
        assert await thumbnails.get("t") == one
        assert [stream.is_closed for stream in previews.opened] == [True]
        await thumbnails.get("another")
        assert len(previews.opened) == 2


async def test_the_last_picture_is_given_while_the_next_is_made(fragments):
    """Nobody waits for a keyframe twice; what is stale is not given any more."""
    previews, clock = ScriptedPreviews(data=fragments), Clock()
    async with Thumbnails(previews, clock) as thumbnails:
        first = await thumbnails.get("t")
        previews.may_open.clear()
        clock.now += FRESH_S
        assert await thumbnails.get("t") == first
        clock.now += STALE_S
        waiting = asyncio.ensure_future(thumbnails.get("t"))
        assert not (await asyncio.wait([waiting], timeout=0.05))[0]
        previews.may_open.set()
        await waiting
        assert len(previews.opened) == 2


@pytest.mark.parametrize(
    ("mime", "cut", "words"),
    [
        ("audio/mp4", None, "has no picture"),
        ("video/mp4", 2000, "ended before its first picture"),
    ],
)
async def test_no_picture_is_told(fragments, mime, cut, words):
    """In words, and it is tried again with the next question."""
    previews = ScriptedPreviews(mime, fragments[:cut])
    async with Thumbnails(previews) as thumbnails:
        for _ in range(2):
            with pytest.raises(PreviewUnavailable, match=words):
                await thumbnails.get("t")
    assert len(previews.opened) == 2
    assert all(stream.is_closed for stream in previews.opened)


async def test_what_ffmpeg_cannot_decode_is_told(fragments):
    """A stream whose pictures are noise."""
    at = fragments.index(b"mdat") + 4
    end = fragments.index(b"moof", at) - 4
    previews = ScriptedPreviews(data=fragments[:at] + bytes(end - at) + fragments[end:])
    async with Thumbnails(previews) as thumbnails:
        with pytest.raises(PreviewUnavailable, match="cannot decode"):
            await thumbnails.get("t")


async def test_a_refusal_is_passed_on_and_who_leaves_disturbs_nobody(fragments):
    """Each who asks gets the refusal; one who goes away does not end the work of the others."""
    previews = ScriptedPreviews(data=fragments)
    async with Thumbnails(previews) as thumbnails:
        previews.may_open.clear()
        impatient, patient = (asyncio.ensure_future(thumbnails.get("t")) for _ in range(2))
        await asyncio.wait([impatient, patient], timeout=0.01)
        impatient.cancel()
        previews.may_open.set()
        assert (await patient).startswith(b"\xff\xd8")
        previews.refusal = "the task is not running"
        with pytest.raises(PreviewUnavailable, match="not running"):
            await thumbnails.get("other")


async def test_the_end_ends_what_is_being_made(fragments):
    """Nothing is left running."""
    previews = ScriptedPreviews(data=fragments)
    previews.may_open.clear()
    async with Thumbnails(previews) as thumbnails:
        asking = asyncio.ensure_future(thumbnails.get("t"))
        await asyncio.wait([asking], timeout=0.01)
    with pytest.raises(asyncio.CancelledError):
        await asking
