"""What can be read of tasks: what is wanted, what happens, what happened, and what was measured."""

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime

import sqlalchemy as sa

from streamferry.control.clock import Clock
from streamferry.control.transactions import Transactions
from streamferry.reasons import Code
from streamferry.relay.status import State
from streamferry.store import Store, asks_again, digests, due, events, fleet, pictures, tasks, usage
from streamferry.store.database import now_ms
from streamferry.store.records import (
    EventRecord,
    RunningTask,
    TaskCount,
    TaskPage,
    TaskRecord,
    UsageBucket,
    WorkerRecord,
)
from streamferry.tasks.errors import InvalidField, TaskNotFound
from streamferry.tasks.model import ApiStatus
from streamferry.tasks.times import to_ms


class Readings(Transactions):
    """See the module."""

    def __init__(self, store: Store, clock: Clock | None = None) -> None:
        super().__init__(store, clock)
        self._summing = asyncio.Semaphore(2)

    @asks_again
    async def get_task(self, task_id: str) -> TaskRecord:
        """One task. Raises TaskNotFound."""
        async with self._store.read() as connection:
            record = await tasks.find(connection, self._seal, task_id)
        if record is None:
            raise TaskNotFound(task_id)
        return self._as_read(record)

    @asks_again
    async def read_pictures(self, digests: Collection[str]) -> dict[str, bytes]:
        """Pictures of watermarks by digest; missing ones are left out."""
        async with self._store.read() as connection:
            return await pictures.read(connection, digests)

    @asks_again
    async def list_tasks(
        self,
        *,
        title: str = "",
        groups: Sequence[str] = (),
        statuses: Sequence[ApiStatus] = (),
        states: Sequence[State] = (),
        in_trouble: bool | None = None,
        page: int = 1,
        size: int = 20,
        max_bytes: int | None = None,
    ) -> TaskPage:
        """Newest first. ``title``: part of it, ignoring case. Empty filters match all. ``page`` counts from 1.

        ``max_bytes``: limit of the specs as text; raises InvalidField for more.
        """
        async with self._store.read() as connection:
            try:
                records, total = await tasks.page(
                    connection,
                    self._seal,
                    title=title,
                    groups=groups,
                    statuses=statuses,
                    states=states,
                    in_trouble=in_trouble,
                    now=self._time(),
                    offset=(page - 1) * size,
                    limit=size,
                    max_bytes=max_bytes,
                )
            except tasks.PageTooLarge as error:
                raise InvalidField("size", Code.FIELD_PAGE_TOO_LARGE, count=error.fits) from None
        return TaskPage(tuple(map(self._as_read, records)), total)

    @asks_again
    async def count_tasks(self, *, title: str = "", groups: Sequence[str] = ()) -> list[TaskCount]:
        """How many tasks are in which status and state, of those that ``list_tasks`` lists for title and groups."""
        async with self._store.read() as connection:
            return await tasks.count(connection, now=self._time(), title=title, groups=groups)

    @asks_again
    async def count_late(self) -> int:
        """How many tasks have been due for some seconds without a worker taking them."""
        async with self._store.read() as connection:
            return await due.count_late(connection)

    @asks_again
    async def list_running(self) -> list[RunningTask]:
        """What each task that a worker has is doing."""
        async with self._store.read() as connection:
            return await tasks.running(connection)

    @asks_again
    async def list_feed(self, task_id: str | None = None, *, after: int = 0, limit: int = 100) -> list[EventRecord]:
        """Events after an id, oldest first, of one task or of all; for more, call again with the last one's id.

        Those of a deleted task can still be read.
        """
        async with self._store.read() as connection:
            return await events.feed(connection, task_id, after=after, limit=limit)

    @asks_again
    async def list_latest_events(
        self, task_id: str, *, limit: int = 100, kinds: Sequence[str] = ()
    ) -> list[EventRecord]:
        """The last events of a task, newest first; no kinds: of any kind."""
        async with self._store.read() as connection:
            return await events.latest(connection, task_id, limit=limit, kinds=kinds)

    @asks_again
    async def list_recent_events(
        self, task_id: str | None = None, *, since: datetime | None = None, kinds: Sequence[str] = (), limit: int = 100
    ) -> tuple[list[EventRecord], int]:
        """The last events of one task or of all, oldest first, and how many there are (see ``events.LOOK_BACK``)."""
        since_ms = to_ms(since) if since else 0
        async with self._store.read() as connection:
            return await events.recent(connection, task_id, since_ms=since_ms, kinds=kinds, limit=limit)

    @asks_again
    async def last_event(self) -> int:
        """The largest id of an event, 0 without any."""
        async with self._store.read() as connection:
            return await events.last_id(connection)

    @asks_again
    async def list_workers(self) -> list[WorkerRecord]:
        """Workers that exist, or did in the last hour, oldest first."""
        async with self._store.read() as connection:
            return await fleet.all_workers(connection)

    @asks_again
    async def usage(
        self,
        start_at: datetime,
        end_at: datetime,
        *,
        step_s: int,
        groups: Sequence[str] = (),
        stream: tuple[str, str] | None = None,
        by_group: bool = False,
    ) -> list[UsageBucket]:
        """What workers measured, in steps from ``start_at``, oldest first; steps without any are left out.

        ``stream``: only of destinations with this application and stream name. Raises InvalidField for more than can be
        summed at once.
        """
        digest = digests.stream_digest(self._seal, *stream) if stream else None
        # Each may take the database seconds: leave connections for others.
        async with self._summing, self._store.read() as connection:
            try:
                return await usage.buckets(
                    connection,
                    start_at,
                    end_at,
                    step_s=step_s,
                    groups=groups,
                    stream_digest=digest,
                    by_group=by_group,
                )
            except usage.TooMuchUsage as error:
                raise InvalidField("end_at", Code.FIELD_RANGE_TOO_LARGE, why=error.why) from None

    def _time(self) -> sa.ColumnElement[int] | int:
        """The time, as part of a statement."""
        return to_ms(self._clock.now()) if self._clock else now_ms()

    def _as_read(self, record: TaskRecord) -> TaskRecord:
        return replace(record, read_at=self._clock.now()) if self._clock else record

    async def knows_stream(self, app: str, stream: str) -> bool:
        """Whether some task pushes to a destination with this application and stream name."""
        async with self._store.read() as connection:
            return await tasks.knows_stream(connection, digests.stream_digest(self._seal, app, stream))
