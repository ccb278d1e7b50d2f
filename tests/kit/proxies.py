"""Proxies that keep to their protocol (CONNECT, SOCKS5, with a user and a password or without), and note what they are
asked for. They resolve names from a table of their own, so that a name which only they know can be asked for."""

import asyncio
from base64 import b64encode
from contextlib import suppress
from ipaddress import ip_address


class Proxy:
    """A handler for ``asyncio.start_server``. ``names``: of hosts that only it knows, with where they really are;
    ``ports``: the same of ports."""

    def __init__(
        self,
        credentials: tuple[str, str] | None = None,
        names: dict[str, str] | None = None,
        ports: dict[int, int] | None = None,
    ) -> None:
        self.credentials = credentials
        self.names = names or {}
        self.ports = ports or {}
        #: What was asked for, as it was asked for.
        self.asked: list[tuple[str, int]] = []
        #: From which address it was connected to.
        self.clients: list[str] = []
        self.refused = 0

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.clients.append(writer.get_extra_info("peername")[0])
        first = await reader.readexactly(1)
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            await (self._socks(reader, writer) if first == b"\x05" else self._connect(first, reader, writer))
        writer.close()

    async def _socks(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        methods = await reader.readexactly((await reader.readexactly(1))[0])
        method = 2 if self.credentials else 0
        if method not in methods:
            self.refused += 1
            writer.write(b"\x05\xff")
            return
        writer.write(bytes((5, method)))
        if self.credentials:
            await reader.readexactly(1)
            given = [(await reader.readexactly((await reader.readexactly(1))[0])).decode() for _ in range(2)]
            is_right = tuple(given) == self.credentials
            writer.write(b"\x01\x00" if is_right else b"\x01\x01")
            if not is_right:
                self.refused += 1
                return
        *_, kind = await reader.readexactly(4)
        if kind == 3:
            host = (await reader.readexactly((await reader.readexactly(1))[0])).decode()
        else:
            host = str(ip_address(await reader.readexactly({1: 4, 4: 16}[kind])))
        port = int.from_bytes(await reader.readexactly(2), "big")
        await self._pass(
            host, port, reader, writer, b"\x05\x00\x00\x03\x04name\x00\x50", b"\x05\x05\x00\x01" + bytes(6)
        )

    async def _connect(self, first: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request, *fields = (first + await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        method, target, _ = request.split(" ")
        assert method == "CONNECT"
        if self.credentials:
            wanted = "Proxy-Authorization: Basic " + b64encode(":".join(self.credentials).encode()).decode()
            if wanted not in fields:
                self.refused += 1
                writer.write(b'HTTP/1.1 407 No\r\nProxy-Authenticate: Basic realm="x"\r\nContent-Length: 0\r\n\r\n')
                return
        host, _, port = target.rpartition(":")
        await self._pass(
            host.strip("[]"),
            int(port),
            reader,
            writer,
            b"HTTP/1.1 200 OK\r\nVia: x\r\n\r\n",
            b"HTTP/1.1 502 Bad\r\n\r\n",
        )

    async def _pass(
        self, host: str, port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, yes: bytes, no: bytes
    ) -> None:
        self.asked.append((host, port))
        try:
            inner, outer = await asyncio.open_connection(self.names.get(host, host), self.ports.get(port, port))
        except OSError:
            writer.write(no)
            return
        writer.write(yes)
        try:
            await asyncio.wait(
                [asyncio.ensure_future(_copy(reader, outer)), asyncio.ensure_future(_copy(inner, writer))],
                return_when=asyncio.FIRST_COMPLETED,
            )
        finally:
            outer.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
