"""StoreLedger: a worker's interface to the store."""

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import islice

from streamferry.control.clock import StepWatch
from streamferry.control.relay_specs import relay_spec_of
from streamferry.media.errors import SourceForbidden, SourceRejected
from streamferry.net.folders import NOWHERE, Folders
from streamferry.net.listening import NO_PORTS, ListenPorts
from streamferry.reasons import Code, InvalidPart, InvalidValue, Reason
from streamferry.store import (
    TROUBLE,
    SealBroken,
    Store,
    assignments,
    claims,
    describe_trouble,
    followed_orders,
    sealing,
    worker_orders,
    workers,
)
from streamferry.store.assignments import HeldTask
from streamferry.store.workers import NO_TRAITS, Traits
from streamferry.tasks.actor import Actor, ActorKind, acting_as
from streamferry.tasks.model import TaskItem, TaskSpec
from streamferry.tasks.placement import Candidate, read_labels_text
from streamferry.tasks.series import Window
from streamferry.tasks.times import from_ms, to_ms
from streamferry.worker import LEASE_S, Assignment, LeaseLost, Report, StoreUnavailable, WorkerHealth

_log = logging.getLogger("streamferry.control")


#: How soon a worker asks again for due tasks for which it had no room: each time is a write.
_CLAIM_AGAIN_S = 0.5
#: So many windows a worker knows: should nobody tell it of the next one, it goes on as long.
_WINDOWS_AHEAD = 3
#: All workers that could take a due task are told of it at once. They ask one after the other, on average this far
#: apart (docs/decisions/0136), and at most so late.
_TURN_S, _LAST_TURN_S = 0.02, 1.0
#: Who finds the row of a task that it is to take locked by another, for which it is not meant, asks again within this
#: time.
_LOCKED_AGAIN_S = 0.1


