"""REST's routes of operation: callbacks, the audit, workers, the cache, usage and groups."""

from datetime import datetime
from typing import Annotated

from fastapi import Query
from pydantic import AwareDatetime

from streamferry.tasks.checks import MAX_INT32
from streamferry.tasks.model import DeliveryState
from streamferry.web import operation_views
from streamferry.web.rest import bodies
from streamferry.web.rest.parameters import EventId, Groups, Limit, OfTask, PageNumber, PageSize, Row, WorkerId
from streamferry.web.rest.parts import Parts
from streamferry.web.rest.task_parts import Name
from streamferry.web.writes import WorkerVerb


async def list_callbacks(
    parts: Parts, task_id: OfTask = None, state: DeliveryState | None = None, page: PageNumber = 1, size: PageSize = 20
) -> operation_views.DeliveryPage:
    """Callbacks, newest first, including those of deleted tasks."""
    found = await parts.callbacks.list_deliveries(task_id=task_id, state=state, page=page, size=size)
    shown = [operation_views.show_delivery(one) for one in found.records]
    return operation_views.DeliveryPage(deliveries=shown, page=page, size=size, total=found.total)


async def get_callback(parts: Parts, event_id: EventId) -> operation_views.DeliveryView:
    """One callback."""
    return operation_views.show_delivery(await parts.callbacks.get_delivery(event_id))


async def replay_callback(parts: Parts, event_id: EventId) -> None:
    """Deliver a callback again, before the later ones that wait."""
    await parts.callbacks.replay(event_id)


async def replay_dead(parts: Parts, body: bodies.OfTask) -> operation_views.Count:
    """Deliver dead callbacks again, of one task or of all."""
    return operation_views.Count(count=await parts.callbacks.replay_dead(body.task_id))


async def drop_dead(parts: Parts, body: bodies.OfTask) -> operation_views.Count:
    """Delete dead callbacks, of one task or of all."""
    return operation_views.Count(count=await parts.callbacks.drop_dead(body.task_id))


async def list_audit(
    parts: Parts, before: Annotated[int | None, Query(ge=1, le=2**62)] = None, limit: Limit = 100
) -> operation_views.AuditPage:
    """Who signed in and who changed keys and secrets, newest first. Not for read-only keys."""
    return await parts.reads.audit(before=before, limit=limit)


async def list_workers(parts: Parts) -> operation_views.WorkerList:
    """Workers that exist, or did in the last hour."""
    return await parts.reads.workers()


async def ask_worker(parts: Parts, worker_id: WorkerId, verb: WorkerVerb) -> operation_views.WorkerView:
    """Have a worker take no more tasks (``cordon``), hand those that it has over to others that have a place for
    them (``drain``), or take tasks again (``uncordon``). It stays so for its id, also when it starts anew."""
    return await parts.writes.ask_worker(worker_id, verb)


async def show_cache(parts: Parts) -> operation_views.CacheView:
    """The cache of prepared files on the machine that answers."""
    return await parts.reads.cache()


async def show_usage(
    parts: Parts,
    start_at: AwareDatetime,
    end_at: AwareDatetime,
    step_s: Annotated[int, Query(ge=1, le=MAX_INT32, description="60, 300, 3600 or 86400.")] = 3600,
    groups: Groups = [],  # noqa: B006
    by_group: bool = False,
) -> operation_views.UsageList:
    """What workers measured, in steps from ``start_at``."""
    return await parts.reads.usage(_whole(start_at), _whole(end_at), step_s=step_s, groups=groups, by_group=by_group)


async def probe(parts: Parts, body: bodies.ProbeRequest) -> operation_views.ProbeView:
    """Inspect a file: what it contains, and what relaying it will need."""
    return await parts.probing.look(body.url, body.seconds)


async def list_groups(parts: Parts, page: PageNumber = 1, size: PageSize = 100) -> operation_views.GroupPage:
    """Groups, oldest first."""
    return await parts.reads.groups(page=page, size=size)


async def create_group(parts: Parts, body: bodies.NewGroup) -> None:
    """A new group."""
    await parts.writes.create_group(body.name, body.project, bodies.to_tags(body.tags))


async def update_group(parts: Parts, name: Name, body: bodies.GroupTags) -> None:
    """Replace the tags of a group."""
    await parts.writes.update_group(name, bodies.to_tags(body.tags))


async def delete_group(parts: Parts, name: Name) -> None:
    """Delete a group without tasks."""
    await parts.writes.delete_group(name)


def _whole(at: datetime) -> datetime:
    return at.replace(microsecond=0)


#: In the order of the document.
ROWS: tuple[Row, ...] = (
    ("GET", "/callbacks", list_callbacks, 200, "callbacks"),
    ("POST", "/callbacks/replay_dead", replay_dead, 200, "callbacks"),
    ("POST", "/callbacks/drop_dead", drop_dead, 200, "callbacks"),
    ("GET", "/callbacks/{event_id}", get_callback, 200, "callbacks"),
    ("POST", "/callbacks/{event_id}/replay", replay_callback, 204, "callbacks"),
    ("GET", "/audit", list_audit, 200, "operation"),
    ("GET", "/workers", list_workers, 200, "operation"),
    ("POST", "/workers/{worker_id}/{verb}", ask_worker, 200, "operation"),
    ("GET", "/cache", show_cache, 200, "operation"),
    ("GET", "/usage", show_usage, 200, "operation"),
    ("POST", "/probe", probe, 200, "operation"),
    ("GET", "/groups", list_groups, 200, "groups"),
    ("POST", "/groups", create_group, 201, "groups"),
    ("PATCH", "/groups/{name}", update_group, 204, "groups"),
    ("DELETE", "/groups/{name}", delete_group, 204, "groups"),
)
