"""The proxy that holds programs of ours to the egress policy."""

import asyncio
import contextlib
from base64 import b64encode
from urllib.parse import urlsplit

import pytest

from streamferry.net import egress_proxy as module
from streamferry.net.dial import Deadlines
from streamferry.net.egress_proxy import EgressProxy, Forwarder, open_egress_proxy
from streamferry.net.unauthenticated import MAX_UNAUTHENTICATED


@pytest.fixture
async def egress_proxy():
    """One that allows 127.0.0.1 only."""
    egress_proxy = await open_egress_proxy(lambda address: address == "127.0.0.1", Deadlines())
    assert isinstance(egress_proxy, EgressProxy)
    yield egress_proxy
    egress_proxy.close()


def credentials(egress_proxy):
    """As RFC 7617 writes what is in its address."""
    return b64encode(urlsplit(egress_proxy.address).netloc.rpartition("@")[0].encode())


async def ask(egress_proxy, request):
    """All that is answered to the bytes of a request."""
    reader, writer = await asyncio.open_connection("127.0.0.1", egress_proxy.port)
    writer.write(request.replace(b"\r\n", b"\r\nProxy-Authorization: Basic %s\r\n" % credentials(egress_proxy), 1))
    async with asyncio.timeout(30):
        answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer


async def test_a_get_reaches_the_server_as_it_would_without(egress_proxy, peers):
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
    answer = await ask(egress_proxy, f"GET http://127.0.0.1:{port}/film.mp4?key=1 HTTP/1.1\r\n{fields}\r\n".encode())
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
async def test_who_does_not_know_its_secret_reaches_nothing(egress_proxy, peers, field, request_line):
    """Another user of the machine finds the port, and is asked for more."""
    reached = []

    async def script(reader, writer):
        reached.append(True)
        writer.close()
        await writer.wait_closed()

    port = await peers.serve(script)
    field = field.format(right=credentials(egress_proxy).decode())
    reader, writer = await asyncio.open_connection("127.0.0.1", egress_proxy.port)
    writer.write(f"{request_line.format(port=port)}\r\n{field}\r\n".encode())
    async with asyncio.timeout(30):
        answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    assert answer.startswith(b"HTTP/1.1 407 ")
    assert not reached


async def test_a_tunnel_carries_both_ways(egress_proxy, peers):
    """As TLS needs it."""

    async def echo(reader, writer):
        writer.write((await reader.readexactly(5))[::-1])
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    port = await peers.serve(echo)
    answer = await ask(egress_proxy, f"CONNECT 127.0.0.1:{port} HTTP/1.1\r\n\r\nhello".encode())
    assert answer == b"HTTP/1.1 200 OK\r\n\r\nolleh"


@pytest.mark.parametrize("request_line", ["GET http://127.0.0.2:{port}/ HTTP/1.1", "CONNECT 127.0.0.2:{port} HTTP/1.1"])
async def test_what_the_policy_forbids(egress_proxy, peers, request_line):
    """Nobody is connected to, and the answer has a status that no server gives."""

    async def never(reader, writer):
        raise AssertionError

    port = await peers.serve(never, host="127.0.0.2")
    answer = await ask(egress_proxy, f"{request_line.format(port=port)}\r\n\r\n".encode())
    assert answer.startswith(b"HTTP/1.1 470 ")
    assert peers.accepted == 0


async def test_a_server_that_is_down(egress_proxy):
    """Told apart from a refusal."""
    assert (await ask(egress_proxy, b"GET http://127.0.0.1:1/ HTTP/1.1\r\n\r\n")).startswith(b"HTTP/1.1 570 ")


@pytest.mark.parametrize(
    "garbage", [b"hello\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n", b"GET ftp://127.0.0.1/ HTTP/1.1\r\n\r\n", b"x" * 100_000]
)
async def test_what_is_no_request(egress_proxy, garbage):
    """Is closed, and the next is answered."""
    with contextlib.suppress(ConnectionError):  # What it had not read makes its close a reset.
        assert await ask(egress_proxy, garbage) == b""
    assert b" 570 " in await ask(egress_proxy, b"CONNECT 127.0.0.1:1 HTTP/1.1\r\n\r\n")


async def test_closing_ends_what_passes(egress_proxy, peers):
    """A peer that never ends is left."""

    reached = asyncio.Event()

    async def silent(reader, writer):
        reached.set()
        await reader.read()

    port = await peers.serve(silent)
    asking = asyncio.ensure_future(ask(egress_proxy, f"CONNECT 127.0.0.1:{port} HTTP/1.1\r\n\r\n".encode()))
    await reached.wait()
    egress_proxy.close()
    await asking
    await peers.all_closed()


