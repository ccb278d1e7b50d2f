"""What Linux knows of a TCP connection: round trip, what had to be sent again, and what the line takes.

Specification: tcp(7), TCP_INFO; struct tcp_info of linux/tcp.h, whose fields keep their places.
"""

import socket
import struct
from dataclasses import dataclass

_RTT_AT, _TOTAL_RETRANS_AT, _DELIVERY_RATE_AT, _SIZE = 68, 100, 160, 232
_U32, _U64 = struct.Struct("=I"), struct.Struct("=Q")


@dataclass(frozen=True, slots=True)
class TcpInfo:
    """``retransmits``: segments since the connection began. ``delivery_kbps``: of the last burst, which may be faster
    than the stream; None before anything was acknowledged, and from kernels before 4.9.
    """

    rtt_ms: float
    retransmits: int
    delivery_kbps: int | None


def tcp_info(sock: socket.socket) -> TcpInfo | None:
    """A reading, which costs a microsecond; None of a socket that is broken or no TCP."""
    try:
        told = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _SIZE)
    except OSError:
        return None
    if len(told) < _TOTAL_RETRANS_AT + _U32.size:
        return None
    rate = _U64.unpack_from(told, _DELIVERY_RATE_AT)[0] if len(told) >= _DELIVERY_RATE_AT + _U64.size else 0
    return TcpInfo(
        rtt_ms=_U32.unpack_from(told, _RTT_AT)[0] / 1000,
        retransmits=_U32.unpack_from(told, _TOTAL_RETRANS_AT)[0],
        delivery_kbps=round(rate / 125) or None,
    )
