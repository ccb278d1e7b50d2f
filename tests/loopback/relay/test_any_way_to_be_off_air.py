"""HTTP sources that are off air in one way after another, in any order: no connection too many, and true reasons."""

import asyncio
import gzip
import random
import select
import socket

import pytest

from kit.waiting import PATIENCE_S
from scripted.listener import reset, until_closed
from scripted.source import Source
from scripted.waiting import until
from streamferry.net.dial import Deadlines
from streamferry.prepare.store import PreparedStore
from streamferry.relay import RelaySpec, RelayStatus
from streamferry.relay.host import RelayHost
from streamferry.relay.network import Network

pytestmark = pytest.mark.usefixtures("quick")

RESPONSE_S = 0.3
FINISHED = b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\na.ts\n#EXT-X-ENDLIST\n"


def plain(status: str, body: bytes = b"", *fields: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", *fields, f"Content-Length: {len(body)}"]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


#: What is sent at a connection, and the words of the reason; None: nothing is sent and the connection stays open.
#: ``\0`` stands for the server's own address.
WAYS: dict[str, tuple[bytes | None, str]] = {
    "page": (plain("200 OK", b"<p>soon", "Content-Type: text/html"), "text/html: ‹p›soon"),
    "redirects for ever": (plain("302 Found", b"", "Location: \0"), "redirect"),
    "401": (plain("401 Unauthorized"), "401 Unauthorized"),
    "403": (plain("403 Forbidden"), "403 Forbidden"),
    "404": (plain("404 Not Found"), "404 Not Found"),
    "429": (plain("429 Too Many Requests", b"", "Retry-After: 1"), "429 Too Many Requests"),
    "503": (plain("503 Service Unavailable", b"", "Retry-After: soon"), "503 Service Unavailable"),
    "reset": (b"", "reset by peer"),
    "silence": (None, "timed out"),
    "half a header": (b"HTTP/1.1 200 OK\r\nContent-Ty", "timed out"),
    "finished, in gzip": (plain("200 OK", gzip.compress(FINISHED), "Content-Type: text/plain"), "finished HLS"),
    "finished, with a BOM": (plain("200 OK", b"\xef\xbb\xbf" + FINISHED, "Content-Type: text/plain"), "finished HLS"),
    "an FLV header alone": (plain("200 OK", b"FLV\x01\x05\0\0\0\x09\0\0\0\0", "Content-Type: video/x-flv"), "closed"),
}
#: After which the server closes; else it waits for the client to do so.
CLOSES = ("an FLV header alone",)


class OffAir(Source):
    """Off air in these ways, one a connection but for redirects, which lead to the same way again; then it plays."""

    def __init__(self, ways: list[str]) -> None:
        super().__init__()
        self.ways = ways
        #: How many connections found another one open.
        self.overlaps = 0
        #: When each way was first met.
        self.met_at: list[float] = []
        self._open: list[socket.socket] = []
        self._hops = 0

    async def script(self, sock: socket.socket) -> None:
        self.overlaps += sum(map(_is_open, self._open))
        self._open.append(sock)
        try:
            if not self.ways:
                await super().script(sock)
                return
            way = self.ways[0]
            self._hops += way.startswith("redirects")
            if self._hops in (0, 1):
                self.met_at.append(asyncio.get_running_loop().time())
            if self._hops in (0, 6):
                self.ways.pop(0)
                self._hops = 0
            await self._be(way, sock)
        finally:
            self._open.remove(sock)

    async def _be(self, way: str, sock: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        await loop.sock_recv(sock, 65536)
        if way == "reset":
            reset(sock)
            return
        data = WAYS[way][0]
        if data is not None:
            address = b"Location: " + self.url().reveal().encode()
            await loop.sock_sendall(sock, data.replace(b"Location: \0", address))
        if way not in CLOSES:
            await until_closed(sock)


def _is_open(sock: socket.socket) -> bool:
    """Whether its client has not closed it; the kernel is asked, since the script may not have read that yet."""
    if sock.fileno() < 0:
        return False
    poll = select.poll()
    poll.register(sock.fileno(), select.POLLRDHUP)
    return not poll.poll(0)


def ways_of(seed: int) -> list[str]:
    """All of them in some order, and the first one again."""
    ways = sorted(WAYS)
    random.Random(seed).shuffle(ways)
    return [*ways, ways[0]]


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """No pauses: for the order of things and not their times; a pause that the server asks for stays."""
    monkeypatch.setattr("streamferry.relay.backoff.EAGER_LONGEST_S", 0.05)


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize("seed", range(3))
async def test_a_source_that_was_off_air_in_any_way_stayed_off(tmp_path, destination, no_secrets, seed):
    """On air at the first connection that plays; one connection at a time; each way told once, in its own words."""
    ways = ways_of(seed)
    told: list[RelayStatus] = []
    network = Network(deadlines=Deadlines(response=RESPONSE_S))
    async with (
        OffAir(list(ways)) as source,
        RelayHost(store=PreparedStore(tmp_path), network=network) as host,
    ):
        relay = host.start(RelaySpec.live(source.url(), destination.url(), patience_s=4 * PATIENCE_S))
        relay.watch(told.append)
        await until("streaming", lambda: relay.status.state == "streaming" or relay.status.final, 3 * PATIENCE_S)
        final = relay.status
        assert final.state == "streaming", final.reason
        assert final.retries == len(ways)
        assert source.accepted == len(ways) + 5 * sum(way.startswith("redirects") for way in ways) + 1
        assert source.overlaps == 0
        busy = ways.index("429")
        assert source.met_at[busy + 1 :] == [] or source.met_at[busy + 1] - source.met_at[busy] >= 1
    reasons = [status.reason or "" for status in told if status.state == "retrying"]
    for way in ways:
        assert any(WAYS[way][1] in reason for reason in reasons), (way, reasons)
    assert all(status.fault == "user_source" for status in told if status.state == "retrying")
