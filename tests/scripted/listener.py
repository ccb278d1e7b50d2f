"""A TCP server of a test: accepts on port 0, runs a script for each connection, can go away and come back."""

import asyncio
import socket
import struct
from abc import ABC, abstractmethod
from typing import Self

# Linux, tcp_states.h: in the first byte of TCP_INFO.
_ESTABLISHED = 1
_RESET_AT_CLOSE = struct.pack("ii", 1, 0)


class Listener(ABC):
    """Async context manager. Sockets are plain and non-blocking, so that nothing is buffered behind a script's back."""

    def __init__(self, receive_buffer_bytes: int | None = None) -> None:
        self._receive_buffer_bytes = receive_buffer_bytes
        self._sock: socket.socket | None = None
        self._accepting: asyncio.Task[None] | None = None
        self._scripts: set[asyncio.Task[None]] = set()
        self.port = 0
        #: Connections accepted so far.
        self.accepted = 0
        #: When, by the event loop's clock.
        self.accepted_at: list[float] = []

    @abstractmethod
    async def script(self, sock: socket.socket) -> None:
        """What happens on one connection; it is closed after that."""

    async def __aenter__(self) -> Self:
        self.come()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.leave()

    def come(self) -> None:
        """Listen, after :meth:`leave` on the same port again."""
        self._sock = socket.socket()
        self._sock.setblocking(False)
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if self._receive_buffer_bytes is not None:
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self._receive_buffer_bytes)
        self._sock.bind(("127.0.0.1", self.port))
        self._sock.listen()
        self.port = int(self._sock.getsockname()[1])
        self._accepting = asyncio.ensure_future(self._accept(self._sock))

    async def leave(self) -> None:
        """Refuse new connections and end those there are."""
        assert self._accepting is not None
        for running in (self._accepting, *self._scripts):
            running.cancel()
        await asyncio.gather(self._accepting, *self._scripts, return_exceptions=True)
        assert self._sock is not None
        self._sock.close()

    async def all_closed(self) -> None:
        """Wait until every script has ended."""
        async with asyncio.timeout(30):
            while self._scripts:
                await asyncio.wait(self._scripts)

    async def _accept(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            sock, _ = await loop.sock_accept(listening)
            self.accepted += 1
            self.accepted_at.append(loop.time())
            running = asyncio.ensure_future(self._run(sock))
            self._scripts.add(running)
            running.add_done_callback(self._scripts.discard)

    async def _run(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            await self.script(sock)
        except ConnectionError:
            pass  # What a client under test does to its peer is its own business.
        finally:
            sock.close()


def reset(sock: socket.socket) -> None:
    """Close with a reset instead of an end."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_AT_CLOSE)
    sock.close()


async def until_closed(sock: socket.socket) -> None:
    """Read to the peer's end."""
    while await asyncio.get_running_loop().sock_recv(sock, 65536):
        pass


def is_open(sock: socket.socket) -> bool:
    """Whether the other end has not closed it, as far as the kernel knows: what it has sent may be unread."""
    return sock.fileno() >= 0 and sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == _ESTABLISHED
