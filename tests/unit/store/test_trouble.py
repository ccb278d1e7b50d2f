"""Trouble of a task in the store: it outlives tries, runs and workers, and is one thing for everybody who asks."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from task_samples import make_spec

from streamferry.control.actions import Actions
from streamferry.control.store_ledger import StoreLedger
from streamferry.media.errors import Fault
from streamferry.media.url import MediaUrl
from streamferry.reasons import Code, Reason
from streamferry.relay import RelayStatus, State, Trouble
from streamferry.store import Store
from streamferry.web.dashboard.filters import FILTERS
from streamferry.web.reads import Reads
from streamferry.web.views import Status, TroubleView
from streamferry.worker import Assignment, Outcome, Report

REFUSED = Trouble(Fault.USER_DESTINATION, Reason.text("push.example refused: no such key"), 3)
NOW = datetime.now(UTC)


class Hold:
    """A task that a worker has, and what it says of it."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.actions = Actions(store)
        self.reads = Reads(self.actions)

    async def begin(self) -> "Hold":
        spec = make_spec(start_at=NOW - timedelta(minutes=1), end_at=NOW + timedelta(hours=1))
        self.task_id = await self.actions.create_task(spec)
        await self.claim("one")
        return self

    async def claim(self, name: str) -> Assignment:
        self.ledger = StoreLedger(self.store, name, capacity=1)
        await self.ledger.register()
        await self.ledger.poll(0, 1)
        found = (await self.ledger.assignments({}))[self.task_id]
        assert found is not None
        self.held = found
        return found

    async def tell(self, state: State, trouble: Trouble | None, outcome: Outcome | None = None) -> None:
        status = RelayStatus(state, trouble=trouble)
        one = Report(self.task_id, self.held.epoch, self.held.version, status, (), {}, None, outcome)
        await self.ledger.report([one], 1, None)

    async def seen(self) -> tuple[TroubleView | None, Sequence[str], int]:
        """What the task shows, the filters that list it, and the number on the overview."""
        task = await self.reads.task(self.task_id)
        counts = await self.reads.counts()
        listed = []
        for name, one in FILTERS.items():
            page = await one.page(self.reads)
            assert [found.task_id for found in page.tasks] == [self.task_id] * one.count(counts), name
            if page.tasks and name != "all":
                listed.append(name)
        return task.run.trouble, listed, (await self.reads.overview()).in_trouble


@pytest.fixture
async def hold(store: Store) -> Hold:
    return await Hold(store).begin()


async def test_every_state_of_a_task_that_retries_is_trouble(hold: Hold) -> None:
    """Filter, number and page agree at each moment between two tries. It counted as starting then."""
    for state in (State.RETRYING, State.CONNECTING, State.PREPARING, State.STALLED, State.STREAMING):
        await hold.tell(state, REFUSED)
        trouble, listed, number = await hold.seen()
        assert trouble is not None
        assert (trouble.reason, trouble.tries, trouble.fault) == (REFUSED.reason, 3, REFUSED.fault)
        assert (listed, number) == (["trouble"], 1), state
    await hold.tell(State.STREAMING, None)
    assert await hold.seen() == (None, ["streaming"], 0)


async def test_trouble_outlives_runs_and_workers(hold: Hold) -> None:
    """Whoever has the task next goes on counting, and since when stays what it was; a lost worker is trouble too."""
    await hold.tell(State.RETRYING, REFUSED)
    since = (await hold.seen())[0].since_at  # type: ignore[union-attr]
    await hold.tell(State.STOPPED, REFUSED, Outcome.HANDED_BACK)
    assert (await hold.seen())[0] is not None
    assert (await hold.claim("two")).trouble == REFUSED
    await hold.tell(State.RETRYING, Trouble(REFUSED.fault, REFUSED.why, 4))
    await hold.ledger.leave()
    trouble, listed, _ = await hold.seen()
    assert trouble is not None
    assert (trouble.since_at, trouble.tries, trouble.fault, listed) == (since, 4, Fault.SERVICE, ["trouble"])
    assert (await hold.claim("three")).trouble == Trouble(Fault.SERVICE, Reason.of(Code.TASK_WORKER_ENDED), 4)


async def test_what_has_failed_is_in_trouble_until_it_streams(hold: Hold) -> None:
    """Also while it waits for its next try, and while that prepares."""
    await hold.tell(State.FAILED, REFUSED, Outcome.FAILED)
    trouble, listed, _ = await hold.seen()
    assert trouble is not None
    assert listed == ["trouble"]


@pytest.mark.parametrize("deed", ["stop", "relaunch", "end"])
async def test_trouble_ends_with_what_a_user_does(hold: Hold, deed: str) -> None:
    """A task that was stopped, begun anew or has ended has a clean slate, and so has what follows."""
    await hold.tell(State.RETRYING, REFUSED)
    if deed == "stop":
        await hold.actions.stop_task(hold.task_id)
        await hold.tell(State.STOPPED, REFUSED, Outcome.HANDED_BACK)
        await hold.actions.continue_task(hold.task_id)
        expected = ["waiting"]
    elif deed == "relaunch":
        await hold.actions.relaunch_task(hold.task_id)
        expected = ["starting"]
    else:
        await hold.tell(State.ENDED, REFUSED, Outcome.PLAYED_OUT)
        expected = ["ended"]
    assert await hold.seen() == (None, expected, 0)


async def test_numbers_on_filters_are_those_of_the_search(hold: Hold) -> None:
    """With a group and a search they count what the other filters leave. They said "All 310" above a list of 100."""
    await hold.actions.create_group("sport", "default")
    for number in range(3):
        address = MediaUrl.parse(f"rtmp://push.example/live/{number}")
        await hold.actions.create_task(make_spec(title=f"Match{number}", group="sport", destination=address))
    assert FILTERS["all"].count(await hold.reads.counts()) == 4
    assert FILTERS["all"].count(await hold.reads.counts(groups=["sport"])) == 3
    assert FILTERS["all"].count(await hold.reads.counts(title="match1", groups=["sport"])) == 1
    assert FILTERS["all"].count(await hold.reads.counts(title="nothing")) == 0


def test_each_task_is_in_exactly_one_filter() -> None:
    """Whatever its status, its state and its luck: the numbers add up to those of all."""
    for status in Status:
        # A worker ends at once what runs before its window.
        for state in (State.WAITING, State.STOPPED) if status is Status.NOT_STARTED else State:
            for in_trouble in (False, True) if status is Status.ACTIVE else (False,):
                found = [name for name, one in FILTERS.items() if one.takes(status, state, in_trouble=in_trouble)]
                assert len(found) == 2, (status, state, in_trouble, found)
