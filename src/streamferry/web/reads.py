"""Reads: everything that REST shows, as plain calls. REST's routes and the dashboard share them."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import datetime

from streamferry.control.actions import Actions
from streamferry.control.samples import Samples
from streamferry.media.watermark import Watermark
from streamferry.relay.status import State
from streamferry.store.records import TaskCount
from streamferry.tasks.checks import check_task_id
from streamferry.tasks.model import ApiStatus, StoredMark
from streamferry.web.event_views import EventPage, EventView, Overview, RecentEvents, SampleList, SampleView
from streamferry.web.operation_views import (
    AuditPage,
    CacheView,
    GroupPage,
    UsageList,
    WorkerList,
    show_audit,
    show_group,
    show_usage,
    show_worker,
)
from streamferry.web.record_views import show_event, show_task
from streamferry.web.usage_ranges import STEPS, check_points, check_range
from streamferry.web.views import Status, TaskPage, TaskView


class Reads:
    """``read_cache`` reads the cache's folder; it blocks, so it is called in a thread."""

    def __init__(
        self,
        actions: Actions,
        read_cache: Callable[[], CacheView] | None = None,
        samples: Samples | None = None,
    ) -> None:
        self._actions = actions
        self._read_cache = read_cache
        self._samples = samples

    async def now(self) -> datetime:
        """The store's clock, by which tasks begin and end."""
        return await self._actions.now()

    async def task(self, task_id: str) -> TaskView:
        """One task. Raises TaskNotFound."""
        record = await self._actions.get_task(check_task_id(task_id))
        return show_task(record, record.read_at)

    async def tasks(
        self,
        *,
        title: str = "",
        groups: Sequence[str] = (),
        statuses: Sequence[Status] = (),
        states: Sequence[State] = (),
        in_trouble: bool | None = None,
        page: int = 1,
        size: int = 20,
        max_bytes: int | None = None,
    ) -> TaskPage:
        """One page, newest first. ``title``: part of it, ignoring case. An empty list of choices means all.

        ``max_bytes``: limit for addresses and other texts; raises InvalidField for more.
        """
        found = await self._actions.list_tasks(
            title=title,
            groups=groups,
            statuses=[ApiStatus[one.name] for one in statuses],
            states=states,
            in_trouble=in_trouble,
            page=page,
            size=size,
            max_bytes=max_bytes,
        )
        shown = [show_task(record, record.read_at) for record in found.records]
        return TaskPage(tasks=shown, page=page, size=size, total=found.total)

    async def watermark(self, task_id: str) -> Watermark | None:
        """The picture over a task's video, None if it has none. Raises TaskNotFound."""
        mark = (await self._actions.get_task(check_task_id(task_id))).spec.watermark
        if not isinstance(mark, StoredMark):
            return mark
        data = (await self._actions.read_pictures([mark.digest])).get(mark.digest)
        return None if data is None else Watermark(data, mark.pos_x, mark.pos_y, mark.ratio)

    async def slate_picture(self, task_id: str) -> bytes:
        """The picture of a task's slate, empty if it has none. Raises TaskNotFound."""
        slate = (await self._actions.get_task(check_task_id(task_id))).spec.slate
        return slate.picture if slate is not None else b""

    async def counts(self, *, title: str = "", groups: Sequence[str] = ()) -> list[TaskCount]:
        """How many tasks are in each status and state, of those that ``tasks`` lists for title and groups."""
        return await self._actions.count_tasks(title=title, groups=groups)

    async def overview(self) -> Overview:
        """Numbers of all tasks."""
        counts = await self._actions.count_tasks()
        alive = [one for one in await self._actions.list_workers() if one.is_alive]
        by_status = dict.fromkeys(Status, 0)
        by_state = dict.fromkeys(State, 0)
        for one in counts:
            by_status[Status[one.status.name]] += one.tasks
            if one.status is ApiStatus.ACTIVE:
                by_state[one.state] += one.tasks
        return Overview(
            tasks=sum(by_status.values()),
            by_status=by_status,
            by_state=by_state,
            in_trouble=sum(one.tasks for one in counts if one.in_trouble),
            kbps_out=sum(one.kbps_out for one in counts),
            workers=len(alive),
            capacity=sum(one.capacity for one in alive),
            room=sum(one.room for one in alive),
        )

    async def events(self, task_id: str | None = None, *, after: int = 0, limit: int = 100) -> EventPage:
        """Events after a cursor, oldest first, of one task or of all; those of a deleted task can still be read."""
        found = await self._actions.list_feed(task_id, after=after, limit=limit)
        return EventPage(events=[show_event(one) for one in found], next_after=found[-1].id if found else after)

    async def latest_events(self, task_id: str, *, limit: int = 100, kinds: Sequence[str] = ()) -> list[EventView]:
        """The last events of a task, newest first, no kinds: of any; those of a deleted task can still be read."""
        found = await self._actions.list_latest_events(check_task_id(task_id), limit=limit, kinds=kinds)
        return [show_event(one) for one in found]

    async def recent_events(
        self, task_id: str | None = None, *, since: datetime | None = None, kinds: Sequence[str] = (), limit: int = 100
    ) -> RecentEvents:
        """The last matching events of one task or of all, oldest first."""
        cursor = await self._actions.last_event()
        found, total = await self._actions.list_recent_events(task_id, since=since, kinds=kinds, limit=limit)
        after = found[-1].id if found else cursor
        return RecentEvents(events=[show_event(one) for one in found], total=total, next_after=after)

    async def audit(self, *, before: int | None = None, limit: int = 100) -> AuditPage:
        """The audit stream before a cursor, newest first."""
        found = await self._actions.list_audit(before=before, limit=limit)
        is_last = len(found) < limit
        return AuditPage(lines=[show_audit(one) for one in found], next_before=None if is_last else found[-1].id)

    def samples(self, task_id: str) -> SampleList:
        """How the task's run went in the last hour, as far as this service has sampled it."""
        found = self._samples.of(check_task_id(task_id)) if self._samples else []
        return SampleList(samples=[SampleView(**asdict(one)) for one in found])

    async def last_event(self) -> int:
        """The cursor after everything that has happened so far."""
        return await self._actions.last_event()

    async def workers(self) -> WorkerList:
        """Workers that exist, or did in the last hour."""
        return WorkerList(workers=[show_worker(one) for one in await self._actions.list_workers()])

    async def groups(self, *, page: int = 1, size: int = 20) -> GroupPage:
        """One page of groups, oldest first."""
        found = await self._actions.list_groups(page=page, size=size)
        return GroupPage(groups=[show_group(one) for one in found.records], page=page, size=size, total=found.total)

    async def usage(
        self,
        start_at: datetime,
        end_at: datetime,
        *,
        step_s: int = 3600,
        groups: Sequence[str] = (),
        by_group: bool = False,
    ) -> UsageList:
        """What workers measured, in steps from ``start_at``. Raises InvalidField."""
        asked = check_range(start_at, end_at, step_s, STEPS, await self._actions.now())
        # Without a list of groups their number is not known: the store limits its result.
        check_points(asked, max(1, len(set(groups))) if by_group else 1)
        found = await self._actions.usage(asked.start_at, asked.end_at, step_s=step_s, groups=groups, by_group=by_group)
        return UsageList(
            start_at=asked.start_at, end_at=asked.end_at, step_s=step_s, buckets=[show_usage(one) for one in found]
        )

    async def cache(self) -> CacheView:
        """The cache of prepared files on this machine."""
        if self._read_cache is None:
            return CacheView(size_bytes=0, max_bytes=0, items=[])
        return await asyncio.to_thread(self._read_cache)
