"""net.dial against peers that refuse, say nothing or speak something else."""

import asyncio
import errno
import socket
import ssl
import time
from collections.abc import Iterator

import pytest

from streamferry.media.errors import PeerUnreachable
from streamferry.net import dial as dialling
from streamferry.net import race as races
from streamferry.net import resolver
from streamferry.net.dial import Deadlines, dial
from streamferry.net.trust import client_context

SHORT = 0.05
#: By so much a timer of uvloop may be early: it counts whole milliseconds.
EARLY_S = 0.001
PATIENT = Deadlines()
UNHURRIED = Deadlines(connect=60.0)


async def until_eof(reader, writer):
    await reader.read()


@pytest.fixture
def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@pytest.fixture
def deaf_port() -> Iterator[int]:
    """A port whose SYNs are dropped: its accept queue is full."""
    with (
        socket.create_server(("127.0.0.1", 0), backlog=0) as listener,
        socket.create_connection(listener.getsockname()),
    ):
        yield int(listener.getsockname()[1])


async def test_connects(peers):
    """A peer that listens is connected to, without delay of small writes, and named for the user."""
    port = await peers.serve(until_eof)
    connection = await dial("127.0.0.1", port, deadlines=PATIENT)
    assert connection.peer == f"127.0.0.1:{port}"
    assert connection._sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    connection.close()
    connection.close()


async def test_refused_connection_names_the_step(closed_port):
    """A closed port is a PeerUnreachable that says who refused."""
    with pytest.raises(PeerUnreachable, match=rf"^connecting to 127.0.0.1:{closed_port} failed: Connection refused$"):
        await dial("127.0.0.1", closed_port, deadlines=PATIENT)


async def test_connect_deadline(deaf_port):
    """A peer that drops SYNs costs the connect deadline and not more."""
    with pytest.raises(PeerUnreachable, match=rf"^connecting to 127.0.0.1:{deaf_port} timed out after 0.05 s$"):
        await dial("127.0.0.1", deaf_port, deadlines=Deadlines(connect=SHORT))


async def test_resolve_deadline(monkeypatch):
    """A resolver that does not answer in time is named as the step that failed."""
    monkeypatch.setattr(resolver, "_answered_at", time.monotonic())
    with pytest.raises(PeerUnreachable, match=r"^resolving localhost timed out after 0 s$"):
        await dial("localhost", 80, deadlines=Deadlines(resolve=0))


async def test_host_that_is_no_name():
    """A host that cannot be a name is unreachable, not a crash."""
    with pytest.raises(PeerUnreachable, match=r"^resolving a\.\.b failed"):
        await dial("a..b", 80, deadlines=PATIENT)


class Name:
    """A name with the places of this machine that a test gives it, which are seen as it resolves them."""

    def __init__(self, monkeypatch):
        self.places = []
        monkeypatch.setattr("streamferry.net.dial.look_up", self.look_up)
        monkeypatch.setattr(races, "_worked", type(races._worked)())

    async def look_up(self, host, port):
        return [(family, socket.SOCK_STREAM, 6, "", address) for family, address in self.places]

    def has(self, *ports, host="127.0.0.1"):
        """IPv4 with these ports; a real name has one port and several addresses, which costs a test as many hosts."""
        self.places += [(socket.AF_INET, (host, port)) for port in ports]


@pytest.fixture
def name(monkeypatch):
    return Name(monkeypatch)


async def timed_dial(**options):
    loop = asyncio.get_running_loop()
    began_at = loop.time()
    (await dial("name.example", 1935, **{"deadlines": PATIENT, **options})).close()
    return loop.time() - began_at


async def test_first_address_refuses(peers, closed_port, name, monkeypatch):
    """An address that refuses is followed by the next one at once."""
    monkeypatch.setattr(races, "DELAY_S", 60.0)
    name.has(closed_port, closed_port, await peers.serve(until_eof))
    await timed_dial()


