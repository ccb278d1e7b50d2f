"""What a server is told of a session that nobody could end: by TCP, once the next one comes from the same port.

The cable is cut at a socket of the server's kernel, by a filter (BPF) that drops what comes for it.
"""

import asyncio
import ctypes
import secrets
import socket
import struct

import pytest

from kit.proxies import Proxy
from kit.waiting import PATIENCE_S
from streamferry.media.errors import DestinationError
from streamferry.media.peer_options import PeerOptions, read_proxy
from streamferry.media.url import MediaUrl
from streamferry.net import dial as dialling
from streamferry.net.dial import Deadlines
from streamferry.push.rtmp import RtmpSession, open_rtmp_session

SO_ATTACH_FILTER, SO_DETACH_FILTER = 26, 27
NOTHING = [(0x06, 0, 0, 0)]


def pass_only(sock: socket.socket, program: list[tuple[int, int, int, int]]) -> None:
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *one) for one in program))
    told = struct.pack("HL", len(program), ctypes.addressof(code))
    sock.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, told)


def all_but(port: int) -> list[tuple[int, int, int, int]]:
    """Segments from another port: what a socket's filter sees begins with the header of TCP, and that with the port."""
    return [(0x28, 0, 0, 0), (0x15, 0, 1, port), (0x06, 0, 0, 0), (0x06, 0, 0, 0xFFFFFFFF)]


class Server:
    """Takes each publisher, or hangs up on it while it ``is_ill``. ``open``: its ends by their ports."""

    def __init__(self, script) -> None:
        self._script = script
        self.ports: list[int] = []
        self.open: dict[int, socket.socket] = {}
        self.has_lost_one = asyncio.Event()
        self.is_ill = False

    async def __call__(self, reader, writer) -> None:
        port = writer.get_extra_info("peername")[1]
        self.ports.append(port)
        if self.is_ill:
            return
        own = self.open[port] = writer.get_extra_info("socket")
        try:
            await self._script(reader, writer)
        finally:
            if self.open[port] is own:
                del self.open[port]
            self.has_lost_one.set()

    def cut(self) -> None:
        for one in self.open.values():
            pass_only(one, NOTHING)

    def mend(self) -> None:
        for one in self.open.values():
            one.setsockopt(socket.SOL_SOCKET, SO_DETACH_FILTER, 0)


@pytest.fixture
def server(rtmp_script) -> Server:
    return Server(rtmp_script())


@pytest.fixture
def local() -> str:
    """An address of this machine that nobody else connects from: so its ports are free."""
    return f"127.{1 + secrets.randbelow(254)}.{secrets.randbelow(256)}.{1 + secrets.randbelow(254)}"


def url_of(port: int, scheme: str = "rtmp") -> MediaUrl:
    return MediaUrl.parse(f"{scheme}://127.0.0.1:{port}/live/k3y")


async def lose(session: RtmpSession, server: Server) -> None:
    """A session whose end its server does not hear; then the cable is whole again."""
    server.cut()
    session.write_pieces([bytes(1000)])
    session.abort()
    server.mend()
    assert server.open


@pytest.mark.parametrize("kind", ["rtmp", "rtmps", "http", "socks5"])
async def test_a_server_had_the_session_of_before_open_beside_the_next(
    peers, server, server_tls, client_tls, local, kind
):
    """Also with TLS, and where it is a proxy that had it."""
    is_tls, is_proxied = kind == "rtmps", kind in ("http", "socks5")
    port = await peers.serve(server, server_tls if is_tls else None)
    far, proxy = server, None
    if is_proxied:
        far = Server(Proxy())
        proxy = read_proxy(f"{kind}://127.0.0.1:{await peers.serve(far)}")
    options = PeerOptions(bind=local, proxy=proxy)
    network = {"deadlines": Deadlines(), "tls": client_tls if is_tls else None, "options": options}
    url = url_of(port, "rtmps" if is_tls else "rtmp")
    await lose(await open_rtmp_session(url, **network), far)
    session = await open_rtmp_session(url, **network)
    assert far.ports[1] == far.ports[0]
    async with asyncio.timeout(PATIENCE_S):
        await server.has_lost_one.wait()
        await far.has_lost_one.wait()
    session.check()
    session.abort()


@pytest.mark.parametrize("is_taken", [True, False])
async def test_where_that_port_is_of_no_use_another_is_taken(peers, server, monkeypatch, local, is_taken):
    """Somebody else has it, or what lies between lets nothing of it pass."""
    monkeypatch.setattr(dialling, "_AGAIN_S", 0.2)
    listening = []
    start = asyncio.start_server

    async def noted(*given, **options):
        listening.append(await start(*given, **options))
        return listening[-1]

    monkeypatch.setattr(asyncio, "start_server", noted)
    url = url_of(await peers.serve(server))
    network = {"deadlines": Deadlines(), "options": PeerOptions(bind=local)}
    await lose(await open_rtmp_session(url, **network), server)
    with socket.socket() as other:
        if is_taken:
            other.bind((local, server.ports[0]))
        else:
            for one in (*server.open.values(), *listening[0].sockets):
                pass_only(one, all_but(server.ports[0]))
        session = await open_rtmp_session(url, **network)
    assert len(server.ports) == 2
    assert server.ports[1] != server.ports[0]
    session.abort()


async def test_a_server_that_is_ill_was_asked_from_one_port_for_ever(peers, server, local):
    """A balancer of load leads each port to one of many machines, and the way to a well one is another port."""
    url = url_of(await peers.serve(server))
    network = {"deadlines": Deadlines(), "options": PeerOptions(bind=local)}
    await lose(await open_rtmp_session(url, **network), server)
    server.is_ill = True
    for _ in range(3):
        with pytest.raises(DestinationError):
            await open_rtmp_session(url, **network)
    first, *others = server.ports
    assert others[0] == first
    assert first not in others[2:]


async def test_a_local_address_that_was_changed_was_not_connected_from(peers, server):
    """Who changes it does not want the old one any more; the same goes for one that is taken away."""
    url = url_of(await peers.serve(server))
    seen = []
    for bind in ("127.0.0.7", "127.0.0.8", ""):
        session = await open_rtmp_session(url, deadlines=Deadlines(), options=PeerOptions(bind=bind))
        seen.append(session._connection.local_address)
        await lose(session, server)
    assert seen == ["127.0.0.7", "127.0.0.8", "127.0.0.1"]
