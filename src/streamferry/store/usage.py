"""Usage rows: what workers measured for each task, per minute."""

from collections.abc import Iterable, Sequence
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from streamferry.reasons import Code, Reasoned
from streamferry.store.database import insert_into
from streamferry.store.records import LockedTask, UsageBucket
from streamferry.store.schema import task, usage
from streamferry.tasks.times import from_ms, to_ms
from streamferry.worker import Report

_MINUTE_MS = 60_000
#: The last report of a deleted task may come within this time: a worker without the store gives up long before.
_FAREWELL_MS = 600_000
#: Most rows that one query may read: some seconds of the database's time, and 34 days of 100 tasks.
MAX_MEASURED = 5_000_000
#: Most sums that one answer may have.
MAX_SUMS = 100_000
#: Bandwidth is the average of this long, as the cloud API has it.
_BANDWIDTH_MS = 300_000


class TooMuchUsage(Reasoned):
    """The query is for more than may be summed at once; ``str(error)`` continues a sentence after "the range"."""


async def add(connection: AsyncConnection, reports: Sequence[Report], now: int) -> None:
    """Add what was measured to the current minute. Call it last: see the order of locks in ``workers``."""
    measured = {one.task_id: one.usage for one in reports if one.usage is not None}
    if not measured:
        return
    minute_ms = _minute(now)
    places = await _find_places(connection, measured, minute_ms)
    rows = [
        {
            "minute_ms": minute_ms,
            "task_id": task_id,
            "group_name": group_name,
            "stream_digest": stream_digest,
            "streamed_ms": measured[task_id].streamed_ms,
            "bytes_out": measured[task_id].bytes_out,
        }
        for task_id, (group_name, stream_digest) in sorted(places.items())
    ]
    if rows:
        insert = insert_into(connection.dialect.name, usage)
        totals = {name: usage.c[name] + insert.excluded[name] for name in ("streamed_ms", "bytes_out")}
        keys = [usage.c.minute_ms, usage.c.task_id]
        await connection.execute(insert.on_conflict_do_update(index_elements=keys, set_=totals), rows)


async def keep_place(connection: AsyncConnection, deleted: LockedTask, now: int) -> None:
    """A task is deleted that a worker has: its last measurements are still to come, and need a row."""
    place = {
        "minute_ms": _minute(now),
        "task_id": deleted.task_id,
        "group_name": deleted.group,
        "stream_digest": deleted.stream_digest,
        "streamed_ms": 0,
        "bytes_out": 0,
    }
    await connection.execute(insert_into(connection.dialect.name, usage).on_conflict_do_nothing(), place)


async def _find_places(
    connection: AsyncConnection, task_ids: Iterable[str], minute_ms: int
) -> dict[str, tuple[str, str]]:
    """Task -> its group and the digest of its stream; for one that was just deleted, from its last row."""
    found = await connection.execute(
        sa.select(task.c.id, task.c.group_name, task.c.stream_digest).where(task.c.id.in_(task_ids))
    )
    places = {task_id: (group_name, digest) for task_id, group_name, digest in found}
    if deleted := set(task_ids) - places.keys():
        last = await connection.execute(
            sa.select(usage.c.task_id, usage.c.group_name, usage.c.stream_digest)
            .where(usage.c.minute_ms >= minute_ms - _FAREWELL_MS, usage.c.task_id.in_(deleted))
            .order_by(usage.c.minute_ms)
        )
        places |= {task_id: (group_name, digest) for task_id, group_name, digest in last}
    return places


def _minute(now: int) -> int:
    return now // _MINUTE_MS * _MINUTE_MS


async def buckets(
    connection: AsyncConnection,
    start_at: datetime,
    end_at: datetime,
    *,
    step_s: int,
    groups: Sequence[str],
    stream_digest: str | None,
    by_group: bool,
) -> list[UsageBucket]:
    """Sums of steps counted from ``start_at``, oldest first; a step without usage is left out.

    The database adds up, so there is one row per sum. Raises TooMuchUsage for a range that holds more
    than ``MAX_MEASURED`` rows, or more than ``MAX_SUMS`` sums.
    """
    start_ms, step_ms = to_ms(start_at), step_s * 1000
    fine_ms = min(step_ms, _BANDWIDTH_MS)
    in_range = [usage.c.minute_ms >= start_ms, usage.c.minute_ms < to_ms(end_at)]
    # Rows are read by minute, whatever the filters are: counting stops when there are too many.
    measured = sa.select(sa.literal(1)).where(*in_range).limit(MAX_MEASURED + 1).subquery()
    if (await connection.execute(sa.select(sa.func.count()).select_from(measured))).scalar_one() > MAX_MEASURED:
        raise TooMuchUsage(Code.FIELD_RANGE_MANY_MINUTES, count=MAX_MEASURED)
    wanted: list[sa.ColumnElement[bool]] = list(in_range)
    if groups:
        wanted.append(usage.c.group_name.in_(groups))
    if stream_digest is not None:
        wanted.append(usage.c.stream_digest == stream_digest)
    group_name = usage.c.group_name if by_group else sa.literal("")
    fine = (
        sa.select(
            (usage.c.minute_ms - (usage.c.minute_ms - start_ms) % fine_ms).label("fine_ms"),
            group_name.label("group_name"),
            sa.func.sum(usage.c.streamed_ms).label("streamed_ms"),
            sa.func.sum(usage.c.bytes_out).label("bytes_out"),
        )
        .where(*wanted)
        .group_by(sa.literal_column("fine_ms"), *([usage.c.group_name] if by_group else []))
        .subquery()
    )
    begin = (fine.c.fine_ms - (fine.c.fine_ms - start_ms) % step_ms).label("begin_ms")
    sums = sa.func.sum(fine.c.streamed_ms), sa.func.sum(fine.c.bytes_out), sa.func.max(fine.c.bytes_out)
    keys: list[sa.ColumnElement[object]] = [sa.literal_column("begin_ms"), fine.c.group_name]
    found = await connection.execute(
        sa.select(begin, fine.c.group_name, *sums).group_by(*keys).order_by(*keys).limit(MAX_SUMS + 1)
    )
    rows = found.all()
    if len(rows) > MAX_SUMS:
        raise TooMuchUsage(Code.FIELD_RANGE_MANY_SUMS, count=MAX_SUMS)
    return [
        UsageBucket(
            from_ms(int(begin_ms)),
            group if by_group else None,
            int(streamed_ms) / 1000,
            int(bytes_out),
            int(most_bytes) * 8000 / fine_ms,
        )
        for begin_ms, group, streamed_ms, bytes_out, most_bytes in rows
    ]
