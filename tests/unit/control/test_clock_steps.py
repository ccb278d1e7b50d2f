"""What a clock does that is set an hour forward or back, which it is on real machines: to schedules and to leases."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
import sqlalchemy as sa
from task_samples import make_spec

from streamferry.control import scheduler
from streamferry.control.actions import Actions
from streamferry.control.clock import StepWatch
from streamferry.control.ledger import StoreLedger
from streamferry.control.scheduler import Scheduler
from streamferry.control.store import Store, workers
from streamferry.control.store.database import read_now_ms
from streamferry.control.store.schema import run, worker

HOUR_MS = 3_600_000


@pytest.mark.parametrize("by_ms", [HOUR_MS, -HOUR_MS, 1_500, -1_500])
def test_a_step_is_told_once(by_ms: int) -> None:
    """And nothing is told of a clock that goes on from there."""
    watch = StepWatch()
    assert not watch.note(1_000_000, 50.0, 50.01)
    assert not watch.note(1_000_500, 50.5, 50.51)
    assert watch.note(1_001_000 + by_ms, 51.0, 51.01)
    assert not watch.note(1_001_500 + by_ms, 51.5, 51.51)


def test_a_slow_look_is_no_step() -> None:
    """When it is not known at which moment of ten seconds the clock was read, all these moments are believed."""
    watch = StepWatch()
    watch.note(1_000_000, 50.0, 60.0)
    assert not watch.note(1_000_500, 60.0, 60.01)
    assert not watch.note(1_010_500, 60.5, 70.5)


class SetClock:
    """The store's clock and the monotonic one, as the scheduler sees them."""

    def __init__(self) -> None:
        self.ahead_ms = 0
        self.passed_s = 100.0

    async def read_now_ms(self, connection: sa.ext.asyncio.AsyncConnection) -> int:
        return await read_now_ms(connection) + self.ahead_ms


@pytest.mark.parametrize("by_ms", [HOUR_MS, -HOUR_MS])
async def test_no_lease_is_judged_right_after_a_step(store: Store, monkeypatch: pytest.MonkeyPatch, by_ms: int) -> None:
    """Workers that live get a lease's length to renew by the new time; those that do not lose their tasks then."""
    clock = SetClock()
    monkeypatch.setattr(scheduler, "read_now_ms", clock.read_now_ms)
    monkeypatch.setattr(scheduler, "time", SimpleNamespace(monotonic=lambda: clock.passed_s))
    task_id = await Actions(store).create_task(make_spec())
    ledger = StoreLedger(store, "one", capacity=9)
    await ledger.register()
    await ledger.poll(0, 9)
    one = Scheduler(store)

    async def is_held() -> bool:
        return (await Actions(store).get_task(task_id)).worker_id == "one"

    await one.run_once()
    clock.ahead_ms = by_ms
    async with store.write() as connection:
        await connection.execute(worker.update().values(lease_ms=worker.c.lease_ms - by_ms))
    await one.run_once()
    assert await is_held()
    clock.passed_s += workers.LEASE_MS / 1000
    clock.ahead_ms += workers.LEASE_MS
    await one.run_once()
    assert not await is_held()


async def test_a_worker_reads_its_windows_anew_after_a_step(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """An hour forward brings EndTime an hour nearer: the worker's timers must know."""
    spec = replace(make_spec(), end_at=datetime.now(UTC) + timedelta(hours=3))
    task_id = await Actions(store).create_task(spec)
    ledger = StoreLedger(store, "one", capacity=9)
    await ledger.register()
    number = await ledger.poll(0, 9)
    first = (await ledger.roll({}))[task_id]
    assert first is not None
    known = {task_id: (first.epoch, first.version)}
    assert await ledger.poll(1, 8) == number
    assert (await ledger.roll(known))[task_id] is None
    now_ms = workers.now_ms
    monkeypatch.setattr(workers, "now_ms", lambda: now_ms() + HOUR_MS)
    assert await ledger.poll(1, 0) != number
    again = (await ledger.roll(known))[task_id]
    assert again is not None
    assert (await ledger.roll(known))[task_id] is None
    async with store.read() as connection:
        assert (await connection.execute(sa.select(run.c.epoch))).scalar() == first.epoch