@pytest.mark.parametrize("dead", [1, 7])
async def test_dead_addresses_cost_a_quarter_of_a_second_each(peers, deaf_port, name, monkeypatch, dead):
    """Not a share of the deadline; and nothing the next time, for the one that answered begins."""
    monkeypatch.setattr(races, "DELAY_S", 0.02)
    name.has(*[deaf_port] * dead, await peers.serve(until_eof))
    # A share of the deadline would be many seconds.
    assert (0.02 - EARLY_S) * dead <= await timed_dial(deadlines=UNHURRIED) < UNHURRIED.connect / (dead + 1)
    monkeypatch.setattr(races, "DELAY_S", 60.0)
    await timed_dial()


async def test_an_address_that_answers_late_is_still_waited_for(monkeypatch):
    """One that is slow and not dead wins if those after it are dead: tries under way are kept."""
    monkeypatch.setattr(races, "DELAY_S", 0.01)
    tried, all_tried = [], asyncio.Event()

    async def start(address):
        tried.append(address)
        if len(tried) == 3:
            all_tried.set()
        await (all_tried.wait() if address is addresses[0] else asyncio.Event().wait())
        return "late"

    addresses = [(socket.AF_INET, ("127.0.0.1", number)) for number in range(3)]
    assert await races.race(addresses, start, lambda given: None) == (addresses[0], "late")


async def test_the_losers_of_a_race_are_closed(peers, name, monkeypatch):
    """Two answer at once: one connection is used, and no descriptor stays open."""
    monkeypatch.setattr(races, "DELAY_S", 0.0)
    name.has(*[await peers.serve(until_eof) for _ in range(4)])
    await timed_dial()
    await peers.all_closed()


async def test_what_a_peer_did_is_told_rather_than_what_this_machine_lacks(closed_port, name, monkeypatch):
    """A machine without a route for IPv6, and an IPv4 that refuses: that is the peer's."""

    async def no_route(place):
        raise OSError(errno.ENETUNREACH, "Network is unreachable")

    name.places = [(socket.AF_INET6, ("2001:db8::1", 1935, 0, 0)), (socket.AF_INET, ("127.0.0.1", closed_port))]
    connect = dialling._connect

    async def connect_by_family(place):
        return await (no_route(place) if place[0] == socket.AF_INET6 else connect(place))

    monkeypatch.setattr(dialling, "_connect", connect_by_family)
    for _ in range(2):
        with pytest.raises(PeerUnreachable, match="Connection refused") as caught:
            await timed_dial()
        assert not caught.value.is_own
        name.places.reverse()
    name.places = name.places[:1]
    with pytest.raises(PeerUnreachable, match="no route there") as caught:
        await timed_dial()
    assert caught.value.is_own


def test_families_take_turns_and_the_one_that_answered_begins():
    """RFC 8305, 4: with eight dead addresses of one family the other is not the ninth."""
    six = [(socket.AF_INET6, (f"2001:db8::{number}", 80, 0, 0)) for number in range(4)]
    four = [(socket.AF_INET, (f"192.0.2.{number}", 80)) for number in range(2)]
    ordered = races.in_order("a.example", 80, [*six, *four])
    assert ordered == [six[0], four[0], six[1], four[1], six[2], six[3]]
    races.remember("a.example", 80, four[1])
    assert races.in_order("a.example", 80, [*six, *four])[0] == four[1]
    # One that the name has no more, or the policy forbids now, is none of it.
    assert races.in_order("a.example", 80, six) == six
    assert races.in_order("a.example", 81, [*six, *four])[0] == six[0]


def test_few_names_are_remembered():
    """Those that were used last."""
    for number in range(3 * races._REMEMBERED):
        races.remember(f"{number}.example", 80, (socket.AF_INET, ("192.0.2.1", 80)))
    assert len(races._worked) == races._REMEMBERED
    assert (f"{3 * races._REMEMBERED - 1}.example", 80) in races._worked


