"""Branch: one destination of a live flow, from the timeline on. A flow has one or more; each has its own outlet, so a
slow, stuck or absent destination costs the others nothing.

The first branch leads: its outlet is where the fast path sends to. What that has framed is passed on here. It is copied
once for all, and the copy serves each session that counts its stamps from the same moment and uses the same message
stream; a session that counts from another has it framed once more, which is cheaper than to send tags. What must wait,
or be written in another form, goes to its outlet as tags.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol

from streamferry.media.errors import DestinationError
from streamferry.media.tag import LaidTag
from streamferry.push import Outlet, Session
from streamferry.push.until_start import UntilStart
from streamferry.relay.spec import Latency
from streamferry.wire.rtmp.framed import Framed


class Way(Protocol):
    """Where a keeper attaches its sessions: a branch, or the flow of a list."""

    @property
    def outlet(self) -> Outlet:
        """What is sent to the destination, and what was."""

    def attach_session(self, session: Session, now: float) -> "asyncio.Future[DestinationError]":
        """Start sending, at once; the future gets the error with which the session ended."""

    def detach_session(self) -> Session | None:
        """Stop sending and give the session back, to be closed by the caller."""

    async def wait_for_start(self) -> None:
        """Send what comes before the next place where a viewer can begin; what follows is for the next session.

        The session is removed then, and the caller's to close. Another worker's could be next as well as our own.
        """


class Branch:
    """``visit`` moves media of the flow, and ``headers`` are what a new session must have first."""

    __slots__ = ("_headers", "_lost", "_unsent_bytes", "_visit", "in_step", "outlet")

    def __init__(
        self, visit: Callable[[float], None], headers: Callable[[], list[LaidTag]], outlet: Outlet | None = None
    ) -> None:
        self.outlet = outlet or Outlet()
        self._visit = visit
        self._headers = headers
        self._lost: asyncio.Future[DestinationError] | None = None
        self._unsent_bytes = Latency.NORMAL.unsent_bytes
        #: Branches whose sessions are to carry the same stamps as its own: a pair of ingest points.
        self.in_step: Sequence[Branch] = ()

    def attach_session(self, session: Session, now: float) -> "asyncio.Future[DestinationError]":
        """See ``Way``."""
        session.drop_late(self._unsent_bytes)
        zeros_ms = [zero_ms for other in self.in_step if (zero_ms := other.zero_ms) is not None]
        if zeros_ms and session.chunks is not None:
            session.chunks.begin_at(zeros_ms[0])
        self.outlet.attach(session, self._headers(), now)
        self._lost = asyncio.get_running_loop().create_future()
        self._visit(now)
        return self._lost

    def detach_session(self) -> Session | None:
        """See ``Way``."""
        return self.outlet.detach()

    async def wait_for_start(self) -> None:
        """See ``Way``."""
        outlet, come = self.outlet, asyncio.Event()
        if (session := outlet.session) is None:
            return
        outlet.session = UntilStart(session, come.set, outlet.release_forms())
        await come.wait()
        outlet.hand_on()

    @property
    def zero_ms(self) -> int | None:
        """Where on the output clock the stamps of its session are 0; None if it has none that has begun."""
        chunks = None if self.outlet.session is None else self.outlet.session.chunks
        return None if chunks is None or not chunks.has_begun else chunks.zero_ms

    def set_unsent(self, unsent_bytes: int) -> None:
        """What its destination may hold unsent from now on."""
        self._unsent_bytes = unsent_bytes
        if self.outlet.session is not None:
            self.outlet.session.drop_late(unsent_bytes)

    def offer(self, tags: list[LaidTag], *, goes_on: bool = False) -> None:
        """Send tags, or what waits; see ``Outlet``."""
        try:
            self.outlet.offer(tags, goes_on=goes_on)
        except DestinationError as error:
            self.lose(error)

    def offer_framed(self, place: Framed, data: bytes, of: Framed, *, goes_on: bool) -> None:
        """Send the frames ``of`` that, which are ``data`` in its own session (``Outlet.place``)."""
        place.pieces.append(data)
        place.count, place.last_ms, place.sound = of.count, of.last_ms, of.sound
        if goes_on:
            self.outlet.framed = place
            return
        try:
            self.outlet.send_framed(place)
        except DestinationError as error:
            self.lose(error)

    def check_liveness(self, now: float) -> None:
        """At each inspection."""
        try:
            self.outlet.check_liveness(now)
        except DestinationError as error:
            self.lose(error)

    def lose(self, error: DestinationError) -> None:
        """Its session has ended."""
        if self._lost is not None and not self._lost.done():
            self._lost.set_result(error)


def pass_on(framed: Framed, count: int, last_ms: int, branches: Sequence[Branch], *, goes_on: bool) -> None:
    """Give the branches what the fast path has framed for the session of another one: so many frames, if any.

    ``goes_on``: the general path has more for them in this visit.
    """
    if not count:
        for branch in branches:
            branch.offer([], goes_on=goes_on)
        return
    framed.count, framed.last_ms = count, last_ms
    data = b"".join(framed.pieces)
    made = {(framed.zero_ms, framed.stream_word, framed.chunk_size): data}
    tags: list[LaidTag] = []
    for branch in branches:
        place = branch.outlet.place
        if place is not None:
            form = (place.zero_ms, place.stream_word, place.chunk_size)
            if (own := made.get(form)) is None:
                tags = tags or framed.tags()
                own = made[form] = place.frame(tags)
            if own:
                branch.offer_framed(place, own, framed, goes_on=goes_on)
                continue
        tags = tags or framed.tags()
        branch.offer(tags, goes_on=goes_on)
