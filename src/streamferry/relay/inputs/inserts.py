"""Files that are played over what is on air, and items of a list that are left out: the orders of a run.

An order is followed once, at its time (``RelaySpec.orders``), of whatever run (docs/decisions/0109). What is on air by
the rules may change meanwhile: a file that was inserted is followed by what is chosen then.
"""

import asyncio
import math
import time
from collections.abc import Callable
from dataclasses import dataclass

from streamferry.media.errors import MediaError
from streamferry.reasons import Code, Reason
from streamferry.relay.inputs.list_input import ListInput, spec_of_list
from streamferry.relay.inputs.live_input import LiveInput
from streamferry.relay.inputs.program import Program
from streamferry.relay.inputs.run_form import RunForm
from streamferry.relay.inputs.running import RunningInput
from streamferry.relay.inputs.still import StillInput
from streamferry.relay.keeper import RunContext
from streamferry.relay.list_orders import left_ms
from streamferry.relay.orders import OPEN_EARLY_S, ORDER_STALE_S, Item, Order
from streamferry.relay.spec import RelaySpec
from streamferry.relay.status import Shown

#: So long before its turn it is asked whether a file may be played, which it may once.
CLAIM_EARLY_S = 2.0
#: So late a file comes on air rather than in another form than that of what will be on air.
FORM_PATIENCE_S = 5.0


@dataclass(slots=True)
class _Insert:
    """An order whose file is opened. ``claim``: whether it may be played, once that was asked."""

    order: Order
    item: Item
    input: ListInput
    claim: asyncio.Task[bool] | None = None
    #: From when on it is over, whatever is left of it: it was skipped.
    ends_at: float = math.inf

    @property
    def file(self) -> str:
        """Its address as it may be shown."""
        return self.item.url.shown

    @property
    def is_told_no(self) -> bool:
        """Whether it may not be played."""
        return self.claim is not None and self.claim.done() and not self.claim.result()

    @property
    def is_told_yes(self) -> bool:
        """Whether it may be played."""
        return self.claim is not None and self.claim.done() and self.claim.result()

    @property
    def failure(self) -> MediaError | None:
        """Why it is given up: at its time, or when it is too late to try again."""
        error, late_s = self.input.error, time.time() - self.order.at
        if error is None or self.input.is_open or late_s < 0:
            return None
        is_final = not error.retryable or self.input.is_over or self.input.has_failed
        return error if is_final or late_s >= ORDER_STALE_S else None


