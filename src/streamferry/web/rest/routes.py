"""REST's routes of tasks and events, between requests on one side, ``reads`` and ``writes`` on the other.

Those of operation are in ``operation_routes``.
"""

import time
from datetime import timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request, Security
from fastapi.security import HTTPBearer
from pydantic import AwareDatetime
from starlette.responses import Response, StreamingResponse

from streamferry.relay.inputs.policy import SLATE
from streamferry.relay.status import State
from streamferry.tasks.destinations import DestinationEdit
from streamferry.tasks.draft import TaskDraft
from streamferry.tasks.inputs import InputSourceDraft
from streamferry.web import event_views, views
from streamferry.web.preview_responses import PreviewResponses
from streamferry.web.request_sample import write_request
from streamferry.web.rest import bodies, operation_routes
from streamferry.web.rest.parameters import (
    After,
    DestinationId,
    EventKind,
    Groups,
    IfMatch,
    InsertNumber,
    Limit,
    OfTask,
    PageNumber,
    PageSize,
    Row,
    TaskId,
)
from streamferry.web.rest.parts import Parts, RestParts
from streamferry.web.rest.rest_errors import STATUSES, Refusal, RestError
from streamferry.web.rest.task_parts import DestinationBody, Name
from streamferry.web.writes import Verb

#: Most bytes of addresses and other texts on one page of tasks.
MAX_LIST_BYTES = 4 * 1024 * 1024


async def make_token(parts: Parts, body: bodies.TokenRequest, request: Request) -> views.TokenView:
    """A bearer token for an access key. After five failures in a row the next tries have to wait."""
    peer = request.client.host if request.client else ""
    key = await parts.tokens.log_in(body.access_key_id, body.secret_access_key, peer=peer, now=time.monotonic())
    token, expires_at = parts.tokens.make(key, timedelta(seconds=body.lifetime_s))
    return views.TokenView(token=token, expires_at=expires_at, read_only=key.read_only)


async def overview(parts: Parts) -> event_views.Overview:
    """Numbers of all tasks."""
    return await parts.reads.overview()


async def list_tasks(
    parts: Parts,
    title: Annotated[Name, Query(description="Part of the title, in any case.")] = "",
    groups: Groups = [],  # noqa: B006 -- FastAPI copies it
    status: Annotated[list[views.Status], Query(max_length=10, description="Repeat for more.")] = [],  # noqa: B006
    state: Annotated[list[State], Query(max_length=20, description="Of the run. Repeat for more.")] = [],  # noqa: B006
    in_trouble: Annotated[bool | None, Query(description="Active and failing: see ``trouble`` of a run.")] = None,
    page: PageNumber = 1,
    size: PageSize = 20,
) -> views.TaskPage:
    """Tasks that pass all filters given, newest first. A page with more than 4 MiB of addresses is refused with
    the size that fits."""
    return await parts.reads.tasks(
        title=title,
        groups=groups,
        statuses=status,
        states=state,
        in_trouble=in_trouble,
        page=page,
        size=size,
        max_bytes=MAX_LIST_BYTES,
    )


async def create_task(parts: Parts, body: bodies.NewTask) -> views.TaskView:
    """A new task; it starts by itself at its time."""
    return await parts.writes.create_task(bodies.to_draft(body))


async def validate_task(parts: Parts, body: bodies.NewTask) -> None:
    """Whether such a task could be created now; nothing is written."""
    await parts.writes.validate_task(bodies.to_draft(body))


async def get_task(parts: Parts, task_id: TaskId) -> views.TaskView:
    """One task."""
    return await parts.reads.task(task_id)


async def update_task(
    parts: Parts, task_id: TaskId, body: bodies.TaskPatch, if_match: IfMatch = None
) -> views.TaskView:
    """Change the fields given; a running task follows without a break where it can."""
    seen = _read_version(if_match)
    expected = body.version if seen is None else seen
    return await parts.writes.update_task(task_id, bodies.to_draft(body), expected_version=expected)


async def add_destination(
    parts: Parts, task_id: TaskId, body: DestinationBody, if_match: IfMatch = None
) -> views.TaskView:
    """Push to one more; the others do not notice."""
    edit = DestinationEdit(None, bodies.to_destination(body, None))
    return await _edit(parts, task_id, edit, if_match)


async def update_destination(
    parts: Parts, task_id: TaskId, destination_id: DestinationId, body: DestinationBody, if_match: IfMatch = None
) -> views.TaskView:
    """Change the fields given of one destination, or switch it on or off; the others do not notice."""
    edit = DestinationEdit(destination_id, bodies.to_destination(body, destination_id))
    return await _edit(parts, task_id, edit, if_match)


