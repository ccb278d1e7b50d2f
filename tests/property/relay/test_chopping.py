"""However a source's bytes are cut, the destination gets the same tags: feed, timeline, outlet and session."""

import asyncio
from functools import cache
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from scripted.camera import OTHER_AVC_HEADER, Camera
from scripted.publishing import publishing
from streamferry.media.tag import Tag
from streamferry.push import Outlet
from streamferry.relay.feed import LiveFeed
from streamferry.relay.flow import LiveFlow
from streamferry.source.flv import FlvReader
from streamferry.source.live import ConnectionInlet
from streamferry.timeline import Timeline
from streamferry.wire.flv import serialize_flv_header, serialize_tag


def broadcast() -> bytes:
    """A second of a stream with a change of header and a jump in it, as FLV tags."""
    camera = Camera(gop=5, frame_bytes=300)
    tags = camera.headers() + camera.film(0.4) + camera.change_header(OTHER_AVC_HEADER) + camera.film(0.2)
    camera.stamp_ms += 36_000_000
    tags += camera.film(0.4)
    return b"".join(serialize_tag(*tag) for tag in tags)


BYTES = broadcast()


class Wire:
    """A connection that gives the broadcast in the pieces of a test."""

    def __init__(self, cuts: list[int]) -> None:
        edges = [0, *sorted(cuts), len(BYTES)]
        self.pieces = [BYTES[start:end] for start, end in pairwise(edges) if end > start]

    def receive_into(self, view: memoryview) -> int | None:
        if not self.pieces:
            return None
        piece = self.pieces.pop(0)
        view[: len(piece)] = piece
        return len(piece)

    def close(self) -> None:
        """Nothing is open."""


async def relayed(cuts: list[int]) -> list[Tag]:
    """What arrives at the destination."""
    wire = Wire(cuts)
    flow = LiveFlow(Timeline(), Outlet(), lambda now: None)
    session, far = publishing()
    scratch = memoryview(bytearray(2 << 20))
    inlet = ConnectionInlet(wire, wire.receive_into, FlvReader(serialize_flv_header(True, True)))  # type: ignore[arg-type]
    flow.attach_session(session, 0.0)
    flow.attach_feed(LiveFeed(inlet, flow.timeline, scratch, 0.0), 0.0)
    beats = 0
    while wire.pieces:
        beats += 1
        flow.visit(beats * 0.05)
        scratch[:] = bytes(len(scratch))  # The buffer is another stream's in between.
    async with asyncio.timeout(30):
        while session.acked_bytes < session.sent_bytes or far.receive():
            far.receive()
            await asyncio.sleep(0)
    flow.detach_feed()
    session.abort()
    far.sock.close()
    return far.tags


@cache
def whole() -> list[Tag]:
    """What arrives when nothing is cut."""
    return asyncio.run(relayed([]))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(1, len(BYTES) - 1), max_size=60, unique=True))
def test_any_cut_of_the_source_gives_the_same_tags(cuts: list[int]) -> None:
    """Cut at any bytes, each piece in a beat of its own."""
    assert asyncio.run(relayed(cuts)) == whole()


def test_the_whole_stream_arrives() -> None:
    """What the property compares with is the stream: all its pictures and both its headers."""
    assert len(whole()) == 4 + 3 * 25
