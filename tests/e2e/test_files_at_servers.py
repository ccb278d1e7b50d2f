"""Joins of prepared files at real servers, at any time of a stream: what is read back is the files' media, in step.

The relay's own flow on a clock of numbers, so that hours of a stream and its joins take seconds.
"""

import asyncio
from collections.abc import AsyncIterator
from itertools import pairwise
from pathlib import Path

import httpx
import pytest

from kit.clips import ClipFactory
from kit.nginx_rtmp import NginxRtmp
from kit.node_media_server import NodeMediaServer
from scripted.waiting import until
from streamferry.media.enhanced import tag_kind
from streamferry.media.stamps import signed_delta_ms
from streamferry.media.tag import AUDIO, KEYFRAME, VIDEO, Tag
from streamferry.media.url import MediaUrl
from streamferry.net.dial import Deadlines
from streamferry.prepare.file import PreparedFile
from streamferry.prepare.store import PreparedStore
from streamferry.push import Outlet, open_rtmp_session
from streamferry.relay.beat import FILE_VISIT_S
from streamferry.relay.file_feed import FileFeed
from streamferry.relay.list_flow import ListFlow
from streamferry.relay.status import START
from streamferry.source.prepared import PreparedReader
from streamferry.wire.flv import FLV_HEADER_BYTES, scan_tags
from streamferry.wire.rtmp.chunk_file import TagScan

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


def frames_of(tags: list[Tag]) -> list[Tag]:
    """The frames among tags, copied."""
    kept = [tag for tag in tags if tag[0] in (AUDIO, VIDEO) and tag_kind(tag[0], tag[2]) <= KEYFRAME]
    return [(tag_type, stamp, bytes(body)) for tag_type, stamp, body in kept]


def frames_in(file: PreparedFile, place: int = 0, end_ms: int = 1 << 40) -> list[Tag]:
    """What a pass over a file has to give."""
    tags: list[Tag] = []
    TagScan(file.index, place).read(file.view(), file.end_offset, tags)
    return [tag for tag in frames_of(tags) if tag[1] < end_ms]


async def publish(url: str, begin_ms: int, readers: list[PreparedReader]) -> None:
    """Play the readers in one publish session, in which they begin at that stamp, and end it."""
    outlet = Outlet()
    flow, feed = ListFlow(outlet, lambda now: True), FileFeed(outlet, START, lambda *step: None)
    flow.attach_feed(feed)
    for item, reader in enumerate(readers):
        feed.put(0, item, reader)
    feed.finish()
    session = await open_rtmp_session(MediaUrl.parse(url), deadlines=Deadlines())
    try:
        session.begin_at(0)
        feed._joins.position_ms = begin_ms
        now = 0.0
        flow.attach_session(session, now)
        async with asyncio.timeout(60):
            while not feed.finished.is_set() or session.acked_bytes < session.sent_bytes or session.is_blocked:
                now += FILE_VISIT_S
                flow.visit(now)
                await asyncio.sleep(0)
            flow.detach_session()
            await session.aclose()
    finally:
        session.abort()
        flow.detach_feed()


def assert_the_same_media(arrived: list[Tag], passes: list[list[Tag]], longest_gap_ms: int) -> None:
    """Bodies as in the files, in order; stamps that rise, and in each pass those of the file plus one number."""
    for tag_type in (AUDIO, VIDEO):
        assert [tag[2] for tag in arrived if tag[0] == tag_type] == [
            tag[2] for one in passes for tag in one if tag[0] == tag_type
        ]
        stamps = [tag[1] for tag in arrived if tag[0] == tag_type]
        assert all(0 < signed_delta_ms(later, earlier) <= longest_gap_ms for earlier, later in pairwise(stamps))
    left = {tag_type: [tag[1] for tag in arrived if tag[0] == tag_type] for tag_type in (AUDIO, VIDEO)}
    for one in passes:
        shifts = {signed_delta_ms(left[tag_type].pop(0), stamp) for tag_type, stamp, _ in one}
        assert len(shifts) == 1, "sound and picture moved apart"


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
