"""Tasks that send their slate between their windows: one worker has them all the time. On SQLite and on PostgreSQL."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from task_samples import make_spec

from streamferry.control.actions import Actions
from streamferry.control.scheduler import Scheduler
from streamferry.control.store_ledger import StoreLedger
from streamferry.media.slate import Slate
from streamferry.relay import RelayStatus, State
from streamferry.relay.status import Playhead
from streamferry.store import Store
from streamferry.store.recurring import MOVED_ON
from streamferry.store.schema import task, worker
from streamferry.tasks.errors import DestinationConflict
from streamferry.tasks.model import ApiStatus, TaskSpec
from streamferry.tasks.series import Series, Window
from streamferry.tasks.times import to_ms
from streamferry.worker import Assignment, Outcome, Report

NOW = datetime.now(UTC).replace(microsecond=0)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
TOMORROW = Window(NOW - 2 * HOUR + DAY, NOW - HOUR + DAY)


def show(first_at: datetime = NOW - 2 * HOUR - DAY, *, rule: str = "FREQ=DAILY", **values: object) -> TaskSpec:
    """A task of each day, from that window on, an hour long; with the slate between."""
    plain = Series.decide(rule, "UTC", Window(first_at, first_at + HOUR), (), ())
    series = plain.with_slate(None, NOW)
    present = series.next(NOW)
    assert present is not None
    return make_spec(start_at=present.start_at, end_at=present.end_at, series=series, slate=Slate(), **values)


async def end_window(store: Store) -> None:
    """As if the window had been over for a moment: time cannot pass faster."""
    values = {"start_ms": to_ms(NOW - 2 * HOUR), "end_ms": to_ms(NOW - HOUR), "moves_on_ms": to_ms(NOW - HOUR)}
    async with store.write() as connection:
        await connection.execute(task.update().values(values))


async def take(store: Store, name: str = "one") -> tuple[StoreLedger, dict[str, Assignment | None]]:
    """A worker that has taken what is due."""
    ledger = StoreLedger(store, name, capacity=1)
    await ledger.register()
    await ledger.poll(0, 1)
    return ledger, await ledger.assignments({})


def sent(task_id: str, version: int, media_time_ms: int, *, playhead: Playhead | None = None) -> Report:
    """What a worker tells of a run."""
    status = RelayStatus(State.STREAMING, playhead=playhead, media_time_ms=media_time_ms, bytes_out=media_time_ms * 100)
    return Report(task_id, 1, version, status, (), {}, None, None)


@pytest.mark.both_databases
async def test_the_window_moves_on_and_the_worker_keeps_the_task(store: Store) -> None:
    """It is told of the next windows. The list begins again; of each window is told what was sent since the last."""
    actions, scheduler = Actions(store), Scheduler(store)
    task_id = await actions.create_task(show())
    ledger, _ = await take(store)
    orders = await ledger.poll(1, 0)
    await ledger.report([sent(task_id, 1, 9000, playhead=Playhead(3, 0, 500))], 1, None)
    await end_window(store)
    await scheduler.run_once()

    record = await actions.get_task(task_id)
    assert (record.worker_id, record.state, record.playhead) == ("one", State.STREAMING, None)
    assert (record.spec.start_at, record.spec.end_at) == TOMORROW
    assert record.status(NOW) is ApiStatus.ACTIVE
    assert (await actions.list_tasks(statuses=[ApiStatus.ACTIVE])).total == 1
    assert await ledger.poll(1, 0) > orders
    after = (await ledger.assignments({task_id: (1, 1)}))[task_id]
    assert after is not None
    assert after.spec is not None
    assert (after.epoch, after.version, after.is_wanted) == (1, 2, True)
    assert after.start_in_s < 0
    assert after.end_in_s > 2 * 86_400
    begins = [begin for begin, _ in after.spec.windows]
    assert begins == pytest.approx([(TOMORROW.start_at + day * DAY).timestamp() for day in range(3)], abs=60)
    # What is told of the window that is over is not where the list of the next one is.
    await ledger.report([sent(task_id, 1, 9500, playhead=Playhead(3, 0, 900))], 1, None)
    assert (await actions.get_task(task_id)).playhead is None

    await ledger.report([sent(task_id, 2, 12_000)], 1, None)
    await end_window(store)
    await scheduler.run_once()
    moved = [event.detail for event in await actions.list_feed(task_id) if event.kind == MOVED_ON]
    assert [(one["state"], one["media_time_ms"]) for one in moved] == [("streaming", 9000), ("streaming", 3000)]
    assert [event.kind for event in await actions.list_feed(task_id) if event.kind in ("ended", "stopped")] == []


@pytest.mark.both_databases
async def test_a_worker_that_is_lost_between_windows_is_followed_by_the_next_one(store: Store) -> None:
    """At once, as within a window. A task that is made then begins at once, too; one whose first window is to come
    waits for that."""
    actions, scheduler = Actions(store), Scheduler(store)
    task_id = await actions.create_task(show())
    assert (await actions.get_task(task_id)).spec.start_at > NOW
    _, held = await take(store)
    assert held.keys() == {task_id}
    async with store.write() as connection:
        await connection.execute(worker.update().values(lease_ms=to_ms(NOW - HOUR)))
    await scheduler.run_once()
    _, held = await take(store, "two")
    assert held.keys() == {task_id}
    await actions.delete_task(task_id)
    waits = await actions.create_task(show(NOW + 2 * HOUR))
    assert (await actions.get_task(waits)).status(NOW) is ApiStatus.NOT_STARTED
    _, held = await take(store, "three")
    assert held == {}


async def test_between_windows_it_is_stopped_as_always(store: Store) -> None:
    """The worker gives it back; continued, it is on air with its slate at once. Without the slate it waits."""
    actions = Actions(store)
    task_id = await actions.create_task(show())
    ledger, _ = await take(store)
    await actions.stop_task(task_id)
    held = (await ledger.assignments({}))[task_id]
    assert held is not None
    assert not held.is_wanted
    done = RelayStatus(State.STOPPED)
    await ledger.report([Report(task_id, 1, held.version, done, (), {}, None, Outcome.HANDED_BACK)], 0, None)
    assert (await actions.get_task(task_id)).state is State.STOPPED
    await actions.continue_task(task_id)
    await ledger.poll(0, 1)
    assert (await actions.get_task(task_id)).worker_id == "one"

    def end_between(spec: TaskSpec | None) -> TaskSpec:
        assert spec is not None
        assert spec.series is not None
        return replace(spec, series=replace(spec.series, slate_from=None))

    await actions.update_task(task_id, end_between)
    held = (await ledger.assignments({}))[task_id]
    assert held is not None
    assert held.spec is not None
    assert held.start_in_s > 3600
    assert held.spec.windows == ()
    assert (await actions.get_task(task_id)).status(NOW) is ApiStatus.NOT_STARTED


async def test_in_the_last_window_it_ends(store: Store, monkeypatch) -> None:
    """The worker is told when; what it gives back then has ended."""
    actions, scheduler = Actions(store), Scheduler(store)
    first_at = NOW - timedelta(minutes=30) - DAY
    task_id = await actions.create_task(show(first_at, rule="FREQ=DAILY;COUNT=2"))
    ledger, held = await take(store)
    last = held[task_id]
    assert last is not None
    assert last.spec is not None
    assert len(last.spec.windows) == 1
    assert 0 < last.end_in_s <= 1800
    await end_window(store)
    monkeypatch.setattr(Series, "next", lambda self, now: None)
    await scheduler.run_once()
    assert (await actions.get_task(task_id)).worker_id == "one"
    done = RelayStatus(State.STOPPED)
    await ledger.report([Report(task_id, 1, 1, done, (), {}, None, Outcome.HANDED_BACK)], 0, None)
    await scheduler.run_once()
    record = await actions.get_task(task_id)
    assert (record.state, record.status(NOW)) == (State.ENDED, ApiStatus.ENDED)


@pytest.mark.parametrize("begins_in", [-HOUR, 3 * HOUR, timedelta(days=40, hours=3)])
async def test_between_its_windows_the_destination_is_its_own(store: Store, begins_in: timedelta) -> None:
    """Another task with the same destination is refused at any time, whichever comes first."""
    actions = Actions(store, refuses_conflicts=True)
    other = make_spec(start_at=NOW + begins_in, end_at=NOW + begins_in + 2 * HOUR)
    mine = await actions.create_task(show())
    with pytest.raises(DestinationConflict):
        await actions.create_task(other)
    await actions.delete_task(mine)
    await actions.create_task(other)
    with pytest.raises(DestinationConflict):
        await actions.create_task(show())
