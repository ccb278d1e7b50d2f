"""Live inlets against scripted servers: HTTP-FLV with a plain and a chunked body, and RTMP."""

import asyncio
import socket
import struct
from functools import partial

import pytest

from streamferry.media.errors import (
    SourceCorrupt,
    SourceEnded,
    SourceRejected,
    SourceUnreachable,
    SourceUnsupported,
)
from streamferry.media.url import MediaUrl
from streamferry.net.dial import Deadlines
from streamferry.source import open_live as open_live_within
from streamferry.source.live import MAX_PULL_BYTES, SCRATCH_BYTES
from streamferry.wire.flv import serialize_flv_header, serialize_tag
from streamferry.wire.rtmp.chunk import ChunkReader
from streamferry.wire.rtmp.message import MessageType, UserControl, serialize_user_control
from streamferry.wire.rtmp.session import ConnectRequested, PlayRequested, ServerSession

open_live = partial(open_live_within, deadlines=Deadlines())

TAGS = [
    (9, 0, b"\x17\x00\x00\x00\x00" + bytes(range(40))),
    (8, 0, b"\xaf\x00\x12\x10"),
    *((9, 40 * n, b"\x27\x01\x00\x00\x00" + bytes([n]) * 700) for n in range(30)),
    (9, 0xFFFFFFF0, b"\x17\x01\x00\x00\x00" + bytes(100_000)),
]
FLV_HEADER = serialize_flv_header(True, True)
SCRATCH = memoryview(bytearray(SCRATCH_BYTES))


class Far:
    """A server's end of one stream: ``send`` what the protocol makes of tags, or raw bytes."""

    def __init__(self, writer, protocol, session=None):
        self.writer = writer
        self.protocol = protocol
        self.session = session
        self.received = bytearray()
        self.done = asyncio.Event()

    def flv(self, data):
        """Bytes of the body as they go on the wire."""
        return b"%x\r\n%b\r\n" % (len(data), data) if self.protocol == "chunked" else data

    def wire(self, tags):
        if self.session is None:
            return b"".join(self.flv(serialize_tag(*tag)) for tag in tags)
        for tag in tags:
            self.session.append_tag(*tag)
        return self.session.data_to_send()

    async def send(self, data, piece_bytes=1 << 20):
        for at in range(0, len(data), piece_bytes):
            self.writer.write(data[at : at + piece_bytes])
            await self.writer.drain()

    def end(self):
        """End the stream as the protocol does; the connection stays open where it can."""
        if self.protocol == "chunked":
            self.writer.write(b"0\r\n\r\n")
        elif self.session is None:
            self.writer.write_eof()
        else:
            self.session.end_play()
            self.writer.write(self.session.data_to_send())


async def until_played(session, reader, writer):
    """Serve an RTMP client up to and with the acceptance of its play."""
    while True:
        for event in session.receive(await reader.read(65536)):
            if isinstance(event, ConnectRequested | PlayRequested):
                session.accept()
            if isinstance(event, PlayRequested):
                writer.write(session.data_to_send())
                return
        writer.write(session.data_to_send())


@pytest.fixture(params=["plain", "chunked", "rtmp"])
def protocol(request):
    return request.param


@pytest.fixture
def serve(peers):
    """Start a server; gives its port and a queue of the ends of the streams it is asked for."""

    async def serve(protocol, header=FLV_HEADER, tls=None, with_head=()):
        accepted = asyncio.Queue()

        async def script(reader, writer):
            if protocol == "rtmp":
                session = ServerSession(random=b"seed")
                await until_played(session, reader, writer)
                far = Far(writer, protocol, session)
            else:
                await reader.readuntil(b"\r\n\r\n")
                far = Far(writer, protocol)
                transfer = "Transfer-Encoding: chunked\r\n" if protocol == "chunked" else ""
                head = f"HTTP/1.1 200 OK\r\nContent-Type: video/x-flv\r\n{transfer}\r\n".encode()
                writer.write(head + (far.flv(header) if header else b""))
            writer.write(far.wire(with_head))
            accepted.put_nowait(far)

            async def keep_received():
                while data := await reader.read(65536):
                    far.received += data

            reading = asyncio.ensure_future(keep_received())
            try:
                await far.done.wait()
            finally:
                reading.cancel()

        return await peers.serve(script, tls), accepted

    return serve


