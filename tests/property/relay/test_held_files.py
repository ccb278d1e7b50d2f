"""However files grow, however late visits come and however a destination reads: all of each film arrives, in order."""

import asyncio
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from scripted.camera import Camera
from scripted.memory_file import MemoryFile
from scripted.publishing import publishing
from streamferry.media.enhanced import tag_kind
from streamferry.media.tag import AUDIO, KEYFRAME, VIDEO, Tag
from streamferry.push import Outlet
from streamferry.relay.file_feed import FileFeed
from streamferry.relay.list_flow import ListFlow
from streamferry.relay.status import START
from streamferry.source.prepared import PreparedReader
from streamferry.timeline.pace import LEAD_MS


def growing_file(pictures: int, pause_ms: int, gop: int) -> MemoryFile:
    """A prepared file of camera pictures that is made known piece by piece."""
    camera = Camera(gop=gop, frame_bytes=12_000)
    tags: list[Tag] = []
    for number in range(pictures):
        if number and number == pictures // 2:
            camera.stamp_ms += pause_ms
        tags += camera.shoot()
    file = MemoryFile(headers=camera.headers(), tags=tags, duration_ms=camera.stamp_ms)
    file.end_offset, file.complete = file.message_ends[3], False
    return file


# Pictures, the pause in the midst of them, distance of keyframes.
shapes_of_films = st.tuples(st.integers(1, 200), st.sampled_from((0, 0, 1_500, 12_000)), st.sampled_from((5, 10, 30)))
# Seconds to the next visit, bytes that the destination reads after it, tags that the present file grows by.
visits = st.tuples(st.sampled_from((0.04, 0.32, 0.32, 0.32, 2.9, 9.0)), st.sampled_from((0, 0, 4_000, 1 << 20)))
steps = st.lists(st.tuples(visits, st.sampled_from((0, 0, 10, 100, 1_000))), max_size=40)


@settings(deadline=None, max_examples=25)
@given(shapes=st.lists(shapes_of_films, min_size=1, max_size=4), steps=steps)
def test_all_of_each_film_arrives(
    shapes: list[tuple[int, int, int]], steps: list[tuple[tuple[float, int], int]]
) -> None:
    """Once, in order, in pulls that are bounded; nothing is dropped, and time never stands still on a track."""
    films = [growing_file(*shape) for shape in shapes]
    arrived = asyncio.run(played(films, steps))
    for tag_type in (VIDEO, AUDIO):
        frames = [tag for tag in arrived if tag[0] == tag_type and tag_kind(tag_type, tag[2]) <= KEYFRAME]
        assert [tag[2] for tag in frames] == [
            bytes(tag[2]) for film in films for tag in film.tags if tag[0] == tag_type
        ]
        assert all(a[1] < b[1] for a, b in pairwise(frames))


async def played(films: list[MemoryFile], steps: list[tuple[tuple[float, int], int]]) -> list[Tag]:
    """What arrives of a list at a destination with small buffers."""
    outlet = Outlet()
    flow = ListFlow(outlet, lambda now: True)
    feed = FileFeed(outlet, START, lambda *step: None)
    session, far = publishing(16 << 10)
    flow.attach_feed(feed)
    flow.attach_session(session, 0.0)
    for item, film in enumerate(films):
        feed.put(0, item, PreparedReader(film))
    feed.finish()
    now, longest_gap_ms = 0.0, 12_040
    todo = iter(steps)
    try:
        async with asyncio.timeout(30):
            while not feed.finished.is_set() or session.acked_bytes < session.sent_bytes or outlet.is_backed_up:
                (after_s, read_bytes), grown = next(todo, ((0.32, 1 << 20), 100_000))
                next((film for film in films if not film.complete), films[0]).grow_by(grown)
                now += after_s
                before_ms = feed.position_ms
                flow.visit(now)
                assert feed.position_ms - before_ms <= LEAD_MS + longest_gap_ms
                if read_bytes:
                    far.receive(read_bytes)
                await asyncio.sleep(0)
            while far.receive():
                pass
    finally:
        flow.detach_feed()
        session.abort()
        far.sock.close()
    assert outlet.dropped_tags == 0
    return far.tags