async def connect(stack, port):
    """A connection that ends with the stack."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    stack.callback(writer.close)
    return reader, writer


async def ends(reader):
    """Whether a connection ends, in one way or another."""
    try:
        async with asyncio.timeout(30):
            return await reader.read() == b""
    except ConnectionError:
        return True
    except TimeoutError:
        return False


async def echo_until_the_end(reader, writer):
    while data := await reader.read(100):
        writer.write(data)


@pytest.mark.parametrize("said", [b"", b"CONNECT 127.0.0.1:1 HTTP/1.1\r\n", b"x" * 1000])
async def test_strangers_take_no_place_from_programs_of_ours(egress_proxy, peers, said, monkeypatch):
    """However many connect, the oldest of them have to go, and what passes for those who know the secret passes on."""
    monkeypatch.setattr(module, "_HEAD_S", 60.0)
    port = await peers.serve(echo_until_the_end)
    with contextlib.ExitStack() as stack:
        reader, writer = await connect(stack, egress_proxy.port)
        right = credentials(egress_proxy).decode()
        writer.write(f"CONNECT 127.0.0.1:{port} HTTP/1.1\r\nProxy-Authorization: Basic {right}\r\n\r\n".encode())
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 200 OK\r\n\r\n"
        strangers = []
        for _ in range(MAX_UNAUTHENTICATED + 20):
            strangers.append(await connect(stack, egress_proxy.port))
            with contextlib.suppress(ConnectionError):
                strangers[-1][1].write(said)
        for stranger, _ in strangers[:20]:
            assert await ends(stranger)
        assert b" 570 " in await ask(egress_proxy, b"CONNECT 127.0.0.1:1 HTTP/1.1\r\n\r\n")
        assert not strangers[-1][0].at_eof()
        writer.write(b"still there")
        async with asyncio.timeout(30):
            assert await reader.readexactly(11) == b"still there"


async def test_a_head_that_drips_ends(egress_proxy, monkeypatch):
    """The time is for the whole of it, not for each byte."""
    monkeypatch.setattr(module, "_HEAD_S", 0.3)
    with contextlib.ExitStack() as stack:
        reader, writer = await connect(stack, egress_proxy.port)

        async def drip():
            while True:
                writer.write(b"x")
                await asyncio.sleep(0.02)

        dripping = asyncio.ensure_future(drip())
        stack.callback(dripping.cancel)
        assert await ends(reader)


async def test_a_forwarder_has_few_places(peers, monkeypatch):
    """Its peer is not flooded through it: who says nothing reaches nobody, and further clients are turned away."""
    port = await peers.serve(echo_until_the_end)
    forwarder = await Forwarder("127.0.0.1", port, lambda _: True, Deadlines()).open()
    with contextlib.ExitStack() as stack:
        stack.callback(forwarder.close)
        silent = [await connect(stack, forwarder.port) for _ in range(MAX_UNAUTHENTICATED + 5)]
        for reader, _ in silent[:5]:
            assert await ends(reader)
        reader, writer = await connect(stack, forwarder.port)
        writer.write(b"OPTIONS")
        async with asyncio.timeout(30):
            assert await reader.readexactly(7) == b"OPTIONS"
        assert peers.accepted == 1
        others = [await connect(stack, forwarder.port) for _ in range(10)]
        for _, other in others:
            other.write(b"OPTIONS")
        answers = await asyncio.gather(*(first_of(other) for other, _ in others))
        assert sorted(answers, reverse=True) == [b"OPTIONS"] * (module._FORWARDED - 1) + [b""] * (
            11 - module._FORWARDED
        )
        assert peers.accepted == module._FORWARDED
        writer.write(b"PLAY")
        async with asyncio.timeout(30):
            assert await reader.readexactly(4) == b"PLAY"
        # Who leaves leaves a place.
        writer.close()
        answer = b""
        while not answer:
            reader, writer = await connect(stack, forwarder.port)
            writer.write(b"OPTIONS")
            answer = await first_of(reader)


async def first_of(reader):
    """What comes first to a connection; nothing if it ends."""
    async with asyncio.timeout(30):
        with contextlib.suppress(ConnectionError):
            return await reader.read(7)
        return b""


async def test_without_a_policy_there_is_none():
    """Everything is allowed: nothing stands between."""
    assert await open_egress_proxy(None, Deadlines()) is None
