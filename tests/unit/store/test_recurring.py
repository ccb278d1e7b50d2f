"""Tasks whose window recurs, on SQLite and on PostgreSQL."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
from task_samples import make_spec

from streamferry.control.actions import Actions
from streamferry.control.scheduler import Scheduler
from streamferry.control.store_ledger import StoreLedger
from streamferry.media.url import MediaUrl
from streamferry.relay import RelayStatus, State
from streamferry.relay.status import Playhead
from streamferry.store import Store, due, recurring, retention
from streamferry.store.recurring import MOVED_ON
from streamferry.store.retention import Retention
from streamferry.store.schema import run, task, task_spec
from streamferry.tasks.errors import DestinationConflict
from streamferry.tasks.model import ApiStatus, TaskSpec
from streamferry.tasks.series import Series, Window
from streamferry.tasks.times import to_ms
from streamferry.worker import Outcome, Report

NOW = datetime.now(UTC).replace(microsecond=0)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


def daily(begins_in: timedelta, lasts: timedelta = HOUR, *, rule: str = "FREQ=DAILY", **values: object) -> TaskSpec:
    """A task of each day, of which one window begins so long from now."""
    window = Window(NOW + begins_in, NOW + begins_in + lasts)
    series = Series.decide(rule, "UTC", window, (), ())
    present = series.next(NOW) or window
    return make_spec(start_at=present.start_at, end_at=present.end_at, series=series, **values)


async def set_window(store: Store, start_at: datetime, end_at: datetime, task_id: str | None = None) -> None:
    """Where the task's present window is, or that of all: time cannot pass faster."""
    start_ms, end_ms = to_ms(start_at), to_ms(end_at)
    values = {"start_ms": start_ms, "end_ms": end_ms, "moves_on_ms": end_ms}
    async with store.write() as connection:
        await connection.execute(task.update().where(sa.or_(task_id is None, task.c.id == task_id)).values(values))
        await connection.execute(run.update().where(run.c.due_ms.is_not(None)).values(due_ms=start_ms))


@pytest.mark.both_databases
async def test_after_a_window_the_next_one_comes(store: Store) -> None:
    """It ends as any task does; then it waits for its next window, at the beginning of its list, with a record of
    what the last one did."""
    actions, scheduler = Actions(store), Scheduler(store)
    ledger = StoreLedger(store, "one", capacity=1)
    task_id = await actions.create_task(daily(-2 * HOUR))
    await set_window(store, NOW - 2 * HOUR, NOW + HOUR)
    await ledger.register()
    await ledger.poll(0, 1)
    playing = RelayStatus(State.STREAMING, playhead=Playhead(3, 0, 500), media_time_ms=9000, bytes_out=70, retries=2)
    await ledger.report([Report(task_id, 1, 1, playing, (), {}, None, None)], 1, None)
    await set_window(store, NOW - 2 * HOUR, NOW - HOUR)
    await scheduler.run_once()
    assert (await actions.get_task(task_id)).spec.end_at == NOW - HOUR  # not as long as a worker has it
    await ledger.report([Report(task_id, 1, 1, playing, (), {}, None, Outcome.HANDED_BACK)], 0, None)
    await scheduler.run_once()

    after = await actions.get_task(task_id)
    assert (after.spec.start_at, after.spec.end_at) == (NOW - 2 * HOUR + DAY, NOW - HOUR + DAY)
    assert (after.status(NOW), after.state, after.playhead) == (ApiStatus.NOT_STARTED, State.WAITING, None)
    assert (after.media_time_ms, after.retries) == (0, 0)
    ended, moved = (await actions.list_feed(task_id))[-2:]
    assert (ended.kind, moved.kind) == ("ended", MOVED_ON)
    assert moved.detail == {
        "start": int((NOW - 2 * HOUR).timestamp()),
        "end": int((NOW - HOUR).timestamp()),
        "state": "ended",
        "media_time_ms": 9000,
        "bytes_in": 0,
        "bytes_out": 70,
        "lost_ms": 0,
        "dropped_tags": 0,
        "retries": 2,
        "next_start": int(after.spec.start_at.timestamp()),
        "next_end": int(after.spec.end_at.timestamp()),
    }
    await set_window(store, NOW - HOUR, NOW + HOUR)
    assert await ledger.poll(0, 1) > 0
    assert (await actions.get_task(task_id)).worker_id == "one"


