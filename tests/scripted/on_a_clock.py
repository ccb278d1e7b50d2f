"""Prepared files in a publish session, by the relay's own flow on a clock of numbers: hours and joins take seconds."""

import asyncio
from itertools import pairwise
from typing import Any

from kit.waiting import PATIENCE_S
from streamferry.media.enhanced import tag_kind
from streamferry.media.stamps import signed_delta_ms
from streamferry.media.tag import AUDIO, KEYFRAME, VIDEO, Tag
from streamferry.media.url import MediaUrl
from streamferry.net.dial import Deadlines
from streamferry.prepare.file import PreparedFile
from streamferry.push import Outlet, open_rtmp_session
from streamferry.relay.beat import FILE_VISIT_S
from streamferry.relay.file_feed import FileFeed
from streamferry.relay.list_flow import ListFlow
from streamferry.relay.preview import Preview, Viewer
from streamferry.relay.status import START
from streamferry.relay.taps import Taps
from streamferry.source.prepared import PreparedReader
from streamferry.wire.rtmp.chunk_file import TagScan


def frames_of(tags: list[Tag]) -> list[Tag]:
    """The frames among tags, copied."""
    kept = [tag for tag in tags if tag[0] in (AUDIO, VIDEO) and tag_kind(tag[0], tag[2]) <= KEYFRAME]
    return [(tag_type, stamp, bytes(body)) for tag_type, stamp, body in kept]


def frames_in(file: PreparedFile, place: int = 0, end_ms: int = 1 << 40, end: int | None = None) -> list[Tag]:
    """What a pass over a file has to give: up to a stamp in it, and up to an offset."""
    tags: list[Tag] = []
    TagScan(file.index, place).read(file.view(), end or file.end_offset, tags)
    return [tag for tag in frames_of(tags) if tag[1] < end_ms]


async def publish(
    url: str,
    begin_ms: int,
    readers: list[PreparedReader],
    watched: bytearray | None = None,
    *,
    gives_way: bool = False,
    **network: Any,
) -> None:
    """Play the readers in one publish session, in which they begin at that stamp, and end it.

    ``watched`` gets what a preview shows of it. ``gives_way``: the first one does, after a visit.
    """
    outlet = Outlet()
    flow, feed = ListFlow(outlet, lambda now: True), FileFeed(outlet, START, lambda *step: None)
    flow.attach_feed(feed)
    preview = Preview(Taps(outlet), flow)
    watching = asyncio.ensure_future(_watch(preview.watch(), watched)) if watched is not None else None
    for item, reader in enumerate(readers):
        feed.put(0, item, reader)
    feed.finish()
    session = await open_rtmp_session(MediaUrl.parse(url), deadlines=Deadlines(), **network)
    try:
        session.begin_at(0)
        feed._joins.position_ms = begin_ms
        now = 0.0
        flow.attach_session(session, now)
        async with asyncio.timeout(2 * PATIENCE_S):
            while not feed.finished.is_set() or session.acked_bytes < session.sent_bytes or session.is_blocked:
                now += FILE_VISIT_S
                flow.visit(now)
                if gives_way and feed.current is not None and feed.current.reader is readers[0]:
                    feed.give_way()
                await asyncio.sleep(0)
            flow.detach_session()
            await session.aclose()
            preview.end()
            if watching is not None:
                await watching
    finally:
        session.abort()
        flow.detach_feed()


async def _watch(viewer: Viewer, watched: bytearray) -> None:
    while data := await viewer.read():
        watched += data


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
