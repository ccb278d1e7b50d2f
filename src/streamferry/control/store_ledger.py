"""StoreLedger: a worker's interface to the store. Turns a task into a spec for the data plane."""

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import islice

from streamferry.control.clock import StepWatch
from streamferry.media.errors import SourceForbidden, SourceRejected
from streamferry.media.watermark import Watermark
from streamferry.net.folders import NOWHERE, Folders
from streamferry.net.listening import NO_PORTS, ListenPorts
from streamferry.reasons import Code, InvalidPart, InvalidValue, Reason
from streamferry.relay.spec import Destination, Input, Item, Latency, RelaySpec
from streamferry.relay.status import Playhead
from streamferry.store import (
    TROUBLE,
    SealBroken,
    Store,
    assignments,
    claims,
    describe_trouble,
    followed_orders,
    sealing,
    workers,
)
from streamferry.store.assignments import HeldTask
from streamferry.store.workers import NO_TRAITS, Traits
from streamferry.tasks.actor import Actor, ActorKind, acting_as
from streamferry.tasks.model import ContinueStrategy, StoredMark, TaskDestination, TaskItem, TaskKind, TaskSpec
from streamferry.tasks.series import Window
from streamferry.tasks.times import from_ms, to_ms
from streamferry.worker import LEASE_S, Assignment, LeaseLost, Report, StoreUnavailable, WorkerHealth

_log = logging.getLogger("streamferry.control")


#: How soon a worker asks again for due tasks for which it had no room: each time is a write.
_CLAIM_AGAIN_S = 0.5
#: So many windows a worker knows: should nobody tell it of the next one, it goes on as long.
_WINDOWS_AHEAD = 3
#: All workers are told of a due task at once. Who finds its row locked by another, for which it is not meant, asks
#: again within this time.
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
        self._folders = folders
        self._ports = ports
        self._actor = Actor(ActorKind.WORKER, worker_id)
        self._lease_s = lease_s
        self._is_attached = is_attached
        self._clock_steps = StepWatch()
        # How often the store's clock was set: so far, and when its tasks were last read.
        self._steps = self._steps_known = 0

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
            began_at = time.monotonic()
            choice = None
            async with self._store.glance() as connection:
                orders, has_due, now_ms = await workers.poll(connection, self._worker_id, self._traits.labels)
                read_at = time.monotonic()
            if has_due and room and began_at >= self._claim_at:
                async with self._store.read() as connection:
                    choice = await claims.choose(connection, self._worker_id, load=load, room=room)
            self._steps += self._clock_steps.note(now_ms, began_at, read_at)
            if choice is None:
                return orders + self._steps
            if choice.is_full:
                self._claim_at = time.monotonic() + _CLAIM_AGAIN_S
            claimed = claims.NOTHING
            if choice.task_ids:
                with contextlib.suppress(claims.TakesNone):
                    async with self._store.write() as connection:
                        claimed = await claims.claim(connection, self._store.seal, self._worker_id, choice, load=load)
            orders = claimed.orders or orders
            if not claimed.tasks and not choice.is_full:
                wait_s = random.uniform(_LOCKED_AGAIN_S / 2, _LOCKED_AGAIN_S)
                asyncio.get_running_loop().call_later(wait_s, self._tell)
        return orders + self._steps

    async def listen(self, told: Callable[[bool], None]) -> None:
        """See the protocol."""

        def heard(whom: str) -> None:
            if whom in ("", self._worker_id):
                told(True)

        def hears(is_told: bool) -> None:
            self._told = told if is_told else None
            told(is_told)

        await self._store.listen(heard, hears)

    def _tell(self) -> None:
        """As if something had changed; not for a worker that asks often anyway."""
        if self._told is not None:
            self._told(True)

    async def assignments(self, known: Mapping[str, tuple[int, int]]) -> dict[str, Assignment | None]:
        """See the protocol. After a step of the clock all is read again: the time until each window has changed."""
        steps = self._steps
        known = known if steps == self._steps_known else {}
        asked_at = time.time()
        with _availability(), acting_as(self._actor):
            async with self._store.read() as connection:
                holds, now_ms = await assignments.read(connection, self._store.seal, self._worker_id, known)
        self._steps_known = steps
        ahead_s = _ahead_s(asked_at, time.time(), now_ms / 1000)
        return {one.task_id: self._assignment(one, now_ms, ahead_s) for one in holds}

    async def deleted(self, task_ids: Collection[str]) -> set[str]:
        """See the protocol."""
        with _availability(), acting_as(self._actor):
            async with self._store.read() as connection:
                return await assignments.deleted(connection, task_ids)

    async def report(self, reports: Sequence[Report], load: int, health: WorkerHealth | None) -> set[str]:
        """See the protocol."""
        with _availability(), acting_as(self._actor):
            made_at = time.monotonic()
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


def _windows_of(spec: TaskSpec, now: datetime) -> list[Window]:
    """The next windows of a task that sends its slate between them; none of any other.

    While the first of them runs the next one is told, long before the last one begins.
    """
    if spec.series is None or not spec.series.slate_between:
        return []
    return list(islice(spec.series.windows(now), _WINDOWS_AHEAD))


def relay_spec_of(spec: TaskSpec, playhead: Playhead) -> RelaySpec:
    """The relay's spec for a task. It has no end time: the worker keeps to the window. Raises ValueError."""
    mark = spec.watermark
    if isinstance(mark, StoredMark):
        raise InvalidValue(Code.TASK_MARK_UNREAD)
    return replace(
        _spec_of_source(spec, playhead, mark),
        more_inputs=tuple(
            Input(_items(one.items), one.kind is TaskKind.LIVE, one.warm, one.options) for one in spec.inputs
        ),
        slate=None if spec.slate is None else spec.slate.of_task(spec.title),
        switching=spec.switching,
        pinned=spec.pinned,
        orders=tuple(one for one in spec.orders if not one.is_done),
        watch=spec.watch,
    )


def _items(items: Sequence[TaskItem]) -> tuple[Item, ...]:
    return tuple(Item(item.url, item.start_s, item.end_s) for item in items)


def _spec_of_source(spec: TaskSpec, playhead: Playhead, mark: Watermark | None) -> RelaySpec:
    first, *others = spec.pushed
    items = _items(spec.items)
    if spec.kind is TaskKind.LIVE:
        return RelaySpec.live(
            items[0].url,
            first.url,
            watermark=mark,
            latency=first.latency or spec.latency,
            codecs=spec.codecs,
            source_options=spec.source_options,
            destination_options=first.options,
            destination_id=str(first.id),
            others=_others(others, first, spec.latency),
        )
    if playhead.item >= len(items):
        playhead = Playhead()
    return RelaySpec.vod(
        items,
        first.url,
        loops=spec.loops,
        playhead=playhead,
        watermark=mark,
        codecs=spec.codecs,
        pre_download=spec.pre_download,
        keeps_time=spec.continue_strategy is ContinueStrategy.AT_BREAK_PLUS_ELAPSED,
        source_options=spec.source_options,
        destination_options=first.options,
        destination_id=str(first.id),
        others=_others(others, first, spec.latency),
    )


def _others(others: Sequence[TaskDestination], first: TaskDestination, latency: Latency) -> tuple[Destination, ...]:
    """One whose partner is switched off is no backup now."""
    on_air = {first.id, *(one.id for one in others)}
    return tuple(
        Destination(
            str(one.id),
            one.url,
            one.options,
            one.latency or latency,
            str(one.backup_of) if one.backup_of in on_air else None,
        )
        for one in others
    )


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