class StoreLedger:
    """Implements ``worker.Ledger``. ``folders``: from which ``file:`` sources may be read.

    ``address``: ``host:port`` where the worker serves previews.
    """

    def __init__(
        self,
        store: Store,
        worker_id: str,
        *,
        capacity: int,
        folders: Folders = NOWHERE,
        ports: ListenPorts = NO_PORTS,
        address: str | None = None,
        traits: Traits = NO_TRAITS,
        lease_s: float = LEASE_S,
        is_attached: bool = False,
    ) -> None:
        self._store = store
        self._worker_id = worker_id
        self._capacity = capacity
        self._address = address
        self._traits = traits
        self._claim_at = 0.0
        # See ``listen``; None while this worker is not told of changes.
        self._told: Callable[[bool], None] | None = None
        # Those that took tasks when it looked for the last time.
        self._fleet: Sequence[Candidate] = ()
        # It is to ask then, because of what it heard.
        self._turn: asyncio.TimerHandle | None = None
        self._folders = folders
        self._ports = ports
        self._actor = Actor(ActorKind.WORKER, worker_id)
        self._lease_s = lease_s
        self._is_attached = is_attached
        self._clock_steps = StepWatch()
        # How often the store's clock was set: so far, and when its tasks were last read.
        self._steps = self._steps_known = 0
        # How far this machine's clock is ahead of the store's.
        self._ahead_s = 0.0

    async def register(self) -> None:
        """See the protocol. Raises SealBroken for a store that is sealed under another key."""
        with _availability(), acting_as(self._actor):
            async with self._store.write() as connection:
                await sealing.open_seal(connection, self._store.seal)
                await workers.register(
                    connection,
                    self._worker_id,
                    self._capacity,
                    self._address,
                    self._traits,
                    lease_s=self._lease_s,
                    is_attached=self._is_attached,
                )

    async def poll(self, load: int, room: int) -> int:
        """See the protocol."""
        with _availability(), acting_as(self._actor):
            self._end_turn()
            began_at = time.monotonic()
            choice = None
            async with self._store.glance() as connection:
                orders, has_due, now_ms = await workers.poll(connection, self._worker_id, self._traits.labels)
                read_at = time.monotonic()
            if has_due and room and began_at >= self._claim_at:
                async with self._store.read() as connection:
                    choice = await claims.choose(connection, self._worker_id, load=load, room=room)
                    await worker_orders.tell(connection, choice.others)
            self._steps += self._clock_steps.note(now_ms, began_at, read_at)
            if choice is None:
                return orders + self._steps
            self._fleet = choice.fleet
            if choice.is_full:
                self._claim_at = time.monotonic() + _CLAIM_AGAIN_S
            if not choice.task_ids:
                return orders + self._steps
            claimed = claims.NOTHING
            with contextlib.suppress(claims.TakesNone):
                async with self._store.write() as connection:
                    claimed = await claims.claim(connection, self._store.seal, self._worker_id, choice, load=load)
            orders = claimed.orders or orders
            if not claimed.tasks:
                self._tell_in(random.uniform(_LOCKED_AGAIN_S / 2, _LOCKED_AGAIN_S))
        return orders + self._steps

    async def listen(self, told: Callable[[bool], None]) -> None:
        """See the protocol."""

        def heard(whom: str) -> None:
            if whom == self._worker_id:
                told(True)
            elif not whom or whom.startswith("["):
                self._hear_of_due(set(read_labels_text(whom)))

        def hears(is_told: bool) -> None:
            self._told = told if is_told else None
            told(is_told)

        await self._store.listen(heard, hears)

    def _hear_of_due(self, labels: set[str]) -> None:
        """There is a task that asks for these labels: ask when it is this worker's turn."""
        if self._turn is None and labels.issubset(self._traits.labels):
            able = sum(labels <= one.labels for one in self._fleet)
            self._tell_in(min(random.uniform(0, able * _TURN_S), _LAST_TURN_S))

    def _tell_in(self, seconds: float) -> None:
        """Then, as if something had changed; not for a worker that asks often anyway."""

        def tell() -> None:
            self._turn = None
            if self._told is not None:
                self._told(True)

        self._end_turn()
        self._turn = asyncio.get_running_loop().call_later(seconds, tell)

    def _end_turn(self) -> None:
        """It asks now, or otherwise."""
        if self._turn is not None:
            self._turn.cancel()
        self._turn = None

    async def assignments(self, known: Mapping[str, tuple[int, int]]) -> dict[str, Assignment | None]:
        """See the protocol. After a step of the clock all is read again: the time until each window has changed."""
        steps = self._steps
        known = known if steps == self._steps_known else {}
        asked_at = time.time()
        with _availability(), acting_as(self._actor):
            async with self._store.read() as connection:
                holds, now_ms = await assignments.read(connection, self._store.seal, self._worker_id, known)
        self._steps_known = steps
        if holds:
            self._ahead_s = _ahead_s(asked_at, time.time(), now_ms / 1000)
        return {one.task_id: self._assignment(one, now_ms, self._ahead_s) for one in holds}

    async def deleted(self, task_ids: Collection[str]) -> set[str]:
        """See the protocol."""
        with _availability(), acting_as(self._actor):
            async with self._store.read() as connection:
                return await assignments.deleted(connection, task_ids)

    async def report(self, reports: Sequence[Report], load: int, health: WorkerHealth | None) -> set[str]:
        """See the protocol."""
        with _availability(), acting_as(self._actor):
            made_at = time.monotonic()
            behind = timedelta(seconds=-self._ahead_s)
            reports = [_by_other_clock(one, behind) for one in reports]
            async with self._store.write() as connection:
                age_s = time.monotonic() - made_at
                return await assignments.report(
                    connection, self._worker_id, reports, load=load, health=health, age_s=age_s
                )

    async def claim_order(self, task_id: str, *, epoch: int, version: int, number: int) -> bool | None:
        """See the protocol."""
        with _availability(), acting_as(self._actor):
            async with self._store.write() as connection:
                return await followed_orders.claim(
                    connection, self._worker_id, task_id, epoch=epoch, version=version, number=number
                )

    async def retire(self) -> None:
        """See the protocol."""
        with _availability(), acting_as(self._actor):
            async with self._store.write() as connection:
                await workers.retire(connection, self._worker_id)

    async def leave(self) -> None:
        """See the protocol."""
        with _availability(), acting_as(self._actor):
            async with self._store.write() as connection:
                await workers.leave(connection, self._worker_id)

    def _assignment(self, hold: HeldTask, now_ms: int, ahead_s: float) -> Assignment | None:
        if hold.problem is not None:
            return Assignment(
                hold.task_id,
                hold.epoch,
                hold.version,
                hold.is_wanted,
                None,
                0.0,
                0.0,
                problem=hold.problem,
                moves=hold.moves,
                is_next=hold.is_next,
            )
        if hold.spec is None:
            return None
        spec = problem = None
        windows = _windows_of(hold.spec, from_ms(now_ms))
        end_at = windows[-1].end_at if windows else hold.spec.end_at
        try:
            self._check_files(hold.spec)
            spec = relay_spec_of(hold.spec, hold.playhead)
            # A relay waits by this machine's clock.
            spans = tuple((begin.timestamp() + ahead_s, end.timestamp() + ahead_s) for begin, end in windows)
            orders = tuple(replace(one, at=one.at + ahead_s) for one in spec.orders)
            spec = replace(spec, windows=spans, orders=orders)
        except InvalidPart as error:
            problem = Reason.of(Code.FIELD_NAMED, field=error.name, why=error.why)
        except InvalidValue as error:
            problem = error.why
        return Assignment(
            task_id=hold.task_id,
            epoch=hold.epoch,
            version=hold.version,
            is_wanted=hold.is_wanted,
            spec=spec,
            start_in_s=(to_ms(hold.spec.opens_at) - now_ms) / 1000,
            end_in_s=(to_ms(end_at) - now_ms) / 1000,
            problem=problem,
            trouble=hold.trouble,
            moves=hold.moves,
            is_next=hold.is_next,
        )

    def _check_files(self, spec: TaskSpec) -> None:
        """Raises ValueError for a local file outside of the folders, and for a port that may not be opened.

        Whether the file can be read is found out by the run.
        """
        items = [*spec.items, *(item for one in spec.inputs for item in one.items)]
        if spec.slate is not None and spec.slate.clip is not None:
            items.append(TaskItem(spec.slate.clip))
        items += [TaskItem(one.item.url) for one in spec.orders if one.item is not None]
        for url in (*(one.url for one in spec.pushed), *(item.url for item in items)):
            if reason := self._ports.refuse(url):
                raise InvalidValue(Code.ADDRESS_REFUSED, url=url.redacted, why=reason)
        for item in items:
            if item.url.scheme == "file":
                try:
                    self._folders.check(item.url.path, item.url.redacted)
                except SourceForbidden as error:
                    raise InvalidValue(error.why) from None
                except SourceRejected:
                    pass


