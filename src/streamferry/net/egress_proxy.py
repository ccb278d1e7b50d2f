"""Proxies on loopback, through which our programs and libraries reach the network under the egress policy.

ffmpeg and httpx resolve and connect by themselves and cannot ask the policy about the addresses they use: those of
redirects, segments and keys, after the name is resolved. So they get this as their proxy, and the actual connections
are made by our ``dial``. TLS passes through end to end.

One request per connection: a GET of an absolute address, or a CONNECT and whatever follows. Specification: RFC 9110,
9.3.6 (CONNECT), 11.7 (authentication to proxies); RFC 9112, 3.2.2 (absolute-form); RFC 7617 (Basic). It serves only
clients that know its address, which includes a secret: other users of the machine can connect, but get no answer and
take no place from its clients. Those are our own programs, whose descriptors are limited.

A :class:`Forwarder` is for protocols without proxies, which is plain RTSP: each connection to it leads to the one peer
it was made for. It needs no secret, because it leads nowhere else, but it allows few connections.
"""

import asyncio
import secrets
from abc import ABC, abstractmethod
from base64 import b64encode
from contextlib import suppress
from typing import Self
from urllib.parse import urlsplit

from streamferry.media.errors import PeerError, PeerForbidden, PeerLacking, PeerRejected
from streamferry.media.peer_options import NO_OPTIONS, PeerOptions
from streamferry.net.connection import Connection
from streamferry.net.dial import AllowAddress, Deadlines, dial
from streamferry.net.ffmpeg_options import (
    FORBIDDEN_STATUS,
    LACKING_STATUS,
    OWN_ANSWER,
    PROXY_STATUS,
    UNREACHABLE_STATUS,
    own_mark,
)
from streamferry.net.first_ended import until_first_ended
from streamferry.net.replies import send
from streamferry.net.unauthenticated import Unauthenticated

_HEAD_BYTES = 64 << 10
_HEAD_S = 10.0
# Not secret; some user name is required.
_USER = "streamferry"
_PIECE_BYTES = 128 << 10
# A client has one connection, and briefly a second while it leaves the first.
_FORWARDED = 4
_PORTS = {"http": 80}
# Headers of a single connection (RFC 9110, 7.6.1).
_HOP_HEADERS = ("connection:", "proxy-connection:", "keep-alive:", "proxy-authorization:")


class _Door(ABC):
    """A listener on loopback; each of its connections leads to one made by ``dial``. Belongs to one event loop."""

    def __init__(self, allow: AllowAddress | None, deadlines: Deadlines) -> None:
        self._allow = allow
        self._deadlines = deadlines
        self._server: asyncio.Server | None = None
        self._passing: dict[asyncio.Task[None], asyncio.StreamWriter] = {}
        #: Connections that have not sent their request yet.
        self._unauthenticated = Unauthenticated[asyncio.StreamWriter](lambda writer: writer.transport.abort())

    async def open(self) -> Self:
        """Start listening. Raises OSError."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=_HEAD_BYTES)
        return self

    @property
    @abstractmethod
    def address(self) -> str:
        """Its address as a proxy; empty if it is not one."""

    @property
    def port(self) -> int:
        """The port it listens on."""
        assert self._server is not None
        return int(self._server.sockets[0].getsockname()[1])

    def close(self) -> None:
        """Stop listening, and close all connections. Closing again does nothing."""
        if self._server is not None:
            self._server.close()
        for task, writer in self._passing.items():
            task.cancel()
            # Close it here: a coroutine that has not started does not reach its ``finally``.
            writer.transport.abort()

    def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(self._pass_one(reader, writer), name="egress_proxy")
        self._passing[task] = writer
        task.add_done_callback(self._passing.pop)
        self._unauthenticated.add(writer)

    async def _pass_one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            # On any error both ends just see the connection close.
            with suppress(OSError, ValueError, KeyError, EOFError, asyncio.LimitOverrunError, PeerError):
                await self._answer_one(reader, writer)
        finally:
            self._unauthenticated.remove(writer)
            writer.close()

    @abstractmethod
    async def _answer_one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection to its end."""


