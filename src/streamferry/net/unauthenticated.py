"""The connections of a listener that have not proved yet that they may use it, as ``MaxStartups`` of sshd counts them.

Whoever reaches a listener can connect to it; the secret comes with the first request. Until then a connection takes no
place from those that know it, and there are only so many: one more closes the oldest, which had the most time.
"""

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

MAX_UNAUTHENTICATED = 64

Connection = TypeVar("Connection")


class Unauthenticated(Generic[Connection]):
    """See the module. ``abort`` ends a connection at once; who serves it then reads its end. For any thread."""

    def __init__(self, abort: Callable[[Connection], None], limit: int = MAX_UNAUTHENTICATED) -> None:
        self._abort = abort
        self._limit = limit
        self._lock = threading.Lock()
        #: The oldest first.
        self._connections: dict[Connection, None] = {}

    def add(self, connection: Connection) -> None:
        """A connection has come."""
        with self._lock:
            if len(self._connections) >= self._limit:
                oldest = next(iter(self._connections))
                del self._connections[oldest]
                # Before its server can close it: the number of a closed descriptor may be another connection's.
                self._abort(oldest)
            self._connections[connection] = None

    def remove(self, connection: Connection) -> None:
        """It has proved itself, or has ended. Once more does nothing."""
        with self._lock:
            self._connections.pop(connection, None)
