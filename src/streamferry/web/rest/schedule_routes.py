"""REST's routes of when tasks run and what plays when."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from enum import Enum
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import AwareDatetime
from starlette.responses import Response, StreamingResponse

from streamferry.tasks.actor import current_actor
from streamferry.web.calendar_tokens import path_of
from streamferry.web.rest.parameters import Groups, TaskId
from streamferry.web.rest.parts import Parts
from streamferry.web.schedule_views import CalendarLink, Guide, WindowList

Most = Annotated[int, Query(ge=1, le=500)]
_CSV: dict[int | str, dict[str, Any]] = {200: {"content": {"text/csv": {"schema": {"type": "string"}}}}}
_ICS: dict[int | str, dict[str, Any]] = {200: {"content": {"text/calendar": {"schema": {"type": "string"}}}}}


def add_schedule_routes(router: APIRouter) -> None:
    """The routes."""
    tags: list[str | Enum] = ["schedule"]

    @router.get("/tasks/{task_id}/windows", tags=tags, operation_id="list_windows")
    async def list_windows(parts: Parts, task_id: TaskId, limit: Most = 50) -> WindowList:
        """When the task runs: its window, or those of its series; and what it did in those that are over."""
        return await parts.schedules.windows(task_id, limit=limit)

    @router.get("/tasks/{task_id}/guide", tags=tags, operation_id="show_guide")
    async def show_guide(
        parts: Parts,
        task_id: TaskId,
        at: Annotated[AwareDatetime | None, Query(description="From then on, instead of from now on.")] = None,
        limit: Most = 50,
    ) -> Guide:
        """What plays when, if nothing breaks: with ``limit=1``, what plays at ``at``."""
        return await parts.schedules.guide(task_id, since=at, limit=limit)

    @router.get(
        "/tasks/{task_id}/as_run.csv", tags=tags, operation_id="show_as_run", response_class=Response, responses=_CSV
    )
    async def show_as_run(
        parts: Parts, task_id: TaskId, since_at: AwareDatetime | None = None, until_at: AwareDatetime | None = None
    ) -> Response:
        """What was played and when, as CSV: the items of a list, or the stretches in which a live source streamed; as
        long as events are kept."""
        since, until = since_at or _FIRST, until_at or _LAST
        lines = parts.schedules.as_run(task_id, since=since, until=until)
        # Raises for an unknown task while that can still be answered.
        head = await anext(lines)
        headers = _attached(f"as-run-{task_id[:8]}.csv")
        return StreamingResponse(_after(head, lines), media_type="text/csv", headers=headers)

    @router.get("/calendar_link", tags=tags, operation_id="get_calendar_link")
    async def get_calendar_link(parts: Parts) -> CalendarLink:
        """An address at which a calendar can subscribe to the windows of all tasks; ``&group=NAME`` narrows it. It is
        good as long as the key is."""
        token = await parts.tokens.make_calendar_token(current_actor().name)
        return CalendarLink(path=path_of(token))

    @router.get("/calendar.ics", tags=tags, operation_id="show_calendar", response_class=Response, responses=_ICS)
    async def show_calendar(
        parts: Parts,
        groups: Groups = [],  # noqa: B006 -- FastAPI copies it
        token: Annotated[str, Query(max_length=1000, description="Instead of a bearer token.")] = "",
    ) -> Response:
        """The windows of the next 100 days of all tasks that are not stopped, as an iCalendar file (RFC 5545)."""
        return Response(
            await parts.schedules.calendar(groups), media_type="text/calendar", headers=_attached("streamferry.ics")
        )


_FIRST = datetime.fromisoformat("1970-01-01T00:00:00+00:00")
_LAST = datetime.fromisoformat("9998-01-01T00:00:00+00:00") - timedelta(days=1)


async def _after(head: str, lines: AsyncIterator[str]) -> AsyncIterator[str]:
    yield head
    async for line in lines:
        yield line


def _attached(name: str) -> dict[str, str]:
    return {"content-disposition": f'attachment; filename="{name}"', "cache-control": "no-store"}
