"""What a list does as the first input: the run ends with it; and alone it waits while no destination is there.

A list is alone when it has several destinations, no further input and no slate.
"""

import time

from streamferry.push.outlet import STALL_S
from streamferry.reasons import Code, Reason
from streamferry.relay.flow import LiveFlow
from streamferry.relay.inputs.list_input import ListInput
from streamferry.relay.inputs.program import Program
from streamferry.relay.inputs.running import RunningInput
from streamferry.relay.keeper import RunContext
from streamferry.relay.status import State
from streamferry.relay.vitals import Phase

#: A list that is alone begins when all its destinations are there, or the first has been there for so long.
GATHER_S = 2.0


_PLAYED_OUT = Reason.of(Code.ON_AIR_PLAYED_OUT, input=0)


class FirstList:
    """The rules of the first list of a run."""

    def __init__(self, context: RunContext, flow: LiveFlow, program: Program) -> None:
        self._context = context
        self._flow = flow
        self._program = program
        self._source = context.vitals.source
        # Since when a destination has been there, and since when the list has been over.
        self._taken_since: float | None = None
        self._over_since: float | None = None

    def follow(self, alone: ListInput) -> None:
        """Of a list that is alone: how it is doing is how the run's source is doing."""
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

    def play(self, alone: ListInput, now: float) -> None:
        """Play it while a destination is there; from where it was, or where it would be, when one is there again."""
        program = self._program
        if not self._flow.has_session:
            self._taken_since = None
            if program.shown is alone:
                program.put_aside(now)
        elif program.shown is None and alone.is_open:
            self._taken_since = self._taken_since or now
            if program.shown_last is not None or self._flow.has_all_sessions or now - self._taken_since >= GATHER_S:
                program.show(alone, now)

    @property
    def _has_more(self) -> bool:
        windows = self._context.spec.windows
        return bool(windows) and time.time() < windows[-1][0]

    def begin_again_later(self, first: RunningInput, now: float) -> None:
        """A list that is over plays again in the next window, if there is one: until then it is nothing to show."""
        if isinstance(first, ListInput) and first.is_over and self._has_more:
            first.health.note_content(_PLAYED_OUT, now)

    def finish_after(self, first: ListInput, now: float) -> None:
        """End the run when its list is over and has arrived wherever it is taken, unless a window is to come."""
        if self._has_more:
            return
        is_over = first.is_over and self._program.shown in (first, None)
        self._over_since = (self._over_since or now) if is_over else None
        if self._over_since is not None and (self._flow.is_drained or now - self._over_since >= STALL_S):
            self._context.finish(State.ENDED)
