"""Samples: how the runs of the last hour went, in memory of the service, for charts. Nothing is kept in the store.

Every ten seconds the run rows of tasks that a worker has are read. A sample is six integers in an array, so an hour of
one task takes 9 KB; tasks beyond the limit are left out, and a restart of the service starts from nothing.
"""

import asyncio
import contextlib
import logging
import time
from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from streamferry.control.actions import Actions
from streamferry.store import TROUBLE
from streamferry.store.records import RunningTask

_log = logging.getLogger("streamferry.control")

STEP_S = 10.0
KEPT = 360
#: How many tasks are sampled at the same time: 18 MB.
MAX_TASKS = 2000
_FIELDS = 6
_MOST = 2**32 - 1


@dataclass(frozen=True, slots=True)
class Sample:
    """A task over one step. ``at_s`` is Unix time; counters are the increase since the previous sample.

    ``late_ms``: lateness of the worst beat of the task's worker in the minute before.
    """

    at_s: int
    kbps_in: int
    kbps_out: int
    dropped_tags: int
    retries: int
    late_ms: int


class Samples:
    """See the module."""

    def __init__(self, step_s: float = STEP_S) -> None:
        self._step_s = step_s
        self._kept: dict[str, array[int]] = {}

    async def run(self, actions: Actions, stopping: asyncio.Event) -> None:
        """Take samples until ``stopping`` is set."""
        while not stopping.is_set():
            try:
                found = await actions.list_running()
                health = {one.worker_id: one.health for one in await actions.list_workers()}
            except TROUBLE as error:
                _log.warning("no samples could be taken: %s", type(error).__name__)
            else:
                late_ms = {name: round(one.beat_late_ms) for name, one in health.items() if one is not None}
                self.add(found[:MAX_TASKS], late_ms, int(time.time()))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), self._step_s)

    def add(self, found: Sequence[RunningTask], late_ms: Mapping[str, int], now_s: int) -> None:
        """Keep what was read, and how late each worker is. A task that no worker has is forgotten after an hour."""
        for one in found:
            kept = self._kept.setdefault(one.task_id, array("I"))
            values = (one.kbps_in, one.kbps_out, one.dropped_tags, one.retries, late_ms.get(one.worker_id, 0))
            kept.extend((now_s, *(min(max(value, 0), _MOST) for value in values)))
            del kept[: -KEPT * _FIELDS]
        oldest_s = now_s - round(KEPT * self._step_s)
        for task_id in [task_id for task_id, kept in self._kept.items() if kept[-_FIELDS] < oldest_s]:
            del self._kept[task_id]
        while len(self._kept) > MAX_TASKS:
            del self._kept[next(iter(self._kept))]

    def of(self, task_id: str) -> list[Sample]:
        """The samples of the last hour, oldest first."""
        return [
            Sample(
                at_s=after[0],
                kbps_in=after[1],
                kbps_out=after[2],
                dropped_tags=_grown(before[3], after[3]),
                retries=_grown(before[4], after[4]),
                late_ms=after[5],
            )
            for before, after in pairwise(self._rows(task_id))
        ]

    def _rows(self, task_id: str) -> Iterator[tuple[int, ...]]:
        kept = self._kept.get(task_id, array("I"))
        return (tuple(kept[begin : begin + _FIELDS]) for begin in range(0, len(kept), _FIELDS))


def _grown(before: int, after: int) -> int:
    """The increase of a counter; a new run counts from 0 again."""
    return after - before if after >= before else after
