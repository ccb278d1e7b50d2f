"""The keeper of a list of files: prepares them in order, ahead of the one that plays, and gives them to the feed.

A list that keeps time (ContinueStrategy 1) also resumes where it would be by the clock: after each wait for its
destination, after a pause of the machine, and when none of its items could be read.
"""

import asyncio
import time
from collections.abc import Callable

from streamferry.media.errors import MediaError
from streamferry.prepare.file import PrepareProgress
from streamferry.reasons import Code, Reason
from streamferry.relay.backoff import Backoff
from streamferry.relay.file_feed import FileFeed
from streamferry.relay.keeper import KeeperTask, RunContext
from streamferry.relay.list_flow import ListFlow
from streamferry.relay.list_orders import ListOrders, OnExtra
from streamferry.relay.list_position import ListPosition
from streamferry.relay.prepared_list import PreparedList
from streamferry.relay.spec import ENDLESS, Item, RelaySpec
from streamferry.relay.status import START, ItemChange, ItemStep, Playhead, State, Unready
from streamferry.relay.vitals import Phase
from streamferry.source.prepared import PreparedReader
from streamferry.timeline.pace import LEAD_MS

# How often it is looked whether an item that could not be opened has come to be due.
_LOOK_S = 0.2


class ListKeeper:
    """A ``SourceKeeper``. ``on_item`` is called with each step of an item, ``lead_ms``: see ``FileFeed``.

    ``on_extra`` is called with those of files that are not of the list.
    """

    #: It is all there is.
    unready: tuple[Unready, ...] = ()

    def __init__(
        self,
        context: RunContext,
        flow: ListFlow,
        prepared: PreparedList,
        on_item: Callable[[ItemChange], None],
        lead_ms: int = LEAD_MS,
        on_extra: OnExtra = lambda begins, why, file: None,
    ) -> None:
        self._context = context
        self._flow = flow
        self._source = context.vitals.source
        self._prepared = prepared
        self._lead_ms = lead_ms
        self._on_item = on_item
        self._position = ListPosition(context.spec.playhead, time.monotonic(), lead_ms)
        self._feed: FileFeed | None = None
        # By item, the latest last: why it was not played the last time it was due.
        self._skipped: dict[int, MediaError] = {}
        self.task = KeeperTask("source", self._source)
        self._on_extra = on_extra
        self._orders = ListOrders(context, flow, self.task, prepared, on_extra)

    @property
    def skipped(self) -> MediaError | None:
        """Why an item was not played the last time it was due; None if all were."""
        return next(reversed(self._skipped.values()), None)

    def where_now(self) -> Playhead | None:
        """See ``SourceKeeper``."""
        spec = self._context.spec
        return self._position.by(time.monotonic(), spec.items, spec.loops)

    async def keep(self) -> None:
        """Play the list from where its spec says."""
        if self._feed is None:
            self._orders.follow(self._context.spec.orders, is_first=True)
        await self._keep_from(self._context.spec.playhead)

    async def _keep_from(self, start: Playhead) -> None:
        context, spec, source = self._context, self._context.spec, self._source
        feed = self._open_feed(start)
        feed.drop_upcoming()
        backoff = Backoff()
        first, loop = start, start.loop
        await self._prepared.learn_form(spec, spec.items[: start.item])
        while spec.loops == ENDLESS or loop < spec.loops:
            errors = await self._give_loop(feed, spec, first, loop)
            if len(errors) < len(spec.items) - first.item:
                first, loop = START, loop + 1
                backoff.attempts = 0
                continue
            # Worth another try unless every item is beyond hope.
            await context.pause(source, _of_all(errors), backoff)
            if spec.keeps_time and feed.is_waiting:
                place = self.where_now()
                if place is None:
                    break
                first, loop = place, place.loop
        feed.finish()
        if not context.flow.has_media.is_set():
            # The list was to go on after its end.
            context.finish(State.ENDED)

    def _open_feed(self, start: Playhead) -> FileFeed:
        """The one feed of the run: its current item continues when the list is replaced."""
        if self._feed is None:
            context, flow = self._context, self._flow
            self._feed = FileFeed(
                *(flow.outlet, start, self._note_item, self._note_late, lambda: context.spec.keeps_time, self._lead_ms),
                on_extra=self._note_extra,
            )
            context.vitals.list_feed = self._feed
            flow.attach_feed(self._feed)
        return self._feed

    async def _give_loop(self, feed: FileFeed, spec: RelaySpec, first: Playhead, loop: int) -> list[MediaError]:
        """Prepare one loop from ``first`` on; returns why items of it cannot be played."""
        errors: list[MediaError] = []
        for index in range(first.item, len(spec.items)):
            await feed.upcoming.wait_for_room()
            if self._source.phase is Phase.IDLE:
                self._context.note(self._source, Phase.CONNECTING)
            position_ms = first.position_ms if index == first.item else 0
            try:
                reader = await self._open_in_time(feed, spec, spec.items[index], position_ms)
            except MediaError as error:
                self._note_item(ItemStep.FAILED, Playhead(loop, index), error)
                errors.append(error)
                continue
            if reader is None:
                continue
            if not self._flow.takes(reader.file.headers) and self._context.encode():
                reader.close()
                # This ends here: the list begins anew.
                await asyncio.Event().wait()
            self._context.note(self._source, Phase.UP)
            self._context.flow.has_media.set()
            feed.put(loop, index, reader)
            # What was just prepared may turn out to be short.
            await self._prepared.wait_known(reader, feed.upcoming.wait_for_room())
            feed.upcoming.look_for_room()
        return errors

    async def _open_in_time(
        self, feed: FileFeed, spec: RelaySpec, item: Item, position_ms: int
    ) -> PreparedReader | None:
        """Open an item; what may be for a moment only is tried again until it is due. Raises MediaError."""
        backoff = Backoff()
        while True:
            try:
                return await self._prepared.open_item(spec, item, position_ms, self._note_progress)
            except MediaError as error:
                if not error.retryable or not await _waits(feed, max(backoff.next_delay(), error.retry_after_s)):
                    raise
                error.forget_trace()
                self._context.log.info("%s; it is not due yet and tried again", error)

    def update(self, before: RelaySpec) -> None:
        """Continue with the current item if the new list has it; otherwise its successor makes it end at a keyframe."""
        spec, feed = self._context.spec, self._feed
        if feed is not None:
            feed.drop_upcoming()
        if spec.items != before.items:
            self._skipped.clear()
            self._position.follow(before.items, spec.items)
            if feed is not None:
                feed.follow(before.items, spec.items)
        self.task.restart(self.keep)

    def encode(self, before: RelaySpec) -> None:
        """See ``SourceKeeper``: what plays is prepared anew, and goes on where it was."""
        feed, place = self._feed, self._context.spec.playhead
        self._context.flow.has_media.clear()
        if feed is not None:
            place = feed.playhead or place
            feed.skip_to(place)
        self.task.restart(lambda: self._keep_from(place))

    def follow_orders(self, before: RelaySpec) -> None:
        """Go on with the next item, or play a file beside the list."""
        self._orders.follow(self._context.spec.orders)

    def look(self, now: float) -> None:
        """Note the list's position, and whether it has played and arrived to its end."""
        feed = self._feed
        if feed is None:
            return
        if feed.has_begun and (playhead := feed.playhead) is not None:
            self._position.note(playhead, now)
            if feed.plays_extra:
                self._position.hold(now)
        for item, end_ms in feed.item_ends():
            self._position.note_end(item, end_ms)
        if feed.finished.is_set() and self._context.flow.outlet.is_drained:
            # Acknowledged to its end: closing loses nothing.
            self._context.finish(State.ENDED)

    async def catch_up(self) -> None:
        """A list that keeps time; one of which nothing has played yet has nothing to catch up with."""
        if self._context.spec.keeps_time:
            self._go_on_at(self.where_now())
            await self._context.flow.has_media.wait()

    def _go_on_at(self, place: Playhead | None) -> None:
        """Let the list continue elsewhere, unless nothing of it has begun yet."""
        feed = self._feed
        if feed is None or place is None or not self.task.is_running or place == START or feed.begin_at(place):
            return
        self._context.flow.has_media.clear()
        feed.skip_to(place)
        self.task.restart(lambda: self._keep_from(place))

    def _note_progress(self, progress: PrepareProgress) -> None:
        self._context.vitals.preparing_percent = progress.percent
        self._context.advanced_at = time.monotonic()

    def _note_item(self, step: ItemStep, playhead: Playhead, error: MediaError | None) -> None:
        """Report a step of an item. One that could not be played, or not to its end, is skipped; the list continues."""
        if error is None:
            if step is ItemStep.FINISHED:
                self._skipped.pop(playhead.item, None)
            self._on_item(ItemChange(step, playhead))
            return
        error.forget_trace()
        self._skipped.pop(playhead.item, None)
        self._skipped[playhead.item] = error
        self._context.on_attempt()
        self._context.log.warning("item skipped: %s", error)
        self._on_item(ItemChange(step, playhead, error.fault, error.why))

    def _note_extra(self, begins: bool, failed: MediaError | None, file: str) -> None:
        if begins:
            why = Reason.of(Code.ON_AIR_INSERT)
        elif failed is None:
            why = Reason.of(Code.ON_AIR_INSERT_OVER)
        else:
            why = Reason.of(Code.ON_AIR_INSERT_FAILED, why=failed.why)
        self._on_extra(begins, why, file)

    def _note_late(self) -> None:
        """The machine or the destination paused: a list that keeps time skips that long."""
        if self._context.spec.keeps_time:
            # Looked up here, before the feed says where it is now; the feed is in the midst of its pull.
            place = self.where_now()
            if place is None:
                self._context.finish(State.ENDED)
            asyncio.get_running_loop().call_soon(self._go_on_at, place)


def _of_all(errors: list[MediaError]) -> MediaError:
    """Why nothing of a list can be played: that of an item which may be another time, and how many there are."""
    chosen = next((error for error in errors if error.retryable), errors[0])
    if len(errors) == 1:
        return chosen
    told = type(chosen)(Reason.of(Code.FILE_AND_OTHERS, count=len(errors), why=chosen.why))
    told.fault, told.retry_after_s = chosen.fault, chosen.retry_after_s
    return told


async def _waits(feed: FileFeed, seconds: float) -> bool:
    """Wait that long; gives whether the feed still has something to play. It does not wait longer than it has."""
    until = time.monotonic() + seconds
    while not feed.is_waiting and (left := until - time.monotonic()) > 0:  # noqa: ASYNC110 - bounded by ``seconds``
        await asyncio.sleep(min(left, _LOOK_S))
    return not feed.is_waiting
