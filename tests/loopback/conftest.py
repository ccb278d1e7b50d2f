"""Scripted peers on port 0, on asyncio and on uvloop."""

import asyncio
import ssl
import types
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Generator
from typing import Any

import pytest
import trustme
import uvloop

from streamferry.net.trust import Trust
from streamferry.wire.rtmp.session import ConnectRequested, PlayRequested, PublishRequested, ServerEvent, ServerSession

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Peers:
    """Servers of one test, each with its script; they and their connections end with the test."""

    def __init__(self) -> None:
        self._servers: list[asyncio.Server] = []
        self._handlers: set[asyncio.Task[None]] = set()
        self.accepted = 0

    async def serve(self, handler: Handler, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1") -> int:
        """Run ``handler`` for each connection and return the port."""

        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            running = asyncio.current_task()
            assert running is not None
            self._handlers.add(running)
            self.accepted += 1
            try:
                await handler(reader, writer)
            except (ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
                pass  # What a client under test does to its peer is its own business.
            finally:
                writer.transport.abort()
                self._handlers.discard(running)

        server = await asyncio.start_server(handle, host, 0, ssl=tls)
        self._servers.append(server)
        return int(server.sockets[0].getsockname()[1])

    async def all_closed(self) -> None:
        """Wait until every script has ended, which for one that reads to the end says that the client closed."""
        async with asyncio.timeout(30):
            while self._handlers:
                await asyncio.wait(self._handlers)

    async def aclose(self) -> None:
        for server in self._servers:
            server.close()
            await server.wait_closed()
        for handler in list(self._handlers):
            handler.cancel()
        await asyncio.gather(*self._handlers, return_exceptions=True)


def _script(
    answer: Callable[[ServerSession, ServerEvent], None] | None = None,
    *,
    piece_bytes: int = 65536,
    events: list[ServerEvent] | None = None,
) -> Handler:
    """A script that speaks RTMP, ``piece_bytes`` at a time. ``answer`` gets each event; by default it accepts."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        session = ServerSession(random=b"seed")
        while data := await reader.read(65536):
            for event in session.receive(data):
                if events is not None:
                    events.append(event)
                (answer or _accept)(session, event)
            said = session.data_to_send()
            for at in range(0, len(said), piece_bytes):
                writer.write(said[at : at + piece_bytes])
                await writer.drain()

    return script


def _accept(session: ServerSession, event: ServerEvent) -> None:
    """Say yes to everything."""
    if isinstance(event, ConnectRequested | PublishRequested | PlayRequested):
        session.accept()


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Every test of this folder runs on both event loops."""
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


@pytest.fixture
async def peers() -> AsyncIterator[Peers]:
    peers = Peers()
    yield peers
    await peers.aclose()


@pytest.fixture
def rtmp_script() -> Callable[..., Handler]:
    """Makes the script of an RTMP server; see ``_script``."""
    return _script


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="session")
def server_tls(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1", "localhost").configure_cert(context)
    return context


@pytest.fixture(scope="session")
def client_tls(authority: trustme.CA) -> Trust:
    return Trust(pem=authority.cert_pem.bytes().decode())


@types.coroutine
def _cancelled_at(turn: int, coroutine: Coroutine[Any, Any, Any]) -> Generator[Any, Any, Any]:
    """Run ``coroutine`` and cancel it as it suspends for the ``turn``-th time, counted from 0."""
    step: Callable[[], Any] = lambda: coroutine.send(None)  # noqa: E731
    while True:
        try:
            waited = step()
        except StopIteration as done:
            return done.value
        if turn == 0:
            running = asyncio.current_task()
            assert running is not None
            running.cancel()
        turn -= 1
        try:
            yield waited
        except BaseException as error:
            thrown = error
            step = lambda: coroutine.throw(thrown)  # noqa: E731, B023
        else:
            step = lambda: coroutine.send(None)  # noqa: E731


@pytest.fixture
def cancel_at_each_await(peers: Peers) -> Callable[[Callable[[], Coroutine[Any, Any, Any]]], Awaitable[int]]:
    """Start an operation again and again, cancelled one await later each time, until it gets through.

    After each cancellation every connection to a peer of the test must be closed. Gives the number of awaits.
    """

    async def cancel_at_each(start: Callable[[], Coroutine[Any, Any, Any]]) -> int:
        for turn in range(200):

            async def attempt(turn: int = turn) -> Any:
                return await _cancelled_at(turn, start())

            running = asyncio.ensure_future(attempt())
            await asyncio.wait([running])
            if not running.cancelled():
                opened = running.result()
                getattr(opened, "connection", opened).close()
                await peers.all_closed()
                return turn
            await peers.all_closed()
        raise AssertionError("it did not get through in 200 awaits")

    return cancel_at_each
