"""The lease protocol, as a machine that is put into every order of events: never two owners past a fence, but for a
task whose destinations take two publishers, while it moves.

The store is a real one whose clock is moved. A worker is what ``worker.worker`` makes of it: it counts its lease from
when it sent what renewed it, pushes nothing past that, whatever it still has in hand, and begins a new lease when it
has dropped everything. What a worker sends may be done late, and answered later.
"""

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest
import sqlalchemy as sa
from cryptography.fernet import Fernet
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from task_samples import make_spec

from streamferry.control.actions import Actions
from streamferry.control.store_ledger import StoreLedger
from streamferry.media.peer_options import PeerOptions
from streamferry.media.url import MediaUrl
from streamferry.relay import RelayStatus, State
from streamferry.store import Seal, Store, due, placing, workers
from streamferry.store.database import read_now_ms
from streamferry.store.records import Intent
from streamferry.store.schema import metadata, pulse, run, worker
from streamferry.worker import LEASE_S, LeaseLost, Outcome, Report

LEASE_MS = round(LEASE_S * 1000)
NAMES = ("one", "two")
CALLS = ("report", "tend", "tend", "give back", "leave")
TASKS = 1
#: The store's clock stands, however long the test takes.
ALWAYS = {"start_at": datetime(2020, 1, 1, tzinfo=UTC), "end_at": datetime(2120, 1, 1, tzinfo=UTC)}
STREAMING = RelayStatus(State.STREAMING, media_time_ms=1, bytes_out=1)
#: As many as are cheap; by hand some thousands, with what this names.
EXAMPLES = int(os.environ.get("STREAMFERRY_LEASE_EXAMPLES", "12"))
SOME_NAME = st.sampled_from(NAMES)
#: Some of each kind: within a report, within a lease, about a lease, longer than any.
SOME_TIME = st.sampled_from((900, 3_100, 5_900, 6_600, 20_000))


@dataclass
class Sent:
    """A call on its way, with the time when it was sent. ``answer``: once the store has done it."""

    at_ms: int
    call: Callable[[], Any]
    then: Callable[[Any], None]
    renews: bool
    answer: tuple[Any] | None = None


@dataclass
class Someone:
    """A worker as it sees itself. ``has``: task -> the epoch under which it pushes."""

    ledger: StoreLedger
    fence_ms: int = 0
    is_registered: bool = False
    is_frozen: bool = False
    has: dict[str, tuple[int, int]] = field(default_factory=dict)
    sent: Sent | None = None


