"""Which addresses relays may reach: a policy on resolved IP addresses, for ``relay.Network``."""

from collections.abc import Callable
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address, ip_address


class Egress(StrEnum):
    """What tasks may reach."""

    #: Only addresses of the public internet.
    PUBLIC = "public"
    #: Those and private networks, but neither this machine nor link-local addresses (cloud metadata services).
    LAN = "lan"
    ANY = "any"


def decide_allow(policy: Egress) -> Callable[[str], bool] | None:
    """A test of one IP address in text form; None allows all."""
    if policy is Egress.ANY:
        return None
    return _is_public if policy is Egress.PUBLIC else _is_public_or_lan


def _is_public(text: str) -> bool:
    address = _plain(text)
    return address is not None and address.is_global and not address.is_multicast


def _is_public_or_lan(text: str) -> bool:
    address = _plain(text)
    return address is not None and not (
        address.is_loopback
        or address.is_link_local
        or address.is_multicast
        or address.is_unspecified
        # 0.0.0.0/8 reaches this machine on Linux.
        or (address.version == 4 and int(address) >> 24 == 0)
    )


def _plain(text: str) -> IPv4Address | IPv6Address | None:
    """The address, an IPv4 one that is wrapped into IPv6 (mapped, 6to4) as itself; None if it is none."""
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, IPv6Address):
        return address.ipv4_mapped or address.sixtofour or address
    return address
