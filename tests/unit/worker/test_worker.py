"""The worker's loop over a ledger that does what a test says: lease, fence, orders, leaving."""

import asyncio
import math
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from test_task_runner import SPEC, ScriptedRelay

from streamferry.media.url import MediaUrl
from streamferry.reasons import Reason
from streamferry.relay import RelaySpec, RelayStatus, State, Totals
from streamferry.worker import (
    Assignment,
    LeaseLost,
    Outcome,
    Report,
    StoreUnavailable,
    WorkerHealth,
    worker,
)
from streamferry.worker.task_runner import TaskRunner
from streamferry.worker.worker import Worker


class Relays:
    """Relays that stop when they are asked to, and let go when they are aborted unless they are ``stubborn``."""

    def __init__(self) -> None:
        self.started: list[ScriptedRelay] = []
        self.is_stubborn = False
        self.has_keyframes = True
        #: What the host was told, each with the time.
        self.fences: list[tuple[float, float]] = []

    def fence(self, at: float) -> None:
        self.fences.append((lease_clock(), at))

    def start(self, spec: RelaySpec, of: Mapping[str, object], trouble: object = None) -> ScriptedRelay:
        relay = ScriptedRelay(spec)
        relay.request_stop = lambda: self._stop(relay)
        relay.hand_over = lambda *, at_once=False: self._hand_over(relay, at_once)
        relay.abort = lambda: self._abort(relay)
        self.started.append(relay)
        return relay

    def _stop(self, relay: ScriptedRelay) -> None:
        if not relay.is_asked_to_stop:
            relay.is_asked_to_stop = True
            asyncio.get_running_loop().call_soon(relay.become, RelayStatus(State.STOPPED))

    def _hand_over(self, relay: ScriptedRelay, at_once: bool) -> None:
        relay.hand_overs.append(at_once)
        if at_once or self.has_keyframes:
            asyncio.get_running_loop().call_soon(relay.become, RelayStatus(State.STOPPED))

    def _abort(self, relay: ScriptedRelay) -> None:
        relay.is_aborted = True
        if not self.is_stubborn:
            asyncio.get_running_loop().call_soon(relay.become, RelayStatus(State.STOPPED))


def lease_clock() -> float:
    """The loop's time, which is virtual."""
    return asyncio.get_running_loop().time()


@pytest.fixture(autouse=True)
def _in_virtual_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "lease_clock", lease_clock)


LEASE_S = worker.LEASE_S / 20
#: Rolls that nothing but time asks for come later than most tests end.
REREAD_S = 2.0
HEALTHY = WorkerHealth(cpu_percent=1.5, memory_bytes=1 << 20, beat_late_ms=3.25, preparing=1, totals=Totals(bytes_in=7))


class Ledger:
    """A store with one list of tasks for one worker."""

    def __init__(self) -> None:
        self.tasks: dict[str, Assignment] = {}
        self.number = 0
        self.registrations = self.polls = 0
        #: Called as a store does that tells of changes.
        self.tell: Callable[[bool], None] | None = None
        self.reports: list[Report] = []
        self.claims: list[tuple[str, int]] = []
        self.has_left = False
        self.health: WorkerHealth | None = None
        self.trouble: Callable[[], None] = lambda: None
        self.hangs = False
        self.hanging = 0
        # Tasks of which it does not know that this worker has them.
        self.forgotten: set[str] = set()
        # Tasks that another worker has, or is about to have.
        self.taken: set[str] = set()

    def put(self, task_id: str, **values: object) -> None:
        known = self.tasks.get(task_id)
        version = known.version + 1 if known else 1
        given = {"epoch": 1, "is_wanted": True, "spec": SPEC, "start_in_s": 0, "end_in_s": 60, **values}
        self.tasks[task_id] = Assignment(task_id=task_id, version=version, **given)
        self.number += 1

    async def _answer(self) -> None:
        self.trouble()
        if self.hangs:
            self.hanging += 1
            await asyncio.Event().wait()

    async def register(self) -> None:
        await self._answer()
        self.registrations += 1

    async def poll(self, load: int, room: int) -> int:
        self.polls += 1
        number = self.number
        await self._answer()
        return number

    async def listen(self, told: Callable[[bool], None]) -> None:
        self.tell = told
        await asyncio.Event().wait()

    async def assignments(self, known: Mapping[str, tuple[int, int]]) -> Mapping[str, Assignment | None]:
        await self._answer()
        return {
            task_id: None if known.get(task_id) == (one.epoch, one.version) else one
            for task_id, one in self.tasks.items()
        }

    async def deleted(self, task_ids: Collection[str]) -> set[str]:
        await self._answer()
        return set(task_ids) - self.taken

    async def report(self, reports: Sequence[Report], load: int, health: WorkerHealth | None) -> set[str]:
        await self._answer()
        self.health = health or self.health
        self.reports += reports
        for one in reports:
            if one.outcome is not None:
                self.tasks.pop(one.task_id, None)
        return {one.task_id for one in reports if one.task_id in self.forgotten}

    async def claim_order(self, task_id: str, *, epoch: int, version: int, number: int) -> bool | None:
        await self._answer()
        self.claims.append((task_id, number))
        return None if version != self.tasks[task_id].version else True

    async def retire(self) -> None:
        await self._answer()

    async def leave(self) -> None:
        self.has_left = True


