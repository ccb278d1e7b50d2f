"""Scripted live sources, HTTP-FLV and RTMP: what their camera shoots goes to every viewer, in real time or by hand."""

import asyncio
import os
import socket

from scripted.camera import FRAME_MS, Camera
from scripted.listener import Listener, is_open, reset, until_closed
from streamferry.media.tag import Tag
from streamferry.media.url import MediaUrl
from streamferry.wire.flv import serialize_flv_header, serialize_tag
from streamferry.wire.rtmp.session import ConnectRequested, PlayRequested, ServerSession

TOKEN = "pl4nted-s0urce-token"


class Viewer:
    """A client of a source that may be sent media now."""

    def __init__(self, sock: socket.socket, session: ServerSession | None) -> None:
        self.sock = sock
        self._session = session
        self._ended = asyncio.Event()

    async def send(self, tags: list[Tag]) -> None:
        """Send tags."""
        await self.send_bytes(self.wire(tags))

    def wire(self, tags: list[Tag]) -> bytes:
        """The bytes that carry the tags to this viewer."""
        if self._session is None:
            return b"".join(serialize_tag(*tag) for tag in tags)
        for tag in tags:
            self._session.append_tag(*tag)
        return self._session.data_to_send()

    async def send_bytes(self, data: bytes) -> None:
        """Send what it is, tag or not."""
        await asyncio.get_running_loop().sock_sendall(self.sock, data)

    def close(self) -> None:
        """End the connection."""
        self._ended.set()

    def reset(self) -> None:
        """End the connection with a reset."""
        reset(self.sock)
        self._ended.set()

    async def until_ended(self) -> None:
        """Wait for :meth:`close`, or the client's."""
        closing = asyncio.ensure_future(until_closed(self.sock))
        ending = asyncio.ensure_future(self._ended.wait())
        try:
            await asyncio.wait((closing, ending), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for waiting in (closing, ending):
                waiting.cancel()
            await asyncio.gather(closing, ending, return_exceptions=True)


class Source(Listener):
    """Async context manager: a server that plays ``camera`` to each viewer, from a keyframe on.

    ``rolls`` False: it accepts viewers and sends headers, and what ``Viewer.send`` is given. ``speed``: media time over
    wall time.
    """

    def __init__(self, protocol: str = "http", camera: Camera | None = None, *, speed: float = 1.0) -> None:
        super().__init__()
        self.protocol = protocol
        self.camera = camera or Camera()
        self.rolls = True
        self.speed = speed
        #: Bytes sent instead of a stream.
        self.instead = b""
        self.viewers: list[Viewer] = []
        #: Viewers that came while an earlier one had not closed its connection.
        self.beside_others = 0
        self._rolling: asyncio.Task[None] | None = None

    def url(self) -> MediaUrl:
        """Its address, with a token that must not be shown to anybody."""
        if self.protocol == "rtmp":
            return MediaUrl.parse(f"rtmp://127.0.0.1:{self.port}/live/{TOKEN}?auth={TOKEN}")
        return MediaUrl.parse(f"http://127.0.0.1:{self.port}/live/cam.flv?auth={TOKEN}")

    def come(self) -> None:
        """Listen, and let the camera roll."""
        super().come()
        self._rolling = asyncio.ensure_future(self._roll())

    async def leave(self) -> None:
        """Refuse and end connections; the camera stops."""
        assert self._rolling is not None
        self._rolling.cancel()
        await asyncio.gather(self._rolling, return_exceptions=True)
        await super().leave()

    async def send(self, tags: list[Tag]) -> None:
        """Send tags to all viewers."""
        for viewer in self.viewers:
            try:
                await viewer.send(tags)
            except (OSError, ValueError):
                viewer.close()

    async def script(self, sock: socket.socket) -> None:
        """One viewer."""
        if self.instead:
            await asyncio.get_running_loop().sock_recv(sock, 1)
            await asyncio.get_running_loop().sock_sendall(sock, self.instead)
            await until_closed(sock)
            return
        viewer = await (self._open_rtmp(sock) if self.protocol == "rtmp" else self._open_http(sock))
        await viewer.send(self.camera.headers())
        self.camera.start_over()
        self.beside_others += any(is_open(other.sock) for other in self.viewers)
        self.viewers.append(viewer)
        try:
            await viewer.until_ended()
        finally:
            self.viewers.remove(viewer)

    async def _roll(self) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            due += FRAME_MS / 1000 / self.speed
            await asyncio.sleep(max(0.0, due - loop.time()))
            if self.rolls:
                await self.send(self.camera.shoot())

    async def _open_http(self, sock: socket.socket) -> Viewer:
        loop = asyncio.get_running_loop()
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            data = await loop.sock_recv(sock, 4096)
            if not data:
                raise ConnectionError
            head += data
        answer = b"HTTP/1.1 200 OK\r\nContent-Type: video/x-flv\r\nConnection: close\r\n\r\n"
        await loop.sock_sendall(sock, answer + serialize_flv_header(True, True))
        return Viewer(sock, None)

    async def _open_rtmp(self, sock: socket.socket) -> Viewer:
        loop = asyncio.get_running_loop()
        session = ServerSession(random=os.urandom(32))
        plays = False
        while not plays:
            data = await loop.sock_recv(sock, 65536)
            if not data:
                raise ConnectionError
            for event in session.receive(data):
                if isinstance(event, ConnectRequested | PlayRequested):
                    session.accept()
                plays = plays or isinstance(event, PlayRequested)
            await loop.sock_sendall(sock, session.data_to_send())
        return Viewer(sock, session)
