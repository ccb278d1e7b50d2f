"""Usage: what workers measured for each task, per minute, and what is told of it. See also ``usage_sums``."""

import functools
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from streamferry.reasons import Code, Reasoned
from streamferry.store.database import insert_into, read_now_ms
from streamferry.store.given import bind, table_of
from streamferry.store.records import LockedTask, UsageBucket
from streamferry.store.schema import task, task_group, usage, usage_sum
from streamferry.store.usage_sums import ALL, DAY_S, FINE_DAYS, FIVE_S, GROUP, HOUR_S
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
        await connection.execute(_add(connection.dialect.name), bind(rows))


@functools.cache
def _add(dialect: str) -> Any:
    given = table_of(dialect, {one.name: one.type for one in usage.c})
    # SQLite takes an ON after a SELECT for that of a join, unless there is a WHERE.
    insert = insert_into(dialect, usage).from_select(list(usage.c.keys()), sa.select(given).where(sa.true()))
    totals = {name: usage.c[name] + insert.excluded[name] for name in ("streamed_ms", "bytes_out")}
    return insert.on_conflict_do_update(index_elements=[usage.c.minute_ms, usage.c.task_id], set_=totals)


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

    The database adds up, so there is one row per sum. What was measured is in the step in which the minute, the five
    minutes or the hour of it begins. Raises TooMuchUsage for a range that holds more than ``MAX_MEASURED`` rows, or
    more than ``MAX_SUMS`` sums.
    """
    start_ms, end_ms, step_ms = to_ms(start_at), to_ms(end_at), step_s * 1000
    level_s = await _choose_level(connection, start_ms, step_s, groups, stream_digest, by_group=by_group)
    fine_ms = min(step_ms, _BANDWIDTH_MS)
    sums = _sums(level_s, step_s, start_ms, end_ms, groups, stream_digest, by_group=by_group)
    minutes = _minutes(start_ms, end_ms, groups, stream_digest, by_group=by_group)
    recent = _recent(fine_ms, start_ms, minutes)
    # Counting stops when there are too many.
    counted = (one.with_only_columns(sa.literal(1)).limit(MAX_MEASURED + 1).subquery() for one in (sums, minutes))
    read = sa.union_all(*(one.select() for one in counted)).subquery()
    if (await connection.execute(sa.select(sa.func.count()).select_from(read))).scalar_one() > MAX_MEASURED:
        raise TooMuchUsage(Code.FIELD_RANGE_MANY_MINUTES, count=MAX_MEASURED)
    fine = sa.union_all(sums, recent).subquery()
    if level_s not in (HOUR_S, step_s):
        # Of one stretch a part may have been summed up, and a part not yet.
        keys = (fine.c.begin_ms, fine.c.group_name)
        totals = (sa.func.sum(fine.c[name]).label(name) for name in ("streamed_ms", "bytes_out", "most_bytes"))
        fine = sa.select(*keys, *totals).group_by(*keys).subquery()
    begin = _whole(fine.c.begin_ms - (fine.c.begin_ms - start_ms) % step_ms).label("step_begin_ms")
    steps: list[sa.ColumnElement[object]] = [sa.literal_column("step_begin_ms"), fine.c.group_name]
    found = await connection.execute(
        sa.select(
            begin,
            fine.c.group_name,
            *(_whole(sa.func.sum(fine.c.streamed_ms)), _whole(sa.func.sum(fine.c.bytes_out))),
            _whole((sa.func.sum if level_s == step_s < HOUR_S else sa.func.max)(fine.c.most_bytes)),
        )
        .group_by(*steps)
        .order_by(*steps)
        .limit(MAX_SUMS + 1)
    )
    rows = found.all()
    if len(rows) > MAX_SUMS:
        raise TooMuchUsage(Code.FIELD_RANGE_MANY_SUMS, count=MAX_SUMS)
    begins = {begin_ms: from_ms(begin_ms) for begin_ms in {row[0] for row in rows}}
    return [
        UsageBucket(
            begins[begin_ms],
            group if by_group else None,
            streamed_ms / 1000,
            bytes_out,
            most_bytes * 8000 / fine_ms,
        )
        for begin_ms, group, streamed_ms, bytes_out, most_bytes in rows
    ]


def _whole(value: sa.ColumnElement[Any]) -> sa.ColumnElement[int]:
    """PostgreSQL's sum of BIGINT is a decimal number, of which each is slow to read: there are 100,000."""
    return sa.cast(value, sa.BigInteger)


