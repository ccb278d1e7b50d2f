"""Receives datagrams of MPEG-TS from a port or a multicast group, by plain calls. It sends nothing.

A datagram may carry RTP around it (RFC 3550, RFC 2250): that is taken off, and by its numbers those are put back in
order that overtook each other on the way.
"""

import contextlib
import errno
import os
import socket
import struct
from pathlib import Path

from streamferry.net.listening import DatagramPlace
from streamferry.wire.rtsp.rtp import Packet, RtpReceiver

# Half a second of 60 Mbps; the kernel grants what its limit (net.core.rmem_max) allows, and to root all. A beat that
# is later than the buffer can hold loses packets, as any UDP receiver does.
_BUFFER_BYTES = 4 << 20
_MAX_DATAGRAM_BYTES = 65536
# Taken at a time: of datagrams without a byte there is always room for one more.
_MAX_DATAGRAMS = 2000
_SO_RCVBUFFORCE = 33
_IP_ADD_SOURCE_MEMBERSHIP, _IP_MULTICAST_ALL = 39, 49
_IP_ADD_MEMBERSHIP_BYTES = struct.Struct("=4s4s")
# struct ip_mreq_source of Linux: group, interface, source.
_IP_ADD_SOURCE_MEMBERSHIP_BYTES = struct.Struct("=4s4s4s")
_IPV6_JOIN_BYTES = struct.Struct("=16sI")
# struct group_source_req of Linux (RFC 3678): index of the interface, and in 128 bytes each the group and the source.
_MCAST_JOIN_SOURCE_GROUP = 46
_GROUP_SOURCE_BYTES = struct.Struct("@I0P128s128s")
# struct sockaddr_in6: family, port and flow, address.
_SOCKADDR_IN6_BYTES = struct.Struct("@HHI16sI")
_INTERFACES6 = Path("/proc/net/if_inet6")
_TS_SYNC = 0x47
_RTP_HEAD_BYTES = 12
# Of the stamps of MPEG-TS (RFC 2250, 2).
_RTP_HZ = 90_000


class DatagramReceiver:
    """A bound, non-blocking UDP socket."""

    def __init__(self, place: DatagramPlace) -> None:
        """Bind there, and join the host if that is a multicast group. Raises OSError."""
        # What is in order now and is still to be handed out, and what puts it in order.
        self._ready: list[Packet] = []
        self._order: RtpReceiver | None = None
        host = place.host
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._sock = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        try:
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER_BYTES)
            with contextlib.suppress(PermissionError):
                self._sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER_BYTES)
            packed = socket.inet_pton(family, host) if host else b""
            is_group = packed[:1] == b"\xff" or (len(packed) == 4 and packed[0] >> 4 == 14)
            if is_group:
                # Several relays may listen to one group, but only one to a port of this machine.
                self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            # Groups of a link are those of an interface.
            index = _index_of(place.interface) if family == socket.AF_INET6 and place.interface else 0
            self._sock.bind((host, place.port, 0, index) if family == socket.AF_INET6 else (host, place.port))
            if is_group and family == socket.AF_INET6:
                self._join6(packed, index, place.senders)
            elif is_group:
                self._join(packed, place)
        except BaseException:
            self._sock.close()
            raise

    def _join(self, group: bytes, place: DatagramPlace) -> None:
        interface = socket.inet_aton(place.interface or "0.0.0.0")
        # Else a socket also gets what is sent to groups that others on this machine have joined.
        self._sock.setsockopt(socket.IPPROTO_IP, _IP_MULTICAST_ALL, 0)
        for sender in place.senders:
            membership = _IP_ADD_SOURCE_MEMBERSHIP_BYTES.pack(group, interface, socket.inet_aton(sender))
            self._sock.setsockopt(socket.IPPROTO_IP, _IP_ADD_SOURCE_MEMBERSHIP, membership)
        if not place.senders:
            membership = _IP_ADD_MEMBERSHIP_BYTES.pack(group, interface)
            self._sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, membership)

    def _join6(self, group: bytes, index: int, senders: tuple[str, ...]) -> None:
        """``index``: of the interface, 0: the system chooses."""
        for sender in senders:
            ends = (
                _SOCKADDR_IN6_BYTES.pack(socket.AF_INET6, 0, 0, one, 0)
                for one in (group, socket.inet_pton(socket.AF_INET6, sender))
            )
            membership = _GROUP_SOURCE_BYTES.pack(index, *ends)
            self._sock.setsockopt(socket.IPPROTO_IPV6, _MCAST_JOIN_SOURCE_GROUP, membership)
        if not senders:
            self._sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, _IPV6_JOIN_BYTES.pack(group, index))

    def receive_into(self, view: memoryview) -> int | None:
        """Put the available datagrams one after another into ``view``: returns the bytes, None if there are none."""
        end = self._hand_out(view, 0) if self._ready else 0
        receive_into = self._sock.recv_into
        try:
            for _ in range(_MAX_DATAGRAMS):
                if len(view) - end < _MAX_DATAGRAM_BYTES:
                    break
                size = receive_into(view[end:])
                if size and view[end] != _TS_SYNC and _is_rtp(view[end : end + size]):
                    self._put_in_order(bytes(view[end : end + size]))
                    end = self._hand_out(view, end)
                    if self._ready:
                        break
                else:
                    end += size
        except BlockingIOError:
            pass
        return end or None

    def _put_in_order(self, datagram: bytes) -> None:
        payload_type = datagram[1] & 0x7F
        if self._order is None or payload_type != self._order.payload_type:
            self._order = RtpReceiver(payload_type, _RTP_HZ, is_ordered=False)
        self._order.put(datagram, 0.0, self._ready)

    def _hand_out(self, view: memoryview, end: int) -> int:
        """Put the payloads that are ready after ``end``, as far as there is room; returns where they end."""
        count = 0
        for _, _, payload, _ in self._ready:
            if end + len(payload) > len(view):
                break
            view[end : end + len(payload)] = payload
            end, count = end + len(payload), count + 1
        del self._ready[:count]
        return end

    def close(self) -> None:
        """Close the socket. Closing again does nothing."""
        self._sock.close()


def _index_of(address: str) -> int:
    """Of the interface with this IPv6 address. Raises OSError."""
    packed = socket.inet_pton(socket.AF_INET6, address).hex()
    for line in _INTERFACES6.read_text().splitlines():
        told, index, *_ = line.split()
        if told == packed:
            return int(index, 16)
    raise OSError(errno.EADDRNOTAVAIL, os.strerror(errno.EADDRNOTAVAIL))


def _is_rtp(datagram: memoryview) -> bool:
    """Whether there is an RTP header before MPEG-TS (RFC 3550, 5.1)."""
    size = len(datagram)
    if size <= _RTP_HEAD_BYTES or datagram[0] >> 6 != 2:
        return False
    head_bytes = _RTP_HEAD_BYTES + 4 * (datagram[0] & 15)
    if datagram[0] & 0x10 and head_bytes + 4 <= size:
        head_bytes += 4 + 4 * int.from_bytes(datagram[head_bytes + 2 : head_bytes + 4])
    return head_bytes < size and datagram[head_bytes] == _TS_SYNC
