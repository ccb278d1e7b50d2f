"""What PostgreSQL tells of changes, and to whom. SQLite tells nothing."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from task_samples import make_spec

from kit.waiting import PATIENCE_S
from streamferry.control.actions import Actions
from streamferry.control.store_ledger import StoreLedger
from streamferry.media.url import MediaUrl
from streamferry.relay import RelayStatus, State
from streamferry.store import Store, listening, postgresql, workers
from streamferry.store.address import PostgresAddress
from streamferry.store.postgresql import Connection
from streamferry.store.schema import run, worker
from streamferry.store.workers import Traits
from streamferry.worker import Outcome, Report

ON_POSTGRESQL = pytest.mark.parametrize("store_url", ["postgresql"], indirect=True)
ANYBODY = ""


class Ear:
    """Listens to a store."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._told: asyncio.Queue[str] = asyncio.Queue()
        self._hears: asyncio.Queue[bool] = asyncio.Queue()

    async def listen(self) -> None:
        await self._store.listen(self._told.put_nowait, self._hears.put_nowait)

    async def hears(self) -> bool:
        """What was said next about whether it hears."""
        return await asyncio.wait_for(self._hears.get(), PATIENCE_S)

    async def told(self) -> list[str]:
        """Who was told of a change since the last call; what was committed before this call is in it."""
        async with self._store.write() as connection:
            await connection.execute(sa.text("SELECT pg_notify('streamferry', 'end')"))
        heard = []
        while (whom := await asyncio.wait_for(self._told.get(), PATIENCE_S)) != "end":
            heard.append(whom)
        return heard


@pytest.fixture
async def ear(store: Store) -> AsyncIterator[Ear]:
    one = Ear(store)
    task = asyncio.create_task(one.listen())
    assert await one.hears()
    yield one
    task.cancel()


async def hold_one(store: Store, worker_id: str = "one") -> tuple[Actions, StoreLedger, str]:
    actions, ledger = Actions(store), StoreLedger(store, worker_id, capacity=10)
    await ledger.register()
    task_id = await actions.create_task(make_spec(destination=MediaUrl.parse("rtmp://push.example/live/a")))
    await ledger.poll(0, 10)
    return actions, ledger, task_id


@ON_POSTGRESQL
async def test_all_are_told_of_a_task_that_is_due(store: Store, ear: Ear) -> None:
    """Of one that begins tomorrow nobody is."""
    actions = Actions(store)
    await actions.create_task(make_spec(destination=MediaUrl.parse("rtmp://push.example/live/now")))
    assert await ear.told() == [ANYBODY]
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    window = {"start_at": tomorrow, "end_at": tomorrow + timedelta(hours=1)}
    task_id = await actions.create_task(make_spec(destination=MediaUrl.parse("rtmp://push.example/live/b"), **window))
    assert await ear.told() == []
    await actions.stop_task(task_id)
    assert await ear.told() == []


@ON_POSTGRESQL
@pytest.mark.parametrize("action", ["stop", "update", "relaunch", "delete"])
async def test_a_worker_is_told_of_each_order(store: Store, ear: Ear, action: str) -> None:
    """By its name, whichever of the calls it is."""
    actions, _, task_id = await hold_one(store)
    await ear.told()
    calls: dict[str, Any] = {
        "stop": lambda: actions.stop_task(task_id),
        "update": lambda: actions.update_task(task_id, lambda _: make_spec(title="other")),
        "relaunch": lambda: actions.relaunch_task(task_id),
        "delete": lambda: actions.delete_task(task_id),
    }
    await calls[action]()
    assert await ear.told() == ["one"]


