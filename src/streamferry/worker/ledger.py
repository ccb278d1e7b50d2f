"""What a worker needs of a store, as protocol and values. Who keeps the store implements ``Ledger``.

A worker holds tasks under a lease on the store's clock. Each hold has an epoch; what is reported under an older one is
ignored. Times go over this border as distances in seconds, so that the clocks of two machines need not agree.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from streamferry.relay import ItemChange, RelaySpec, RelayStatus, Trouble
from streamferry.words import Reason
from streamferry.worker.health import WorkerHealth


class LeaseLost(Exception):
    """The lease ran out: the store may have given the tasks to another worker. Everything must be stopped."""


class StoreUnavailable(Exception):
    """The store cannot be asked now; the sentence says no more than that."""


@dataclass(frozen=True, slots=True)
class Assignment:
    """A task that this worker holds. ``version`` grows with each change of what is wanted.

    ``is_wanted`` False: stop it and hand it back. ``start_in_s`` and ``end_in_s`` count from when this was read.
    ``spec.playhead`` is where this epoch begins, ``trouble`` that in which the one before it was left. Without a
    ``spec`` the task cannot be run, and ``problem`` says why.
    """

    task_id: str
    epoch: int
    version: int
    is_wanted: bool
    spec: RelaySpec | None
    start_in_s: float
    end_in_s: float
    problem: Reason | None = None
    trouble: Trouble | None = None


class Outcome(Enum):
    """Why a worker gives a task back."""

    #: A finite list was played to its end.
    PLAYED_OUT = "played_out"
    #: Nothing that is tried again at once will mend it.
    FAILED = "failed"
    #: Nothing is wrong: it was not wanted any more, its window is over, or the worker leaves.
    HANDED_BACK = "handed_back"


@dataclass(frozen=True, slots=True)
class Change:
    """A status that a run took on, ``age_s`` before it is reported; the first one says that it is ``starting``.

    With an ``item`` it is not the status that changed, but a step of the list. ``untold``: how many such steps came
    before it that are not reported.
    """

    status: RelayStatus
    age_s: float
    starting: bool = False
    item: ItemChange | None = None
    untold: int = 0


@dataclass(frozen=True, slots=True)
class Usage:
    """What was measured since the last report that held one."""

    streamed_ms: int
    bytes_out: int


@dataclass(frozen=True, slots=True)
class Report:
    """What became of one task since the last report. With an ``outcome`` the task is given back.

    ``version`` is the one that the worker followed: places in a list mean nothing in another one.
    ``item_ends_ms``: item -> where it ends, for those whose end was seen.
    """

    task_id: str
    epoch: int
    version: int
    status: RelayStatus
    changes: tuple[Change, ...]
    item_ends_ms: Mapping[int, int]
    usage: Usage | None
    outcome: Outcome | None


class Ledger(Protocol):
    """The store, as one worker sees it. Every method may raise StoreUnavailable."""

    async def register(self) -> None:
        """Begin a lease, with no tasks."""

    async def poll(self, load: int, room: int) -> int:
        """Take tasks that are due, at most ``room``; give a number that grows when this worker's tasks changed."""

    async def roll(self, known: Mapping[str, tuple[int, int]]) -> Mapping[str, Assignment | None]:
        """All tasks that this worker holds. None for those of which epoch and version are ``known``."""

    async def report(self, reports: Sequence[Report], load: int, health: WorkerHealth | None) -> Collection[str]:
        """Renew the lease and tell; give the tasks of these reports that this worker does not hold.

        Without ``health`` what was told of it last stays. Raises LeaseLost.
        """

    async def retire(self) -> None:
        """Say that this worker takes no more tasks: what it hands back is for the others."""

    async def leave(self) -> None:
        """End the lease. What is still held is free at once."""
