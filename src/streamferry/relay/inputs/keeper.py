"""The keeper of several inputs: which of them is the flow's source, by ``policy``, and the joins from one to another.

It is visited by the beat as often as the flow. A visit lets each input receive that is open and not on air, decides,
and if something else is to be on air lets the flow pull from that: the new segment begins with a keyframe where the
last one ended, in the publish session that is open. What has to wait is done by the inputs' own tasks.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

from streamferry.media.errors import MediaError, SourceError
from streamferry.prepare.store import PreparedStore
from streamferry.push.outlet import STALL_S
from streamferry.reasons import Code, Reason
from streamferry.relay.beat import RING_S, Beat
from streamferry.relay.flow import Feed, LiveFlow
from streamferry.relay.inputs.held import WatchedFeed
from streamferry.relay.inputs.list_input import ListInput, spec_of_list
from streamferry.relay.inputs.live_input import LiveInput
from streamferry.relay.inputs.policy import SLATE, decide_input, wanted_inputs
from streamferry.relay.inputs.running import RunningInput
from streamferry.relay.inputs.slate import SlateInput
from streamferry.relay.keeper import KeeperTask, RunContext
from streamferry.relay.spec import ORDER_STALE_S, Input, Item, Order, RelaySpec
from streamferry.relay.status import ItemChange, OnAir, Playhead, Shown, State, Switch
from streamferry.relay.vitals import Phase

#: While what is on air is well, the next begins with a keyframe that has just come: not with its past, by which all
#: that follows would be late. After so long it begins with what it has.
FRESH_MS = 40
KEYFRAME_PATIENCE_S = 10.0
#: So long after its last visit the keeper was held up itself.
PAUSED_S = 0.7
#: A list that is alone begins when all its destinations are there, or the first has been there for so long.
GATHER_S = 2.0
#: A file that is to be inserted is opened so long before its time.
OPEN_EARLY_S = 20.0


class InputsKeeper:
    """A ``SourceKeeper``. ``on_switch`` is called inside the beat whenever something else comes on air."""

    def __init__(
        self,
        context: RunContext,
        flow: LiveFlow,
        scratch: memoryview,
        store: PreparedStore,
        beat: Beat,
        on_item: Callable[[ItemChange], None],
        on_switch: Callable[[Switch], None],
    ) -> None:
        self._context = context
        self._flow = flow
        self._scratch = scratch
        self._store = store
        self._beat = beat
        self._on_item = on_item
        self._on_switch = on_switch
        self._source = context.vitals.source
        self.task = KeeperTask("inputs", self._source)
        self._group: asyncio.TaskGroup | None = None
        self._inputs: list[RunningInput] = []
        self._specs: tuple[Input, ...] = ()
        self._slate: SlateInput | None = None
        # A file that is played over what is on air, or will be; and the orders that are not followed yet.
        self._insert: ListInput | None = None
        self._orders: list[Order] = []
        self._last_order = 0
        self._insert_order = Order(0, 0.0)
        self._tasks: dict[RunningInput, asyncio.Task[None]] = {}
        # The number of what is on air by the rules; while a file is inserted, of what it is played over.
        self._chosen = 0
        # What the flow pulls from, and what it pulled from last.
        self._shown: RunningInput | None = None
        self._shown_last: RunningInput | None = None
        # Since when a switch waits for a keyframe, and to which input.
        self._waits_for: tuple[int, float] | None = None
        self._visited_at = time.monotonic()
        # Of a list that is alone: since when a destination has been there, and since when it has been over.
        self._taken_since: float | None = None
        self._over_since: float | None = None

    @property
    def _alone(self) -> ListInput | None:
        """The list, if that is all there is: it has several destinations, and waits while none of them is there."""
        spec = self._context.spec
        only = self._inputs[0] if self._inputs else None
        return only if isinstance(only, ListInput) and not spec.more_inputs and spec.slate is None else None

    @property
    def skipped(self) -> MediaError | None:
        """Of a list that is alone. What else could not be played is told by its input."""
        return None if (alone := self._alone) is None else alone.skipped

    def where_now(self) -> Playhead | None:
        """Inputs are always where they are."""
        return self._context.spec.playhead if (alone := self._alone) is None else alone.where_now()

    async def catch_up(self) -> None:
        """What was missed is lost, unless it was a list that is alone and has waited."""
        if (alone := self._alone) is not None and not self._flow.has_session:
            await alone.catch_up()

    def look(self, now: float) -> None:
        """Does nothing: its own visits do."""

    async def keep(self) -> None:
        """Show one input after another, until cancelled."""
        visits = self._context.spec.visits
        try:
            async with asyncio.TaskGroup() as self._group:
                self._follow_spec(None)
                self._inputs[0].health.alive_at = time.monotonic()
                self._note_on_air(0, Reason.of(Code.ON_AIR_FIRST), tells=False)
                self._context.note(self._source, Phase.CONNECTING)
                self._beat.add(self, visits)
                await asyncio.Event().wait()
        finally:
            self._beat.remove(self)
            self._flow.detach_feed()
            self._group = None

    def update(self, before: RelaySpec) -> None:
        """Other inputs, rules or slate; or an order."""
        if self._group is not None:
            self._follow_spec(before)

    follow_orders = update

    def _follow_spec(self, before: RelaySpec | None) -> None:
        spec, known = self._context.spec, list(zip(self._specs, self._inputs, strict=True))
        # What is encoded in another way from now on is opened anew.
        is_kept = before is None or _encoding_of(spec) == _encoding_of(before)
        shown = self._inputs[self._chosen] if self._chosen != SLATE and self._inputs else None
        inputs: list[RunningInput] = []
        for number, one in enumerate(spec.inputs):
            found = _take(known, one) if is_kept else None
            if found is None and number == 0 and not one.is_live and before is not None and not before.is_live:
                # An edited list goes on with the item that plays, if that is still in it.
                found = _take(known, self._specs[0])
            if isinstance(found, ListInput) and number == 0:
                found.update(self._list_spec(one, is_first=True))
            inputs.append(found or self._start(one, is_first=number == 0))
        for _, gone in known:
            self._end(gone)
        self._inputs, self._specs = inputs, spec.inputs
        if shown is not None:
            if shown in inputs:
                self._chosen = inputs.index(shown)
            elif is_kept or self._chosen >= len(inputs):
                self._chosen = 0
            inputs[self._chosen].health.alive_at = max(inputs[self._chosen].health.alive_at, time.monotonic())
        if self._slate is not None and (before is None or spec.slate != before.slate):
            self._end(self._slate)
            self._slate = None
        if self._slate is None and spec.slate is not None:
            self._slate = SlateInput(self._context, spec.slate, self._flow, self._scratch, self._store)
            self._run_task(self._slate)
        if spec.slate is None and self._chosen == SLATE:
            self._chosen = 0
        self._take_orders(spec, is_first=before is None)

    def _start(self, one: Input, *, is_first: bool) -> RunningInput:
        made: RunningInput
        if one.is_live:
            made = LiveInput(self._context, one, self._flow, self._scratch)
        else:
            on_item = self._on_item if is_first else lambda change: None
            listed = self._list_spec(one, is_first=is_first)
            made = ListInput(self._context, listed, self._flow, self._scratch, self._store, on_item=on_item)
        self._run_task(made)
        return made

    def _list_spec(self, one: Input, *, is_first: bool) -> RelaySpec:
        spec = self._context.spec
        if not is_first:
            return spec_of_list(spec, one.items, one.options)
        listed = spec_of_list(spec, one.items, one.options, loops=spec.loops, playhead=spec.playhead)
        return replace(listed, keeps_time=spec.keeps_time and spec.slate is None and not spec.more_inputs)

    def _run_task(self, one: RunningInput) -> None:
        assert self._group is not None
        self._tasks[one] = self._group.create_task(one.keep(), name="input")

    def _end(self, one: RunningInput) -> None:
        if one is self._shown:
            self._shown = None
            self._flow.detach_feed()
        self._tasks.pop(one).cancel()

    def _take_orders(self, spec: RelaySpec, *, is_first: bool) -> None:
        """Note the orders that are new. One to skip was for what was on air before a run began."""
        oldest_at = time.time() - ORDER_STALE_S
        for order in spec.orders:
            if order.number > self._last_order and order.at >= oldest_at and (order.item is not None or not is_first):
                self._orders.append(order)
        self._last_order = max([self._last_order, *(order.number for order in spec.orders)])

    def visit(self, now: float) -> None:
        """Called by the beat."""
        paused_s = now - self._visited_at
        self._visited_at = now
        if paused_s >= PAUSED_S:
            # The process was held up, and whatever was sent meanwhile is still to be received: no input is down.
            for one in self._inputs:
                one.health.alive_at += paused_s
        for one in self._inputs:
            one.visit(now)
        if (alone := self._alone) is not None:
            self._visit_alone(alone, now)
            return
        slate = self._slate
        if slate is not None:
            slate.visit(now)
        spec = self._context.spec
        rules = spec.switching
        healths = [one.health for one in self._inputs]
        choice = decide_input(
            *(healths, self._chosen, rules, now), has_slate=slate is not None and slate.is_open, pinned=spec.pinned
        )
        inserted = self._visit_insert(now)
        if choice is not None and self._may_switch(choice.which, now):
            self._chosen = choice.which
            if not inserted:
                self._show(self._of(choice.which), now)
                self._note_on_air(choice.which, choice.why)
        elif self._shown is None and (target := self._of(self._chosen)).is_open:
            self._show(target, now)
        if choice is None:
            self._waits_for = None
        warm = [one.warm for one in self._specs]
        wanted = wanted_inputs(healths, warm, self._chosen, rules, now, pinned=spec.pinned)
        for one, is_wanted in zip(self._inputs, wanted, strict=True):
            one.want(is_wanted)
        first = self._inputs[0]
        if isinstance(first, ListInput):
            self._context.first_list = first.list_feed
            self._finish_after(first, now)

    def _visit_alone(self, alone: ListInput, now: float) -> None:
        """Play it while a destination is there; from where it was, or where it would be, when one is there again."""
        context, vitals, listed = self._context, self._context.vitals, alone.vitals.source
        alone.want(True)
        context.first_list = vitals.list_feed = alone.list_feed
        vitals.preparing_percent, self._source.error = alone.vitals.preparing_percent, listed.error
        if listed.phase is not self._source.phase and listed.phase in (Phase.UP, Phase.RETRYING):
            if listed.error is not None and listed.phase is Phase.RETRYING:
                vitals.note_failure(self._source, listed.error)
            context.note(self._source, listed.phase)
        if alone.has_failed and not vitals.has_streamed:
            context.finish(State.FAILED)
        if alone.is_open:
            self._flow.has_media.set()
        if self._visit_insert(now):
            return
        if not self._flow.has_session:
            self._taken_since = None
            if self._shown is alone:
                self._shown = None
                self._flow.release_feed()
                alone.release(now)
        elif self._shown is None and alone.is_open:
            self._taken_since = self._taken_since or now
            if self._shown_last is not None or self._flow.has_all_sessions or now - self._taken_since >= GATHER_S:
                self._show(alone, now)
        self._finish_after(alone, now)

    def _finish_after(self, first: ListInput, now: float) -> None:
        """End the run when its list is over and has arrived wherever it is taken."""
        is_over = first.is_over and self._shown in (first, None)
        self._over_since = (self._over_since or now) if is_over else None
        if self._over_since is not None and (self._flow.is_drained or now - self._over_since >= STALL_S):
            self._context.finish(State.ENDED)

    def _visit_insert(self, now: float) -> bool:
        """Follow the orders that are due, and play what they say; whether a file is played over what is on air."""
        insert, is_skipped = self._insert, False
        if self._orders:
            is_skipped = any(order.item is None for order in self._orders)
            self._orders = [order for order in self._orders if order.item is not None]
            if is_skipped and self._shown is not insert and isinstance(self._shown, ListInput):
                self._shown.skip()
        first = min(self._orders, key=lambda order: order.at, default=None)
        if insert is not None and insert is not self._shown and first is not None and first.at < self._insert_order.at:
            # It was opened before its time, and another came to be before it.
            self._orders.append(self._insert_order)
            self._end(insert)
            insert = self._insert = None
        if insert is None:
            if first is not None and first.item is not None and first.at - OPEN_EARLY_S <= time.time():
                self._orders.remove(first)
                self._insert, self._insert_order = self._open_insert(first.item), first
            return False
        insert.visit(now)
        if insert is self._shown:
            if not insert.is_over and not is_skipped:
                return True
            self._end_insert(now)
        elif insert.is_open and time.time() >= self._insert_order.at:
            self._show(insert, now)
            self._note_on_air(self._chosen, Reason.of(Code.ON_AIR_INSERT), Shown.INSERT)
            return True
        elif (error := insert.error) is not None:
            self._context.log.warning("a file that was to be inserted cannot be played: %s", error)
            self._end(insert)
            self._insert = None
            self._note_on_air(self._chosen, Reason.of(Code.ON_AIR_INSERT_FAILED, why=error.why))
        return False

    def _open_insert(self, item: Item) -> ListInput:
        listed = spec_of_list(self._context.spec, [item], loops=1)
        made = ListInput(self._context, listed, self._flow, self._scratch, self._store)
        made.want(True)
        self._run_task(made)
        return made

    def _end_insert(self, now: float) -> None:
        insert, self._insert = self._insert, None
        target = self._of(self._chosen)
        if target.is_open:
            self._show(target, now)
        self._note_on_air(self._chosen, Reason.of(Code.ON_AIR_INSERT_OVER))
        if insert is not None:
            self._end(insert)

    def crash(self, error: Exception) -> None:
        """Called by the beat when a visit raised what it must not: the run ends with it."""
        self._flow.crash(error)

    def _of(self, which: int) -> RunningInput:
        if which == SLATE:
            assert self._slate is not None
            return self._slate
        return self._inputs[which]

    def _may_switch(self, which: int, now: float) -> bool:
        """Whether it is time: what is on air may stay until the next has a keyframe that is new."""
        target = self._of(which)
        if not target.is_open:
            return False
        if target.kept_ms <= RING_S * 1000 / self._context.spec.visits + FRESH_MS or self._shown is None:
            return True
        if self._chosen != SLATE:
            health = self._inputs[self._chosen].health
            if not health.is_well(now, self._context.spec.switching.switch_after_s):
                return True
        if self._waits_for is None or self._waits_for[0] != which:
            self._waits_for = which, now
        return now - self._waits_for[1] >= KEYFRAME_PATIENCE_S

    def _show(self, target: RunningInput, now: float) -> None:
        """Let the flow pull from that."""
        before, self._shown = self._shown, target
        goes_on, self._shown_last, self._waits_for = self._shown_last is target, target, None
        if before is not None:
            self._flow.release_feed()
            before.release(now)
        taken = target.take(now, goes_on=goes_on)
        held = self._slate.held if self._slate is not None and target is not self._slate else None
        feed: Feed = taken if held is None else WatchedFeed(taken, held)
        lost = self._flow.attach_feed(feed, now)
        lost.add_done_callback(lambda ended: self._note_lost(target, ended))
        self._context.note(self._source, Phase.UP)

    def _note_lost(self, target: RunningInput, ended: "asyncio.Future[SourceError]") -> None:
        """Its feed has ended, unless it went off the air before that."""
        if ended.cancelled() or self._shown is not target:
            return
        error = ended.result()
        self._shown = None
        self._flow.detach_feed()
        target.lose(error)
        self._context.vitals.note_failure(self._source, error)
        self._context.note(self._source, Phase.RETRYING)

    def _note_on_air(self, which: int, why: Reason, shown: Shown = Shown.INPUT, *, tells: bool = True) -> None:
        before = self._context.on_air
        shown = Shown.SLATE if shown is Shown.INPUT and which == SLATE else shown
        after = OnAir(shown, datetime.now(UTC), why, which if shown is Shown.INPUT else None)
        self._context.on_air = after
        if tells and before is not None:
            self._context.log.info("on air: %s instead of %s: %s", after, before, why)
            self._on_switch(Switch(before, after))


def _take(known: list[tuple[Input, RunningInput]], one: Input) -> RunningInput | None:
    """Take the first that is like that out of those that run, if there is one: two may be alike."""
    for index, (spec, _) in enumerate(known):
        if spec == one:
            return known.pop(index)[1]
    return None


def _encoding_of(spec: RelaySpec) -> tuple[object, ...]:
    """All that is done to what inputs send, on its way."""
    return spec.watermark, spec.codecs, spec.silence, spec.normalize
