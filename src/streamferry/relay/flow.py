"""Flow: the steady path of one run as one synchronous chain for the beat; of a live source feed -> timeline -> outlet.

asyncio attaches a feed or a session when it is ready and gets a future; the flow sets the future when the feed or
session ends, and continues without it. It decides nothing about retries. That of a list is ``list_flow``.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from streamferry.media.errors import DestinationError, MediaError, SourceError
from streamferry.media.tag import START, LaidTag
from streamferry.push import Outlet, Session
from streamferry.push.forms import needed_of
from streamferry.relay.branch import Branch, Way, pass_on
from streamferry.relay.fast_loops import AnyFastPath
from streamferry.timeline import Timeline
from streamferry.wire.rtmp.framed import Framed

#: Time between two checks of liveness and rates; and while a run streams and nothing is held, or missing.
INSPECT_S = 0.5
CALM_INSPECT_S = 2.0

_E = TypeVar("_E", bound=MediaError)


class Feed(Protocol):
    """What a flow pulls its tags from: ``relay.feed`` and ``relay.encoded`` have them."""

    @property
    def fast_path(self) -> AnyFastPath | None:
        """What is asked first at each visit."""

    @property
    def bytes_in(self) -> int:
        """Bytes received from the source."""

    @property
    def media_at(self) -> float:
        """When media last came from the source, whether it could be laid or not."""

    @property
    def sound_drift_ms(self) -> int | None:
        """See ``RelayStatus``."""

    @property
    def lost_packets(self) -> int:
        """Packets of the source that never came."""

    def pull(self, now: float, laid: list[LaidTag]) -> None:
        """Lay the media that is available, or due, at ``now``. Raises SourceError."""

    def check_liveness(self, now: float) -> None:
        """Raise SourceError when its source is stuck."""

    def lead_to(self, outlet: Outlet) -> None:
        """From now on the fast path, if it has one, is to lead to another outlet."""

    def close(self) -> None:
        """Close what it reads."""


class Flow:
    """What the flows of live sources and of lists have in common: the end where the destination is."""

    __slots__ = (
        "_inspect_at",
        "crashed",
        "has_media",
        "outlet",
    )

    def __init__(self, outlet: Outlet) -> None:
        self.outlet = outlet
        self._inspect_at = 0.0
        #: Set while there is media to send, so that a destination is not connected for nothing.
        self.has_media = asyncio.Event()
        #: Set with an error that is not in the tree, which should never happen.
        self.crashed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @property
    def bytes_in(self) -> int:
        """Bytes received from the source, over all its sessions; 0 for files."""
        return 0

    @property
    def media_at(self) -> float:
        """When media last came from the source, whether it could be laid or not; of files see what was sent."""
        return float("-inf")

    @property
    def sound_drift_ms(self) -> int | None:
        """See ``RelayStatus``."""
        return None

    @property
    def lost_packets(self) -> int:
        """Packets of the source that never came, over all its sessions; 0 for files."""
        return 0

    @property
    def repairs(self) -> int:
        """Stamps that had to be changed since the run began."""
        return 0

    @property
    def headers(self) -> list[LaidTag]:
        """What a destination or a viewer must have before the next frame."""
        raise NotImplementedError

    @property
    def needs(self) -> frozenset[str]:
        """FourCCs of what is to be sent next, without H.264 and AAC."""
        return needed_of(self.headers)

    def detach_feed(self) -> None:
        """Stop pulling and close the feed."""
        raise NotImplementedError

    def attach_session(self, session: Session, now: float) -> "asyncio.Future[DestinationError]":
        """Start sending, at once; the future gets the error with which the session ended."""
        raise NotImplementedError

    def detach_session(self) -> Session | None:
        """Stop sending and give the session back, to be closed by the caller."""
        return self.outlet.detach()

    async def wait_for_start(self) -> None:
        """See ``branch.Way``."""
        raise NotImplementedError

    @property
    def lead(self) -> Way:
        """Where sessions of its first destination are attached; with one destination also the flow does that."""
        return self

    @property
    def has_session(self) -> bool:
        """Whether media is being sent anywhere."""
        return self.outlet.session is not None

    def cut_at_start(self, then: Callable[[], None]) -> None:
        """Send nothing from the next START on, and call ``then`` when it comes: another worker will begin with it."""
        raise NotImplementedError

    def visit(self, now: float) -> None:
        """Move one beat's worth of media."""
        raise NotImplementedError

    def crash(self, error: Exception) -> None:
        """Called by the beat when a visit raised what it must not: the run ends with it."""
        if not self.crashed.done():
            self.crashed.set_exception(error)

    @staticmethod
    def _lose(lost: "asyncio.Future[_E] | None", error: _E) -> None:
        if lost is not None and not lost.done():
            lost.set_result(error)


