"""The beat: one clock that visits every relay of a process and moves its media by plain calls.

Why: a relay that wakes for every packet spends its time waking. Visited 6 or 12 times a second, a 2 Mbps stream costs
one receive, one scan of the tag headers and one gathered send per visit (docs/decisions/0001-one-beat.md).

Time is cut into turns of a ring of slots; a live relay sits in several slots, evenly spaced, a file relay in one, since
a file sent ahead of its time needs no haste. Slots without relays cost nothing, so a slot is filled before the next.
The beat runs on the event loop's own thread, so visits never overlap with asyncio's callbacks and nothing needs a lock.

Under more load than the processor has, the ring turns slower: a turn that was late is not made up for, each visit
simply finds more to move, and moving more at once is cheaper. Only latency grows.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Protocol

from streamferry.net.fence import Fence

#: One turn of the ring: how often a file relay is visited.
RING_S = 0.32
_SLOTS = 16
#: Visits to a live relay per turn at most: every 80 ms, which bounds the latency that a relay adds (``spec.Latency``).
LIVE_VISITS = 4
FILE_VISITS = 1
FILE_VISIT_S = RING_S / FILE_VISITS
_SLOT_S = RING_S / _SLOTS
#: Members that a slot gets before the next one gets any: to wake costs as much as some visits, and so many visits in a
#: row take 4 ms.
_SLOT_FULL = 64


class Visitor(Protocol):
    """What the beat visits."""

    def visit(self, now: float) -> None:
        """Move what can be moved at ``now`` (monotonic seconds), without blocking."""

    def crash(self, error: Exception) -> None:
        """Take the error that ``visit`` raised, which is a bug; the other members are visited all the same."""


class Beat:
    """Visits its members until closed, and past the ``fence`` nobody: then it calls ``on_fence`` instead.

    Start it inside a running event loop.
    """

    def __init__(self, fence: Fence | None = None, on_fence: Callable[[], None] = lambda: None) -> None:
        self._fence = fence or Fence()
        self._on_fence = on_fence
        self._slots: list[list[Visitor]] = [[] for _ in range(_SLOTS)]
        self._count = 0
        self._timer: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()
        self._next = 0
        self._due = 0.0
        # When each slot should run again: one turn of the ring after it ran last.
        self._expected = [float("inf")] * _SLOTS
        self._worst_lateness = 0.0

    def add(self, visitor: Visitor, visits: int) -> None:
        """Visit ``visitor`` this many times a turn: a divisor of the ring's 16 slots."""
        stride = _SLOTS // visits
        first = min(range(stride), key=lambda slot: (max(len(self._slots[slot]) + 1, _SLOT_FULL), slot))
        for slot in range(first, _SLOTS, stride):
            if not self._slots[slot]:
                self._expected[slot] = float("inf")
            self._slots[slot].append(visitor)
        self._count += 1
        if self._timer is None:
            self._due = self._loop.time()
            self._schedule()

    def remove(self, visitor: Visitor) -> bool:
        """Stop visiting; gives whether it was visited. Removing a stranger does nothing."""
        found = False
        for slot in self._slots:
            if visitor in slot:
                slot.remove(visitor)
                found = True
        if found:
            self._count -= 1
        return found

    def take_worst_lateness(self) -> float:
        """Seconds by which the worst turn since the last call took longer than it should, for any slot."""
        worst, self._worst_lateness = self._worst_lateness, 0.0
        return worst

    def close(self) -> None:
        """Stop for good."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _schedule(self) -> None:
        """Set the timer for the next slot that has members; none: sleep until somebody is added."""
        if not self._count:
            self._timer = None
            return
        for _ in range(_SLOTS):
            self._next = (self._next + 1) % _SLOTS
            self._due += _SLOT_S
            if self._slots[self._next]:
                break
        self._due = max(self._due, self._loop.time())
        self._timer = self._loop.call_at(self._due, self._run_slot)

    def _run_slot(self) -> None:
        if self._fence.is_passed:
            self._on_fence()
            self._schedule()
            return
        now = time.monotonic()
        slot = self._next
        lateness = now - self._expected[slot]
        if lateness > self._worst_lateness:
            self._worst_lateness = lateness
        self._expected[slot] = now + RING_S
        for visitor in tuple(self._slots[slot]):
            try:
                visitor.visit(now)
            except Exception as error:
                visitor.crash(error)
        self._schedule()
