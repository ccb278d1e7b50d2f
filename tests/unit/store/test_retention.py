"""What is forgotten, and what never is, on SQLite and on PostgreSQL."""

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection
from task_samples import make_spec

from streamferry.control.actions import Actions
from streamferry.control.scheduler import Scheduler
from streamferry.store import Store, deliveries, retention
from streamferry.store.database import read_now_ms
from streamferry.store.retention import BATCH, Retention
from streamferry.store.schema import audit, delivery, event, mailbox, run, task, usage_sum
from streamferry.tasks.model import DeliveryState

KEEP = Retention(callbacks_days=1, dead_callbacks_days=2, events_days=2, usage_days=3)
HOUR_MS = 3_600_000


async def count(connection: AsyncConnection, table: sa.Table) -> int:
    return (await connection.execute(sa.select(sa.func.count()).select_from(table))).scalar_one()


async def count_hours(connection: AsyncConnection) -> int:
    """Of usage; older ones become days, which are kept."""
    hours = sa.select(sa.func.count()).select_from(usage_sum).where(usage_sum.c.step_s == 3600)
    return (await connection.execute(hours)).scalar_one()


async def fill(store: Store, task_id: str, hours: list[int], *, copies: int = 1) -> None:
    """Events, usage, and deliveries of each state, of so many hours ago."""
    async with store.write() as connection:
        now = await read_now_ms(connection)
        await connection.execute(event.delete())
        number = 0
        for hour in hours:
            at_ms = now - hour * HOUR_MS
            for copy in range(copies):
                number += 1
                row = {"task_id": task_id, "seq": number, "at_ms": at_ms, "kind": "streaming", "detail": "{}"}
                await connection.execute(event.insert(), row)
                row = {"step_s": 3600, "begin_ms": at_ms + copy, "subject": "d", "group_name": "g"}
                await connection.execute(usage_sum.insert(), {**row, "streamed_ms": 1, "bytes_out": 1, "most_bytes": 1})
                for place, state in enumerate(DeliveryState):
                    settled_ms = None if state is DeliveryState.WAITING else at_ms
                    row = {"task_id": task_id, "number": number * 3 + place, "kind": "streaming", "at_ms": at_ms}
                    row |= {"detail": "{}", "state": state.value, "attempts": 1, "refusals": 0, "owed_ms": at_ms}
                    await connection.execute(delivery.insert(), {**row, "settled_ms": settled_ms})


async def test_what_is_old_is_forgotten_and_what_is_owed_never(store: Store) -> None:
    """Each kind after its own time."""
    await fill(store, "t", [1, 30, 60, 80])
    async with store.write() as connection:
        assert await retention.has_old(connection, KEEP)
        assert not await retention.prune(connection, KEEP)
        assert not await retention.has_old(connection, KEEP)
        assert (await count(connection, event), await count_hours(connection)) == (2, 3)
        rows = await connection.execute(
            sa.select(delivery.c.state, sa.func.count()).group_by(delivery.c.state).order_by(delivery.c.state)
        )
        assert [tuple(row) for row in rows] == [("dead", 2), ("delivered", 1), ("waiting", 4)]