def url_of(port, protocol, tls=False):
    scheme = ("rtmp" if protocol == "rtmp" else "http") + ("s" if tls else "")
    return MediaUrl.parse(f"{scheme}://localhost:{port}/live/cam")


@pytest.fixture
async def stream(serve, protocol):
    """An open inlet and the server's end of it."""
    port, accepted = await serve(protocol)
    inlet = await open_live(url_of(port, protocol))
    far = await accepted.get()
    yield inlet, far
    inlet.close()
    inlet.close()
    far.done.set()


async def pull_until(inlet, enough, scratch=SCRATCH, timeout=10):
    """Pull as the beat does until ``enough(tags)``; gives copies of the tags and the sizes of the pulls."""
    tags, sizes = [], []
    async with asyncio.timeout(timeout):
        while not enough(tags):
            new = []
            try:
                sizes.append(inlet.pull(scratch, new))
            finally:
                tags += [(tag_type, stamp_ms, bytes(body)) for tag_type, stamp_ms, body in new]
            await asyncio.sleep(0)
    return tags, [size for size in sizes if size]


async def pull_to_the_end(inlet, error):
    """Pull until ``error`` is raised; gives the tags before it."""
    tags = []

    def keep(new):
        tags[:] = new
        return False

    with pytest.raises(error) as caught:
        await pull_until(inlet, keep)
    return tags, caught.value


@pytest.mark.parametrize("piece_bytes", [1, 1448, 1 << 20])
async def test_tags_come_as_they_were_sent(stream, piece_bytes):
    """However the stream is cut on the way, the tags are those that were sent, in order."""
    inlet, far = stream
    expected = TAGS if piece_bytes > 1 else TAGS[:5]
    sending = asyncio.ensure_future(far.send(far.wire(expected), piece_bytes))
    tags, _ = await pull_until(inlet, lambda tags: len(tags) >= len(expected))
    assert tags == expected
    await sending


async def test_tls(serve, protocol, server_tls, client_tls):
    """The same over TLS, where one record is not one read."""
    port, accepted = await serve(protocol, tls=server_tls)
    inlet = await open_live(url_of(port, protocol, tls=True), tls=client_tls)
    far = await accepted.get()
    sending = asyncio.ensure_future(far.send(far.wire(TAGS), 1448))
    tags, _ = await pull_until(inlet, lambda tags: len(tags) >= len(TAGS))
    assert tags == TAGS
    await sending
    inlet.close()
    far.done.set()


async def test_tags_sent_with_the_acceptance(serve, protocol):
    """Tags that came with the answer are there although nothing follows them."""
    port, accepted = await serve(protocol, with_head=TAGS[:3])
    inlet = await open_live(url_of(port, protocol))
    far = await accepted.get()
    tags, _ = await pull_until(inlet, lambda tags: len(tags) >= 3)
    assert tags == TAGS[:3]
    inlet.close()
    far.done.set()


async def test_nothing_there(stream):
    """A pull from a silent source gives 0 and no tags."""
    inlet, _ = stream
    out = []
    await pull_until(inlet, lambda tags: True)
    inlet.pull(SCRATCH, out)
    assert inlet.pull(SCRATCH, out) == 0
    assert out == []


async def test_bodies_are_views_of_the_scratch(stream):
    """Bodies are not copied: they lie in the buffer that the caller gave."""
    inlet, far = stream
    await far.send(far.wire(TAGS[:2]))
    bodies = []
    async with asyncio.timeout(30):
        while len(bodies) < 2:
            new = []
            inlet.pull(SCRATCH, new)
            bodies += [body for _, _, body in new if body.obj is SCRATCH.obj]
            await asyncio.sleep(0)


