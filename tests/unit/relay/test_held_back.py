"""A file, a destination that reads late, and all of the film: on real TCP with small buffers, on a clock of numbers."""

import asyncio
import socket
import struct
from itertools import pairwise

import pytest

from scripted.camera import number_of
from scripted.memory_file import MemoryFile
from scripted.publishing import publishing
from streamferry.media.enhanced import tag_kind
from streamferry.media.tag import AUDIO, KEYFRAME, VIDEO
from streamferry.push import Outlet
from streamferry.relay.beat import RING_S
from streamferry.relay.file_feed import FileFeed
from streamferry.relay.list_flow import ListFlow
from streamferry.relay.status import START
from streamferry.source.prepared import PreparedReader
from streamferry.timeline.pace import LEAD_MS


class Relay:
    """A flow of one file to one destination; ``visit`` is a beat, for which no time passes."""

    def __init__(self, file, buffer_bytes):
        outlet = Outlet()
        self.flow = ListFlow(outlet, lambda now: True)
        self.feed = FileFeed(outlet, START, lambda *step: None)
        self.session, self.far = publishing(buffer_bytes)
        self.now = 0.0
        self.flow.attach_feed(self.feed)
        self.feed.put(0, 0, PreparedReader(file))
        self.feed.finish()
        self.flow.attach_session(self.session, self.now)

    async def run(self, seconds, read_bytes):
        """Visit as a beat does; the destination reads so much between two visits."""
        end = self.now + seconds
        while self.now < end:
            self.now += RING_S
            before_ms = self.feed.position_ms
            self.flow.visit(self.now)
            assert self.feed.position_ms - before_ms <= LEAD_MS
            if read_bytes:
                self.far.receive(read_bytes)
            await asyncio.sleep(0)

    async def finish(self):
        """Play on until all has arrived."""
        async with asyncio.timeout(30):
            while not (self.feed.finished.is_set() and self._has_arrived()):
                await self.run(RING_S, 1 << 20)
            while self.far.receive():
                pass

    def _has_arrived(self):
        return not self.flow.outlet.is_backed_up and self.session.acked_bytes == self.session.sent_bytes

    def begin_session_again(self):
        """The session was lost: another one, to a far end with buffers of the same size."""
        self.flow.detach_session()
        self.session, self.far = publishing(64 << 10)
        self.now += 1.0
        self.flow.attach_session(self.session, self.now)

    def close(self):
        self.flow.detach_feed()
        self.session.abort()
        self.far.sock.close()


@pytest.fixture
def relay():
    """``relay(file, buffer_bytes)``; closed at the end."""
    made = []

    def make(file, buffer_bytes=64 << 10):
        made.append(Relay(file, buffer_bytes))
        return made[-1]

    yield make
    for one in made:
        one.close()


def assert_whole(far, file):
    """Every frame of the file has arrived, once and in order, at its own time."""
    for tag_type in (VIDEO, AUDIO):
        frames = [tag for tag in far.tags if tag[0] == tag_type and tag_kind(tag_type, tag[2]) <= KEYFRAME]
        wanted = [tag for tag in file.tags if tag[0] == tag_type]
        assert [tag[1:] for tag in frames] == [(stamp, bytes(body)) for _, stamp, body in wanted]


@pytest.mark.parametrize("pause_s", [2.2, 7.0])
async def test_nothing_is_lost_while_a_destination_reads_nothing(relay, pause_s):
    """For some seconds, over several groups of pictures: the film waits, and then all of it arrives."""
    file = MemoryFile(10, gop=10, frame_bytes=40_000)
    running = relay(file, 4096)
    await running.run(5.7, 1 << 20)
    await running.run(pause_s, 0)
    await running.finish()
    assert running.flow.outlet.dropped_tags == 0
    assert_whole(running.far, file)


async def test_nothing_is_lost_after_the_preparation_was_slow(relay):
    """Playing while downloading: the file stops growing for longer than 2 s, again and again; a reader of few bytes."""
    file = MemoryFile(20, gop=10, frame_bytes=8_000)
    ends = file.index.place_offsets[1:]
    running = relay(file)
    file.complete = False
    for end in ends[10::10]:
        file.end_offset = end
        await running.run(4.5, 400_000)
    file.become_whole()
    await running.finish()
    assert running.flow.outlet.dropped_tags == 0
    assert_whole(running.far, file)


async def test_a_destination_that_is_slower_than_the_film_gets_all_of_it(relay):
    """It takes half of the film's rate for as long as the film should last: late is all that it is."""
    file = MemoryFile(10, frame_bytes=8_000)
    running = relay(file)
    await running.run(10, 32_000)
    assert not running.feed.finished.is_set()
    await running.finish()
    assert running.flow.outlet.dropped_tags == 0
    assert_whole(running.far, file)
    numbers = [number_of(tag) for tag in running.far.tags if tag[0] == VIDEO and tag[2][1] == 1]
    assert all(b == a + 1 for a, b in pairwise(numbers))


async def test_a_session_that_is_reset_is_continued_from_where_it_was_acknowledged(relay):
    """Between two inspections, which are 2 s apart: what had arrived is known to half a second and a visit.

    Of a list with a keyframe each 0.2 s no more than that is sent again.
    """
    running = relay(MemoryFile(10, gop=5))
    await running.run(5.7, 1 << 20)
    while running.far.receive():
        pass
    running.far.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    running.far.sock.close()
    before = [number_of(tag) for tag in running.far.tags if tag[0] == VIDEO and tag[2][1] == 1]
    lost = running.session
    running.begin_session_again()
    lost.abort()
    await running.finish()
    after = [number_of(tag) for tag in running.far.tags if tag[0] == VIDEO and tag[2][1] == 1]
    assert after == list(range(after[0], 250))
    assert 0 <= before[-1] + 1 - after[0] <= 25 * (0.5 + RING_S + RING_S + 0.2)


@pytest.mark.parametrize("read_bytes", [1, 4_096, 70_000, 400_000])
async def test_a_reset_loses_nothing_that_had_not_arrived(relay, read_bytes):
    """In the midst of a message: the next session begins at a keyframe at or before it, and all the rest follows."""
    file = MemoryFile(10, gop=10, frame_bytes=20_000)
    running = relay(file)
    await running.run(2, read_bytes)
    first = running.far
    # What its TCP has acknowledged counts as arrived, so it reads that.
    while first.receive():
        pass
    running.session.abort()
    first.sock.close()
    running.begin_session_again()
    await running.finish()
    before = [number_of(tag) for tag in first.tags if tag[0] == VIDEO and tag[2][1] == 1]
    after = [number_of(tag) for tag in running.far.tags if tag[0] == VIDEO and tag[2][1] == 1]
    assert after == list(range(after[0], 250))
    assert after[0] % 10 == 0
    assert after[0] <= (before[-1] + 1 if before else 0)
    assert next(tag[1] for tag in running.far.tags if tag[0] == VIDEO) == 0
