"""RelayRun: one run of one spec, from the first connect to its end.

Here is what happens rarely: beginning, changing, ending. Steady media moves in ``flow``, driven by the beat. In the
run's TaskGroup there is a keeper for each end: ``live_end`` or ``list_keeper``, and a ``destination_keeper`` for each
destination. They meet only in the flow, so a source that comes back finds the publish session open, and a
destination that comes back finds the source running. A changed spec restarts the keepers that it concerns, no others.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

from streamferry.media.errors import Fault
from streamferry.prepare.store import PreparedStore
from streamferry.push import Outlet
from streamferry.reasons import Code, Reason
from streamferry.relay.beat import FILE_VISITS, Beat
from streamferry.relay.destinations import RunDestinations
from streamferry.relay.eyes.eyes import Eyes
from streamferry.relay.eyes.watcher import Watcher
from streamferry.relay.flow import Flow, LiveFlow
from streamferry.relay.inputs.keeper import InputsKeeper
from streamferry.relay.keeper import Claim, RunContext, SourceKeeper
from streamferry.relay.list_flow import ListFlow
from streamferry.relay.list_keeper import ListKeeper
from streamferry.relay.live_end import LiveEnd
from streamferry.relay.network import Network
from streamferry.relay.prepared_list import PreparedList
from streamferry.relay.preview import Preview, Viewer
from streamferry.relay.spec import Codecs, RelaySpec
from streamferry.relay.status import (
    Found,
    ItemChange,
    Moved,
    OnAir,
    Playhead,
    RelayStatus,
    Shown,
    State,
    Switch,
    Totals,
    Trouble,
    Unseen,
)
from streamferry.relay.taps import Taps
from streamferry.relay.vitals import Phase, Verdict, Vitals
from streamferry.source.shared import SharedPulls
from streamferry.timeline import Timeline


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
        on_switch: Callable[[Switch], None] = lambda switch: None,
        on_moved: Callable[[Moved], None] = lambda moved: None,
        on_attempt: Callable[[], None] = lambda: None,
        trouble: Trouble | None = None,
        pulls: SharedPulls | None = None,
        eyes: Eyes | None = None,
        claim: Claim | None = None,
    ) -> None:
        """``pulls``: those of live sources that runs share; None: none. ``eyes``: without, nothing is watched.
        ``claim``: see ``RunContext``."""
        self._beat = beat
        self._on_change = on_change
        #: See ``RelaySpec``: it stays for the whole run.
        self.has_list_flow = spec.has_list_flow
        flow = (
            ListFlow(Outlet(), self._inspect) if self.has_list_flow else LiveFlow(Timeline(), Outlet(), self._inspect)
        )
        self._flow: Flow = flow
        self._taps = Taps(flow.outlet)
        self._preview = Preview(self._taps, flow)
        self._watcher = None if eyes is None else Watcher(spec.watch, self._taps, flow, eyes, log=log)
        self._watched: OnAir | None = None
        self._began_at = began_at
        vitals = Vitals(flow, trouble)
        self._context = RunContext(
            *(spec, flow, vitals, network, log),
            pulls=pulls,
            eyes=eyes,
            on_attempt=on_attempt,
            on_moved=on_moved,
            inspect=self._inspect,
            claim=claim,
        )
        self._on_switch = on_switch
        self._source: SourceKeeper
        if isinstance(flow, ListFlow):
            self._source = ListKeeper(self._context, flow, PreparedList(store), on_item, on_extra=self._note_extra)
        else:
            make_inputs = partial(InputsKeeper, self._context, flow, scratch, store, beat, on_item, on_switch)
            self._source = LiveEnd(self._context, flow, scratch, make_inputs)
        # What was asked for; what the context has may have been decided for its destinations (``_encode``).
        self._wanted = spec
        self._encodes = False
        self._context.encode = self._encode
        if isinstance(flow, LiveFlow):
            flow.encode = self._encode
        self._destinations = RunDestinations(self._context, flow, self._source)
        self._limits_changed = asyncio.Event()
        self._verdict: Verdict = (State.PREPARING if self.has_list_flow else State.CONNECTING, None, None)
        # What is wrong with the content, and what of it cannot be watched.
        self._found: tuple[Found, ...] = ()
        self._unseen: tuple[Unseen, ...] = ()
        # What was reported last: of the first destination, and of each if there are several; of the content; of inputs.
        self._reported: tuple[object, ...] = ((self._verdict,), (), (), ())

    @property
    def status(self) -> RelayStatus:
        """The state as of the last inspection, the counters as of now."""
        status = self._with_input(self._context.vitals.status(self._verdict))
        if self._found or self._unseen or self._source.unready:
            status = replace(status, found=self._found, unseen=self._unseen, unready=self._source.unready)
        statuses = self._destinations.statuses
        if not statuses and not self._destinations.has_past:
            return status
        bytes_out, kbps_out = self._destinations.totals.bytes_out, sum(one.kbps_out for one in statuses)
        return replace(
            status, bytes_out=bytes_out, kbps_out=kbps_out if statuses else status.kbps_out, destinations=statuses
        )

    def _with_input(self, status: RelayStatus) -> RelayStatus:
        """The same, with what is on air of several inputs."""
        if self._context.on_air is None:
            return status
        if self.has_list_flow:
            return replace(status, on_air=self._context.on_air)
        first = self._context.first_list
        return replace(
            status,
            on_air=self._context.on_air,
            playhead=None if first is None else first.playhead,
            item_end_ms=None if first is None else first.item_end_ms,
        )

    @property
    def totals(self) -> Totals:
        """What the run has done."""
        return self._destinations.totals

    @property
    def is_ending(self) -> bool:
        """Whether its outcome is decided: a change comes too late."""
        return self._context.over.done()

    def where_now(self) -> Playhead | None:
        """Where the list would be if it had never stopped; None when it would have been played out."""
        return self._source.where_now()

    def place_in(self, spec: RelaySpec) -> Playhead | None:
        """Where another run of that spec is to go on with the list of this one; None if it is not the same list."""
        if spec.is_live or self._context.spec.is_live or spec.items != self._context.spec.items:
            return None
        if spec.keeps_time:
            return self.where_now() or Playhead(spec.loops)
        return self.status.playhead

    @property
    def goes_on(self) -> bool:
        """Whether the broadcast goes on in another run: this one is not unpublished as it stops."""
        return self._context.goes_on

    @goes_on.setter
    def goes_on(self, goes_on: bool) -> None:
        self._context.goes_on = goes_on

    def stop(self) -> None:
        """End the run, and become ``stopped``. See ``goes_on``."""
        self._context.finish(State.STOPPED)

    def stop_at_next_start(self) -> None:
        """End it where a viewer can begin, so that another run continues there; at once if nothing is being sent."""
        self._context.goes_on = True
        if self._flow.has_session:
            self._flow.cut_at_start(self.stop)
        else:
            self.stop()

    def abort(self) -> None:
        """End the run and send nothing from here on, not even an unpublish: another worker may be using its key by now.

        Also while it is already closing. ``run`` returns as soon as its keepers have ended.
        """
        self._context.is_aborted = True
        self._drop()
        self._context.finish(State.STOPPED)
        self._source.task.abort()
        self._destinations.abort()

    def _drop(self) -> None:
        """Drop both ends at once."""
        self._beat.remove(self._flow)
        self._preview.end()
        self._end_watching()
        self._flow.detach_feed()
        self._destinations.drop()

    def open_preview(self) -> Viewer:
        """A viewer of what is sent to the destination, until the run ends. Raises PreviewRefused."""
        return self._preview.watch()

    def update(self, spec: RelaySpec) -> None:
        """Apply a changed spec of the same kind.

        A new source or list joins the open publish session. The current item continues if the new list also has it,
        anywhere; otherwise it ends at a keyframe when the next file is ready. A destination that has moved gets a
        session of its own after the old one was unpublished; the others do not notice. Another latency holds from now
        on, in the open sessions. Limits count from the run's beginning.
        """
        asked, self._wanted = self._wanted, spec
        self._encodes = self._encodes and not _decides_anew(asked, spec)
        before, self._context.spec = self._context.spec, self._decided
        spec = self._context.spec
        self._limits_changed.set()
        if self._source.task.is_running:
            if spec.list_key != before.list_key:
                self._source.update(before)
            elif spec.on_air_key != before.on_air_key:
                self._source.follow_orders(before)
        if spec.visits != before.visits and self._beat.remove(self._flow):
            self._join_beat()
        self._destinations.update()
        self._taps.follow(self._flow.outlet)
        if self._watcher is not None:
            self._watcher.update(spec.watch)
        if len(spec.destinations) != len(before.destinations) and self._destinations.is_running:
            self._publish(self._destinations.observe(time.monotonic()))

    @property
    def _decided(self) -> RelaySpec:
        return replace(self._wanted, codecs=Codecs.H264) if self._encodes else self._wanted

    def _encode(self) -> bool:
        """See ``RunContext.encode``."""
        context = self._context
        if context.spec.codecs is not Codecs.H264_IF_NEEDED or not self._source.task.is_running:
            return False
        context.log.info("a destination does not take what is sent: it is encoded to H.264 and AAC")
        before, self._encodes = context.spec, True
        context.spec = self._decided
        self._source.encode(before)
        return True

    def _join_beat(self) -> None:
        """Be visited as often as the spec asks for."""
        spec = self._context.spec
        self._beat.add(self._flow, FILE_VISITS if self.has_list_flow else spec.visits)

    async def run(self) -> RelayStatus:
        """Relay until the end; return the final status. An exception is a bug of ours."""
        if not self._context.is_aborted:
            self._join_beat()
        state = State.FAILED
        try:
            async with asyncio.TaskGroup() as group:
                self._source.task.start(group, self._source.keep)
                self._destinations.start(group)
                try:
                    state = await self._wait_for_end()
                finally:
                    self._source.task.close()
                    self._destinations.close()
                self._source.task.cancel()
                self._destinations.cancel()
        finally:
            self._drop()
        self._publish((self._conclude(state),))
        return self.status

    async def _wait_for_end(self) -> State:
        """Wait for the end of the run: finished, stopped, given up, out of time, or crashed."""
        while not self._context.over.done() and not self._flow.crashed.done():
            self._limits_changed.clear()
            duration_s = self._context.spec.duration_s
            timeout = None if duration_s is None else self._began_at + duration_s - time.monotonic()
            if timeout is not None and timeout <= 0:
                break
            changed = asyncio.ensure_future(self._limits_changed.wait())
            waiting: set[asyncio.Future[Any]] = {self._context.over, self._flow.crashed, changed}
            try:
                await asyncio.wait(waiting, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
            finally:
                changed.cancel()
        if self._flow.crashed.done():
            self._flow.crashed.result()
        if self._context.over.done():
            return self._context.over.result()
        return State.ENDED if self._destinations.has_streamed else State.FAILED

    def _conclude(self, state: State) -> Verdict:
        """The final verdict. Its fault is what was wrong at the end, if anything; a pause between sessions is not."""
        vitals = self._context.vitals
        _, fault, why = vitals.judge(time.monotonic())
        if state is State.ENDED and self._context.over.done():
            # Played to its end: report an item that could not be played, if any.
            skipped = self._source.skipped
            fault, why = (skipped.fault, skipped.why) if skipped else (None, None)
        elif state is State.ENDED and vitals.has_streamed_lately(time.monotonic()):
            fault, why = None, None
        elif state is State.FAILED and fault is None:
            is_source = vitals.source.phase is not Phase.UP or vitals.destination.phase is Phase.IDLE
            fault = Fault.USER_SOURCE if is_source else Fault.USER_DESTINATION
            why = Reason.of(Code.SOURCE_NOT_READY) if is_source else Reason.of(Code.DESTINATION_NOT_READY)
        if state is State.FAILED and fault is not None and why is not None:
            vitals.note_end(fault, why)
        return state, fault, why

    def _inspect(self, now: float) -> bool:
        """Called by the flow twice a second, or less often, and at each change of an end; gives whether all streams."""
        self._source.look(now)
        verdicts = self._destinations.observe(now)
        if self._watcher is not None and not self._context.spec.watch.is_nothing:
            self._look_at_content(verdicts[0], now)
        else:
            self._found = self._unseen = ()
        self._publish(verdicts)
        patience_s = self._context.spec.patience_s
        if (
            patience_s is not None
            and not self._destinations.has_streamed
            and now - self._context.advanced_at >= patience_s
        ):
            self._context.finish(State.FAILED)
        return self._destinations.is_calm and not (self._watcher is not None and self._watcher.is_worried)

    def _note_extra(self, begins: bool, why: Reason, file: str) -> None:
        """Of a list: a file that is not of it begins, or does not go on."""
        before = self._context.on_air or OnAir(Shown.INPUT, datetime.now(UTC), Reason.of(Code.ON_AIR_FIRST), 0)
        after = OnAir(Shown.INSERT if begins else Shown.INPUT, datetime.now(UTC), why, None if begins else 0, file)
        self._context.on_air = after
        self._context.log.info("on air: %s instead of %s: %s", after, before, why)
        self._on_switch(Switch(before, after))

    def _look_at_content(self, verdict: Verdict, now: float) -> None:
        """Of the slate and of a file that is inserted nothing is said: who shows them wants them so."""
        assert self._watcher is not None
        on_air = self._context.on_air
        if on_air != self._watched:
            # The first that is noted was on the air before.
            if self._watched is not None:
                self._watcher.clear()
            self._watched = on_air
        if verdict[0] is State.STREAMING and (on_air is None or on_air.shown is Shown.INPUT):
            judge = self._context.judge
            if judge is not None and judge.watch == self._context.spec.watch:
                self._watcher.follow(judge)
            self._found = self._watcher.inspect(now, self._context.vitals.kbps_out)
            self._unseen = self._watcher.unseen
            self._context.watching = self._watcher.judge
        else:
            self._end_watching()

    def _end_watching(self) -> None:
        self._found, self._unseen, self._context.watching = (), (), None
        if self._watcher is not None:
            self._watcher.clear()

    def _publish(self, verdicts: tuple[Verdict, ...]) -> None:
        """Remember the verdicts; report them if they have changed."""
        told = verdicts, self._found, self._unseen, self._source.unready
        if told == self._reported:
            return
        self._reported = told
        before, self._verdict = self._verdict, verdicts[0]
        state, _, why = self._verdict
        if self._verdict != before:
            self._context.log.info("%s%s", state, f": {why}" if why else "")
        self._on_change(self.status)


def _decides_anew(before: RelaySpec, after: RelaySpec) -> bool:
    """Whether what was encoded for the destinations of the one may have no need of it in the other."""
    kept = {(one.url, one.options) for one in after.destinations}
    return (before.inputs, before.codecs) != (after.inputs, after.codecs) or any(
        (one.url, one.options) not in kept for one in before.destinations
    )
