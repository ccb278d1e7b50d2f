"""The actions by name: which body, methods and rate, and what is called. They only translate."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from streamferry.control.actions import Actions
from streamferry.reasons import Code
from streamferry.store.records import GroupTag, TaskPage
from streamferry.tasks import checks
from streamferry.tasks.checks import AddressRules
from streamferry.tasks.errors import GroupNotFound, InvalidField
from streamferry.web.compat import schemas, usage_series
from streamferry.web.compat.task_bodies import choose_pictures, create_spec, show_task, update_spec
from streamferry.web.rate_limits import Kind

VERSION = "2023-01-01"


@dataclass(frozen=True, slots=True)
class Context:
    """What every operation works with."""

    actions: Actions
    rules: AddressRules


@dataclass(frozen=True, slots=True)
class Operation:
    """One action. ``has_query``: its parameters may be in the query of a GET. ``is_creation``: see ``replays``."""

    body: type[schemas.Body]
    kind: Kind
    run: Callable[[Context, Any], Awaitable[dict[str, Any] | None]]
    has_query: bool = False
    is_creation: bool = False

    @property
    def methods(self) -> tuple[str, ...]:
        """HTTP methods it is called by."""
        return ("GET", "POST") if self.has_query else ("POST",)


async def _create(context: Context, body: schemas.CreateTask) -> dict[str, Any]:
    task_id = await context.actions.create_decided(lambda now: create_spec(body, now, context.rules))
    return {"TaskId": task_id}


async def _update(context: Context, body: schemas.UpdateTask) -> None:
    task_id = checks.check_task_id(body.TaskId)
    await context.actions.update_decided(task_id, lambda current, now: update_spec(body, current, now, context.rules))


def _task_action(act: Callable[[Actions, str], Awaitable[None]]) -> Operation:
    """An action that takes a task's id; a group, if given, has to be the task's."""

    async def run(context: Context, body: schemas.TaskTarget) -> None:
        task_id = checks.check_task_id(body.TaskId)
        if body.GroupName and (await context.actions.get_task(task_id)).spec.group != body.GroupName:
            raise InvalidField("GroupName", Code.FIELD_OTHER_GROUP)
        await act(context.actions, task_id)

    return Operation(schemas.TaskTarget, Kind.WRITE, run)


async def _list(context: Context, body: schemas.ListTasks) -> dict[str, Any]:
    groups = [body.GroupName] if body.GroupName else []
    page = await context.actions.list_tasks(title=body.Title, groups=groups, page=body.Page, size=body.Size)
    return await _show_page(context, page, body.Page, body.Size)


async def _list_v2(context: Context, body: schemas.ListTasksV2) -> dict[str, Any]:
    page = await context.actions.list_tasks(title=body.Title, groups=body.GroupNames, page=body.Page, size=body.Size)
    return await _show_page(context, page, body.Page, body.Size)


async def _show_page(context: Context, page: TaskPage, number: int, size: int) -> dict[str, Any]:
    digests = choose_pictures(page.records)
    pictures = await context.actions.read_pictures(digests) if digests else {}
    return {
        "List": [show_task(record, record.read_at, pictures) for record in page.records],
        "Pagination": {
            "PageCur": number,
            "PageSize": size,
            "PageTotal": -(-page.total // size),
            "TotalCount": page.total,
        },
    }


async def _create_group(context: Context, body: schemas.CreateGroup) -> None:
    name = checks.check_group_name(body.Name, "Name")
    await context.actions.create_group(name, body.ProjectName, _tags(body.Tags))


async def _update_group(context: Context, body: schemas.UpdateGroup) -> None:
    await _on_group(context.actions.update_group(body.Name, _tags(body.Tags)))


async def _delete_group(context: Context, body: schemas.GroupTarget) -> None:
    await _on_group(context.actions.delete_group(body.Name))


async def _on_group(act: Awaitable[None]) -> None:
    """For errors about a group: here the field is the group's own name."""
    try:
        await act
    except GroupNotFound as error:
        raise InvalidField("Name", error.why) from None


async def _list_groups(context: Context, body: schemas.ListGroups) -> dict[str, Any]:
    page = await context.actions.list_groups(page=body.PageNum, size=body.PageSize, statuses=body.StatusList)
    return {
        "List": [
            {
                "Name": group.name,
                "ProjectName": group.project,
                "Status": int(group.deleted),
                "Tags": [{"Category": tag.category, "Key": tag.key, "Value": tag.value} for tag in group.tags],
            }
            for group in page.records
        ],
        "Total": page.total,
    }


def _tags(tags: list[schemas.Tag]) -> list[GroupTag]:
    return [GroupTag(tag.Category, tag.Key, tag.Value) for tag in tags]


async def _describe_duration(context: Context, body: schemas.Usage) -> dict[str, Any]:
    return await usage_series.describe_duration(context.actions, body, await context.actions.now())


async def _describe_bandwidth(context: Context, body: schemas.Usage) -> dict[str, Any]:
    return await usage_series.describe_bandwidth(context.actions, body, await context.actions.now())


async def _describe_old_bandwidth(context: Context, body: schemas.OldBandwidth) -> dict[str, Any]:
    given = body.model_dump(include={"StartTime", "EndTime", "Aggregation"})
    asked = schemas.Usage.model_validate(given)
    return await usage_series.describe_bandwidth(context.actions, asked, await context.actions.now())


#: Restart and Continue are two names of one action: older clients know one, newer ones the other.
OPERATIONS: dict[str, Operation] = {
    "CreatePullToPushTask": Operation(schemas.CreateTask, Kind.WRITE, _create, is_creation=True),
    "UpdatePullToPushTask": Operation(schemas.UpdateTask, Kind.WRITE, _update),
    "DeletePullToPushTask": _task_action(Actions.delete_task),
    "StopPullToPushTask": _task_action(Actions.stop_task),
    "RestartPullToPushTask": _task_action(Actions.continue_task),
    "ContinuePullToPushTask": _task_action(Actions.continue_task),
    "RelaunchPullToPushTask": _task_action(Actions.relaunch_task),
    "ListPullToPushTask": Operation(schemas.ListTasks, Kind.LIST, _list, has_query=True),
    "ListPullToPushTaskV2": Operation(schemas.ListTasksV2, Kind.LIST, _list_v2),
    "CreatePullToPushGroup": Operation(schemas.CreateGroup, Kind.WRITE, _create_group, is_creation=True),
    "UpdatePullToPushGroup": Operation(schemas.UpdateGroup, Kind.WRITE, _update_group),
    "DeletePullToPushGroup": Operation(schemas.GroupTarget, Kind.WRITE, _delete_group),
    "ListPullToPushGroup": Operation(schemas.ListGroups, Kind.LIST, _list_groups),
    "DescribeLivePullToPushData": Operation(schemas.Usage, Kind.USAGE, _describe_duration),
    "DescribeLivePullToPushBandwidthData": Operation(schemas.Usage, Kind.USAGE, _describe_bandwidth),
    # As the typed clients of 2023 call it.
    "DescribePullToPushBandwidthData": Operation(schemas.OldBandwidth, Kind.USAGE, _describe_old_bandwidth),
}
