"""Files that are played over what is on air, and items of a list that are left out: the orders of a run.

An order is followed once, at its time (``RelaySpec.orders``). What is on air by the rules may change meanwhile: a file
that was inserted is followed by what is chosen then.
"""

import time
from collections.abc import Callable

from streamferry.reasons import Code, Reason
from streamferry.relay.inputs.list_input import ListInput, spec_of_list
from streamferry.relay.inputs.program import Program
from streamferry.relay.inputs.running import RunningInput
from streamferry.relay.keeper import RunContext
from streamferry.relay.spec import ORDER_STALE_S, Item, Order, RelaySpec
from streamferry.relay.status import Shown

#: A file that is to be inserted is opened so long before its time.
OPEN_EARLY_S = 20.0


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

    def take_orders(self, *, is_first: bool) -> None:
        """Note the orders that are new. One to skip was for what was on air before a run began."""
        spec = self._context.spec
        oldest_at = time.time() - ORDER_STALE_S
        for order in spec.orders:
            if order.number > self._last_order and order.at >= oldest_at and (order.item is not None or not is_first):
                self._orders.append(order)
        self._last_order = max([self._last_order, *(order.number for order in spec.orders)])

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
        if insert is not None and insert is not shown and first is not None and first.at < self._insert_order.at:
            # It was opened before its time, and another came to be before it.
            self._orders.append(self._insert_order)
            self._program.end(insert)
            insert = self._insert = None
        if insert is None:
            if first is not None and first.item is not None and first.at - OPEN_EARLY_S <= time.time():
                self._orders.remove(first)
                self._insert, self._insert_order = self._open(first.item), first
            return False
        insert.visit(now)
        if insert is shown:
            if not insert.is_over and not is_skipped:
                return True
            self._insert = None
            if target.is_open:
                self._program.show(target, now)
            self._program.note_on_air(chosen, Reason.of(Code.ON_AIR_INSERT_OVER))
            self._program.end(insert)
        elif insert.is_open and time.time() >= self._insert_order.at:
            self._program.show(insert, now)
            self._program.note_on_air(chosen, Reason.of(Code.ON_AIR_INSERT), Shown.INSERT)
            return True
        elif (error := insert.error) is not None:
            self._context.log.warning("a file that was to be inserted cannot be played: %s", error)
            self._program.end(insert)
            self._insert = None
            self._program.note_on_air(chosen, Reason.of(Code.ON_AIR_INSERT_FAILED, why=error.why))
        return False

    def _open(self, item: Item) -> ListInput:
        made = self._make_list(spec_of_list(self._context.spec, [item], loops=1))
        made.want(True)
        self._program.run(made)
        return made