class EgressProxy(_Door):
    """See the module's docstring. Made by :func:`open_egress_proxy`."""

    def __init__(self, allow: AllowAddress | None, deadlines: Deadlines, options: PeerOptions = NO_OPTIONS) -> None:
        """``options``: by which way it connects for the clients of ``address``."""
        super().__init__(allow, deadlines)
        # By which way for whom: each has a secret of its own. As there are options of tasks, never too many.
        self._secrets: dict[PeerOptions, str] = {}
        self._ways: dict[bytes, PeerOptions] = {}
        self._options = options

    @property
    def address(self) -> str:
        """Its address as a proxy, with the secret: for its clients, never for a log."""
        return self.address_for(self._options)

    def address_for(self, options: PeerOptions) -> str:
        """The same, for clients whose connections take the way of these options."""
        if (secret := self._secrets.get(options)) is None:
            secret = self._secrets[options] = secrets.token_urlsafe()
            self._ways[b64encode(f"{_USER}:{secret}".encode())] = options
        return f"http://{_USER}:{secret}@127.0.0.1:{self.port}"

    def _let_in(self, field: str) -> PeerOptions | None:
        """The way of the client that says this, if it may come in."""
        name, _, value = field.partition(":")
        scheme, _, given = value.strip().partition(" ")
        if name.lower() != "proxy-authorization" or scheme.lower() != "basic":
            return None
        said = given.strip().encode()
        return next((way for known, way in self._ways.items() if secrets.compare_digest(said, known)), None)

    async def _answer_one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with asyncio.timeout(_HEAD_S):
            request, *fields = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        options = next(filter(None, map(self._let_in, fields)), None)
        if options is None:
            # ffmpeg sends its credentials only when challenged, on each connection.
            await send(
                writer, _answer(407, "Proxy Authentication Required", 'Proxy-Authenticate: Basic realm="streamferry"')
            )
            return
        self._unauthenticated.remove(writer)
        method, target, version = request.split(" ")
        parts = urlsplit(f"//{target}" if method == "CONNECT" else target)
        port = parts.port or _PORTS[parts.scheme]
        if not parts.hostname:
            return
        try:
            upstream = await dial(parts.hostname, port, deadlines=self._deadlines, allow=self._allow, options=options)
        except PeerError as error:
            await send(writer, _answer(*_told(error), f"{OWN_ANSWER}: {own_mark(self.address_for(options))}"))
            return
        try:
            if method == "CONNECT":
                await send(writer, b"HTTP/1.1 200 OK\r\n\r\n")
            else:
                origin_form = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
                kept = [field for field in fields if field and not field.lower().startswith(_HOP_HEADERS)]
                head = [f"{method} {origin_form} {version}", *kept, "Connection: close", "", ""]
                await upstream.write("\r\n".join(head).encode("latin-1"))
            await _pass_both_ways(reader, writer, upstream)
        finally:
            upstream.close()


class Forwarder(_Door):
    """See the module's docstring. Made by :func:`open_forwarder`."""

    #: It is used by its port, not as a proxy.
    address = ""

    def __init__(
        self,
        host: str,
        port: int,
        allow: AllowAddress | None,
        deadlines: Deadlines,
        options: PeerOptions = NO_OPTIONS,
    ) -> None:
        super().__init__(allow, deadlines)
        self._host, self._port = host, port
        self._options = options
        self._ready: Connection | None = None
        self._places = _FORWARDED

    async def open(self) -> Self:
        """Connect for the first client, so that an unreachable peer is reported at once, and start listening.

        Raises PeerError, OSError.
        """
        self._ready = await self._dial()
        try:
            return await super().open()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """See the base."""
        super().close()
        if self._ready is not None:
            self._ready.close()
            self._ready = None

    async def _dial(self) -> Connection:
        return await dial(self._host, self._port, deadlines=self._deadlines, allow=self._allow, options=self._options)

    async def _answer_one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with asyncio.timeout(_HEAD_S):
            first = await reader.read(_PIECE_BYTES)  # In RTSP the client speaks first.
        if not first or not self._places:
            return
        self._unauthenticated.remove(writer)
        self._places -= 1
        ready, self._ready = self._ready, None
        try:
            upstream = ready or await self._dial()
            try:
                await upstream.write(first)
                await _pass_both_ways(reader, writer, upstream)
            finally:
                upstream.close()
        finally:
            self._places += 1


def _told(error: PeerError) -> tuple[int, str]:
    """Status and words for a connection that could not be made."""
    match error:
        case PeerForbidden():
            return FORBIDDEN_STATUS, "The egress policy does not allow its address"
        case PeerLacking():
            return LACKING_STATUS, "This machine lacks what a connection takes"
        case PeerRejected():
            return PROXY_STATUS, str(error).encode("ascii", "replace").decode()
        case _:
            return UNREACHABLE_STATUS, "It cannot be connected to"


def _answer(status: int, words: str, *fields: str) -> bytes:
    lines = (f"HTTP/1.1 {status} {words}", *fields, "Content-Length: 0", "Connection: close", "", "")
    return "\r\n".join(lines).encode()


async def _pass_both_ways(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, upstream: Connection) -> None:
    """Copy in both directions until either end closes."""

    async def out() -> None:
        while data := await reader.read(_PIECE_BYTES):
            await upstream.write(data)

    async def back() -> None:
        while data := await upstream.read(_PIECE_BYTES):
            await send(writer, data)

    await until_first_ended(out(), back())


async def open_egress_proxy(allow: AllowAddress | None, deadlines: Deadlines) -> EgressProxy | None:
    """An egress proxy under the policy, or None where everything is allowed. Raises OSError."""
    return None if allow is None else await EgressProxy(allow, deadlines).open()
