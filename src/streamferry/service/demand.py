"""How many workers it takes for what there is to do, between a least and a most. Pure, but for the look into the store.

Not here: how workers are started (``ray_cluster``).
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from streamferry.service.worker_settings import WorkerSettings
from streamferry.store import Store, due, placing

#: How full workers should be, by the fullest of their measures: the rest takes the tasks of one that dies.
_FULL = 0.7
#: A worker more than needed leaves when that has been so for this long, in s: each that leaves moves tasks.
QUIET_S = 600.0


@dataclass(frozen=True, slots=True)
class Size:
    """From ``least`` to ``most`` workers, each with a share of ``cpus`` of a machine, and ``capacity`` tasks."""

    least: int
    most: int
    cpus: float
    capacity: int


def decide_slots(fullness: Iterable[float], waiting: int, size: Size) -> int:
    """How many workers: for what those that run have (``fullness`` of each) and tasks that nobody has room for."""
    needed = (math.fsum(fullness) + waiting / size.capacity) / _FULL
    # Seven of ten at 0.7 are ten, whatever the last bit of the division says.
    return min(max(math.ceil(round(needed, 9)), size.least), size.most)


class Spare:
    """Which worker leaves, and when: one each time that, for ``QUIET_S``, there was always one more than needed."""

    def __init__(self) -> None:
        self._since: float | None = None

    def decide_leaver(self, loads: Mapping[str, int | None], needed: int, now: float) -> str | None:
        """The one that has least to do, or None. ``loads``: tasks of each; None of one that does not run."""
        if len(loads) <= needed:
            self._since = None
            return None
        if self._since is None:
            self._since = now
        if now - self._since < QUIET_S:
            return None
        self._since = now
        return min(loads, key=lambda name: -1 if (load := loads[name]) is None else load)


async def read_demand(store: Store, settings: WorkerSettings, prefix: str) -> tuple[Sequence[float], int]:
    """For ``decide_slots``: fullness of each worker whose id begins with ``prefix``, and how many tasks wait that one
    with these settings could take.
    """
    async with store.read() as connection:
        workers = await placing.candidates(connection)
        waiting = await due.count_late_for(connection, settings.labels, encodes=settings.capacity_encodes != 0)
    return [one.fullness() for one in workers if one.worker_id.startswith(prefix)], waiting
