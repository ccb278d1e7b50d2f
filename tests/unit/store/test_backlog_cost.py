"""A pass of the scheduler opens no spec, and costs by what is due: lists that nobody takes cost it nothing."""

import secrets
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from task_samples import make_spec

from kit.store_work import store_work
from streamferry.control.actions import Actions
from streamferry.control.scheduler import Scheduler
from streamferry.control.store_ledger import StoreLedger
from streamferry.media.url import MediaUrl
from streamferry.relay.status import Playhead, RelayStatus, State
from streamferry.store import Seal, Store, due
from streamferry.store.database import now_ms
from streamferry.store.schema import run, task, task_spec
from streamferry.tasks.model import ContinueStrategy
from streamferry.tasks.series import Series, Window
from streamferry.tasks.times import to_ms
from streamferry.worker import Outcome, Report

STREAMING = RelayStatus(State.STREAMING, media_time_ms=9, playhead=Playhead(0, 0, 4_000))
PLAYS_ON = {"continue_strategy": ContinueStrategy.AT_BREAK_PLUS_ELAPSED, "loops": 2}


class Backlog:
    """Lists that have played for four seconds of ten, and were given back. ``opened``: how many specs were unsealed."""

    def __init__(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        self.store = store
        self.actions = Actions(store)
        self.scheduler = Scheduler(store)
        self._ledger = StoreLedger(store, "one", capacity=100)
        self.opened = 0
        real = Seal.open

        def opening(seal: Seal, sealed: bytes) -> str:
            self.opened += 1
            return real(seal, sealed)

        monkeypatch.setattr(Seal, "open", opening)

    async def broken(self, count: int, **values: object) -> list[str]:
        """So many of them."""
        destinations = [MediaUrl.parse(f"rtmp://push.example/live/{secrets.token_hex(8)}") for _ in range(count)]
        made = [await self.actions.create_task(make_spec(destination=one, **values)) for one in destinations]
        await self._ledger.register()
        await self._ledger.poll(0, 100)
        held = (await self._ledger.assignments({})).values()
        reports = [
            Report(one.task_id, one.epoch, one.version, STREAMING, (), {0: 10_000}, None, Outcome.HANDED_BACK)
            for one in held
            if one is not None
        ]
        await self._ledger.report(reports, 0, None)
        self.opened = 0
        return made

    async def many(self, *task_ids: str, times: int) -> None:
        """So many more rows like those of these tasks."""
        async with self.store.write() as connection:
            for table, name in ((task, "id"), (task_spec, "task_id"), (run, "task_id")):
                found = (await connection.execute(sa.select(table).where(table.c[name].in_(task_ids)))).mappings().all()
                rows = [
                    {column: value for column, value in row.items() if column != "number"}
                    | {name: f"{row[name][:20]}-{number}"}
                    for number in range(times)
                    for row in found
                ]
                await connection.execute(table.insert(), rows)

    async def steps_of_a_look(self) -> int:
        """How many steps SQLite takes to find out that there is nothing to do."""
        steps = 0

        def count() -> int:
            nonlocal steps
            steps += 1
            return 0

        async with self.store.read() as connection:
            driver: Any = (await connection.get_raw_connection()).driver_connection
            await due.read_pending(connection)
            await driver.set_progress_handler(count, 1)
            assert not any(await due.read_pending(connection))
            await driver.set_progress_handler(None, 1)
        return steps

    async def played_out_ms(self, task_id: str) -> int | None:
        async with self.store.read() as connection:
            found = await connection.execute(sa.select(run.c.played_out_ms).where(run.c.task_id == task_id))
            at_ms: int | None = found.scalar_one()
            return at_ms

    async def unfinished(self) -> int:
        async with self.store.read() as connection:
            is_left = sa.select(sa.func.count()).select_from(task).where(task.c.finished.is_(False))
            return int((await connection.execute(is_left)).scalar_one())


@pytest.fixture
def backlog(store: Store, monkeypatch: pytest.MonkeyPatch) -> Backlog:
    return Backlog(store, monkeypatch)


@pytest.mark.parametrize("values", [{}, PLAYS_ON], ids=["at the break", "by the clock"])
async def test_a_pass_opened_all_that_waited(backlog: Backlog, values: dict[str, object]) -> None:
    """Each half second; they wait because no worker has room."""
    made = await backlog.broken(3, **values)
    await backlog.scheduler.run_once()
    with store_work() as seen:
        await backlog.scheduler.run_once()
    assert (seen.counts, backlog.opened) == ((1, 1), 0)
    assert {(await backlog.actions.get_task(one)).finished for one in made} == {False}


async def test_when_a_list_will_be_played_out(backlog: Backlog) -> None:
    """Six seconds of this loop and ten of the next; an endless one and one that waits go on until their window ends."""
    (ends,), (endless,), (waits,) = (
        await backlog.broken(1, **PLAYS_ON),
        await backlog.broken(1, **{**PLAYS_ON, "loops": -1}),
        await backlog.broken(1, loops=2),
    )
    await backlog.scheduler.run_once()
    async with backlog.store.read() as connection:
        found = await connection.execute(sa.select(run.c.playhead_ms).where(run.c.task_id == ends))
        broke_ms = found.scalar_one()
    at_ms = await backlog.played_out_ms(ends)
    assert at_ms is not None
    # The lead that had been sent is played in that time, too.
    assert 16_000 <= at_ms - broke_ms < 20_000
    for task_id in (endless, waits):
        window_ends = to_ms((await backlog.actions.get_task(task_id)).spec.end_at)
        assert await backlog.played_out_ms(task_id) == window_ends


async def test_it_is_found_out_anew_after_a_change(backlog: Backlog) -> None:
    """More loops are more time, and a list that a worker has has no such time."""
    (task_id,) = await backlog.broken(1, **PLAYS_ON)
    await backlog.scheduler.run_once()
    before = await backlog.played_out_ms(task_id)
    later = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=2)
    await backlog.actions.update_task(task_id, lambda _: make_spec(**{**PLAYS_ON, "loops": 5, "end_at": later}))
    await backlog.scheduler.run_once()
    after = await backlog.played_out_ms(task_id)
    assert backlog.opened == 1  # By the update.
    assert before is not None
    assert after is not None
    assert after - before == 30_000
    ledger = StoreLedger(backlog.store, "two", capacity=100)
    await ledger.register()
    await ledger.poll(0, 100)
    assert await backlog.played_out_ms(task_id) is None


