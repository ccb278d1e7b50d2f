"""Destinations at the end of a long line: what it loses comes late, what it is too narrow for waits or gives way.

The line is a model on a clock of numbers, in place of a connection: buffers of 256 KiB in all, a rate, a delay with
jitter, packets that are lost, which hold up all that follows until they were sent again, and pauses of seconds. With
sockets instead the kernel would take its time on another clock.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from scripted.camera import FRAME_MS, Camera, frames, laid, number_of
from scripted.memory_file import MemoryFile
from scripted.publishing import accepted
from streamferry.media.enhanced import tag_kind
from streamferry.media.tag import AUDIO, KEYFRAME, VIDEO, Tag
from streamferry.push import Outlet
from streamferry.push.queue import SOFT_MS
from streamferry.relay.beat import FILE_VISIT_S
from streamferry.relay.file_feed import CATCH_UP, FileFeed
from streamferry.relay.list_flow import ListFlow
from streamferry.relay.status import START
from streamferry.source.prepared import PreparedReader
from streamferry.timeline.pace import LEAD_MS
from streamferry.wire.rtmp.chunk import ChunkReader, Message
from streamferry.wire.rtmp.chunk_file import CHUNK_SIZE

BUFFER_BYTES = 256 << 10
PACKET_BYTES = 1448
DELAY_S, JITTER_S = 0.08, 0.04
#: How long the packets after a lost one wait for it: a round trip, and a timeout where there were few.
AGAIN_S = (2 * DELAY_S, 0.2 + 2 * DELAY_S)
#: Of a picture and the sound beside it: 4 Mbps.
FRAME_BYTES = 20_000
MEDIA_BYTES_A_SECOND = 1000 / FRAME_MS * FRAME_BYTES
LIVE_VISIT_S = 0.16
FOREVER_S = 600
GOP = 25


@dataclass
class Line:
    """A line to a destination, as its connection is to a session."""

    #: A multiple of the media's.
    rate: float
    #: Part of its packets.
    lost: float
    #: From when to when it passes nothing, in seconds.
    pauses: list[tuple[float, float]]
    random: Random
    #: All that was sent, and how much of it has arrived.
    sent: bytearray = field(default_factory=bytearray)
    arrived_bytes: int = 0
    is_holding: bool = False
    # Since when it has passed nothing on that it had room for, and until when a packet is awaited that was lost.
    _since: float = 0.0
    _held_until: float = 0.0

    def pass_on(self, now: float) -> None:
        """Let the destination have what has come through by ``now``."""
        if now < self._held_until or any(begin <= now < end for begin, end in self.pauses):
            return
        room_bytes = min(BUFFER_BYTES, round((now - self._since) * self.rate * MEDIA_BYTES_A_SECOND))
        self._since = now
        for _ in range(0, min(room_bytes, self.unacked_bytes()), PACKET_BYTES):
            self.arrived_bytes += min(PACKET_BYTES, self.unacked_bytes())
            if self.random.random() < self.lost:
                self._held_until = now + self.random.choice(AGAIN_S) + self.random.random() * JITTER_S
                return

    def send(self, pieces: Sequence[bytes | memoryview]) -> int:
        """Take what there is room for."""
        data = b"".join(pieces)[: BUFFER_BYTES - self.unacked_bytes()]
        self.sent += data
        return len(data)

    def send_file(self, file: MemoryFile, start: int, end: int) -> int:
        """The same of a stretch of a file."""
        return self.send((file.view()[start:end],))

    def unacked_bytes(self) -> int:
        """What has not arrived yet."""
        return len(self.sent) - self.arrived_bytes

    def on_readable(self, callback: Callable[[], None] | None) -> None:
        """The destination says nothing."""

    def limit_unsent(self, limit_bytes: int) -> None:
        """The line holds little as it is."""

    @property
    def tags(self) -> list[Tag]:
        """The media that has arrived, read by a chunk reader."""
        reader, messages = ChunkReader(), list[Message]()
        reader.chunk_size = CHUNK_SIZE
        assert reader.scan(memoryview(self.sent), 0, self.arrived_bytes, messages) == self.arrived_bytes
        return [(type_id, stamp, bytes(body)) for type_id, stamp, _, body in messages if type_id in (AUDIO, VIDEO)]


PAUSES = st.lists(st.tuples(st.sampled_from((1.0, 4.0, 6.5)), st.sampled_from((0.5, 1.4, 2.6, 5.0))), max_size=2)
LINES = st.builds(
    Line,
    st.sampled_from((0.3, 0.7, 0.95, 1.2, 2.0, 8.0)),
    st.sampled_from((0, 0.001, 0.01)),
    PAUSES.map(lambda pauses: [(begin, begin + length) for begin, length in pauses]),
    st.integers(0, 999).map(Random),
)


@settings(deadline=None, max_examples=20)
@given(line=LINES, keeps_time=st.booleans())
def test_a_film_arrives_whole(line: Line, keeps_time: bool) -> None:
    """Each frame, whatever the line is like; what was held up is never made up for faster than is promised."""
    film = MemoryFile(8, gop=GOP, frame_bytes=FRAME_BYTES)
    asyncio.run(play(film, line, CATCH_UP if keeps_time else 1.0))
    for tag_type in (VIDEO, AUDIO):
        arrived, wanted = frames(line.tags, tag_type), frames(film.tags, tag_type)
        assert [(stamp, body) for _, stamp, body in arrived] == [(stamp, bytes(body)) for _, stamp, body in wanted]


async def play(film: MemoryFile, line: Line, catch_up: float) -> None:
    """Play the film over such a line, at no time faster than that but for the lead."""
    outlet = Outlet()
    flow = ListFlow(outlet, lambda now: True)
    feed = FileFeed(outlet, START, lambda *step: None, keeps_time=lambda: catch_up > 1)
    flow.attach_feed(feed)
    feed.put(0, 0, PreparedReader(film))
    feed.finish()
    flow.attach_session(accepted(line), 0.0)
    now, least_ms = 0.0, 0.0
    while not feed.finished.is_set() or outlet.is_backed_up or line.unacked_bytes():
        assert now < FOREVER_S
        now += FILE_VISIT_S
        flow.visit(now)
        # By how much it is ahead of a clock that goes so fast: never more than a lead after it was ahead least.
        ahead_ms = feed.position_ms - 1000 * catch_up * now
        assert ahead_ms - least_ms <= LEAD_MS + FRAME_MS
        least_ms = min(least_ms, ahead_ms)
        line.pass_on(now)
    flow.detach_feed()
    assert outlet.dropped_tags == 0


@settings(deadline=None, max_examples=20)
@given(line=LINES)
def test_a_live_stream_gives_way(line: Line) -> None:
    """What a line is too narrow for is left out up to a keyframe, and counted; on one that is wide nothing is."""
    camera = Camera(gop=GOP, frame_bytes=FRAME_BYTES)
    headers, film = camera.headers(), camera.film(8)
    dropped_tags = asyncio.run(relay(headers, film, line))
    missing = 0
    for tag_type in (VIDEO, AUDIO):
        arrived, wanted = frames(line.tags, tag_type), frames(film, tag_type)
        assert all(later[1] > earlier[1] for earlier, later in pairwise(arrived))
        numbers = [number_of(tag) for tag in arrived]
        assert [tag[2] for tag in arrived] == [bytes(wanted[number][2]) for number in numbers]
        assert {tag[1] - wanted[number][1] for tag, number in zip(arrived, numbers, strict=True)} == {0}
        missing += len(wanted) - len(arrived)
        for earlier, later in pairwise(arrived):
            is_next = number_of(later) == number_of(earlier) + 1
            assert is_next or tag_type == AUDIO or tag_kind(VIDEO, later[2]) == KEYFRAME
    assert missing == dropped_tags
    assert not (missing and line.rate > 1 and not line.lost and not line.pauses)


async def relay(headers: list[Tag], film: list[Tag], line: Line) -> int:
    """Send a camera's film over such a line as it comes; gives how many frames were left out."""
    outlet, left, now = Outlet(), laid(film), 0.0
    outlet.attach(accepted(line), laid(headers), now)
    while left or outlet.is_backed_up or line.unacked_bytes():
        assert now < FOREVER_S
        now += LIVE_VISIT_S
        fresh = [tag for tag in left[:100] if tag[1] <= now * 1000]
        left = left[len(fresh) :]
        outlet.offer(fresh)
        assert outlet.queue.span_ms <= SOFT_MS + GOP * FRAME_MS + 1000 * LIVE_VISIT_S
        line.pass_on(now)
    return outlet.dropped_tags