class LiveFlow(Flow):
    """See the module's docstring. Visited by the beat."""

    __slots__ = (
        "_at_start",
        "_feed",
        "_feed_lost",
        "_finished_bytes_in",
        "_finished_lost_packets",
        "_header_changes",
        "_is_cut",
        "_lead",
        "_on_inspect",
        "_others",
        "encode",
        "timeline",
    )

    def __init__(self, timeline: Timeline, outlet: Outlet, on_inspect: Callable[[float], bool]) -> None:
        """``on_inspect`` gives whether the run is as it should be."""
        super().__init__(outlet)
        self.timeline = timeline
        self._on_inspect = on_inspect
        self._feed: Feed | None = None
        self._feed_lost: asyncio.Future[SourceError] | None = None
        self._finished_bytes_in = self._finished_lost_packets = 0
        # Called when the next START comes, from which on nothing is sent.
        self._at_start: Callable[[], None] | None = None
        self._is_cut = False
        self._header_changes = 0
        # The first destination, whose outlet is ``outlet``, and all others.
        self._lead = self.branch(outlet)
        self._others: Sequence[Branch] = ()
        #: See ``RunContext``.
        self.encode: Callable[[], bool] = lambda: False

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

    @property
    def lost_packets(self) -> int:
        """See ``Flow``."""
        return self._finished_lost_packets + (self._feed.lost_packets if self._feed else 0)

    @property
    def repairs(self) -> int:
        """See ``Flow``."""
        return self.timeline.repairs

    @property
    def headers(self) -> list[LaidTag]:
        """See ``Flow``."""
        return self.timeline.headers

    def attach_feed(self, feed: Feed, now: float) -> "asyncio.Future[SourceError]":
        """Start pulling, at once; the future gets the error with which the feed ended."""
        self._feed = feed
        self._feed_lost = asyncio.get_running_loop().create_future()
        self.visit(now)
        return self._feed_lost

    def replace_feed(self, feed: Feed) -> None:
        """Pull the same session in another way from now on."""
        self._feed = feed

    def release_feed(self) -> None:
        """Stop pulling, but leave the feed as it is: it is its owner's again, and another follows at once."""
        if self._feed is not None:
            self._finished_bytes_in += self._feed.bytes_in
            self._finished_lost_packets += self._feed.lost_packets
        self._feed = None

    def detach_feed(self) -> None:
        """See ``Flow``."""
        if self._feed is not None:
            self._feed.close()
        self.release_feed()
        self.has_media.clear()

    def forget_feed(self) -> None:
        """Stop pulling, and send nothing of what is kept for destinations that are not there."""
        self.detach_feed()
        for branch in (self._lead, *self._others):
            branch.outlet.forget()

    def _is_taken(self) -> bool:
        """Whether each destination that is there takes what the headers in force say."""
        needed = self.needs
        return not needed or all(branch.outlet.takes(needed) for branch in (self._lead, *self._others))

    @property
    def lead(self) -> Branch:
        """See ``Flow``."""
        return self._lead

    @property
    def has_all_sessions(self) -> bool:
        """Whether media is being sent to every destination."""
        return all(branch.outlet.session is not None for branch in (self._lead, *self._others))

    @property
    def is_drained(self) -> bool:
        """Whether each destination that is there has acknowledged all by the last liveness check."""
        outlets = [branch.outlet for branch in (self._lead, *self._others)]
        return all(outlet.is_drained for outlet in outlets if outlet.session is not None)

    def branch(self, outlet: Outlet | None = None) -> Branch:
        """One for a further destination."""
        return Branch(self.visit, lambda: self.headers, outlet)

    def lead_to(self, branches: Sequence[Branch]) -> None:
        """Send to these from now on: the first leads. What goes on in those that stay is not touched."""
        lead, others = branches[0], branches[1:]
        for branch in (self._lead, *self._others):
            branch.outlet.fan = None
        self._others = others
        if others:
            lead.outlet.fan = self._pass_on
        if lead is self._lead:
            return
        self._lead, self.outlet = lead, lead.outlet
        if self._at_start is not None:
            self.outlet.require_tags()
        if self._feed is not None:
            self._feed.lead_to(lead.outlet)

    def _pass_on(self, framed: Framed, count: int, last_ms: int, goes_on: bool) -> None:
        pass_on(framed, count, last_ms, self._others, goes_on=goes_on)

    def attach_session(self, session: Session, now: float) -> "asyncio.Future[DestinationError]":
        """See ``Flow``."""
        return self._lead.attach_session(session, now)

    async def wait_for_start(self) -> None:
        """See ``Flow``."""
        await self._lead.wait_for_start()

    @property
    def has_session(self) -> bool:
        """See ``Flow``."""
        return any(branch.outlet.session is not None for branch in (self._lead, *self._others))

    def cut_at_start(self, then: Callable[[], None]) -> None:
        """See ``Flow``."""
        self._at_start = then
        self.outlet.require_tags()

    def visit(self, now: float) -> None:
        """See ``Flow``."""
        feed = self._feed
        inspects = now >= self._inspect_at
        is_done = False
        if feed is not None and (fast_path := feed.fast_path) is not None:
            try:
                is_done = fast_path.visit(now)
            except SourceError as error:
                self._lose(self._feed_lost, error)
            except DestinationError as error:
                self._lead.lose(error)
        if not is_done:
            self._move(now)
        if inspects:
            self._inspect(now, is_done)
        elif not is_done and self._inspect_at > now + INSPECT_S:
            self._inspect_at = now + INSPECT_S

    def _move(self, now: float) -> None:
        """The general path."""
        # Freed at the end of the visit, so that the next one finds the same memory in the processor's cache.
        laid: list[LaidTag] = []
        if self._feed is not None and not self._is_cut:
            try:
                self._feed.pull(now, laid)
            except SourceError as error:
                self._lose(self._feed_lost, error)
            if self.timeline.header_changes != self._header_changes:
                self._header_changes = self.timeline.header_changes
                if not self._is_taken() and self.encode():
                    laid.clear()
                for branch in (self._lead, *self._others):
                    branch.outlet.note_headers(self.headers)
            if laid and not self.has_media.is_set():
                self.has_media.set()
            if self._at_start is not None:
                self._cut(laid, self._at_start)
        if self.outlet.session is not None or laid:
            try:
                self.outlet.offer(laid)
            except DestinationError as error:
                self._lead.lose(error)
        for branch in self._others:
            branch.offer(laid)

    def _inspect(self, now: float, is_plain: bool) -> None:
        try:
            if self._feed is not None and not self._is_cut:
                self._feed.check_liveness(now)
        except SourceError as error:
            self._lose(self._feed_lost, error)
        self._lead.check_liveness(now)
        for branch in self._others:
            branch.check_liveness(now)
        is_plain = self._on_inspect(now) and is_plain
        self._inspect_at = now + (CALM_INSPECT_S if is_plain else INSPECT_S)

    def _cut(self, laid: list[LaidTag], then: Callable[[], None]) -> None:
        for index in range(len(laid) - 1, -1, -1):
            if laid[index][3] == START:
                del laid[index:]
                self._is_cut = True
                then()
                return
