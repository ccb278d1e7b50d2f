"""Whom clients trust: the system's authorities, read when they are needed, and those of a file."""

import socket
import ssl
from pathlib import Path

import pytest
import trustme

from streamferry.media.url import MediaUrl
from streamferry.net.trust import Trust
from streamferry.prepare.origin import open_client
from streamferry.prepare.route import Route
from streamferry.relay.network import Network

_LIKE_THE_DEFAULT = ("verify_mode", "verify_flags", "check_hostname", "options", "minimum_version", "maximum_version")


@pytest.fixture
def authority(tmp_path: Path) -> Path:
    """The certificate of one in a file, with its key, as some keep it."""
    path = tmp_path / "authority.pem"
    ca = trustme.CA()
    path.write_bytes("# Città\n".encode() + ca.private_key_pem.bytes() + ca.cert_pem.bytes())
    return path


def test_it_judges_as_pythons_default() -> None:
    """By the same authorities and rules, once it has read them."""
    trust, default = Trust(), ssl.create_default_context()
    trust.read()
    assert trust.get_ca_certs() == default.get_ca_certs()
    assert {name: getattr(trust, name) for name in _LIKE_THE_DEFAULT} == {
        name: getattr(default, name) for name in _LIKE_THE_DEFAULT
    }


@pytest.mark.parametrize("way", ["wrap_socket", "wrap_bio"])
def test_the_systems_authorities_are_read_before_a_peer_is_judged(way: str) -> None:
    """They were read by each relay and each preparation, up to 40 ms of CPU."""
    trust = Trust()
    assert (trust.get_ca_certs(), trust.is_read) == ([], False)
    if way == "wrap_bio":
        trust.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_hostname="h.example")
    else:
        with socket.socket() as sock, trust.wrap_socket(sock, server_hostname="h.example"):
            pass
    assert trust.is_read
    assert trust.get_ca_certs() == ssl.create_default_context().get_ca_certs()


def test_what_is_passed_on_is_what_stands_beside_the_systems(authority: Path) -> None:
    """A preparation was told all of the system's, too, 200 KB of a job; never what else is in the file."""
    trust = Trust(ca_file=authority)
    trust.read()
    assert trust.beside.count("BEGIN") == 1
    assert "CERTIFICATE" in trust.beside
    (one,) = Trust(pem=trust.beside).get_ca_certs()
    assert one in trust.get_ca_certs()
    assert len(trust.get_ca_certs()) == len(ssl.create_default_context().get_ca_certs()) + 1


def test_where_nothing_has_tls_nothing_is_read() -> None:
    """Neither for the peers of relays nor for origins over HTTP."""
    assert not Network(tls=Trust()).tls.is_read
    assert not Route().client_options()["verify"].is_read


async def test_for_an_origin_over_https_they_are_read_where_no_stream_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """As its client is opened, in a thread."""
    read: list[Trust] = []
    monkeypatch.setattr(Trust, "read", lambda self: read.append(self))
    for address, count in (("http://h.example/a.mp4", 0), ("https://h.example/a.mp4", 1)):
        await open_client(Route(), MediaUrl.parse(address)).aclose()
        assert len(read) == count


def test_a_file_without_an_authority_is_told(tmp_path: Path) -> None:
    """As Python tells it."""
    (tmp_path / "empty").touch()
    for path in (tmp_path / "none", tmp_path / "empty"):
        with pytest.raises(OSError, match=r".+"):
            Trust(ca_file=path)
