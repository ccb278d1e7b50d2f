"""A publish session on a real TCP connection whose far end receives only when a test says so."""

import asyncio
import os
import socket
import ssl
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache

import trustme

from streamferry.media.tag import Tag
from streamferry.media.url import MediaUrl
from streamferry.net.connection import Connection, TlsConnection
from streamferry.net.rtmp import RtmpLink
from streamferry.push import RtmpSession
from streamferry.wire.rtmp.session import (
    ClientSession,
    ConnectRequested,
    PublishRequested,
    Purpose,
    ServerSession,
    TagsReceived,
    Unpublished,
)

URL = MediaUrl.parse("rtmp://127.0.0.1/live/s3cret-key")


@dataclass
class FarEnd:
    """The server of one publish session."""

    sock: socket.socket
    session: ServerSession
    tags: list[Tag] = field(default_factory=list)
    raw: bytearray = field(default_factory=bytearray)
    is_unpublished: bool = False
    is_closed: bool = False

    def receive(self, max_bytes: int = 1 << 20) -> int:
        """Take what is there now, at most that much; gives how much it was."""
        try:
            data = self.sock.recv(max_bytes)
        except (BlockingIOError, ssl.SSLWantReadError):
            return 0
        except ConnectionError:
            data = b""
        if not data:
            self.is_closed = True
        self.raw += data
        for event in self.session.receive(data):
            if isinstance(event, TagsReceived):
                self.tags += [(tag_type, stamp_ms, bytes(body)) for tag_type, stamp_ms, body in event.tags]
            elif isinstance(event, Unpublished):
                self.is_unpublished = True
        return len(data)

    def say(self, data: bytes = b"") -> None:
        """Send the session's words and ``data`` to the publisher."""
        self.sock.sendall(self.session.data_to_send() + data)

    async def receive_until(self, count: int) -> list[Tag]:
        """Wait for that many tags."""
        async with asyncio.timeout(30):
            while len(self.tags) < count:
                if not self.receive():
                    await asyncio.sleep(0)
        return self.tags


def publishing(buffer_bytes: int | None = None, *, is_tls: bool = False) -> tuple[RtmpSession, FarEnd]:
    """A session that has just been accepted, and its far end. ``buffer_bytes``: size of the kernel's buffers."""
    near, far = _connect(buffer_bytes)
    client, server = _agreed()
    if not is_tls:
        return RtmpSession(RtmpLink(Connection(near, "far"), client)), FarEnd(far, server)
    near_tls, far_tls = _shake_hands(near, far)
    return RtmpSession(RtmpLink(TlsConnection(near_tls, "far"), client)), FarEnd(far_tls, server)


def accepted(connection: object) -> RtmpSession:
    """The same over what is no connection, but has the methods of one."""
    return RtmpSession(RtmpLink(connection, _agreed()[0]))  # type: ignore[arg-type]


def _agreed() -> tuple[ClientSession, ServerSession]:
    client = ClientSession(URL, Purpose.PUBLISH, random=os.urandom(32))
    server = ServerSession(random=os.urandom(32))
    while to_server := client.data_to_send():
        for event in server.receive(to_server):
            if isinstance(event, ConnectRequested | PublishRequested):
                server.accept()
        client.receive(server.data_to_send())
    return client, server


@cache
def _contexts() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    authority, of_client = trustme.CA(), ssl.create_default_context()
    authority.configure_trust(of_client)
    of_server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("far").configure_cert(of_server)
    return of_client, of_server


def _shake_hands(near: socket.socket, far: socket.socket) -> tuple[ssl.SSLSocket, ssl.SSLSocket]:
    of_client, of_server = _contexts()
    ends = (
        of_client.wrap_socket(near, server_hostname="far", do_handshake_on_connect=False),
        of_server.wrap_socket(far, server_side=True, do_handshake_on_connect=False),
    )
    waiting = list(ends)
    while waiting:
        for end in tuple(waiting):
            with suppress(ssl.SSLWantReadError):
                end.do_handshake()
                waiting.remove(end)
    return ends


def _connect(buffer_bytes: int | None) -> tuple[socket.socket, socket.socket]:
    with socket.socket() as listening:
        near = socket.socket()
        if buffer_bytes is not None:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer_bytes)
            near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, buffer_bytes)
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        near.connect(listening.getsockname())
        far, _ = listening.accept()
    near.setblocking(False)
    far.setblocking(False)
    return near, far
