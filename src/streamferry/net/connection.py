"""Connection: one TCP or TLS connection, awaited during setup, then driven by plain calls.

Steady media is moved by a beat that visits many connections in one synchronous call chain, so a connection is a
non-blocking socket and not an asyncio transport: ``recv_into`` and ``send`` return at once and await nothing.
``read`` and ``write`` are for what comes before: handshakes, requests, commands. They wait with the event loop's
reader and writer callbacks, which asyncio and uvloop both have. They have no timeout: the caller sets the deadline.

This module does not resolve, connect or retry (``dial`` does the first two, a relay's run the third), and it does not
say whose fault an ``OSError`` is.
"""

import asyncio
import errno
import os
import socket
import ssl
import struct
from collections.abc import Callable, Sequence
from contextlib import suppress
from fcntl import ioctl
from os import sendfile
from sys import byteorder
from termios import TIOCOUTQ
from time import CLOCK_BOOTTIME, clock_gettime
from typing import Protocol

from streamferry.net.fence import Fence
from streamferry.net.half_open import Ends
from streamferry.net.tcp_info import TcpInfo, tcp_info

#: What a connection sends: pieces gathered by one system call.
Buffers = Sequence[bytes | memoryview]

# Linux takes at most this many pieces in one sendmsg (limits.h: IOV_MAX).
IOV_MAX = 1024
# Plain text of one TLS record at most (RFC 8446, 5.1).
_TLS_RECORD_BYTES = 16384
_FOUR_BYTES = bytes(4)
# socket(7): linger for 0 s, so that closing sends a reset and forgets what was not delivered.
_NO_LINGER = struct.pack("ii", 1, 0)


class SendableFile(Protocol):
    """A file that is open and mapped."""

    @property
    def descriptor(self) -> int:
        """Of the open file."""

    def view(self) -> memoryview:
        """Its bytes."""


