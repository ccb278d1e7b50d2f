"""Publish connections that were given up while their peer was out of reach: it could not be told, and may still have
them open. For a server that has one, somebody else publishes: nginx-rtmp refused the next session for 102 s.

A connection from the same port to the same address tells it. To a SYN of a connection that it has it answers with what
it expects, which our kernel resets; the SYN that is sent again, a second later, begins anew (RFC 9293, 3.5.1; RFC 5961,
4.2). What lies between may not let that pass: then, after some seconds, another port is taken. Decision 0116.
"""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

from streamferry.media.url import MediaUrl

_MAX_REMEMBERED = 1000


@dataclass(frozen=True, slots=True)
class Ends:
    """Of a connection, as the socket module writes addresses."""

    local: tuple[Any, ...]
    remote: tuple[Any, ...]


_given_up: "OrderedDict[MediaUrl, Ends]" = OrderedDict()


def note_half_open(url: MediaUrl, ends: Ends) -> None:
    """The peer of a session to ``url`` may not hear that it has ended."""
    _given_up[url] = ends
    if len(_given_up) > _MAX_REMEMBERED:
        _given_up.popitem(last=False)


def find_half_open(url: MediaUrl) -> Ends | None:
    """From where the next connection for ``url`` is to come; None: from anywhere."""
    return _given_up.get(url)


def forget_half_open(url: MediaUrl) -> None:
    """A session to ``url`` has been accepted."""
    _given_up.pop(url, None)