class Bench:
    def __init__(self, *, is_attached: bool, lease_s: float = LEASE_S) -> None:
        self.ledger = Ledger()
        self.relays = Relays()
        self.worker = Worker(
            self.ledger,
            self.relays,
            capacity=10,
            measure=lambda: HEALTHY,
            lease_s=lease_s,
            is_attached=is_attached,
            reread_s=REREAD_S,
        )

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(30):
            while not condition():  # noqa: ASYNC110 -- what is awaited has no event
                await asyncio.sleep(0.002)


@pytest.fixture
def is_attached() -> bool:
    """Whether the worker is one of a service on SQLite."""
    return False


@pytest.fixture
async def bench(monkeypatch: pytest.MonkeyPatch, is_attached: bool) -> AsyncIterator[Bench]:
    """A worker that runs, twenty times as fast as in earnest."""
    for name in ("REPORT_S", "POLL_S", "TOLD_POLL_S", "TOLD_PAUSE_S", "_RETRY_S"):
        monkeypatch.setattr(worker, name, getattr(worker, name) / 20)
    one = Bench(is_attached=is_attached)
    running = asyncio.create_task(one.worker.run())
    yield one
    one.ledger.trouble, one.ledger.hangs = (lambda: None), False
    one.worker.leave()
    await running


async def test_a_task_that_is_assigned_runs_and_is_reported(bench: Bench) -> None:
    """Until it is deleted, which stops it."""
    bench.ledger.put("a")
    await bench.until(lambda: bench.relays.started)
    (relay,) = bench.relays.started
    relay.become(RelayStatus(State.STREAMING))
    await bench.until(lambda: any(one.status.state is State.STREAMING for one in bench.ledger.reports))
    del bench.ledger.tasks["a"]
    bench.ledger.number += 1
    await bench.until(lambda: relay.is_asked_to_stop)


async def test_a_task_that_another_worker_has_ends_no_broadcast(bench: Bench) -> None:
    """Also where this one was too busy to read that it moves: it unpublished, and the platform ended what went on."""
    bench.ledger.put("a")
    await bench.until(lambda: bench.relays.started)
    (relay,) = bench.relays.started
    bench.ledger.taken.add("a")
    del bench.ledger.tasks["a"]
    bench.ledger.number += 1
    await bench.until(lambda: relay.is_aborted)
    assert not relay.is_asked_to_stop


async def polls_in(bench: Bench, seconds: float) -> int:
    before = bench.ledger.polls
    await asyncio.sleep(seconds)
    return bench.ledger.polls - before


async def test_a_worker_that_is_told_of_changes_asks_less_often(bench: Bench) -> None:
    """And as often as before when it is not told any more."""
    await bench.until(lambda: bench.ledger.tell)
    assert bench.ledger.tell is not None
    assert await polls_in(bench, 10 * worker.POLL_S) >= 10
    bench.ledger.tell(True)
    assert await polls_in(bench, 10 * worker.TOLD_POLL_S) <= 12
    bench.ledger.tell(False)
    assert await polls_in(bench, 10 * worker.POLL_S) >= 10


async def test_what_is_told_is_followed_at_once(bench: Bench) -> None:
    """Even what is told while an answer from before the change is under way; a burst is asked about together."""
    await bench.until(lambda: bench.ledger.tell)
    assert bench.ledger.tell is not None
    bench.ledger.tell(True)
    await asyncio.sleep(10 * worker.TOLD_POLL_S)
    under_way, answer = asyncio.Event(), asyncio.Event()

    async def slow_poll(load: int, room: int) -> int:
        bench.ledger.polls += 1
        number = bench.ledger.number
        under_way.set()
        await answer.wait()
        return number

    bench.ledger.poll = slow_poll  # type: ignore[method-assign]
    await under_way.wait()
    bench.ledger.put("a")
    began_at, before = lease_clock(), bench.ledger.polls
    for _ in range(100):
        bench.ledger.tell(True)
    answer.set()
    await bench.until(lambda: bench.relays.started)
    assert lease_clock() - began_at <= 2 * worker.TOLD_PAUSE_S
    assert bench.ledger.polls - before <= 2


