"""What is received for ffmpeg, which encodes it, is passed on as fast as it comes (B8)."""

from streamferry.source.ffmpeg_inlet import _Feeder

#: What a receive gives of datagrams of 1316 bytes: as many as are followed by room for the largest.
_RECEIVED_BYTES = 150 * 1316


class Socket:
    """Has so much."""

    def __init__(self, waiting):
        self.waiting = waiting

    def receive_into(self, view):
        size = min(self.waiting, _RECEIVED_BYTES, len(view))
        self.waiting -= size
        return size or None

    def close(self):
        pass


class Child:
    """Takes so much in a visit."""

    def __init__(self):
        self.room = self.taken = 0

    def send(self, buffers):
        size = min(self.room, sum(map(len, buffers)))
        self.room -= size
        self.taken += size
        return size


def visit(feeder, child, room):
    child.room, child.taken = room, 0
    feeder.pump(child, memoryview(bytearray(1 << 20)))
    return child.taken


def test_more_than_one_receive_a_visit():
    """One receive in each visit of 80 ms were 19.7 Mbps; the rest stayed in the kernel until that lost it."""
    assert visit(_Feeder(Socket(1 << 24)), Child(), 1 << 24) == 4 * _RECEIVED_BYTES


def test_a_visit_that_flushes_receives_too():
    """It had passed on only what was left over from the visit before: half of what its pipe takes."""
    feeder, child = _Feeder(Socket(1 << 24)), Child()
    for _ in range(10):
        assert visit(feeder, child, 256 << 10) == 256 << 10


def test_nothing_is_received_that_the_child_has_no_room_for():
    child, socket = Child(), Socket(1 << 24)
    feeder = _Feeder(socket)
    visit(feeder, child, 100)
    waiting = socket.waiting
    for _ in range(3):
        assert visit(feeder, child, 0) == 0
    assert socket.waiting == waiting
