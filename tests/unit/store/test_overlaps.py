"""A task that moves where two may publish: the next worker first, then the one before; and what may come between."""

from dataclasses import replace

import pytest
import sqlalchemy as sa
from task_samples import make_spec

from streamferry.control.actions import Actions
from streamferry.control.address_rules import address_rules
from streamferry.control.scheduler import Scheduler
from streamferry.control.store_ledger import StoreLedger
from streamferry.media.peer_options import PeerOptions
from streamferry.media.url import MediaUrl
from streamferry.relay.status import DestinationStatus, Playhead, RelayStatus, State
from streamferry.store import Store
from streamferry.store.records import Intent
from streamferry.store.schema import run
from streamferry.tasks.inputs import InputSourceDraft
from streamferry.tasks.model import TaskItem
from streamferry.worker import Assignment, Outcome, Report

STREAMING = RelayStatus(State.STREAMING, media_time_ms=100_000, bytes_out=25_000_000)
CONNECTING = RelayStatus(State.CONNECTING)
FILM = InputSourceDraft("https://h.example/x.mp4")


class HandOver:
    """Two workers and a task of the first; ``begin`` drains that, and the other one is the next then."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.actions = Actions(store)
        self.old, self.new = (StoreLedger(store, name, capacity=5) for name in ("old", "new"))
        self.task_id = ""

    async def begin(self, *, overlap: bool = True, before: RelayStatus = STREAMING, **values: object) -> None:
        await self.old.register()
        options = PeerOptions(overlap=overlap)
        self.task_id = await self.actions.create_task(make_spec(destination_options=options, **values))
        await self.old.poll(0, 5)
        await self.report(self.old, before)
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
    # It is not gone, so its broadcast goes on.
    assert await over.old.deleted([over.task_id]) == set()
    late = Report(over.task_id, 1, 1, CONNECTING, (), {}, None, Outcome.HANDED_BACK)
    assert await over.old.report([late], 0, None) == {over.task_id}
    assert await over.owner() == ("new", 2, State.STREAMING)
    claims = [event for event in await over.actions.list_feed(over.task_id, limit=100) if event.kind == "claimed"]
    assert [one.detail["worker"] for one in claims] == ["old", "new"]
    assert claims[1].detail["reason"] == "moves to another worker"


async def test_a_task_that_was_deleted_is_told_from_one_that_is_elsewhere(over: HandOver) -> None:
    """Only its broadcast is ended by who had it."""
    await over.begin()
    await over.actions.delete_task(over.task_id)
    assert not await over.holds(over.old)
    assert await over.old.deleted([over.task_id]) == {over.task_id}


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


def to_each(*states: State) -> RelayStatus:
    """A run with several destinations, in these states."""
    each = tuple(
        DestinationStatus(str(number), state, bytes_out=9 if state is State.STREAMING else 0)
        for number, state in enumerate(states, 1)
    )
    return replace(STREAMING, state=states[0], destinations=each)


@pytest.mark.parametrize(
    ("before", "after", "takes_over"),
    [
        ((State.STREAMING, State.STREAMING), (State.STREAMING, State.CONNECTING), False),
        ((State.STREAMING, State.STREAMING), (State.CONNECTING, State.STREAMING), False),
        ((State.STREAMING, State.STREAMING), (State.STREAMING, State.STREAMING), True),
        ((State.STREAMING, State.RETRYING), (State.STREAMING, State.RETRYING), True),
        ((State.RETRYING, State.STREAMING), (State.RETRYING, State.STREAMING), True),
        ((State.RETRYING, State.STREAMING), (State.STREAMING, State.RETRYING), False),
        ((State.RETRYING, State.RETRYING), (State.RETRYING, State.RETRYING), False),
    ],
)
async def test_each_of_several_destinations_has_the_next_worker_before_the_one_before_lets_go(
    over: HandOver, before: tuple[State, ...], after: tuple[State, ...], takes_over: bool
) -> None:
    """Those to which the one before sends nothing are not waited for."""
    await over.begin(before=to_each(*before))
    assert not await over.report(over.new, to_each(*after))
    assert (await over.owner())[0] == ("new" if takes_over else "old")


@pytest.mark.parametrize("change", ["stop", "delete", "drain is taken back"])
async def test_the_next_worker_is_told_at_once_that_it_is_not_to_take_over(over: HandOver, change: str) -> None:
    """As long as nothing is new it does not report: it would go on, and reach the destination after all."""
    await over.begin()
    known = await over.new.poll(1, 0)
    assert (await over.held(over.new)).is_next
    if change == "stop":
        await over.actions.stop_task(over.task_id)
    elif change == "delete":
        await over.actions.delete_task(over.task_id)
    else:
        await over.actions.set_intent("old", Intent.OPEN)
    assert await over.new.poll(1, 0) > known


async def test_the_next_worker_reads_that_it_has_the_task(over: HandOver) -> None:
    """From then on the end of the task is for it to tell the destination."""
    await over.begin()
    known = await over.new.poll(1, 0)
    await over.report(over.new, STREAMING)
    assert await over.new.poll(1, 0) > known
    assert not (await over.held(over.new)).is_next


@pytest.mark.parametrize("stood_ms", [0, 30_000])
async def test_where_a_list_is_by_then(over: HandOver, store: Store, stood_ms: int) -> None:
    """It goes on meanwhile; one that stands, as while a file is inserted, is where it was, and loses nothing."""
    items = tuple(TaskItem(MediaUrl.parse(f"https://h.example/{n}.flv"), end_s=600.0) for n in range(2))
    status = replace(STREAMING, playhead=Playhead(0, 0, 100_000))
    await over.begin(before=status, items=items)
    async with store.write() as connection:
        moved_ms = stood_ms or 2_500
        await connection.execute(run.update().values(playhead_ms=run.c.playhead_ms - moved_ms))
    spec = (await over.held(over.new)).spec
    assert spec is not None
    if stood_ms:
        assert spec.playhead == Playhead(0, 0, 100_000)
    else:
        assert 100_000 < spec.playhead.position_ms < 130_000


async def test_an_order_is_for_who_has_the_task_and_not_lost_to_who_asks_too_soon(over: HandOver) -> None:
    """The next worker asks again, until it is on the air, or the one before has followed it."""
    await over.begin()
    for _ in range(2):
        await over.actions.insert_file(over.task_id, FILM, None, address_rules())
    await over.old.poll(1, 0)
    async with over.store.write() as connection:
        await connection.execute(run.update().values(next_worker_id="new"))
    first, second = await over.held(over.old), await over.held(over.new)

    async def claim(by: StoreLedger, one: Assignment, number: int) -> bool | None:
        return await by.claim_order(over.task_id, epoch=one.epoch, version=one.version, number=number)

    assert await claim(over.new, second, 1) is None
    assert await claim(over.old, first, 1) is True
    assert await claim(over.new, second, 1) is False
    assert await claim(over.new, second, 2) is None
    await over.report(over.new, STREAMING)
    assert await claim(over.old, first, 2) is False
    assert await claim(over.new, second, 2) is True