def _ahead_s(asked_at: float, answered_at: float, told_s: float) -> float:
    """How far this machine's clock is ahead of the store's, which told its time in between: no more than it must be."""
    return max(asked_at - told_s, min(answered_at - told_s, 0.0))


def _by_other_clock(report: Report, by: timedelta) -> Report:
    """The same with its moments by another clock. Few reports have any."""
    status = report.status
    if not (status.on_air or status.found or status.unseen):
        return report
    moved = replace(
        status,
        on_air=replace(status.on_air, since=status.on_air.since + by) if status.on_air else None,
        found=tuple(replace(one, since=one.since + by) for one in status.found),
        unseen=tuple(replace(one, since=one.since + by) for one in status.unseen),
    )
    return replace(report, status=moved)


def _windows_of(spec: TaskSpec, now: datetime) -> list[Window]:
    """The next windows of a task that sends its slate between them; none of any other.

    While the first of them runs the next one is told, long before the last one begins.
    """
    if spec.series is None or not spec.series.slate_between:
        return []
    return list(islice(spec.series.windows(now), _WINDOWS_AHEAD))


#: Kinds of our own bugs that this process has already logged in full.
_known_faults: set[type[Exception]] = set()


@contextlib.contextmanager
def _availability() -> Iterator[None]:
    """Trouble with the database in one sentence, without statement or address."""
    try:
        yield
    except (LeaseLost, SealBroken):
        raise
    except TROUBLE as error:
        raise StoreUnavailable(describe_trouble(error)) from None
    except Exception as error:
        # Whatever is wrong with one row or statement, relays continue as long as the lease lasts.
        kind = type(error)
        if kind not in _known_faults:
            _known_faults.add(kind)
            _log.exception("the store cannot be asked: an error inside streamferry, told once")
        raise StoreUnavailable(f"{kind.__name__} inside streamferry") from None
