"""Who runs what: claims, leases, reports and take-overs, on SQLite and on PostgreSQL."""

import asyncio
import secrets
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
from task_samples import make_spec

from kit.claims import claim
from streamferry.control.actions import Actions
from streamferry.media.errors import Fault
from streamferry.media.url import MediaUrl
from streamferry.reasons import Code, Reason
from streamferry.relay import (
    LEAD_MS,
    Found,
    ItemChange,
    ItemStep,
    Moved,
    OnAir,
    Playhead,
    RelayStatus,
    Shown,
    State,
    Switch,
    Totals,
)
from streamferry.relay.eyes.judge import ContentFault
from streamferry.relay.status import Sense, Unseen
from streamferry.store import Store, due, workers
from streamferry.store import assignments as holds
from streamferry.store.assignments import HeldTask
from streamferry.store.database import now_ms, read_now_ms
from streamferry.store.schema import pulse, run, task, worker
from streamferry.tasks.model import ContinueStrategy, TaskItem
from streamferry.tasks.schedule import LOOK_AHEAD_MS, LOST_STEP_MS
from streamferry.worker import Change, LeaseLost, Outcome, Report, WorkerHealth

STREAMING = RelayStatus(State.STREAMING, media_time_ms=1, bytes_out=1)
MINUTE = timedelta(minutes=1)


class Desk:
    """A store with a few short words for what the tests do with it."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.actions = Actions(store)

    async def make(self, count: int = 1, **values: object) -> list[str]:
        made = []
        for _ in range(count):
            destination = MediaUrl.parse(f"rtmp://push.example/live/{secrets.token_hex(8)}")
            made.append(await self.actions.create_task(make_spec(**{"destination": destination, **values})))
        return made

    async def register(self, *names: str, capacity: int = 1000) -> None:
        for name in names:
            async with self.store.write() as connection:
                await workers.register(connection, name, capacity)

    async def claim(self, name: str, room: int = 1000, load: int = 0) -> int:
        async with self.store.write() as connection:
            return (await claim(connection, self.store.seal, name, load=load, room=room)).tasks

    async def held(self, name: str) -> list[HeldTask]:
        async with self.store.read() as connection:
            return (await holds.read(connection, self.store.seal, name, {}))[0]

    async def report(
        self, name: str, reports: Sequence[Report] = (), load: int = 0, health: WorkerHealth | None = None
    ) -> None:
        async with self.store.write() as connection:
            await holds.report(connection, name, reports, load=load, health=health)

    async def free_expired(self) -> int:
        async with self.store.write() as connection:
            return await workers.free_expired(connection)

    async def conclude(self) -> int:
        async with self.store.write() as connection:
            return await due.conclude(connection, self.store.seal)

    async def shift(self, table: sa.Table, column: str, by_ms: int) -> None:
        """Make time pass for a column."""
        async with self.store.write() as connection:
            await connection.execute(table.update().values({column: table.c[column] - by_ms}))

    async def kinds(self, task_id: str) -> list[str]:
        return [event.kind for event in await self.actions.list_feed(task_id)]


@pytest.fixture
def desk(store: Store) -> Desk:
    return Desk(store)


def report_of(
    held: HeldTask,
    status: RelayStatus = STREAMING,
    *,
    changes: tuple[Change, ...] = (),
    ends: dict[int, int] | None = None,
    outcome: Outcome | None = None,
) -> Report:
    return Report(held.task_id, held.epoch, held.version, status, changes, ends or {}, None, outcome)


async def test_only_what_is_due_is_claimed(desk: Desk) -> None:
    """A task in its window is, one that begins within the look-ahead is, one that begins later is not."""
    now = datetime.now(UTC)
    (running,) = await desk.make()
    (soon,) = await desk.make(start_at=now + timedelta(milliseconds=LOOK_AHEAD_MS - 1000))
    await desk.make(start_at=now + timedelta(milliseconds=LOOK_AHEAD_MS + 60_000))
    await desk.register("one")
    assert await desk.claim("one") == 2
    assert {held.task_id for held in await desk.held("one")} == {running, soon}
    assert await desk.claim("one") == 0


async def test_no_task_is_claimed_twice(desk: Desk) -> None:
    """Workers that ask at the same time share the tasks out: each has exactly one holder."""
    made = await desk.make(40)
    names = [f"worker-{number}" for number in range(4)]
    await desk.register(*names)
    await desk.shift(run, "due_ms", 5_000)
    taken = await asyncio.gather(*(desk.claim(name, room=15) for name in names))
    while sum(taken) < 40:
        taken += await asyncio.gather(*(desk.claim(name, room=15) for name in names))
    holders = [held.task_id for name in names for held in await desk.held(name)]
    assert sorted(holders) == sorted(made)


async def test_workers_take_their_fair_share(desk: Desk) -> None:
    """The first to ask leaves half of what is due to the second."""
    await desk.make(20)
    await desk.register("one", "two")
    async with desk.store.write() as connection:
        # However long it took to make them.
        await connection.execute(run.update().values(due_ms=now_ms()))
    assert await desk.claim("one") == 10
    assert await desk.claim("two") == 10


async def test_what_nobody_takes_is_taken_by_anybody(desk: Desk) -> None:
    """A share is left for a second only: a worker that does not ask holds nothing up."""
    await desk.make(20)
    await desk.register("one", "idle")
    await desk.shift(run, "due_ms", 2_000)
    assert await desk.claim("one") == 20


async def test_capacity_bounds_a_claim(desk: Desk) -> None:
    """No more than there is room for."""
    await desk.make(5)
    await desk.register("one", capacity=3)
    assert await desk.claim("one", room=3) == 3


async def test_a_dead_workers_tasks_are_free_and_its_late_report_is_refused(desk: Desk) -> None:
    """After the lease another worker may claim; the first one's report raises LeaseLost and writes nothing."""
    (task_id,) = await desk.make()
    await desk.register("first")
    await desk.claim("first")
    (before,) = await desk.held("first")
    assert await desk.free_expired() == 0
    await desk.shift(worker, "lease_ms", workers.LEASE_MS + 1)
    assert await desk.free_expired() == 1
    record = await desk.actions.get_task(task_id)
    assert (record.state, record.fault, record.reason) == (State.WAITING, "service", "its worker is gone")
    await desk.register("second")
    assert await desk.claim("second") == 1
    (after,) = await desk.held("second")
    assert after.epoch == before.epoch + 1
    with pytest.raises(LeaseLost):
        await desk.report("first", [report_of(before)])
    assert (await desk.actions.get_task(task_id)).state is State.WAITING
    assert await desk.kinds(task_id) == ["created", "claimed", "lost", "claimed"]


