"""Publish connections that were given up while their peer was out of reach: it could not be told, and may still have
them open. For a server that has one, somebody else publishes: nginx-rtmp refused the next session for 102 s.

A connection from the same port to the same address tells it. To a SYN of a connection that it has it answers with what
it expects, which our kernel resets; the SYN that is sent again, a second later, begins anew (RFC 9293, 3.5.1; RFC 5961,
4.2). What lies between may not let that pass: then, after some seconds, another port is taken. Decision 0116.
"""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

from streamferry.media.peer_options import PeerOptions
from streamferry.media.url import MediaUrl

_MAX_REMEMBERED = 1000


@dataclass(slots=True)
class Ends:
    """Of a connection, as the socket module writes addresses."""

    local: tuple[Any, ...]
    remote: tuple[Any, ...]
    #: Another connection has been made between them: the peer has the old one no more. What follows comes from
    #: anywhere, or a balancer of load would lead each to the same machine, which may be the one that is ill.
    is_over: bool = False


# By the way that was taken: who changes it wants no connection by the old one.
_given_up: "OrderedDict[tuple[MediaUrl, PeerOptions], Ends]" = OrderedDict()


def note_half_open(url: MediaUrl, options: PeerOptions, ends: Ends) -> None:
    """The peer of a session to ``url`` may not hear that it has ended."""
    _given_up[url, options.way] = ends
    if len(_given_up) > _MAX_REMEMBERED:
        _given_up.popitem(last=False)


def find_half_open(url: MediaUrl, options: PeerOptions) -> Ends | None:
    """From where the next connection for ``url`` is to come; None: from anywhere."""
    ends = _given_up.get((url, options.way))
    return None if ends is None or ends.is_over else ends


def forget_half_open(url: MediaUrl, options: PeerOptions) -> None:
    """A session to ``url`` has been accepted."""
    _given_up.pop((url, options.way), None)
