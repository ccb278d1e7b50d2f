"""The proxy that holds programs of ours to the egress policy."""

import asyncio
import contextlib
from base64 import b64encode
from urllib.parse import urlsplit

import pytest

from streamferry.net.dial import Deadlines
from streamferry.net.hop import Hop, open_hop


@pytest.fixture
async def hop():
    """One that allows 127.0.0.1 only."""
    hop = await open_hop(lambda address: address == "127.0.0.1", Deadlines())
    assert isinstance(hop, Hop)
    yield hop
    hop.close()


def credentials(hop):
    """As RFC 7617 writes what is in its address."""
    return b64encode(urlsplit(hop.address).netloc.rpartition("@")[0].encode())


async def ask(hop, request):
    """All that is answered to the bytes of a request."""
    reader, writer = await asyncio.open_connection("127.0.0.1", hop.port)
    writer.write(request.replace(b"\r\n", b"\r\nProxy-Authorization: Basic %s\r\n" % credentials(hop), 1))
    async with asyncio.timeout(5):
        answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer


async def test_a_get_reaches_the_server_as_it_would_without(hop, peers):
    """With a target it understands, its own headers, and none that is for the proxy; the answer is not touched."""
    heads = []

    async def script(reader, writer):
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 200 OK\r\n\r\nthe film")
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    port = await peers.serve(script)
    fields = f"Host: 127.0.0.1:{port}\r\nRange: bytes=5-\r\nProxy-Connection: keep-alive\r\n"
    answer = await ask(hop, f"GET http://127.0.0.1:{port}/film.mp4?key=1 HTTP/1.1\r\n{fields}\r\n".encode())
    assert answer == b"HTTP/1.1 200 OK\r\n\r\nthe film"
    (head,) = heads
    assert head.startswith(b"GET /film.mp4?key=1 HTTP/1.1\r\n")
    assert b"Range: bytes=5-" in head
    assert b"Proxy-Connection" not in head


@pytest.mark.parametrize(
    "field",
    [
        "",
        "Proxy-Authorization: Basic\r\n",
        "Proxy-Authorization: Basic c3RyZWFtZmVycnk6Z3Vlc3M=\r\n",
        "Proxy-Authorization: Bearer {right}\r\n",
        "Authorization: Basic {right}\r\n",
    ],
)
@pytest.mark.parametrize("request_line", ["GET http://127.0.0.1:{port}/ HTTP/1.1", "CONNECT 127.0.0.1:{port} HTTP/1.1"])
async def test_who_does_not_know_its_secret_reaches_nothing(hop, peers, field, request_line):
    """Another user of the machine finds the port, and is asked for more."""
    reached = []

    async def script(reader, writer):
        reached.append(True)
        writer.close()
        await writer.wait_closed()

    port = await peers.serve(script)
    field = field.format(right=credentials(hop).decode())
    reader, writer = await asyncio.open_connection("127.0.0.1", hop.port)
    writer.write(f"{request_line.format(port=port)}\r\n{field}\r\n".encode())
    async with asyncio.timeout(5):
        answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    assert answer.startswith(b"HTTP/1.1 407 ")
    assert not reached


async def test_a_tunnel_carries_both_ways(hop, peers):
    """As TLS needs it."""

    async def echo(reader, writer):
        writer.write((await reader.readexactly(5))[::-1])
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    port = await peers.serve(echo)
    answer = await ask(hop, f"CONNECT 127.0.0.1:{port} HTTP/1.1\r\n\r\nhello".encode())
    assert answer == b"HTTP/1.1 200 OK\r\n\r\nolleh"


@pytest.mark.parametrize("request_line", ["GET http://127.0.0.2:{port}/ HTTP/1.1", "CONNECT 127.0.0.2:{port} HTTP/1.1"])
async def test_what_the_policy_forbids(hop, peers, request_line):
    """Nobody is connected to, and the answer has a status that no server gives."""

    async def never(reader, writer):
        raise AssertionError

    port = await peers.serve(never, host="127.0.0.2")
    answer = await ask(hop, f"{request_line.format(port=port)}\r\n\r\n".encode())
    assert answer.startswith(b"HTTP/1.1 470 ")
    assert peers.accepted == 0


async def test_a_server_that_is_down(hop):
    """Told apart from a refusal."""
    assert (await ask(hop, b"GET http://127.0.0.1:1/ HTTP/1.1\r\n\r\n")).startswith(b"HTTP/1.1 570 ")


@pytest.mark.parametrize(
    "garbage", [b"hello\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n", b"GET ftp://127.0.0.1/ HTTP/1.1\r\n\r\n", b"x" * 100_000]
)
async def test_what_is_no_request(hop, garbage):
    """Is closed, and the next is answered."""
    with contextlib.suppress(ConnectionError):  # What it had not read makes its close a reset.
        assert await ask(hop, garbage) == b""
    assert b" 570 " in await ask(hop, b"CONNECT 127.0.0.1:1 HTTP/1.1\r\n\r\n")


async def test_closing_ends_what_passes(hop, peers):
    """A peer that never ends is left."""

    reached = asyncio.Event()

    async def silent(reader, writer):
        reached.set()
        await reader.read()

    port = await peers.serve(silent)
    asking = asyncio.ensure_future(ask(hop, f"CONNECT 127.0.0.1:{port} HTTP/1.1\r\n\r\n".encode()))
    await reached.wait()
    hop.close()
    await asking
    await peers.all_closed()


async def test_without_a_policy_there_is_none():
    """Everything is allowed: nothing stands between."""
    assert await open_hop(None, Deadlines()) is None