async def test_reports_keep_the_lease(desk: Desk) -> None:
    """Each report sets it to its full length again."""
    await desk.register("one")
    await desk.shift(worker, "lease_ms", workers.LEASE_MS - 2_000)
    await desk.report("one")
    await desk.shift(worker, "lease_ms", workers.LEASE_MS - 2_000)
    await desk.report("one")


async def test_a_lease_outlives_a_clock_that_is_set_forward(desk: Desk) -> None:
    """It has run out by the clock, but nobody ended it, so nobody else has the tasks: its worker may renew it."""
    (task_id,) = await desk.make()
    await desk.register("one")
    await desk.claim("one")
    (held,) = await desk.held("one")
    await desk.shift(worker, "lease_ms", 3_600_000)
    await desk.report("one", [report_of(held)])
    assert await desk.free_expired() == 0
    assert (await desk.actions.get_task(task_id)).state is State.STREAMING


async def test_a_clock_that_is_set_back_lengthens_no_lease(desk: Desk) -> None:
    """A worker that died before is not taken for alive until the clock is there again."""
    await desk.make()
    await desk.register("one")
    await desk.claim("one")
    await desk.shift(worker, "lease_ms", -3_600_000)
    assert await desk.free_expired() == 1
    await desk.register("two")
    assert await desk.claim("two") == 1


async def test_a_report_of_an_older_epoch_is_ignored(desk: Desk) -> None:
    """After a relaunch what the old performance still says changes nothing."""
    (task_id,) = await desk.make()
    await desk.register("one")
    await desk.claim("one")
    (before,) = await desk.held("one")
    await desk.actions.relaunch_task(task_id)
    late = RelayStatus(State.STREAMING, media_time_ms=1, playhead=Playhead(3, 0, 5))
    await desk.report("one", [report_of(before, late, changes=(Change(late, 0.1),), outcome=Outcome.FAILED)])
    record = await desk.actions.get_task(task_id)
    assert (record.playhead, record.worker_id) == (None, "one")
    assert await desk.kinds(task_id) == ["created", "claimed", "relaunched"]


async def test_status_and_changes_are_kept(desk: Desk) -> None:
    """The record shows the latest status; each change is an event with what was known, in order."""
    (task_id,) = await desk.make()
    await desk.register("one")
    await desk.claim("one")
    (held,) = await desk.held("one")
    retrying = RelayStatus(State.RETRYING, retries=2, fault=Fault.USER_DESTINATION, why=Reason.text("refused"))
    counts = {"media_time_ms": 9, "bytes_in": 21, "bytes_out": 20, "kbps_in": 8, "kbps_out": 7}
    counts |= {"dropped_tags": 3, "retries": 2, "repairs": 1, "sound_drift_ms": -1250}
    counts |= {"lost_ms": 2500, "lost_packets": 12}
    counts |= {"rtt_ms": 20.5, "retransmits": 7, "delivery_kbps": 9000, "server_ack_s": 1.5}
    streaming = RelayStatus(State.STREAMING, playhead=Playhead(1, 0, 40), **counts)
    changes = (Change(retrying, 0.9), Change(streaming, 0.1))
    await desk.report("one", [report_of(held, streaming, changes=changes, ends={0: 1234})])
    record = await desk.actions.get_task(task_id)
    assert (record.state, {name: getattr(record, name) for name in counts}) == (State.STREAMING, counts)
    assert (record.playhead, record.item_ends_ms) == (Playhead(1, 0, 40), (1234,))
    told = (await desk.actions.list_feed(task_id))[2:]
    assert [event.kind for event in told] == ["retrying", "streaming"]
    assert told[0].detail == {
        "state": "retrying",
        "retries": 2,
        "fault": "user_destination",
        **Reason.text("refused").told(),
    }
    assert told[0].at < told[1].at


