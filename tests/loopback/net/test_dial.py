"""net.dial against peers that refuse, say nothing or speak something else."""

import asyncio
import socket
import ssl
import time
from collections.abc import Iterator

import pytest

from streamferry.media.errors import PeerUnreachable
from streamferry.net import names
from streamferry.net.dial import Deadlines, _connect_first, client_context, dial

SHORT = 0.05
PATIENT = Deadlines()


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
    monkeypatch.setattr(names, "_answered_at", time.monotonic())
    with pytest.raises(PeerUnreachable, match=r"^resolving localhost timed out after 0 s$"):
        await dial("localhost", 80, deadlines=Deadlines(resolve=0))


async def test_host_that_is_no_name():
    """A host that cannot be a name is unreachable, not a crash."""
    with pytest.raises(PeerUnreachable, match=r"^resolving a\.\.b failed"):
        await dial("a..b", 80, deadlines=PATIENT)


async def test_first_address_refuses(peers, closed_port):
    """An address that refuses is followed by the next one."""
    port = await peers.serve(until_eof)
    addresses = [(socket.AF_INET, ("127.0.0.1", closed_port)), (socket.AF_INET, ("127.0.0.1", port))]
    (await _connect_first(addresses, 5)).close()


async def test_first_address_is_silent(peers, deaf_port):
    """An address that does not answer leaves its share of the deadline to the next one."""
    port = await peers.serve(until_eof)
    addresses = [(socket.AF_INET, ("127.0.0.1", deaf_port)), (socket.AF_INET, ("127.0.0.1", port))]
    async with asyncio.timeout(2 * SHORT):
        (await _connect_first(addresses, 2 * SHORT)).close()


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
    """A peer that answers in plain text is told apart by name of the step."""

    async def plain(reader, writer):
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await reader.read()

    port = await peers.serve(plain)
    with pytest.raises(PeerUnreachable, match=r"^TLS handshake with localhost:\d+ failed: [a-z ]+$"):
        await dial("localhost", port, tls=client_tls, deadlines=PATIENT)


async def test_cancel_at_each_await(peers, server_tls, client_tls, cancel_at_each_await):
    """Wherever a dial is cancelled, no socket stays open."""
    port = await peers.serve(until_eof, server_tls)
    awaits = await cancel_at_each_await(lambda: dial("localhost", port, tls=client_tls, deadlines=PATIENT))
    assert awaits >= 3  # resolve, connect, TLS
