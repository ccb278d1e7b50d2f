"""Files that are asked to be played once beside those of a list: at a time, over what plays, or after the present item.

Each order has a task of its own. It prepares the file like those of the list, waits for its turn, asks whether it may
be followed, which it may once (docs/decisions/0109), and puts the file in front of what is to follow. From there on it
is the feed's: the join is that of any two items.
"""

import asyncio
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial

from streamferry.media.errors import MediaError
from streamferry.media.peer_options import NO_OPTIONS
from streamferry.reasons import Code, Reason
from streamferry.relay.backoff import Backoff
from streamferry.relay.file_feed import FileFeed
from streamferry.relay.keeper import KeeperTask, RunContext
from streamferry.relay.list_entry import ListEntry
from streamferry.relay.list_flow import ListFlow
from streamferry.relay.orders import OPEN_EARLY_S, ORDER_STALE_S, Order
from streamferry.relay.prepared_list import PreparedList
from streamferry.source.prepared import PreparedReader

#: A file that is to follow an item is put there when that has so much left: if a worker was lost before, the next one
#: still plays it.
LAST_MS = 3000
# How often it is looked whether it is an order's turn.
_LOOK_S = 0.1

#: Told that a file that is not of the list begins, or that it is over, or was not begun; why; and its address as it may
#: be shown.
OnExtra = Callable[[bool, Reason, str], None]


class ListOrders:
    """``task``: of the list's keeper, beside which this goes on when the list is edited."""

    def __init__(
        self,
        context: RunContext,
        flow: ListFlow,
        task: KeeperTask,
        prepared: PreparedList,
        on_extra: OnExtra,
    ) -> None:
        self._context = context
        self._task = task
        self._prepared = prepared
        self._flow = flow
        self._on_extra = on_extra
        self._last = 0
        self._playing: dict[Order, asyncio.Task[None]] = {}
        # Those whose files have not begun, and those of them that are prepared; whether the present item is to end as
        # soon as the first that waits for its end is there.
        self._waiting: list[Order] = []
        self._ready: set[Order] = set()
        self._is_skipped = False

    def follow(self, orders: Iterable[Order], *, is_first: bool = False) -> None:
        """Follow those that are new, and forget those that are gone. ``is_first``: the run begins."""
        orders, now = tuple(orders), time.time()
        # Of the last one that was taken back its number is left.
        numbers = {order.number for order in orders if order.item is not None}
        for order, playing in self._playing.items():
            if order.number not in numbers:
                playing.cancel()
        for order in orders:
            if order.number <= self._last or order.is_stale(now):
                continue
            if order.item is not None:
                self._waiting.append(order)
                self._playing[order] = self._task.start_beside(partial(self._play, order), "order")
            elif not is_first:
                self._skip()
        self._last = max([self._last, *(order.number for order in orders)])

    def _skip(self) -> None:
        feed = self._flow.feed
        if feed is None:
            return
        after = self._first(after_item=True)
        if after in self._ready and not feed.plays_extra:
            self._is_skipped = True
        else:
            feed.give_way()

    def _first(self, *, after_item: bool) -> Order | None:
        waiting = [one for one in self._waiting if one.after_item is after_item]
        return min(waiting, key=lambda one: (0.0 if after_item else one.at, one.number), default=None)

    async def _play(self, order: Order) -> None:
        reader: PreparedReader | None = None
        try:
            await asyncio.sleep(max(0.0, order.at - OPEN_EARLY_S - time.time()))
            reader = await self._open(order)
            self._ready.add(order)
            feed = await self._wait_turn(order)
            if await self._claim(order) and reader is not None:
                feed = await self._wait_turn(order)
                _put(feed, reader, _file_of(order), at_once=not (order.after_item or feed.plays_extra))
                reader = None
        except MediaError as error:
            if await self._claim(order):
                self._context.log.warning("a file that was to be inserted cannot be played: %s", error)
                self._on_extra(False, Reason.of(Code.ON_AIR_INSERT_FAILED, why=error.why), _file_of(order))
        finally:
            if reader is not None:
                reader.close()
            self._playing.pop(order, None)
            self._waiting.remove(order)
            if self._is_skipped and order in self._ready and order.after_item and (now := self._flow.feed) is not None:
                self._is_skipped = False
                now.give_way()
            self._ready.discard(order)

    async def _claim(self, order: Order) -> bool:
        """From here on it is not forgotten any more."""
        self._playing.pop(order, None)
        return await self._context.claim(order.number)

    async def _open(self, order: Order) -> PreparedReader | None:
        """What may be for a moment only is tried again until it is too late. Raises MediaError."""
        assert order.item is not None
        backoff = Backoff()
        late_at = max(order.at, time.time()) + ORDER_STALE_S
        while True:
            # What the list's servers are told is for them alone.
            spec = replace(self._context.spec, source_options=NO_OPTIONS)
            try:
                return await self._prepared.open_item(spec, order.item, 0)
            except MediaError as error:
                delay_s = max(backoff.next_delay(), error.retry_after_s)
                if not error.retryable or time.time() + delay_s >= late_at:
                    raise
                error.forget_trace()
            await asyncio.sleep(delay_s)

    async def _wait_turn(self, order: Order) -> FileFeed:
        while (feed := self._flow.feed) is None or not self._is_turn(order, feed):  # noqa: ASYNC110 - no event tells it
            await asyncio.sleep(_LOOK_S)
        return feed

    def _is_turn(self, order: Order, feed: FileFeed) -> bool:
        if feed.current is None or any(entry.is_extra for entry in feed.upcoming):
            return False
        if order is not self._first(after_item=order.after_item):
            return False
        if feed.plays_extra:
            # One that is due by then follows it, before what is left of the item.
            return not order.after_item and time.time() >= order.at and _is_ending(feed)
        if any(entry.is_rest for entry in feed.upcoming):
            return False
        if not order.after_item:
            return time.time() >= order.at
        return self._is_skipped or _is_ending(feed)


def _is_ending(feed: FileFeed) -> bool:
    so_long_ms = left_ms(feed)
    return so_long_ms is not None and so_long_ms <= LAST_MS


def left_ms(feed: FileFeed) -> int | None:
    """How much of the present item is left; None if that is not known."""
    entry = feed.current
    if entry is None or entry.is_told or (entry.gives_way and feed.upcoming):
        return 0
    return entry.reader.span_ms


def _file_of(order: Order) -> str:
    return "" if order.item is None else order.item.url.shown


def _put(feed: FileFeed, reader: PreparedReader, file: str, *, at_once: bool) -> None:
    """In front of what is to follow; ``at_once``: what plays ends at its next keyframe, and what is left follows."""
    entry = feed.current
    feed.upcoming.appendleft(ListEntry(-1, -1, reader, file=file, is_extra=True))
    if at_once and entry is not None and not entry.gives_way:
        entry.gives_way = entry.pauses = True