async def test_every_address_is_judged_by_the_policy(peers, name, monkeypatch):
    """The remembered one too: it is not connected to any more when the policy has come to forbid it."""
    port = await peers.serve(until_eof)
    name.has(port)
    await timed_dial()
    accepted = peers.accepted
    with pytest.raises(PeerUnreachable, match="egress policy"):
        await timed_dial(allow=lambda address: False)
    assert peers.accepted == accepted


async def test_egress_policy(peers):
    """The policy is asked about the address itself, and no connection is made when it says no."""
    port = await peers.serve(until_eof)
    asked = []

    def refuse(address: str) -> bool:
        asked.append(address)
        return False

    with pytest.raises(PeerUnreachable, match="egress policy"):
        await dial("127.0.0.1", port, deadlines=PATIENT, allow=refuse)
    assert asked == ["127.0.0.1"]
    assert peers.accepted == 0
    (await dial("127.0.0.1", port, deadlines=PATIENT, allow=lambda address: address == "127.0.0.1")).close()


async def test_tls(peers, server_tls, client_tls):
    """A peer with a certificate from a known authority is connected to."""
    port = await peers.serve(until_eof, server_tls)
    (await dial("localhost", port, tls=client_tls, deadlines=PATIENT)).close()


async def test_extra_authority(peers, server_tls, authority, tmp_path):
    """An authority from a file is trusted besides the system's; a file without one is an OSError."""
    port = await peers.serve(until_eof, server_tls)
    ca_file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(ca_file))
    (await dial("127.0.0.1", port, tls=client_context(ca_file), deadlines=PATIENT)).close()
    no_ca_file = tmp_path / "empty.pem"
    no_ca_file.write_text("no certificate")
    with pytest.raises(OSError, match=r".+"):
        client_context(no_ca_file)


async def test_unknown_authority(peers, server_tls):
    """A certificate nobody vouches for is refused, and the words say that it was the certificate."""
    port = await peers.serve(until_eof, server_tls)
    with pytest.raises(PeerUnreachable, match=r"^TLS handshake with localhost:\d+ failed: certificate refused: unable"):
        await dial("localhost", port, tls=client_context(), deadlines=PATIENT)
    await peers.all_closed()


async def test_certificate_of_another_host(peers, authority, client_tls):
    """A certificate for another name is refused."""
    other = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("elsewhere.example").configure_cert(other)
    port = await peers.serve(until_eof, other)
    with pytest.raises(PeerUnreachable, match="certificate refused: Hostname mismatch"):
        await dial("localhost", port, tls=client_tls, deadlines=PATIENT)


async def test_tls_deadline(peers, client_tls):
    """A peer that takes the connection and says nothing costs the TLS deadline."""
    port = await peers.serve(until_eof)
    with pytest.raises(PeerUnreachable, match=r"^TLS handshake with localhost:\d+ timed out after 0.05 s$"):
        await dial("localhost", port, tls=client_tls, deadlines=Deadlines(tls=SHORT))
    await peers.all_closed()


async def test_peer_closes_in_the_tls_handshake(peers, client_tls):
    """A peer that closes or resets within the TLS handshake is unreachable at that step."""

    async def close(reader, writer):
        await reader.read(1)

    port = await peers.serve(close)
    with pytest.raises(PeerUnreachable, match=r"^TLS handshake with localhost:\d+ failed: "):
        await dial("localhost", port, tls=client_tls, deadlines=PATIENT)


async def test_peer_without_tls(peers, client_tls):
    """It was told as "wrong version number", which nobody understands."""

    async def plain(reader, writer):
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await reader.read()

    port = await peers.serve(plain)
    with pytest.raises(PeerUnreachable, match=r"^TLS handshake with localhost:\d+ failed: the peer does not speak TLS"):
        await dial("localhost", port, tls=client_tls, deadlines=PATIENT)


async def test_cancel_at_each_await(peers, server_tls, client_tls, cancel_at_each_await):
    """Wherever a dial is cancelled, no socket stays open."""
    port = await peers.serve(until_eof, server_tls)
    awaits = await cancel_at_each_await(lambda: dial("localhost", port, tls=client_tls, deadlines=PATIENT))
    assert awaits >= 3  # resolve, connect, TLS