class Connection:
    """A connected, non-blocking TCP socket. Made by :func:`streamferry.net.dial.dial`; belongs to one event loop."""

    __slots__ = (
        "_fd",
        "_fence",
        "_loop",
        "_recv_into",
        "_sendmsg",
        "_sock",
        "peer",
    )

    #: ``host:port`` of the peer, for the user.
    peer: str
    #: Whether bytes that count as taken are still here; ``send(())`` puts them out.
    is_holding = False

    def __init__(self, sock: socket.socket, peer: str, fence: Fence | None = None) -> None:
        """Take over ``sock``, which is connected and non-blocking. Needs a running event loop."""
        self.peer = peer
        self._sock = sock
        self._fence = fence or Fence()
        self._fd = sock.fileno()
        self._loop = asyncio.get_running_loop()
        self._recv_into = sock.recv_into
        self._sendmsg = sock.sendmsg

    @property
    def peer_address(self) -> str:
        """IP address of the other end: that of a proxy, if there is one."""
        return str(self._sock.getpeername()[0])

    @property
    def local_address(self) -> str:
        """IP address of this end."""
        return str(self._sock.getsockname()[0])

    async def read(self, max_bytes: int = 65536) -> bytes:
        """Wait for bytes and return at most ``max_bytes`` of them; ``b""`` once the peer has closed. Raises OSError.

        The event loop has its turn in between, also if a peer sends faster than what it sends is read.
        """
        await asyncio.sleep(0)
        buffer = memoryview(bytearray(max_bytes))
        while (received := self.recv_into(buffer)) is None:
            await self._readable()
        # Acknowledge at once: a server without TCP_NODELAY holds back its next message until we do, up to 40 ms. The
        # kernel forgets it soon, so it is set for each read. nginx-rtmp 1.2.2 accepts a play in 1 ms instead of 45-90.
        self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        return bytes(buffer[:received])

    async def write(self, data: bytes) -> None:
        """Hand all of ``data`` to the kernel, waiting while it takes none. Raises OSError."""
        rest = memoryview(data)
        while rest:
            taken = self.send([rest])
            rest = rest[taken:]
            if not taken:
                await self._writable()

    def recv_into(self, view: memoryview) -> int | None:
        """Receive what is there now: bytes put into ``view``; 0: the peer has closed; None: nothing now.

        Raises OSError when the connection is broken.
        """
        receive = self._recv_into
        try:
            return receive(view)
        except BlockingIOError:
            return None

    def send(self, buffers: Buffers) -> int:
        """Send the pieces in order and return how many bytes of them were taken: 0 when none can be now.

        Raises OSError when the connection is broken, and past the fence.
        """
        if len(buffers) > IOV_MAX:
            return self._send_many(buffers)
        # ``Fence.check``, written out: this runs at each visit of each stream.
        if clock_gettime(CLOCK_BOOTTIME) >= self._fence.at:
            self._fence.check()
        send = self._sendmsg
        try:
            return send(buffers)
        except BlockingIOError:
            return 0

    def send_file(self, file: SendableFile, start: int, end: int) -> int:
        """The same of a stretch of a file: the kernel takes it from its cache, and nothing copies it."""
        if clock_gettime(CLOCK_BOOTTIME) >= self._fence.at:
            self._fence.check()
        try:
            return sendfile(self._fd, file.descriptor, start, end - start)
        except BlockingIOError:
            return 0

    def _send_many(self, buffers: Buffers) -> int:
        taken = 0
        for first in range(0, len(buffers), IOV_MAX):
            group = buffers[first : first + IOV_MAX]
            sent = self.send(group)
            taken += sent
            if sent < sum(map(len, group)):
                break
        return taken

    def unacked_bytes(self) -> int:
        """Bytes sent which the peer's TCP has not acknowledged yet (Linux SIOCOUTQ, which equals TIOCOUTQ).

        This is what tells a peer that takes media from one that is gone while its connection still stands. A connection
        that the peer has reset still tells it; one that was closed here raises OSError.
        """
        if self._fd < 0:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        return int.from_bytes(ioctl(self._fd, TIOCOUTQ, _FOUR_BYTES), byteorder)

    def ends(self) -> Ends | None:
        """Of one whose peer has not acknowledged all that was sent; None for others, and for one that is closed."""
        try:
            if self.unacked_bytes():
                return Ends(self._sock.getsockname(), self._sock.getpeername())
        except OSError:
            pass
        return None

    def tcp_info(self) -> TcpInfo | None:
        """How the connection is doing; None if it is broken."""
        return tcp_info(self._sock)

    def limit_unsent(self, limit_bytes: int) -> None:
        """Have ``send`` take no more while this much waits in the kernel unsent (Linux TCP_NOTSENT_LOWAT).

        Without it the kernel buffers megabytes for a slow peer, which nobody can drop any more.
        """
        self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, limit_bytes)

    def on_readable(self, callback: Callable[[], None] | None) -> None:
        """Call ``callback`` from the event loop whenever bytes are there to receive; None: no longer.

        ``read`` uses the same place of the event loop: do not mix the two.
        """
        if callback is None:
            self._loop.remove_reader(self._fd)
        else:
            self._loop.add_reader(self._fd, callback)

    def finish_sending(self) -> None:
        """Tell the peer that nothing more will come, and go on receiving. A connection that is broken stays so."""
        with suppress(OSError):
            self._sock.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """Close the socket; the kernel still delivers what it has taken. Closing again does nothing."""
        if self._fd < 0:
            return
        self._loop.remove_reader(self._fd)
        self._loop.remove_writer(self._fd)
        self._fd = -1
        self._sock.close()

    def reset(self) -> None:
        """Close, and throw away what the kernel has not delivered yet; the peer sees a reset."""
        if self._fd >= 0:
            with suppress(OSError):
                self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
        Connection.close(self)  # Not that of TLS, which has a last word.

    async def _readable(self) -> None:
        await self._call(self._loop.add_reader, self._loop.remove_reader)

    async def _writable(self) -> None:
        await self._call(self._loop.add_writer, self._loop.remove_writer)

    async def _call(self, add: Callable[..., None], remove: Callable[[int], bool]) -> None:
        """Wait to be called by the event loop once."""
        ready = self._loop.create_future()
        add(self._fd, _resolve, ready)
        try:
            await ready
        finally:
            remove(self._fd)