@ON_POSTGRESQL
async def test_reports_tell_nobody_unless_a_task_is_given_back(store: Store, ear: Ear) -> None:
    """They come twice a second. What a worker gives back, or leaves behind, is for all at once."""
    _, ledger, task_id = await hold_one(store)
    await ear.told()
    (held,) = (await ledger.assignments({})).values()
    assert held is not None
    status = RelayStatus(State.STREAMING, media_time_ms=1, bytes_out=1)
    await ledger.report([Report(task_id, held.epoch, held.version, status, (), {}, None, None)], 1, None)
    await ledger.report([], 1, None)
    assert await ear.told() == []
    await ledger.report(
        [Report(task_id, held.epoch, held.version, RelayStatus(State.STOPPED), (), {}, None, Outcome.HANDED_BACK)],
        0,
        None,
    )
    assert await ear.told() == [ANYBODY]
    await ledger.poll(0, 10)
    await ear.told()
    async with store.write() as connection:
        await connection.execute(worker.update().values(lease_ms=1))
        await connection.execute(sa.text("UPDATE pulse SET since_ms = 0"))
        await workers.leave(connection, "one")
    assert await ear.told() == [ANYBODY]
    async with store.read() as connection:
        assert (await connection.execute(sa.select(run.c.worker_id))).scalar_one() is None


