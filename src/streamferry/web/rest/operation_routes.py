"""REST's routes of operation: callbacks, the audit, workers, the cache, usage and groups."""

from collections.abc import Iterable
from datetime import datetime
from typing import Annotated

from fastapi import Query
from pydantic import AwareDatetime

from streamferry.control.callbacks.delivery_actions import Callbacks
from streamferry.tasks.checks import MAX_INT32
from streamferry.tasks.model import DeliveryState
from streamferry.web import operation_views
from streamferry.web.probing import Probing
from streamferry.web.reads import Reads
from streamferry.web.rest import bodies
from streamferry.web.rest.parameters import EventId, Groups, Limit, OfTask, PageNumber, PageSize, Row, WorkerId
from streamferry.web.rest.task_parts import Name
from streamferry.web.writes import WorkerVerb, Writes


class OperationRoutes:
    """One method per endpoint."""

    def __init__(self, reads: Reads, writes: Writes, callbacks: Callbacks, probing: Probing) -> None:
        self._callbacks = callbacks
        self._reads = reads
        self._writes = writes
        self._probing = probing

    def rows(self) -> Iterable[Row]:
        """The routes, in the order of the document."""
        return (
            ("GET", "/callbacks", self.list_callbacks, 200, "callbacks"),
            ("POST", "/callbacks/replay_dead", self.replay_dead, 200, "callbacks"),
            ("POST", "/callbacks/drop_dead", self.drop_dead, 200, "callbacks"),
            ("GET", "/callbacks/{event_id}", self.get_callback, 200, "callbacks"),
            ("POST", "/callbacks/{event_id}/replay", self.replay_callback, 204, "callbacks"),
            ("GET", "/audit", self.list_audit, 200, "operation"),
            ("GET", "/workers", self.list_workers, 200, "operation"),
            ("POST", "/workers/{worker_id}/{verb}", self.ask_worker, 200, "operation"),
            ("GET", "/cache", self.show_cache, 200, "operation"),
            ("GET", "/usage", self.show_usage, 200, "operation"),
            ("POST", "/probe", self.probe, 200, "operation"),
            ("GET", "/groups", self.list_groups, 200, "groups"),
            ("POST", "/groups", self.create_group, 201, "groups"),
            ("PATCH", "/groups/{name}", self.update_group, 204, "groups"),
            ("DELETE", "/groups/{name}", self.delete_group, 204, "groups"),
        )

    async def list_callbacks(
        self, task_id: OfTask = None, state: DeliveryState | None = None, page: PageNumber = 1, size: PageSize = 20
    ) -> operation_views.DeliveryPage:
        """Callbacks, newest first, including those of deleted tasks."""
        found = await self._callbacks.list_deliveries(task_id=task_id, state=state, page=page, size=size)
        shown = [operation_views.show_delivery(one) for one in found.records]
        return operation_views.DeliveryPage(deliveries=shown, page=page, size=size, total=found.total)

    async def get_callback(self, event_id: EventId) -> operation_views.DeliveryView:
        """One callback."""
        return operation_views.show_delivery(await self._callbacks.get_delivery(event_id))

    async def replay_callback(self, event_id: EventId) -> None:
        """Deliver a callback again, before the later ones that wait."""
        await self._callbacks.replay(event_id)

    async def replay_dead(self, body: bodies.OfTask) -> operation_views.Count:
        """Deliver dead callbacks again, of one task or of all."""
        return operation_views.Count(count=await self._callbacks.replay_dead(body.task_id))

    async def drop_dead(self, body: bodies.OfTask) -> operation_views.Count:
        """Delete dead callbacks, of one task or of all."""
        return operation_views.Count(count=await self._callbacks.drop_dead(body.task_id))

    async def list_audit(
        self, before: Annotated[int | None, Query(ge=1, le=2**62)] = None, limit: Limit = 100
    ) -> operation_views.AuditPage:
        """Who signed in and who changed keys and secrets, newest first. Not for read-only keys."""
        return await self._reads.audit(before=before, limit=limit)

    async def list_workers(self) -> operation_views.WorkerList:
        """Workers that exist, or did in the last hour."""
        return await self._reads.workers()

    async def ask_worker(self, worker_id: WorkerId, verb: WorkerVerb) -> operation_views.WorkerView:
        """Have a worker take no more tasks (``cordon``), hand those that it has over to others that have a place for
        them (``drain``), or take tasks again (``uncordon``). It stays so for its id, also when it starts anew."""
        return await self._writes.ask_worker(worker_id, verb)

    async def show_cache(self) -> operation_views.CacheView:
        """The cache of prepared files on the machine that answers."""
        return await self._reads.cache()

    async def show_usage(
        self,
        start_at: AwareDatetime,
        end_at: AwareDatetime,
        step_s: Annotated[int, Query(ge=1, le=MAX_INT32, description="60, 300, 3600 or 86400.")] = 3600,
        groups: Groups = [],  # noqa: B006
        by_group: bool = False,
    ) -> operation_views.UsageList:
        """What workers measured, in steps from ``start_at``."""
        return await self._reads.usage(
            _whole(start_at), _whole(end_at), step_s=step_s, groups=groups, by_group=by_group
        )

    async def probe(self, body: bodies.ProbeRequest) -> operation_views.ProbeView:
        """Inspect a file: what it contains, and what relaying it will need."""
        return await self._probing.look(body.url, body.seconds)

    async def list_groups(self, page: PageNumber = 1, size: PageSize = 100) -> operation_views.GroupPage:
        """Groups, oldest first."""
        return await self._reads.groups(page=page, size=size)

    async def create_group(self, body: bodies.NewGroup) -> None:
        """A new group."""
        await self._writes.create_group(body.name, body.project, bodies.to_tags(body.tags))

    async def update_group(self, name: Name, body: bodies.GroupTags) -> None:
        """Replace the tags of a group."""
        await self._writes.update_group(name, bodies.to_tags(body.tags))

    async def delete_group(self, name: Name) -> None:
        """Delete a group without tasks."""
        await self._writes.delete_group(name)


def _whole(at: datetime) -> datetime:
    return at.replace(microsecond=0)
