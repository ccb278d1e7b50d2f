"""How a client asks a proxy for a connection: SOCKS5 and HTTP CONNECT, as conversations without I/O.

A conversation is a generator. It yields what to send and what to read next: a number of bytes, or a mark up to which
to read. It is sent what was read, and ends when the proxy has connected: not one byte more has been read then, because
the next one is the peer's. Specification: RFC 1928 (SOCKS5), RFC 1929 (user and password), RFC 9110, 9.3.6 (CONNECT)
and 11.7 (authentication to proxies), RFC 7617 (Basic).
"""

import re
from base64 import b64encode
from collections.abc import Generator
from http import HTTPStatus
from ipaddress import IPv4Address, ip_address

from streamferry.reasons import Code, InvalidValue, Reason

#: What to send, and how much to read.
Turn = tuple[bytes, int | bytes]
Conversation = Generator[Turn, bytes, None]
#: Of the answer to CONNECT.
MAX_HEAD_BYTES = 16 << 10
HEAD_END = b"\r\n\r\n"

_NO_CREDENTIALS, _USER_AND_PASSWORD, _NONE_OF_THESE = 0, 2, 0xFF
_ADDRESS_BYTES = {1: 4, 4: 16}
# RFC 1928, 6.
_REPLIES = {
    1: "general SOCKS server failure",
    2: "connection not allowed by ruleset",
    3: "network unreachable",
    4: "host unreachable",
    5: "connection refused",
    6: "TTL expired",
    7: "command not supported",
    8: "address type not supported",
}
_STATUS_LINE = re.compile(rb"HTTP/1\.[01] (\d{3})(?: |\r)")


class ProxyRefused(InvalidValue):
    """The proxy answered, and does not connect. ``wants_credentials``: it asks for a user and a password, or others."""

    def __init__(self, words: str, *, wants_credentials: bool = False) -> None:
        super().__init__(Code.PEER_REFUSED, peer="proxy", words=words)
        self.words = words
        self.wants_credentials = wants_credentials


class NotAProxy(InvalidValue):
    """What answers speaks something else."""

    def __init__(self) -> None:
        super().__init__(Reason.of(Code.PEER_NOT_A_PROXY))


def ask_socks5(host: str, port: int, credentials: tuple[str, str] | None) -> Conversation:
    """Ask for a connection to a name or an address. Raises ProxyRefused and NotAProxy."""
    methods = bytes((_NO_CREDENTIALS, _USER_AND_PASSWORD) if credentials else (_NO_CREDENTIALS,))
    version, method = yield bytes((5, len(methods))) + methods, 2
    if version != 5:
        raise NotAProxy
    if method == _USER_AND_PASSWORD and credentials:
        user, password = (part.encode() for part in credentials)
        _, status = yield b"\x01" + bytes((len(user),)) + user + bytes((len(password),)) + password, 2
        if status:
            raise ProxyRefused("user and password", wants_credentials=True)
    elif method == _NONE_OF_THESE:
        raise ProxyRefused("authentication", wants_credentials=True)
    elif method != _NO_CREDENTIALS:
        raise NotAProxy
    head = yield b"\x05\x01\x00" + _address(host) + port.to_bytes(2, "big"), 4
    version, reply, _, kind = head
    if version != 5:
        raise NotAProxy
    if reply:
        raise ProxyRefused(_REPLIES.get(reply, f"reply {reply}"))
    if kind == 3:
        (size,) = yield b"", 1
    elif kind in _ADDRESS_BYTES:
        size = _ADDRESS_BYTES[kind]
    else:
        raise NotAProxy
    yield b"", size + 2  # From where it connects, which says nothing to us.


def _address(host: str) -> bytes:
    try:
        address = ip_address(host)
    except ValueError:
        name = host.encode("idna")
        return b"\x03" + bytes((len(name),)) + name
    return (b"\x01" if isinstance(address, IPv4Address) else b"\x04") + address.packed


def ask_connect(host: str, port: int, credentials: tuple[str, str] | None) -> Conversation:
    """The same of an HTTP proxy."""
    name = host.encode("idna").decode("ascii") if not host.isascii() else host
    target = f"[{name}]:{port}" if ":" in name else f"{name}:{port}"
    lines = [f"CONNECT {target} HTTP/1.1", f"Host: {target}"]
    if credentials is not None:
        lines.append("Proxy-Authorization: Basic " + b64encode(":".join(credentials).encode()).decode("ascii"))
    head = yield "\r\n".join((*lines, "", "")).encode("ascii"), HEAD_END
    found = _STATUS_LINE.match(head)
    if found is None or not head.endswith(HEAD_END):
        raise NotAProxy
    status = int(found[1])
    if not 200 <= status < 300:
        known = HTTPStatus(status).phrase if status in HTTPStatus._value2member_map_ else ""
        raise ProxyRefused(
            f"{status} {known}".rstrip(), wants_credentials=status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED
        )
