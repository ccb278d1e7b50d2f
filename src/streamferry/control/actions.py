"""Actions: everything that can be done to tasks, with the rules; and, inherited, reads, groups and keys. Knows no HTTP.

Each action is one transaction: it reads under a lock what it checks, changes it, makes the run follow, and appends an
event. Values were checked before, by ``tasks.draft``. The time is that of the store's clock, as for workers, and never
that of the machine.

The states of a task are the API's (``ApiStatus``). Two things move it: an action, by the table ``ALLOWED``, and time.
"""

import logging
import secrets
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from enum import StrEnum

from sqlalchemy.ext.asyncio import AsyncConnection

from streamferry.control.clock import Clock
from streamferry.control.group_actions import GroupActions
from streamferry.control.key_actions import KeyActions
from streamferry.control.readings import Readings
from streamferry.control.sign_ins import SignIns
from streamferry.control.worker_actions import WorkerActions
from streamferry.reasons import Code, Reason
from streamferry.relay.list_position import move, move_ends
from streamferry.relay.status import State
from streamferry.store import (
    Store,
    asks_again,
    conflicts,
    deliveries,
    events,
    mailboxes,
    sealing,
    task_destinations,
    tasks,
    usage,
)
from streamferry.store.cells import reason_cells
from streamferry.store.database import lock_name
from streamferry.store.events import NewEvent
from streamferry.store.records import LockedTask, TaskRecord
from streamferry.tasks import inputs
from streamferry.tasks.checks import AddressRules
from streamferry.tasks.errors import (
    DestinationConflict,
    InvalidField,
    TaskNotFound,
    VersionConflict,
    WrongState,
)
from streamferry.tasks.model import DEFAULT_GROUP, ApiStatus, TaskSpec
from streamferry.tasks.schedule import decide_due
from streamferry.tasks.times import from_ms, to_ms

_log = logging.getLogger("streamferry.control")


class Action(StrEnum):
    """What can be done with an existing task."""

    UPDATE = "update"
    STOP = "stop"
    CONTINUE = "continue"
    START_OVER = "start over"
    DELETE = "delete"


#: Action -> the states in which it is allowed. The API calls starting over Relaunch, and continue also Restart.
ALLOWED: dict[Action, frozenset[ApiStatus]] = {
    Action.UPDATE: frozenset(ApiStatus),
    Action.STOP: frozenset((ApiStatus.NOT_STARTED, ApiStatus.ACTIVE)),
    Action.CONTINUE: frozenset((ApiStatus.DISABLED,)),
    Action.START_OVER: frozenset(ApiStatus),
    Action.DELETE: frozenset(ApiStatus),
}
_WORDS = {
    ApiStatus.DISABLED: Reason.of(Code.TASK_DISABLED),
    ApiStatus.NOT_STARTED: Reason.of(Code.TASK_NOT_STARTED),
    ApiStatus.ACTIVE: Reason.of(Code.TASK_RUNNING),
    ApiStatus.ENDED: Reason.of(Code.TASK_ENDED),
}