async def test_backlog_is_taken_in_bounded_pulls(stream):
    """A backlog of 3 MiB is taken in pulls that each stay within the cap."""
    inlet, far = stream
    backlog = [(9, n, bytes(64 << 10)) for n in range(48)]
    sending = asyncio.ensure_future(far.send(far.wire(backlog)))
    tags, sizes = await pull_until(inlet, lambda tags: len(tags) >= 48)
    assert tags == backlog
    assert max(sizes) <= MAX_PULL_BYTES
    await sending


async def test_tag_larger_than_the_scratch(stream):
    """A tag of 3 MiB comes through a scratch of 1 MiB, and what follows it is right."""
    inlet, far = stream
    large = [(9, 0, bytes(range(256)) * (3 << 12)), (9, 40, b"\x27\x01after")]
    sending = asyncio.ensure_future(far.send(far.wire(large)))
    tags, _ = await pull_until(inlet, lambda tags: len(tags) >= 2)
    assert tags == large
    await sending


async def test_tag_beyond_the_limit(serve):
    """A tag header that announces more than the wire allows ends the stream before anything is gathered."""
    port, accepted = await serve("plain")
    inlet = await open_live(url_of(port, "plain"))
    far = await accepted.get()
    await far.send(b"\x09\xff\xff\xff" + bytes(100))
    _, error = await pull_to_the_end(inlet, SourceCorrupt)
    assert error.retryable
    inlet.close()
    far.done.set()


async def test_end_of_the_stream(stream):
    """When the source ends its stream, what it sent before is given and then the end, though it may stay connected."""
    inlet, far = stream
    await far.send(far.wire(TAGS[:3]))
    far.end()
    tags, error = await pull_to_the_end(inlet, SourceEnded)
    assert tags == TAGS[:3]
    assert error.retryable
    with pytest.raises(SourceEnded):
        inlet.pull(SCRATCH, [])


async def test_peer_closes(stream):
    """A source that closes the connection, even within a tag, has ended its stream."""
    inlet, far = stream
    data = far.wire(TAGS[:3])
    await far.send(data[:-10])
    far.writer.close()
    tags, error = await pull_to_the_end(inlet, SourceEnded)
    assert tags == TAGS[:2]
    assert str(error) == "the source closed the stream"


async def test_reset(stream):
    """A source that resets the connection is unreachable."""
    inlet, far = stream
    sock = far.writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    far.writer.transport.abort()
    _, error = await pull_to_the_end(inlet, SourceUnreachable)
    assert str(error) == "the connection to the source broke: Connection reset by peer"


async def test_garbage_within_the_stream(stream):
    """Bytes that break the protocol after media end the stream, which may be tried again."""
    inlet, far = stream
    await far.send(far.wire(TAGS[:3]) + b"\xff" * 2000)
    _, error = await pull_to_the_end(inlet, SourceCorrupt)
    assert error.retryable


@pytest.mark.parametrize("protocol", ["plain", "chunked"], indirect=True)
@pytest.mark.parametrize(
    "body", [b"<html>not a stream</html>", b"FL\x00", b"ID3\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00"]
)
async def test_body_that_is_not_flv(serve, protocol, body):
    """A body that does not begin as FLV is no source yet: it may be at the next attempt."""
    port, accepted = await serve(protocol, header=body)
    inlet = await open_live(url_of(port, protocol))
    far = await accepted.get()
    _, error = await pull_to_the_end(inlet, SourceCorrupt)
    assert error.retryable
    inlet.close()
    far.done.set()