class Leases(RuleBasedStateMachine):
    """See the module. ``store`` is set before it is made."""

    store: Store
    runner: asyncio.Runner
    overlaps = False

    def __init__(self) -> None:
        super().__init__()
        #: Tasks that were to move, with the epoch of who had them.
        self.moved: set[tuple[str, int]] = set()
        self.now_ms = 0
        self.is_away = False
        self.runner.run(self._clear())
        self.workers = {name: Someone(StoreLedger(self.store, name, capacity=TASKS)) for name in NAMES}
        self.calls(NAMES[0], "tend", "answered")

    async def _clear(self) -> None:
        async with self.store.write() as connection:
            for table in metadata.sorted_tables:
                if table.name not in ("seal_key", "task_group"):
                    await connection.execute(table.delete())
        actions = Actions(self.store)
        for number in range(TASKS):
            destination = MediaUrl.parse(f"rtmp://push.example/live/{number}")
            options = PeerOptions(overlap=self.overlaps)
            await actions.create_task(make_spec(destination=destination, destination_options=options, **ALWAYS))
        await self._beat(afresh=True)

    async def _beat(self, *, afresh: bool = False) -> None:
        async with self.store.write() as connection:
            now = await read_now_ms(connection)
            await workers.beat(connection, now, afresh=afresh)
            if afresh:
                await due.follow_clock(connection, now)

    async def _move(self, ms: int, *, is_away: bool) -> None:
        """The store's clock stands: what has a time is moved. While the store is not away, the pulse beats."""
        ended = worker.c.lease_ms < 0
        moved = {"since_ms": pulse.c.since_ms - ms} | ({"at_ms": pulse.c.at_ms - ms} if is_away else {})
        async with self.store.write() as connection:
            await connection.execute(
                worker.update().values(lease_ms=sa.case((ended, worker.c.lease_ms + ms), else_=worker.c.lease_ms - ms))
            )
            await connection.execute(pulse.update().values(moved))
            await connection.execute(run.update().values(due_ms=run.c.due_ms - ms))

    async def _free(self) -> int:
        async with self.store.read() as connection:
            if not (await due.read_pending(connection)).expired:
                return 0
        async with self.store.write() as connection:
            return await workers.free_expired(connection)

    async def _intend(self, name: str, intent: Intent) -> None:
        actions = Actions(self.store)
        if name in [one.worker_id for one in await actions.list_workers()]:
            await actions.set_intent(name, intent)
        async with self.store.write() as connection:
            await placing.move_tasks(connection, rebalances=False)
            moving = await connection.execute(sa.select(run.c.task_id, run.c.epoch).where(run.c.moves))
            self.moved |= {(task_id, epoch) for task_id, epoch in moving}

    @rule(
        name=SOME_NAME,
        intent=st.sampled_from((Intent.DRAINING, Intent.DRAINING, Intent.OPEN)),
        and_is=st.sampled_from(("sent", "answered", "answered")),
    )
    def an_operator_drains(self, name: str, intent: Intent, and_is: str) -> None:
        """Or takes it back. The other one is there, so that a task has somewhere to go, and looks for it."""
        if self.is_away:
            return
        (other,) = set(NAMES) - {name}
        self.runner.run(self._intend(other, Intent.OPEN))
        self.calls(other, "report", "answered")
        self.runner.run(self._intend(name, intent))
        self.calls(other, "tend", and_is)

    def _awake(self, name: str) -> Someone:
        """It looks at its fence before anything else."""
        one = self.workers[name]
        if one.is_registered and self.now_ms >= one.fence_ms:
            one.is_registered, one.sent = False, None
            one.has.clear()
        return one

    def _send(self, one: Someone, call: Callable[[], Any], then: Callable[[Any], None], *, renews: bool) -> None:
        one.sent = Sent(self.now_ms, call, then, renews)

    @rule(ms=SOME_TIME, and_looks=st.sampled_from((True, True, False)))
    def time_passes(self, ms: int, and_looks: bool) -> None:
        """For all. A scheduler looks as soon as it can, or not at all."""
        self.now_ms += ms
        self.runner.run(self._move(ms, is_away=self.is_away))
        if and_looks and not self.is_away:
            self.the_scheduler_looks()

    @rule(name=SOME_NAME, by_ms=st.sampled_from((-3_600_000, -2_000, 2_000, 3_600_000)), what=st.integers(0, 3))
    def trouble_comes_or_goes(self, name: str, by_ms: int, what: int) -> None:
        """A worker freezes or wakes, as by SIGSTOP; the store is away or comes back; or its clock is set."""
        if what == 0 and not self.is_away:
            self.runner.run(self._move(by_ms, is_away=True))
            self.runner.run(self._beat(afresh=True))
        elif what == 1:
            self.is_away = not self.is_away
            if not self.is_away:
                self.runner.run(self._beat())
        elif what > 1:
            self.workers[name].is_frozen = not self.workers[name].is_frozen

    @rule(
        name=SOME_NAME,
        what=st.sampled_from(CALLS),
        and_is=st.sampled_from(("sent", "done", "answered", "answered", "answered")),
    )
    def calls(self, name: str, what: str, and_is: str) -> None:
        """One call at a time; it may be done and answered later. A lease comes before anything else."""
        one = self._awake(name)
        for call in (what,) if one.is_registered else ("register", "tend"):
            self._sends(name, call)
            if and_is == "sent":
                return
            self.goes_on(name)
            if and_is == "answered":
                self.goes_on(name)

    def _sends(self, name: str, what: str) -> None:
        """Without a lease it asks for one."""
        one = self._awake(name)
        if one.is_frozen or one.sent is not None:
            return
        ledger, had = one.ledger, dict(one.has)

        def registered(_: object) -> None:
            one.is_registered = True

        def follow(held: Any) -> None:
            for task_id in had.keys() - held.keys():
                one.has.pop(task_id, None)
            for task_id, assignment in held.items():
                if assignment is not None:
                    one.has[task_id] = (assignment.epoch, assignment.version)

        def drop(lost: Any) -> None:
            for task_id in lost if what == "report" else had:
                one.has.pop(task_id, None)

        if not one.is_registered:
            self._send(one, ledger.register, registered, renews=True)
        elif what == "tend":

            async def tend() -> object:
                await ledger.poll(len(had), TASKS - len(had))
                return await ledger.assignments({})

            self._send(one, tend, follow, renews=False)
        elif what == "leave":
            # It has stopped everything before it says so.
            one.has.clear()
            one.is_registered = False
            self._send(one, ledger.leave, lambda _: None, renews=False)
        else:
            outcome = Outcome.HANDED_BACK if what == "give back" else None
            if outcome is not None:
                # So it has.
                one.has.clear()
            told = [Report(task_id, *known, STREAMING, (), {}, None, outcome) for task_id, known in had.items()]
            self._send(one, lambda: ledger.report(told, len(had), None), drop, renews=True)

    @rule(name=SOME_NAME)
    def goes_on(self, name: str) -> None:
        """What it sent is done by the store, however long ago that was; or it reads the answer."""
        sent = self.workers[name].sent
        if sent is None:
            return
        if sent.answer is not None:
            self._reads_answer(name)
        elif not self.is_away:
            try:
                sent.answer = (self.runner.run(sent.call()),)
            except LeaseLost:
                sent.answer = (LeaseLost,)

    def _reads_answer(self, name: str) -> None:
        """Who is frozen reads it when it wakes; who has given up never does."""
        one = self._awake(name)
        if one.is_frozen or one.sent is None or one.sent.answer is None:
            return
        sent, one.sent = one.sent, None
        (answer,) = sent.answer or (None,)
        if answer is LeaseLost:
            one.is_registered = False
            one.has.clear()
            return
        if sent.renews:
            one.fence_ms = max(one.fence_ms, sent.at_ms + LEASE_MS)
        sent.then(answer)

    def the_scheduler_looks(self) -> None:
        """Of any service."""
        self.runner.run(self._free())

    @invariant()
    def nobody_pushes_what_another_does(self) -> None:
        """Whatever a worker has in hand, past its fence nothing leaves. Where two may, the next one may have begun."""
        pushing: dict[str, list[int]] = {}
        for one in self.workers.values():
            for task_id, (epoch, _) in one.has.items() if self.now_ms < one.fence_ms else ():
                pushing.setdefault(task_id, []).append(epoch)
        for task_id, epochs in pushing.items():
            first, *others = sorted(epochs)
            assert not others or (self.overlaps and others == [first + 1] and (task_id, first) in self.moved)

    def teardown(self) -> None:
        """Nothing is lost: once the store answers, and whoever was there is gone, another one gets all."""
        self.is_away = False
        self.runner.run(self._beat())
        for _ in range(2):
            self.time_passes(7_000, and_looks=True)
        last = StoreLedger(self.store, "last", capacity=TASKS)
        self.runner.run(last.register())
        self.time_passes(2_000, and_looks=False)
        self.runner.run(last.poll(0, TASKS))
        assert len(self.runner.run(last.assignments({}))) == TASKS


@pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("overlaps", [False, True])
@pytest.mark.usefixtures("standing_clock")
def test_two_workers_never_own_a_task_past_a_fence(store_url: str, overlaps: bool) -> None:
    """And none is lost on the way."""
    Leases.overlaps = overlaps
    with asyncio.Runner() as runner:
        Leases.store, Leases.runner = Store(store_url, Seal(Fernet.generate_key().decode())), runner
        try:
            run_state_machine_as_test(
                Leases, settings=settings(max_examples=EXAMPLES, stateful_step_count=30, deadline=None)
            )
        finally:
            runner.run(Leases.store.aclose())
