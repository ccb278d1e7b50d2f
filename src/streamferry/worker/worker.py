"""Worker: one loop that gets work and orders from the store, and reports to it.

A lease is valid for its length (setting ``lease_s``) from the moment a renewal was sent. The store must answer before
that ends; otherwise the worker considers its tasks lost, aborts them without telling their peers, and begins a new
lease when the last one has stopped. The store gives them to others half a second later at the earliest. The host gets
the same deadline and sends nothing past it, whatever code runs first after the process was frozen (``net.fence``).

An attached worker has no fence: nobody but its service can give its tasks away, which ends its process before it does.
So it continues for as long as the store is unavailable (docs/decisions/0019).
"""

import asyncio
import contextlib
import logging
import math
from collections.abc import Callable, Mapping
from typing import Protocol

from streamferry.relay import RelaySpec, Trouble, lease_clock
from streamferry.relay.preview import Viewer
from streamferry.worker.health import WorkerHealth
from streamferry.worker.ledger import LEASE_S, LeaseLost, Ledger, Report, StoreUnavailable
from streamferry.worker.running_relay import RunningRelay
from streamferry.worker.task_runner import KEYFRAME_S, TaskRunner

_log = logging.getLogger("streamferry.worker")

#: Renewal, and with it the playheads, which are at most this old after a kill (docs/decisions/0013). With 1 s, and
#: a check each POLL_S, 2 % of lists resumed more than a second before the break.
REPORT_S = 0.5
#: How often it does that while it has no task: only its lease is renewed, four times as often as must be.
IDLE_REPORT_S = 1.5
#: How often it reports its health.
HEALTH_S = 5.0
#: How often it checks for work and orders: one read by key.
POLL_S = 0.25
#: The same while the store tells of changes: then only what becomes due by time is found by checking. What another
#: worker was to take and did not is due for all after a second.
TOLD_POLL_S = 1.0
#: Checks because of what was told are this far apart, however much is changed at once.
TOLD_PAUSE_S = 0.05
#: How often it reads everything it holds, even if the store does not say that something was changed: a standby that
#: was promoted may lack the latest changes.
REREAD_S = 30.0
#: For so long an order waits for the store, which has to say that nobody has followed it.
ORDER_PATIENCE_S = 30.0
#: Relays get this long to close their sessions properly when the worker leaves, after ``KEYFRAME_S``.
LEAVE_S = 5.0
_RETRY_S = 1.0
# How many tasks are begun, or asked how they are, before the beat can be next: each takes some 20 us.
_AT_ONCE = 100
#: A worker that leaves waits this long for pending calls, and as long for the store to confirm its leaving: with the
#: rest it is less than the time after which its service kills it (``processes.STOP_S``).
_LAST_ANSWER_S = 1.0
_RETIRE_S = 3.0


class Host(Protocol):
    """What is needed from ``relay.RelayHost``."""

    def start(self, spec: RelaySpec, of: Mapping[str, object], trouble: Trouble | None) -> RunningRelay: ...

    def fence(self, at: float) -> None: ...


