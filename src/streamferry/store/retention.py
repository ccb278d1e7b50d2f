"""Deletes old rows: callbacks that were delivered or given up, events, usage, signed calls that have expired, what
deleted tasks have left behind, and, if that is set, tasks. Waiting callbacks are kept. Usage is moved into sums first.
"""

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from streamferry.store import calls, deliveries, events, pictures, task_destinations, tasks, usage_sums
from streamferry.store.database import now_ms, read_now_ms
from streamferry.store.events import NewEvent
from streamferry.store.schema import audit, delivery, event, run, signed_call, task
from streamferry.tasks.model import DeliveryState

#: Most rows of one kind that one transaction deletes, so that others do not wait long for it.
BATCH = 500
#: Most tasks: each is some rows.
_TASKS = 50
_DAY_MS = 24 * 3_600_000


@dataclass(frozen=True, slots=True)
class Retention:
    """How many days each kind is kept, separately for callbacks that were delivered and given up.

    ``ended_tasks_days``: after their EndTime; None: for good.
    """

    callbacks_days: int = 7
    dead_callbacks_days: int = 30
    events_days: int = 30
    usage_days: int = 366
    audit_days: int = 366
    ended_tasks_days: int | None = None


async def has_old(connection: AsyncConnection, keep: Retention) -> bool:
    """Whether there is something to delete: a read of the oldest rows of each kind that may save a write."""
    now = now_ms()
    happened, noted = (sa.select(sa.func.min(_front(table, now).c.at_ms)) for table in (event, audit))
    settled = [(_first_settled(state), days) for state, days in _days_of(keep).items()]
    others = [(happened, keep.events_days), (noted, keep.audit_days)]
    are_old = [query.scalar_subquery() < now - days * _DAY_MS for query, days in (*settled, *others)]
    is_done = sa.exists().where(calls.over(now))
    summed = [usage_sums.has_settled(now), *usage_sums.has_old(now, keep.usage_days), task_destinations.some_left()]
    if keep.ended_tasks_days is not None:
        summed.append(sa.exists(_ended(now - keep.ended_tasks_days * _DAY_MS)))
    row = (await connection.execute(sa.select(*are_old, *summed, is_done, pictures.some_unused()))).one()
    return any(row)


def _front(table: sa.Table, now: sa.ColumnElement[int] | int) -> sa.Subquery:
    """The first rows of events or of the audit stream. Ids are in the order of time, unless a clock was wrong.

    A time in the future says nothing about a row's age.
    """
    past = sa.select(table.c.id, table.c.at_ms).where(table.c.at_ms <= now)
    return past.order_by(table.c.id).limit(BATCH).subquery()


async def _forget_front(connection: AsyncConnection, table: sa.Table, now: int, before_ms: int) -> int:
    """Delete a batch of events or of the audit stream; how many. A future date before an old row counts as old."""
    front = _front(table, now)
    found = await connection.execute(sa.select(front.c.id).where(front.c.at_ms < before_ms))
    old = list(found.scalars())
    if not old:
        return 0
    wrong = sa.select(table.c.id).where(table.c.id < max(old), table.c.at_ms > now).order_by(table.c.id).limit(BATCH)
    ahead = list((await connection.execute(wrong)).scalars())
    for chosen in (old, ahead):
        await connection.execute(table.delete().where(table.c.id.in_(chosen)))
    return max(len(old), len(ahead))


def _days_of(keep: Retention) -> dict[DeliveryState, int]:
    """Days to keep a callback in that state; waiting ones are always kept."""
    return {DeliveryState.DELIVERED: keep.callbacks_days, DeliveryState.DEAD: keep.dead_callbacks_days}


def _first_settled(state: DeliveryState) -> sa.Select[tuple[int]]:
    return sa.select(sa.func.min(delivery.c.settled_ms)).where(delivery.c.state == state.value)


async def prune(connection: AsyncConnection, keep: Retention) -> bool:
    """Delete one batch of each kind, the oldest first; returns whether there may be more."""
    now = await read_now_ms(connection)
    settled = [
        await _forget_callbacks(connection, state, now - days * _DAY_MS) for state, days in _days_of(keep).items()
    ]
    happened = await _forget_front(connection, event, now, now - keep.events_days * _DAY_MS)
    has_more = await usage_sums.add_settled(connection, now)
    has_more |= await usage_sums.forget(connection, now, keep.usage_days, BATCH)
    lines = await _forget_front(connection, audit, now, now - keep.audit_days * _DAY_MS)
    done = sa.select(signed_call.c.name).where(calls.over(now)).limit(BATCH)
    forgotten = await connection.execute(signed_call.delete().where(signed_call.c.name.in_(done)))
    if keep.ended_tasks_days is not None:
        has_more |= await _forget_tasks(connection, now, now - keep.ended_tasks_days * _DAY_MS)
    await task_destinations.forget_left(connection)
    has_more_pictures = await pictures.forget(connection)
    return has_more or has_more_pictures or BATCH in (*settled, happened, lines, forgotten.rowcount)


def _ended(before_ms: sa.ColumnElement[int] | int) -> sa.Select[Any]:
    """Tasks whose last window was over before that time, and that no worker has."""
    has_ended = sa.and_(task.c.end_ms < before_ms, task.c.moves_on_ms.is_(None))
    is_it = sa.and_(has_ended, run.c.worker_id.is_(None), run.c.due_ms.is_(None))
    return sa.select(task.c.id).join(run, run.c.task_id == task.c.id).where(is_it)


async def _forget_tasks(connection: AsyncConnection, now: int, before_ms: int) -> bool:
    """Delete some, as the action does; returns whether there may be more."""
    found = await connection.execute(
        _ended(before_ms).order_by(task.c.number).limit(_TASKS).with_for_update(skip_locked=True)
    )
    task_ids: list[str] = list(found.scalars())
    if task_ids:
        await events.append(connection, [NewEvent(one, "deleted", now, {"final": True}) for one in task_ids])
    for task_id in task_ids:
        await tasks.delete(connection, task_id)
    if task_ids:
        await deliveries.forget_empty(connection, set(task_ids))
    return len(task_ids) == _TASKS


async def _forget_callbacks(connection: AsyncConnection, state: DeliveryState, before_ms: int) -> int:
    """Delete a batch of those that were settled before that time; returns how many."""
    is_it = delivery.c.state == state.value
    found = await connection.execute(
        sa.select(delivery.c.id, delivery.c.task_id)
        .where(is_it, delivery.c.settled_ms < before_ms)
        .order_by(delivery.c.settled_ms)
        .limit(BATCH)
    )
    chosen = {row_id: task_id for row_id, task_id in found}  # noqa: C416 -- rows, not pairs
    if chosen:
        # Check again: one of them may have been replayed meanwhile.
        await connection.execute(delivery.delete().where(delivery.c.id.in_(chosen), is_it))
        await deliveries.forget_empty(connection, set(chosen.values()))
    return len(chosen)
