"""Ports that an address opens on this machine: datagrams, and SRT that waits for a caller. The operator allows them.

They are open to anyone who reaches the machine; the egress policy is only about outgoing connections.
"""

import ipaddress
from dataclasses import dataclass
from typing import Self
from urllib.parse import parse_qs, unquote

from streamferry.media.url import MediaUrl
from streamferry.reasons import Code, InvalidValue, Reason

#: Most senders that a group is narrowed to; Linux has at most 10 by default (net.ipv4.igmp_max_msf).
_MAX_SENDERS = 10


@dataclass(frozen=True, slots=True)
class ListenPorts:
    """Ports that may be opened, as ranges. Made by :meth:`parse`."""

    ranges: tuple[tuple[int, int], ...] = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """``5000-5999,9000``. Raises ValueError with a message for the user."""
        ranges = []
        for part in filter(None, (one.strip() for one in text.split(","))):
            first, _, last = part.partition("-")
            last = last or first
            if not (
                part.isascii() and first.isdecimal() and last.isdecimal() and 0 < int(first) <= int(last) < 1 << 16
            ):
                raise ValueError("must be ports from 1 to 65535 such as 5000-5999,9000")
            ranges.append((int(first), int(last)))
        return cls(tuple(ranges))

    def refuse(self, url: MediaUrl) -> Reason | None:
        """Why an address cannot be used, as a predicate that follows it in a sentence; None if it can."""
        if not opens_port(url) or any(first <= url.port <= last for first, last in self.ranges):
            return None
        return Reason.of(Code.ADDRESS_OPENS_PORT, port=url.port)


#: No ports may be opened.
NO_PORTS = ListenPorts()


def opens_port(url: MediaUrl) -> bool:
    """Whether its media arrives at a port of this machine."""
    return url.scheme == "udp" or (url.scheme == "srt" and srt_mode(url) == "listener")


def srt_mode(url: MediaUrl) -> str:
    """``caller`` or ``listener``. Raises ValueError if it is unknown, or ambiguous between ffmpeg and us."""
    given = [field for field in url.query.split("&") if unquote(field.partition("=")[0]).strip().lower() == "mode"]
    if not given or given == ["mode=caller"]:
        return "caller"
    if given == ["mode=listener"]:
        return "listener"
    raise InvalidValue(Code.ADDRESS_SRT_MODE)


@dataclass(frozen=True, slots=True)
class DatagramPlace:
    """Where datagrams are received.

    ``host``: an address of this machine, a multicast group, or empty for any address. ``interface``: address of the
    interface on which a group is joined, empty: the system chooses. ``senders``: of a group only what they send is
    received (RFC 4607), all if there are none. Both are of the same version of IP as the group.
    """

    host: str
    port: int
    interface: str = ""
    senders: tuple[str, ...] = ()

    @classmethod
    def of(cls, url: MediaUrl) -> "DatagramPlace":
        """From ``udp://HOST:PORT?localaddr=ADDRESS&sources=ADDRESS,ADDRESS``; ignores other parts of the query.

        Raises InvalidValue for one of these two that cannot be used.
        """
        query = parse_qs(url.query)
        interface = query.get("localaddr", [""])[-1]
        version = _version(url.host) or 4
        if interface and _version(interface) != version:
            raise InvalidValue(Code.ADDRESS_UDP_INTERFACE)
        senders = tuple(filter(None, query.get("sources", [""])[-1].split(",")))
        if senders and not (
            _is_group(url.host) and all(_version(one) == version for one in senders) and len(senders) <= _MAX_SENDERS
        ):
            raise InvalidValue(Code.ADDRESS_UDP_SENDERS, count=_MAX_SENDERS)
        return cls(url.host, url.port, interface, senders)


def _is_group(text: str) -> bool:
    return bool(_version(text)) and ipaddress.ip_address(text).is_multicast


def _version(text: str) -> int:
    """Of IP, that an address is of; 0 for what is none."""
    try:
        return 0 if "%" in text else ipaddress.ip_address(text).version
    except ValueError:
        return 0
