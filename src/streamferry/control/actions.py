"""Actions: everything that can be done to tasks, groups and keys, with the rules. Knows no HTTP.

Each action is one transaction: it reads what it judges under a lock, changes it by compare-and-set on the version, lets
the run follow, and appends an event. Values are checked by the front ends with ``control.checks``. It is as late as the
store's clock says, here as for workers: that of the machine is nobody's business.

The states of a task are the API's (``ApiStatus``). Two things move it: an action, by the table ``ALLOWED``, and time.
"""

import asyncio
import contextlib
import logging
import secrets
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from dataclasses import replace
from datetime import datetime
from enum import StrEnum

from sqlalchemy.ext.asyncio import AsyncConnection

from streamferry.control.clock import Clock
from streamferry.control.sign_ins import SignIns
from streamferry.relay.list_position import move, move_ends
from streamferry.relay.status import State
from streamferry.store import (
    Store,
    asks_again,
    audit,
    calls,
    deliveries,
    due,
    events,
    groups,
    keys,
    mailboxes,
    pictures,
    tasks,
    usage,
    workers,
)
from streamferry.store.database import lock_name, read_now_ms
from streamferry.store.events import NewEvent
from streamferry.store.records import (
    AuditRecord,
    EventRecord,
    GroupPage,
    GroupRecord,
    GroupTag,
    KeyPair,
    KeyRecord,
    RunningTask,
    TaskCount,
    TaskPage,
    TaskRecord,
    UsageBucket,
    WorkerRecord,
)
from streamferry.tasks.errors import (
    DestinationConflict,
    GroupExists,
    GroupInUse,
    GroupNotFound,
    InvalidField,
    KeyNotFound,
    TaskNotFound,
    VersionConflict,
    WrongState,
)
from streamferry.tasks.model import DEFAULT_GROUP, ApiStatus, AuditKind, TaskSpec
from streamferry.tasks.schedule import decide_due
from streamferry.tasks.signed_calls import SignedCall, current_call
from streamferry.tasks.times import from_ms, to_ms

_log = logging.getLogger("streamferry.control")


class Action(StrEnum):
    """What can be asked of a task that exists."""

    UPDATE = "update"
    STOP = "stop"
    CONTINUE = "continue"
    START_OVER = "start over"
    DELETE = "delete"


#: Action -> the states in which it may be asked for. The API calls starting over Relaunch, and continue also Restart.
ALLOWED: dict[Action, frozenset[ApiStatus]] = {
    Action.UPDATE: frozenset(ApiStatus),
    Action.STOP: frozenset((ApiStatus.NOT_STARTED, ApiStatus.ACTIVE)),
    Action.CONTINUE: frozenset((ApiStatus.DISABLED,)),
    Action.START_OVER: frozenset(ApiStatus),
    Action.DELETE: frozenset(ApiStatus),
}
_WORDS = {
    ApiStatus.DISABLED: "stopped",
    ApiStatus.NOT_STARTED: "not started yet",
    ApiStatus.ACTIVE: "running",
    ApiStatus.ENDED: "ended",
}


