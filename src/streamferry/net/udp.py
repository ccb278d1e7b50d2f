"""Receives datagrams of MPEG-TS from a port or a multicast group, by plain calls. It sends nothing.

A datagram may carry RTP around it (RFC 3550, RFC 2250): that is taken off.
"""

import contextlib
import socket
import struct

from streamferry.net.listening import DatagramPlace

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
_TS_SYNC = 0x47
_RTP_HEAD_BYTES = 12


class DatagramReceiver:
    """A bound, non-blocking UDP socket."""

    def __init__(self, place: DatagramPlace) -> None:
        """Bind there, and join the host if that is a multicast group. Raises OSError."""
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
            self._sock.bind((host, place.port))
            if is_group:
                self._join(packed, place)
        except BaseException:
            self._sock.close()
            raise

    def _join(self, group: bytes, place: DatagramPlace) -> None:
        if len(group) == 16:
            self._sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, _IPV6_JOIN_BYTES.pack(group, 0))
            return
        interface = socket.inet_aton(place.interface or "0.0.0.0")
        # Else a socket also gets what is sent to groups that others on this machine have joined.
        self._sock.setsockopt(socket.IPPROTO_IP, _IP_MULTICAST_ALL, 0)
        for sender in place.senders:
            membership = _IP_ADD_SOURCE_MEMBERSHIP_BYTES.pack(group, interface, socket.inet_aton(sender))
            self._sock.setsockopt(socket.IPPROTO_IP, _IP_ADD_SOURCE_MEMBERSHIP, membership)
        if not place.senders:
            membership = _IP_ADD_MEMBERSHIP_BYTES.pack(group, interface)
            self._sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, membership)

    def receive_into(self, view: memoryview) -> int | None:
        """Put the available datagrams one after another into ``view``: returns the bytes, None if there are none."""
        end = 0
        receive_into = self._sock.recv_into
        try:
            for _ in range(_MAX_DATAGRAMS):
                if len(view) - end < _MAX_DATAGRAM_BYTES:
                    break
                size = receive_into(view[end:])
                if size and view[end] != _TS_SYNC and (head_bytes := _rtp_head_bytes(view[end : end + size])):
                    view[end : end + size - head_bytes] = view[end + head_bytes : end + size]
                    size -= head_bytes
                end += size
        except BlockingIOError:
            pass
        return end or None

    def close(self) -> None:
        """Close the socket. Closing again does nothing."""
        self._sock.close()


def _rtp_head_bytes(datagram: memoryview) -> int:
    """Bytes of the RTP header before MPEG-TS (RFC 3550, 5.1); 0 if there is none."""
    size = len(datagram)
    if size <= _RTP_HEAD_BYTES or datagram[0] >> 6 != 2:
        return 0
    head_bytes = _RTP_HEAD_BYTES + 4 * (datagram[0] & 15)
    if datagram[0] & 0x10 and head_bytes + 4 <= size:
        head_bytes += 4 + 4 * int.from_bytes(datagram[head_bytes + 2 : head_bytes + 4])
    return head_bytes if head_bytes < size and datagram[head_bytes] == _TS_SYNC else 0
