"""ListFlow: the flow of a list of files. A visit lets the feed send what is due; nothing lies between the two.

It is inspected less often than a live one as long as all is plain, because nothing comes in that could surprise it.
"""

import asyncio
from collections.abc import Callable, Sequence

from streamferry.media.errors import DestinationError
from streamferry.media.tag import LaidTag, Tag
from streamferry.push import Outlet, Session
from streamferry.push.forms import needed_of
from streamferry.relay.file_feed import FileFeed
from streamferry.relay.flow import CALM_INSPECT_S, INSPECT_S, Flow


def _all_is_well(now: float) -> bool:
    return True


class ListFlow(Flow):
    """Visited by the beat. The feed stays attached from its first item to the end of the run."""

    __slots__ = (
        "_ahead",
        "_feed",
        "_on_inspect",
        "_session_lost",
    )

    def __init__(self, outlet: Outlet, on_inspect: Callable[[float], bool]) -> None:
        """``on_inspect`` gives whether the run is as it should be."""
        super().__init__(outlet)
        self._on_inspect = on_inspect
        self._feed: FileFeed | None = None
        self._session_lost: asyncio.Future[DestinationError] | None = None
        # Headers of the file that was opened last.
        self._ahead: Sequence[Tag] = ()

    @property
    def feed(self) -> FileFeed | None:
        """What plays, until the run ends."""
        return self._feed

    @property
    def headers(self) -> list[LaidTag]:
        """See ``Flow``."""
        return [] if self._feed is None else self._feed.headers

    @property
    def needs(self) -> frozenset[str]:
        """See ``Flow``."""
        return needed_of((*self.headers, *self._ahead))

    def takes(self, headers: Sequence[Tag]) -> bool:
        """Whether the destination that is there takes the file with these headers, which plays next."""
        self._ahead = headers
        return self.outlet.takes(needed_of(headers))

    def attach_feed(self, feed: FileFeed) -> None:
        """Play what the feed is given."""
        self._feed = feed

    def detach_feed(self) -> None:
        """See ``Flow``."""
        if self._feed is not None:
            self._feed.close()
        self._feed = None
        self._on_inspect = _all_is_well
        self.has_media.clear()

    def attach_session(self, session: Session, now: float) -> "asyncio.Future[DestinationError]":
        """See ``Flow``."""
        self.outlet.attach(session, [], now)
        if self._feed is not None:
            self._feed.begin_session(now)
        self._session_lost = asyncio.get_running_loop().create_future()
        self.visit(now)
        return self._session_lost

    def detach_session(self) -> Session | None:
        """See ``Flow``."""
        if self._feed is not None:
            self.outlet.note_acked()
            self._feed.end_session()
        return super().detach_session()

    async def wait_for_start(self) -> None:
        """See ``Flow``."""
        feed, come = self._feed, asyncio.Event()
        if feed is None or self.outlet.session is None:
            return
        feed.stop_at_place(come.set, goes_on=True)
        try:
            await come.wait()
        finally:
            feed.forget_place(come.set)
        feed.hold()
        self.outlet.hand_on()

    def cut_at_start(self, then: Callable[[], None]) -> None:
        """See ``Flow``."""
        if self._feed is not None:
            self._feed.stop_at_place(then)

    def visit(self, now: float) -> None:
        """See ``Flow``."""
        is_plain, inspects = False, now >= self._inspect_at
        if self._feed is not None and self.outlet.session is not None:
            try:
                is_plain = self._feed.play(now)
                if inspects:
                    self.outlet.check_liveness(now)
                    self._feed.note_arrived()
                    # A destination that takes nothing is looked at more often: the kernel holds much of a file.
                    is_plain = is_plain and self.outlet.last_progress_at == now
            except DestinationError as error:
                self._lose(self._session_lost, error)
        if inspects:
            is_plain = self._on_inspect(now) and is_plain
            self._inspect_at = now + (CALM_INSPECT_S if is_plain else INSPECT_S)
        elif not is_plain and self._inspect_at > now + INSPECT_S:
            self._inspect_at = now + INSPECT_S
