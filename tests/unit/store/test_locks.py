"""Transactions that meet: on PostgreSQL, where rows are locked one by one. On SQLite a write is alone."""

import asyncio
import contextlib
import secrets

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection
from task_samples import make_spec

from kit.claims import claim
from streamferry.control.actions import Actions
from streamferry.control.store_ledger import StoreLedger
from streamferry.media.url import MediaUrl
from streamferry.relay import RelayStatus, State
from streamferry.store import Store, assignments, digests, groups, tasks, workers
from streamferry.store import usage as usages
from streamferry.store.database import lock_name, read_now_ms
from streamferry.store.schema import run, task, worker
from streamferry.worker import LeaseLost, Outcome, Report
from streamferry.worker.ledger import Usage

pytestmark = pytest.mark.parametrize("store_url", ["postgresql"], indirect=True)


@pytest.fixture
async def task_id(store: Store) -> str:
    """A task that the worker ``one`` holds."""
    destination = MediaUrl.parse(f"rtmp://push.example/live/{secrets.token_hex(8)}")
    made = await Actions(store).create_task(make_spec(destination=destination))
    ledger = StoreLedger(store, "one", capacity=10)
    await ledger.register()
    await ledger.poll(0, 10)
    return made


async def _wait_blocked(store: Store) -> None:
    """Until a transaction waits for a lock of another one."""
    blocked = sa.text("SELECT count(*) FROM pg_locks WHERE NOT granted")
    async with asyncio.timeout(30):
        while True:
            async with store.read() as connection:
                if (await connection.execute(blocked)).scalar():
                    return


async def _wait_blocked_by(store: Store, connection: AsyncConnection) -> None:
    """Until a transaction waits for this one."""
    holder = (await connection.execute(sa.text("SELECT pg_backend_pid()"))).scalar_one()
    waits = sa.text("SELECT count(*) FROM pg_stat_activity WHERE :holder = ANY (pg_blocking_pids(pid))")
    async with asyncio.timeout(30):
        while True:
            async with store.read() as reading:
                if (await reading.execute(waits, {"holder": holder})).scalar():
                    return


async def _lock_run(connection: AsyncConnection, task_id: str) -> None:
    """As each change of a task does first."""
    await connection.execute(sa.select(run.c.task_id).where(run.c.task_id == task_id).with_for_update())


async def test_a_change_met_the_end_of_its_workers_lease(store: Store, task_id: str) -> None:
    """A task that is changed while the scheduler frees it: one waits for the other, never each for each."""
    async with store.write() as connection:
        lapsed = worker.update().values(lease_ms=worker.c.lease_ms - workers.LEASE_MS - 1)
        await connection.execute(lapsed)

    async def free() -> int:
        async with store.write() as connection:
            return await workers.free_expired(connection)

    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        async with store.write() as connection:
            await _lock_run(connection, task_id)
            freeing = group.create_task(free())
            await _wait_blocked(store)
            assert (await tasks.redirect(connection, task_id, due_ms=None))[1]
        assert await freeing == 1


async def test_a_deletion_met_the_report_of_what_was_measured(store: Store, task_id: str) -> None:
    """Both write the row of the minute: one waits for the other, never each for each."""
    measured = Report(
        task_id=task_id,
        epoch=1,
        version=1,
        status=RelayStatus(State.STREAMING),
        changes=(),
        item_ends_ms={},
        usage=Usage(1000, 1000),
        outcome=None,
    )
    async with asyncio.timeout(30), asyncio.TaskGroup() as group, store.write() as connection:
        deleted = await tasks.lock(connection, task_id)
        assert deleted is not None
        await _lock_run(connection, task_id)
        group.create_task(StoreLedger(store, "one", capacity=10).report([measured], 1, None))
        await _wait_blocked(store)
        await usages.keep_place(connection, deleted, await read_now_ms(connection))


def _report(task_id: str, **values: object) -> Report:
    given: dict[str, object] = {"epoch": 1, "version": 1, "status": RelayStatus(State.STREAMING), "changes": ()}
    given |= {"item_ends_ms": {}, "usage": None, "outcome": None, **values}
    return Report(task_id=task_id, **given)  # type: ignore[arg-type]


