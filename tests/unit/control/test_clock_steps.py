"""What a clock does that is set an hour forward or back, which it is on real machines: to schedules and to leases."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection
from task_samples import make_spec

from streamferry.control.actions import Actions
from streamferry.control.clock import StepWatch
from streamferry.control.pulse import Pulse
from streamferry.control.scheduler import Scheduler
from streamferry.control.store_ledger import StoreLedger
from streamferry.media.url import MediaUrl
from streamferry.store import Store, workers
from streamferry.store.schema import pulse, run, worker

pytestmark = pytest.mark.both_databases

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


@pytest.mark.parametrize("by_ms", [HOUR_MS, -HOUR_MS, 1_500])
async def test_no_lease_is_judged_right_after_a_step(store: Store, monkeypatch: pytest.MonkeyPatch, by_ms: int) -> None:
    """Workers that live get a lease's length to renew by the new time; those that do not lose their tasks then."""
    task_id = await Actions(store).create_task(make_spec())
    ledger = StoreLedger(store, "one", capacity=9)
    await ledger.register()
    await ledger.poll(0, 9)
    one, beats = Scheduler(store), Pulse(store)

    async def is_held() -> bool:
        return (await Actions(store).get_task(task_id)).worker_id == "one"

    async def shift(by_ms: int, *columns: sa.Column[int]) -> None:
        async with store.write() as connection:
            for column in columns:
                await connection.execute(column.table.update().values({column: column - by_ms}))

    await beats.beat()
    await one.run_once()
    # All that was written is that much older, but for what the service knows of the time that has passed.
    await shift(by_ms, worker.c.lease_ms, pulse.c.at_ms, pulse.c.since_ms)
    monkeypatch.setattr(StepWatch, "note", stepped(by_ms, StepWatch.note))
    await shift(workers.LEASE_MS, worker.c.lease_ms)
    await beats.beat()
    await one.run_once()
    assert await is_held()
    await shift(workers.LEASE_MS + 1, worker.c.lease_ms, pulse.c.since_ms)
    await one.run_once()
    assert not await is_held()


def stepped(by_ms: int, note: Callable[..., bool]) -> Callable[..., bool]:
    """``note`` of a watch that had seen another time before."""

    def noted(watch: StepWatch, wall_ms: int, earliest: float, latest: float) -> bool:
        watch._seen = (watch._seen[0] - by_ms, *watch._seen[1:])
        return note(watch, wall_ms, earliest, latest)

    return noted


async def test_a_worker_reads_its_windows_anew_after_a_step(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """An hour forward brings EndTime an hour nearer: the worker's timers must know."""
    spec = replace(make_spec(), end_at=datetime.now(UTC) + timedelta(hours=3))
    task_id = await Actions(store).create_task(spec)
    ledger = StoreLedger(store, "one", capacity=9)
    await ledger.register()
    number = await ledger.poll(0, 9)
    first = (await ledger.assignments({}))[task_id]
    assert first is not None
    known = {task_id: (first.epoch, first.version)}
    assert await ledger.poll(1, 8) == number
    assert (await ledger.assignments(known))[task_id] is None
    poll = workers.poll

    async def poll_later(connection: AsyncConnection, *which: Any) -> tuple[int, bool, int]:
        orders, has_due, now_ms = await poll(connection, *which)
        return orders, has_due, now_ms + HOUR_MS

    monkeypatch.setattr(workers, "poll", poll_later)
    assert await ledger.poll(1, 0) != number
    again = (await ledger.assignments(known))[task_id]
    assert again is not None
    assert (await ledger.assignments(known))[task_id] is None
    async with store.read() as connection:
        assert (await connection.execute(sa.select(run.c.epoch))).scalar() == first.epoch


async def test_what_was_due_waited_until_the_clock_came_there_again(store: Store) -> None:
    """A task that nobody had yet when the clock was set back an hour; one that begins in half an hour does wait."""
    actions, beats, ledger = Actions(store), Pulse(store), StoreLedger(store, "one", capacity=9)
    later = datetime.now(UTC) + timedelta(minutes=30)
    due_id = await actions.create_task(make_spec())
    later_id = await actions.create_task(
        make_spec(
            destination=MediaUrl.parse("rtmp://push.example/live/b"),
            start_at=later,
            end_at=later + timedelta(hours=1),
        )
    )
    await beats.beat()
    await ledger.register()
    async with store.write() as connection:
        await connection.execute(run.update().values(due_ms=run.c.due_ms + HOUR_MS))
        # As it looks after the step: the pulse of before is ahead.
        await connection.execute(pulse.update().values(at_ms=pulse.c.at_ms + HOUR_MS))
    beats._steps.note(0, 0.0, 0.0)
    await beats.beat()
    await ledger.poll(0, 9)
    assert (await actions.get_task(due_id)).worker_id == "one"
    assert (await actions.get_task(later_id)).worker_id is None
