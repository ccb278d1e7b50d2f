"""HTTP/1.1 of the service's port: uvicorn's protocol over h11, with limits for clients that have not authenticated.

It does not use httptools, which uvicorn would prefer but which accepts endless headers. Specification: RFC 9112.

A connection counts towards its peer's limit. It is closed when a request head does not arrive in time, when the rest
of a body does not arrive after the answer, or when it does not take its answer. A web socket's place is taken over by
its request (``service.request_limits``).
"""

import asyncio
from typing import ClassVar

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from streamferry.net.peers import Network, NoPlace, Places, is_within, peer_of

#: The head of a request has to arrive within this, however slowly it drips; so does the rest of a body that nobody
#: reads, after the answer.
HEAD_S = 10.0
#: An answer that the peer has not taken for this long is given up.
STUCK_S = 60.0
_REFUSAL = b"Too many connections: try again in a moment.\n"


class BoundedHttp(H11Protocol):
    """Closes excess connections, and those on which no request comes. h11 refuses a head of more than
    64 KiB. Use what :func:`bounded_http` makes of it.
    """

    places: ClassVar[Places] = Places(1_000_000, 1_000_000)
    trusted: ClassVar[tuple[Network, ...]] = ()
    max_connections: ClassVar[int] = 1_000_000

    _head_timer: asyncio.TimerHandle | None = None
    _stuck_timer: asyncio.TimerHandle | None = None
    _peer: str | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start waiting for the first head, if there is a place for the connection."""
        super().connection_made(transport)
        if self._has_place():
            self._watch()
            return
        head = (
            b"HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\nretry-after: 1\r\ncontent-type: text/plain\r\n"
        )
        transport.write(head + b"content-length: %d\r\n\r\n" % len(_REFUSAL) + _REFUSAL)
        transport.close()

    def _has_place(self) -> bool:
        address = self.client[0] if self.client else ""
        if len(self.connections) > self.max_connections:
            return False
        if not is_within(address, self.trusted):
            peer = peer_of(address)
            try:
                self.places.take(peer)
            except NoPlace:
                return False
            self._peer = peer
        return True

    def _leave_place(self) -> None:
        if self._peer is not None:
            self.places.give_back(self._peer)
            self._peer = None

    def data_received(self, data: bytes) -> None:
        """Part of a head, or of a body; its reader bounds the body."""
        if self.transport.is_closing():
            return
        super().data_received(data)
        self._watch()

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        """From here on another protocol has the connection."""
        self._unwatch()
        self._leave_place()
        super().handle_websocket_upgrade(event)

    def on_response_complete(self) -> None:
        """The rest of the request's body is awaited for a limited time, and discarded."""
        super().on_response_complete()
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Cancel all deadlines."""
        self._unwatch()
        self.resume_writing()
        self._leave_place()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """The peer does not take its answer: start its deadline."""
        super().pause_writing()
        if self._stuck_timer is None:
            self._stuck_timer = self.loop.call_later(STUCK_S, self.transport.abort)

    def resume_writing(self) -> None:
        """The peer takes it again: cancel the deadline."""
        super().resume_writing()
        if self._stuck_timer is not None:
            self._stuck_timer.cancel()
            self._stuck_timer = None

    def _watch(self) -> None:
        is_answered = self.cycle is not None and self.cycle.response_complete
        if self.conn.their_state is h11.IDLE or (is_answered and self.conn.their_state is h11.SEND_BODY):
            if self._head_timer is None:
                self._head_timer = self.loop.call_later(HEAD_S, self.transport.close)
        else:
            self._unwatch()

    def _unwatch(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None


def bounded_http(*, in_all: int, of_peer: int, trusted: tuple[Network, ...]) -> type[BoundedHttp]:
    """The protocol for one server, with its limits of connections in total and per peer. ``trusted`` proxies
    are not counted as peers: their clients are, by request.
    """
    values = {"places": Places(in_all, of_peer), "trusted": trusted, "max_connections": in_all}
    return type("BoundedHttp", (BoundedHttp,), values)