async def remove_destination(
    parts: Parts, task_id: TaskId, destination_id: DestinationId, if_match: IfMatch = None
) -> views.TaskView:
    """End the broadcast there and forget the destination; the others do not notice."""
    return await _edit(parts, task_id, DestinationEdit(destination_id), if_match)


async def _edit(parts: Parts, task_id: str, edit: DestinationEdit, if_match: str | None) -> views.TaskView:
    draft = TaskDraft(destination_edit=edit)
    return await parts.writes.update_task(task_id, draft, expected_version=_read_version(if_match))


async def delete_task(parts: Parts, task_id: TaskId) -> None:
    """Delete a task; a running one is stopped. Its events and usage are kept."""
    await parts.writes.delete_task(task_id)


async def ask_task(parts: Parts, task_id: TaskId, verb: Verb) -> views.TaskView:
    """Stop a task, continue a stopped one where it stopped, or start it over. ``restart`` is an older name of
    ``continue``, ``relaunch`` one of ``start_over``."""
    return await parts.writes.ask_task(task_id, verb)


async def switch_input(parts: Parts, task_id: TaskId, body: bodies.SwitchRequest) -> views.TaskView:
    """Show an input, or the slate, until another is asked for; null: what the rules say. While the one that was
    asked for sends nothing the next one is shown."""
    return await parts.writes.switch_input(task_id, SLATE if body.input == "slate" else body.input)


async def insert_file(parts: Parts, task_id: TaskId, body: bodies.InsertRequest) -> views.TaskView:
    """Play a file over what is on air, once, now or at a time; then that goes on. Or after the present item of a
    list. Files that wait are ``inserts`` of the task."""
    source = InputSourceDraft(body.url, body.start_s, body.end_s)
    return await parts.writes.insert_file(task_id, source, body.at, after_item=body.after_item)


async def cancel_insert(parts: Parts, task_id: TaskId, number: InsertNumber) -> views.TaskView:
    """Do not play a file that waits to be inserted. One that has begun is ended by ``skip``."""
    return await parts.writes.cancel_insert(task_id, number)


async def skip_item(parts: Parts, task_id: TaskId) -> views.TaskView:
    """End what plays of a list at its next keyframe and go on with the next item; or end what was inserted."""
    return await parts.writes.skip_item(task_id)


async def get_watermark(parts: Parts, task_id: TaskId) -> Response:
    """The picture over the task's video."""
    mark = await parts.reads.watermark(task_id)
    if mark is None:
        raise RestError(404, "no_watermark", "the task has no watermark")
    return Response(mark.picture, media_type=mark.media_type, headers={"x-content-type-options": "nosniff"})


async def show_preview(parts: Parts, task_id: TaskId) -> Response:
    """What arrives at the destination, as fragmented MP4 for Media Source Extensions: from the next keyframe on,
    until the run ends or the connection is closed. The content type names the codecs."""
    return await _require_looks(parts).show_preview(task_id)


async def show_thumbnail(parts: Parts, task_id: TaskId) -> Response:
    """A small picture of what arrives at the destination, at most half a minute old. The first one waits for
    the stream's next keyframe; if it is requested every few seconds, a recent one comes at once."""
    return await _require_looks(parts).show_thumbnail(task_id)


def _require_looks(parts: RestParts) -> PreviewResponses:
    if parts.settings.previews is None:
        raise RestError(503, "no_previews", "this service shows no previews")
    return parts.settings.previews


async def get_request(parts: Parts, task_id: TaskId, request: Request) -> views.RequestView:
    """The same task as a request for the SDK and for curl; what is secret is left as ``***`` to be filled in."""
    return write_request(await parts.reads.task(task_id), request.url, parts.settings.sdk_body)


async def list_latest_events(parts: Parts, task_id: TaskId, limit: Limit = 100) -> list[event_views.EventView]:
    """The last events of a task, newest first; those of a deleted task can still be read."""
    return await parts.reads.latest_events(task_id, limit=limit)


async def list_samples(parts: Parts, task_id: TaskId) -> event_views.SampleList:
    """How the task's run went in the last hour: rates, drops, retries, lateness. Empty for an unknown one."""
    return parts.reads.samples(task_id)


async def list_events(
    parts: Parts, task_id: OfTask = None, after: After = 0, limit: Limit = 100
) -> event_views.EventPage:
    """What happened, oldest first, for one task or for all; events of a deleted task can still be read."""
    return await parts.reads.events(task_id, after=after, limit=limit)


async def list_recent_events(
    parts: Parts,
    task_id: OfTask = None,
    since_at: Annotated[AwareDatetime | None, Query(description="Not older than this.")] = None,
    kinds: Annotated[list[EventKind], Query(alias="kind", max_length=50, description="Repeat for more.")] = [],  # noqa: B006
    limit: Limit = 100,
) -> event_views.RecentEvents:
    """The last events of one task or of all that pass the filters, oldest first, and how many there are."""
    return await parts.reads.recent_events(task_id, since=since_at, kinds=kinds, limit=limit)


