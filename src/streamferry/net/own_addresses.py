"""Whether an address is this machine's own: the kernel is asked what it would do with a packet for it.

Lists of interfaces are not enough: an address range may lead here without being on any (``ip route add local``), and a
subnet on ``lo`` does as a whole. Nor is binding to the address where ``ip_nonlocal_bind`` is set.
Addresses of other network namespaces, such as those of the host seen from a container, are other machines' here.

Specification: rtnetlink(7), RTM_GETROUTE; linux/rtnetlink.h.
"""

import socket
import struct
from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address, ip_address

_HEADER = struct.Struct("=IHHII")  # nlmsghdr: length, type, flags, sequence, port
_ROUTE = struct.Struct("=BBBBBBBBI")  # rtmsg: family, length of the destination, ..., type, flags
_ATTRIBUTE = struct.Struct("=HH")  # rtattr: length, type
_REQUEST, _NEWROUTE, _GETROUTE = 1, 24, 26
_DESTINATION = 1
_LOCAL, _ANYCAST = 2, 4
_ANSWER_S = 1.0
_ANY_PORT = 9


def is_own(address: IPv4Address | IPv6Address) -> bool:
    """Whether packets to the address arrive here. False if there is no route to it."""
    # Also check by the source address: not every kernel and sandbox has rtnetlink (AF_NETLINK may be forbidden).
    return _is_routed_here(address) or _is_own_source(address)


def _is_routed_here(address: IPv4Address | IPv6Address) -> bool:
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    attribute = _ATTRIBUTE.pack(_ATTRIBUTE.size + len(address.packed), _DESTINATION) + address.packed
    body = _ROUTE.pack(family, address.max_prefixlen, 0, 0, 0, 0, 0, 0, 0) + attribute
    with suppress(OSError), socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC) as sock:
        sock.settimeout(_ANSWER_S)  # The answer is there when send returns.
        sock.send(_HEADER.pack(_HEADER.size + len(body), _GETROUTE, _REQUEST, 1, 0) + body)
        answer = sock.recv(4096)
        if len(answer) >= _HEADER.size + _ROUTE.size and _HEADER.unpack_from(answer)[1] == _NEWROUTE:
            return _ROUTE.unpack_from(answer, _HEADER.size)[7] in (_LOCAL, _ANYCAST)
    return False


def _is_own_source(address: IPv4Address | IPv6Address) -> bool:
    """Whether our end of a connection to the address has the same address. Nothing is sent: UDP has no handshake."""
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    with suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.connect((str(address), _ANY_PORT))
        source = ip_address(sock.getsockname()[0].partition("%")[0])
        return source == address or source.is_loopback
    return False
