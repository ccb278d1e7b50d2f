"""Which addresses relays may reach: a policy on resolved IP addresses, for ``relay.Network``."""

import re
import socket
from collections.abc import Callable
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

from streamferry.net.own_addresses import is_own
from streamferry.reasons import Code, Reason

#: Metadata services of clouds, which hand out credentials, where they are not link-local: AWS and Google over IPv6,
#: Alibaba, Azure, Oracle, Volcengine.
_METADATA = frozenset(
    map(
        ip_address,
        ("fd00:ec2::254", "fd20:ce::254", "100.100.100.200", "168.63.129.16", "192.0.0.192", "100.96.0.96"),
    )
)
#: Prefixes whose last 32 bits are an IPv4 address: NAT64 (RFC 6052, 8215), translated (RFC 2765) and, long obsolete,
#: compatible (RFC 4291, 2.5.5.1).
_WRAPPED = tuple(map(IPv6Network, ("64:ff9b::/96", "64:ff9b:1::/48", "::ffff:0:0:0/96", "::/96")))
_OLD_FORM = re.compile(r"[0-9a-fx]+(\.[0-9a-fx]+){0,3}")
_SITE_LOCAL = IPv6Network("fec0::/10")


class Egress(StrEnum):
    """Which addresses tasks may reach."""

    #: Only addresses of the public internet, but none of this machine's own.
    PUBLIC = "public"
    #: Those and private networks, but not loopback or link-local addresses (cloud metadata services).
    LAN = "lan"
    ANY = "any"


def decide_allow(policy: Egress) -> Callable[[str], bool] | None:
    """A predicate on one IP address as text, for the machine that is to connect to it; None allows all."""
    allow = _rule(policy)
    return None if allow is None else lambda text: allow(text) and not _is_this_machine(text)


def _rule(policy: Egress) -> Callable[[str], bool] | None:
    """The part of the policy that is the same on every machine."""
    if policy is Egress.ANY:
        return None
    return _is_public if policy is Egress.PUBLIC else _is_public_or_lan


def decide_refusal(policy: Egress) -> Callable[[str], Reason | None]:
    """Why a host of an address can never be reached; None for one that may be, as far as that is known
    without asking a resolver: IP addresses, in all forms that the system reads, and names of this machine.

    An address that this machine has in its networks may be reached by a worker on another one.
    """
    allow = _rule(policy)

    def refuse(host: str) -> Reason | None:
        address = _literal(host)
        if allow is None or address is None or allow(address):
            return None
        plain = ip_address(address.partition("%")[0])
        is_here = (_unwrapped(plain) if isinstance(plain, IPv6Address) else plain).is_loopback
        code = Code.ADDRESS_ON_THIS_MACHINE if is_here else Code.ADDRESS_NOT_ALLOWED
        return Reason.of(code, policy=policy.value)

    return refuse


def _literal(host: str) -> str | None:
    """The IP address that a host is by itself; None for a name."""
    name = host.rstrip(".").lower()
    if name == "localhost" or name.endswith(".localhost"):  # RFC 6761, 6.3.
        return "127.0.0.1"
    try:
        return str(ip_address(name))
    except ValueError:
        pass
    try:
        # The system's resolver also reads 127.1, 0x7f.0.0.1 and 2130706433.
        return socket.inet_ntoa(socket.inet_aton(name)) if _OLD_FORM.fullmatch(name) else None
    except OSError:
        return None


def _is_public(text: str) -> bool:
    address = _plain(text)
    return address is not None and address.is_global and not address.is_multicast and address not in _SITE_LOCAL


def _is_public_or_lan(text: str) -> bool:
    address = _plain(text)
    return address is not None and not (
        address.is_loopback
        or address.is_link_local
        or address.is_multicast
        or address.is_unspecified
        # On Linux 0.0.0.0/8 reaches this machine.
        or (address.version == 4 and int(address) >> 24 == 0)
    )


def _is_this_machine(text: str) -> bool:
    address = ip_address(text.partition("%")[0])
    return is_own(address) or (isinstance(address, IPv6Address) and is_own(_unwrapped(address)))


def _plain(text: str) -> IPv4Address | IPv6Address | None:
    """The address; an IPv4 address wrapped into IPv6 is unwrapped. None if it is not an address, or never reachable."""
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, IPv6Address):
        address = _unwrapped(address)
    return None if address in _METADATA else address


def _unwrapped(address: IPv6Address) -> IPv4Address | IPv6Address:
    if wrapped := address.ipv4_mapped or address.sixtofour or (address.teredo and address.teredo[1]):
        return wrapped
    if int(address) > 1 and any(address in network for network in _WRAPPED):
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address
