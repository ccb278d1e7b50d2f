"""RelayRun: one run of one spec, from the first connect to its end.

What is here is what is rare: opening, retrying, ending. Steady media passes by in ``flow``, driven by the beat. Two
keepers live in the run's TaskGroup, one for each end; each opens its side, hands it to the flow, waits for the flow to
say that it was lost, and starts over after a pause. They meet only in the flow, so a source that comes back finds the
publish session open, and a destination that comes back finds the source running.

The state is computed from both sides and from what moved, never set:

    first rule that holds                                     state
    the run is over                                           stopped, ended, failed
    a side lost its session and waits or connects again       retrying, with that side's fault and reason
    both sides up, media and acknowledgements < FRESH_S old   streaming
    a file is being prepared and nothing plays                preparing
    a side has not been up yet, or is up for < FRESH_S        connecting
    anything else                                             stalled
"""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

from streamferry.media.errors import DestinationError, Fault, MediaError, SourceError
from streamferry.prepare import PreparedStore, PrepareProgress
from streamferry.push import Outlet, open_publish_session
from streamferry.relay.backoff import Backoff
from streamferry.relay.beat import FILE_VISITS, LIVE_VISITS, Beat
from streamferry.relay.feed import FileFeed, LiveFeed
from streamferry.relay.flow import Flow
from streamferry.relay.network import Network
from streamferry.relay.spec import ENDLESS, Item, RelaySpec
from streamferry.relay.status import RelayStatus, State
from streamferry.source import open_live
from streamferry.source.prepared import PreparedReader
from streamferry.timeline import Timeline

#: A run streams while media moved and the destination acknowledged bytes within this long (DESIGN section 4).
FRESH_S = 3.0
#: How long the end of a finite list may take to leave.
_DRAIN_S = 10.0
#: Attempts of a source that come quickly, before the pauses grow: about a minute. An attempt costs its peer a connect,
#: and the picture is to be back within 2 s of the source's return.
_EAGER_ATTEMPTS = 40

_log = logging.getLogger("streamferry.relay")


class _Phase(Enum):
    """Where one end of the run stands."""

    IDLE = "idle"
    CONNECTING = "connecting"
    UP = "up"
    RETRYING = "retrying"


@dataclass(slots=True)
class _Side:
    """One end of the run, as its keeper sees it."""

    phase: _Phase = _Phase.IDLE
    since: float = 0.0
    error: MediaError | None = None

    def enter(self, phase: _Phase) -> None:
        self.phase = phase
        self.since = time.monotonic()


