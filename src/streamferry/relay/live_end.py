"""The source end of a run on the flow of a live source: who keeps it.

Where one live source is all that there may be to show, ``live_keeper`` does, which costs least. With further inputs, a
slate, or a file that is to be played over the source within seconds, ``inputs.keeper`` does. Between the two it turns
while on air: the session of the source that is open is handed over, and the flow goes on pulling it.
"""

import asyncio
import time
from collections.abc import Callable

from streamferry.media.errors import MediaError
from streamferry.relay.flow import LiveFlow
from streamferry.relay.inputs.keeper import InputsKeeper
from streamferry.relay.keeper import KeeperTask, RunContext, forget_turn
from streamferry.relay.live_keeper import LiveKeeper
from streamferry.relay.spec import RelaySpec
from streamferry.relay.status import Playhead, Unready


class LiveEnd:
    """A ``SourceKeeper``. ``make_inputs`` makes the keeper of several inputs, once, when it is first needed."""

    def __init__(
        self, context: RunContext, flow: LiveFlow, scratch: memoryview, make_inputs: Callable[[], InputsKeeper]
    ) -> None:
        self._context = context
        self._flow = flow
        self._make_inputs = make_inputs
        self._live = LiveKeeper(context, flow, scratch)
        self._inputs: InputsKeeper | None = None
        self._keeper: LiveKeeper | InputsKeeper = self._live
        # Expires when the other keeper is to go on; None while neither does.
        self._term: asyncio.Timeout | None = None
        self.task = KeeperTask("source", context.vitals.source)
        self._turn_if_due()

    @property
    def _with_inputs(self) -> InputsKeeper | None:
        """The keeper of inputs, while that is who keeps it."""
        return self._inputs if self._keeper is self._inputs else None

    @property
    def skipped(self) -> MediaError | None:
        """See ``SourceKeeper``."""
        return None if (inputs := self._with_inputs) is None else inputs.skipped

    @property
    def unready(self) -> tuple[Unready, ...]:
        """See ``SourceKeeper``."""
        return () if (inputs := self._with_inputs) is None else inputs.unready

    def where_now(self) -> Playhead | None:
        """See ``SourceKeeper``; a live source is always where it is."""
        return self._context.spec.playhead if (inputs := self._with_inputs) is None else inputs.where_now()

    async def catch_up(self) -> None:
        """See ``SourceKeeper``; what was missed of a live source is lost."""
        if (inputs := self._with_inputs) is not None:
            await inputs.catch_up()

    async def keep(self) -> None:
        """See ``SourceKeeper``."""
        try:
            while True:
                try:
                    async with asyncio.timeout(None) as term:
                        self._term = term
                        await self._keeper.keep()
                except TimeoutError as turn:
                    if not term.expired():
                        raise
                    forget_turn(turn)
                # Another may have been asked for meanwhile.
                self._term = None
                self._turn_if_due()
        finally:
            self._term = None
            # What the next one had not taken yet.
            self._live.close()
            if self._inputs is not None and (session := self._inputs.hand_over()) is not None:
                session.close(self._flow)

    def update(self, before: RelaySpec) -> None:
        """See ``SourceKeeper``: another source is played in the publish session that is open."""
        if (inputs := self._with_inputs) is not None:
            # What is on air may be all that is left.
            inputs.update(before)
            self._turn_if_due()
        elif not self._turn_if_due() and self._live.update(before):
            self.task.restart(self.keep)

    def encode(self, before: RelaySpec) -> None:
        """See ``SourceKeeper``."""
        if (inputs := self._with_inputs) is not None:
            inputs.encode(before)
        else:
            self._live.encode()
            self.task.restart(self.keep)

    def follow_orders(self, before: RelaySpec) -> None:
        """See ``SourceKeeper``."""
        if not self._turn_if_due() and (inputs := self._with_inputs) is not None:
            inputs.update(before)

    def look(self, now: float) -> None:
        """See ``SourceKeeper``."""
        if self._inputs is None and not self._context.spec.orders:
            return
        self._turn_if_due()
        if (inputs := self._with_inputs) is not None:
            inputs.look(now)

    def _turn_if_due(self) -> bool:
        """Have the other keeper go on, if it is its turn; gives whether it does from now on."""
        inputs = self._with_inputs
        needs_inputs = self._needs_inputs()
        is_turning = self._term is not None and self._term.when() is not None
        if needs_inputs is (inputs is not None) or is_turning or (inputs is not None and not inputs.may_leave):
            return False
        after = self._live if inputs is not None or self._inputs is None else self._inputs
        before, self._keeper = self._keeper, after
        if self._term is not None:
            self._term.reschedule(0)
        after.take_over(before.hand_over())
        return True

    def _needs_inputs(self) -> bool:
        spec = self._context.spec
        is_one = spec.is_live and spec.is_plain
        if is_one and not spec.orders:
            return False
        self._inputs = self._inputs or self._make_inputs()
        return not is_one or self._inputs.has_due(time.time())