async def test_a_pass_ends_so_many_at_once(backlog: Backlog, monkeypatch: pytest.MonkeyPatch) -> None:
    """After an outage there may be thousands: others get their turn in between."""
    await backlog.broken(5, **PLAYS_ON)
    monkeypatch.setattr(due, "_BATCH", 2)
    async with backlog.store.write() as connection:
        await connection.execute(run.update().values(played_out_ms=None, playhead_ms=run.c.playhead_ms - 30_000))
    left = []
    for _ in range(3):
        await backlog.scheduler.run_once()
        left.append(await backlog.unfinished())
    assert left == [3, 1, 0]


def daily() -> dict[str, object]:
    """A series with a window that is over."""
    now = datetime.now(UTC).replace(microsecond=0)
    window = Window(now - timedelta(hours=2), now - timedelta(hours=1))
    return {"start_at": window.start_at, "end_at": now + timedelta(hours=1)} | {
        "series": Series.decide("FREQ=DAILY", "UTC", window, (), ())
    }


@pytest.mark.parametrize("is_of_before", [False, True])
async def test_passes_opened_the_specs_of_what_was_due(backlog: Backlog, is_of_before: bool) -> None:
    """A thousand: lists that broke, some that were played out since, and series whose windows are over.

    What a service of the version before has made or changed is opened, once.
    """
    (at_break,), (by_clock,) = await backlog.broken(1), await backlog.broken(1, **PLAYS_ON)
    (played_out,), (recurs,) = await backlog.broken(1, **PLAYS_ON), await backlog.broken(1, **daily())
    over = {"end_ms": task.c.start_ms + 1000, "moves_on_ms": task.c.start_ms + 1000}
    gone = {"playhead_ms": run.c.playhead_ms - 30_000}
    async with backlog.store.write() as connection:
        await connection.execute(task.update().where(task.c.id == recurs).values(over))
        await connection.execute(run.update().where(run.c.task_id == recurs).values(due_ms=None))
        await connection.execute(run.update().where(run.c.task_id == played_out).values(gone))
        if is_of_before:
            await connection.execute(task_spec.update().values(timing=None))
    await backlog.many(at_break, by_clock, played_out, recurs, times=5 if is_of_before else 249)
    for _ in range(6):
        await backlog.scheduler.run_once()
    with store_work() as seen:
        await backlog.scheduler.run_once()
    assert seen.transactions == 1
    per_kind = 6 if is_of_before else 250
    async with backlog.store.read() as connection:
        finished = sa.select(sa.func.count()).where(task.c.finished)
        later = sa.select(sa.func.count()).where(task.c.moves_on_ms > now_ms())
        assert [(await connection.execute(one)).scalar_one() for one in (finished, later)] == [per_kind] * 2
    assert backlog.opened == (4 * per_kind if is_of_before else 0)


async def test_a_list_that_an_older_service_changed_is_read_anew(backlog: Backlog) -> None:
    """It knows nothing of what stands beside the spec: what plays for two loops there may be endless now."""
    (task_id,), (endless,) = await backlog.broken(1, **PLAYS_ON), await backlog.broken(1, **{**PLAYS_ON, "loops": -1})
    sealed = sa.select(task_spec.c.sealed_spec).where(task_spec.c.task_id == endless).scalar_subquery()
    async with backlog.store.write() as connection:
        spec_of = task_spec.update().where(task_spec.c.task_id == task_id)
        await connection.execute(spec_of.values(sealed_spec=sealed))
    await backlog.scheduler.run_once()
    window_ends = to_ms((await backlog.actions.get_task(task_id)).spec.end_at)
    assert await backlog.played_out_ms(task_id) == window_ends


@pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
async def test_a_pass_reads_what_is_due_and_not_what_runs(backlog: Backlog) -> None:
    """A thousand tasks that a worker has, or that begin tomorrow, are as many steps of the database as two."""
    running, later = await backlog.broken(2)
    async with backlog.store.write() as connection:
        await connection.execute(run.update().where(run.c.task_id == running).values(worker_id="one", due_ms=None))
        tomorrow = now_ms() + 86_400_000
        await connection.execute(run.update().where(run.c.task_id == later).values(due_ms=tomorrow))
    few = await backlog.steps_of_a_look()
    await backlog.many(running, later, times=499)
    assert await backlog.steps_of_a_look() == few