async def test_what_a_worker_tells_of_itself_is_kept(desk: Desk) -> None:
    """Until it tells anew; a report without does not take it away."""
    await desk.register("one")
    assert (await desk.actions.list_workers())[0].health is None
    totals = Totals(1, 2, 3, 4, Counter({Fault.USER_SOURCE: 5}))
    health = WorkerHealth(cpu_percent=61.5, memory_bytes=1 << 33, beat_late_ms=4.5, preparing=2, totals=totals)
    await desk.report("one", health=health)
    await desk.report("one")
    assert (await desk.actions.list_workers())[0].health == health


async def test_a_list_that_stands_still_broke_when_it_last_moved(desk: Desk) -> None:
    """The playhead's time is kept as long as the playhead is."""
    (task_id,) = await desk.make()
    await desk.register("one")
    await desk.claim("one")
    (held,) = await desk.held("one")
    moved = RelayStatus(State.STREAMING, media_time_ms=9, playhead=Playhead(0, 0, 40))
    await desk.report("one", [report_of(held, moved)])
    first = (await desk.actions.get_task(task_id)).playhead_at
    await desk.shift(run, "playhead_ms", 5_000)
    await desk.report("one", [report_of(held, moved)])
    assert first is not None
    assert (await desk.actions.get_task(task_id)).playhead_at == first - timedelta(seconds=5)


async def test_orders_grow_when_somebody_changes_a_held_task(desk: Desk) -> None:
    """And only then, so that a worker need not read its tasks again and again."""
    held_id, *_ = await desk.make(1)
    await desk.register("one")
    await desk.claim("one")
    (other_id,) = await desk.make(start_at=datetime.now(UTC) + timedelta(minutes=30))

    async def orders() -> int:
        async with desk.store.read() as connection:
            return (await workers.poll(connection, "one"))[0]

    seen = [await orders()]
    for act in (desk.actions.stop_task, desk.actions.continue_task, desk.actions.relaunch_task):
        await act(held_id)
        seen.append(await orders())
    await desk.actions.stop_task(other_id)
    assert seen == [seen[0], seen[0] + 1, seen[0] + 2, seen[0] + 3]
    assert await orders() == seen[-1]
    await desk.actions.delete_task(held_id)
    assert await orders() == seen[-1] + 1
    assert await desk.held("one") == []


async def test_known_tasks_are_not_read_again(desk: Desk) -> None:
    """Their specs are left out as long as epoch and version are the same."""
    changed, same = await desk.make(2)
    await desk.register("one")
    await desk.claim("one")
    known = {held.task_id: (held.epoch, held.version) for held in await desk.held("one")}
    await desk.actions.stop_task(changed)
    async with desk.store.read() as connection:
        found, _ = await holds.read(connection, desk.store.seal, "one", known)
    by_id = {held.task_id: held for held in found}
    assert by_id[same].spec is None
    assert by_id[changed].spec is not None
    assert not by_id[changed].is_wanted


async def test_a_stopped_task_that_was_handed_back_waits_to_be_continued(desk: Desk) -> None:
    """It keeps its playhead, is not due, and is due at once when it is continued."""
    (task_id,) = await desk.make()
    await desk.register("one")
    await desk.claim("one")
    await desk.actions.stop_task(task_id)
    (held,) = await desk.held("one")
    stopped = RelayStatus(State.STOPPED, media_time_ms=9, playhead=Playhead(0, 0, 4_000))
    await desk.report("one", [report_of(held, stopped, outcome=Outcome.HANDED_BACK)])
    record = await desk.actions.get_task(task_id)
    assert (record.state, record.playhead, record.worker_id) == (State.STOPPED, Playhead(0, 0, 4_000), None)
    assert await desk.claim("one") == 0
    await desk.actions.continue_task(task_id)
    assert await desk.claim("one") == 1
    (again,) = await desk.held("one")
    assert again.playhead == Playhead(0, 0, 4_000)
    assert (await desk.kinds(task_id))[-4:] == ["disabled", "stopped", "enabled", "claimed"]


async def test_a_task_continued_before_it_was_handed_back_is_due_at_once(desk: Desk) -> None:
    """Stop and continue in quick succession lose nothing."""
    (task_id,) = await desk.make()
    await desk.register("one")
    await desk.claim("one")
    (held,) = await desk.held("one")
    await desk.actions.stop_task(task_id)
    await desk.actions.continue_task(task_id)
    await desk.report("one", [report_of(held, outcome=Outcome.HANDED_BACK)])
    assert await desk.claim("one") == 1


