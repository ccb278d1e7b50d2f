"""Deliveries: what became of the callbacks of tasks, to be shown, tried again and deleted.

Who sends them and in which order: ``mailboxes``.
"""

from collections.abc import Collection

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from streamferry.store.cells import read_member, read_object, read_reason, read_time, reason_cells
from streamferry.store.database import now_ms, read_now_ms
from streamferry.store.records import Backlog, DeliveryRecord
from streamferry.store.schema import delivery, mailbox, task
from streamferry.tasks.model import CallbackEvent, DeliveryState

IS_WAITING = delivery.c.state == DeliveryState.WAITING.value


async def page(
    connection: AsyncConnection,
    *,
    task_id: str | None,
    state: DeliveryState | None,
    offset: int,
    limit: int,
) -> tuple[list[DeliveryRecord], int]:
    """Deliveries, newest first, and how many there are."""
    wanted = _wanted(task_id, state)
    total = (await connection.execute(sa.select(sa.func.count()).select_from(delivery).where(*wanted))).scalar_one()
    rows = await connection.execute(
        sa.select(delivery).where(*wanted).order_by(delivery.c.id.desc()).limit(limit).offset(offset)
    )
    return [delivery_of(row) for row in rows.mappings()], total


async def backlog(connection: AsyncConnection) -> Backlog:
    """What is not delivered."""
    counted = await connection.execute(
        sa.select(delivery.c.state, sa.func.count(), sa.func.min(delivery.c.owed_ms))
        .where(delivery.c.state.in_((DeliveryState.WAITING.value, DeliveryState.DEAD.value)))
        .group_by(delivery.c.state)
    )
    counts = {DeliveryState(state): (count, oldest_ms) for state, count, oldest_ms in counted}
    waiting, oldest_ms = counts.get(DeliveryState.WAITING, (0, None))
    now = await read_now_ms(connection)
    return Backlog(
        waiting=waiting,
        dead=counts.get(DeliveryState.DEAD, (0, None))[0],
        oldest_age_s=0.0 if oldest_ms is None else max(0, now - oldest_ms) / 1000,
    )


async def find(connection: AsyncConnection, task_id: str, number: int) -> DeliveryRecord | None:
    """A delivery, or None."""
    query = sa.select(delivery).where(delivery.c.task_id == task_id, delivery.c.number == number)
    row = (await connection.execute(query)).mappings().first()
    return None if row is None else delivery_of(row)


async def tasks_with_dead(connection: AsyncConnection) -> list[str]:
    """Tasks with dead callbacks and an address that they could go to."""
    query = sa.select(delivery.c.task_id).join(mailbox, mailbox.c.task_id == delivery.c.task_id)
    is_dead = delivery.c.state == DeliveryState.DEAD.value
    rows = await connection.execute(query.where(is_dead, mailbox.c.sealed_url.is_not(None)).distinct())
    return list(rows.scalars())


async def wake(connection: AsyncConnection, task_id: str, number: int | None) -> int:
    """Deliver again, at once and for a day: one of a task that does not wait, or all its dead ones; how many."""
    locked = sa.select(mailbox.c.task_id).where(mailbox.c.task_id == task_id, mailbox.c.sealed_url.is_not(None))
    if (await connection.execute(locked.with_for_update())).first() is None:
        return 0
    chosen = (
        delivery.c.state == DeliveryState.DEAD.value
        if number is None
        else sa.and_(delivery.c.number == number, sa.not_(IS_WAITING))
    )
    woken = await connection.execute(
        delivery.update()
        .where(delivery.c.task_id == task_id, chosen)
        .values(
            state=DeliveryState.WAITING.value,
            attempts=0,
            refusals=0,
            owed_ms=now_ms(),
            settled_ms=None,
            **reason_cells(None, name="problem"),
        )
    )
    if woken.rowcount:
        # A service that is sending another one loses its claim, and that one is sent again.
        await connection.execute(
            mailbox.update()
            .where(mailbox.c.task_id == task_id)
            .values(due_ms=now_ms(), failures=0, holder=None, gone_ms=None)
        )
    return woken.rowcount


async def drop_dead(connection: AsyncConnection, task_id: str | None) -> int:
    """Delete dead callbacks; returns how many."""
    wanted = _wanted(task_id, DeliveryState.DEAD)
    of_tasks = set((await connection.execute(sa.select(delivery.c.task_id).where(*wanted).distinct())).scalars())
    dropped = (await connection.execute(delivery.delete().where(*wanted))).rowcount
    await forget_empty(connection, of_tasks)
    return dropped


async def forget_empty(connection: AsyncConnection, task_ids: Collection[str]) -> None:
    """Delete empty mailboxes of deleted tasks."""
    await connection.execute(
        mailbox.delete().where(
            mailbox.c.task_id.in_(task_ids),
            ~sa.exists().where(task.c.id == mailbox.c.task_id),
            ~sa.exists().where(delivery.c.task_id == mailbox.c.task_id),
        )
    )


def _wanted(task_id: str | None, state: DeliveryState | None) -> list[sa.ColumnElement[bool]]:
    wanted: list[sa.ColumnElement[bool]] = []
    if task_id is not None:
        wanted.append(delivery.c.task_id == task_id)
    if state is not None:
        wanted.append(delivery.c.state == state.value)
    return wanted


def delivery_of(row: sa.RowMapping) -> DeliveryRecord:
    """The row as a record, whatever is in it."""
    return DeliveryRecord(
        task_id=row["task_id"],
        number=row["number"],
        event=read_member(CallbackEvent, row["kind"], CallbackEvent.FAILED),
        at=read_time(row["at_ms"]),
        detail=read_object(row["detail"]),
        state=read_member(DeliveryState, row["state"], DeliveryState.DEAD),
        attempts=row["attempts"],
        problem=read_reason(row["problem"], row["problem_json"]),
        settled_at=None if row["settled_ms"] is None else read_time(row["settled_ms"]),
    )
