"""Which other task pushes to the same destination at the same time."""

from collections.abc import Iterator
from datetime import timedelta
from itertools import takewhile

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from streamferry.store import task_destinations, tasks
from streamferry.store.schema import task
from streamferry.store.seal import Seal
from streamferry.tasks.model import TaskSpec
from streamferry.tasks.series import Window, overlap
from streamferry.tasks.times import from_ms, to_ms

#: The windows of a series are compared with those of other tasks for so long.
_COMPARED = timedelta(days=100)


async def find_conflict(
    connection: AsyncConnection, seal: Seal, spec: TaskSpec, *, except_task_id: str, now_ms: int
) -> str | None:
    """The id of another enabled task that pushes to one of its destinations at an overlapping time, or None."""
    is_in_time = [task.c.end_ms > now_ms, task.c.finished.is_(False)]
    if spec.series is None:
        is_in_time += [task.c.end_ms > to_ms(spec.start_at), task.c.start_ms < to_ms(spec.end_at)]
    found = await connection.execute(
        sa.select(task.c.id, task.c.moves_on_ms)
        .where(
            task.c.id.in_(task_destinations.pushing_to(task_destinations.digests_of(seal, spec))),
            sa.or_(sa.and_(*is_in_time), task.c.moves_on_ms.is_not(None)),
            task.c.enabled.is_(True),
            task.c.id != except_task_id,
        )
        .order_by(task.c.number)
    )
    for task_id, moves_on_ms in found.all():
        if spec.series is None and moves_on_ms is None:
            return str(task_id)
        other = await tasks.find(connection, seal, task_id)
        if other is not None and overlap(
            _windows(spec, now_ms, is_finished=False), _windows(other.spec, now_ms, is_finished=other.finished)
        ):
            return other.task_id
    return None


def _windows(spec: TaskSpec, now_ms: int, *, is_finished: bool) -> Iterator[Window]:
    """Those that begin soon, in order; without the present one if its list was played out."""
    now, present = from_ms(now_ms), Window(spec.start_at, spec.end_at)
    upcoming = spec.series.busy(now) if spec.series else iter((present,))
    soon = takewhile(lambda window: window.start_at < max(now, spec.start_at) + _COMPARED, upcoming)
    return (window for window in soon if window.end_at > now and not (is_finished and window == present))
