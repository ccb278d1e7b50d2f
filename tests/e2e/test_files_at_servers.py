"""Joins of prepared files at real servers, at any time of a stream: what is read back is the files' media, in step."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from kit.clips import ClipFactory
from kit.nginx_rtmp import NginxRtmp
from kit.node_media_server import NodeMediaServer
from scripted.on_a_clock import assert_the_same_media, frames_in, frames_of, publish
from scripted.waiting import until
from streamferry.media.tag import Tag
from streamferry.media.url import MediaUrl
from streamferry.prepare.file import PreparedFile
from streamferry.prepare.store import PreparedStore
from streamferry.source.prepared import PreparedReader
from streamferry.wire.flv import FLV_HEADER_BYTES, scan_tags

#: The first stamp of the session: of a new one, and so that its first join comes just after stamps get an extension,
#: another sign, and begin anew.
BEGINS = (0, 2**24 - 1500, 2**31 - 1500, 2**32 - 1500)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[PreparedStore]:
    """An empty cache."""
    async with PreparedStore(tmp_path / "cache") as store:
        yield store


async def prepared(store: PreparedStore, clip: Path) -> PreparedFile:
    """A clip, prepared whole."""
    file = await store.open(MediaUrl.parse(str(clip)))
    await file.wait_complete(lambda progress: None)
    return file


@pytest.mark.parametrize("begin_ms", BEGINS)
async def test_joins_recorded_by_nginx(
    store: PreparedStore, nginx: NginxRtmp, clips: ClipFactory, begin_ms: int
) -> None:
    """A loop, the next file, an offset, an end offset, and a file again: one recording of all of it, in step."""
    first = await prepared(store, clips("two_seconds"))
    other = await prepared(store, clips("flash_beep"))
    for _ in range(3):
        first.retain()
    other.retain()
    readers = [
        PreparedReader(first),
        PreparedReader(first),
        PreparedReader(other),
        PreparedReader(first, 1000),
        PreparedReader(other, 0, 1300),
        PreparedReader(first),
    ]
    passes = [
        frames_in(first),
        frames_in(first),
        frames_in(other),
        frames_in(first, readers[3].place),
        frames_in(other, 0, other.index.origin_ms + 1300),
        frames_in(first),
    ]
    assert readers[3].place > 1
    await publish(nginx.url("out", "rec"), begin_ms, readers)
    nginx.wait_unpublished("out", "rec")
    (path,) = nginx.recordings("out")
    data, tags = path.read_bytes(), list[Tag]()
    scan_tags(memoryview(data), FLV_HEADER_BYTES, len(data), tags)
    assert_the_same_media(frames_of(tags), passes, 200)


@pytest.mark.parametrize("begin_ms", BEGINS)
async def test_a_file_that_gives_way_recorded_by_nginx(
    store: PreparedStore, nginx: NginxRtmp, clips: ClipFactory, begin_ms: int
) -> None:
    """An edit, an order or a hand-over cuts it at a keyframe; another file follows, and the first one again."""
    first, other = await prepared(store, clips("flash_beep")), await prepared(store, clips("two_seconds"))
    first.retain()
    cut, readers = PreparedReader(first), [PreparedReader(other), PreparedReader(first)]
    parts = {end: frames_in(first, end=end) for end in first.index.place_offsets[2:]}
    after = [frames_in(other), frames_in(first)]
    await publish(nginx.url("out", "rec"), begin_ms, [cut, *readers], gives_way=True)
    assert cut.is_cut
    nginx.wait_unpublished("out", "rec")
    (path,) = nginx.recordings("out")
    data, tags = path.read_bytes(), list[Tag]()
    scan_tags(memoryview(data), FLV_HEADER_BYTES, len(data), tags)
    assert_the_same_media(frames_of(tags), [parts[cut.offset], *after], 200)


@pytest.mark.parametrize("begin_ms", BEGINS)
async def test_joins_played_by_node_media_server(
    store: PreparedStore, node_media_server: NodeMediaServer, clips: ClipFactory, begin_ms: int
) -> None:
    """Three loops, as a player of that server sees them who was there before."""
    file = await prepared(store, clips("two_seconds"))
    for _ in range(2):
        file.retain()
    passes = [frames_in(file)] * 3
    wanted = sum(len(one) for one in passes)
    tags, data, start = list[Tag](), bytearray(), FLV_HEADER_BYTES
    async with httpx.AsyncClient(timeout=60) as client:
        request = client.stream("GET", node_media_server.flv_url("out"))
        async with request as answer, asyncio.TaskGroup() as group:
            await until("the player to be there", lambda: node_media_server.events("out", "postPlay"), 20)
            chunks = answer.aiter_bytes()
            publishing = group.create_task(
                publish(node_media_server.url("out"), begin_ms, [PreparedReader(file) for _ in passes])
            )
            while len(frames_of(tags)) < wanted:
                data += await anext(chunks)
                tags, start = list[Tag](), FLV_HEADER_BYTES
                scan_tags(memoryview(bytes(data)), start, len(data), tags)
            await publishing
    assert_the_same_media(frames_of(tags), passes, 200)
