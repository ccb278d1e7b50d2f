"""Connections that are kept for the next request to the same server (RFC 9112, 9.3); none is shared by two requests.

A kept connection leads to an address that the egress policy has judged when it was opened. A server may close it at any
time: what it sent meanwhile is looked at before it is used, and the one who asks asks once more on a new one.
"""

from collections.abc import Callable

from streamferry.media.url import MediaUrl
from streamferry.net.connection import Connection

# One for segments, one for playlists that come while a segment does.
_MOST_OF_AN_ORIGIN = 2
_MOST = 4
# Servers close what nobody uses after 5 (Node.js) to 75 s (nginx); later than this it is mostly closed.
_LONGEST_UNUSED_S = 30.0
_LOOK_BYTES = 64

_Origin = tuple[str, str, int]


class KeptConnections:
    """Of one rendition. ``clock``: seconds that only rise."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        #: Origin, connection and since when it is unused, the latest last.
        self._unused: list[tuple[_Origin, Connection, float]] = []
        self._is_closed = False

    def take(self, url: MediaUrl) -> Connection | None:
        """One to the server of ``url`` that looks open, None if there is none."""
        for entry in reversed(self._unused):
            origin, connection, since = entry
            if origin != url.origin:
                continue
            self._unused.remove(entry)
            if self._clock() - since < _LONGEST_UNUSED_S and _is_quiet(connection):
                return connection
            connection.close()
        return None

    def keep(self, url: MediaUrl, connection: Connection) -> None:
        """The answer of ``url`` has been taken from it, and nothing else will come."""
        if self._is_closed:
            connection.close()
            return
        self._unused.append((url.origin, connection, self._clock()))
        same = [entry for entry in self._unused if entry[0] == url.origin]
        if len(same) > _MOST_OF_AN_ORIGIN or len(self._unused) > _MOST:
            entry = same[0] if len(same) > _MOST_OF_AN_ORIGIN else self._unused[0]
            self._unused.remove(entry)
            entry[1].close()

    def close(self) -> None:
        """Close what is unused, and what is given back from now on."""
        self._is_closed = True
        for _, connection, _ in self._unused:
            connection.close()
        self._unused.clear()


def _is_quiet(connection: Connection) -> bool:
    """Whether nothing has come but the line end of a chunked body's end (RFC 9112, 7.1)."""
    view = memoryview(bytearray(_LOOK_BYTES))
    try:
        received = connection.recv_into(view)
    except OSError:
        return False
    return received is None or (0 < received <= 2 and not bytes(view[:received]).strip(b"\r\n"))
