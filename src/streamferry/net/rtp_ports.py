"""Two UDP ports for one track: one for its packets, the next for its reports.

What comes from another address than the server's is thrown away: anyone can send to a port.
"""

import socket
from contextlib import suppress

from streamferry.wire.rtsp.message import PACKET_HEAD_BYTES, interleaved_head

# Half a second of 60 Mbps; the kernel grants what its limit allows.
_BUFFER_BYTES = 2 << 20
_MAX_DATAGRAM_BYTES = 65535
_TRIES = 60
#: Datagrams taken at a time, so that one track's backlog cannot delay the beat.
_MAX_DATAGRAMS = 2000


class RtpPorts:
    """Two bound, non-blocking UDP sockets whose ports follow each other, the first even (RFC 3550, 11)."""

    def __init__(self, family: socket.AddressFamily, local_address: str) -> None:
        """Raises OSError when no two are free."""
        self._family = family
        self._sockets = _bind_two(family, local_address)
        self.first_port = int(self._sockets[0].getsockname()[1])
        #: Where the server sends from; and its two ports, 0 if it did not say.
        self.server = ""
        self.server_ports = (0, 0)

    def receive_into(self, view: memoryview, channel: int) -> int:
        """Put what is there into ``view``, one after another as packets are interleaved with messages; the bytes of it.

        ``channel``: of packets; reports are of the next. Raises OSError.
        """
        end = 0
        for number, sock in enumerate(self._sockets):
            for _ in range(_MAX_DATAGRAMS):
                begin = end + PACKET_HEAD_BYTES
                if len(view) - begin < _MAX_DATAGRAM_BYTES:
                    break
                try:
                    size, sender = sock.recvfrom_into(view[begin:], _MAX_DATAGRAM_BYTES)
                except BlockingIOError:
                    break
                except ConnectionRefusedError:  # Of what was sent before: the server has closed its port.
                    continue
                if sender[0] == self.server:
                    view[end:begin] = interleaved_head(channel + number, size)
                    end = begin + size
        return end

    def send(self, number: int, data: bytes) -> None:
        """Send to the server's port for packets (0) or reports (1), if it named one; what cannot be sent is lost."""
        port = self.server_ports[number]
        if port and self.server:
            with suppress(OSError):
                self._sockets[number].sendto(data, (self.server, port))

    def close(self) -> None:
        """Close both. Closing again does nothing."""
        for sock in self._sockets:
            sock.close()


def _bind_two(family: socket.AddressFamily, address: str) -> tuple[socket.socket, socket.socket]:
    for attempt in range(_TRIES):
        first = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        second = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        try:
            first.bind((address, 0))
            port = int(first.getsockname()[1])
            if port % 2 == 0:
                second.bind((address, port + 1))
                for one in (first, second):
                    one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER_BYTES)
                return first, second
        except (OSError, OverflowError):
            if attempt == _TRIES - 1:
                first.close()
                second.close()
                raise
        first.close()
        second.close()
    raise OSError("no two UDP ports beside each other are free")