async def test_a_list_that_was_played_out_plays_again_in_the_next_window(store: Store) -> None:
    """Within its window it has ended."""
    actions, scheduler, ledger = Actions(store), Scheduler(store), StoreLedger(store, "one", capacity=1)
    task_id = await actions.create_task(daily(-2 * HOUR, loops=1))
    await set_window(store, NOW - 2 * HOUR, NOW + HOUR)
    await ledger.register()
    await ledger.poll(0, 1)
    done = RelayStatus(State.ENDED, playhead=Playhead(0, 0, 900), media_time_ms=900)
    await ledger.report([Report(task_id, 1, 1, done, (), {}, None, Outcome.PLAYED_OUT)], 0, None)
    await scheduler.run_once()
    assert (await actions.get_task(task_id)).status(NOW) is ApiStatus.ENDED
    await set_window(store, NOW - 2 * HOUR, NOW - HOUR)
    await scheduler.run_once()
    after = await actions.get_task(task_id)
    assert (after.finished, after.status(NOW), after.playhead) == (False, ApiStatus.NOT_STARTED, None)


async def test_a_stopped_task_moves_on_and_stays_stopped(store: Store) -> None:
    """Continued later, it waits for the window that is next by then."""
    actions, scheduler = Actions(store), Scheduler(store)
    task_id = await actions.create_task(daily(HOUR))
    await actions.stop_task(task_id)
    await set_window(store, NOW - 3 * HOUR, NOW - 2 * HOUR)
    await scheduler.run_once()
    stopped = await actions.get_task(task_id)
    assert (stopped.enabled, stopped.state, stopped.spec.start_at) == (False, State.STOPPED, NOW + HOUR)
    await actions.continue_task(task_id)
    assert (await actions.get_task(task_id)).status(NOW) is ApiStatus.NOT_STARTED


@pytest.mark.both_databases
async def test_after_the_last_window_it_has_ended(store: Store) -> None:
    """And nothing looks at it any more."""
    actions, scheduler = Actions(store), Scheduler(store)
    only = await actions.create_task(
        make_spec(
            start_at=NOW - 3 * HOUR,
            end_at=NOW - 2 * HOUR,
            series=Series.decide("FREQ=DAILY;COUNT=1", "UTC", Window(NOW - 3 * HOUR, NOW - 2 * HOUR), (), ()),
            destination=MediaUrl.parse("rtmp://push.example/live/other"),
        )
    )
    await scheduler.run_once()
    await scheduler.run_once()
    record = await actions.get_task(only)
    assert (record.state, record.status(NOW)) == (State.ENDED, ApiStatus.ENDED)
    moved = [event for event in await actions.list_feed(only) if event.kind == MOVED_ON]
    assert [event.detail.get("next_start") for event in moved] == [None]
    before = await actions.last_event()
    await scheduler.run_once()
    assert await actions.last_event() == before
    await actions.update_task(only, lambda spec: replace(spec, title="another") if spec else make_spec())
    await scheduler.run_once()
    kinds = [event.kind for event in await actions.list_feed(only)]
    assert kinds.count(MOVED_ON) == 1


