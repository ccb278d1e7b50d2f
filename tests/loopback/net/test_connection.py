"""net.connection over real sockets, plain and TLS."""

import asyncio
import socket
import struct

import pytest

from streamferry.net.connection import TlsConnection
from streamferry.net.dial import Deadlines, dial
from streamferry.net.fence import Fence, lease_clock


class Far:
    """The peer's end of the connection, driven by the test."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.done = asyncio.Event()
        #: That of our connection.
        self.fence = Fence()


@pytest.fixture(params=["tcp", "tls"])
async def ends(request, peers, server_tls, client_tls):
    """Our connection and the peer's end of it."""
    accepted: asyncio.Queue[Far] = asyncio.Queue()

    async def handle(reader, writer):
        far = Far(reader, writer)
        accepted.put_nowait(far)
        await far.done.wait()

    tls = request.param == "tls"
    port = await peers.serve(handle, server_tls if tls else None)
    deadlines = Deadlines()
    connection = await dial("localhost", port, tls=client_tls if tls else None, deadlines=deadlines)
    far = await accepted.get()
    far.fence = deadlines.fence
    yield connection, far
    connection.close()
    far.done.set()


async def readable(connection):
    """Wait until the connection says that there is something to receive."""
    ready = asyncio.Event()
    connection.on_readable(ready.set)
    async with asyncio.timeout(30):
        await ready.wait()
    connection.on_readable(None)


async def received(connection, view):
    """``recv_into`` once there is something: under TLS the first readiness may be a session ticket only."""
    while (count := connection.recv_into(view)) is None:
        await readable(connection)
    return count


def fill(connection, pieces):
    """Send until the connection takes no more; gives the bytes that were taken."""
    taken = bytearray()
    whole = b"".join(pieces)
    while count := connection.send(pieces):
        taken += whole[:count]
        if count < len(whole):
            break
    return taken


async def test_read_and_write(ends):
    """What is written arrives, what the peer writes is read, and its close reads as an empty string."""
    connection, far = ends
    await connection.write(b"request")
    assert await far.reader.readexactly(7) == b"request"
    far.writer.write(b"answer")
    assert await connection.read() == b"answer"
    far.writer.close()
    assert await connection.read() == b""


async def test_write_waits_for_a_slow_peer(ends):
    """A write larger than the buffers between the two ends arrives whole and in order."""
    connection, far = ends
    data = b"".join(struct.pack(">I", n) for n in range(2_000_000))
    writing = asyncio.ensure_future(connection.write(data))
    assert await far.reader.readexactly(len(data)) == data
    await writing


async def test_read_is_bounded(ends):
    """A read gives at most what was asked for, and the rest comes with the next."""
    connection, far = ends
    far.writer.write(b"abcdef")
    await readable(connection)
    assert await connection.read(4) == b"abcd"
    assert await connection.read(4) == b"ef"


async def test_recv_into_does_not_wait(ends):
    """Nothing there is None, bytes are counted, and the peer's close is 0 however often one asks."""
    connection, far = ends
    view = memoryview(bytearray(64))
    assert connection.recv_into(view) is None
    far.writer.write(b"media")
    assert await received(connection, view) == 5
    assert view[:5] == b"media"
    assert connection.recv_into(view) is None
    far.writer.close()
    assert await received(connection, view) == 0
    assert connection.recv_into(view) == 0


async def test_recv_into_fills_the_view(ends):
    """One call takes what is there up to the size of the view, also when it came in many small TLS records."""
    connection, far = ends
    for _ in range(100):
        far.writer.write(bytes(1448))
        await far.writer.drain()
    view = memoryview(bytearray(144_800))
    total = await received(connection, view)
    calls = 1
    while total < len(view):
        total += await received(connection, view)
        calls += 1
    assert calls <= 20


async def test_readable_tells_of_bytes_already_decrypted(ends):
    """A record taken in part is still announced, though the socket itself has nothing more."""
    connection, far = ends
    far.writer.write(b"abcdef")
    view = memoryview(bytearray(2))
    assert await received(connection, view) == 2
    await readable(connection)
    assert await received(connection, view) == 2


async def test_on_readable_stops(ends):
    """After on_readable(None) the callback is not called."""
    connection, far = ends
    calls = []
    connection.on_readable(lambda: calls.append(1))
    connection.on_readable(None)
    far.writer.write(b"late")
    await readable(connection)
    assert calls == []


async def test_reset(ends):
    """A connection reset by the peer is an OSError for the plain calls; under TLS, which cannot tell, the end."""
    connection, far = ends
    sock = far.writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    far.writer.transport.abort()
    view = memoryview(bytearray(64))
    if isinstance(connection, TlsConnection):
        assert await received(connection, view) == 0
    else:
        with pytest.raises(ConnectionResetError):
            await received(connection, view)


