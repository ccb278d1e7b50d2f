"""What a worker needs from a store, as a protocol and values. The store's side implements ``Ledger``.

A worker holds tasks under a lease on the store's clock. Each assignment has an epoch; reports of an older one are
ignored. Times cross this interface as distances in seconds, so the clocks of two machines need not agree.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from streamferry.reasons import Reason
from streamferry.relay import DestinationStatus, Found, ItemChange, Moved, RelaySpec, RelayStatus, Switch, Trouble
from streamferry.worker.health import WorkerHealth

#: A lease that was not renewed for this long is lost, unless another length is asked for.
LEASE_S = 6.0


class LeaseLost(Exception):
    """The lease ran out: the store may have given the tasks to another worker. Everything must be stopped."""


class StoreUnavailable(Exception):
    """The store cannot be reached now; the sentence says no more than that."""


@dataclass(frozen=True, slots=True)
class Assignment:
    """A task that this worker holds. ``version`` grows with each change of what is wanted.

    ``is_wanted`` False: stop it and give it back. ``start_in_s`` and ``end_in_s`` count from when this was read.
    ``spec.playhead`` is where this epoch begins, ``trouble`` what the previous epoch left behind. Without a
    ``spec`` the task cannot be run, and ``problem`` says why. ``moves``: give it back at its next keyframe, for
    another worker. ``is_next``: another worker has it until this one is on the air with it.
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
    moves: bool = False
    is_next: bool = False


class Outcome(Enum):
    """Why a worker gives a task back."""

    #: A finite list was played to its end.
    PLAYED_OUT = "played_out"
    #: An immediate retry would not fix it.
    FAILED = "failed"
    #: Nothing is wrong: it is no longer wanted, its window is over, or the worker leaves.
    HANDED_BACK = "handed_back"


@dataclass(frozen=True, slots=True)
class Change:
    """A change of a run's status, ``age_s`` before it is reported; the first one says that it is ``starting``.

    With an ``item`` it is a step of the list instead of a change of status, with a ``destination`` a change of that
    one, which is not the first of several, with a ``switch`` something else on air, with ``moved`` what came of a
    destination's wish to go on elsewhere, with ``content`` what is found wrong with what is on air, or no longer
    (``is_over``). ``untold``: how many such steps before it are not reported.
    """

    status: RelayStatus
    age_s: float
    starting: bool = False
    item: ItemChange | None = None
    untold: int = 0
    destination: DestinationStatus | None = None
    switch: Switch | None = None
    moved: Moved | None = None
    content: Found | None = None
    is_over: bool = False


@dataclass(frozen=True, slots=True)
class Usage:
    """What was measured since the last report with a usage."""

    streamed_ms: int
    bytes_out: int


@dataclass(frozen=True, slots=True)
class Report:
    """What happened to one task since the last report. With an ``outcome`` the task is given back.

    ``version`` is the one that the worker followed: positions in a list mean nothing in another version.
    ``item_ends_ms``: item -> where it ends, for those whose end was seen. ``is_place``: of the ``status`` only the
    position in the list is news worth writing. ``plays_on``: from there its list plays on at the speed of the
    clock, until another report says otherwise.
    """

    task_id: str
    epoch: int
    version: int
    status: RelayStatus
    changes: tuple[Change, ...]
    item_ends_ms: Mapping[int, int]
    usage: Usage | None
    outcome: Outcome | None
    is_place: bool = False
    plays_on: bool = False


class Ledger(Protocol):
    """A worker's interface to the store. Every method may raise StoreUnavailable."""

    async def register(self) -> None:
        """Begin a lease, with no tasks."""

    async def poll(self, load: int, room: int) -> int:
        """Take due tasks, at most ``room``; returns a number that grows when this worker's tasks change."""

    async def listen(self, told: Callable[[bool], None]) -> None:
        """Until cancelled, call ``told`` with True when something may have changed for this worker.

        With False when it is not told of changes, and has to ask more often; so it is at first. Returns at once where
        nobody ever tells. Never raises.
        """

    async def assignments(self, known: Mapping[str, tuple[int, int]]) -> Mapping[str, Assignment | None]:
        """All tasks that this worker holds; None for those whose epoch and version are ``known``."""

    async def deleted(self, task_ids: Collection[str]) -> Collection[str]:
        """Those that are deleted, of tasks that this worker does not hold any more; the others go on elsewhere."""

    async def report(self, reports: Sequence[Report], load: int, health: WorkerHealth | None) -> Collection[str]:
        """Renew the lease and report; returns the reported tasks that this worker does not hold.

        Without ``health`` the last one stays. Raises LeaseLost.
        """

    async def claim_order(self, task_id: str, *, epoch: int, version: int, number: int) -> bool | None:
        """Note that an order is followed now; whether it may be: it is still wanted, and nobody has followed it.

        None: the task was changed since ``version``, which may have taken it back; or another worker has the task until
        this one is on the air with it.
        """

    async def retire(self) -> None:
        """Announce that this worker takes no more tasks: the tasks it gives back are for the others."""

    async def leave(self) -> None:
        """End the lease. Tasks that are still held become free at once."""