@pytest.mark.parametrize("outcome", [None, Outcome.PLAYED_OUT])
async def test_a_report_of_many_locks_in_one_order(
    store: Store, monkeypatch: pytest.MonkeyPatch, outcome: Outcome | None
) -> None:
    """Whatever order a worker tells its tasks in, and in how many statements: who holds the first may have the last."""
    monkeypatch.setattr(assignments, "_BATCH", 2)
    actions = Actions(store, refuses_conflicts=False)
    made = sorted([await actions.create_task(make_spec()) for _ in range(5)])
    ledger = StoreLedger(store, "one", capacity=10)
    await ledger.register()
    await ledger.poll(0, 10)
    column = run.c.task_id if outcome is None else task.c.id
    told = [_report(task_id, outcome=outcome) for task_id in reversed(made)]
    async with asyncio.timeout(30), asyncio.TaskGroup() as group, store.write() as connection:
        await connection.execute(sa.select(column).where(column == made[0]).with_for_update())
        group.create_task(ledger.report(told, 5, None))
        await _wait_blocked(store)
        for task_id in made[1:]:
            await connection.execute(sa.select(column).where(column == task_id).with_for_update(nowait=True))


async def test_a_service_that_is_gone_frees_its_workers_behind_their_tasks(store: Store) -> None:
    """Runs first, then workers, as everybody does."""
    made = await Actions(store).create_task(make_spec())
    ledger = StoreLedger(store, "child", capacity=10, is_attached=True)
    await ledger.register()
    await ledger.poll(0, 10)

    async def free() -> int:
        async with store.write() as connection:
            return await workers.free_attached(connection)

    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        async with store.write() as connection:
            await _lock_run(connection, made)
            freeing = group.create_task(free())
            await _wait_blocked(store)
            assert (await tasks.redirect(connection, made, due_ms=None))[1]
        assert await freeing == 1


@pytest.mark.parametrize("how", ["leave", "free_expired"])
async def test_a_claim_in_the_midst_of_the_end_of_its_lease_and_a_change_of_its_task(
    store: Store, task_id: str, how: str
) -> None:
    """The end of the lease held the worker and waited for the task, and the change the other way round."""
    claimed = await Actions(store, refuses_conflicts=False).create_task(make_spec())
    async with store.write() as connection:
        lapsed = worker.update().values(lease_ms=worker.c.lease_ms - workers.LEASE_MS - 1)
        await connection.execute(lapsed)

    async def end() -> None:
        async with store.write() as connection:
            await (workers.leave(connection, "one") if how == "leave" else workers.free_expired(connection))

    async with asyncio.timeout(30), asyncio.TaskGroup() as group, contextlib.AsyncExitStack() as changes:
        async with store.write() as connection:
            await _lock_run(connection, task_id)
            group.create_task(end())
            await _wait_blocked(store)
            # After it has seen what the worker holds.
            async with store.write() as claiming:
                await claiming.execute(run.update().where(run.c.task_id == claimed).values(worker_id="one"))
            changing = await changes.enter_async_context(store.write())
            await _lock_run(changing, claimed)
        await _wait_blocked_by(store, changing)
        await tasks.redirect(changing, claimed, due_ms=None)
    assert await _holder(store, task_id) is None
    assert await _holder(store, claimed) is None


async def test_a_dry_run_waits_for_nobody(store: Store) -> None:
    """Neither for who deletes its group just now, nor for who makes a task with its destination."""
    actions = Actions(store)
    async with store.write() as connection:
        await groups.find(connection, "default", lock=True)
        await lock_name(connection, digests.destination_digest(store.seal, make_spec().destination))
        async with asyncio.timeout(30):
            await actions.check_decided(lambda _: make_spec())


async def _holder(store: Store, task_id: str) -> str | None:
    async with store.read() as connection:
        query = sa.select(run.c.worker_id).where(run.c.task_id == task_id)
        return (await connection.execute(query)).scalar_one()


async def test_a_worker_whose_lease_was_ended_claims_nothing(store: Store) -> None:
    """It was frozen between its look and its claim. If it died then, nobody ever freed what it had claimed."""
    made = await Actions(store).create_task(make_spec())
    await StoreLedger(store, "one", capacity=10).register()
    async with store.write() as connection:
        await workers.leave(connection, "one")
    with pytest.raises(LeaseLost):
        async with store.write() as connection:
            await claim(connection, store.seal, "one", load=0, room=10)
    assert await _holder(store, made) is None


@pytest.mark.parametrize("is_attached", [False, True])
async def test_what_a_worker_claimed_last_is_freed_as_it_ends(store: Store, is_attached: bool) -> None:
    """Its process was killed while the store was committing that."""
    made = await Actions(store).create_task(make_spec())
    await StoreLedger(store, "one", capacity=10, is_attached=is_attached).register()

    async def end() -> None:
        async with store.write() as connection:
            await (workers.free_attached(connection) if is_attached else workers.leave(connection, "one"))

    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        async with store.write() as connection:
            assert (await claim(connection, store.seal, "one", load=0, room=10)).tasks == 1
            ending = group.create_task(end())
            await _wait_blocked(store)
        await ending
    assert await _holder(store, made) is None