class Worker:
    """Create it inside a running event loop. ``measure`` is called now and then.

    ``is_attached``: see the module. ``reread_s``: how often it reads everything it holds.
    """

    def __init__(
        self,
        ledger: Ledger,
        host: Host,
        *,
        capacity: int,
        measure: Callable[[], WorkerHealth] | None = None,
        lease_s: float = LEASE_S,
        is_attached: bool = False,
        reread_s: float = REREAD_S,
    ) -> None:
        self._ledger = ledger
        self._host = host
        self._capacity = capacity
        self._measure = measure
        self._measure_at = 0.0
        self._lease_s = lease_s
        self._is_attached = is_attached
        self._reread_s = reread_s
        self._runners: dict[str, TaskRunner] = {}
        self._orders = -1
        self._fence_at = self._report_at = self._reread_at = self._poll_at = self._polled_at = 0.0
        # Whether the store tells of changes.
        self._is_told = False
        # Since when the store cannot be reached, on the loop's clock.
        self._away_at: float | None = None
        # Whether there is something to report at once, and whether there is anything to do at all.
        self._is_stirred = False
        self._woken = asyncio.Event()
        self._leaving = asyncio.Event()
        # The pending call to the store.
        self._patience: asyncio.Timeout | None = None

    def leave(self) -> None:
        """Request the end: stop everything, give it back, and end the lease."""
        self._leaving.set()
        self._stir()
        if self._patience is not None and not self._patience.expired():
            soon = asyncio.get_running_loop().time() + _LAST_ANSWER_S
            self._patience.reschedule(min(soon, self._patience.when() or soon))

    def open_preview(self, task_id: str) -> Viewer | None:
        """A viewer of what a task sends to its destination; None if it does not run here. Raises PreviewRefused."""
        runner = self._runners.get(task_id)
        return runner.open_preview() if runner is not None else None

    async def run(self) -> None:
        """Work until ``leave`` is called."""
        listening = asyncio.create_task(self._ledger.listen(self._note_told), name="listening")
        try:
            await self._run()
        finally:
            listening.cancel()
            await asyncio.wait([listening])

    async def _run(self) -> None:
        while not self._leaving.is_set():
            try:
                began_at = lease_clock()
                async with asyncio.timeout(self._lease_s):
                    await self._ledger.register()
                self._renewed(began_at)
                self._orders, self._poll_at = -1, 0.0
                await self._work()
                await self._hand_over()
            except LeaseLost:
                _log.error("the lease is lost: %d tasks are aborted", len(self._runners))
                await self._drop_all()
            except (StoreUnavailable, TimeoutError) as error:
                self._note_away(error)
                await self._drop_all()
                await _wait(self._leaving, _RETRY_S)

    async def _work(self) -> None:
        """The loop of one lease. Raises LeaseLost."""
        loop = asyncio.get_running_loop()
        while not self._leaving.is_set():
            left_s = min(self._lease_s, self._fence_at - lease_clock())
            if left_s <= 0:
                raise LeaseLost
            try:
                async with asyncio.timeout(left_s) as self._patience:
                    try:
                        await self._tend()
                    finally:
                        self._patience = None
            except (StoreUnavailable, TimeoutError) as error:
                self._note_away(error)
                self._poll_at = 0.0
                await _wait(self._leaving, min(POLL_S, max(0.0, self._fence_at - lease_clock())))
            else:
                self._note_answer()
                await _wait(self._woken, max(0.0, min(self._poll_at, self._report_at) - loop.time()))

    def _stir(self) -> None:
        """There is something to report."""
        self._is_stirred = True
        self._woken.set()

    def _note_told(self, is_told: bool) -> None:
        """The store tells of a change, or it does not tell any more."""
        self._is_told = is_told
        self._poll_at = min(self._poll_at, self._polled_at + TOLD_PAUSE_S)
        self._woken.set()

    def _note_away(self, error: Exception) -> None:
        """Log an outage once."""
        if self._away_at is None:
            self._away_at = asyncio.get_running_loop().time()
            _log.warning("the store cannot be asked: %s", str(error) or "it does not answer")

    def _note_answer(self) -> None:
        if self._away_at is not None:
            away_s = asyncio.get_running_loop().time() - self._away_at
            _log.warning("the store answers again, after %.1f s", away_s)
        self._away_at = None

    async def _tend(self) -> None:
        loop = asyncio.get_running_loop()
        self._woken.clear()
        if self._is_stirred or loop.time() >= self._report_at:
            await self._report()
        now = loop.time()
        if self._is_told and now < self._poll_at:
            return
        # Before the answer: what is told meanwhile may not be in it.
        self._polled_at, self._poll_at = now, now + (TOLD_POLL_S if self._is_told else POLL_S)
        load = len(self._runners)
        orders = await self._ledger.poll(load, max(0, self._capacity - load))
        now = loop.time()
        if orders != self._orders or now >= self._reread_at:
            if orders != self._orders:
                # There may be more: it takes only so many tasks at once, and renews its lease in between.
                self._poll_at = min(self._poll_at, self._polled_at + TOLD_PAUSE_S)
            await self._follow_orders()
            self._orders, self._reread_at = orders, now + self._reread_s

    async def _follow_orders(self, *, begins: bool = True) -> None:
        # What moves is always read: it may be told to stay, or have come here.
        known = {
            task_id: one.known
            for task_id, one in self._runners.items()
            if not (one.is_over or one.moves or one.is_next)
        }
        held = await self._ledger.assignments(known)
        for task_id, assignment in held.items():
            if assignment is None:
                continue
            runner = self._runners.get(task_id)
            if runner is None:
                if not begins:
                    continue
                if len(self._runners) % _AT_ONCE == _AT_ONCE - 1:
                    await asyncio.sleep(0)
                self._runners[task_id] = TaskRunner(assignment, self._host.start, self._stir, self._claim)
                if not assignment.is_wanted or assignment.moves:
                    self._runners[task_id].end()
            else:
                runner.follow(assignment)
        if gone := self._runners.keys() - held.keys():
            # There is nobody to give them back to.
            deleted = await self._ledger.deleted(gone)
            for task_id in gone:
                if task_id in deleted:
                    self._runners[task_id].end_deleted()
                else:
                    self._runners[task_id].lose()

    async def _claim(self, runner: TaskRunner, number: int) -> bool:
        """Whether an order may be followed. While the store cannot be asked it waits, and in the end it is left out."""
        loop = asyncio.get_running_loop()
        until = loop.time() + ORDER_PATIENCE_S
        while loop.time() < until:
            epoch, version = runner.known
            with contextlib.suppress(StoreUnavailable, TimeoutError):
                async with asyncio.timeout(self._lease_s):
                    answer = await self._ledger.claim_order(runner.task_id, epoch=epoch, version=version, number=number)
                if answer is not None:
                    return answer
            await asyncio.sleep(POLL_S)
        _log.warning("an order of task %s is left out: the store cannot be asked", runner.task_id)
        return False

    async def _report(self) -> None:
        self._is_stirred = False
        now, began_at = asyncio.get_running_loop().time(), lease_clock()
        self._report_at = now + (REPORT_S if self._runners else min(IDLE_REPORT_S, self._lease_s / 4))
        told: list[tuple[TaskRunner, Report]] = []
        for number, one in enumerate(self._runners.values()):
            if number and number % _AT_ONCE == 0:
                await asyncio.sleep(0)
            if (report := one.report()) is not None:
                told.append((one, report))
        load = sum(not one.is_over for one in self._runners.values())
        try:
            lost = await self._ledger.report([report for _, report in told], load, self._health(now))
        except BaseException:
            self._report_at = now
            raise
        self._renewed(began_at)
        for runner, report in told:
            if report.task_id in lost:
                # It belongs to another worker, or to none if the store has lost our claim.
                runner.lose()
                if not runner.is_over:
                    continue
            runner.confirm(report)
            if report.outcome is not None:
                del self._runners[report.task_id]
        if lost:
            _log.warning("%d tasks are not held any more and are aborted", len(lost))

    def _health(self, now: float) -> WorkerHealth | None:
        if self._measure is None or now < self._measure_at:
            return None
        self._measure_at = now + HEALTH_S
        return self._measure()

    async def _hand_over(self) -> None:
        """Stop each relay at its next keyframe, give its task back when it has stopped, and end the lease."""
        try:
            async with asyncio.timeout(KEYFRAME_S + LEAVE_S):
                async with asyncio.timeout(_RETIRE_S):
                    await self._ledger.retire()
                for runner in self._runners.values():
                    runner.hand_over()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(KEYFRAME_S):
                        await self._hand_back()
                for runner in self._runners.values():
                    runner.hand_over(at_once=True)
                await self._hand_back()
                await self._ledger.leave()
        except (TimeoutError, StoreUnavailable, LeaseLost) as error:
            _log.error("left without a word to the store: %s", str(error) or "it does not answer")

    async def _hand_back(self) -> None:
        """Report until everything that was asked to stop has stopped. A task that is stopped meanwhile is."""
        while self._runners:
            self._woken.clear()
            orders = await self._ledger.poll(len(self._runners), 0)
            if orders != self._orders:
                await self._follow_orders(begins=False)
                self._orders = orders
            await self._report()
            if self._runners:
                await _wait(self._woken, POLL_S)

    async def _drop_all(self) -> None:
        """Abort everything, and wait until nothing runs: a remaining run could collide with its own next claim."""
        for runner in self._runners.values():
            runner.abort()
        while left := sum(not runner.is_over for runner in self._runners.values()):
            self._woken.clear()
            if not await _wait(self._woken, LEAVE_S):
                _log.error("%d relays have not let go yet", left)
        self._runners.clear()

    def _renewed(self, began_at: float) -> None:
        self._fence_at = math.inf if self._is_attached else began_at + self._lease_s
        self._host.fence(self._fence_at)


async def _wait(event: asyncio.Event, seconds: float) -> bool:
    """Wait until the time is up, or the event has happened (True)."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            return await event.wait()
    return False
