"""Lists that play on are not written: where they are all the same, on SQLite and on PostgreSQL."""

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from task_samples import make_spec

from streamferry.control.actions import Actions
from streamferry.control.store_ledger import StoreLedger
from streamferry.media.url import MediaUrl
from streamferry.relay import LEAD_MS, Playhead, RelayStatus, State
from streamferry.store import Store, events
from streamferry.store.events import NewEvent
from streamferry.store.records import TaskRecord
from streamferry.store.schema import delivery, run, worker
from streamferry.tasks.model import ContinueStrategy, TaskItem
from streamferry.tasks.schedule import LOST_STEP_MS
from streamferry.worker import Outcome, Report

pytestmark = pytest.mark.usefixtures("standing_clock")
PLAYS = RelayStatus(State.STREAMING, media_time_ms=9, playhead=Playhead(0, 0, 4_000))


class Desk:
    """A list that a worker plays, and what the store makes of its reports. The clock stands, but for ``wait``."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.actions = Actions(store)
        self.one, self.two = (StoreLedger(store, name, capacity=1) for name in ("one", "two"))

    async def begin(self, **values: object) -> None:
        self.task_id = await self.actions.create_task(make_spec(**values))
        await self.one.register()
        await self.one.poll(0, 1)

    async def tell(self, status: RelayStatus = PLAYS, *, plays_on: bool = True, outcome: Outcome | None = None) -> None:
        report = Report(self.task_id, 1, 1, status, (), {0: 60_000}, None, outcome, plays_on=plays_on)
        await self.one.report([report], 1, None)

    async def tell_place(self, position_ms: int, *, plays_on: bool) -> None:
        status = replace(PLAYS, playhead=Playhead(0, 0, position_ms))
        report = Report(self.task_id, 1, 1, status, (), {}, None, None, is_place=True, plays_on=plays_on)
        await self.one.report([report], 1, None)

    async def wait(self, ms: int) -> None:
        """As much time passes for what was told of the list, and then the worker reports without it."""
        await self.age(run, "playhead_ms", ms)
        await self.one.report([], 1, None)

    async def age(self, table: sa.Table, column: str, ms: int) -> None:
        async with self.store.write() as connection:
            await connection.execute(table.update().values({column: table.c[column] - ms}))

    async def record(self) -> TaskRecord:
        return await self.actions.get_task(self.task_id)

    async def resumes(self) -> Playhead:
        """Where another worker takes it up."""
        await self.two.register()
        assert await self.two.poll(0, 1)
        (found,) = (await self.two.assignments({})).values()
        assert found is not None
        assert found.spec is not None
        return found.spec.playhead


def soon_after(ms: int) -> Any:
    """So much, or a little more: a report waits for its turn to write."""
    return pytest.approx(ms + 200, abs=200)


def position(at: Playhead | None) -> int:
    """In the first item of the first loop."""
    assert at is not None
    assert (at.loop, at.item) == (0, 0)
    return at.position_ms


def age_ms(record: TaskRecord) -> float:
    """How long ago the list was where the record says."""
    assert record.playhead_at is not None
    return (record.read_at - record.playhead_at) / timedelta(milliseconds=1)


@pytest.fixture
def desk(store: Store) -> Desk:
    return Desk(store)


async def test_a_list_that_plays_on_is_as_far_as_its_worker_reported(desk: Desk) -> None:
    """Its row was written once; each report of its worker moves it, and time alone does not."""
    await desk.begin()
    await desk.tell()
    for waited_ms in (500, 1_000, 1_500):
        await desk.wait(500)
        record = await desk.record()
        assert position(record.playhead) == soon_after(4_000 + waited_ms)
        assert age_ms(record) == 0
    # Nothing is heard of the worker.
    await desk.age(worker, "lease_ms", 400)
    await desk.age(run, "playhead_ms", 400)
    record = await desk.record()
    assert position(record.playhead) == soon_after(5_500)
    assert age_ms(record) == 400


async def test_a_list_that_stands_stays_where_it_was_told_to_be(desk: Desk) -> None:
    """Also where the place that is told then is the one that was told before."""
    await desk.begin()
    await desk.tell()
    await desk.wait(500)
    await desk.tell_place(4_000, plays_on=False)
    await desk.wait(2_000)
    record = await desk.record()
    assert position(record.playhead) == 4_000
    # It has not moved since the first time.
    assert age_ms(record) == soon_after(2_500)


@pytest.mark.parametrize("strategy", list(ContinueStrategy))
async def test_the_list_of_a_lost_worker_goes_on_where_it_was_at_its_last_report(
    desk: Desk, strategy: ContinueStrategy
) -> None:
    """And as much further as it had played since."""
    await desk.begin(continue_strategy=strategy)
    await desk.tell()
    await desk.wait(3_000)
    await desk.one.leave()
    assert position((await desk.record()).playhead) == soon_after(7_000 + LOST_STEP_MS)
    assert position(await desk.resumes()) == soon_after(7_000 + LOST_STEP_MS)


async def test_a_list_was_shown_beyond_the_end_of_its_item(desk: Desk) -> None:
    """Until its worker told of the next one. Of a lost worker it went on there, where nothing is, and not in that."""
    await desk.begin()
    await desk.tell()
    await desk.tell_place(59_500, plays_on=True)
    await desk.wait(1_500)
    assert position((await desk.record()).playhead) == 60_000
    await desk.one.leave()
    assert await desk.resumes() == Playhead(1, 0, LOST_STEP_MS)


async def test_by_the_clock_a_list_goes_on_from_its_last_report(desk: Desk) -> None:
    """Ten seconds after that."""
    await desk.begin(continue_strategy=ContinueStrategy.AT_BREAK_PLUS_ELAPSED)
    await desk.tell()
    await desk.wait(3_000)
    await desk.one.leave()
    await desk.age(run, "playhead_ms", 10_000)
    assert position(await desk.resumes()) == soon_after(17_000 + LOST_STEP_MS - LEAD_MS)


async def test_a_list_that_is_given_back_goes_on_where_its_worker_says(desk: Desk) -> None:
    await desk.begin()
    await desk.tell()
    await desk.wait(3_000)
    ended = replace(PLAYS, state=State.STOPPED, playhead=Playhead(0, 0, 7_100))
    await desk.tell(ended, plays_on=False, outcome=Outcome.HANDED_BACK)
    await desk.wait(1_000)
    assert position(await desk.resumes()) == 7_100


@pytest.mark.parametrize("by_ms", [-3_600_000, 3_600_000], ids=["back", "ahead"])
async def test_a_clock_that_is_set_moves_no_list(desk: Desk, by_ms: int) -> None:
    """The row is of before, the report of after."""
    await desk.begin()
    await desk.tell()
    await desk.wait(500)
    await desk.age(run, "playhead_ms", by_ms)
    assert position((await desk.record()).playhead) == 4_000


async def test_an_edited_list_stands_until_its_worker_has_it(desk: Desk) -> None:
    """A file before the one that plays was removed, or one behind it: it goes on from where it is by now."""
    await desk.begin()
    await desk.tell()
    await desk.wait(1_000)
    before = await desk.record()
    more = TaskItem(MediaUrl.parse("https://files.example/more.mp4"))
    longer = replace(before.spec, items=(*before.spec.items, more))
    await desk.actions.update_task(desk.task_id, lambda _: longer)
    record = await desk.record()
    assert record.playhead == before.playhead
    assert position(record.playhead) == soon_after(5_000)
    assert record.playhead_at == before.playhead_at
    await desk.wait(1_000)
    assert (await desk.record()).playhead == before.playhead
    # By a report of the version before nothing of this one has been played.
    await desk.tell_place(9_000, plays_on=True)
    assert (await desk.record()).playhead == before.playhead


@pytest.mark.parametrize(("told_ms", "by_now_ms"), [(4_000, 6_000), (59_500, 60_000)])
async def test_a_callback_tells_where_the_list_is_by_now(desk: Desk, told_ms: int, by_now_ms: int) -> None:
    """Of what happens to a destination, whose event has no place. No further than its item is long."""
    await desk.begin(callback_url="https://c.example/")
    await desk.tell()
    await desk.tell_place(told_ms, plays_on=True)
    await desk.wait(2_000)
    async with desk.store.write() as connection:
        await events.append(connection, [NewEvent(desk.task_id, "stopped", 0)])
    async with desk.store.read() as connection:
        details = (await connection.execute(sa.select(delivery.c.detail).order_by(delivery.c.id))).scalars().all()
    assert position(Playhead(**json.loads(details[-1])["playhead"])) == soon_after(by_now_ms)
