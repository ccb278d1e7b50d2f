"""An SRT socket that sends, by the library libsrt, driven by plain calls that never wait.

ffmpeg is not used for sending: it takes a stream id and a passphrase only on its command line, where others can read
them, and only the library reports what the peer has acknowledged. For receiving, ffmpeg is good enough.

The library has threads of its own, which do the sending and resending. It comes with the system (Debian:
libsrt1.5-gnutls or libsrt1.5-openssl).

Specification: draft-sharabayko-srt; API of libsrt 1.4 and later (its docs/API).
"""

import asyncio
import ctypes
import socket
import struct
from ctypes import byref, c_char_p, c_int, c_size_t, c_void_p
from dataclasses import dataclass
from functools import cache
from typing import Any, Unpack
from urllib.parse import unquote

from streamferry.media.errors import (
    PeerBusy,
    PeerLacking,
    PeerRefusedLogin,
    PeerRejected,
    PeerUnreachable,
    own_lack,
)
from streamferry.media.url import MediaUrl
from streamferry.net.dial import Deadlines, DialOptions, resolve, step
from streamferry.net.fence import Fence
from streamferry.net.listening import srt_mode
from streamferry.net.race import in_order, race, remember
from streamferry.reasons import Code, InvalidValue, Reason, ReasonCode, Reasoned, Value
from streamferry.wire.ts import TS_PACKET_BYTES

#: Largest message in live mode: seven packets of MPEG-TS.
MESSAGE_BYTES = 7 * TS_PACKET_BYTES

_NAMES = ("libsrt-gnutls.so.1.5", "libsrt-openssl.so.1.5", "libsrt.so.1.5", "libsrt-gnutls.so.1.4", "libsrt.so.1.4")
# srt.h, SRT_SOCKOPT.
_SNDSYN, _RCVSYN, _SENDER, _LATENCY, _PASSPHRASE, _PBKEYLEN, _CONNTIMEO, _STREAMID = 1, 2, 21, 23, 26, 27, 36, 46
_PEERLATENCY = 44
# srt.h, SRT_SOCKSTATUS: any other status means that the connection is over.
_CONNECTING, _CONNECTED = 4, 5
# srt.h, SRT_ERRNO: the send buffer is full; nobody to accept.
_EASYNCSND, _EASYNCRCV = 6001, 6002
_POLL_S = 0.02
# access_control.h and srt.h, SRT_REJECT_REASON: why a listener refuses. Of its own reasons the library knows no words.
_LOGIN_REASONS = {
    10: Code.SRT_BAD_PASSPHRASE,
    11: Code.SRT_NO_PASSPHRASE,
    1401: Code.SRT_UNAUTHORIZED,
    1403: Code.SRT_FORBIDDEN,
}
_BUSY_REASONS = {1409: Code.SRT_CONFLICT, 1423: Code.SRT_CONFLICT}
_OTHER_REASONS = {
    1400: Code.SRT_BAD_REQUEST,
    1402: Code.SRT_OVERLOADED,
    1404: Code.SRT_NOT_FOUND,
    1405: Code.SRT_BAD_MODE,
    1406: Code.SRT_UNACCEPTABLE,
    1415: Code.SRT_UNACCEPTABLE,
    1500: Code.SRT_SERVER_FAILED,
    1503: Code.SRT_SERVER_DOWN,
}
# The first of the reasons that the listener's application chose.
_APPLICATION_REASONS = 1000


class LibraryMissing(Reasoned):
    """libsrt is not installed on this machine."""


@dataclass(frozen=True, slots=True)
class SrtOptions:
    """The options in the query of an SRT address, with ffmpeg's names and units: ``latency`` is in microseconds."""

    is_listener: bool = False
    stream_id: str = ""
    passphrase: str = ""
    key_bytes: int = 0
    latency_ms: int | None = None

    @classmethod
    def of(cls, url: MediaUrl) -> "SrtOptions":
        """Parse the query; unknown options are ignored. Raises ValueError for an invalid number."""
        # Not parse_qs: in a stream id a plus is a plus.
        fields = dict(field.partition("=")[::2] for field in url.query.split("&"))
        values = {name: unquote(value) for name, value in fields.items()}
        try:
            latency = int(values["latency"]) // 1000 if "latency" in values else None
            return cls(
                is_listener=srt_mode(url) == "listener",
                stream_id=values.get("streamid", ""),
                passphrase=values.get("passphrase", ""),
                key_bytes=int(values.get("pbkeylen", "0")),
                latency_ms=latency,
            )
        except ValueError:
            raise InvalidValue(Code.SRT_BAD_NUMBER) from None