@pytest.mark.parametrize(
    ("other", "conflicts"),
    [
        (lambda: daily(5 * HOUR), False),
        (lambda: daily(HOUR * 1.5), True),
        (lambda: daily(HOUR * 1.5, rule="FREQ=MONTHLY"), True),
        (lambda: make_spec(start_at=NOW + 4 * DAY + HOUR, end_at=NOW + 4 * DAY + 2 * HOUR), True),
        (lambda: make_spec(start_at=NOW + 4 * DAY + 3 * HOUR, end_at=NOW + 4 * DAY + 4 * HOUR), False),
    ],
    ids=["other hours", "same hours", "once a month", "once, in a later window", "once, between two windows"],
)
@pytest.mark.parametrize("is_first", [True, False])
async def test_two_tasks_with_one_destination(
    store: Store, other: Callable[[], TaskSpec], conflicts: bool, is_first: bool
) -> None:
    """Windows that come later count, too, whichever task was there first."""
    actions = Actions(store)
    specs = [daily(HOUR), other()]
    await actions.create_task(specs[0 if is_first else 1])
    second = actions.create_task(specs[1 if is_first else 0])
    if conflicts:
        with pytest.raises(DestinationConflict):
            await second
    else:
        await second


async def test_many_windows_that_are_over_at_once_move_on_in_a_few_passes(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when the service was down for a day."""
    monkeypatch.setattr(recurring, "_BATCH", 3)
    actions, scheduler = Actions(store, refuses_conflicts=False), Scheduler(store)
    for _ in range(8):
        await actions.create_task(daily(HOUR))
    await set_window(store, NOW - DAY, NOW - DAY + HOUR)
    for _ in range(4):
        await scheduler.run_once()
    async with store.read() as connection:
        waiting = sa.select(sa.func.count()).select_from(task).where(task.c.start_ms == to_ms(NOW + HOUR))
        assert (await connection.execute(waiting)).scalar() == 8


@pytest.mark.parametrize("stopped", [False, True])
async def test_a_task_with_more_windows_has_not_ended(store: Store, stopped: bool) -> None:
    """So it is not deleted with those that have: after days without a service, whichever pass comes first."""
    actions = Actions(store)
    task_id = await actions.create_task(daily(HOUR))
    if stopped:
        await actions.stop_task(task_id)
    await set_window(store, NOW - 9 * DAY, NOW - 9 * DAY + HOUR)
    async with store.write() as connection:
        await connection.execute(run.update().values(due_ms=None))
    keep = Retention(ended_tasks_days=1)
    async with store.write() as connection:
        assert not await retention.has_old(connection, keep)
        await retention.prune(connection, keep)
    await Scheduler(store, keep).run_once()
    assert (await actions.get_task(task_id)).spec.start_at == NOW + HOUR


async def test_a_series_that_cannot_be_read_now_goes_on_later(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """As where a service of an older version does not know a field: it leaves it to one that does, and moves others."""
    monkeypatch.setattr(recurring, "_BATCH", 1)
    actions, scheduler = Actions(store, refuses_conflicts=False), Scheduler(store)
    unknown = await actions.create_task(daily(HOUR))
    known = await actions.create_task(daily(HOUR))
    await set_window(store, NOW - DAY - HOUR, NOW - DAY, unknown)
    await set_window(store, NOW - DAY, NOW - DAY + HOUR, known)
    async with store.write() as connection:
        sealed = (
            await connection.execute(sa.select(task_spec.c.sealed_spec).where(task_spec.c.task_id == unknown))
        ).scalar_one()
        newer = store.seal.seal('{"of": "a newer version"}')
        await connection.execute(task_spec.update().where(task_spec.c.task_id == unknown).values(sealed_spec=newer))
    for _ in range(4):
        await scheduler.run_once()
    assert (await actions.get_task(known)).spec.start_at == NOW + HOUR
    async with store.write() as connection:
        assert not (await due.read_pending(connection)).over
        await connection.execute(task_spec.update().where(task_spec.c.task_id == unknown).values(sealed_spec=sealed))
        moves_on = sa.select(task.c.moves_on_ms).where(task.c.id == unknown)
        again_ms = (await connection.execute(moves_on)).scalar_one()
        assert to_ms(NOW) < again_ms <= to_ms(NOW + HOUR)
        await connection.execute(task.update().where(task.c.id == unknown).values(moves_on_ms=to_ms(NOW)))
    assert [one.kind for one in await actions.list_feed(unknown)].count(MOVED_ON) == 0
    await scheduler.run_once()
    assert (await actions.get_task(unknown)).spec.start_at == NOW + HOUR
