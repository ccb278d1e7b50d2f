"""Receives datagrams from a port or a multicast group, by plain calls. It sends nothing and parses nothing."""

import socket
import struct

# Half a second of 60 Mbps; the kernel grants what its limit (net.core.rmem_max) allows. A beat that is later than
# the buffer can hold loses packets, as any UDP receiver does.
_BUFFER_BYTES = 4 << 20
_MAX_DATAGRAM_BYTES = 65536
_IP_ADD_MEMBERSHIP_BYTES = struct.Struct("=4s4s")
_IPV6_JOIN_BYTES = struct.Struct("=16sI")


class DatagramReceiver:
    """A bound, non-blocking UDP socket."""

    def __init__(self, family: socket.AddressFamily, host: str, port: int, local_address: str = "") -> None:
        """Bind to ``host:port``, any host if it is empty, and join ``host`` if that is a multicast group.

        ``local_address``: IPv4 address of the interface on which to join; empty: the system chooses. Raises OSError.
        """
        self._sock = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        try:
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER_BYTES)
            packed = socket.inet_pton(family, host) if host else b""
            is_group = packed[:1] == b"\xff" or (len(packed) == 4 and packed[0] >> 4 == 14)
            if is_group:
                # Several relays may listen to one group, but only one to a port of this machine.
                self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._sock.bind((host, port))
            if is_group and family == socket.AF_INET:
                interface = socket.inet_aton(local_address or "0.0.0.0")
                membership = _IP_ADD_MEMBERSHIP_BYTES.pack(packed, interface)
                self._sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, membership)
            elif is_group:
                membership = _IPV6_JOIN_BYTES.pack(packed, 0)
                self._sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, membership)
        except BaseException:
            self._sock.close()
            raise

    def receive_into(self, view: memoryview) -> int | None:
        """Put the available datagrams one after another into ``view``: returns the bytes, None if there are none."""
        received = 0
        try:
            while len(view) - received >= _MAX_DATAGRAM_BYTES:
                received += self._sock.recv_into(view[received:])
        except BlockingIOError:
            pass
        return received or None

    def close(self) -> None:
        """Close the socket. Closing again does nothing."""
        self._sock.close()
