"""Peers: what counts as one, and how many of the shared places it may take. Pure.

A peer is an IPv4 address or an IPv6 /64, which is what a single customer has (RFC 6177, section 2): its addresses
beyond that cost nothing to change.
"""

import contextlib
import ipaddress
from collections import Counter
from collections.abc import Collection, Iterator

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_SUBSCRIBER_BITS = 64
#: This machine, to itself (RFC 6890).
LOOPBACK: tuple[Network, ...] = (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128"))


def peer_of(address: str) -> str:
    """The peer that an address belongs to, as text; anything but an IP address is its own peer."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address[:64]
    if isinstance(ip, ipaddress.IPv6Address):
        mapped = ip.ipv4_mapped
        return str(mapped or ipaddress.ip_network((int(ip) >> _SUBSCRIBER_BITS << _SUBSCRIBER_BITS, _SUBSCRIBER_BITS)))
    return str(ip)


def is_within(address: str, networks: Collection[Network]) -> bool:
    """Whether an address is in one of the networks."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    mapped = ip.ipv4_mapped if isinstance(ip, ipaddress.IPv6Address) else None
    return any((mapped or ip) in network for network in networks)


class NoPlace(Exception):
    """All places are taken: those of the peer, or all in total."""


class Places:
    """``in_all`` places, of which one peer may have ``of_peer``."""

    def __init__(self, in_all: int, of_peer: int) -> None:
        self._in_all = in_all
        self._of_peer = of_peer
        self._taken: Counter[str] = Counter()

    @property
    def taken(self) -> int:
        """How many are taken."""
        return self._taken.total()

    def take(self, peer: str) -> None:
        """Take one, to be given back. Raises NoPlace."""
        if self._taken[peer] >= self._of_peer or self.taken >= self._in_all:
            if not self._taken[peer]:
                del self._taken[peer]
            raise NoPlace(peer)
        self._taken[peer] += 1

    def give_back(self, peer: str) -> None:
        """Give one back."""
        self._taken[peer] -= 1
        if not self._taken[peer]:
            del self._taken[peer]

    @contextlib.contextmanager
    def place(self, peer: str) -> Iterator[None]:
        """Hold one place for the duration of the block. Raises NoPlace."""
        self.take(peer)
        try:
            yield
        finally:
            self.give_back(peer)
