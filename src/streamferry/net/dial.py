"""Dial: from host and port to a :class:`Connection`, each step with its own deadline and its own error message.

It never retries.
"""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from ipaddress import ip_address
from typing import NotRequired, Required, TypedDict

from streamferry.media.errors import PeerForbidden, PeerLacking, PeerUnreachable, PeerUntrusted, own_lack
from streamferry.media.peer_options import NO_OPTIONS, PeerOptions
from streamferry.media.url import MediaUrl
from streamferry.net.connection import Connection, TlsConnection
from streamferry.net.fence import Fence
from streamferry.net.half_open import Ends
from streamferry.net.proxy import ask_proxy
from streamferry.net.race import Address, in_order, race, remember
from streamferry.net.resolver import is_silent, look_up
from streamferry.net.trust import Trust, client_context
from streamferry.reasons import Code, Reason, ReasonCode, Value, system_reason

#: Egress policy: may we connect to this IP address? Called after the name is resolved, with the very address used.
AllowAddress = Callable[[str], bool]


@dataclass(frozen=True, slots=True)
class Deadlines:
    """How long each step of setting up a session may take, in seconds."""

    #: Resolving the host name.
    resolve: float = 5.0
    #: Connecting TCP, over all the addresses of the name.
    connect: float = 5.0
    #: The TLS handshake.
    tls: float = 5.0
    #: The RTMP handshake.
    handshake: float = 10.0
    #: The answer to a request: an HTTP head, or an RTMP session up to the start of publish or play.
    response: float = 10.0
    #: An RTMP session with all its connections: redirects, authentication.
    session: float = 60.0
    #: After this moment nothing may be sent.
    fence: Fence = field(default_factory=Fence, compare=False)


class DialOptions(TypedDict):
    """How peers are reached: keyword arguments that are passed through to ``dial_url``."""

    deadlines: Required[Deadlines]
    #: Replaces ``client_context()`` for schemes with TLS.
    tls: NotRequired[Trust | None]
    allow: NotRequired[AllowAddress | None]
    #: By which way, and what peers are told.
    options: NotRequired[PeerOptions]


# What SOCKS5 counts with a byte (RFC 1928, 5); names of DNS are no longer.
_MAX_HOST_BYTES = 253
# How long it may take from the port that a connection had: a SYN that is lost, or answered as half open, is sent again
# after 1 s.
_AGAIN_S = 2.5
# Linux, ip(7): the port is chosen when connecting, so that one local address is good for more than 64 k connections.
_IP_BIND_ADDRESS_NO_PORT = 24


async def dial(
    host: str,
    port: int,
    *,
    tls: ssl.SSLContext | None = None,
    deadlines: Deadlines,
    allow: AllowAddress | None = None,
    options: PeerOptions = NO_OPTIONS,
    again: Ends | None = None,
) -> Connection:
    """Connect to ``host:port``, with TLS when ``tls`` is given; from the address and through the proxy of ``options``.

    ``again``: the ends that a connection had which the peer may still have open; then from the same port, if it can be.
    Raises PeerUnreachable, which names the step, and PeerRejected where a proxy refuses.
    """
    peer = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    if options.proxy is None:
        sock = await _reach(host, port, deadlines, allow, options.bind, again)
    else:
        sock = await _reach_through(options.proxy, host, port, deadlines, allow, options.bind, again)
    if tls is None:
        return Connection(sock, peer, deadlines.fence)
    async with step(Reason.of(Code.STEP_TLS, peer=peer), deadlines.tls):
        return await _secure(sock, peer, host, tls, deadlines.fence)


async def dial_url(
    url: MediaUrl,
    *,
    deadlines: Deadlines,
    tls: ssl.SSLContext | None = None,
    allow: AllowAddress | None = None,
    options: PeerOptions = NO_OPTIONS,
    again: Ends | None = None,
) -> Connection:
    """Connect to where an address points, with TLS if its scheme has it. Otherwise as :func:`dial`."""
    context = (tls or client_context()) if url.uses_tls else None
    return await dial(url.host, url.port, tls=context, deadlines=deadlines, allow=allow, options=options, again=again)