async def _choose_level(
    connection: AsyncConnection,
    start_ms: int,
    step_s: int,
    groups: Sequence[str],
    stream_digest: str | None,
    *,
    by_group: bool,
) -> int:
    """The length of the sums that the answer is made of: the longest that tell it exactly.

    Hours know their own peak, but not that of several groups together, nor of a step that begins within an hour. Where
    five minutes are not kept any more, they have to do.
    """
    if step_s < HOUR_S:
        return step_s
    is_of_one = by_group or stream_digest is not None or len(set(groups)) <= 1
    if stream_digest is not None or (is_of_one and start_ms % (HOUR_S * 1000) == 0):
        return HOUR_S
    kept_ms = FINE_DAYS[FIVE_S] * DAY_S * 1000
    return FIVE_S if start_ms >= await read_now_ms(connection) - kept_ms else HOUR_S


def _sums(
    level_s: int,
    step_s: int,
    start_ms: int,
    end_ms: int,
    groups: Sequence[str],
    stream_digest: str | None,
    *,
    by_group: bool,
) -> sa.Select[Any]:
    """What has been summed up."""
    # Hours that were forgotten are in their days.
    lengths = [level_s, DAY_S] if step_s == DAY_S and level_s == HOUR_S else [level_s]
    wanted = [
        usage_sum.c.step_s.in_(lengths),
        usage_sum.c.begin_ms >= start_ms,
        usage_sum.c.begin_ms < end_ms,
    ]
    if stream_digest is not None:
        wanted.append(usage_sum.c.subject == stream_digest)
        if groups:
            wanted.append(usage_sum.c.group_name.in_(groups))
    elif groups:
        wanted.append(usage_sum.c.subject.in_([GROUP + name for name in groups]))
    elif by_group:
        # One range of the key for each.
        wanted.append(usage_sum.c.subject.in_(sa.select(sa.literal(GROUP).concat(task_group.c.name))))
    else:
        wanted.append(usage_sum.c.subject == ALL)
    group_name = usage_sum.c.group_name if by_group else sa.literal("")
    measured = (usage_sum.c[name] for name in ("streamed_ms", "bytes_out", "most_bytes"))
    return sa.select(usage_sum.c.begin_ms, group_name.label("group_name"), *measured).where(*wanted)


def _minutes(
    start_ms: int, end_ms: int, groups: Sequence[str], stream_digest: str | None, *, by_group: bool
) -> sa.Select[Any]:
    """What has not been summed up yet: the last quarter of an hour."""
    wanted = [usage.c.minute_ms >= start_ms, usage.c.minute_ms < end_ms]
    if groups:
        wanted.append(usage.c.group_name.in_(groups))
    if stream_digest is not None:
        wanted.append(usage.c.stream_digest == stream_digest)
    group_name = usage.c.group_name if by_group else sa.literal("")
    return sa.select(usage.c.minute_ms, group_name.label("group_name"), usage.c.streamed_ms, usage.c.bytes_out).where(
        *wanted
    )


def _recent(fine_ms: int, start_ms: int, minutes: sa.Select[Any]) -> sa.Select[Any]:
    """The minutes in the form of sums."""
    each = minutes.subquery()
    stretch_ms = each.c.minute_ms - each.c.minute_ms % fine_ms
    # The question may begin within one.
    begin_ms = sa.case((stretch_ms < start_ms, start_ms), else_=stretch_ms).label("begin_ms")
    placed = sa.select(begin_ms, *(each.c[name] for name in ("group_name", "streamed_ms", "bytes_out"))).subquery()
    sums = (sa.func.sum(placed.c[name]).label(name) for name in ("streamed_ms", "bytes_out"))
    keys = (placed.c.begin_ms, placed.c.group_name)
    return sa.select(*keys, *sums, sa.func.sum(placed.c.bytes_out).label("most_bytes")).group_by(*keys)