async def test_send_gathers_pieces(ends):
    """The pieces of one send arrive in order, more of them than one system call takes too."""
    connection, far = ends
    pieces = [memoryview(b"%05d" % n) for n in range(3000)]
    assert connection.send(pieces) == 15_000
    assert await far.reader.readexactly(15_000) == b"".join(pieces)


async def test_full_socket_takes_nothing(ends):
    """A peer that does not read makes send return 0, and nothing that was taken is lost or doubled.

    What was not taken may be dropped and other bytes sent instead: under TLS too, which by itself would insist on the
    same bytes again.
    """
    connection, far = ends
    sent = fill(connection, [b"first" * 13, b"second" * 4000])
    assert connection.send([b"dropped"]) == 0
    assert connection.unacked_bytes() > 0
    arrived = bytearray()
    while len(arrived) < len(sent) - 40_000:
        arrived += await far.reader.read(65536)
    while not (taken := connection.send([b"third"])):
        arrived += await far.reader.read(65536)
    assert taken == 5
    await connection.write(b"end")
    sent += b"thirdend"
    arrived += await far.reader.readexactly(len(sent) - len(arrived))
    assert arrived == sent


async def test_many_pieces_into_a_full_socket(ends):
    """When the socket fills up among more pieces than one system call takes, the count is what arrives."""
    connection, far = ends
    pieces = [b"%08d" % n * 512 for n in range(4000)]
    taken = connection.send(pieces)
    assert 0 < taken < 4000 * 4096
    assert connection.send(pieces) == 0
    reading = asyncio.ensure_future(far.reader.readexactly(taken))
    await connection.write(b"")
    assert await reading == b"".join(pieces)[:taken]


async def test_unacked_bytes_go_to_zero(ends):
    """Bytes that the peer's TCP acknowledged no longer count."""
    connection, far = ends
    await connection.write(b"x" * 1000)
    await far.reader.readexactly(1000)
    async with asyncio.timeout(30):
        while connection.unacked_bytes():  # noqa: ASYNC110 - the kernel tells nobody
            await asyncio.sleep(0)


async def test_finish_sending(ends):
    """The peer sees the end of what we send, and what it then sends is still received, up to its own end."""
    connection, far = ends
    await connection.write(b"unpublish")
    connection.finish_sending()
    assert await far.reader.read() == b"unpublish"
    if not isinstance(connection, TlsConnection):  # asyncio's TLS server cannot send once its peer has finished.
        far.writer.write(b"status")
        assert await connection.read() == b"status"
    far.writer.close()
    assert await connection.read() == b""


async def test_close_says_goodbye(ends):
    """The peer sees an orderly end: all that was sent, then the end of the stream, no reset and no broken TLS."""
    connection, far = ends
    connection.send([b"last words"])
    connection.close()
    connection.close()
    assert await far.reader.read() == b"last words"


async def test_nothing_leaves_past_the_fence(ends):
    """Neither a call of the beat nor what was being written; what was there before arrives."""
    connection, far = ends
    await connection.write(b"before")
    far.fence.at = lease_clock()
    for pieces in ([b"after"], [b"after"] * 3000):
        with pytest.raises(OSError, match="canceled"):
            connection.send(pieces)
    with pytest.raises(OSError, match="canceled"):
        await connection.write(b"after")
    connection.finish_sending()
    assert await far.reader.read(-1) == b"before"


async def test_a_write_that_waits_is_over_at_the_fence(ends):
    """It was waiting for a peer that reads again after the lease is gone."""
    connection, far = ends
    far.writer.transport.pause_reading()
    size_bytes = 32 << 20
    writing = asyncio.ensure_future(connection.write(bytes(size_bytes)))
    await asyncio.sleep(0)
    far.fence.at = lease_clock()
    far.writer.transport.resume_reading()
    received = 0
    while not writing.done():
        received += len(await asyncio.wait_for(far.reader.read(1 << 20), 30))
    with pytest.raises(OSError, match="canceled"):
        writing.result()
    assert received < size_bytes


async def test_a_reset_takes_back_what_was_not_delivered(ends):
    """The peer does not read: what waits for it in our kernel is thrown away with the connection."""
    connection, far = ends
    far.writer.transport.pause_reading()
    taken = fill(connection, [bytes(1 << 20)])
    connection.reset()
    far.writer.transport.resume_reading()
    received = bytearray()

    async def receive_all():
        while data := await far.reader.read(1 << 20):
            received.extend(data)

    with pytest.raises(ConnectionResetError):
        await receive_all()
    assert len(received) < len(taken)
    connection.reset()


async def test_others_have_their_turn_while_a_peer_sends_faster_than_it_is_read(ends):
    """Also deadlines, which never end what does not wait."""
    connection, far = ends
    far.writer.write(bytes(50_000))
    await far.writer.drain()
    await readable(connection)
    turns = 0

    async def count():
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting, received_bytes, reads = asyncio.create_task(count()), 0, 0
    while received_bytes < 50_000:
        received_bytes += len(await connection.read(100))
        reads += 1
    counting.cancel()
    assert turns >= reads