class Inserts:
    """``make_list`` makes an input of a list, in the ``run_form``."""

    def __init__(
        self,
        context: RunContext,
        program: Program,
        run_form: RunForm,
        make_list: Callable[[RelaySpec], ListInput],
        still: StillInput,
    ) -> None:
        self._context = context
        self._program = program
        self._run_form = run_form
        self._make_list = make_list
        # The last picture of what is played.
        self._still = still
        # What is played over what is on air, and what is opened to be played next; orders that are not opened yet.
        self._playing: _Insert | None = None
        self._next: _Insert | None = None
        self._orders: list[Order] = []
        self._last_order = 0

    def has_due(self, at: float) -> bool:
        """Whether a file is played over what is on air, or one that nobody has played is due, or soon is."""
        if self._playing is not None or self._next is not None:
            return True
        waiting = {order.number for order in self._orders}
        return any(
            order.item is not None
            and not (order.after_item or order.is_stale(at))
            and order.at - OPEN_EARLY_S <= at
            and (order.number > self._last_order or order.number in waiting)
            for order in self._context.spec.orders
        )

    def take_orders(self, *, is_first: bool) -> None:
        """Note the orders that are new, and forget those that were taken back.

        One to skip was for what was on air before a run began. Files that follow an item are the list's own matter.
        """
        orders, now = self._context.spec.orders, time.time()
        # Of the last one that was taken back its number is left.
        numbers = {order.number for order in orders if order.item is not None}
        self._orders = [order for order in self._orders if order.number in numbers or order.item is None]
        if self._next is not None and self._next.claim is None and self._next.order.number not in numbers:
            self._close_next()
        for order in orders:
            is_new = order.number > self._last_order and not (order.is_stale(now) or order.after_item)
            if is_new and (order.item is not None or not is_first):
                self._orders.append(order)
        self._last_order = max([self._last_order, *(order.number for order in orders)])

    def close(self) -> None:
        """Nothing is on air any more."""
        self._playing = self._next = None

    def encode(self) -> None:
        """What is opened is prepared anew: it has to be encoded now."""
        for one in (self._playing, self._next):
            if one is not None:
                one.input.update(self._spec_of(one.item))

    def bring_into_form(self) -> None:
        """The form of the run is known now: what is opened in another one is opened anew."""
        if self._next is not None and self._next.claim is None and not self._next.input.has_form(self._run_form.form):
            self._reopen_next()

    def visit(self, now: float, chosen: int, target: RunningInput) -> bool:
        """Follow the orders that are due, and play what they say; whether a file is played over what is on air.

        ``chosen``: the number of what is on air by the rules, and ``target`` its input.
        """
        self._take_skips(now)
        self._open_next()
        if self._next is not None:
            self._next.input.visit(now)
            self._give_up(self._next, chosen)
        playing = self._playing
        if playing is None:
            return self._play_next(now, chosen, target)
        playing.input.visit(now)
        if self._program.shown not in (playing.input, self._still) and playing.input.is_open:
            # It was put aside, to be encoded.
            self._program.show(playing.input, now)
        if not (playing.input.is_over or self._is_skipped(playing, now) or playing.failure is not None):
            self._claim_in_time(playing)
            return self._program.shown is playing.input
        is_next = self._play_next(now, chosen, target)
        if not is_next:
            if self._program.may_begin(target, now):
                self._program.show(target, now)
            elif self._holds(target, now):
                return True
            self._playing = None
            self._program.note_on_air(chosen, Reason.of(Code.ON_AIR_INSERT_OVER), file=playing.file)
        self._program.end(playing.input)
        if not is_next:
            self._program.let_go(self._still)
        return is_next

    def _holds(self, target: RunningInput, now: float) -> bool:
        """Whether the last picture is shown until what follows has a keyframe."""
        if not (isinstance(target, LiveInput) and target.waits_for_keyframe(now)):
            if self._program.shown is self._still:
                self._program.put_aside(now)
            return False
        if self._program.shown is not self._still and self._still.is_open:
            self._program.show(self._still, now)
        return True

    def _take_skips(self, now: float) -> None:
        """Let a list go on with its next item, or end an inserted file."""
        if not any(order.item is None for order in self._orders):
            return
        self._orders = [order for order in self._orders if order.item is not None]
        if self._playing is not None:
            self._playing.ends_at = now + CLAIM_EARLY_S
        elif isinstance(self._program.shown, ListInput):
            self._program.shown.skip()

    def _is_skipped(self, playing: _Insert, now: float) -> bool:
        """Whether it ends now; a file that is due follows at once, for which that has to be asked first."""
        if playing.ends_at == math.inf:
            return False
        one = self._next
        is_asked = one is not None and one.input.is_open and one.order.at <= time.time() and not one.is_told_no
        return now >= playing.ends_at or not is_asked or self._is_ready()

    def _open_next(self) -> None:
        first = min(self._orders, key=lambda order: (order.at, order.number), default=None)
        if first is None or first.item is None or first.at - OPEN_EARLY_S > time.time():
            return
        if self._next is not None:
            if self._next.claim is not None or self._next.order.at <= first.at:
                return
            # It was opened before its time, and another came to be before it.
            self._reopen_next()
        self._orders.remove(first)
        made = self._make_list(self._spec_of(first.item))
        made.want(True)
        self._program.run(made)
        self._next = _Insert(first, first.item, made)

    def _spec_of(self, item: Item) -> RelaySpec:
        return spec_of_list(self._context.spec, [item], loops=1)

    def _reopen_next(self) -> None:
        if self._next is not None:
            self._orders.append(self._next.order)
            self._close_next()

    def _close_next(self) -> None:
        if self._next is not None:
            self._program.end(self._next.input)
            self._next = None

    def _give_up(self, one: _Insert, chosen: int) -> None:
        """Leave out what may not be played, or cannot be."""
        failure = one.failure
        if failure is not None:
            self._ask(one)
        if one.is_told_no:
            self._close_next()
        elif failure is not None and one.is_told_yes:
            self._context.log.warning("a file that was to be inserted cannot be played: %s", failure)
            self._close_next()
            self._tell_failure(chosen, failure, one.file)

    def _tell_failure(self, chosen: int, failure: MediaError, file: str) -> None:
        shown = Shown.INPUT if self._playing is None else Shown.INSERT
        self._program.note_on_air(chosen, Reason.of(Code.ON_AIR_INSERT_FAILED, why=failure.why), shown, file)

    def _claim_in_time(self, playing: _Insert) -> None:
        """Shortly before the file that plays is over, ask for the next one, so that it follows at once."""
        feed = playing.input.list_feed
        so_long_ms = None if feed is None else left_ms(feed)
        if so_long_ms is not None and so_long_ms <= CLAIM_EARLY_S * 1000:
            self._is_ready()

    def _play_next(self, now: float, chosen: int, target: RunningInput) -> bool:
        one = self._next
        if one is None or not self._is_ready() or one.order.at > time.time():
            return False
        self._playing, self._next = one, None
        if isinstance(target, LiveInput):
            target.step_aside(now)
        self._program.hold(self._still, self._still.begin())
        self._program.show(one.input, now)
        self._program.note_on_air(chosen, Reason.of(Code.ON_AIR_INSERT), Shown.INSERT, one.file)
        return True

    def _is_ready(self) -> bool:
        """Whether the next file may be played at its time, which is near; else that is asked."""
        one = self._next
        if one is None or not one.input.is_open:
            return False
        late_s = time.time() - one.order.at
        if late_s < -CLAIM_EARLY_S or (not self._run_form.is_known and late_s < FORM_PATIENCE_S):
            return False
        self._ask(one)
        return one.is_told_yes

    def _ask(self, one: _Insert) -> None:
        if one.claim is None:
            one.claim = self._program.ask(self._context.claim(one.order.number))