async def test_a_list_that_was_played_out_is_finished(desk: Desk) -> None:
    """It is not due any more, the API says ended, and its last event is final."""
    (task_id,) = await desk.make(loops=1)
    await desk.register("one")
    await desk.claim("one")
    (held,) = await desk.held("one")
    await desk.report("one", [report_of(held, RelayStatus(State.ENDED), outcome=Outcome.PLAYED_OUT)])
    record = await desk.actions.get_task(task_id)
    assert record.finished
    assert record.state is State.ENDED
    assert await desk.claim("one") == 0
    last = (await desk.actions.list_feed(task_id))[-1]
    assert (last.kind, last.detail["final"]) == ("ended", True)


async def test_a_place_in_the_list_before_is_none_in_the_present_one(desk: Desk) -> None:
    """A worker that has not seen an update yet reports of the old list: neither its place, ends nor its end count."""
    (task_id,) = await desk.make(loops=1)
    await desk.register("one")
    await desk.claim("one")
    (old,) = await desk.held("one")
    other = (TaskItem(MediaUrl.parse("https://files.example/other.mp4")),)
    await desk.actions.update_task(task_id, lambda spec: replace(spec, items=other))
    (new,) = await desk.held("one")
    moved = RelayStatus(State.STREAMING, media_time_ms=9, playhead=Playhead(0, 1, 4_000))
    await desk.report("one", [report_of(old, moved, ends={0: 10_000})])
    record = await desk.actions.get_task(task_id)
    assert (record.playhead, record.item_ends_ms) == (None, ())
    await desk.report("one", [report_of(new, replace(moved, playhead=Playhead(0, 0, 500)), ends={0: 700})])
    record = await desk.actions.get_task(task_id)
    assert (record.playhead, record.item_ends_ms) == (Playhead(0, 0, 500), (700,))
    await desk.report("one", [report_of(old, RelayStatus(State.ENDED), outcome=Outcome.PLAYED_OUT)])
    record = await desk.actions.get_task(task_id)
    assert (record.finished, record.state) == (False, State.WAITING)
    assert await desk.claim("one") == 1


@pytest.mark.parametrize(
    ("after", "place", "ends"),
    [
        ("ab", (0, 1, 4_000), (10_000, 20_000)),
        ("acd", (0, 1, 0), (10_000,)),
        ("abcd", (0, 1, 4_000), (10_000, 20_000)),
        ("cab", (0, 2, 4_000), (None, 10_000, 20_000)),
        ("b", (0, 0, 4_000), (20_000,)),
        ("axc", (0, 1, 0), (10_000,)),
        ("a", (1, 0, 0), (10_000,)),
        ("xy", (0, 1, 0), ()),
    ],
)
async def test_an_edited_list_keeps_its_place(
    desk: Desk, after: str, place: tuple[int, int, int], ends: tuple[int | None, ...]
) -> None:
    """With the item where it stands, wherever that is now, or with what is in its place: it never begins anew."""

    def items(names: str) -> tuple[TaskItem, ...]:
        return tuple(TaskItem(MediaUrl.parse(f"https://files.example/{name}.mp4")) for name in names)

    (task_id,) = await desk.make(items=items("abc"))
    await desk.register("one")
    await desk.claim("one")
    (held,) = await desk.held("one")
    moved = RelayStatus(State.STREAMING, media_time_ms=9, playhead=Playhead(0, 1, 4_000))
    await desk.report("one", [report_of(held, moved, ends={0: 10_000, 1: 20_000})])
    await desk.actions.update_task(task_id, lambda spec: replace(spec, items=items(after)))
    # Its worker has not seen that yet, and reports where the old list is by now.
    await desk.report("one", [report_of(held, replace(moved, playhead=Playhead(0, 2, 600)), ends={2: 30_000})])
    record = await desk.actions.get_task(task_id)
    assert (record.playhead, record.item_ends_ms) == (Playhead(*place), ends)


async def test_a_place_is_kept_that_was_reported_before_another_change_was_seen(desk: Desk) -> None:
    """A change of the title leaves the list as it is."""
    (task_id,) = await desk.make()
    await desk.register("one")
    await desk.claim("one")
    (held,) = await desk.held("one")
    await desk.actions.update_task(task_id, lambda spec: replace(spec, title="Other"))
    await desk.report(
        "one", [report_of(held, RelayStatus(State.STREAMING, media_time_ms=9, playhead=Playhead(3, 0, 4)))]
    )
    assert (await desk.actions.get_task(task_id)).playhead == Playhead(3, 0, 4)


@pytest.mark.parametrize("strategy", list(ContinueStrategy))
async def test_a_place_beyond_the_list_costs_nobody_anything(desk: Desk, strategy: ContinueStrategy) -> None:
    """As a store may hold it that an earlier version wrote: the list begins anew, and the other tasks are taken too."""
    task_id, _ = await desk.make(2, continue_strategy=strategy)
    beyond = {"item": 29, "position_ms": 4_000, "playhead_ms": 1_000_000}
    async with desk.store.write() as connection:
        await connection.execute(run.update().where(run.c.task_id == task_id).values(beyond))
    assert await desk.conclude() == 0
    await desk.register("one")
    assert await desk.claim("one") == 2
    assert [one.playhead for one in await desk.held("one")] == [Playhead(), Playhead()]


