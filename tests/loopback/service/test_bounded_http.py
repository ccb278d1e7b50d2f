"""The service's port, as who has proved nothing finds it."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send

from streamferry.service import bounded_http
from streamferry.service.bounded_http import BoundedHttp

HEAD_S = 0.3


async def _answer(scope: Scope, receive: Receive, send: Send) -> None:
    """After longer than a head may take; of the path ``/large`` 64 MB."""
    if scope["path"] == "/large":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for left in reversed(range(1000)):
            await send({"type": "http.response.body", "body": b"x" * 65536, "more_body": left > 0})
        return
    await asyncio.sleep(2 * HEAD_S)
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body"})


class Client:
    """A connection to the port, byte by byte."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def read(self) -> bytes:
        """Until it is closed."""
        async with asyncio.timeout(30):
            return await self.reader.read()


@pytest.fixture
async def client(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Client]:
    """Connected to a server with an application that takes its time."""
    monkeypatch.setattr(bounded_http, "HEAD_S", HEAD_S)
    monkeypatch.setattr(bounded_http, "STUCK_S", HEAD_S)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = uvicorn.Config(_answer, http=BoundedHttp, log_config=None, lifespan="off", timeout_keep_alive=1)
        server = uvicorn.Server(config)
        async with asyncio.TaskGroup() as group:
            group.create_task(server._serve([listener]))
            reader, writer = await asyncio.open_connection(*listener.getsockname())
            yield Client(reader, writer)
            writer.close()
            server.should_exit = True


async def test_a_head_without_end_filled_the_memory(client: Client) -> None:
    """It is refused once it is longer than any head in earnest, and the connection is closed."""
    client.writer.write(b"GET / HTTP/1.1\r\nhost: here\r\n" + b"x-more: and more\r\n" * 5000)
    assert (await client.read()).startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize("head", [b"", b"GET / HT", b"GET / HTTP/1.1\r\nhost: here\r\n"])
async def test_who_never_asked_kept_the_connection(client: Client, head: bytes) -> None:
    """A head that does not arrive in time ends the connection, without a word."""
    client.writer.write(head)
    assert await client.read() == b""


async def test_one_that_is_answered_slowly_is_left_alone(client: Client) -> None:
    """However long the answer takes; and the next request on the connection is answered, too."""
    for _ in range(2):
        client.writer.write(b"GET / HTTP/1.1\r\nhost: here\r\n\r\n")
        async with asyncio.timeout(30):
            assert b"204 No Content" in await client.reader.readuntil(b"\r\n\r\n")
    client.writer.write(b"GET / HT")
    assert await client.read() == b""


async def test_a_body_dripped_on_behind_its_answer(client: Client) -> None:
    """Nobody reads it: it gets a while, and then the connection is closed, although something comes all the time."""
    client.writer.write(b"POST / HTTP/1.1\r\nhost: here\r\ncontent-length: 1000000\r\n\r\n")
    async with asyncio.timeout(30):
        assert b"204 No Content" in await client.reader.readuntil(b"\r\n\r\n")
        while not client.reader.at_eof() and not client.writer.is_closing():
            client.writer.write(b"x")
            # What was on its way when it was closed is answered by a reset.
            with contextlib.suppress(TimeoutError, ConnectionResetError):
                async with asyncio.timeout(HEAD_S / 10):
                    await client.reader.read()


async def test_an_answer_that_nobody_takes_is_given_up(client: Client) -> None:
    """Its sender waited for the peer without end."""
    client.writer.write(b"GET /large HTTP/1.1\r\nhost: here\r\n\r\n")
    async with asyncio.timeout(30):
        await client.reader.readuntil(b"\r\n\r\n")
        # Nothing is read any more, so that the buffers of both ends fill, until writing tells of the end.
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        with contextlib.suppress(ConnectionError):
            while not client.writer.is_closing():
                client.writer.write(b"G")
                await client.writer.drain()
                await asyncio.sleep(HEAD_S / 10)
