"""The connections of a listener that have not authenticated yet, limited like ``MaxStartups`` of sshd.

Anyone who reaches a listener can connect to it; the secret comes with the first request. Until then a connection takes
no place from authenticated ones, and their number is limited: one more closes the oldest, which had the most time.
"""

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

MAX_UNAUTHENTICATED = 64

Connection = TypeVar("Connection")


class Unauthenticated(Generic[Connection]):
    """See the module. ``abort`` ends a connection at once; its server then reads its end. Thread-safe."""

    def __init__(self, abort: Callable[[Connection], None], limit: int = MAX_UNAUTHENTICATED) -> None:
        self._abort = abort
        self._limit = limit
        self._lock = threading.Lock()
        #: The oldest first.
        self._connections: dict[Connection, None] = {}

    def add(self, connection: Connection) -> None:
        """Add a new connection."""
        with self._lock:
            if len(self._connections) >= self._limit:
                oldest = next(iter(self._connections))
                del self._connections[oldest]
                # Before its server can close it: the number of a closed descriptor may be reused by another connection.
                self._abort(oldest)
            self._connections[connection] = None

    def remove(self, connection: Connection) -> None:
        """Remove a connection that has authenticated, or ended. Removing it again does nothing."""
        with self._lock:
            self._connections.pop(connection, None)