async def test_chunk_garbage_with_the_head(peers):
    """A chunked body that is none from its first byte is corrupt, and the connection is closed."""

    async def garbage(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nFLV\x01")
        await reader.read()

    port = await peers.serve(garbage)
    with pytest.raises(SourceCorrupt):
        await open_live(url_of(port, "plain"))
    await peers.all_closed()


async def test_refused_by_http(peers):
    """A status that says no is the source's refusal."""

    async def absent(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 404 Not Found\r\n\r\n")

    port = await peers.serve(absent)
    with pytest.raises(SourceRejected, match="answered 404 Not Found"):
        await open_live(url_of(port, "plain"))


async def test_refused_by_rtmp(peers, rtmp_script):
    """A play that is refused is the source's refusal."""

    def answer(session, event):
        if isinstance(event, PlayRequested):
            session.reject("NetStream.Play.StreamNotFound", "no such stream")
        elif isinstance(event, ConnectRequested):
            session.accept()

    port = await peers.serve(rtmp_script(answer))
    with pytest.raises(SourceRejected, match=r"NetStream.Play.StreamNotFound: no such stream"):
        await open_live(url_of(port, "rtmp"))


@pytest.mark.parametrize("protocol", ["plain", "rtmp"], indirect=True)
async def test_unreachable(protocol):
    """A source that nobody serves is unreachable."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(SourceUnreachable, match="Connection refused"):
        await open_live(url_of(port, protocol))


@pytest.mark.parametrize("protocol", ["plain", "rtmp"], indirect=True)
async def test_another_protocol(peers, protocol):
    """A source that speaks something else is corrupt, in words that say so."""

    async def babble(reader, writer):
        await reader.read(1)
        writer.write(b"SSH-2.0-OpenSSH\r\n\r\n")
        await reader.read()

    port = await peers.serve(babble)
    with pytest.raises(SourceCorrupt, match="does not"):
        await open_live(url_of(port, protocol))
    await peers.all_closed()


@pytest.mark.parametrize("address", ["rtmp://localhost/live", "ftp://localhost:9/live", "/tmp/clip.flv"])
async def test_address_that_is_no_live_source(address):
    """An address that no inlet can open says so, and is not worth another try."""
    with pytest.raises(SourceUnsupported) as caught:
        await open_live(MediaUrl.parse(address))
    assert not caught.value.retryable


async def test_rtmp_pings_are_answered_and_media_acknowledged(serve):
    """While media is pulled, a ping gets its pong and each window of media its acknowledgement."""
    port, accepted = await serve("rtmp")
    inlet = await open_live(url_of(port, "rtmp"))
    far = await accepted.get()
    ping = serialize_user_control(UserControl.PING_REQUEST, 4711)
    far.session._send(2, MessageType.USER_CONTROL, 0, ping)
    media = [(9, n, bytes(64 << 10)) for n in range(48)]
    far.received.clear()
    sending = asyncio.ensure_future(far.send(far.wire(media)))
    await pull_until(inlet, lambda tags: len(tags) >= 48)
    await sending
    messages = []
    async with asyncio.timeout(30):
        while not {MessageType.USER_CONTROL, MessageType.ACKNOWLEDGEMENT} <= {message[0] for message in messages}:
            messages.clear()
            ChunkReader().scan(memoryview(bytes(far.received)), 0, len(far.received), messages)
            await asyncio.sleep(0)
    pongs = [bytes(payload) for type_id, _, _, payload in messages if type_id == MessageType.USER_CONTROL]
    assert serialize_user_control(UserControl.PING_RESPONSE, 4711) in pongs
    inlet.close()
    far.done.set()


async def test_rtmp_source_that_never_reads(peers):
    """A source that sends pings without end and reads no pong is given up while little is kept for it."""
    released = asyncio.Event()

    async def script(reader, writer):
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        session = ServerSession(random=b"seed")
        await until_played(session, reader, writer)
        writer.transport.pause_reading()
        session._send(2, MessageType.USER_CONTROL, 0, serialize_user_control(UserControl.PING_REQUEST, 1))
        # Few at a time: for many at once it is given up at once. The inlet pulls once between two of these.
        pings = session.data_to_send() * 100
        while not released.is_set():
            writer.write(pings)
            await writer.drain()
            await asyncio.sleep(0)

    inlet = await open_live(url_of(await peers.serve(script), "rtmp"))
    inlet._connection._sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    _, error = await pull_to_the_end(inlet, SourceUnreachable)
    assert str(error) == "the source sends but no longer reads"
    released.set()
    inlet.close()