async def test_a_batch_is_bounded_and_passes_go_on_until_all_is_gone(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No transaction deletes more than a batch of a kind, and while there is more each pass deletes one."""
    monkeypatch.setattr(retention, "BATCH", 20)
    await fill(store, "t", [100], copies=50)
    scheduler = Scheduler(store, KEEP)
    left = []
    for _ in range(4):
        await scheduler.run_once()
        async with store.read() as connection:
            left.append((await count(connection, event), await count_hours(connection)))
    assert left == [(30, 30), (10, 10), (0, 0), (0, 0)]
    assert BATCH == 500


async def test_the_mailbox_of_a_deleted_task_goes_with_its_last_callback(store: Store) -> None:
    """That of a task that exists stays, with its numbers."""
    actions = Actions(store, refuses_conflicts=False)
    made = [await actions.create_task(make_spec(callback_url="http://calls.example/")) for _ in range(2)]
    for task_id in made:
        await actions.stop_task(task_id)
    await actions.delete_task(made[0])
    async with store.write() as connection:
        long_ago = await read_now_ms(connection) - 50 * HOUR_MS
        await connection.execute(delivery.update().values(state="delivered", settled_ms=long_ago))
        await retention.prune(connection, KEEP)
        assert await count(connection, delivery) == 0
        rows = await connection.execute(sa.select(mailbox.c.task_id, mailbox.c.last_number))
        assert [tuple(row) for row in rows] == [(made[1], 1)]


@pytest.mark.parametrize("wrong_by_hours", [24 * 365, 30])
@pytest.mark.parametrize("table", [event, audit], ids=lambda table: table.name)
async def test_a_time_of_a_clock_that_was_ahead_stops_nothing(
    store: Store, table: sa.Table, wrong_by_hours: int
) -> None:
    """Rows that were written under it, before those that are old now; one of it that is recent stays, however odd."""
    keep = Retention(events_days=2, audit_days=2)
    values = {
        "event": {"task_id": "t", "kind": "streaming", "detail": "{}"},
        "audit": {"kind": "signed_in", "subject": "s", "actor": "a", "detail": "{}"},
    }[table.name]
    async with store.write() as connection:
        now = await read_now_ms(connection)
        ages = [60 - wrong_by_hours, 60 - wrong_by_hours, 60, 59, 1, 1 - wrong_by_hours]
        for seq, age in enumerate(ages, 1):
            number = {"seq": seq} if table is event else {}
            await connection.execute(table.insert(), {**values, **number, "at_ms": now - age * HOUR_MS})
        assert await retention.has_old(connection, keep)
        await retention.prune(connection, keep)
        assert not await retention.has_old(connection, keep)
        left = (await connection.execute(sa.select(table.c.at_ms).order_by(table.c.id))).scalars().all()
    told = [round((now - at_ms) / HOUR_MS) for at_ms in left]
    # What such a clock wrote 60 h ago is only 30 h old by its words, and no longer in the future.
    assert told == [*([30, 30] if wrong_by_hours == 30 else []), 1, 1 - wrong_by_hours]


@pytest.mark.parametrize("way", ["dropped", "no receiver"])
async def test_no_mailbox_of_a_deleted_task_stays(store: Store, way: str) -> None:
    """Neither when its letters were dropped by hand, nor when it had no address any more."""
    actions = Actions(store)
    task_id = await actions.create_task(make_spec(callback_url="http://calls.example/"))
    await actions.stop_task(task_id)
    if way == "no receiver":
        await actions.update_task(task_id, lambda _: make_spec())
    await actions.delete_task(task_id)
    async with store.write() as connection:
        await connection.execute(delivery.update().values(state=DeliveryState.DEAD.value))
        await deliveries.drop_dead(connection, task_id)
        assert await count(connection, mailbox) == 0


@pytest.fixture
async def ended(store: Store) -> Actions:
    """Three tasks: one whose window was over three days ago, one that a worker still has then, one of today."""
    actions = Actions(store, refuses_conflicts=False)
    old, held, _ = [await actions.create_task(make_spec(title=title)) for title in ("old", "held", "today")]
    async with store.write() as connection:
        now = await read_now_ms(connection)
        await connection.execute(
            task.update().where(task.c.id.in_((old, held))).values(end_ms=now - 72 * HOUR_MS, start_ms=1)
        )
        await connection.execute(run.update().where(run.c.task_id == held).values(worker_id="one", due_ms=None))
        await connection.execute(run.update().where(run.c.task_id == old).values(due_ms=None))
    return actions


@pytest.mark.parametrize(
    ("days", "left"), [(2, {"held", "today"}), (4, {"old", "held", "today"}), (None, {"old", "held", "today"})]
)
async def test_ended_tasks_are_kept_as_long_as_is_set(
    store: Store, ended: Actions, days: int | None, left: set[str]
) -> None:
    """By default for good. What a worker has is not touched, and what is deleted is told as a call would."""
    keep = Retention(ended_tasks_days=days)
    async with store.write() as connection:
        assert await retention.has_old(connection, keep) is (len(left) < 3)
        await retention.prune(connection, keep)
        assert not await retention.has_old(connection, keep)
    records = (await ended.list_tasks()).records
    assert {one.spec.title for one in records} == left
    async with store.read() as connection:
        kinds = list((await connection.execute(sa.select(event.c.kind).where(event.c.kind == "deleted"))).scalars())
    assert len(kinds) == 3 - len(left)
