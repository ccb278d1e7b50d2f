"""A task that moves where two may publish: the next worker first, then the one before; and what may come between."""

import pytest
import sqlalchemy as sa
from task_samples import make_spec

from streamferry.control.actions import Actions
from streamferry.control.scheduler import Scheduler
from streamferry.control.store_ledger import StoreLedger
from streamferry.media.peer_options import PeerOptions
from streamferry.relay.status import RelayStatus, State
from streamferry.store import Store
from streamferry.store.records import Intent
from streamferry.store.schema import run
from streamferry.worker import Assignment, Outcome, Report

STREAMING = RelayStatus(State.STREAMING, media_time_ms=100_000, bytes_out=25_000_000)
CONNECTING = RelayStatus(State.CONNECTING)


class HandOver:
    """Two workers and a task of the first; ``begin`` drains that, and the other one is the next then."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.actions = Actions(store)
        self.old, self.new = (StoreLedger(store, name, capacity=5) for name in ("old", "new"))
        self.task_id = ""

    async def begin(self, *, overlap: bool = True) -> None:
        await self.old.register()
        options = PeerOptions(overlap=overlap)
        self.task_id = await self.actions.create_task(make_spec(destination_options=options))
        await self.old.poll(0, 5)
        await self.report(self.old, STREAMING)
        await self.new.register()
        await self.actions.set_intent("old", Intent.DRAINING)
        await Scheduler(self.store).run_once()
        assert (await self.held(self.old)).moves
        await self.new.poll(0, 5)

    async def held(self, by: StoreLedger) -> Assignment:
        found = (await by.assignments({}))[self.task_id]
        assert found is not None
        return found

    async def holds(self, by: StoreLedger) -> bool:
        return self.task_id in await by.assignments({})

    async def report(self, by: StoreLedger, status: RelayStatus, outcome: Outcome | None = None) -> bool:
        """What it holds; whether it was told that it does not any more."""
        one = await self.held(by)
        return bool(
            await by.report([Report(one.task_id, one.epoch, one.version, status, (), {}, None, outcome)], 1, None)
        )

    async def owner(self) -> tuple[str | None, int, State]:
        record = await self.actions.get_task(self.task_id)
        return record.worker_id, record.epoch, record.state


@pytest.fixture
def over(store: Store) -> HandOver:
    return HandOver(store)


async def test_the_next_worker_is_on_the_air_before_the_one_before_lets_go(over: HandOver) -> None:
    """Until then the books say that the first has it, under the same epoch and in the same state."""
    await over.begin()
    first, second = await over.held(over.old), await over.held(over.new)
    assert (first.epoch, first.moves) == (1, True)
    assert (second.epoch, second.moves, second.is_wanted) == (2, False, True)
    assert not await over.report(over.new, CONNECTING)
    assert not await over.report(over.new, RelayStatus(State.STREAMING))
    assert await over.owner() == ("old", 1, State.STREAMING)
    assert not await over.report(over.old, STREAMING)
    old_orders = await over.old.poll(1, 0)
    assert not await over.report(over.new, STREAMING)
    assert await over.owner() == ("new", 2, State.STREAMING)
    # The one before is told, and what it still reports changes nothing.
    assert await over.old.poll(1, 0) > old_orders
    assert not await over.holds(over.old)
    late = Report(over.task_id, 1, 1, CONNECTING, (), {}, None, Outcome.HANDED_BACK)
    assert await over.old.report([late], 0, None) == {over.task_id}
    assert await over.owner() == ("new", 2, State.STREAMING)
    claims = [event for event in await over.actions.list_feed(over.task_id, limit=100) if event.kind == "claimed"]
    assert [one.detail["worker"] for one in claims] == ["old", "new"]
    assert claims[1].detail["reason"] == "moves to another worker"


async def test_a_destination_that_takes_one_publisher_gets_one(over: HandOver) -> None:
    """Nobody else has it before it was given back."""
    await over.begin(overlap=False)
    assert not await over.holds(over.new)
    await over.report(over.old, STREAMING, Outcome.HANDED_BACK)
    await over.new.poll(0, 5)
    assert (await over.held(over.new)).epoch == 2


async def test_the_one_before_gives_it_back_too_soon(over: HandOver) -> None:
    """As when it waited long enough: the next worker goes on if it is the one that takes it, under the same epoch."""
    await over.begin()
    await over.report(over.old, STREAMING, Outcome.HANDED_BACK)
    assert not await over.holds(over.new)
    await over.new.poll(0, 5)
    assert (await over.held(over.new)).epoch == 2
    assert not await over.report(over.new, STREAMING)
    assert await over.owner() == ("new", 2, State.STREAMING)


@pytest.mark.parametrize("how", ["stop", "drain is taken back", "next one gives up", "next one ends"])
async def test_what_ends_a_hand_over_leaves_one_worker(over: HandOver, how: str) -> None:
    """The next worker finds that it holds nothing, before and after it is on the air."""
    await over.begin()
    second = await over.held(over.new)
    if how == "stop":
        await over.actions.stop_task(over.task_id)
    elif how == "drain is taken back":
        await over.actions.set_intent("old", Intent.OPEN)
    elif how == "next one gives up":
        assert not await over.report(over.new, RelayStatus(State.FAILED), Outcome.FAILED)
    else:
        await over.new.leave()
        await over.new.register()
    assert not await over.holds(over.new)
    told = Report(over.task_id, second.epoch, second.version, STREAMING, (), {}, None, None)
    assert await over.new.report([told], 1, None) == {over.task_id}
    first = await over.held(over.old)
    assert (first.epoch, first.is_wanted) == (1, how != "stop")
    assert (await over.owner())[:2] == ("old", 1)


async def test_the_one_before_dies_in_a_hand_over(over: HandOver) -> None:
    """It is free for all, and the next worker, if it is that one, goes on."""
    await over.begin()
    await over.old.leave()
    assert (await over.owner())[:2] == (None, 1)
    await over.new.poll(0, 5)
    assert not await over.report(over.new, STREAMING)
    assert await over.owner() == ("new", 2, State.STREAMING)


async def test_a_task_that_moves_is_nobody_elses_business(over: HandOver, store: Store) -> None:
    """No pass ends it or says that it waits, while nobody takes it; its own worker does not."""
    await over.old.register()
    over.task_id = await over.actions.create_task(make_spec(destination_options=PeerOptions(overlap=True)))
    await over.old.poll(0, 5)
    await over.report(over.old, STREAMING)
    async with store.write() as connection:
        await connection.execute(run.update().values(moves=True, due_ms=1))
        await connection.execute(sa.text("UPDATE task SET start_ms = 1"))
    await over.old.poll(1, 4)
    await Scheduler(store).run_once()
    assert await over.owner() == ("old", 1, State.STREAMING)
    assert (await over.held(over.old)).moves