async def test_a_window_moved_into_the_future_stops_what_runs_for_now(desk: Desk) -> None:
    """It is told as a stop that is not final; a worker that had not begun yet has nothing to tell."""
    (task_id,) = await desk.make()
    later = datetime.now(UTC) + timedelta(hours=1)
    await desk.register("one")
    for status, told in ((State.STOPPED, "stopped"), (State.WAITING, "waiting")):
        await desk.claim("one")
        await desk.actions.update_task(task_id, lambda spec: replace(spec, start_at=later, end_at=later + MINUTE))
        (held,) = await desk.held("one")
        await desk.report("one", [report_of(held, RelayStatus(status), outcome=Outcome.HANDED_BACK)])
        last = (await desk.actions.list_feed(task_id))[-1]
        assert (last.kind, last.detail["state"], last.detail["final"]) == (told, "waiting", False)
        assert (await desk.actions.get_task(task_id)).state is State.WAITING
        now = datetime.now(UTC)
        await desk.actions.update_task(task_id, lambda spec, now=now: replace(spec, start_at=now, end_at=now + MINUTE))


async def test_a_failed_task_is_tried_again_later(desk: Desk) -> None:
    """Not at once, and its event says that it is not final."""
    (task_id,) = await desk.make()
    await desk.register("one")
    await desk.claim("one")
    (held,) = await desk.held("one")
    failed = RelayStatus(State.FAILED, fault=Fault.USER_SOURCE, why=Reason.text("not media"))
    await desk.report("one", [report_of(held, failed, outcome=Outcome.FAILED)])
    record = await desk.actions.get_task(task_id)
    assert (record.state, record.fault, record.reason) == (State.FAILED, "user_source", "not media")
    assert (await desk.actions.list_feed(task_id))[-1].detail["final"] is False
    assert await desk.claim("one") == 0
    await desk.shift(run, "due_ms", 60_000)
    assert await desk.claim("one") == 1


async def test_a_task_nobody_ran_is_concluded_after_its_window(desk: Desk) -> None:
    """Once, with a final event; and no worker claims it."""
    (task_id,) = await desk.make(end_at=datetime.now(UTC) - timedelta(seconds=1))
    await desk.register("one")
    assert await desk.claim("one") == 0
    assert await desk.conclude() == 1
    assert await desk.conclude() == 0
    assert await desk.kinds(task_id) == ["created", "ended"]


async def test_a_window_that_ended_with_its_worker_dead_was_told_as_that(desk: Desk) -> None:
    """X-3: "its worker is gone" was the last that was heard of a task that has simply ended."""
    (task_id,) = await desk.make()
    await desk.register("one")
    await desk.claim("one")
    (held,) = await desk.held("one")
    await desk.report("one", [report_of(held)])
    await desk.shift(worker, "lease_ms", workers.LEASE_MS + 1)
    assert await desk.free_expired() == 1
    assert "worker" in ((await desk.actions.get_task(task_id)).reason or "")
    await desk.shift(task, "end_ms", 7 * 24 * 3_600_000)
    assert await desk.conclude() == 1
    record = await desk.actions.get_task(task_id)
    assert (record.state, record.fault, record.reason) == (State.ENDED, None, None)
    last = (await desk.actions.list_feed(task_id))[-1]
    assert (last.kind, last.detail) == ("ended", {"final": True})


async def test_the_tasks_of_a_worker_that_was_gone_for_hours_hung_for_ever(desk: Desk) -> None:
    """All machines were off. The first worker that came back forgot the one before it, tasks and all, before a
    scheduler had ended its lease."""
    (task_id,) = await desk.make()
    await desk.register("one")
    await desk.claim("one")
    await desk.shift(worker, "lease_ms", 3 * 3_600_000)
    await desk.register("two")
    assert await desk.free_expired() == 1
    assert await desk.claim("two") == 1
    assert (await desk.kinds(task_id))[-2:] == ["lost", "claimed"]


async def test_a_worker_that_had_nothing_is_forgotten_after_an_hour(desk: Desk) -> None:
    """Nobody ends the lease of one that was killed while it was idle."""
    await desk.register("one")
    await desk.shift(worker, "lease_ms", 2 * 3_600_000)
    await desk.register("two")
    assert [one.worker_id for one in await desk.actions.list_workers()] == ["two"]