@ON_POSTGRESQL
async def test_a_lost_connection_is_told_and_made_again(store: Store, ear: Ear) -> None:
    """As a restart does it; until then whoever listens knows that it has to ask."""
    async with store.write() as connection:
        mine = "application_name = current_setting('application_name') AND pid <> pg_backend_pid()"
        await connection.execute(
            sa.text(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%' AND {mine}")
        )
    assert not await ear.hears()
    assert await ear.hears()
    await Actions(store).create_task(make_spec())
    assert await ear.told() == [ANYBODY]


@ON_POSTGRESQL
async def test_it_waits_for_a_server_that_takes_writes(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a failover there is none for a while: asyncpg's error for that is of a kind of its own."""
    assert store._address is not None
    monkeypatch.setattr(listening, "_AGAIN_S", 0.05)
    monkeypatch.setattr(store, "_address", replace(store._address, target="read-write"))
    refused = asyncio.Event()

    def make_connector(address: PostgresAddress, *, give_up_s: float) -> Callable[[], Awaitable[Connection]]:
        connect = postgresql.make_connector(address, give_up_s=give_up_s)

        async def attempt() -> Connection:
            try:
                return await connect()
            except Exception:
                refused.set()
                raise

        return attempt

    monkeypatch.setattr(listening, "make_connector", make_connector)

    async def take_writes(does: bool) -> None:
        async with store.write() as connection:
            name = (await connection.execute(sa.text("SELECT current_database()"))).scalar_one()
            value = "off" if does else "on"
            await connection.execute(sa.text(f'ALTER DATABASE "{name}" SET default_transaction_read_only = {value}'))

    await take_writes(False)
    ear = Ear(store)
    task = asyncio.create_task(ear.listen())
    try:
        await asyncio.wait_for(refused.wait(), PATIENCE_S)
        await take_writes(True)
        hears = asyncio.create_task(ear.hears())
        await asyncio.wait([hears, task], return_when=asyncio.FIRST_COMPLETED)
        assert not task.done()
        assert await hears
    finally:
        task.cancel()


@pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
async def test_a_file_tells_nothing(store: Store) -> None:
    """Its workers ask as they always did."""
    ear = Ear(store)
    await asyncio.wait_for(ear.listen(), PATIENCE_S)


@ON_POSTGRESQL
async def test_a_worker_hears_what_concerns_it(store: Store) -> None:
    """What others are ordered to do is not its concern, whatever is due is."""
    heard: asyncio.Queue[bool] = asyncio.Queue()
    other = StoreLedger(store, "other", capacity=10)
    await other.register()
    listening = asyncio.create_task(other.listen(heard.put_nowait))
    try:
        assert await asyncio.wait_for(heard.get(), PATIENCE_S)
        actions, _, task_id = await hold_one(store)
        assert await asyncio.wait_for(heard.get(), PATIENCE_S)
        await actions.stop_task(task_id)
        await actions.create_task(make_spec(destination=MediaUrl.parse("rtmp://push.example/live/b")))
        assert await asyncio.wait_for(heard.get(), PATIENCE_S)
        assert heard.empty()
    finally:
        listening.cancel()


@ON_POSTGRESQL
async def test_of_a_task_that_asks_for_labels_those_who_have_them_are_told(store: Store, ear: Ear) -> None:
    """All workers asked for it, those that may not take it as well."""
    heard: dict[str, asyncio.Queue[bool]] = {name: asyncio.Queue() for name in ("here", "there")}
    tasks = []
    for region, queue in heard.items():
        ledger = StoreLedger(store, region, capacity=10, traits=Traits(labels=("gpu=1", f"region={region}")))
        await ledger.register()
        tasks.append(asyncio.create_task(ledger.listen(queue.put_nowait)))
        assert await asyncio.wait_for(queue.get(), PATIENCE_S)
    try:
        await Actions(store).create_task(make_spec(placement=("region=here",)))
        assert await ear.told() == ["[region=here]"]
        assert await asyncio.wait_for(heard["here"].get(), PATIENCE_S)
        assert heard["there"].empty()
    finally:
        for one in tasks:
            one.cancel()


@ON_POSTGRESQL
async def test_who_found_a_task_that_is_anothers_left_that_one_to_find_it(store: Store, ear: Ear) -> None:
    """That one came to ask within a second; until then all others looked again and again whether it had."""
    full, calm = (StoreLedger(store, name, capacity=10) for name in ("full", "calm"))
    await full.register()
    await full.report([], 5, None)
    await calm.register()
    await Actions(store).create_task(make_spec())
    await ear.told()
    await full.poll(5, 5)
    assert await ear.told() == ["calm"]
    await calm.poll(0, 10)
    assert len(await calm.assignments({})) == 1


@ON_POSTGRESQL
async def test_all_workers_asked_for_a_due_task_at_the_same_moment(store: Store) -> None:
    """Twenty looked for its place, and one took it. Now they do so one after the other, and the first takes it."""
    heard: asyncio.Queue[bool] = asyncio.Queue()
    fleet = [StoreLedger(store, f"worker{number:02}", capacity=10) for number in range(20)]
    for one in fleet:
        await one.register()
    last = fleet[-1]
    listening = asyncio.create_task(last.listen(heard.put_nowait))
    try:
        assert await asyncio.wait_for(heard.get(), PATIENCE_S)
        actions, loop = Actions(store), asyncio.get_running_loop()
        waited: list[float] = []
        for number in range(7):
            made_at = loop.time()
            await actions.create_task(make_spec(destination=MediaUrl.parse(f"rtmp://push.example/live/{number}")))
            assert await asyncio.wait_for(heard.get(), PATIENCE_S)
            waited.append(loop.time() - made_at)
            # It learns how many they are.
            await last.poll(0, 10)
        # Of six random moments in 0.2 s none would be early: hardly ever. A busy machine only makes them later.
        assert max(waited[1:]) > 0.02
    finally:
        listening.cancel()


@ON_POSTGRESQL
async def test_who_found_a_due_task_locked_waited_a_second(store: Store) -> None:
    """All are told at once: one locks the row, finds that the task is meant for another, and that one saw it locked."""
    heard: asyncio.Queue[bool] = asyncio.Queue()
    ledger = StoreLedger(store, "one", capacity=10)
    await ledger.register()
    listening = asyncio.create_task(ledger.listen(heard.put_nowait))
    try:
        assert await asyncio.wait_for(heard.get(), PATIENCE_S)
        await Actions(store).create_task(make_spec())
        assert await asyncio.wait_for(heard.get(), PATIENCE_S)
        async with store.write() as connection:
            await connection.execute(sa.select(run.c.task_id).with_for_update())
            await ledger.poll(0, 10)
        assert await asyncio.wait_for(heard.get(), PATIENCE_S)
        await ledger.poll(0, 10)
        assert len(await ledger.assignments({})) == 1
    finally:
        listening.cancel()
