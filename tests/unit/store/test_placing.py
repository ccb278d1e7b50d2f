"""Labels, limits, cordons and moves in the store: what its workers take, what they give back, and what is told."""

import secrets
from collections.abc import Sequence

import pytest
import sqlalchemy as sa
from task_samples import make_spec

from streamferry.control.actions import Actions
from streamferry.control.scheduler import Scheduler
from streamferry.control.store_ledger import StoreLedger
from streamferry.media.url import MediaUrl
from streamferry.relay.spec import Codecs
from streamferry.relay.status import RelayStatus, State
from streamferry.store import Store, claims, due, fleet
from streamferry.store.database import read_now_ms
from streamferry.store.records import Intent
from streamferry.store.schema import run, task, worker
from streamferry.store.workers import Traits
from streamferry.tasks.errors import WorkerNotFound
from streamferry.tasks.model import TaskItem, TaskKind
from streamferry.worker import Assignment, Outcome, Report

STREAMING = RelayStatus(State.STREAMING, media_time_ms=100_000, bytes_out=25_000_000)
EU = ("region=eu",)


class Machines:
    """Workers by name, each with what it holds."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.actions = Actions(store)
        self.ledgers: dict[str, StoreLedger] = {}
        self.capacity: dict[str, int] = {}

    async def start(self, name: str, capacity: int = 10, **traits: object) -> None:
        # However slow the machine is, they are alive.
        self.ledgers[name] = StoreLedger(
            self.store,
            name,
            capacity=capacity,
            traits=Traits(**traits),  # type: ignore[arg-type]
            lease_s=600,
        )
        self.capacity[name] = capacity
        await self.ledgers[name].register()

    async def make(self, count: int = 1, **values: object) -> list[str]:
        to = [MediaUrl.parse(f"rtmp://push.example/live/{secrets.token_hex(8)}") for _ in range(count)]
        return [await self.actions.create_task(make_spec(**{"destination": one, **values})) for one in to]

    async def held(self, name: str) -> dict[str, Assignment]:
        found = await self.ledgers[name].assignments({})
        return {task_id: one for task_id, one in found.items() if one is not None}

    async def poll(self, *names: str) -> None:
        """Each asks for work once."""
        for name in names or self.ledgers:
            load = len(await self.held(name))
            await self.ledgers[name].poll(load, self.capacity[name] - load)

    async def report(self, name: str, outcome: Outcome | None = None, only: Sequence[str] | None = None) -> None:
        held = await self.held(name)
        told = [
            Report(one.task_id, one.epoch, one.version, STREAMING, (), {}, None, outcome)
            for one in held.values()
            if only is None or one.task_id in only
        ]
        await self.ledgers[name].report(told, len(held) - (len(told) if outcome else 0), None)

    async def moving(self, name: str) -> list[str]:
        return [task_id for task_id, one in (await self.held(name)).items() if one.moves]

    async def be_late(self) -> None:
        async with self.store.write() as connection:
            await connection.execute(run.update().values(due_ms=run.c.due_ms - due.LATE_MS - 1))
            await connection.execute(task.update().values(start_ms=task.c.start_ms - due.LATE_MS - 1))


@pytest.fixture
def machines(store: Store) -> Machines:
    return Machines(store)


async def test_a_task_goes_where_its_labels_are(machines: Machines) -> None:
    """However many others wait before it, and whoever asks first; a task without labels goes anywhere."""
    await machines.start("us", 30, labels=("region=us",))
    await machines.start("eu", 30, labels=("disk=ssd", *EU))
    nowhere = await machines.make(12, placement=("region=mars",))
    bound = await machines.make(2, placement=EU)
    free = await machines.make(2)
    await machines.be_late()
    await machines.poll("us", "eu")
    assert set(await machines.held("us")) <= {*free}
    assert {*bound} <= set(await machines.held("eu"))
    assert set(await machines.held("us")) | set(await machines.held("eu")) == {*bound, *free}
    assert {(await machines.actions.get_task(one)).worker_id for one in nowhere} == {None}


async def test_nothing_is_due_for_a_worker_that_may_not_take_it(machines: Machines) -> None:
    """It only reads: a task for which there is no worker costs no writes."""
    await machines.start("us", labels=("region=us",))
    await machines.make(placement=EU)
    async with machines.store.write() as connection:
        before = await connection.scalar(sa.select(sa.func.sum(run.c.epoch)))
    await machines.poll()
    from streamferry.store import workers

    async with machines.store.read() as connection:
        _, has_due, _ = await workers.poll(connection, "us", ("region=us",))
        assert not has_due
        _, has_due, _ = await workers.poll(connection, "us", EU)
        assert has_due
        assert await connection.scalar(sa.select(sa.func.sum(run.c.epoch))) == before


async def test_why_a_task_waits(machines: Machines) -> None:
    """Told within a pass, and told anew when the reason is another one; not each time."""
    await machines.start("us", 1, labels=("region=us",))
    (bound,) = await machines.make(placement=EU)
    await machines.be_late()
    scheduler = Scheduler(machines.store)
    async with machines.store.write() as connection:
        assert await due.tell_late(connection) == 1
        assert await due.tell_late(connection) == 0
    record = await machines.actions.get_task(bound)
    assert (record.state, record.fault, record.reason) == (State.WAITING, "service", "no worker has label region=eu")
    await machines.start("eu", 1, labels=EU)
    (first,) = await machines.make(placement=EU, priority=5)
    await machines.be_late()
    await machines.poll("eu")
    assert set(await machines.held("eu")) == {first}
    async with machines.store.read() as connection:
        assert (await due.read_pending(connection)).late
    await scheduler.run_once()
    record = await machines.actions.get_task(bound)
    assert record.reason == "no worker with label region=eu has room"
    async with machines.store.read() as connection:
        assert not (await due.read_pending(connection)).late


async def test_what_waits_asks_for_another_worker_only_where_it_could_take_it(machines: Machines) -> None:
    """By its labels, and by whether it encodes: no number of other workers would help."""
    await machines.make(1, placement=EU)
    await machines.make(2)
    await machines.make(4, codecs=Codecs.H264)
    async with machines.store.read() as connection:
        assert await due.count_late_for(connection, EU, encodes=True) == 0
    await machines.be_late()
    async with machines.store.read() as connection:
        assert await due.count_late_for(connection, EU, encodes=True) == 7
        assert await due.count_late_for(connection, (), encodes=True) == 6
        assert await due.count_late_for(connection, ("region=us",), encodes=False) == 2


async def test_tasks_of_one_source_share_a_worker(machines: Machines) -> None:
    """Lists and other sources spread."""
    for name in ("a", "b"):
        await machines.start(name, 100)
    same = {"kind": TaskKind.LIVE, "items": (TaskItem(MediaUrl.parse("rtmp://origin.example/live/one")),)}
    one, two = await machines.make(2, **same)
    await machines.poll("a", "b")
    three, other = *await machines.make(1, **same), *await machines.make(1)
    await machines.poll("b", "a", "b")
    held = {name: set(await machines.held(name)) for name in ("a", "b")}
    assert {one, two, three} in held.values()
    assert {other} in held.values()


async def test_encodes_and_bits_are_limits(machines: Machines) -> None:
    """Counted by what its tasks are, and by what they were measured to send."""
    await machines.start("a", 10, max_encodes=1, max_kbps=9_000)
    await machines.make(2, codecs=Codecs.H264)
    await machines.poll()
    assert len(await machines.held("a")) == 1
    shown = (await machines.actions.list_workers())[0]
    assert (shown.encodes, shown.max_encodes, shown.kbps, shown.max_kbps) == (1, 1, 4_000, 9_000)
    # Measured: 2 Mbps, and there is room for one more that is taken to send 4.
    await machines.report("a")
    assert (await machines.actions.list_workers())[0].kbps == 2_000
    await machines.make(3)
    machines.ledgers["a"]._claim_at = 0.0
    await machines.poll()
    assert len(await machines.held("a")) == 2


async def test_a_cordoned_worker_takes_nothing(machines: Machines) -> None:
    """It keeps what it has; it stays cordoned when it starts anew under its name, until it is told otherwise."""
    await machines.start("a")
    (kept,) = await machines.make()
    await machines.poll()
    await machines.actions.set_intent("a", Intent.CORDONED)
    await machines.make()
    await machines.be_late()
    await machines.poll()
    assert set(await machines.held("a")) == {kept}
    assert await machines.moving("a") == []
    await machines.ledgers["a"].register()
    await machines.poll()
    assert await machines.held("a") == {}
    record = (await machines.actions.list_workers())[0]
    assert (record.intent, record.room) == (Intent.CORDONED, 0)
    assert record.since_at is not None
    assert record.since_at <= record.started_at
    await machines.actions.set_intent("a", Intent.OPEN)
    await machines.poll()
    assert len(await machines.held("a")) == 2


async def test_a_drained_worker_keeps_what_has_no_other_place(machines: Machines) -> None:
    """What has one is marked, given back, and taken by the other; nothing goes off the air for nothing."""
    await machines.start("a", 10, labels=EU)
    tasks = await machines.make(3)
    (bound,) = await machines.make(placement=EU)
    await machines.poll("a")
    await machines.report("a")
    scheduler = Scheduler(machines.store)
    await machines.actions.set_intent("a", Intent.DRAINING)
    await scheduler.run_once()
    assert await machines.moving("a") == []
    await machines.start("b", 2)
    await scheduler.run_once()
    going = await machines.moving("a")
    assert len(going) == 2
    assert {*going} < {*tasks}
    await machines.report("a", Outcome.HANDED_BACK, going)
    await machines.poll("a", "b")
    assert set(await machines.held("b")) == {*going}
    assert set(await machines.held("a")) == {*tasks, bound} - {*going}
    assert not any(one.moves for one in (await machines.held("b")).values())
    told = await machines.actions.list_latest_events(going[0], limit=2)
    assert [one.kind for one in told] == ["claimed", "waiting"]
    assert told[1].detail["reason"] == "moves to another worker"
    await scheduler.run_once()
    assert await machines.moving("a") == []


async def test_a_drain_can_be_taken_back(machines: Machines) -> None:
    """What has not been given back stays."""
    for name in ("a", "b"):
        await machines.start(name)
        await machines.make()
        await machines.poll(name)
    await machines.actions.set_intent("a", Intent.DRAINING)
    await Scheduler(machines.store).run_once()
    assert len(await machines.moving("a")) == 1
    await machines.actions.set_intent("a", Intent.OPEN)
    assert await machines.moving("a") == []
    kinds = [one.kind for one in await machines.actions.list_audit()]
    assert kinds == ["worker_opened", "worker_drained"]


async def test_there_is_no_such_worker(machines: Machines) -> None:
    """Whatever it is called."""
    for name in ("nobody", "no\0body", ""):
        with pytest.raises(WorkerNotFound):
            await machines.actions.set_intent(name, Intent.CORDONED)


async def test_a_machine_that_comes_back_gets_tasks(machines: Machines) -> None:
    """A few at a time, of those that have been on the air for a while, and only if that is wanted."""
    await machines.start("a", 10)
    await machines.make(10)
    await machines.poll()
    await machines.start("b", 10)
    await machines.report("a")
    await Scheduler(machines.store).run_once()
    assert await machines.moving("a") == []
    await Scheduler(machines.store, rebalances=True).run_once()
    going = await machines.moving("a")
    assert len(going) == 2
    await machines.report("a", Outcome.HANDED_BACK, going)
    await machines.poll("a", "b")
    assert set(await machines.held("b")) == {*going}
    await Scheduler(machines.store, rebalances=True).run_once()
    assert await machines.moving("a") == []


async def test_what_has_just_begun_is_not_moved(machines: Machines) -> None:
    """It may have been moved here a moment ago."""
    await machines.start("a", 10)
    await machines.make(10)
    await machines.poll()
    await machines.start("b", 10)
    await Scheduler(machines.store, rebalances=True).run_once()
    assert await machines.moving("a") == []


async def test_a_drain_marks_no_more_than_there_are_places(machines: Machines) -> None:
    """What is on its way has a place already, however many passes there are before it is given back, and whatever
    waits for a place takes one, too."""
    await machines.start("a", 10)
    tasks = await machines.make(5)
    await machines.poll("a")
    await machines.report("a")
    await machines.start("b", 3)
    (waiting,) = await machines.make()
    await machines.actions.set_intent("a", Intent.DRAINING)
    schedulers = [Scheduler(machines.store), Scheduler(machines.store)]
    for _ in range(2):
        for scheduler in schedulers:
            await scheduler.run_once()
    going = await machines.moving("a")
    assert len(going) == 2
    await machines.report("a", Outcome.HANDED_BACK, going)
    await machines.poll("b")
    assert set(await machines.held("b")) == {waiting, *going}
    assert set(await machines.held("a")) == {*tasks} - {*going}


async def test_encodes_that_wait_hold_up_no_other_task(machines: Machines) -> None:
    """However many there are, and however important, where no worker encodes, or all that do are full."""
    await machines.start("never", 3, max_encodes=0)
    await machines.start("full", 3, max_encodes=1)
    await machines.make(20, codecs=Codecs.H264, priority=10)
    await machines.be_late()
    (plain,) = await machines.make()
    await machines.poll("never", "full")
    assert set(await machines.held("never")) == {plain}
    assert len(await machines.held("full")) == 1
    (another,) = await machines.make()
    await machines.be_late()
    machines.ledgers["full"]._claim_at = 0.0
    await machines.poll("full")
    assert another in await machines.held("full")


async def test_what_has_no_other_place_does_not_keep_the_rest_of_a_drained_worker(machines: Machines) -> None:
    """However much there is of it: by its labels, or because it encodes."""
    await machines.make(51, placement=EU, priority=-5)
    await machines.make(51, codecs=Codecs.H264, priority=-4)
    (free,) = await machines.make()
    # Not before them: on a busy machine they take longer than its lease.
    await machines.start("a", 130, labels=EU)
    await machines.poll("a", "a")
    assert len(await machines.held("a")) == 103
    await machines.start("b", 10, max_encodes=0)
    await machines.actions.set_intent("a", Intent.DRAINING)
    await Scheduler(machines.store).run_once()
    assert await machines.moving("a") == [free]


async def test_a_cordon_outlives_a_machine_that_is_away_for_days(machines: Machines) -> None:
    """As for its repair; of other workers that are gone nothing is kept after an hour."""
    for name in ("a", "b"):
        await machines.start(name)
    await machines.actions.set_intent("a", Intent.CORDONED)
    async with machines.store.write() as connection:
        gone_ms = await read_now_ms(connection) - 2 * 24 * 3_600_000
        await connection.execute(worker.update().values(lease_ms=-gone_ms))
    await machines.start("c")
    assert {one.worker_id for one in await machines.actions.list_workers()} == {"a", "c"}
    await machines.start("a")
    shown = {one.worker_id: one.intent for one in await machines.actions.list_workers()}
    assert shown == {"a": Intent.CORDONED, "c": Intent.OPEN}


async def test_workers_that_were_drained_and_had_ended_were_listed_for_a_week(machines: Machines) -> None:
    """Each pod of an upgrade. Now one is listed for some minutes; should it come back, it is still drained."""
    for name, intent in (("pod", Intent.DRAINING), ("repair", Intent.CORDONED), ("ended", Intent.OPEN)):
        await machines.start(name)
        if intent is not Intent.OPEN:
            await machines.actions.set_intent(name, intent)
        await machines.ledgers[name].leave()
    await machines.start("stays")
    await machines.actions.set_intent("stays", Intent.DRAINING)

    async def listed(ago_min: int) -> set[str]:
        async with machines.store.write() as connection:
            at_ms = await read_now_ms(connection) - ago_min * 60_000
            await connection.execute(worker.update().where(worker.c.lease_ms < 0).values(lease_ms=-at_ms))
            await connection.execute(worker.update().where(worker.c.intent_ms > at_ms).values(intent_ms=at_ms))
        return {one.worker_id for one in await machines.actions.list_workers()}

    assert await listed(9) == {"pod", "repair", "ended", "stays"}
    assert await listed(11) == {"repair", "ended", "stays"}
    assert await listed(61) == {"repair", "stays"}
    await machines.start("pod")
    assert {one.worker_id: one.intent for one in await machines.actions.list_workers()}["pod"] is Intent.DRAINING


async def test_what_is_wanted_of_a_worker_that_is_not_listed_any_more_can_be_changed(machines: Machines) -> None:
    """Before its machine comes back from repair."""
    await machines.start("a")
    await machines.actions.set_intent("a", Intent.DRAINING)
    await machines.ledgers["a"].leave()
    async with machines.store.write() as connection:
        long_ago = await read_now_ms(connection) - 24 * 3_600_000
        await connection.execute(worker.update().values(lease_ms=-long_ago, intent_ms=long_ago))
    assert await machines.actions.list_workers() == []
    await machines.actions.set_intent("a", Intent.OPEN)
    assert [one.intent for one in await machines.actions.list_workers()] == [Intent.OPEN]


@pytest.mark.parametrize("intent", [Intent.CORDONED, Intent.DRAINING])
async def test_a_worker_that_is_emptied_takes_not_even_what_it_has_chosen(
    machines: Machines, monkeypatch: pytest.MonkeyPatch, intent: Intent
) -> None:
    """A cordon may come between its choice, which is a read, and its claim: then another one takes the task."""
    await machines.start("left")
    (made,) = await machines.make()
    choose = claims.choose

    async def choose_and_be_emptied(*given: object, **named: int) -> claims.Choice:
        choice = await choose(*given, **named)  # type: ignore[arg-type]
        assert set(choice.task_ids) == {made}
        async with machines.store.write() as connection:
            assert await fleet.set_intent(connection, "left", intent)
        return choice

    with monkeypatch.context() as patch:
        patch.setattr(claims, "choose", choose_and_be_emptied)
        await machines.poll("left")
    record = await machines.actions.get_task(made)
    assert record.worker_id is None
    assert not await machines.held("left")
    await machines.start("other")
    await machines.poll("left", "other")
    assert set(await machines.held("other")) == {made}


async def test_a_worker_takes_so_many_tasks_at_once(machines: Machines, monkeypatch: pytest.MonkeyPatch) -> None:
    """And the rest when it asks again: what it has to begin must not keep it from renewing its lease. The most
    important ones come first.
    """
    monkeypatch.setattr(claims, "CLAIM_BATCH", 3)
    await machines.start("one", 20)
    others = await machines.make(5)
    first = await machines.make(2, priority=5)
    await machines.poll("one")
    held = set(await machines.held("one"))
    assert set(first) < held
    assert len(held) == 3
    await machines.poll("one")
    assert len(await machines.held("one")) == 6
    await machines.poll("one")
    assert set(await machines.held("one")) == {*first, *others}


@pytest.mark.parametrize("is_late", [False, True])
async def test_all_workers_wanted_the_same_tasks(
    machines: Machines, monkeypatch: pytest.MonkeyPatch, is_late: bool
) -> None:
    """When many became due at once, each chose the first ones, and all but one waited for the store's lock in vain; so
    again after a second, when they are for all.
    """
    monkeypatch.setattr(claims, "CLAIM_BATCH", 5)
    for name in "abcd":
        await machines.start(name)
    made = await machines.make(20)
    if is_late:
        await machines.be_late()
    async with machines.store.read() as connection:
        choices = [await claims.choose(connection, name, load=0, room=10) for name in "abcd"]
    chosen = [task_id for choice in choices for task_id in choice.task_ids]
    assert sorted(chosen) == sorted(made)
    await machines.poll()
    assert [len(await machines.held(name)) for name in "abcd"] == [5] * 4


async def test_what_a_worker_leaves_lying_others_take(machines: Machines) -> None:
    """It is alive, and asks for nothing: its part of what is due is for all after a second."""
    for name in "abc":
        await machines.start(name, 30)
    made = await machines.make(12)
    await machines.poll("a", "b")
    await machines.be_late()
    await machines.poll("a", "b")
    assert set(made) == set(await machines.held("a")) | set(await machines.held("b"))
