"""Sums of usage, so that a question about months reads thousands of rows and not millions.

Workers add to a row a minute and task (``usage``). Ten minutes later a minute is moved here, added to rows of three
subjects (all tasks, each group, each stream) and three lengths (a minute, five, an hour). Only one at a time moves, so
workers never wait for each other's sums. What has not been moved is added to each answer.
"""

from collections.abc import Mapping
from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from streamferry.store.database import insert_into, lock_name
from streamferry.store.schema import usage, usage_sum

MINUTE_S, FIVE_S, HOUR_S, DAY_S = 60, 300, 3_600, 86_400
#: Length -> for how many days its rows are kept. Hours are kept as long as the settings say, and days for good.
FINE_DAYS = {MINUTE_S: 2, FIVE_S: 93}
#: ``subject`` of all tasks together, and what stands before the name of a group; of a stream it is the digest.
ALL, GROUP = "*", "="
#: When a minute is moved: the last report of a deleted task looks for the task's last row (``usage``).
SETTLED_MS = 660_000
# How much one transaction moves.
_MINUTES_AT_ONCE = 20
_ROWS_AT_ONCE = 500
#: Any number: whoever has this lock moves.
_LOCK = "75736167652073756d73"

_MINUTE_MS = sa.bindparam("minute_ms", type_=sa.BigInteger())
_KEY = tuple(usage_sum.primary_key)
_COLUMNS = ["step_s", "subject", "group_name", "begin_ms", "streamed_ms", "bytes_out", "most_bytes"]


def _measured(subject: Any, group: Any, *by: sa.ColumnElement[str]) -> sa.Select[Any]:
    sums = (sa.func.sum(usage.c[name]).label(name) for name in ("streamed_ms", "bytes_out"))
    query = sa.select(subject.label("subject"), group.label("group_name"), *sums)
    return query.where(usage.c.minute_ms == _MINUTE_MS).group_by(*by or (usage.c.minute_ms,))


#: What all subjects measured in a minute.
_OF_MINUTE = sa.union_all(
    _measured(usage.c.stream_digest, usage.c.group_name, usage.c.stream_digest, usage.c.group_name),
    _measured(sa.literal(GROUP).concat(usage.c.group_name), usage.c.group_name, usage.c.group_name),
    _measured(sa.literal(ALL), sa.literal("")),
).subquery()


def _addition(dialect: str, step_s: int) -> Any:
    """Adds a minute to the rows of that length that it lies in; those of five minutes come before those of hours."""
    begin_ms = _MINUTE_MS - _MINUTE_MS % (step_s * 1000)
    most: Any = _OF_MINUTE.c.bytes_out
    source: Any = _OF_MINUTE
    if step_s == HOUR_S:
        five = usage_sum.alias("five")
        source = _OF_MINUTE.join(
            five,
            sa.and_(
                five.c.step_s == FIVE_S,
                five.c.subject == _OF_MINUTE.c.subject,
                five.c.group_name == _OF_MINUTE.c.group_name,
                five.c.begin_ms == _MINUTE_MS - _MINUTE_MS % (FIVE_S * 1000),
            ),
        )
        most = five.c.bytes_out
    names = (_OF_MINUTE.c[name] for name in ("subject", "group_name"))
    sums = (_OF_MINUTE.c[name] for name in ("streamed_ms", "bytes_out"))
    # Without a WHERE, SQLite takes ON CONFLICT for the condition of a join.
    query = sa.select(sa.literal(step_s), *names, begin_ms, *sums, most).select_from(source).where(sa.true())
    insert = insert_into(dialect, usage_sum).from_select(_COLUMNS, query)
    new, old = insert.excluded, usage_sum.c
    totals: dict[str, Any] = {name: old[name] + new[name] for name in ("streamed_ms", "bytes_out")}
    larger = sa.case((new.most_bytes > old.most_bytes, new.most_bytes), else_=old.most_bytes)
    totals["most_bytes"] = larger if step_s == HOUR_S else old.most_bytes + new.most_bytes
    return insert.on_conflict_do_update(index_elements=list(_KEY), set_=totals)


@cache
def _additions(dialect: str) -> tuple[sa.Insert, ...]:
    """Made when they are needed: only the database that there is gets imported."""
    return tuple(_addition(dialect, step_s) for step_s in (MINUTE_S, FIVE_S, HOUR_S))


_OLDEST = sa.select(sa.func.min(usage.c.minute_ms))


def has_settled(now: sa.ColumnElement[int]) -> sa.ColumnElement[bool]:
    """Whether a minute is to be moved."""
    return _OLDEST.scalar_subquery() < now - SETTLED_MS


async def add_settled(connection: AsyncConnection, now: int) -> bool:
    """Move the oldest minutes, about ``_ROWS_AT_ONCE`` rows; returns whether there may be more."""
    await lock_name(connection, _LOCK)
    moved = 0
    for _ in range(_MINUTES_AT_ONCE):
        oldest = (await connection.execute(_OLDEST)).scalar()
        if oldest is None or oldest >= now - SETTLED_MS:
            return False
        for statement in _additions(connection.dialect.name):
            await connection.execute(statement, {"minute_ms": oldest})
        moved += (await connection.execute(usage.delete().where(usage.c.minute_ms == oldest))).rowcount
        if moved >= _ROWS_AT_ONCE:
            break
    return True


def has_old(now: sa.ColumnElement[int], hours_days: int) -> list[sa.ColumnElement[bool]]:
    """Whether rows of each length are to be forgotten."""
    return [
        sa.select(sa.func.min(usage_sum.c.begin_ms)).where(usage_sum.c.step_s == step_s).scalar_subquery()
        < now - days * DAY_S * 1000
        for step_s, days in {**FINE_DAYS, HOUR_S: hours_days}.items()
    ]


async def forget(connection: AsyncConnection, now: int, hours_days: int, limit: int) -> bool:
    """Delete at most ``limit`` old rows of each length, hours after adding them to days; whether there may be more."""
    has_more = False
    for step_s, days in {**FINE_DAYS, HOUR_S: hours_days}.items():
        found = await connection.execute(
            sa.select(usage_sum)
            .where(usage_sum.c.step_s == step_s, usage_sum.c.begin_ms < now - days * DAY_S * 1000)
            .order_by(usage_sum.c.begin_ms)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        rows = [dict(row) for row in found.mappings()]
        if not rows:
            continue
        if step_s == HOUR_S:
            await _add_to_days(connection, rows)
        await connection.execute(usage_sum.delete().where(sa.tuple_(*_KEY).in_([_key(row) for row in rows])))
        has_more = has_more or len(rows) == limit
    return has_more


def _key(row: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(row[column.name] for column in _KEY)


async def _add_to_days(connection: AsyncConnection, hours: list[dict[str, Any]]) -> None:
    insert = insert_into(connection.dialect.name, usage_sum)
    new, old = insert.excluded, usage_sum.c
    totals = {name: old[name] + new[name] for name in ("streamed_ms", "bytes_out")}
    larger = sa.case((new.most_bytes > old.most_bytes, new.most_bytes), else_=old.most_bytes)
    statement = insert.on_conflict_do_update(index_elements=list(_KEY), set_={**totals, "most_bytes": larger})
    days = [{**row, "step_s": DAY_S, "begin_ms": row["begin_ms"] // (DAY_S * 1000) * DAY_S * 1000} for row in hours]
    await connection.execute(statement, sorted(days, key=_key))
