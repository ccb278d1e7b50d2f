"""Writes: everything that REST and the dashboard change, as plain calls that show what became of it."""

from collections.abc import Callable, Sequence
from datetime import datetime
from enum import StrEnum

from streamferry.control.actions import Actions
from streamferry.store.records import GroupTag, Intent
from streamferry.tasks import checks
from streamferry.tasks.checks import AddressRules
from streamferry.tasks.draft import TaskDraft, decide_spec
from streamferry.tasks.errors import WorkerNotFound
from streamferry.tasks.inputs import InputSourceDraft
from streamferry.tasks.model import TaskSpec
from streamferry.web.operation_views import WorkerView, show_worker
from streamferry.web.record_views import show_task
from streamferry.web.views import TaskView


class Verb(StrEnum):
    """The actions on a task besides changing and deleting it."""

    STOP = "stop"
    CONTINUE = "continue"
    START_OVER = "start_over"
    #: Older names of the two, which the compatible API has for them.
    RESTART = "restart"
    RELAUNCH = "relaunch"


class WorkerVerb(StrEnum):
    """What can be asked of a worker: to take tasks, to take no more, to hand over those that it has."""

    UNCORDON = "uncordon"
    CORDON = "cordon"
    DRAIN = "drain"


_INTENTS = {
    WorkerVerb.UNCORDON: Intent.OPEN,
    WorkerVerb.CORDON: Intent.CORDONED,
    WorkerVerb.DRAIN: Intent.DRAINING,
}


class Writes:
    """All raise errors of ``tasks.errors``."""

    def __init__(self, actions: Actions, rules: AddressRules) -> None:
        self._actions = actions
        self._rules = rules
        self._verbs = {
            Verb.STOP: actions.stop_task,
            Verb.CONTINUE: actions.continue_task,
            Verb.START_OVER: actions.relaunch_task,
            Verb.RESTART: actions.continue_task,
            Verb.RELAUNCH: actions.relaunch_task,
        }

    async def create_task(self, draft: TaskDraft) -> TaskView:
        """A new enabled task."""
        return await self._show(await self._actions.create_decided(self._decide(draft)))

    async def validate_task(self, draft: TaskDraft) -> None:
        """Whether such a task could be created now; nothing is written."""
        await self._actions.check_decided(self._decide(draft))

    async def update_task(self, task_id: str, draft: TaskDraft, *, expected_version: int | None = None) -> TaskView:
        """Change the given fields; a run follows. ``expected_version``: another one is not changed."""

        def revise(current: TaskSpec | None, now: datetime) -> TaskSpec:
            return decide_spec(draft, current, now, self._rules)

        await self._actions.update_decided(checks.check_task_id(task_id), revise, expected_version=expected_version)
        return await self._show(task_id)

    async def ask_task(self, task_id: str, verb: Verb) -> TaskView:
        """Stop it, continue it or start it over."""
        await self._verbs[verb](checks.check_task_id(task_id))
        return await self._show(task_id)

    async def switch_input(self, task_id: str, which: int | None) -> TaskView:
        """Show that input, or the slate, from now on; None: by the rules."""
        await self._actions.switch_input(checks.check_task_id(task_id), which)
        return await self._show(task_id)

    async def insert_file(
        self, task_id: str, source: InputSourceDraft, at: datetime | None, *, after_item: bool = False
    ) -> TaskView:
        """Play a file over what is on air."""
        task_id = checks.check_task_id(task_id)
        await self._actions.insert_file(task_id, source, at, self._rules, after_item=after_item)
        return await self._show(task_id)

    async def cancel_insert(self, task_id: str, number: int) -> TaskView:
        """Do not play a file that waits."""
        await self._actions.cancel_insert(checks.check_task_id(task_id), number)
        return await self._show(task_id)

    async def skip_item(self, task_id: str) -> TaskView:
        """Go on with what follows."""
        await self._actions.skip_item(checks.check_task_id(task_id))
        return await self._show(task_id)

    async def delete_task(self, task_id: str) -> None:
        """Delete it; its run ends. Its events and usage are kept."""
        await self._actions.delete_task(checks.check_task_id(task_id))

    async def ask_worker(self, worker_id: str, verb: WorkerVerb) -> WorkerView:
        """Cordon it, drain it, or have it take tasks again. Raises WorkerNotFound."""
        await self._actions.set_intent(worker_id, _INTENTS[verb])
        for one in await self._actions.list_workers():
            if one.worker_id == worker_id:
                return show_worker(one)
        raise WorkerNotFound(worker_id)

    async def create_group(self, name: str, project: str, tags: Sequence[GroupTag]) -> None:
        """A new group."""
        await self._actions.create_group(checks.check_group_name(name, "name"), project, tags)

    async def update_group(self, name: str, tags: Sequence[GroupTag]) -> None:
        """Replace its tags."""
        await self._actions.update_group(checks.check_group_name(name, "name"), tags)

    async def delete_group(self, name: str) -> None:
        """Delete a group without tasks."""
        await self._actions.delete_group(checks.check_group_name(name, "name"))

    def _decide(self, draft: TaskDraft) -> Callable[[datetime], TaskSpec]:
        return lambda now: decide_spec(draft, None, now, self._rules)

    async def _show(self, task_id: str) -> TaskView:
        record = await self._actions.get_task(task_id)
        return show_task(record, record.read_at)