class SrtSender:
    """A connected SRT socket. Made by :func:`open_sender`."""

    def __init__(self, handle: int, peer: str, fence: Fence) -> None:
        self._library = _library()
        self._fence = fence
        self._handle = handle
        self.peer = peer

    def send(self, message: bytes) -> bool:
        """Pass one message of at most MESSAGE_BYTES to the library; False when its buffer is full. Raises OSError,
        also past the fence.
        """
        self._fence.check()
        if self._library.srt_sendmsg2(self._handle, message, len(message), None) >= 0:
            return True
        if self._library.srt_getlasterror(None) == _EASYNCSND:
            return False
        raise OSError(_last_error(self._library))

    def unacked_bytes(self) -> int:
        """Bytes that were sent and neither acknowledged by the peer nor dropped as too late."""
        size = c_size_t()
        blocks = c_size_t()
        self._library.srt_getsndbuffer(self._handle, byref(blocks), byref(size))
        return size.value

    @property
    def peer_latency_s(self) -> float:
        """For how long the peer keeps what it has received before it hands it on: what both ends have agreed upon."""
        value, size = c_int(), c_int(ctypes.sizeof(c_int))
        if self._library.srt_getsockflag(self._handle, _PEERLATENCY, byref(value), byref(size)) < 0:
            return 0.0
        return value.value / 1000

    @property
    def is_connected(self) -> bool:
        """Whether the peer is there; it counts as lost when it has been silent for 5 s."""
        return bool(self._library.srt_getsockstate(self._handle) == _CONNECTED)

    def close(self) -> None:
        """Close the socket; what is not acknowledged may be lost, and so may what the peer has not handed on yet
        (``peer_latency_s``). Closing again does nothing."""
        if self._handle >= 0:
            self._library.srt_close(self._handle)
            self._handle = -1


async def open_sender(url: MediaUrl, **network: Unpack[DialOptions]) -> SrtSender:
    """Call the address, or with ``mode=listener`` wait there until somebody calls, however long that takes.

    Raises PeerUnreachable, PeerRejected, LibraryMissing, and ValueError for options that SRT does not take.
    """
    options, deadlines = SrtOptions.of(url), network["deadlines"]
    library = _library()
    # A listener may have no host: the address to bind is ours.
    if options.is_listener:
        family = socket.AF_INET6 if ":" in url.host else socket.AF_INET
        async with step(Reason.of(Code.STEP_SRT_LISTENING, port=url.port), deadlines.resolve):
            found = await asyncio.get_running_loop().getaddrinfo(url.host or "0.0.0.0", url.port, family=family)
        return await _accept(library, _packed(found[0][0], found[0][4]), options, url, deadlines)
    addresses = await resolve(url.host, url.port, deadlines=deadlines, allow=network.get("allow"))
    in_turn = in_order(url.host, url.port, addresses)
    address, sender = await race(
        in_turn, lambda address: _call(library, _packed(*address), options, url, deadlines), SrtSender.close
    )
    remember(url.host, url.port, address)
    return sender


async def _call(library: Any, address: bytes, options: SrtOptions, url: MediaUrl, deadlines: Deadlines) -> SrtSender:
    peer = f"{url.host}:{url.port}"
    handle = _new_socket(library, options)
    try:
        _set(library, handle, _CONNTIMEO, struct.pack("i", round(deadlines.connect * 1000)), "connect timeout")
        if library.srt_connect(handle, address, len(address)) < 0:
            raise _failure(library, Code.PEER_STEP_FAILED, step=Reason.of(Code.STEP_CONNECTING, peer=peer))
        # The library's own deadline comes first, and gives the reason.
        async with step(Reason.of(Code.STEP_SRT_HANDSHAKE, peer=peer), deadlines.connect + 1):
            while (state := library.srt_getsockstate(handle)) <= _CONNECTING:  # noqa: ASYNC110 - libsrt has no descriptor to wait for
                await asyncio.sleep(_POLL_S)
        if state != _CONNECTED:
            raise _not_connected(library, handle, peer)
    except BaseException:
        library.srt_close(handle)
        raise
    return SrtSender(handle, peer, deadlines.fence)


async def _accept(library: Any, address: bytes, options: SrtOptions, url: MediaUrl, deadlines: Deadlines) -> SrtSender:
    listener = _new_socket(library, options)
    try:
        if library.srt_bind(listener, address, len(address)) < 0 or library.srt_listen(listener, 1) < 0:
            raise _failure(library, Code.SRT_PORT_UNUSABLE, port=url.port)
        while (handle := library.srt_accept(listener, None, None)) < 0:
            if library.srt_getlasterror(None) != _EASYNCRCV:
                raise _failure(library, Code.PEER_STEP_FAILED, step=Reason.of(Code.STEP_SRT_ACCEPTING, port=url.port))
            await asyncio.sleep(_POLL_S)
    finally:
        library.srt_close(listener)
    return SrtSender(handle, f"a caller of port {url.port}", deadlines.fence)