@pytest.mark.parametrize(("strategy", "expected"), [(0, Playhead(0, 0, 4_000)), (1, Playhead(3, 0, 4_000 - LEAD_MS))])
async def test_a_take_over_follows_the_continue_strategy(desk: Desk, strategy: int, expected: Playhead) -> None:
    """30 s after the break a list of 10 s is at the break again, or three loops on (and what this test took).

    It had played on behind the place that was saved last, so it goes on as much behind that. By the clock it is less
    far than what had been sent: that was a lead ahead of it, and so will be what is sent now.
    """
    await desk.make(continue_strategy=ContinueStrategy(strategy))
    await desk.register("one")
    await desk.claim("one")
    (held,) = await desk.held("one")
    moved = RelayStatus(State.STREAMING, media_time_ms=9, playhead=Playhead(0, 0, 4_000))
    began_at = time.time()
    await desk.report("one", [report_of(held, moved, ends={0: 10_000})])
    await desk.shift(run, "playhead_ms", 30_000)
    await desk.shift(worker, "lease_ms", 30_000)
    await desk.free_expired()
    await desk.register("two")
    await desk.claim("two")
    (again,) = await desk.held("two")
    later_ms, expected_ms = (one.loop * 10_000 + one.position_ms for one in (again.playhead, expected))
    took_ms = (time.time() - began_at) * 1000
    assert 0 <= later_ms - expected_ms - LOST_STEP_MS <= took_ms + 1


@pytest.mark.parametrize(("state", "lead_ms"), [(State.STREAMING, LOST_STEP_MS), (State.RETRYING, 0)])
async def test_worker_after_worker_lost_moves_a_list_no_further_than_it_played(
    desk: Desk, state: State, lead_ms: int
) -> None:
    """What did not play when its worker was lost stands where it stood: a start that is killed, time and again."""
    await desk.make()
    await desk.register("one")
    await desk.claim("one")
    (held,) = await desk.held("one")
    await desk.report("one", [report_of(held, RelayStatus(state, media_time_ms=9, playhead=Playhead(0, 0, 4_000)))])
    for name in ("two", "three", "four"):
        await desk.shift(worker, "lease_ms", 30_000)
        assert await desk.free_expired() == 1
        await desk.register(name)
        await desk.claim(name)
    assert [one.playhead for one in await desk.held("four")] == [Playhead(0, 0, 4_000 + lead_ms)]


async def test_a_finite_list_that_would_have_been_played_out_is_concluded(desk: Desk) -> None:
    """With strategy 1, when the break lasted longer than what was left."""
    (task_id,) = await desk.make(continue_strategy=ContinueStrategy.AT_BREAK_PLUS_ELAPSED, loops=2)
    await desk.register("one")
    await desk.claim("one")
    (held,) = await desk.held("one")
    moved = RelayStatus(State.STREAMING, media_time_ms=9, playhead=Playhead(0, 0, 4_000))
    await desk.report("one", [report_of(held, moved, ends={0: 10_000}, outcome=Outcome.HANDED_BACK)])
    await desk.shift(run, "playhead_ms", 30_000)
    assert await desk.claim("one") == 0
    assert await desk.conclude() == 1
    assert (await desk.actions.get_task(task_id)).finished


async def test_items_and_the_start_are_events(desk: Desk) -> None:
    """With the item's own place and fault, and with the state in which the run was; also when it has ended since."""
    (task_id,) = await desk.make()
    await desk.register("one")
    await desk.claim("one")
    (held,) = await desk.held("one")
    retrying = RelayStatus(State.RETRYING, retries=3, fault=Fault.USER_DESTINATION, why=Reason.text("refused"))
    failed = ItemChange(ItemStep.FAILED, Playhead(1, 4), Fault.USER_SOURCE, Reason.text("answered 404"))
    changes = (
        Change(RelayStatus(State.PREPARING), 0.3, starting=True),
        Change(retrying, 0.2, item=ItemChange(ItemStep.STARTED, Playhead(1, 3)), untold=7),
        Change(RelayStatus(State.ENDED), 0.1, item=failed),
    )
    await desk.report("one", [report_of(held, changes=changes)])
    place = {"loop": 1, "item": 3, "position_ms": 0}
    assert [(event.kind, event.detail) for event in (await desk.actions.list_feed(task_id))[2:]] == [
        ("starting", {"state": "preparing", "retries": 0}),
        ("item_started", {"state": "retrying", "retries": 3, "playhead": place, "untold": 7}),
        (
            "item_failed",
            {
                "state": "ended",
                "retries": 0,
                "playhead": {**place, "item": 4},
                "fault": "user_source",
                **Reason.text("answered 404").told(),
            },
        ),
    ]