class Actions:
    """See the module. ``refuses_conflicts``: whether two tasks with one destination are refused, or only logged.

    ``clock``: in place of the store's.
    """

    def __init__(self, store: Store, clock: Clock | None = None, *, refuses_conflicts: bool = True) -> None:
        self._store = store
        self._seal = store.seal
        self._clock = clock
        self._refuses_conflicts = refuses_conflicts
        self._summing = asyncio.Semaphore(2)
        self.sign_ins = SignIns(store, self.find_key)

    @asks_again
    async def now(self) -> datetime:
        """The store's clock, by which tasks begin and end."""
        async with self._store.read() as connection:
            return from_ms(await self._now_ms(connection))

    async def _now_ms(self, connection: AsyncConnection) -> int:
        return to_ms(self._clock.now()) if self._clock else await read_now_ms(connection)

    @contextlib.asynccontextmanager
    async def _change(self, made: str | None = None) -> AsyncIterator[AsyncConnection]:
        """A transaction that changes tasks or groups, for the signed call that asks for it. Raises DoneBefore.

        ``made``: the id of the task that it makes.
        """
        async with self._store.write() as connection:
            if (call := current_call()) is not None:
                await calls.claim(connection, call, made=made)
            yield connection

    async def keep_refusal(self, call: SignedCall, refusal: str) -> None:
        """What a signed call was refused with stays its answer. Raises DoneBefore if it has another one."""
        async with self._store.write(is_durable=False) as connection:
            await calls.claim(connection, call, refusal=refusal)

    # Tasks

    async def create_task(self, spec: TaskSpec) -> str:
        """A new enabled task; its id of 32 lower-case hex digits. Raises GroupNotFound, DestinationConflict."""
        task_id = secrets.token_hex(16)
        async with self._change(made=task_id) as connection:
            now_ms = await self._now_ms(connection)
            await self._judge_new(connection, spec, task_id, now_ms)
            due_ms = _due(spec, enabled=True, finished=False, now_ms=now_ms)
            await tasks.insert(connection, self._seal, task_id, spec, now_ms=now_ms, due_ms=due_ms)
            await mailboxes.follow(connection, self._seal, task_id, None, spec)
            await events.append(connection, [NewEvent(task_id, "created", now_ms)])
        return task_id

    @asks_again
    async def check_task(self, spec: TaskSpec) -> None:
        """Whether such a task could be created now: it only looks. Raises GroupNotFound, DestinationConflict."""
        async with self._store.read() as connection:
            now_ms = await self._now_ms(connection)
            await self._judge_new(connection, spec, "", now_ms, check_only=True)

    async def update_task(
        self, task_id: str, revise: Callable[[TaskSpec | None], TaskSpec], *, expected_version: int | None = None
    ) -> None:
        """Put what ``revise`` makes of the present spec in its place; what runs follows. The group cannot be changed.

        The present spec is read under the lock under which it is replaced, so of two partial updates at once none is
        lost. A list that was played out begins anew when anything about its playing is changed; any other one goes on
        with the item where it stands, wherever that is now, or with what is in its place.
        ``revise`` gets None in place of a spec that cannot be read: it has to make a whole new one.
        Raises TaskNotFound, VersionConflict, InvalidField, DestinationConflict, and what ``revise`` raises.
        """
        async with self._change() as connection:
            now_ms = await self._now_ms(connection)
            before = await self._require_task(connection, task_id, Action.UPDATE, now_ms)
            if expected_version not in (None, before.version):
                raise VersionConflict(before.version)
            spec = revise(before.spec if before.problem is None else None)
            if before.problem is not None and spec.group == DEFAULT_GROUP:
                spec = replace(spec, group=before.spec.group)
            if spec.group != before.spec.group:
                raise InvalidField("group", "the group of a task cannot be changed")
            was, kind_changed = before.spec, spec.kind is not before.spec.kind
            list_changed = kind_changed or spec.items != was.items
            revived = before.finished and (
                list_changed or (spec.loops, spec.start_at, spec.end_at) != (was.loops, was.start_at, was.end_at)
            )
            finished = before.finished and not revived
            if before.enabled and not finished:
                await self._guard_destination(connection, spec, task_id, now_ms)
            await tasks.replace(connection, self._seal, before, spec, finished=finished)
            values: dict[str, object] = {}
            if list_changed:
                values |= tasks.known_ends(
                    _moved_ends(before.item_ends_ms, () if kind_changed else was.items, spec.items)
                )
            if before.problem is not None:
                values |= {"state": State.WAITING.value, "fault": None, "reason": None, **tasks.NO_TROUBLE}
            if revived or (list_changed and (before.playhead is None or kind_changed)):
                values |= tasks.START_AGAIN
            elif list_changed and before.playhead is not None:
                values |= tasks.place(move(before.playhead, was.items, spec.items)[0])
            if to_ms(spec.start_at) > now_ms:
                values |= tasks.NO_TROUBLE
            due_ms = _due(spec, enabled=before.enabled, finished=finished, now_ms=now_ms)
            await tasks.redirect(connection, task_id, due_ms=due_ms, values=values)
            await mailboxes.follow(connection, self._seal, task_id, was if before.problem is None else None, spec)
            await events.append(connection, [NewEvent(task_id, "updated", now_ms, {"version": before.version + 1})])

    async def stop_task(self, task_id: str) -> None:
        """Disable it; a run ends and keeps its playhead. Raises TaskNotFound, WrongState."""
        async with self._change() as connection:
            now_ms = await self._now_ms(connection)
            before = await self._require_task(connection, task_id, Action.STOP, now_ms)
            await tasks.change(connection, before, enabled=False)
            told = [NewEvent(task_id, "disabled", now_ms)]
            if not await tasks.redirect(connection, task_id, due_ms=None):
                await tasks.rest(connection, task_id)
                told.append(NewEvent(task_id, "stopped", now_ms, {"final": True}))
            await events.append(connection, told)

    async def continue_task(self, task_id: str) -> None:
        """Enable a stopped one; its list goes on as its ContinueStrategy says.

        Raises TaskNotFound, WrongState, DestinationConflict.
        """
        async with self._change() as connection:
            now_ms = await self._now_ms(connection)
            before = await self._require_task(connection, task_id, Action.CONTINUE, now_ms)
            _require_readable(before)
            if not before.finished:
                await self._guard_destination(connection, before.spec, task_id, now_ms)
            await tasks.change(connection, before, enabled=True)
            due_ms = _due(before.spec, enabled=True, finished=before.finished, now_ms=now_ms)
            await tasks.redirect(connection, task_id, due_ms=due_ms)
            await events.append(connection, [NewEvent(task_id, "enabled", now_ms)])

    async def relaunch_task(self, task_id: str) -> None:
        """Enable it and begin at the beginning, whatever it does now. Raises TaskNotFound, DestinationConflict."""
        async with self._change() as connection:
            now_ms = await self._now_ms(connection)
            before = await self._require_task(connection, task_id, Action.START_OVER, now_ms)
            _require_readable(before)
            await self._guard_destination(connection, before.spec, task_id, now_ms)
            await tasks.change(connection, before, enabled=True, finished=False)
            due_ms = _due(before.spec, enabled=True, finished=False, now_ms=now_ms)
            await tasks.redirect(
                connection, task_id, due_ms=due_ms, new_epoch=True, values={**tasks.START_AGAIN, **tasks.NO_TROUBLE}
            )
            await events.append(connection, [NewEvent(task_id, "relaunched", now_ms)])

    async def delete_task(self, task_id: str) -> None:
        """Delete it; a run ends. Its events and its usage are kept. Raises TaskNotFound."""
        async with self._change() as connection:
            now_ms = await self._now_ms(connection)
            await self._require_task(connection, task_id, Action.DELETE, now_ms)
            await events.append(connection, [NewEvent(task_id, "deleted", now_ms, {"final": True})])
            await usage.keep_place(connection, task_id)
            await tasks.delete(connection, task_id)
            await deliveries.forget_empty(connection, {task_id})

    @asks_again
    async def get_task(self, task_id: str) -> TaskRecord:
        """One task. Raises TaskNotFound."""
        async with self._store.read() as connection:
            record = await tasks.find(connection, self._seal, task_id)
        if record is None:
            raise TaskNotFound(task_id)
        return record

    @asks_again
    async def read_pictures(self, digests: Collection[str]) -> dict[str, bytes]:
        """Pictures of watermarks by digest; what is not there is left out."""
        async with self._store.read() as connection:
            return await pictures.read(connection, digests)

    @asks_again
    async def list_tasks(
        self,
        *,
        title: str = "",
        groups: Sequence[str] = (),
        statuses: Sequence[ApiStatus] = (),
        states: Sequence[State] = (),
        in_trouble: bool | None = None,
        page: int = 1,
        size: int = 20,
        max_bytes: int | None = None,
    ) -> TaskPage:
        """Newest first. ``title``: part of it, in any case. Of the others none means all. ``page`` counts from 1.

        ``max_bytes``: of what is wanted of all of them, as text; raises InvalidField for more.
        """
        async with self._store.read() as connection:
            try:
                records, total = await tasks.page(
                    connection,
                    self._seal,
                    title=title,
                    groups=groups,
                    statuses=statuses,
                    states=states,
                    in_trouble=in_trouble,
                    now_ms=await self._now_ms(connection),
                    offset=(page - 1) * size,
                    limit=size,
                    max_bytes=max_bytes,
                )
            except tasks.PageTooLarge as error:
                raise InvalidField(
                    "size", f"the addresses of these tasks are too long for one answer: ask for at most {error.fits}"
                ) from None
        return TaskPage(tuple(records), total)

    @asks_again
    async def count_tasks(self, *, title: str = "", groups: Sequence[str] = ()) -> list[TaskCount]:
        """How many tasks are in which status and state, of those that ``list_tasks`` lists for title and groups."""
        async with self._store.read() as connection:
            now_ms = await self._now_ms(connection)
            return await tasks.count(connection, now_ms=now_ms, title=title, groups=groups)

    @asks_again
    async def count_late(self) -> int:
        """How many tasks are due that no worker has taken for some seconds."""
        async with self._store.read() as connection:
            return await due.count_late(connection)

    @asks_again
    async def list_running(self) -> list[RunningTask]:
        """What each task does that a worker has."""
        async with self._store.read() as connection:
            return await tasks.running(connection)

    @asks_again
    async def list_feed(self, task_id: str | None = None, *, after: int = 0, limit: int = 100) -> list[EventRecord]:
        """Events behind an id, oldest first, of one task or of all; to be followed by the last one's id.

        Those of a deleted task can still be read.
        """
        async with self._store.read() as connection:
            return await events.feed(connection, task_id, after=after, limit=limit)

    @asks_again
    async def list_latest_events(
        self, task_id: str, *, limit: int = 100, kinds: Sequence[str] = ()
    ) -> list[EventRecord]:
        """The last events of a task, newest first; no kinds: of any."""
        async with self._store.read() as connection:
            return await events.latest(connection, task_id, limit=limit, kinds=kinds)

    @asks_again
    async def list_recent_events(
        self, task_id: str | None = None, *, since: datetime | None = None, kinds: Sequence[str] = (), limit: int = 100
    ) -> tuple[list[EventRecord], int]:
        """The last events of one task or of all, oldest first, and how many there are (see ``events.LOOK_BACK``)."""
        since_ms = to_ms(since) if since else 0
        async with self._store.read() as connection:
            return await events.recent(connection, task_id, since_ms=since_ms, kinds=kinds, limit=limit)

    @asks_again
    async def last_event(self) -> int:
        """The largest id of an event, 0 without any."""
        async with self._store.read() as connection:
            return await events.last_id(connection)

    @asks_again
    async def list_workers(self) -> list[WorkerRecord]:
        """Workers that are there or were in the last hour, oldest first."""
        async with self._store.read() as connection:
            return await workers.all_workers(connection)

    # Groups

    async def create_group(self, name: str, project: str, tags: Sequence[GroupTag] = ()) -> None:
        """A new group. Raises GroupExists."""
        async with self._change() as connection:
            group = GroupRecord(name, project, tuple(tags), deleted=False)
            if not await groups.put(connection, group, now_ms=await self._now_ms(connection)):
                raise GroupExists(name)

    async def update_group(self, name: str, tags: Sequence[GroupTag]) -> None:
        """Other tags; nothing else of a group can be changed. Raises GroupNotFound."""
        async with self._change() as connection:
            await self._require_group(connection, name, lock=True)
            await groups.set_tags(connection, name, tags)

    async def delete_group(self, name: str) -> None:
        """Delete a group in which no tasks are. Raises GroupNotFound, GroupInUse."""
        async with self._change() as connection:
            await self._require_group(connection, name, lock=True)
            if name == DEFAULT_GROUP:
                raise GroupInUse("the preset group cannot be deleted")
            if await groups.has_tasks(connection, name):
                raise GroupInUse(f"group {name} holds tasks; delete them first")
            await groups.delete(connection, name)

    @asks_again
    async def list_groups(self, *, page: int = 1, size: int = 20, statuses: Sequence[int] = (0,)) -> GroupPage:
        """Oldest first. ``statuses``: 0 usable, 1 deleted."""
        async with self._store.read() as connection:
            deleted = [status == 1 for status in statuses]
            records, total = await groups.page(connection, deleted=deleted, offset=(page - 1) * size, limit=size)
        return GroupPage(tuple(records), total)

    # Usage

    @asks_again
    async def usage(
        self,
        start_at: datetime,
        end_at: datetime,
        *,
        step_s: int,
        groups: Sequence[str] = (),
        stream: tuple[str, str] | None = None,
        by_group: bool = False,
    ) -> list[UsageBucket]:
        """What workers measured, in steps from ``start_at``, oldest first; steps without any are left out.

        ``stream``: only of destinations with this application and stream name. Raises InvalidField for more than can be
        summed at once.
        """
        digest = tasks.stream_digest(self._seal, *stream) if stream else None
        # Each takes the database seconds at worst: others shall find connections, too.
        async with self._summing, self._store.read() as connection:
            try:
                return await usage.buckets(
                    connection,
                    start_at,
                    end_at,
                    step_s=step_s,
                    groups=groups,
                    stream_digest=digest,
                    by_group=by_group,
                )
            except usage.TooMuchUsage as error:
                raise InvalidField("end_at", f"the range {error}: ask for a shorter one, or for fewer groups") from None

    async def knows_stream(self, app: str, stream: str) -> bool:
        """Whether some task pushes to a destination with this application and stream name."""
        async with self._store.read() as connection:
            return await tasks.knows_stream(connection, tasks.stream_digest(self._seal, app, stream))

    # Access keys

    async def create_key(self, *, read_only: bool = False) -> KeyPair:
        """A new access key."""
        pair = self.draw_key(read_only=read_only)
        await self.import_key(pair)
        return pair

    def draw_key(self, *, read_only: bool = False) -> KeyPair:
        """A pair that is no key yet."""
        return KeyPair("AK" + secrets.token_hex(15).upper(), secrets.token_urlsafe(30), read_only)

    async def import_key(self, pair: KeyPair) -> None:
        """Take over a key that was made elsewhere, enabled; its secret replaces the one it had."""
        async with self._store.write() as connection:
            known = await keys.exists(connection, pair.access_key_id)
            await keys.put(connection, self._seal, pair, now_ms=await self._now_ms(connection))
            kind = AuditKind.KEY_REPLACED if known else AuditKind.KEY_MADE
            await audit.append(connection, kind, pair.access_key_id, {"read_only": pair.read_only})

    @asks_again
    async def find_key(self, access_key_id: str) -> KeyPair | None:
        """An enabled key with its secret, or None; any text may be asked for."""
        if not access_key_id.isprintable():
            return None
        async with self._store.read() as connection:
            return await keys.find(connection, self._seal, access_key_id)

    async def disable_key(self, access_key_id: str) -> None:
        """Disable a key. Raises KeyNotFound."""
        async with self._store.write() as connection:
            if not await keys.disable(connection, access_key_id):
                raise KeyNotFound(access_key_id)
            await audit.append(connection, AuditKind.KEY_DISABLED, access_key_id)

    @asks_again
    async def list_keys(self) -> list[KeyRecord]:
        """Every key, oldest first, without secrets."""
        async with self._store.read() as connection:
            return await keys.all_keys(connection)

    # Audit

    @asks_again
    async def list_audit(self, *, before: int | None = None, limit: int = 100) -> list[AuditRecord]:
        """Lines of the audit stream before an id, newest first."""
        async with self._store.read() as connection:
            return await audit.page(connection, before=before, limit=limit)

    # Rules

    async def _judge_new(
        self, connection: AsyncConnection, spec: TaskSpec, task_id: str, now_ms: int, *, check_only: bool = False
    ) -> None:
        # A task that is made in it keeps a group from being deleted meanwhile.
        await self._require_group(connection, spec.group, keep=not check_only)
        await self._guard_destination(connection, spec, task_id, now_ms, check_only=check_only)

    async def _require_task(self, connection: AsyncConnection, task_id: str, action: Action, now_ms: int) -> TaskRecord:
        record = await tasks.find(connection, self._seal, task_id, lock=True)
        if record is None:
            raise TaskNotFound(task_id)
        status = record.status(from_ms(now_ms))
        if status not in ALLOWED[action]:
            raise WrongState(f"task {task_id} is {_WORDS[status]}, which {action} is not for")
        return record

    async def _require_group(
        self, connection: AsyncConnection, name: str, *, lock: bool = False, keep: bool = False
    ) -> None:
        group = await groups.find(connection, name, lock=lock, keep=keep)
        if group is None or group.deleted:
            raise GroupNotFound(name)

    async def _guard_destination(
        self, connection: AsyncConnection, spec: TaskSpec, task_id: str, now_ms: int, *, check_only: bool = False
    ) -> None:
        """No two at once: who looks for a conflict holds the destination's name until its own task is written."""
        if to_ms(spec.end_at) <= now_ms:
            # It pushes nothing any more.
            return
        if not check_only:
            await lock_name(connection, tasks.destination_digest(self._seal, spec.destination))
        other = await tasks.find_conflict(connection, self._seal, spec, except_task_id=task_id, now_ms=now_ms)
        if other is None:
            return
        if self._refuses_conflicts:
            raise DestinationConflict(other)
        if not check_only:
            _log.warning("tasks %s and %s push to the same destination at overlapping times", task_id, other)


def _require_readable(record: TaskRecord) -> None:
    if record.problem is not None:
        raise WrongState(f"task {record.task_id}: {record.problem}")


def _due(spec: TaskSpec, *, enabled: bool, finished: bool, now_ms: int) -> int | None:
    return decide_due(
        enabled=enabled,
        finished=finished,
        start_ms=to_ms(spec.start_at),
        end_ms=to_ms(spec.end_at),
        now_ms=now_ms,
    )


def _moved_ends(ends_ms: Sequence[int | None], before: Sequence[object], after: Sequence[object]) -> list[int | None]:
    known = {item: end_ms for item, end_ms in enumerate(ends_ms) if end_ms is not None}
    moved = move_ends(known, before, after)
    return [moved.get(item) for item in range(max(moved, default=-1) + 1)]
