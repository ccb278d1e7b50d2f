"""The keeper of several inputs: which of them is the flow's source, by ``policy``, and the joins from one to another.

It is visited by the beat as often as the flow. A visit lets each input receive that is open and not on air, decides,
and if something else is to be on air lets the flow pull from that: the new segment begins with a keyframe where the
last one ended, in the publish session that is open. What has to wait is done by the inputs' own tasks.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace

from streamferry.media.errors import MediaError
from streamferry.prepare.store import PreparedStore
from streamferry.reasons import Code, Reason
from streamferry.relay.beat import RING_S, Beat
from streamferry.relay.flow import LiveFlow
from streamferry.relay.inputs.first_list import FirstList
from streamferry.relay.inputs.inserts import Inserts
from streamferry.relay.inputs.list_input import ListInput, spec_of_list
from streamferry.relay.inputs.live_input import LiveInput
from streamferry.relay.inputs.policy import BETWEEN, SLATE, decide_input, opens_in_s, wanted_inputs
from streamferry.relay.inputs.program import FRESH_MS, Program
from streamferry.relay.inputs.run_form import RunForm
from streamferry.relay.inputs.run_slate import RunSlate
from streamferry.relay.inputs.running import RunningInput
from streamferry.relay.inputs.slate import SlateInput
from streamferry.relay.inputs.still import StillInput
from streamferry.relay.keeper import RunContext
from streamferry.relay.live_session import LiveSession, session_key
from streamferry.relay.orders import OPEN_EARLY_S
from streamferry.relay.spec import Input, RelaySpec
from streamferry.relay.status import START, ItemChange, Playhead, Shown, Switch, Unready
from streamferry.relay.vitals import Phase

#: While what is on air sends, the next waits so long for a keyframe that has just come (``program.FRESH_MS``).
KEYFRAME_PATIENCE_S = 10.0
#: So long after its last visit the keeper was held up itself.
PAUSED_S = 0.7


class InputsKeeper:
    """See ``relay.live_end``. ``on_switch`` is called inside the beat whenever something else comes on air."""

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
        self._source = context.vitals.source
        self._program = Program(context, flow, on_switch)
        self._first_list = FirstList(context, flow, self._program)
        self._run_form = RunForm()
        self._inserts = Inserts(
            *(context, self._program, self._run_form),
            lambda spec: ListInput(*(context, spec, flow, scratch, store), form=self._run_form.form),
            StillInput(flow, scratch),
        )
        self._slate = RunSlate(
            self._program, lambda slate: SlateInput(context, slate, flow, scratch, store, self._run_form)
        )
        # What is on air of the first input when it begins.
        self._session: LiveSession | None = None
        self._inputs: list[RunningInput] = []
        self._specs: tuple[Input, ...] = ()
        # The number of what is on air by the rules; while a file is inserted, of what it is played over.
        self._chosen = 0
        # Since when a switch waits for a keyframe, and to which input.
        self._waits_for: tuple[int, float] | None = None
        # Whether inputs may be on air; and where the list was to begin in the windows before this one.
        self._is_open = True
        self._begun_at: Playhead | None = None
        self._visited_at = time.monotonic()
        # How often it is visited in a turn of the beat.
        self._visits = 0

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

    @property
    def unready(self) -> tuple[Unready, ...]:
        """See ``RelayStatus``."""
        slate = self._slate.input
        known: list[tuple[int, RunningInput]] = [*enumerate(self._inputs), *([] if slate is None else [(SLATE, slate)])]
        waiting = ((which, one.trouble) for which, one in known if one is not self._program.shown)
        return () if self._alone else tuple(Unready(which, why) for which, why in waiting if why is not None)

    def where_now(self) -> Playhead | None:
        """Inputs are always where they are."""
        return self._context.spec.playhead if (alone := self._alone) is None else alone.where_now()

    async def catch_up(self) -> None:
        """What was missed is lost, unless it was a list that is alone and has waited."""
        if (alone := self._alone) is not None and not self._flow.has_session:
            await alone.catch_up()

    def look(self, now: float) -> None:
        """Be visited as often as the flow, whose latency may have changed; all else is done in visits."""
        visits = self._context.spec.visits
        if visits != self._visits and self._beat.remove(self):
            self._visits = visits
            self._beat.add(self, visits)

    @property
    def is_running(self) -> bool:
        """Whether it shows inputs."""
        return self._program.is_running

    def has_due(self, at: float) -> bool:
        """See ``Inserts``."""
        return self._inserts.has_due(at)

    @property
    def may_leave(self) -> bool:
        """Whether there is nothing to see to but the first input, which is on air, or has no session."""
        if not self._program.is_running:
            return True
        first = self._inputs[0]
        return isinstance(first, LiveInput) and (self._program.pulls(first) or not first.has_session)

    def take_over(self, session: LiveSession | None) -> None:
        """``keep`` is to go on with that, if it still is what is wanted."""
        self._session = session

    def hand_over(self) -> LiveSession | None:
        """What is on air of the first input: it is another's from now on; None if nothing is."""
        if not self._program.is_running:
            session, self._session = self._session, None
            return session
        first = self._inputs[0]
        if not isinstance(first, LiveInput):
            return None
        if first.feed is None:
            if first.error is not None:
                self._context.vitals.note_failure(self._source, first.error)
                self._context.note(self._source, Phase.RETRYING)
            return None
        lost = self._program.hand_over()
        return None if lost is None else first.hand_over(lost)

    async def keep(self) -> None:
        """Show one input after another, until cancelled."""
        spec = self._context.spec
        self._visits = spec.visits
        self._run_form.forget()
        if self._session is not None and self._session.of != session_key(spec.inputs[0], spec):
            self._session.close(self._flow)
            self._session = None
        try:
            async with asyncio.TaskGroup() as group:
                self._program.begin(group)
                self._follow_spec(None)
                self._is_open = not opens_in_s(self._context.spec.windows, time.time())
                self._inputs[0].health.alive_at = time.monotonic()
                if self._session is not None:
                    self._chosen, session, self._session = 0, self._session, None
                    self._program.take_over(self._inputs[0], session)
                    self._run_form.learn(self._flow.timeline)
                else:
                    self._chosen = 0 if self._is_open else SLATE
                    self._context.note(self._source, Phase.CONNECTING)
                if self._context.on_air is None or self._context.on_air.input != self._chosen:
                    why = Reason.of(Code.ON_AIR_FIRST) if self._chosen != SLATE else BETWEEN
                    self._program.note_on_air(self._chosen, why, tells=False)
                self._beat.add(self, self._visits)
                await asyncio.Event().wait()
        finally:
            self._beat.remove(self)
            self._program.close()
            self._inserts.close()
            self._inputs, self._specs, self._waits_for = [], (), None
            self._slate.close()

    def update(self, before: RelaySpec) -> None:
        """Other inputs, rules or slate; or an order."""
        if self._program.is_running:
            self._follow_spec(before)

    def encode(self, before: RelaySpec) -> None:
        """See ``SourceKeeper``: all inputs are opened anew, and the list is prepared anew."""
        self._program.put_aside(time.monotonic())
        self._flow.forget_feed()
        self._inserts.encode()
        self.update(before)

    def _follow_spec(self, before: RelaySpec | None) -> None:
        spec, known = self._context.spec, list(zip(self._specs, self._inputs, strict=True))
        if spec.is_live:
            self._context.first_list = self._context.vitals.list_feed = None
        self._run_form.follow(spec.switching.normalize)
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
            self._program.end(gone)
        self._inputs, self._specs = inputs, spec.inputs
        if shown is not None:
            if shown in inputs:
                self._chosen = inputs.index(shown)
            elif is_kept or self._chosen >= len(inputs):
                self._chosen = 0
            inputs[self._chosen].health.alive_at = max(inputs[self._chosen].health.alive_at, time.monotonic())
        self._slate.follow(spec.slate, (one.kept for one in inputs if isinstance(one, LiveInput)))
        if spec.slate is None and self._chosen == SLATE:
            self._chosen = 0
        if before is not None:
            self._note_edited(shown)
        self._inserts.take_orders(is_first=before is None)

    def _note_edited(self, shown: RunningInput | None) -> None:
        """What is on air by the rules, which was ``shown``, has another number now, or another took its place."""
        on_air = self._context.on_air
        if on_air is None or on_air.shown is Shown.INSERT:
            return
        if on_air.input != (None if self._chosen == SLATE else self._chosen):
            if shown is not None and shown in self._inputs:
                self._context.on_air = replace(on_air, input=self._chosen)
            else:
                self._program.note_on_air(self._chosen, Reason.of(Code.ON_AIR_EDITED))

    def _start(self, one: Input, *, is_first: bool) -> RunningInput:
        made: RunningInput
        if one.is_live:
            session = self._session if is_first else None
            made = LiveInput(self._context, one, self._flow, self._scratch, self._run_form, session=session)
        else:
            on_item = self._on_item if is_first else lambda change: None
            listed = self._list_spec(one, is_first=is_first)
            on_extra = self._note_extra if is_first else lambda begins, why, file: None
            made = ListInput(
                *(self._context, listed, self._flow, self._scratch, self._store),
                form=self._run_form.form,
                on_item=on_item,
                on_extra=on_extra,
            )
        self._program.run(made)
        return made

    def _list_spec(self, one: Input, *, is_first: bool) -> RelaySpec:
        spec = self._context.spec
        if not is_first:
            return spec_of_list(spec, one.items, one.options)
        playhead = START if spec.playhead == self._begun_at else spec.playhead
        listed = spec_of_list(spec, one.items, one.options, loops=spec.loops, playhead=playhead)
        queued = tuple(order for order in spec.orders if order.after_item)
        keeps_time = spec.keeps_time and spec.slate is None and not spec.more_inputs
        return replace(listed, keeps_time=keeps_time, orders=queued)

    def _note_extra(self, begins: bool, why: Reason, file: str) -> None:
        """A file that is not of the first list follows one of its items."""
        self._program.note_on_air(self._chosen, why, Shown.INSERT if begins else Shown.INPUT, file)

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
            self._first_list.follow(alone)
            if not self._inserts.visit(now, self._chosen, alone):
                self._first_list.play(alone, now)
                self._first_list.finish_after(alone, now)
            return
        self._slate.visit(now)
        spec = self._context.spec
        rules = spec.switching
        opening_s = opens_in_s(spec.windows, time.time())
        if spec.windows:
            self._first_list.begin_again_later(self._inputs[0], now)
        healths = [one.health for one in self._inputs]
        choice = decide_input(
            *(healths, self._chosen, rules, now),
            has_slate=self._slate.is_open,
            pinned=spec.pinned,
            is_open=not opening_s,
        )
        is_inserted = self._inserts.visit(now, self._chosen, self._of(self._chosen))
        if choice is not None and self._may_switch(choice.which, now):
            self._chosen = choice.which
            if not is_inserted:
                self._waits_for = None
                self._program.show(self._of(choice.which), now)
                self._program.note_on_air(choice.which, choice.why)
        elif self._program.shown is None and self._program.may_begin(target := self._of(self._chosen), now):
            self._program.show(target, now)
        self._program.tell_trouble(self._of(self._chosen), now)
        if choice is None:
            self._waits_for = None
        if self._is_open and opening_s:
            self._begin_anew()
            healths = [one.health for one in self._inputs]
        self._is_open = not opening_s
        is_input = self._chosen != SLATE and self._program.shown is self._inputs[self._chosen]
        if is_input and self._run_form.learn(self._flow.timeline):
            self._bring_into_form()
        warm = [one.warm for one in self._specs]
        wanted = wanted_inputs(healths, warm, self._chosen, rules, now, pinned=spec.pinned)
        for one, is_wanted in zip(self._inputs, wanted, strict=True):
            one.want(is_wanted and opening_s <= OPEN_EARLY_S)
        first = self._inputs[0]
        if isinstance(first, ListInput):
            self._context.first_list = first.list_feed
            self._first_list.finish_after(first, now)

    def _begin_anew(self) -> None:
        """A window is over: what is shown in the next one is opened anew, and lists begin again."""
        self._begun_at = self._context.spec.playhead
        for number, (spec, one) in enumerate(zip(self._specs, self._inputs, strict=True)):
            self._program.end(one)
            self._inputs[number] = self._start(spec, is_first=number == 0)

    def _bring_into_form(self) -> None:
        """What is on air has told the form: open anew what is not of it."""
        for number, (spec, one) in enumerate(zip(self._specs, self._inputs, strict=True)):
            if one is self._program.shown:
                continue
            if isinstance(one, LiveInput):
                one.check_form()
            elif isinstance(one, ListInput) and not one.has_form(self._run_form.form):
                self._program.end(one)
                self._inputs[number] = self._start(spec, is_first=number == 0)
        self._inserts.bring_into_form()

    def crash(self, error: Exception) -> None:
        """Called by the beat when a visit raised what it must not: the run ends with it."""
        self._flow.crash(error)

    def _of(self, which: int) -> RunningInput:
        if which == SLATE:
            assert self._slate.input is not None
            return self._slate.input
        return self._inputs[which]

    def _may_switch(self, which: int, now: float) -> bool:
        """Whether it is time: what is on air may stay until the next has a keyframe that is new."""
        target = self._of(which)
        if not target.is_open:
            return False
        if target.kept_ms <= RING_S * 1000 / self._context.spec.visits + FRESH_MS or self._program.shown is None:
            return True
        if self._chosen != SLATE:
            health = self._inputs[self._chosen].health
            if not health.is_sending(now, self._context.spec.switching.switch_after_s):
                return True
        if self._waits_for is None or self._waits_for[0] != which:
            self._waits_for = which, now
        return now - self._waits_for[1] >= KEYFRAME_PATIENCE_S


def _take(known: list[tuple[Input, RunningInput]], one: Input) -> RunningInput | None:
    """Take the first that is like that out of those that run, if there is one: two may be alike. How soon it is opened
    is no matter of its own."""
    for index, (spec, _) in enumerate(known):
        if replace(spec, warm=one.warm) == one:
            return known.pop(index)[1]
    return None


def _encoding_of(spec: RelaySpec) -> tuple[object, ...]:
    """All that is done to what inputs send, on its way."""
    return spec.watermark, spec.codecs, spec.silence, spec.normalize, spec.switching.normalize