async def test_what_is_on_air_is_kept_and_each_switch_is_an_event(desk: Desk) -> None:
    """With where it went from and to, and why; what is on air is shown until nobody runs the task any more."""
    (task_id,) = await desk.make()
    await desk.register("one")
    await desk.claim("one")
    (held,) = await desk.held("one")
    since = datetime(2026, 5, 1, 12, tzinfo=UTC)
    first = OnAir(Shown.INPUT, since, Reason.of(Code.ON_AIR_FIRST), 0)
    slate = OnAir(Shown.SLATE, since, Reason.of(Code.ON_AIR_DOWN, input=0, seconds=3.0))
    status = RelayStatus(State.STREAMING, on_air=slate)
    await desk.report("one", [report_of(held, status, changes=(Change(status, 0.2, switch=Switch(first, slate)),))])
    last = (await desk.actions.list_feed(task_id))[-1]
    assert last.kind == "switched"
    assert (last.detail["from"], last.detail["to"]) == ("input 0", "slate")
    assert last.detail["reason_code"] == "on_air.down"
    assert (await desk.actions.get_task(task_id)).on_air == slate
    film = OnAir(Shown.INSERT, since, Reason.of(Code.ON_AIR_INSERT), None, "https://h.example/ad.mp4?t=***")
    status = RelayStatus(State.STREAMING, on_air=film)
    changes = (Change(status, 0.2, switch=Switch(slate, film)), Change(status, 0.3))
    await desk.report("one", [report_of(held, status, changes=changes)])
    assert (await desk.actions.get_task(task_id)).on_air == film
    told = (await desk.actions.list_feed(task_id))[-2:]
    assert [(one.kind, one.detail["file"]) for one in told] == [("switched", film.file), ("streaming", film.file)]
    await desk.report("one", [report_of(held, RelayStatus(State.STOPPED), outcome=Outcome.HANDED_BACK)])
    assert (await desk.actions.get_task(task_id)).on_air is None


async def test_a_destination_that_asked_for_another_session_is_an_event(desk: Desk) -> None:
    """Of several it says which; it is no failure, and changes no state."""
    (task_id,) = await desk.make()
    await desk.register("one")
    await desk.claim("one")
    (held,) = await desk.held("one")
    status = RelayStatus(State.STREAMING)
    moves = [Moved(which, Reason.of(Code.DESTINATION_MOVED, peer="b:1935")) for which in ("", "7")]
    changes = tuple(Change(status, 0.2, moved=move) for move in moves)
    await desk.report("one", [report_of(held, status, changes=changes)])
    *_, first, second = await desk.actions.list_feed(task_id)
    assert first.kind == second.kind == "destination_moved"
    assert "b:1935" in first.detail["reason"]
    assert "destination" not in first.detail
    assert second.detail["destination"] == 7
    assert first.detail["retries"] == 0


async def test_what_is_wrong_with_the_content_is_kept_and_told_when_it_begins_and_when_it_is_over(desk: Desk) -> None:
    """Shown and counted until it is over, or nobody runs the task any more."""
    (task_id,) = await desk.make()
    await desk.register("one")
    await desk.claim("one")
    (held,) = await desk.held("one")
    black = Found(ContentFault.BLACK, datetime(2026, 5, 1, 12, tzinfo=UTC), Reason.of(Code.CONTENT_BLACK))
    status = RelayStatus(State.STREAMING, found=(black,))
    await desk.report("one", [report_of(held, status, changes=(Change(status, 0.2, content=black),))])
    assert (await desk.actions.get_task(task_id)).found == (black,)
    assert [one.found for one in await desk.actions.list_running()] == [(black,)]
    well = RelayStatus(State.STREAMING)
    await desk.report("one", [report_of(held, well, changes=(Change(well, 0.2, content=black, is_over=True),))])
    assert (await desk.actions.get_task(task_id)).found == ()
    told = (await desk.actions.list_feed(task_id))[-2:]
    assert [(one.kind, one.detail["content"], one.detail["reason_code"]) for one in told] == [
        ("content_found", "black", "content.black"),
        ("content_over", "black", "content.black"),
    ]
    await desk.report("one", [report_of(held, status)])
    await desk.report("one", [report_of(held, RelayStatus(State.STOPPED), outcome=Outcome.HANDED_BACK)])
    assert (await desk.actions.get_task(task_id)).found == ()


async def test_what_cannot_be_watched_is_kept_and_is_no_event(desk: Desk) -> None:
    """It is shown until it can be, or nobody runs the task any more."""
    (task_id,) = await desk.make()
    await desk.register("one")
    await desk.claim("one")
    (held,) = await desk.held("one")
    why = Reason.of(Code.CONTENT_PICTURE_UNSEEN, why=Reason.of(Code.CONTENT_DAMAGED))
    unseen = Unseen(Sense.PICTURE, datetime(2026, 5, 1, 12, tzinfo=UTC), why)
    status = RelayStatus(State.STREAMING, unseen=(unseen,))
    known = len(await desk.actions.list_feed(task_id))
    await desk.report("one", [report_of(held, status)])
    assert (await desk.actions.get_task(task_id)).unseen == (unseen,)
    await desk.report("one", [report_of(held, RelayStatus(State.STREAMING))])
    assert (await desk.actions.get_task(task_id)).unseen == ()
    assert len(await desk.actions.list_feed(task_id)) == known
    await desk.report("one", [report_of(held, status)])
    await desk.report("one", [report_of(held, RelayStatus(State.STOPPED), outcome=Outcome.HANDED_BACK)])
    assert (await desk.actions.get_task(task_id)).unseen == ()


