"""Files that are played over what is on air, and items of a list that are left out: the orders of a run.

An order is followed once, at its time (``RelaySpec.orders``), of whatever run (docs/decisions/0109). What is on air by
the rules may change meanwhile: a file that was inserted is followed by what is chosen then.
"""

import asyncio
import time
from collections.abc import Callable

from streamferry.reasons import Code, Reason
from streamferry.relay.inputs.list_input import ListInput, spec_of_list
from streamferry.relay.inputs.program import Program
from streamferry.relay.inputs.running import RunningInput
from streamferry.relay.keeper import RunContext
from streamferry.relay.orders import OPEN_EARLY_S, Item, Order
from streamferry.relay.spec import RelaySpec
from streamferry.relay.status import Shown

#: So long before its time it is asked whether a file may be played, which it may once.
CLAIM_EARLY_S = 2.0


class Inserts:
    """``make_list`` makes an input of a list."""

    def __init__(self, context: RunContext, program: Program, make_list: Callable[[RelaySpec], ListInput]) -> None:
        self._context = context
        self._program = program
        self._make_list = make_list
        # A file that is played over what is on air, or will be; and the orders that are not followed yet.
        self._insert: ListInput | None = None
        self._orders: list[Order] = []
        self._last_order = 0
        self._insert_order = Order(0, 0.0)
        # Whether the file may be played, once that was asked.
        self._claim: asyncio.Task[bool] | None = None

    def has_due(self, at: float) -> bool:
        """Whether a file is played over what is on air, or one that nobody has played is due, or soon is."""
        if self._insert is not None:
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
        numbers = {order.number for order in orders}
        self._orders = [order for order in self._orders if order.number in numbers or order.item is None]
        if self._insert is not None and self._claim is None and self._insert_order.number not in numbers:
            self._drop(self._insert)
        for order in orders:
            is_new = order.number > self._last_order and not (order.is_stale(now) or order.after_item)
            if is_new and (order.item is not None or not is_first):
                self._orders.append(order)
        self._last_order = max([self._last_order, *numbers])

    def close(self) -> None:
        """Nothing is on air any more."""
        self._insert = self._claim = None

    def _drop(self, insert: ListInput) -> None:
        self._program.end(insert)
        self._insert = self._claim = None

    def visit(self, now: float, chosen: int, target: RunningInput) -> bool:
        """Follow the orders that are due, and play what they say; whether a file is played over what is on air.

        ``chosen``: the number of what is on air by the rules, and ``target`` its input.
        """
        insert, is_skipped, shown = self._insert, False, self._program.shown
        if self._orders:
            is_skipped = any(order.item is None for order in self._orders)
            self._orders = [order for order in self._orders if order.item is not None]
            if is_skipped and shown is not insert and isinstance(shown, ListInput):
                shown.skip()
        first = min(self._orders, key=lambda order: order.at, default=None)
        is_early = insert is not None and insert is not shown and self._claim is None
        if is_early and insert is not None and first is not None and first.at < self._insert_order.at:
            # It was opened before its time, and another came to be before it.
            self._orders.append(self._insert_order)
            self._drop(insert)
            insert = None
        if insert is None:
            if first is not None and first.item is not None and first.at - OPEN_EARLY_S <= time.time():
                self._orders.remove(first)
                self._insert, self._insert_order = self._open(first.item), first
            return False
        insert.visit(now)
        if insert is shown:
            if not insert.is_over and not is_skipped:
                return True
            if target.is_open:
                self._program.show(target, now)
            self._program.note_on_air(chosen, Reason.of(Code.ON_AIR_INSERT_OVER))
            self._drop(insert)
        elif insert.is_open:
            if not self._may_play():
                return False
            self._program.show(insert, now)
            self._program.note_on_air(chosen, Reason.of(Code.ON_AIR_INSERT), Shown.INSERT)
            return True
        elif (error := insert.error) is not None and self._is_claimed():
            self._context.log.warning("a file that was to be inserted cannot be played: %s", error)
            self._drop(insert)
            self._program.note_on_air(chosen, Reason.of(Code.ON_AIR_INSERT_FAILED, why=error.why))
        return False

    def _may_play(self) -> bool:
        """Whether it is time for the file that is open, and nobody has played it."""
        due_in_s = self._insert_order.at - time.time()
        return due_in_s <= CLAIM_EARLY_S and self._is_claimed() and due_in_s <= 0

    def _is_claimed(self) -> bool:
        if self._claim is None:
            self._claim = self._program.ask(self._context.claim(self._insert_order.number))
        if not self._claim.done() or self._insert is None:
            return False
        if not self._claim.result():
            self._drop(self._insert)
            return False
        return True

    def _open(self, item: Item) -> ListInput:
        made = self._make_list(spec_of_list(self._context.spec, [item], loops=1))
        made.want(True)
        self._program.run(made)
        return made
