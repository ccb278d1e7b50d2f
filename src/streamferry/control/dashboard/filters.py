"""By what a list of tasks may be narrowed: a few words that cover all states."""

from collections.abc import Sequence
from dataclasses import dataclass

from streamferry.control.dashboard.show import TROUBLE
from streamferry.control.rest.reads import Reads
from streamferry.control.rest.views import Overview, Status, TaskPage
from streamferry.relay import State


@dataclass(frozen=True, slots=True)
class Filter:
    """Tasks of these statuses whose runs are in these states; none given means all."""

    statuses: tuple[Status, ...] = ()
    states: tuple[State, ...] = ()

    async def page(
        self, reads: Reads, *, title: str = "", groups: Sequence[str] = (), page: int = 1, size: int = 20
    ) -> TaskPage:
        """One page of them, newest first."""
        return await reads.tasks(
            title=title, groups=groups, statuses=self.statuses, states=self.states, page=page, size=size
        )

    def count(self, overview: Overview) -> int:
        """How many they are."""
        if not self.states:
            return sum(overview.by_status[status] for status in self.statuses) if self.statuses else overview.tasks
        waiting = overview.by_status[Status.NOT_STARTED] if Status.NOT_STARTED in self.statuses else 0
        return sum(overview.by_state[state] for state in self.states) + waiting


FILTERS = {
    "all": Filter(),
    "trouble": Filter((Status.ACTIVE,), TROUBLE),
    "streaming": Filter((Status.ACTIVE,), (State.STREAMING,)),
    "starting": Filter((Status.ACTIVE,), (State.PREPARING, State.CONNECTING)),
    "waiting": Filter((Status.NOT_STARTED, Status.ACTIVE), (State.WAITING,)),
    "stopped": Filter((Status.DISABLED,)),
    "ended": Filter((Status.ENDED,)),
}