async def test_a_task_that_was_stopped_when_its_worker_died_is_told_as_stopped(desk: Desk) -> None:
    """There is nobody left to say it; one that is still wanted was lost."""
    wanted, unwanted = await desk.make(2)
    await desk.register("one")
    await desk.claim("one")
    await desk.actions.stop_task(unwanted)
    async with desk.store.write() as connection:
        await workers.leave(connection, "one")
    assert (await desk.kinds(wanted))[-1] == "lost"
    last = (await desk.actions.list_feed(unwanted))[-1]
    assert (last.kind, last.detail["final"]) == ("stopped", True)


async def test_leaving_frees_at_once(desk: Desk) -> None:
    """Nobody has to wait for the lease of a worker that said good-bye."""
    await desk.make()
    await desk.register("one")
    await desk.claim("one")
    async with desk.store.write() as connection:
        await workers.leave(connection, "one")
    await desk.register("two")
    assert await desk.claim("two") == 1


async def test_looks_for_work_use_the_index_of_due_times(store: Store) -> None:
    """So a look costs what is due and not what is stored, on both databases."""
    query = sa.select(run.c.task_id).where(run.c.due_ms <= now_ms())
    async with store.read() as connection:
        text = str(query.compile(dialect=connection.dialect))
        explain = "EXPLAIN QUERY PLAN"
        if connection.dialect.name == "postgresql":
            # An empty table is scanned whatever index there is, unless that is made dear.
            await connection.execute(sa.text("SET LOCAL enable_seqscan = off"))
            explain = "EXPLAIN"
        plan = " ".join(str(row) for row in await connection.execute(sa.text(f"{explain} {text}")))
    assert "ix_run_due_ms" in plan
    assert "due_ms<?" in plan or "Index Cond" in plan


async def test_a_task_that_nobody_had_room_for_was_told_as_played(desk: Desk) -> None:
    """It waits with a reason within seconds, told once, and at the end of its window it has failed by our fault."""
    (task_id,) = await desk.make()
    async with desk.store.write() as connection:
        assert await due.tell_late(connection) == 0
    await desk.shift(run, "due_ms", due.LATE_MS + 1)
    await desk.shift(task, "start_ms", due.LATE_MS + 1)
    assert await desk.actions.count_late() == 1
    async with desk.store.write() as connection:
        assert (await due.read_pending(connection)).late
        assert await due.tell_late(connection) == 1
        assert await due.tell_late(connection) == 0
    record = await desk.actions.get_task(task_id)
    assert (record.state, record.fault, record.reason) == (
        State.WAITING,
        "service",
        "no worker takes tasks: none runs, or each is cordoned",
    )
    assert record.trouble is not None
    await desk.shift(task, "end_ms", 24 * 3_600_000)
    assert await desk.conclude() == 1
    record = await desk.actions.get_task(task_id)
    assert (record.state, record.fault) == (State.FAILED, "service")
    assert record.reason == "was never started: no worker took it in its time"
    last = (await desk.actions.list_feed(task_id))[-1]
    assert (last.kind, last.detail["final"], last.detail["fault"]) == ("failed", True, "service")
    assert await desk.actions.count_late() == 0


async def test_nobody_is_late_before_workers_could_ask(desk: Desk) -> None:
    """After a start of the service, or an outage of its store, what is due for long is not told to find no room."""
    await desk.make()
    await desk.shift(run, "due_ms", 3_600_000)
    await desk.shift(task, "start_ms", 3_600_000)
    async with desk.store.write() as connection:
        await workers.beat(connection, await read_now_ms(connection), afresh=True)
        assert not (await due.read_pending(connection)).late
        assert await due.tell_late(connection) == 0
    await desk.shift(pulse, "since_ms", 10_001)
    async with desk.store.write() as connection:
        assert await due.tell_late(connection) == 1


async def test_a_late_task_that_is_taken_at_last_is_late_no_more(desk: Desk) -> None:
    """Its first report says what it does."""
    (task_id,) = await desk.make()
    await desk.shift(run, "due_ms", due.LATE_MS + 1)
    await desk.shift(task, "start_ms", due.LATE_MS + 1)
    async with desk.store.write() as connection:
        await due.tell_late(connection)
    await desk.register("one")
    assert await desk.claim("one") == 1
    assert await desk.actions.count_late() == 0
    (held,) = await desk.held("one")
    await desk.report("one", [report_of(held)])
    assert (await desk.actions.get_task(task_id)).reason is None


async def test_the_end_of_a_task_carried_what_ailed_its_last_worker(desk: Desk) -> None:
    """Its window ended while nobody had it, after it had run: that is no fault."""
    (task_id,) = await desk.make()
    await desk.register("one")
    await desk.claim("one")
    await desk.shift(worker, "lease_ms", workers.LEASE_MS + 1)
    await desk.free_expired()
    await desk.shift(task, "end_ms", 24 * 3_600_000)
    await desk.conclude()
    record = await desk.actions.get_task(task_id)
    assert (record.state, record.fault, record.reason) == (State.ENDED, None, None)