def _new_socket(library: Any, options: SrtOptions) -> int:
    handle = int(library.srt_create_socket())
    if handle < 0:
        raise PeerLacking(Code.SRT_NO_SOCKET, words=_last_error(library))
    try:
        for option in (_SNDSYN, _RCVSYN):
            _set(library, handle, option, struct.pack("i", 0), "mode")
        _set(library, handle, _SENDER, struct.pack("i", 1), "mode")
        if options.latency_ms is not None:
            _set(library, handle, _LATENCY, struct.pack("i", options.latency_ms), "latency")
        if options.key_bytes:
            _set(library, handle, _PBKEYLEN, struct.pack("i", options.key_bytes), "pbkeylen (16, 24 or 32)")
        if options.passphrase:
            _set(library, handle, _PASSPHRASE, options.passphrase.encode(), "passphrase (10 to 79 characters)")
        if options.stream_id and not options.is_listener:
            _set(library, handle, _STREAMID, options.stream_id.encode(), "stream id (up to 512 characters)")
    except BaseException:
        library.srt_close(handle)
        raise
    return handle


def _set(library: Any, handle: int, option: int, value: bytes, name: str) -> None:
    if library.srt_setsockflag(handle, option, value, len(value)) < 0:
        raise InvalidValue(Code.SRT_BAD_OPTION, name=name)


def _not_connected(library: Any, handle: int, peer: str) -> PeerRejected | PeerUnreachable:
    reason = library.srt_getrejectreason(handle)
    for kind, reasons in (
        (PeerRefusedLogin, _LOGIN_REASONS),
        (PeerBusy, _BUSY_REASONS),
        (PeerRejected, _OTHER_REASONS),
    ):
        if (code := reasons.get(reason)) is not None:
            return kind(Code.PEER_REFUSED, peer=peer, words=Reason.of(code))
    if reason >= _APPLICATION_REASONS:
        return PeerRejected(Code.PEER_REFUSED, peer=peer, words=Reason.of(Code.PEER_REASON_NUMBER, number=reason))
    # 0 is unknown, 1 a system call; SRT_REJ_TIMEOUT (16 in 1.5) means no answer, not a refusal.
    words = (library.srt_rejectreason_str(reason) or b"").decode(errors="replace").lower()
    if reason > 1 and "timeout" not in words:
        return PeerRejected(
            Code.PEER_REFUSED, peer=peer, words=words or Reason.of(Code.PEER_REASON_NUMBER, number=reason)
        )
    connecting = Reason.of(Code.STEP_CONNECTING, peer=peer)
    return PeerUnreachable(Code.PEER_STEP_FAILED, step=connecting, why=Reason.of(Code.PEER_SILENT))


def _packed(family: int, address: tuple[Any, ...]) -> bytes:
    """A struct sockaddr_in or sockaddr_in6 (ip(7), ipv6(7))."""
    host, port = address[:2]
    head = struct.pack("=H", family) + struct.pack("!H", port)
    if family == socket.AF_INET6:
        return head + struct.pack("=I16sI", 0, socket.inet_pton(family, host), address[3])
    return head + socket.inet_pton(family, host) + bytes(8)


def _failure(library: Any, code: ReasonCode, **params: Value) -> PeerUnreachable:
    """The library's last error, which may be one of the system's, as the ``why`` of a code."""
    number = c_int()
    library.srt_getlasterror(byref(number))
    if (lack := own_lack(OSError(number.value, ""))) is not None:
        return PeerLacking(code, **params, why=lack)
    return PeerUnreachable(code, **params, why=_last_error(library))


def _last_error(library: Any) -> str:
    return str((library.srt_getlasterror_str() or b"").decode(errors="replace"))


@cache
def _library() -> Any:
    """libsrt, loaded and started once. Raises LibraryMissing; PeerLacking if it is installed but cannot be loaded."""
    lack = ""
    for name in _NAMES:
        try:
            library = ctypes.CDLL(name)
        except OSError as error:  # The error has no number, only the loader's message.
            lack = lack if "No such file" in str(error) else str(error)
            continue
        library.srt_getlasterror_str.restype = c_char_p
        library.srt_rejectreason_str.restype = c_char_p
        library.srt_connect.argtypes = library.srt_bind.argtypes = [c_int, c_char_p, c_int]
        library.srt_accept.argtypes = [c_int, c_void_p, c_void_p]
        library.srt_sendmsg2.argtypes = [c_int, c_char_p, c_int, c_void_p]
        library.srt_setsockflag.argtypes = [c_int, c_int, c_char_p, c_int]
        library.srt_getsockflag.argtypes = [c_int, c_int, c_void_p, c_void_p]
        library.srt_setloglevel(2)  # Critical messages only: it logs to our standard error.
        library.srt_startup()
        return library
    if lack:
        raise PeerLacking(Code.SRT_NOT_LOADED, words=lack)
    raise LibraryMissing(Code.SRT_NO_LIBRARY)
