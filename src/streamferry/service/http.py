"""HTTP/1.1 of the service's port: uvicorn's protocol over h11, bounded before anybody has proved who they are.

Not over httptools, which uvicorn would prefer and which takes headers without end. Specification: RFC 9112.
"""

import asyncio

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

#: The head of a request has to arrive within this, however slowly it drips.
HEAD_S = 10.0


class BoundedHttp(H11Protocol):
    """Closes connections on which nobody asks anything. h11 refuses a head of more than 64 KiB."""

    _head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """The first head is awaited from here on."""
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        """Part of a head, or of a body, which who reads it bounds."""
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is awaited any more."""
        self._unwatch()
        super().connection_lost(exc)

    def _watch(self) -> None:
        if self.conn.their_state is not h11.IDLE:
            self._unwatch()
        elif self._head_timer is None:
            self._head_timer = self.loop.call_later(HEAD_S, self.transport.close)

    def _unwatch(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