async def stream_events(
    parts: Parts,
    task_id: OfTask = None,
    after: Annotated[int | None, Query(ge=0, le=2**62)] = None,
    last_event_id: Annotated[str | None, Header()] = None,
) -> Response:
    """The same as server-sent events, as they happen: after ``Last-Event-ID``, else after ``after``, else from
    now on. Each has the event's id, ``event: task`` and the JSON of an event as data."""
    if last_event_id is not None and last_event_id.isdecimal() and len(last_event_id) < 19:
        after = int(last_event_id)
    lines = await parts.follower.follow(task_id, after)
    headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
    return StreamingResponse(lines, media_type="text/event-stream", headers=headers)


def _read_version(if_match: str | None) -> int | None:
    text = (if_match or "*").strip().removeprefix("W/").strip('"')
    if text == "*":
        return None
    if not text.isdecimal() or len(text) > 9 or not text.isascii():
        raise RestError(422, "invalid_field", 'If-Match: must be a version, as 3 or "3"', "If-Match")
    return int(text)


_ROWS: tuple[Row, ...] = (
    ("GET", "/overview", overview, 200, "tasks"),
    ("GET", "/tasks", list_tasks, 200, "tasks"),
    ("POST", "/tasks", create_task, 201, "tasks"),
    ("POST", "/tasks/validate", validate_task, 204, "tasks"),
    ("GET", "/tasks/{task_id}", get_task, 200, "tasks"),
    ("PATCH", "/tasks/{task_id}", update_task, 200, "tasks"),
    ("DELETE", "/tasks/{task_id}", delete_task, 204, "tasks"),
    ("GET", "/tasks/{task_id}/watermark", get_watermark, 200, "tasks"),
    ("GET", "/tasks/{task_id}/preview", show_preview, 200, "tasks"),
    ("GET", "/tasks/{task_id}/thumbnail", show_thumbnail, 200, "tasks"),
    ("GET", "/tasks/{task_id}/events", list_latest_events, 200, "tasks"),
    ("GET", "/tasks/{task_id}/samples", list_samples, 200, "tasks"),
    ("GET", "/tasks/{task_id}/request", get_request, 200, "tasks"),
    ("POST", "/tasks/{task_id}/destinations", add_destination, 201, "tasks"),
    ("PATCH", "/tasks/{task_id}/destinations/{destination_id}", update_destination, 200, "tasks"),
    ("DELETE", "/tasks/{task_id}/destinations/{destination_id}", remove_destination, 200, "tasks"),
    ("POST", "/tasks/{task_id}/switch", switch_input, 200, "tasks"),
    ("POST", "/tasks/{task_id}/insert", insert_file, 200, "tasks"),
    ("DELETE", "/tasks/{task_id}/inserts/{number}", cancel_insert, 200, "tasks"),
    ("POST", "/tasks/{task_id}/skip", skip_item, 200, "tasks"),
    ("POST", "/tasks/{task_id}/{verb}", ask_task, 200, "tasks"),
    ("GET", "/events", list_events, 200, "events"),
    ("GET", "/events/latest", list_recent_events, 200, "events"),
    ("GET", "/events/stream", stream_events, 200, "events"),
)

_RESPONSES: dict[str, dict[str, Any]] = {
    "get_watermark": {
        "response_class": Response,
        "responses": {200: {"content": {"image/png": {}, "image/jpeg": {}}}},
    },
    "show_preview": {
        "response_class": Response,
        "responses": {200: {"content": {"video/mp4": {}, "audio/mp4": {}}}},
    },
    "show_thumbnail": {
        "response_class": Response,
        "responses": {200: {"content": {"image/jpeg": {}}}},
    },
    "stream_events": {
        "response_class": Response,
        "responses": {200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}}},
    },
}


def add_routes(router: APIRouter) -> None:
    """Every route. All but the one that makes a token declare the bearer scheme, which the gate checks."""
    router.add_api_route(
        "/tokens",
        make_token,
        methods=["POST"],
        status_code=201,
        tags=["tokens"],
        operation_id="make_token",
        # Brings the model of all refusals into the document, to which each status of each route refers.
        responses={401: {"model": Refusal, "description": STATUSES[401]}},
    )
    bearer = Security(HTTPBearer(auto_error=False, description="Made by POST /tokens."))
    for method, path, endpoint, status, tag in (*_ROWS, *operation_routes.ROWS):
        router.add_api_route(
            path,
            endpoint,
            methods=[method],
            status_code=status,
            tags=[tag],
            dependencies=[bearer],
            operation_id=endpoint.__name__,
            **_RESPONSES.get(endpoint.__name__, {}),
        )
