"""Flow: the steady path of one run, feed -> timeline -> outlet, as one synchronous chain for the beat.

asyncio attaches a feed or a session when it is ready and gets a future; the flow sets the future when the feed or
session ends, and continues without it. It decides nothing about retries.
"""

import asyncio
from collections.abc import Callable
from typing import Protocol, TypeVar

from streamferry.media.errors import DestinationError, MediaError, SourceError
from streamferry.media.tag import START, LaidTag
from streamferry.push import Outlet, Session, WhenLate
from streamferry.timeline import Timeline

#: Time between two checks of liveness and rates.
INSPECT_S = 0.5

_E = TypeVar("_E", bound=MediaError)


class Feed(Protocol):
    """What a flow pulls its tags from: ``relay.feed`` and ``relay.marked`` have them."""

    @property
    def bytes_in(self) -> int:
        """Bytes received from the source."""

    @property
    def media_at(self) -> float:
        """When media last came from the source, whether it could be laid or not."""

    @property
    def when_late(self) -> WhenLate:
        """What happens to its media when the destination does not take it in time."""

    @property
    def sound_drift_ms(self) -> int | None:
        """See ``RelayStatus``."""

    def pull(self, now: float, laid: list[LaidTag]) -> None:
        """Lay the media that is available, or due, at ``now``. Raises SourceError."""

    def check_liveness(self, now: float) -> None:
        """Raise SourceError when its source is stuck."""

    def begin_session(self, now: float) -> None:
        """A publish session was attached to the outlet."""

    def end_session(self) -> None:
        """The publish session is about to end."""

    def close(self) -> None:
        """Close what it reads."""


class Flow:
    """See the module's docstring. Visited by the beat."""

    def __init__(self, timeline: Timeline, outlet: Outlet, on_inspect: Callable[[float], None]) -> None:
        self.timeline = timeline
        self.outlet = outlet
        self._on_inspect = on_inspect
        self._inspect_at = 0.0
        self._feed: Feed | None = None
        self._feed_lost: asyncio.Future[SourceError] | None = None
        self._session_lost: asyncio.Future[DestinationError] | None = None
        self._finished_bytes_in = 0
        # Called when the next START comes, from which on nothing is sent.
        self._at_start: Callable[[], None] | None = None
        self._is_cut = False
        #: Set while there is media to send, so that a destination is not connected for nothing.
        self.has_media = asyncio.Event()
        #: Set with an error that is not in the tree, which should never happen.
        self.crashed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @property
    def bytes_in(self) -> int:
        """Bytes received from the source, over all its sessions."""
        return self._finished_bytes_in + (self._feed.bytes_in if self._feed else 0)

    @property
    def media_at(self) -> float:
        """See ``Feed``; long ago without one."""
        return float("-inf") if self._feed is None else self._feed.media_at

    @property
    def sound_drift_ms(self) -> int | None:
        """See ``RelayStatus``."""
        return None if self._feed is None else self._feed.sound_drift_ms

    def attach_feed(self, feed: Feed, now: float) -> "asyncio.Future[SourceError]":
        """Start pulling, at once; the future gets the error with which the feed ended."""
        self._feed = feed
        self.outlet.when_late = feed.when_late
        self._feed_lost = asyncio.get_running_loop().create_future()
        self.visit(now)
        return self._feed_lost

    def detach_feed(self) -> None:
        """Stop pulling and close the feed."""
        if self._feed is not None:
            self._finished_bytes_in += self._feed.bytes_in
            self._feed.close()
        self._feed = None
        self.has_media.clear()

    def attach_session(self, session: Session, now: float) -> "asyncio.Future[DestinationError]":
        """Start sending, at once; the future gets the error with which the session ended."""
        self.outlet.attach(session, self.timeline.headers, now)
        if self._feed is not None:
            self._feed.begin_session(now)
        self._session_lost = asyncio.get_running_loop().create_future()
        self.visit(now)
        return self._session_lost

    def detach_session(self) -> Session | None:
        """Stop sending and give the session back, to be closed by the caller."""
        if self._feed is not None:
            self._feed.end_session()
        return self.outlet.detach()

    def cut_at_start(self, then: Callable[[], None]) -> None:
        """Send nothing from the next START on, and call ``then`` when it comes: another worker will begin with it."""
        self._at_start = then

    def visit(self, now: float) -> None:
        """Move one beat's worth of media."""
        # Freed at the end of the visit, so that the next one finds the same memory in the processor's cache.
        laid: list[LaidTag] = []
        inspects = now >= self._inspect_at
        feed = self._feed
        if feed is not None and not self._is_cut:
            try:
                feed.pull(now, laid)
                if inspects:
                    feed.check_liveness(now)
            except SourceError as error:
                self._lose(self._feed_lost, error)
            if laid and not self.has_media.is_set():
                self.has_media.set()
            if self._at_start is not None:
                self._cut(laid, self._at_start)
        if self.outlet.session is not None or laid:
            try:
                self.outlet.offer(laid)
                if inspects:
                    self.outlet.check_liveness(now)
            except DestinationError as error:
                self._lose(self._session_lost, error)
        if inspects:
            self._inspect_at = now + INSPECT_S
            self._on_inspect(now)

    def _cut(self, laid: list[LaidTag], then: Callable[[], None]) -> None:
        # Last in the visit: a successor continues a file at or before the end of this visit, and loses nothing.
        for index in range(len(laid) - 1, -1, -1):
            if laid[index][3] == START:
                del laid[index:]
                self._is_cut = True
                then()
                return

    def crash(self, error: Exception) -> None:
        """Called by the beat when a visit raised what it must not: the run ends with it."""
        if not self.crashed.done():
            self.crashed.set_exception(error)

    @staticmethod
    def _lose(lost: "asyncio.Future[_E] | None", error: _E) -> None:
        if lost is not None and not lost.done():
            lost.set_result(error)