async def test_what_was_changed_is_asked_for_again_at_once(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker takes only so many tasks at a time: the next ones soon, and its lease is renewed in between."""
    monkeypatch.setattr(worker, "REPORT_S", worker.TOLD_PAUSE_S / 2)
    done: list[str] = []
    poll, report = bench.ledger.poll, bench.ledger.report

    async def poll_and_claim(load: int, room: int) -> int:
        done.append("poll")
        if len(bench.ledger.tasks) < 5:
            bench.ledger.put(str(len(bench.ledger.tasks)))
        return await poll(load, room)

    async def note_report(reports: Sequence[Report], load: int, health: WorkerHealth | None) -> set[str]:
        done.append("report")
        return await report(reports, load, health)

    bench.ledger.poll, bench.ledger.report = poll_and_claim, note_report  # type: ignore[method-assign]
    await bench.until(lambda: bench.ledger.tell)
    assert bench.ledger.tell is not None
    bench.ledger.tell(True)
    began_at = lease_clock()
    await bench.until(lambda: len(bench.relays.started) == 5)
    assert lease_clock() - began_at < worker.TOLD_POLL_S
    assert [one for one, after in pairwise(done) if one == after == "poll"] == []


async def test_however_many_tasks_there_are_the_beat_comes_in_between(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are begun, and asked how they are, some at a time: between two turns of the event loop never all of them."""
    loop, begun, asked = asyncio.get_running_loop(), [0], [0]
    start, report = bench.relays.start, TaskRunner.report

    def count(in_turns: list[int]) -> None:
        if in_turns[-1] == 0:
            loop.call_soon(in_turns.append, 0)  # The next turn.
        in_turns[-1] += 1

    def counted_start(*given: Any) -> ScriptedRelay:
        count(begun)
        return start(*given)

    def counted_report(runner: TaskRunner) -> Report | None:
        count(asked)
        return report(runner)

    monkeypatch.setattr(bench.relays, "start", counted_start)
    monkeypatch.setattr(TaskRunner, "report", counted_report)
    for number in range(450):
        bench.ledger.put(str(number))
    await bench.until(lambda: sum(begun) == 450 and sum(asked) >= 900)
    assert max(begun) <= 2 * worker._AT_ONCE
    assert max(asked) <= 2 * worker._AT_ONCE


async def test_a_worker_tells_how_it_fares(bench: Bench) -> None:
    """With a renewal of its lease, whether it has tasks or not."""
    await bench.until(lambda: bench.ledger.health == HEALTHY)


async def test_leaving_stops_and_hands_back_everything(bench: Bench) -> None:
    """Each task is given back, then the lease is ended."""
    for name in "abc":
        bench.ledger.put(name)
    await bench.until(lambda: len(bench.relays.started) == 3)
    bench.worker.leave()
    await bench.until(lambda: bench.ledger.has_left)
    handed_back = {one.task_id for one in bench.ledger.reports if one.outcome is Outcome.HANDED_BACK}
    assert handed_back == {"a", "b", "c"}


@pytest.mark.parametrize("order", ["stopped", "deleted", "another destination", "its window closes"])
async def test_a_task_that_is_stopped_while_it_is_handed_over_ends_its_broadcast(bench: Bench, order: str) -> None:
    """The worker asked for no more orders, so the platform kept the broadcast open for whoever should have gone on."""
    bench.relays.has_keyframes = False
    bench.ledger.put("a", **({"end_in_s": 0.5} if order == "its window closes" else {}))
    bench.ledger.put("b")
    await bench.until(lambda: len(bench.relays.started) == 2)
    relay, other = bench.relays.started
    bench.worker.leave()
    await bench.until(lambda: other.hand_overs)
    if order == "stopped":
        bench.ledger.put("a", is_wanted=False)
    elif order == "deleted":
        del bench.ledger.tasks["a"]
        bench.ledger.number += 1
    elif order == "another destination":
        bench.ledger.put("a", spec=replace(SPEC, destination=MediaUrl.parse("rtmp://push.example/live/other")))
    await bench.until(lambda: relay.is_asked_to_stop)
    await bench.until(lambda: bench.ledger.has_left)
    assert not other.is_asked_to_stop


async def test_what_is_assigned_or_changed_while_a_worker_leaves_is_for_the_next(bench: Bench) -> None:
    """It begins nothing, and changes nothing."""
    bench.relays.has_keyframes = False
    bench.ledger.put("a")
    await bench.until(lambda: bench.relays.started)
    bench.worker.leave()
    await bench.until(lambda: bench.relays.started[0].hand_overs)
    bench.ledger.put("a", spec=replace(SPEC, loops=7))
    bench.ledger.put("b")
    await bench.until(lambda: bench.ledger.has_left)
    (relay,) = bench.relays.started
    assert (relay.hand_overs, relay.updates, relay.is_asked_to_stop) == ([False, True], [], False)


async def test_leaving_while_the_store_says_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It waited for an answer until its service killed it, and every publish broke off: now the host can end them."""
    for name in ("_LAST_ANSWER_S", "_RETIRE_S"):
        monkeypatch.setattr(worker, name, getattr(worker, name) / 20)
    one = Bench(is_attached=False, lease_s=60.0)
    running = asyncio.create_task(one.worker.run())
    one.ledger.put("a")
    await one.until(lambda: one.relays.started)
    one.ledger.hangs = True
    await one.until(lambda: one.ledger.hanging)
    one.worker.leave()
    async with asyncio.timeout(30):
        await running
    assert "left without a word to the store: it does not answer" in caplog.messages


@pytest.mark.parametrize("how", ["unavailable", "hangs"])
async def test_a_store_that_does_not_answer_for_the_lease_fences_the_worker(bench: Bench, how: str) -> None:
    """It aborts all it pushes within the fence, and begins a new lease when the store is back."""
    bench.ledger.put("a")
    await bench.until(lambda: bench.relays.started)

    def refuse() -> None:
        raise StoreUnavailable("down")

    loop = asyncio.get_running_loop()
    began_at = loop.time()
    if how == "hangs":
        bench.ledger.hangs = True
    else:
        bench.ledger.trouble = refuse
    (relay,) = bench.relays.started
    await bench.until(lambda: relay.is_aborted)
    assert loop.time() - began_at <= LEASE_S + 0.1
    assert not relay.is_asked_to_stop
    bench.ledger.trouble, bench.ledger.hangs = (lambda: None), False
    await bench.until(lambda: bench.ledger.registrations == 2)
    await bench.until(lambda: len(bench.relays.started) == 2)


async def test_a_short_outage_of_the_store_is_not_seen_by_the_relays(bench: Bench) -> None:
    """Shorter than the fence: the same relay goes on, and what it did meanwhile is told afterwards."""
    bench.ledger.put("a")
    await bench.until(lambda: bench.relays.started)
    refused = 0

    def refuse() -> None:
        nonlocal refused
        refused += 1
        raise StoreUnavailable("down")

    bench.ledger.trouble = refuse
    (relay,) = bench.relays.started
    relay.become(RelayStatus(State.RETRYING, why=Reason.text("reset")))
    await bench.until(lambda: refused >= 3)
    bench.ledger.trouble = lambda: None
    await bench.until(lambda: any(one.status.reason == "reset" for one in bench.ledger.reports))
    assert not relay.is_asked_to_stop
    assert bench.ledger.registrations == 1


async def test_a_lost_lease_aborts_everything(bench: Bench) -> None:
    """The store says that somebody else may have the tasks now: nobody is told good-bye, for keys may be another's."""
    bench.ledger.put("a")
    await bench.until(lambda: bench.relays.started)

    def lose() -> None:
        bench.ledger.trouble = lambda: None
        raise LeaseLost

    bench.ledger.trouble = lose
    (relay,) = bench.relays.started
    await bench.until(lambda: relay.is_aborted)
    await bench.until(lambda: bench.ledger.registrations == 2)
    assert not relay.is_asked_to_stop


async def test_the_host_is_told_the_fence_with_each_renewal(bench: Bench) -> None:
    """It counts from before the store was asked, on the clock that goes on while the machine is suspended."""
    await bench.until(lambda: len(bench.relays.fences) >= 3)
    fences = [at for _, at in bench.relays.fences]
    assert fences == sorted(fences)
    assert fences[-1] > fences[0]
    assert all(at <= told_at + LEASE_S + 1e-9 for told_at, at in bench.relays.fences)


async def test_a_machine_that_was_suspended_has_lost_its_lease(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock of asyncio stood still meanwhile; the store has not been asked once more before all is aborted."""
    bench.ledger.put("a")
    await bench.until(lambda: bench.relays.started)
    (relay,) = bench.relays.started
    monkeypatch.setattr(worker, "lease_clock", lambda: lease_clock() + 3600)
    reports = len(bench.ledger.reports)
    await bench.until(lambda: relay.is_aborted)
    assert all(one.outcome is None for one in bench.ledger.reports[reports:])
    await bench.until(lambda: len(bench.relays.started) == 2)


async def test_no_task_is_claimed_while_its_old_relay_still_runs(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A relay that does not let go when it is aborted is waited for, however long, and that is told."""
    monkeypatch.setattr(worker, "LEAVE_S", 0.05)
    bench.ledger.put("a")
    await bench.until(lambda: bench.relays.started)

    def lose() -> None:
        bench.ledger.trouble = lambda: None
        raise LeaseLost

    (relay,) = bench.relays.started
    bench.relays.is_stubborn = True
    bench.ledger.trouble = lose
    await bench.until(lambda: caplog.text.count("1 relays have not let go yet") >= 3)
    assert bench.ledger.registrations == 1
    assert len(bench.relays.started) == 1
    bench.relays.is_stubborn = False
    relay.become(RelayStatus(State.STOPPED))
    await bench.until(lambda: len(bench.relays.started) == 2)


async def test_a_changed_task_is_followed(bench: Bench) -> None:
    """A new destination reaches the relay that runs."""
    bench.ledger.put("a")
    await bench.until(lambda: bench.relays.started)
    other = RelaySpec.vod(SPEC.items, MediaUrl.parse("rtmp://push.example/live/other"))
    bench.ledger.put("a", spec=other)
    (relay,) = bench.relays.started
    await bench.until(lambda: relay.updates)
    assert relay.updates[-1].destination == other.destination


@pytest.mark.parametrize("is_attached", [True])
@pytest.mark.parametrize("how", ["unavailable", "hangs"])
async def test_a_worker_whose_service_ends_it_outlives_any_outage(bench: Bench, how: str) -> None:
    """The same relay goes on, the host knows no fence, and what it did meanwhile is told afterwards, in one outage."""
    bench.ledger.put("a")
    await bench.until(lambda: bench.relays.started)
    (relay,) = bench.relays.started
    asked = 0

    def refuse() -> None:
        nonlocal asked
        asked += 1
        if how == "unavailable":
            raise StoreUnavailable("down")

    bench.ledger.trouble, bench.ledger.hangs = refuse, how == "hangs"
    relay.become(RelayStatus(State.RETRYING, why=Reason.text("reset")))
    loop = asyncio.get_running_loop()
    began_at = loop.time()
    await bench.until(lambda: asked >= 3 and loop.time() - began_at > 2 * LEASE_S)
    bench.ledger.trouble, bench.ledger.hangs = (lambda: None), False
    await bench.until(lambda: any(one.status.reason == "reset" for one in bench.ledger.reports))
    assert not relay.is_asked_to_stop
    assert bench.ledger.registrations == 1
    assert all(at == math.inf for _, at in bench.relays.fences)


async def test_an_outage_is_told_once(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    """Not at each of four looks a second, and its end with how long it was."""
    refused = 0

    def refuse() -> None:
        nonlocal refused
        refused += 1
        raise StoreUnavailable("down")

    await bench.until(lambda: bench.ledger.registrations)
    bench.ledger.trouble = refuse
    await bench.until(lambda: refused >= 4)
    bench.ledger.trouble = lambda: None
    await bench.until(lambda: any("answers again" in line for line in caplog.messages))
    assert sum("the store cannot be asked: down" in line for line in caplog.messages) == 1


async def test_a_task_of_which_the_store_knows_nothing_is_aborted(bench: Bench) -> None:
    """A promoted standby may never have heard that it was claimed, and give it to another: one is let go, not all."""
    for name in "ab":
        bench.ledger.put(name)
    await bench.until(lambda: len(bench.relays.started) == 2)
    of = dict(zip("ab", bench.relays.started, strict=True))
    bench.ledger.forgotten.add("a")
    del bench.ledger.tasks["a"]
    of["a"].become(RelayStatus(State.STREAMING))
    await bench.until(lambda: of["a"].is_aborted)
    assert not of["b"].is_asked_to_stop
    assert bench.ledger.registrations == 1


async def test_a_task_that_only_the_store_knew_of_hung_for_ever(bench: Bench) -> None:
    """Held by this worker in its books, and nothing says that anything was changed: it is asked for now and then."""
    await bench.until(lambda: bench.ledger.registrations)
    await bench.until(lambda: bench.ledger.health)
    bench.ledger.put("a")
    bench.ledger.number -= 1
    await bench.until(lambda: bench.relays.started)
