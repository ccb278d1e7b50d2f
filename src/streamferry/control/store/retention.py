"""What is old enough to be forgotten: delivered callbacks, events, usage. Callbacks that are owed or dead never are."""

from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from streamferry.control.model import DeliveryState
from streamferry.control.store.database import read_now_ms
from streamferry.control.store.schema import delivery, event, mailbox, task, usage

#: Rows of one kind that one transaction deletes at most: nobody waits long for it.
BATCH = 500
_DAY_MS = 24 * 3_600_000

_IS_DELIVERED = delivery.c.state == DeliveryState.DELIVERED.value


@dataclass(frozen=True, slots=True)
class Retention:
    """For how many days each is kept."""

    callbacks_days: int = 7
    events_days: int = 30
    usage_days: int = 366


async def has_old(connection: AsyncConnection, keep: Retention) -> bool:
    """Whether there is something to forget: a look before a write, at the oldest row of each kind."""
    now = await read_now_ms(connection)
    delivered = sa.select(sa.func.min(delivery.c.settled_ms)).where(_IS_DELIVERED)
    # Ids are in the order of time, but for the seconds that a report takes.
    happened = sa.select(event.c.at_ms).order_by(event.c.id).limit(1)
    measured = sa.select(sa.func.min(usage.c.minute_ms))
    oldest = (
        (await connection.execute(delivered)).scalar(),
        (await connection.execute(happened)).scalar(),
        (await connection.execute(measured)).scalar(),
    )
    days = (keep.callbacks_days, keep.events_days, keep.usage_days)
    return any(at is not None and at < now - kept * _DAY_MS for at, kept in zip(oldest, days, strict=True))


async def prune(connection: AsyncConnection, keep: Retention) -> bool:
    """Forget one batch of each kind, the oldest first; whether there may be more."""
    now = await read_now_ms(connection)
    settled_before = now - keep.callbacks_days * _DAY_MS
    found = await connection.execute(
        sa.select(delivery.c.id, delivery.c.task_id)
        .where(_IS_DELIVERED, delivery.c.settled_ms < settled_before)
        .order_by(delivery.c.settled_ms)
        .limit(BATCH)
    )
    delivered = {row_id: task_id for row_id, task_id in found}  # noqa: C416 -- rows, not pairs
    if delivered:
        # Asked again: one of them may have been called back meanwhile.
        await connection.execute(delivery.delete().where(delivery.c.id.in_(delivered), _IS_DELIVERED))
        await _forget_mailboxes(connection, set(delivered.values()))
    found = await connection.execute(sa.select(event.c.id, event.c.at_ms).order_by(event.c.id).limit(BATCH))
    events = [row_id for row_id, at_ms in found if at_ms < now - keep.events_days * _DAY_MS]
    if events:
        await connection.execute(event.delete().where(event.c.id.in_(events)))
    found = await connection.execute(
        sa.select(usage.c.minute_ms, usage.c.task_id)
        .where(usage.c.minute_ms < now - keep.usage_days * _DAY_MS)
        .order_by(usage.c.minute_ms)
        .limit(BATCH)
    )
    minutes = [(minute_ms, task_id) for minute_ms, task_id in found]
    if minutes:
        await connection.execute(usage.delete().where(sa.tuple_(usage.c.minute_ms, usage.c.task_id).in_(minutes)))
    return BATCH in (len(delivered), len(events), len(minutes))


async def _forget_mailboxes(connection: AsyncConnection, task_ids: set[str]) -> None:
    """Those of deleted tasks that are empty now."""
    await connection.execute(
        mailbox.delete().where(
            mailbox.c.task_id.in_(task_ids),
            ~sa.exists().where(task.c.id == mailbox.c.task_id),
            ~sa.exists().where(delivery.c.task_id == mailbox.c.task_id),
        )
    )
