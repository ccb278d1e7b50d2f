"""How much a live inlet takes at a time: less of a source that makes much work."""

import gc
import weakref

import pytest

from streamferry.media.errors import SourceEnded
from streamferry.media.tag import AUDIO, VIDEO
from streamferry.source.flv import FlvReader
from streamferry.source.live import (
    MAX_PULL_BYTES,
    MIN_PULL_BYTES,
    SCRATCH_BYTES,
    SLOW_PULL_S,
    ConnectionInlet,
)
from streamferry.wire.flv import serialize_flv_header, serialize_tag

SCRATCH = memoryview(bytearray(SCRATCH_BYTES))


class Source:
    """An endless source whose bytes take ``seconds_a_byte`` to read, on a clock of its own."""

    def __init__(self, seconds_a_byte):
        self.seconds_a_byte = seconds_a_byte
        self.now = 0.0
        self.offered = MAX_PULL_BYTES
        self.inlet = ConnectionInlet(self, self.receive_into, self, clock=lambda: self.now)

    def receive_into(self, view):
        return min(len(view), self.offered)

    def read(self, view, start, out):
        self.now += (len(view) - start) * self.seconds_a_byte

    def close(self):
        pass

    def pull(self):
        began_at = self.now
        return self.inlet.pull(SCRATCH, []), self.now - began_at


def test_a_source_that_is_much_work_is_taken_in_small_pieces():
    """A byte a tag, a byte a chunk: a visit costs what the smallest piece costs, from the sixth on."""
    source = Source(700e-9)
    for _ in range(6):
        source.pull()
    taken, seconds = source.pull()
    assert taken == MIN_PULL_BYTES
    assert seconds < 0.015


def test_an_honest_source_is_taken_whole():
    """52 Mbps take a millisecond, and one hiccup of the machine costs half a piece, once."""
    source = Source(2e-9)
    assert [source.pull()[0] for _ in range(3)] == [MAX_PULL_BYTES] * 3
    source.seconds_a_byte = 1e-6
    source.pull()
    source.seconds_a_byte = 2e-9
    assert [source.pull()[0] for _ in range(2)] == [MAX_PULL_BYTES // 2, MAX_PULL_BYTES]


def test_small_pulls_are_never_cut():
    """What comes in pieces under the least that is taken is not made less by a busy machine."""
    source = Source(0.0)
    source.offered = MIN_PULL_BYTES - 1
    source.seconds_a_byte = SLOW_PULL_S
    for _ in range(10):
        source.pull()
    source.offered = MAX_PULL_BYTES
    assert source.pull()[0] == MAX_PULL_BYTES


@pytest.mark.parametrize("large_bytes", [100_000, 3_000_000])
def test_a_flood_of_tiny_tags_is_read_in_pieces_and_whole(large_bytes):
    """60,000 valid tags that came at once: a visit has some thousands, and in the end all are there, in order."""
    tags = [(VIDEO, number, bytes((0x27, 1, number % 256))) for number in range(60_000)]
    tags.insert(20_000, (AUDIO, 20_000, b"\xaf\x01" + bytes(large_bytes)))
    data = memoryview(b"".join(serialize_tag(*tag) for tag in tags))

    def receive_into(view):
        nonlocal data
        taken, data = data[: len(view)], data[len(view) :]
        view[: len(taken)] = taken
        return len(taken)

    inlet = ConnectionInlet(Source(0.0), receive_into, FlvReader(serialize_flv_header(True, True)), clock=lambda: 0.0)
    arrived, received = [], 0

    def pull():
        nonlocal arrived, received
        out = []
        received += inlet.pull(SCRATCH, out)
        assert len(out) <= 10_000
        arrived += [(tag_type, stamp_ms, bytes(body)) for tag_type, stamp_ms, body in out]

    while len(arrived) < len(tags):
        pull()
    with pytest.raises(SourceEnded):
        pull()
    assert arrived == tags
    assert received == sum(len(body) + 15 for _, _, body in tags)


def test_a_closed_inlet_is_no_cycle():
    """One whose receiver is its own method, as of ffmpeg, is freed by its count alone."""

    class Own(ConnectionInlet):
        def __init__(self, connection):
            super().__init__(connection, self.receive, self)

        def receive(self, view):
            return None

        def read(self, view, start, out):
            pass

    inlet = Own(Source(0.0))
    alive = weakref.ref(inlet)
    gc.disable()
    try:
        inlet.close()
        inlet.close()
        del inlet
        assert alive() is None
    finally:
        gc.enable()
