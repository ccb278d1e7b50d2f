"""RelayRun: one run of one spec, from the first connect to its end.

What is here is what is rare: opening, retrying, ending. Steady media passes by in ``flow``, driven by the beat. Two
keepers live in the run's TaskGroup, one for each end; each opens its end, hands it to the flow, waits for the flow to
say that it was lost, and starts over after a pause. They meet only in the flow, so a source that comes back finds the
publish session open, and a destination that comes back finds the source running. A changed spec replaces the keeper of
the end that it concerns, and leaves the other alone.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine
from typing import Any

from streamferry.media.errors import DestinationError, Fault, MediaError, SourceError
from streamferry.prepare.file import PrepareProgress
from streamferry.prepare.store import PreparedStore
from streamferry.push import Outlet, open_session
from streamferry.relay.backoff import Backoff
from streamferry.relay.beat import FILE_VISITS, LIVE_VISITS, Beat
from streamferry.relay.drift import Drift
from streamferry.relay.feed import FileFeed, LiveFeed
from streamferry.relay.flow import Flow
from streamferry.relay.list_position import Place
from streamferry.relay.marked import MarkedFeed, open_marked
from streamferry.relay.network import Network
from streamferry.relay.prepared_list import PreparedList
from streamferry.relay.preview import Preview, Viewer
from streamferry.relay.spec import ENDLESS, RelaySpec
from streamferry.relay.status import START, ItemChange, ItemStep, Playhead, RelayStatus, State, Totals, Trouble
from streamferry.relay.vitals import End, Phase, Verdict, Vitals
from streamferry.source import HlsPlayedSegments, open_live
from streamferry.timeline import Timeline

#: Attempts of a source that come quickly, before the pauses grow: about a minute. An attempt costs its peer a connect,
#: and the picture is to be back within 2 s of the source's return.
_EAGER_ATTEMPTS = 40


class RelayRun:
    """Create it inside a running event loop and await :meth:`run` once."""

    def __init__(
        self,
        spec: RelaySpec,
        *,
        began_at: float,
        beat: Beat,
        scratch: memoryview,
        store: PreparedStore,
        network: Network,
        log: "logging.LoggerAdapter[logging.Logger]",
        on_change: Callable[[RelayStatus], None],
        on_item: Callable[[ItemChange], None],
        on_attempt: Callable[[], None] = lambda: None,
        trouble: Trouble | None = None,
    ) -> None:
        self._spec = spec
        self._beat = beat
        self._scratch = scratch
        self._prepared_list = PreparedList(store)
        self._network = network
        self._log = log
        self._on_change = on_change
        self._on_item = on_item
        self._on_attempt = on_attempt
        self._timeline = Timeline()
        self._outlet = Outlet()
        self._flow = Flow(self._timeline, self._outlet, self._inspect)
        self._preview = Preview(self._outlet, self._timeline)
        self._vitals = Vitals(self._flow, trouble)
        self._began_at = began_at
        self._place = Place(spec.playhead, time.monotonic())
        self._drift = Drift()
        # When a preparation was last seen advancing: patience is not for a download that comes.
        self._advanced_at = time.monotonic()
        self._over: asyncio.Future[State] = asyncio.get_running_loop().create_future()
        self._is_aborted = False
        self._keepers: dict[str, list[asyncio.Task[None]]] = {}
        self._limits_changed = asyncio.Event()
        self._group: asyncio.TaskGroup | None = None
        self._skipped: MediaError | None = None
        self._verdict: Verdict = (State.CONNECTING if spec.is_live else State.PREPARING, None, None)

    @property
    def status(self) -> RelayStatus:
        """The state as of the last inspection, the counters as of now."""
        return self._vitals.status(self._verdict)

    @property
    def totals(self) -> Totals:
        """What the run has done."""
        return self._vitals.totals()

    @property
    def is_live(self) -> bool:
        """Of which kind this run is."""
        return self._spec.is_live

    @property
    def is_ending(self) -> bool:
        """Whether what it comes to is decided: a change comes too late."""
        return self._over.done()

    def stop(self) -> None:
        """End the run as asked by the user: unpublish, and be ``stopped``."""
        self._finish(State.STOPPED)

    def stop_at_keyframe(self) -> None:
        """The same, where a viewer can begin, so that another run goes on there; at once if nothing is being sent."""
        if self._flow.outlet.session is None:
            self.stop()
        else:
            self._flow.cut_at_start(self.stop)

    def abort(self) -> None:
        """End the run and send nothing from here on, not even a good-bye: its key may be another worker's by now.

        Also while it says good-bye already. ``run`` returns as soon as its keepers have let go.
        """
        self._is_aborted = True
        self._drop()
        self._finish(State.STOPPED)
        for keepers in self._keepers.values():
            for keeper in keepers:
                keeper.cancel()

    def _drop(self) -> None:
        """Let go of both ends, without a word."""
        self._beat.remove(self._flow)
        self._preview.end()
        self._flow.detach_feed()
        if (session := self._flow.detach_session()) is not None:
            session.abort()

    def open_preview(self) -> Viewer:
        """Look at what is handed to the destination, until the run ends. Raises PreviewRefused."""
        return self._preview.watch()

    def update(self, spec: RelaySpec) -> None:
        """Take over a changed spec of the same kind (live stays live).

        A new source or list joins in the open publish session. What plays of a list goes on if the new list has it too,
        wherever; else it ends at a keyframe when the file that follows is there. A new destination gets
        a session of its own after the old one was unpublished. Limits count from the run's beginning.
        """
        before, self._spec = self._spec, spec
        self._limits_changed.set()
        if self._group is None:
            return
        if spec.list_key != before.list_key:
            if (feed := self._vitals.list_feed) is not None:
                feed.drop_upcoming()
            if spec.items != before.items:
                self._drift = Drift()
                self._place.follow(before.items, spec.items)
                if feed is not None:
                    feed.follow(before.items, spec.items)
            self._replace_keeper("source", self._vitals.source, self._keep_source)
        if spec.destination != before.destination:
            self._replace_keeper("destination", self._vitals.destination, self._keep_destination)

    async def run(self) -> RelayStatus:
        """Relay until the end; return the final status. Raises only what is a bug of ours."""
        if not self._is_aborted:
            self._beat.add(self._flow, LIVE_VISITS if self._spec.is_live else FILE_VISITS)
        state = State.FAILED
        try:
            async with asyncio.TaskGroup() as self._group:
                for name, keeper in (("source", self._keep_source()), ("destination", self._keep_destination())):
                    self._keepers[name] = [self._group.create_task(keeper, name=name)]
                try:
                    state = await self._wait_for_end()
                finally:
                    self._group = None  # A change comes too late from here on.
                for keepers in self._keepers.values():
                    keepers[-1].cancel()
        finally:
            self._drop()
        self._publish(self._conclude(state))
        return self.status

    def _replace_keeper(self, name: str, end: End, keep: Callable[[], Coroutine[None, None, None]]) -> None:
        assert self._group is not None
        # All that are not done: the last may itself be waiting for one that is still unpublishing.
        previous = [keeper for keeper in self._keepers[name] if not keeper.done()]
        if previous:
            previous[-1].cancel()

        async def follow() -> None:
            if previous:
                await asyncio.wait(previous)
            end.phase, end.error = Phase.IDLE, None
            await keep()

        self._keepers[name] = [*previous, self._group.create_task(follow(), name=name)]

    async def _wait_for_end(self) -> State:
        """Wait for the end of the run: finished, stopped, given up, out of time, or crashed."""
        while not self._over.done() and not self._flow.crashed.done():
            self._limits_changed.clear()
            duration_s = self._spec.duration_s
            timeout = None if duration_s is None else self._began_at + duration_s - time.monotonic()
            if timeout is not None and timeout <= 0:
                break
            changed = asyncio.ensure_future(self._limits_changed.wait())
            waiting: set[asyncio.Future[Any]] = {self._over, self._flow.crashed, changed}
            try:
                await asyncio.wait(waiting, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
            finally:
                changed.cancel()
        if self._flow.crashed.done():
            self._flow.crashed.result()
        if self._over.done():
            return self._over.result()
        return State.ENDED if self._vitals.has_streamed else State.FAILED

    def _finish(self, state: State) -> None:
        if not self._over.done():
            self._over.set_result(state)

    def _conclude(self, state: State) -> Verdict:
        """The final verdict. Its fault is what was wrong at the end, if anything was."""
        _, fault, reason = self._vitals.judge(time.monotonic())
        if state is State.ENDED and self._over.done():
            # Played to its end: what remains to be told is an item that could not be played.
            fault, reason = (self._skipped.fault, str(self._skipped)) if self._skipped else (None, None)
        elif state is State.FAILED and fault is None:
            is_source = self._vitals.source.phase is not Phase.UP or self._vitals.destination.phase is Phase.IDLE
            fault = Fault.USER_SOURCE if is_source else Fault.USER_DESTINATION
            reason = f"the {'source' if is_source else 'destination'} was not ready in time"
        if state is State.FAILED and fault is not None and reason is not None:
            self._vitals.note_end(fault, reason)
        return state, fault, reason

    # The source

    def _keep_source(self) -> Coroutine[None, None, None]:
        return self._keep_live() if self._spec.is_live else self._keep_list(self._spec.playhead)

    async def _keep_live(self) -> None:
        backoff = Backoff(eager_attempts=_EAGER_ATTEMPTS)
        source, played_segments = self._vitals.source, HlsPlayedSegments()
        while True:
            self._note(source, Phase.CONNECTING)
            try:
                feed = await self._open_live(played_segments)
                lost = self._flow.attach_feed(feed, time.monotonic())
                self._note(source, Phase.UP)
                try:
                    error = await lost
                finally:
                    self._flow.detach_feed()
                backoff.note_session(time.monotonic() - source.since)
            except SourceError as refused:
                error = refused
            await self._pause(source, error, backoff)

    async def _open_live(self, played_segments: HlsPlayedSegments) -> LiveFeed | MarkedFeed:
        spec = self._spec
        url, mark, silence = spec.items[0].url, spec.watermark, spec.silence
        inlet = await open_live(url, **self._network.options, played_segments=played_segments)
        if mark is None:
            return LiveFeed(inlet, self._timeline, self._scratch, time.monotonic(), drift=self._drift, silence=silence)
        return await open_marked(inlet, mark, url, self._timeline, self._scratch, drift=self._drift, silence=silence)

    async def _keep_list(self, start: Playhead) -> None:
        """Prepare the items in order, one ahead of the one that plays, and put them into the feed."""
        spec, source = self._spec, self._vitals.source
        feed = self._vitals.list_feed
        if feed is None:
            feed = self._vitals.list_feed = FileFeed(
                self._timeline, self._outlet, start, self._note_item, self._note_late
            )
            self._flow.attach_feed(feed, time.monotonic())
        feed.drop_upcoming()
        backoff = Backoff()
        first, loop = start, start.loop
        await self._prepared_list.learn_form(spec, spec.items[: start.item])
        while spec.loops == ENDLESS or loop < spec.loops:
            errors: list[MediaError] = []
            for index in range(first.item, len(spec.items)):
                await feed.wait_for_room()
                if source.phase is Phase.IDLE:
                    self._note(source, Phase.CONNECTING)
                position_ms = first.position_ms if index == first.item else 0
                try:
                    reader = await self._prepared_list.open_item(
                        spec, spec.items[index], position_ms, self._note_progress
                    )
                except MediaError as error:
                    self._note_item(ItemStep.FAILED, Playhead(loop, index), error)
                    errors.append(error)
                    continue
                if reader is None:
                    continue
                self._note(source, Phase.UP)
                self._flow.has_media.set()
                feed.put(loop, index, reader)
            if len(errors) < len(spec.items) - first.item:
                first, loop = START, loop + 1
                backoff.attempts = 0
            else:
                # Worth another try unless every item is beyond hope.
                await self._pause(source, next((e for e in errors if e.retryable), errors[0]), backoff)
                if spec.keeps_time and feed.is_waiting:
                    place = self.where_now()
                    if place is None:
                        break
                    first, loop = place, place.loop
        feed.finish()
        if not self._flow.has_media.is_set():
            # The list was to go on behind its end.
            self._finish(State.ENDED)

    def _note_progress(self, progress: PrepareProgress) -> None:
        self._vitals.preparing_percent = progress.percent
        self._advanced_at = time.monotonic()

    def _note_item(self, step: ItemStep, playhead: Playhead, error: MediaError | None) -> None:
        """Tell a step of an item. One that could not be played, or not to its end, is left out; the list goes on."""
        if error is None:
            self._on_item(ItemChange(step, playhead))
            return
        error.forget_trace()
        self._skipped = error
        self._on_attempt()
        self._log.warning("item skipped: %s", error)
        self._on_item(ItemChange(step, playhead, error.fault, str(error)))

    def _note_late(self) -> None:
        """The machine or the destination stood still: a list that keeps time leaves out what that took."""
        if self._spec.keeps_time:
            # Looked up here, before the feed says where it is now; the feed is in the midst of its pull.
            place = self.where_now()
            if place is None:
                self._finish(State.ENDED)
            asyncio.get_running_loop().call_soon(self._go_on_at, place)

    # The destination

    async def _keep_destination(self) -> None:
        backoff = Backoff()
        url = self._spec.destination
        destination = self._vitals.destination
        while True:
            await self._flow.has_media.wait()
            if self._spec.keeps_time and self.where_now() is None:
                self._finish(State.ENDED)
                return
            self._note(destination, Phase.CONNECTING)
            try:
                session = await open_session(url, **self._network.options)
                try:
                    await self._catch_up()
                    lost = self._flow.attach_session(session, time.monotonic())
                    self._note(destination, Phase.UP)
                    error = await lost
                except asyncio.CancelledError:
                    self._flow.detach_session()
                    if not self._is_aborted:
                        await session.aclose()
                    raise
                finally:
                    self._flow.detach_session()
                    session.abort()
                backoff.note_session(time.monotonic() - destination.since)
            except DestinationError as refused:
                error = refused
            await self._pause(destination, error, backoff)

    async def _catch_up(self) -> None:
        """The destination is there: put a list that keeps time where it would be if it had not had to wait for that.

        One of which nothing has played yet has nothing to catch up with.
        """
        if self._spec.keeps_time:
            self._go_on_at(self.where_now())
            await self._flow.has_media.wait()

    def _go_on_at(self, place: Playhead | None) -> None:
        """Have the list go on elsewhere, unless it has begun nothing yet."""
        feed = self._vitals.list_feed
        if feed is None or place is None or self._group is None or place == START or feed.begin_at(place):
            return
        self._flow.has_media.clear()
        feed.skip_to(place)
        self._replace_keeper("source", self._vitals.source, lambda: self._keep_list(place))

    def where_now(self) -> Playhead | None:
        """Where the list would be if it had never stopped; None when it would have been played out."""
        return self._place.by(time.monotonic(), self._spec.items, self._spec.loops)

    # Both

    async def _pause(self, end: End, error: MediaError, backoff: Backoff) -> None:
        """Note the loss and wait for the next attempt; end the run when there is no use in one."""
        error.forget_trace()
        self._vitals.note_failure(end, error)
        self._note(end, Phase.RETRYING)
        if not error.retryable and not self._vitals.has_streamed:
            # What has worked before may do so again: a server may answer with a page of its own for a while.
            self._finish(State.FAILED)
        self._on_attempt()
        self._log.warning("%s; attempt %d follows", error, backoff.attempts + 1)
        await asyncio.sleep(backoff.next_delay())

    def _note(self, end: End, phase: Phase) -> None:
        end.enter(phase)
        self._inspect(time.monotonic())

    def _inspect(self, now: float) -> None:
        """Called by the flow twice a second, and at each change of an end."""
        feed = self._vitals.list_feed
        if feed is not None:
            if feed.has_begun and feed.playhead is not None:
                self._place.note(feed.playhead, now)
            for item, end_ms in feed.item_ends():
                self._place.note_end(item, end_ms)
            if feed.finished.is_set() and self._outlet.is_drained:
                # Acknowledged to its end: closing loses nothing.
                self._finish(State.ENDED)
        self._publish(self._vitals.observe(now))
        patience_s = self._spec.patience_s
        if patience_s is not None and not self._vitals.has_streamed and now - self._advanced_at >= patience_s:
            self._finish(State.FAILED)

    def _publish(self, verdict: Verdict) -> None:
        """Remember the verdict; tell it if it is another one."""
        if verdict == self._verdict:
            return
        self._verdict = verdict
        state, _, reason = verdict
        self._log.info("%s%s", state, f": {reason}" if reason else "")
        self._on_change(self.status)
