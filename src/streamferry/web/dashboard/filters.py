"""Filters of a list of tasks by state: a few words that cover all states, each task in exactly one."""

from collections.abc import Sequence
from dataclasses import dataclass

from streamferry.relay.status import State
from streamferry.store.records import TaskCount
from streamferry.web.reads import Reads
from streamferry.web.views import Status, TaskPage


@dataclass(frozen=True, slots=True)
class Filter:
    """Tasks with these statuses whose runs are in these states, and in trouble or not; None or empty means all."""

    statuses: tuple[Status, ...] = ()
    states: tuple[State, ...] = ()
    in_trouble: bool | None = None

    async def page(
        self, reads: Reads, *, title: str = "", groups: Sequence[str] = (), page: int = 1, size: int = 20
    ) -> TaskPage:
        """One page of matching tasks, newest first."""
        return await reads.tasks(
            title=title,
            groups=groups,
            statuses=self.statuses,
            states=self.states,
            in_trouble=self.in_trouble,
            page=page,
            size=size,
        )

    def takes(self, status: Status, state: State, *, in_trouble: bool) -> bool:
        """Whether a task matches; ``page`` asks the store for the same."""
        return (
            (not self.statuses or status in self.statuses)
            and (not self.states or state in self.states)
            and self.in_trouble in (None, in_trouble)
        )

    def count(self, counts: Sequence[TaskCount]) -> int:
        """How many tasks match."""
        return sum(
            one.tasks for one in counts if self.takes(Status[one.status.name], one.state, in_trouble=one.in_trouble)
        )


_STARTING = (State.PREPARING, State.CONNECTING, State.RETRYING, State.STALLED)

FILTERS = {
    "all": Filter(),
    "trouble": Filter((Status.ACTIVE,), (), in_trouble=True),
    "streaming": Filter((Status.ACTIVE,), (State.STREAMING,), in_trouble=False),
    "starting": Filter((Status.ACTIVE,), _STARTING, in_trouble=False),
    # An active one whose run has ended waits for a worker, or for its next try.
    "waiting": Filter(
        (Status.NOT_STARTED, Status.ACTIVE),
        tuple(state for state in State if state not in (State.STREAMING, *_STARTING)),
        in_trouble=False,
    ),
    "stopped": Filter((Status.DISABLED,)),
    "ended": Filter((Status.ENDED,)),
}
