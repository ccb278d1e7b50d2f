"""Writes: everything that REST changes, as plain calls. Routes and the dashboard use the same ones."""

from collections.abc import Sequence
from enum import StrEnum

from streamferry.control.actions import Actions
from streamferry.store.records import GroupTag
from streamferry.tasks import checks
from streamferry.tasks.checks import SourceRules
from streamferry.tasks.model import TaskSpec
from streamferry.web.compat.tasks import create_spec, update_spec
from streamferry.web.rest.bodies import NewGroup, NewTask, TagBody, TaskPatch, to_create, to_update
from streamferry.web.views import TaskView, show_task


class Verb(StrEnum):
    """What may be asked of a task, beside changing and deleting it."""

    STOP = "stop"
    CONTINUE = "continue"
    START_OVER = "start_over"
    #: Older names of the two, which the compatible API has for them.
    RESTART = "restart"
    RELAUNCH = "relaunch"


class Writes:
    """All raise errors of ``tasks.errors``, with fields in the compatible API's words (see ``faults.translate``)."""

    def __init__(self, actions: Actions, rules: SourceRules) -> None:
        self._actions = actions
        self._rules = rules
        self._verbs = {
            Verb.STOP: actions.stop_task,
            Verb.CONTINUE: actions.continue_task,
            Verb.START_OVER: actions.relaunch_task,
            Verb.RESTART: actions.continue_task,
            Verb.RELAUNCH: actions.relaunch_task,
        }

    async def create_task(self, body: NewTask) -> TaskView:
        """A new enabled task."""
        return await self._show(await self._actions.create_task(await self._read(body)))

    async def validate_task(self, body: NewTask) -> None:
        """Whether such a task could be created now; nothing is written."""
        await self._actions.check_task(await self._read(body))

    async def update_task(self, task_id: str, body: TaskPatch, *, expected_version: int | None = None) -> TaskView:
        """Change what is given; what runs follows. ``expected_version`` comes before the body's."""

        now = await self._actions.now()

        def revise(current: TaskSpec | None) -> TaskSpec:
            return update_spec(to_update(task_id, body, current), current, now, self._rules)

        expected = body.version if expected_version is None else expected_version
        await self._actions.update_task(checks.check_task_id(task_id), revise, expected_version=expected)
        return await self._show(task_id)

    async def ask_task(self, task_id: str, verb: Verb) -> TaskView:
        """Stop it, continue it or start it over."""
        await self._verbs[verb](checks.check_task_id(task_id))
        return await self._show(task_id)

    async def delete_task(self, task_id: str) -> None:
        """Delete it; a run ends. Its events and its usage are kept."""
        await self._actions.delete_task(checks.check_task_id(task_id))

    async def create_group(self, body: NewGroup) -> None:
        """A new group."""
        name = checks.check_group_name(body.name, "Name")
        await self._actions.create_group(name, body.project, _tags(body.tags))

    async def update_group(self, name: str, tags: Sequence[TagBody]) -> None:
        """Put other tags in place of those it has."""
        await self._actions.update_group(checks.check_group_name(name, "Name"), _tags(tags))

    async def delete_group(self, name: str) -> None:
        """Delete a group without tasks."""
        await self._actions.delete_group(checks.check_group_name(name, "Name"))

    async def _read(self, body: NewTask) -> TaskSpec:
        return create_spec(to_create(body), await self._actions.now(), self._rules)

    async def _show(self, task_id: str) -> TaskView:
        return show_task(await self._actions.get_task(task_id), await self._actions.now())


def _tags(tags: Sequence[TagBody]) -> list[GroupTag]:
    return [GroupTag(tag.category, tag.key, tag.value) for tag in tags]
