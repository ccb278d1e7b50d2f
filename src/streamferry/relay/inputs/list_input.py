"""One input that is a list of files: it plays as if it were live while it is on air, and stays where it is meanwhile.

A slate is one, too, of one clip without end; so is a file that is inserted, played once.
"""

import asyncio
import time
from collections.abc import Callable, Iterable

from streamferry.media.errors import MediaError
from streamferry.media.peer_options import NO_OPTIONS, PeerOptions
from streamferry.net.folders import Folders
from streamferry.prepare.form import Form
from streamferry.prepare.processing import FIRST
from streamferry.prepare.store import PreparedStore
from streamferry.push import Outlet
from streamferry.reasons import Reason
from streamferry.relay.feed import LiveFeed
from streamferry.relay.file_feed import FileFeed
from streamferry.relay.flow import LiveFlow
from streamferry.relay.inputs.file_inlet import FileInlet
from streamferry.relay.inputs.policy import Health
from streamferry.relay.keeper import RunContext
from streamferry.relay.list_flow import ListFlow
from streamferry.relay.list_keeper import ListKeeper
from streamferry.relay.list_orders import OnExtra
from streamferry.relay.prepared_list import PreparedList
from streamferry.relay.spec import ENDLESS, Item, RelaySpec
from streamferry.relay.status import START, ItemChange, Playhead, State
from streamferry.relay.vitals import Vitals


def spec_of_list(
    spec: RelaySpec,
    items: Iterable[Item],
    options: PeerOptions = NO_OPTIONS,
    *,
    loops: int = ENDLESS,
    playhead: Playhead = START,
) -> RelaySpec:
    """Of a list that is shown in a run of ``spec``: its files become what the run's do. ``options`` are of their own
    servers: what the run's source is told is for that alone."""
    return RelaySpec.vod(
        items,
        spec.destination,
        loops=loops,
        playhead=playhead,
        # What is brought into one form has no form of its own.
        normalize=spec.normalize if spec.switching.normalize.copies else FIRST,
        silence=spec.silence,
        watermark=spec.watermark,
        codecs=spec.codecs,
        pre_download=spec.pre_download,
        source_options=options,
    )


class ListInput:
    """A ``RunningInput``. ``spec``: of a list, whose destination means nothing here."""

    #: A list has no past to begin with.
    kept_ms = 0
    #: Whoever made it wants to show what is in it.
    judge = None

    def __init__(
        self,
        context: RunContext,
        spec: RelaySpec,
        flow: LiveFlow,
        scratch: memoryview,
        store: PreparedStore,
        *,
        form: Form | None = None,
        folders: Folders | None = None,
        on_item: Callable[[ItemChange], None] = lambda change: None,
        on_extra: OnExtra = lambda begins, why, file: None,
    ) -> None:
        """``form``: what its files get, where the first of them does not decide it."""
        self.health = Health()
        self._run = context
        self._run_flow = flow
        self._scratch = scratch
        self._flow = ListFlow(Outlet(), self._look)
        self._vitals = Vitals(self._flow)
        self._context = RunContext(
            *(spec, self._flow, self._vitals, context.network, context.log),
            on_attempt=context.on_attempt,
            inspect=lambda now: None,
            claim=context.claim,
        )
        self._prepared = PreparedList(store, form, folders)
        self._keeper = ListKeeper(*(self._context, self._flow, self._prepared, on_item), lead_ms=0, on_extra=on_extra)
        self._wanted = asyncio.Event()
        self._inlet: FileInlet | None = None
        self._feed: LiveFeed | None = None

    @property
    def error(self) -> MediaError | None:
        """See ``RunningInput``."""
        return self._vitals.source.error or self._keeper.skipped

    @property
    def trouble(self) -> Reason | None:
        """See ``RunningInput``."""
        return None if self.is_open or self.error is None else self.error.why

    def has_form(self, form: Form | None) -> bool:
        """Whether its items are prepared in that form."""
        return self._prepared.form == form

    @property
    def vitals(self) -> Vitals:
        """How its list is doing."""
        return self._vitals

    @property
    def skipped(self) -> MediaError | None:
        """See ``SourceKeeper``."""
        return self._keeper.skipped

    @property
    def has_failed(self) -> bool:
        """Whether none of its items can ever be played."""
        over = self._context.over
        return over.done() and over.result() is State.FAILED

    def where_now(self) -> Playhead | None:
        """See ``SourceKeeper``."""
        return self._keeper.where_now()

    async def catch_up(self) -> None:
        """See ``SourceKeeper``."""
        await self._keeper.catch_up()

    @property
    def list_feed(self) -> FileFeed | None:
        """What plays its files, once it was wanted."""
        return self._vitals.list_feed

    @property
    def is_open(self) -> bool:
        """See ``RunningInput``: whether there is something to play."""
        feed = self._vitals.list_feed
        return feed is not None and not feed.is_waiting and not feed.finished.is_set() and self._has_media

    @property
    def _has_media(self) -> bool:
        return self._flow.has_media.is_set()

    @property
    def is_over(self) -> bool:
        """Whether it was played to its end."""
        feed = self._vitals.list_feed
        return feed is not None and feed.finished.is_set()

    def want(self, is_wanted: bool) -> None:
        """See ``RunningInput``. It costs nothing to stay open."""
        if is_wanted:
            self._wanted.set()

    def visit(self, now: float) -> None:
        """See ``RunningInput``."""
        pause_s = self._run.spec.switching.switch_after_s
        if (feed := self._feed) is not None:
            if feed.has_laid and feed.media_at > self.health.alive_at:
                self.health.note_alive(feed.media_at, pause_s)
        elif self.is_open:
            self.health.note_alive(now, pause_s)
        else:
            self.health.note_gone()

    def take(self, now: float, *, goes_on: bool) -> LiveFeed:
        """See ``RunningInput``."""
        self._inlet = FileInlet(self._flow, now)
        self._feed = LiveFeed(self._inlet, self._run_flow.timeline, self._scratch, now)
        return self._feed

    def release(self, now: float) -> None:
        """See ``RunningInput``."""
        self._feed = None
        if self._inlet is not None:
            # Where it is now: it may be asked for where it would be.
            self._keeper.look(now)
            self._inlet.close()
            self._inlet = None

    def lose(self, error: MediaError) -> None:
        """See ``RunningInput``."""
        self.release(time.monotonic())
        self.health.note_gone()

    def update(self, spec: RelaySpec) -> None:
        """The list was edited: what plays continues if the new list has it."""
        before, self._context.spec = self._context.spec, spec
        if not self._keeper.task.is_running:
            return
        if spec.codecs is not before.codecs:
            self._keeper.encode(before)
        elif spec.list_key != before.list_key:
            self._keeper.update(before)
        elif self._keeper.task.is_running and spec.orders != before.orders:
            self._keeper.follow_orders(before)

    def skip(self) -> None:
        """Go on with the next item, at the next keyframe of the present one."""
        if (feed := self._vitals.list_feed) is not None:
            feed.give_way()

    async def keep(self) -> None:
        """See ``RunningInput``."""
        await self._wanted.wait()
        try:
            async with asyncio.TaskGroup() as group:
                self._keeper.task.start(group, self._keeper.keep)
                # Its keeper ends when the list does, and begins again when that is edited.
                await asyncio.Event().wait()
        finally:
            self._keeper.task.close()
            self.release(time.monotonic())
            self._flow.detach_feed()

    def _look(self, now: float) -> bool:
        self._keeper.look(now)
        return True