class RelayRun:
    """Create it inside a running event loop and await :meth:`run` once."""

    def __init__(
        self,
        spec: RelaySpec,
        *,
        beat: Beat,
        scratch: memoryview,
        store: PreparedStore,
        network: Network,
        on_change: Callable[[RelayStatus], None] | None = None,
    ) -> None:
        self._spec = spec
        self._beat = beat
        self._scratch = scratch
        self._store = store
        self._network = network
        self._on_change = on_change
        self._timeline = Timeline()
        self._outlet = Outlet()
        self._flow = Flow(self._timeline, self._outlet, self._inspect)
        self._source = _Side()
        self._destination = _Side()
        self._over: asyncio.Future[State] = asyncio.get_running_loop().create_future()
        self._began_at = time.monotonic()
        self._retries = 0
        self._has_streamed = False
        self._media_ms = 0
        self._media_at = 0.0
        self._rates = (self._began_at, 0, 0)
        self._feed: FileFeed | None = None
        self._skipped: MediaError | None = None
        # Set when a finished list has been acknowledged to its end, so that closing loses nothing.
        self._drained = asyncio.Event()
        self._status = RelayStatus(State.CONNECTING if spec.is_live else State.PREPARING)

    @property
    def status(self) -> RelayStatus:
        """The status as of the last inspection or change."""
        return self._status

    def stop(self) -> None:
        """End the run as asked by the user: unpublish, and be ``stopped``."""
        self._finish(State.STOPPED)

    async def run(self) -> RelayStatus:
        """Relay until the end; return the final status. Raises only what is a bug of ours."""
        spec, flow = self._spec, self._flow
        self._beat.add(flow, LIVE_VISITS if spec.is_live else FILE_VISITS)
        state = State.FAILED
        try:
            async with asyncio.TaskGroup() as group:
                keepers = [
                    group.create_task(self._keep_live() if spec.is_live else self._keep_list(), name="source"),
                    group.create_task(self._keep_destination(), name="destination"),
                ]
                state = await self._wait_for_end()
                for keeper in keepers:
                    keeper.cancel()
        finally:
            self._beat.remove(flow)
            flow.detach_feed()
        self._conclude(state)
        return self._status

    async def _wait_for_end(self) -> State:
        """Wait for the end of the run: finished, stopped, given up, out of time, or crashed."""
        deadline = None if self._spec.duration_s is None else self._began_at + self._spec.duration_s
        waiting: set[asyncio.Future[Any]] = {self._over, self._flow.crashed}
        timeout = None if deadline is None else max(0.0, deadline - time.monotonic())
        await asyncio.wait(waiting, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        if self._flow.crashed.done():
            self._flow.crashed.result()
        if self._over.done():
            return self._over.result()
        return State.ENDED if self._has_streamed else State.FAILED

    def _finish(self, state: State) -> None:
        if not self._over.done():
            self._over.set_result(state)

    def _conclude(self, state: State) -> None:
        """Publish the final status. Its fault is what was wrong at the end, if anything was."""
        status = self._compute(time.monotonic())
        fault, reason = status.fault, status.reason
        if state is State.ENDED and self._over.done():
            # Played to its end: what remains to be told is an item that could not be played.
            fault, reason = (self._skipped.fault, str(self._skipped)) if self._skipped else (None, None)
        elif state is State.FAILED and fault is None:
            is_source = self._source.phase is not _Phase.UP
            fault = Fault.USER_SOURCE if is_source else Fault.USER_DESTINATION
            reason = f"the {'source' if is_source else 'destination'} was not ready in time"
        self._publish_status(replace(status, state=state, fault=fault, reason=reason, kbps_in=0, kbps_out=0))

    # The source

    async def _keep_live(self) -> None:
        backoff = Backoff(eager_attempts=_EAGER_ATTEMPTS)
        url = self._spec.items[0].url
        while True:
            self._note(self._source, _Phase.CONNECTING)
            try:
                inlet = await open_live(url, **self._network.options)
                now = time.monotonic()
                lost = self._flow.attach_feed(LiveFeed(inlet, self._timeline, self._scratch, now), now)
                self._note(self._source, _Phase.UP)
                try:
                    error = await lost
                finally:
                    self._flow.detach_feed()
                backoff.note_session(time.monotonic() - self._source.since)
            except SourceError as refused:
                error = refused
            await self._pause(self._source, error, backoff)

    async def _keep_list(self) -> None:
        """Prepare the items in order, one ahead of the one that plays, and put them into the feed."""
        spec = self._spec
        feed = self._feed = FileFeed(self._timeline, self._outlet, self._note_skipped)
        self._flow.attach_feed(feed, time.monotonic())
        backoff = Backoff()
        loop = 0
        while spec.loops == ENDLESS or loop < spec.loops:
            errors: list[MediaError] = []
            for index, item in enumerate(spec.items):
                try:
                    reader = await self._open_item(item)
                except MediaError as error:
                    self._note_skipped(error)
                    errors.append(error)
                    continue
                self._note(self._source, _Phase.UP)
                self._flow.has_media.set()
                await feed.put(loop, index, reader)
            if len(errors) < len(spec.items):
                loop += 1
                backoff.attempts = 0
            else:
                # Worth another try unless every item is beyond hope.
                await self._pause(self._source, next((e for e in errors if e.retryable), errors[0]), backoff)
        feed.finish()
        await feed.finished.wait()
        try:
            async with asyncio.timeout(_DRAIN_S):
                await self._drained.wait()
        except TimeoutError:
            _log.warning("the end of the list was not acknowledged within %s s", _DRAIN_S)
        self._finish(State.ENDED)

    async def _open_item(self, item: Item) -> PreparedReader:
        if self._source.phase is _Phase.IDLE:
            self._note(self._source, _Phase.CONNECTING)
        file = await self._store.open(item.url, self._note_progress)
        end_ms = round(item.end_s * 1000) or None
        try:
            return PreparedReader(file, round(item.start_s * 1000), end_ms)
        except BaseException:
            file.close()
            raise

    def _note_progress(self, progress: PrepareProgress) -> None:
        self._status = replace(self._status, preparing_percent=progress.percent)

    def _note_skipped(self, error: MediaError) -> None:
        """An item of the list could not be played, or not to its end; the list goes on."""
        self._skipped = error
        _log.warning("item skipped: %s", error)

    # The destination

    async def _keep_destination(self) -> None:
        backoff = Backoff()
        url = self._spec.destination
        while True:
            await self._flow.has_media.wait()
            self._note(self._destination, _Phase.CONNECTING)
            try:
                session = await open_publish_session(url, **self._network.options)
                lost = self._flow.attach_session(session, time.monotonic())
                self._note(self._destination, _Phase.UP)
                try:
                    error = await lost
                except asyncio.CancelledError:
                    self._flow.detach_session()
                    await session.aclose()
                    raise
                self._flow.detach_session()
                session.abort()
                backoff.note_session(time.monotonic() - self._destination.since)
            except DestinationError as refused:
                error = refused
            await self._pause(self._destination, error, backoff)

    # Both

    async def _pause(self, side: _Side, error: MediaError, backoff: Backoff) -> None:
        """Note the loss and wait for the next attempt; end the run when there is no use in one."""
        side.error = error
        self._note(side, _Phase.RETRYING)
        if not error.retryable and not self._has_streamed:
            # What has worked before may do so again: a server may answer with a page of its own for a while.
            self._finish(State.FAILED)
        self._retries += 1
        _log.warning("%s; attempt %d follows", error, backoff.attempts + 1)
        await asyncio.sleep(backoff.next_delay())

    def _note(self, side: _Side, phase: _Phase) -> None:
        # A side that reconnects goes on being "retrying" until it is up.
        if phase is _Phase.CONNECTING and side.phase is _Phase.RETRYING:
            return
        side.enter(phase)
        self._inspect(side.since)

    def _inspect(self, now: float) -> None:
        """Called by the flow twice a second, and at each change of a side."""
        media_ms = self._outlet.media_time_ms
        if media_ms != self._media_ms:
            self._media_ms, self._media_at = media_ms, now
        if self._feed is not None and self._feed.finished.is_set() and self._outlet.is_drained:
            self._drained.set()
        status = self._compute(now)
        self._has_streamed |= status.state is State.STREAMING
        self._publish_status(status)
        patience_s = self._spec.patience_s
        if patience_s is not None and not self._has_streamed and now - self._began_at >= patience_s:
            self._finish(State.FAILED)

    def _publish_status(self, status: RelayStatus) -> None:
        before, self._status = self._status, status
        if before.state is status.state and before.reason == status.reason:
            return
        _log.info("%s%s", status.state, f": {status.reason}" if status.reason else "")
        if self._on_change is not None:
            self._on_change(status)

    def _compute(self, now: float) -> RelayStatus:
        state, fault, reason = self._decide_state(now)
        outlet, flow, before = self._outlet, self._flow, self._status
        then, bytes_in, bytes_out = self._rates
        kbps_in, kbps_out = before.kbps_in, before.kbps_out
        if (elapsed_s := now - then) >= 1.0:
            kbps_in = round((flow.bytes_in - bytes_in) * 8 / 1000 / elapsed_s)
            kbps_out = round((outlet.bytes_out - bytes_out) * 8 / 1000 / elapsed_s)
            self._rates = (now, flow.bytes_in, outlet.bytes_out)
        return RelayStatus(
            state=state,
            media_time_ms=self._media_ms,
            bytes_in=flow.bytes_in,
            bytes_out=outlet.bytes_out,
            kbps_in=kbps_in,
            kbps_out=kbps_out,
            dropped_tags=outlet.dropped_tags,
            retries=self._retries,
            repairs=self._timeline.repairs,
            playhead=self._feed.playhead if self._feed else None,
            preparing_percent=before.preparing_percent if state is State.PREPARING else None,
            fault=fault,
            reason=reason,
        )

    def _decide_state(self, now: float) -> tuple[State, Fault | None, str | None]:
        """The table of the module's docstring."""
        source, destination, outlet = self._source, self._destination, self._outlet
        for side in (destination, source):
            if side.phase is _Phase.RETRYING and side.error is not None:
                return State.RETRYING, side.error.fault, str(side.error)
        if source.phase is _Phase.UP and destination.phase is _Phase.UP:
            moved_at = min(self._media_at, outlet.last_progress_at)
            if outlet.has_acked and now - moved_at < FRESH_S:
                return State.STREAMING, None, None
            if self._feed is not None and self._feed.is_waiting:
                return State.PREPARING, None, None
            if now - max(source.since, destination.since) >= FRESH_S:
                if now - self._media_at >= FRESH_S and not outlet.is_backed_up:
                    return State.STALLED, Fault.USER_SOURCE, "the source is connected but sends no media"
                return State.STALLED, Fault.USER_DESTINATION, "the destination is connected but takes no bytes"
        if self._feed is not None and self._feed.is_waiting:
            return State.PREPARING, None, None
        return State.CONNECTING, None, None