async def _reach(
    host: str, port: int, deadlines: Deadlines, allow: AllowAddress | None, bind: str, again: Ends | None
) -> socket.socket:
    peer = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    addresses = await resolve(host, port, deadlines=deadlines, allow=allow)
    connecting = Reason.of(Code.STEP_CONNECTING, peer=peer)
    if bind:
        family = socket.AF_INET if ip_address(bind).version == 4 else socket.AF_INET6
        addresses = [one for one in addresses if one[0] == family]
        if not addresses:
            why = Reason.of(Code.PEER_BIND_FAMILY, bind=bind)
            raise PeerUnreachable(Code.PEER_STEP_FAILED, step=connecting, why=why)
    async with step(connecting, deadlines.connect):
        start = partial(_connect, bind=bind, again=again) if bind or again else _connect
        address, sock = await race(in_order(host, port, addresses), start, socket.socket.close)
    remember(host, port, address)
    return sock


async def _reach_through(
    proxy: MediaUrl,
    host: str,
    port: int,
    deadlines: Deadlines,
    allow: AllowAddress | None,
    bind: str,
    again: Ends | None,
) -> socket.socket:
    """The egress policy judges the proxy and the target. So under a policy names are resolved here, and the proxy is
    given the address that was judged: it might resolve the name to another one."""
    target = host
    if allow is not None or proxy.scheme == "socks5":
        addresses = await resolve(host, port, deadlines=deadlines, allow=allow)
        target = str(in_order(host, port, addresses)[0][1][0])
    else:
        try:
            is_name = len(host.encode("idna")) <= _MAX_HOST_BYTES
        except UnicodeError:
            is_name = False
        if not is_name:
            why = Reason.of(Code.PEER_NOT_A_HOST_NAME)
            raise PeerUnreachable(Code.PEER_STEP_FAILED, step=Reason.of(Code.STEP_RESOLVING, host=host[:100]), why=why)
    sock = await _reach(proxy.host, proxy.port, deadlines, allow, bind, again)
    try:
        async with step(Reason.of(Code.STEP_PROXY, proxy=proxy.authority, host=host), deadlines.response):
            await ask_proxy(sock, proxy, target, port)
    except BaseException:
        sock.close()
        raise
    return sock


async def resolve(
    host: str, port: int, *, deadlines: Deadlines, allow: AllowAddress | None = None
) -> Sequence[Address]:
    """Family and address of each endpoint of ``host`` that the egress policy allows, at least one.

    Raises PeerUnreachable, and PeerForbidden where the policy allows none.
    """
    resolving = Reason.of(Code.STEP_RESOLVING, host=host)
    try:
        async with step(resolving, deadlines.resolve):
            found = await look_up(host, port)
    except UnicodeError:  # A label that is empty or over 63 bytes fails in the idna codec.
        raise PeerUnreachable(Code.PEER_STEP_FAILED, step=resolving, why=Reason.of(Code.PEER_NOT_A_HOST_NAME)) from None
    except PeerUnreachable as error:
        if error.__cause__ is not None and is_silent(error.__cause__):
            silent = Reason.of(Code.PEER_NO_NAME_SERVER)
            raise PeerLacking(Code.PEER_STEP_FAILED, step=resolving, why=silent) from error
        raise
    addresses = [(family, address) for family, _, _, _, address in found if allow is None or allow(str(address[0]))]
    if not addresses:
        raise PeerForbidden(Code.PEER_NOT_ALLOWED, host=host)
    return addresses