class Actions(Readings, GroupActions, KeyActions, WorkerActions):
    """See the module. ``refuses_conflicts``: whether two tasks with one destination are refused, or only logged.

    ``clock`` replaces the store's.
    """

    def __init__(self, store: Store, clock: Clock | None = None, *, refuses_conflicts: bool = True) -> None:
        super().__init__(store, clock)
        self._refuses_conflicts = refuses_conflicts
        self.sign_ins = SignIns(store, self.find_key)

    async def create_task(self, spec: TaskSpec) -> str:
        """A new enabled task; its id of 32 lower-case hex digits. Raises GroupNotFound, DestinationConflict."""
        return await self.create_decided(lambda _: spec)

    async def create_decided(self, decide: Callable[[datetime], TaskSpec]) -> str:
        """The same. ``decide`` makes the spec, given the time; what it raises is raised."""
        task_id = secrets.token_hex(16)
        async with self._change(made=task_id) as (connection, now_ms):
            spec = decide(from_ms(now_ms))
            await self._judge_new(connection, spec, task_id, now_ms)
            due_ms = _due(spec, enabled=True, finished=False, now_ms=now_ms)
            await sealing.require(connection, self._seal)
            seq = await tasks.insert(connection, self._seal, task_id, spec, now_ms=now_ms, due_ms=due_ms)
            await mailboxes.open_box(connection, self._seal, task_id, spec)
            await events.append(connection, [NewEvent(task_id, "created", now_ms)], counted={task_id: seq})
        return task_id

    @asks_again
    async def check_decided(self, decide: Callable[[datetime], TaskSpec]) -> None:
        """Check whether such a task could be created now. Raises GroupNotFound, DestinationConflict."""
        async with self._store.read() as connection:
            now_ms = await self._now_ms(connection)
            await self._judge_new(connection, decide(from_ms(now_ms)), "", now_ms, check_only=True)

    async def update_task(
        self, task_id: str, revise: Callable[[TaskSpec | None], TaskSpec], *, expected_version: int | None = None
    ) -> None:
        """Replace the current spec by what ``revise`` makes of it; a run follows. See ``update_decided``."""
        await self.update_decided(task_id, lambda current, _: revise(current), expected_version=expected_version)

    async def update_decided(
        self,
        task_id: str,
        revise: Callable[[TaskSpec | None, datetime], TaskSpec],
        *,
        expected_version: int | None = None,
    ) -> None:
        """The same. ``revise`` is also given the time. The group cannot be changed.

        The current spec is read under the lock under which it is replaced, so of two concurrent partial updates none is
        lost. A list that was played out starts again when anything about its playing is changed; any other continues
        with its current item, wherever that is now, or with what replaced it.
        ``revise`` gets None instead of a spec that cannot be read: it has to make a complete new one.
        Raises TaskNotFound, VersionConflict, InvalidField, DestinationConflict, and what ``revise`` raises.
        """
        async with self._change() as (connection, now_ms):
            locked = await self._require_task(connection, task_id, Action.UPDATE, now_ms)
            if expected_version not in (None, locked.version):
                raise VersionConflict(locked.version)
            before = await self._read_task(connection, task_id)
            spec = revise(before.spec if before.problem is None else None, from_ms(now_ms))
            if before.problem is not None and spec.group == DEFAULT_GROUP:
                spec = replace(spec, group=before.spec.group)
            if spec.group != before.spec.group:
                raise InvalidField("group", Code.FIELD_GROUP_FIXED)
            was, kind_changed = before.spec, spec.kind is not before.spec.kind
            list_changed = kind_changed or spec.items != was.items
            revived = before.finished and (
                list_changed or (spec.loops, spec.start_at, spec.end_at) != (was.loops, was.start_at, was.end_at)
            )
            finished = before.finished and not revived
            if before.enabled and not finished:
                await self._guard_destination(connection, spec, task_id, now_ms)
            await sealing.require(connection, self._seal)
            await tasks.replace(
                connection,
                self._seal,
                locked,
                spec,
                finished=finished,
                # Of a task that cannot be read it is not known.
                had_others=bool(was.others) or before.problem is not None,
            )
            values: dict[str, object] = {}
            if list_changed or revived:
                values |= {"list_version": before.version + 1}
            if list_changed:
                values |= tasks.known_ends(
                    _moved_ends(before.item_ends_ms, () if kind_changed else was.items, spec.items)
                )
            if before.problem is not None:
                values |= {"state": State.WAITING.value, "fault": None, **reason_cells(None), **tasks.NO_TROUBLE}
            if revived or (list_changed and (before.playhead is None or kind_changed)):
                values |= tasks.START_AGAIN
            elif list_changed and before.playhead is not None and before.playhead_at is not None:
                at = move(before.playhead, was.items, spec.items)[0]
                values |= tasks.place(at, to_ms(before.playhead_at))
            if to_ms(spec.opens_at) > now_ms:
                values |= tasks.NO_TROUBLE
            due_ms = _due(spec, enabled=before.enabled, finished=finished, now_ms=now_ms)
            seq, _ = await tasks.redirect(connection, task_id, due_ms=due_ms, values=values)
            await mailboxes.follow(connection, self._seal, task_id, was if before.problem is None else None, spec)
            told = NewEvent(task_id, "updated", now_ms, {"version": before.version + 1})
            await events.append(connection, [told], counted={task_id: seq})

    async def switch_input(self, task_id: str, which: int | None) -> None:
        """Show that input, or the slate (``SLATE``), from now on; None: by the rules. Raises as an update does."""
        await self._order(task_id, lambda spec, _: inputs.pin(spec, which))

    async def insert_file(
        self,
        task_id: str,
        source: inputs.InputSourceDraft,
        at: datetime | None,
        rules: AddressRules,
        *,
        after_item: bool = False,
    ) -> None:
        """Play a file over what is on air, now or at that time, then go on. Raises as an update does.

        ``after_item``: when the present item of the list ends, without a time.
        """
        if after_item and at is not None:
            raise InvalidField("after_item", Code.FIELD_AFTER_ITEM_AT, field="at")
        if after_item:
            await self._order(task_id, lambda spec, now: inputs.queue(spec, source, now, rules))
        else:
            await self._order(task_id, lambda spec, now: inputs.insert(spec, source, at or now, now, rules))

    async def cancel_insert(self, task_id: str, number: int) -> None:
        """Do not play the file of that order, which has not begun. Raises as an update does."""
        await self._order(task_id, lambda spec, _: inputs.cancel(spec, number))

    async def skip_item(self, task_id: str) -> None:
        """End what plays now of a list, or what was inserted, at its next keyframe. Raises as an update does."""
        await self._order(task_id, inputs.skip)

    async def _order(self, task_id: str, change: Callable[[TaskSpec, datetime], TaskSpec]) -> None:
        def revise(current: TaskSpec | None, now: datetime) -> TaskSpec:
            if current is None:
                raise InvalidField("task_id", Code.FIELD_TASK_UNREADABLE)
            return change(current, now)

        await self.update_decided(task_id, revise)

    async def stop_task(self, task_id: str) -> None:
        """Disable it; its run ends and the playhead is kept. Raises TaskNotFound, WrongState."""
        async with self._change() as (connection, now_ms):
            before = await self._require_task(connection, task_id, Action.STOP, now_ms)
            await tasks.change(connection, before, enabled=False)
            seq, is_held = await tasks.redirect(connection, task_id, due_ms=None, if_free=tasks.STOPPED)
            told = [NewEvent(task_id, "disabled", now_ms)]
            if not is_held:
                told.append(NewEvent(task_id, "stopped", now_ms, {"final": True}))
            await events.append(connection, told, counted={task_id: seq})

    async def continue_task(self, task_id: str) -> None:
        """Enable a stopped one; its list resumes as its ContinueStrategy says.

        Raises TaskNotFound, WrongState, DestinationConflict.
        """
        async with self._change() as (connection, now_ms):
            locked = await self._require_task(connection, task_id, Action.CONTINUE, now_ms)
            before = await self._read_task(connection, task_id)
            _require_readable(before)
            if not before.finished:
                await self._guard_destination(connection, before.spec, task_id, now_ms)
            await tasks.change(connection, locked, enabled=True)
            due_ms = _due(before.spec, enabled=True, finished=before.finished, now_ms=now_ms)
            seq, _ = await tasks.redirect(connection, task_id, due_ms=due_ms)
            await events.append(connection, [NewEvent(task_id, "enabled", now_ms)], counted={task_id: seq})

    async def relaunch_task(self, task_id: str) -> None:
        """Enable it and play from the beginning, whatever it is doing now. Raises TaskNotFound, DestinationConflict."""
        async with self._change() as (connection, now_ms):
            locked = await self._require_task(connection, task_id, Action.START_OVER, now_ms)
            before = await self._read_task(connection, task_id)
            _require_readable(before)
            await self._guard_destination(connection, before.spec, task_id, now_ms)
            await tasks.change(connection, locked, enabled=True, finished=False)
            due_ms = _due(before.spec, enabled=True, finished=False, now_ms=now_ms)
            seq, _ = await tasks.redirect(
                connection, task_id, due_ms=due_ms, new_epoch=True, values={**tasks.START_AGAIN, **tasks.NO_TROUBLE}
            )
            await events.append(connection, [NewEvent(task_id, "relaunched", now_ms)], counted={task_id: seq})

    async def delete_task(self, task_id: str) -> None:
        """Delete it; a run ends. Its events and its usage are kept. Raises TaskNotFound."""
        async with self._change() as (connection, now_ms):
            before = await self._require_task(connection, task_id, Action.DELETE, now_ms)
            await events.append(connection, [NewEvent(task_id, "deleted", now_ms, {"final": True})])
            if await tasks.delete(connection, task_id):
                await usage.keep_place(connection, before, now_ms)
            await deliveries.forget_empty(connection, {task_id})

    async def _judge_new(
        self, connection: AsyncConnection, spec: TaskSpec, task_id: str, now_ms: int, *, check_only: bool = False
    ) -> None:
        if spec.group != DEFAULT_GROUP:
            # The lock keeps the group from being deleted while a task is created in it. Nobody can delete the other.
            await self._require_group(connection, spec.group, keep=not check_only)
        await self._guard_destination(connection, spec, task_id, now_ms, check_only=check_only)

    async def _require_task(self, connection: AsyncConnection, task_id: str, action: Action, now_ms: int) -> LockedTask:
        """Lock it until the transaction ends, and check that the action is allowed."""
        locked = await tasks.lock(connection, task_id)
        if locked is None:
            raise TaskNotFound(task_id)
        status = locked.status(from_ms(now_ms))
        if status not in ALLOWED[action]:
            raise WrongState(Code.ACTION_WRONG_STATE, task_id=task_id, state=_WORDS[status], action=action.value)
        return locked

    async def _read_task(self, connection: AsyncConnection, task_id: str) -> TaskRecord:
        """One that is locked, read after that: a statement that waits for a lock sees other rows as they were."""
        record = await tasks.find(connection, self._seal, task_id)
        if record is None:
            raise TaskNotFound(task_id)
        return record

    async def _guard_destination(
        self, connection: AsyncConnection, spec: TaskSpec, task_id: str, now_ms: int, *, check_only: bool = False
    ) -> None:
        """One at a time: the locks on the destinations' names are held from the check until the task is written."""
        if to_ms(spec.end_at) <= now_ms:
            # It does not push any more.
            return
        if not check_only:
            for digest in task_destinations.digests_of(self._seal, spec):
                await lock_name(connection, digest)
        other = await conflicts.find_conflict(connection, self._seal, spec, except_task_id=task_id, now_ms=now_ms)
        if other is None:
            return
        if self._refuses_conflicts:
            raise DestinationConflict(other)
        if not check_only:
            _log.warning("tasks %s and %s push to the same destination at overlapping times", task_id, other)


def _require_readable(record: TaskRecord) -> None:
    if record.problem is not None:
        raise WrongState(Code.ACTION_TASK_PROBLEM, task_id=record.task_id, why=record.problem)


def _due(spec: TaskSpec, *, enabled: bool, finished: bool, now_ms: int) -> int | None:
    return decide_due(
        enabled=enabled,
        finished=finished,
        start_ms=to_ms(spec.opens_at),
        end_ms=to_ms(spec.end_at),
        now_ms=now_ms,
    )


def _moved_ends(ends_ms: Sequence[int | None], before: Sequence[object], after: Sequence[object]) -> list[int | None]:
    known = {item: end_ms for item, end_ms in enumerate(ends_ms) if end_ms is not None}
    moved = move_ends(known, before, after)
    return [moved.get(item) for item in range(max(moved, default=-1) + 1)]