class TlsConnection(Connection):
    """The same over TLS: the calls are those of :class:`Connection`, the records are OpenSSL's business.

    OpenSSL encrypts a record before it learns that the socket is full, and then insists on being given the same bytes
    again. A caller that drops old media cannot promise that, so the record is held here: it counts as taken, and the
    next ``send`` (an empty one will do) puts it out first.
    """

    _sock: ssl.SSLSocket

    def __init__(self, sock: ssl.SSLSocket, peer: str, fence: Fence | None = None) -> None:
        """Take over ``sock``, non-blocking and wrapped with ``do_handshake_on_connect=False``."""
        super().__init__(sock, peer, fence)
        self._held = b""

    async def handshake(self) -> None:
        """Do the TLS handshake. Raises OSError, of which SSLError is a kind."""
        while True:
            try:
                self._sock.do_handshake()
            except ssl.SSLWantReadError:
                await self._readable()
            except ssl.SSLWantWriteError:
                await self._writable()
            else:
                return

    async def write(self, data: bytes) -> None:
        """Hand all of ``data`` to the kernel, waiting while it takes none. Raises OSError."""
        await super().write(data)
        while self._held:
            await self._writable()
            self.send(())

    def recv_into(self, view: memoryview) -> int | None:
        """See :meth:`Connection.recv_into`. Takes as many records as are there: OpenSSL gives one at a time.

        A peer that resets the connection may read as closed (0): the ssl module tells no difference.
        """
        received = 0
        while received < len(view):
            try:
                count = self._recv_into(view[received:])
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
                return received or None
            except ssl.SSLZeroReturnError:  # The peer's end, as OpenSSL puts it once we have sent ours.
                break
            except OSError:
                if received:
                    return received  # What arrived counts; a broken connection says so again at the next call.
                raise
            if not count:
                break
            received += count
        return received

    def send(self, buffers: Buffers) -> int:
        """See :meth:`Connection.send`."""
        self._fence.check()
        if self._held:
            if not self._send_record(self._held):
                return 0
            self._held = b""
            self.is_holding = False
        data = memoryview(buffers[0] if len(buffers) == 1 else b"".join(buffers))
        taken = 0
        while taken < len(data):
            record = data[taken : taken + _TLS_RECORD_BYTES]
            taken += len(record)
            if not self._send_record(record):
                self._held = bytes(record)
                self.is_holding = True
                break
        return taken

    def send_file(self, file: SendableFile, start: int, end: int) -> int:
        """See :meth:`Connection.send_file`. It has to be encrypted here."""
        return self.send((file.view()[start:end],))

    def _send_record(self, record: bytes | memoryview) -> bool:
        """Write one record; False when OpenSSL wants it again, unchanged."""
        try:
            self._sock.send(record)
        except (ssl.SSLWantWriteError, ssl.SSLWantReadError):
            return False
        return True

    def unacked_bytes(self) -> int:
        """See :meth:`Connection.unacked_bytes`; in bytes of records, the held one included."""
        return super().unacked_bytes() + len(self._held)

    def on_readable(self, callback: Callable[[], None] | None) -> None:
        """See :meth:`Connection.on_readable`. Bytes already decrypted count once: the socket will not tell of them."""
        super().on_readable(callback)
        if callback is not None and self._sock.pending():
            self._loop.call_soon(callback)

    def finish_sending(self) -> None:
        """See :meth:`Connection.finish_sending`. Says so in TLS first (close_notify)."""
        self._notify_close()
        with suppress(OSError):
            socket.socket.shutdown(self._sock, socket.SHUT_WR)  # SSLSocket.shutdown would end receiving in TLS.

    def close(self) -> None:
        """Tell the peer that this end was meant (close_notify), as far as it can be sent now, and close."""
        if self._fd >= 0:
            self._notify_close()
        super().close()

    def _notify_close(self) -> None:
        with suppress(OSError, ValueError):
            self._sock.unwrap()


def _resolve(ready: "asyncio.Future[None]") -> None:
    if not ready.done():
        ready.set_result(None)
