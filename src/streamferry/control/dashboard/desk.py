"""What the pages may do: reads for everybody who is signed in, changes for those who may write. No rules."""

from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field

from streamferry.control.actions import Actions
from streamferry.control.checks import SourceRules
from streamferry.control.dashboard.frame import Visitor
from streamferry.control.dashboard.sessions import Sessions
from streamferry.control.rest.reads import Reads

_DEEDS: Mapping[str, Callable[[Actions, str], Awaitable[None]]] = {
    "stop": Actions.stop_task,
    "continue": Actions.continue_task,
    "relaunch": Actions.relaunch_task,
    "delete": Actions.delete_task,
}


@dataclass(frozen=True, slots=True)
class Desk:
    """Made once by the service."""

    actions: Actions
    reads: Reads
    source_rules: SourceRules = field(default_factory=SourceRules)
    public_hosts: Collection[str] = ()
    sessions: Sessions = field(default_factory=Sessions)

    def require_writer(self, who: Visitor) -> None:
        """Raises PermissionError for who may only look, or is not signed in any more."""
        if not who.can_write:
            raise PermissionError(who.t("role.refused" if who.is_welcome else "session.over"))

    async def do(self, who: Visitor, deed: str, task_id: str) -> None:
        """Stop, continue, relaunch or delete a task. Raises PermissionError and ActionError."""
        self.require_writer(who)
        await _DEEDS[deed](self.actions, task_id)