@asynccontextmanager
async def step(name: Reason, seconds: float) -> AsyncIterator[None]:
    """Bound what is awaited inside, and turn its OSError into a PeerUnreachable that begins with ``name``."""
    try:
        async with asyncio.timeout(seconds) as timeout:
            yield
    except OSError as error:  # TimeoutError is an OSError.
        if timeout.expired():
            raise PeerUnreachable(Code.PEER_TIMED_OUT, step=name, seconds=seconds) from error
        if (lack := own_lack(error)) is not None:
            raise PeerLacking(Code.PEER_STEP_FAILED, step=name, why=lack) from error
        kind = PeerUntrusted if isinstance(error, ssl.SSLCertVerificationError) else PeerUnreachable
        raise kind(Code.PEER_STEP_FAILED, step=name, why=_reason(error)) from error


async def _connect(place: Address, bind: str = "", again: Ends | None = None) -> socket.socket:
    if again is not None and again.remote == place[1]:
        with suppress(OSError):
            async with asyncio.timeout(_AGAIN_S):
                sock = await _connect_from(place, lambda sock: _bind_again(sock, again))
                again.is_over = True
                return sock
    return await _connect_from(place, lambda sock: _bind(sock, bind) if bind else None)


async def _connect_from(place: Address, take_end: Callable[[socket.socket], None]) -> socket.socket:
    family, address = place
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        take_end(sock)
        await asyncio.get_running_loop().sock_connect(sock, address)
    except BaseException:
        sock.close()
        raise
    return sock


def _bind(sock: socket.socket, address: str) -> None:
    sock.setsockopt(socket.IPPROTO_IP, _IP_BIND_ADDRESS_NO_PORT, 1)
    try:
        sock.bind((address, 0))
        return
    except OSError as error:
        reason = system_reason(error.errno)
    # Not as its consequence: what is missing is not what a machine runs out of, but what the task asked for.
    raise PeerUnreachable(Code.PEER_BIND, bind=address, why=reason)


def _bind_again(sock: socket.socket, again: Ends) -> None:
    """Raises OSError: others may have the port by now, and this machine another address."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind(again.local)


async def _secure(sock: socket.socket, peer: str, host: str, tls: ssl.SSLContext, fence: Fence) -> Connection:
    try:
        if isinstance(tls, Trust) and not tls.is_read:
            # Not here: no stream would move meanwhile.
            await asyncio.to_thread(tls.read)
        secured = tls.wrap_socket(sock, server_hostname=host, do_handshake_on_connect=False)
    except ValueError as error:  # The host is not a valid server name.
        raise OSError(str(error)) from None
    finally:
        sock.close()  # If wrap_socket took the descriptor, this does nothing; otherwise it closes it.
    connection = TlsConnection(secured, peer, fence)
    try:
        await connection.handshake()
    except BaseException:
        connection.close()
        raise
    return connection


# What OpenSSL says of bytes that are no record of TLS.
_NO_TLS = frozenset(("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST", "UNKNOWN_PROTOCOL"))
_OF_RESOLVERS: dict[int, ReasonCode] = {
    socket.EAI_NONAME: Code.SYSTEM_NO_SUCH_HOST,
    socket.EAI_AGAIN: Code.SYSTEM_NAME_SERVER_SILENT,
    socket.EAI_NODATA: Code.SYSTEM_NO_ADDRESS,
}


def _reason(error: OSError) -> Value:
    if isinstance(error, ssl.SSLCertVerificationError):
        return Reason.of(Code.PEER_CERTIFICATE_REFUSED, words=error.verify_message)
    if isinstance(error, ssl.SSLEOFError):
        return Reason.of(Code.PEER_CLOSED_IN_HANDSHAKE)
    if isinstance(error, ssl.SSLError) and error.reason in _NO_TLS:
        return Reason.of(Code.PEER_NOT_TLS)
    if isinstance(error, ssl.SSLError):
        return (error.reason or "TLS error").replace("_", " ").lower()
    if error.errno is not None and error.errno > 0:  # asyncio puts the address into strerror; getaddrinfo is negative.
        return system_reason(error.errno)
    if isinstance(error, socket.gaierror) and (code := _OF_RESOLVERS.get(error.errno or 0)):
        return Reason.of(code)
    return error.strerror or str(error)
