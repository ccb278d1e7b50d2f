"""Worker rows, and run rows as workers and the scheduler need them: lease, claim, report, release.

Order of locks, so that no two transactions wait for each other: task, run, worker. A lease is renewed and ended on the
database's clock only.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from streamferry.control.model import ContinueStrategy, TaskSpec
from streamferry.control.schedule import END_TOLERANCE_MS, RETRY_FAILED_MS, decide_due, decide_playhead, is_over
from streamferry.control.store import events
from streamferry.control.store.database import now_ms, read_now_ms
from streamferry.control.store.events import NewEvent
from streamferry.control.store.schema import run, task, task_spec, worker
from streamferry.control.store.seal import Seal
from streamferry.control.store.tasks import spec_of
from streamferry.relay import Playhead, RelayStatus, State
from streamferry.worker import LeaseLost, Outcome, Report

#: A worker that has not renewed for this long has stopped by itself half a second ago (``worker.FENCE_S``).
LEASE_MS = 6_500
#: A due task that nobody took for this long is taken by anybody with room, whatever its fair share is.
_FAIR_FOR_MS = 1_000
#: Rows of workers that are gone are kept this long, for who looks.
_KEEP_GONE_MS = 3_600_000

_WITH_SPEC = sa.select(
    run.c.task_id,
    run.c.epoch,
    run.c.loop,
    run.c.item,
    run.c.position_ms,
    run.c.playhead_ms,
    run.c.item_ends,
    task.c.version,
    task.c.enabled,
    task.c.finished,
    task.c.group_name,
    task.c.start_ms,
    task.c.end_ms,
    task_spec.c.sealed_spec,
    task_spec.c.picture,
).select_from(run.join(task, task.c.id == run.c.task_id).join(task_spec, task_spec.c.task_id == run.c.task_id))


@dataclass(frozen=True, slots=True)
class HeldTask:
    """A task that a worker holds, with its spec if that was asked for."""

    task_id: str
    epoch: int
    version: int
    spec: TaskSpec | None
    is_wanted: bool
    playhead: Playhead


async def register(connection: AsyncConnection, worker_id: str, capacity: int) -> None:
    """A lease for a worker that holds nothing; what it held before is free."""
    now = await read_now_ms(connection)
    await _free(connection, run.c.worker_id == worker_id, now, "its worker lost its lease")
    is_forgotten = worker.c.lease_ms <= now - _KEEP_GONE_MS
    await connection.execute(worker.delete().where(sa.or_(worker.c.id == worker_id, is_forgotten)))
    await connection.execute(
        worker.insert(),
        {
            "id": worker_id,
            "capacity": capacity,
            "load": 0,
            "orders": 0,
            "lease_ms": now + LEASE_MS,
            "started_ms": now,
        },
    )


async def poll(connection: AsyncConnection, worker_id: str) -> tuple[int, bool]:
    """How often something about the worker's tasks was changed, and whether any task is due: next to no work."""
    changed = sa.select(worker.c.orders).where(worker.c.id == worker_id).scalar_subquery()
    is_due = sa.exists(sa.select(run.c.task_id).where(run.c.due_ms <= now_ms()))
    orders, has_due = (await connection.execute(sa.select(changed, is_due))).one()
    return orders or 0, has_due


async def claim(connection: AsyncConnection, seal: Seal, worker_id: str, *, load: int, room: int) -> int:
    """Take due tasks, at most ``room``, in general no more than the worker's fair share; how many were taken."""
    now = await read_now_ms(connection)
    busy = await connection.execute(
        sa.select(sa.func.count(), sa.func.coalesce(sa.func.sum(worker.c.load), 0)).where(
            worker.c.lease_ms > now, worker.c.load < worker.c.capacity, worker.c.id != worker_id
        )
    )
    others, load_of_others = busy.one()
    found = await connection.execute(
        _WITH_SPEC.add_columns(run.c.due_ms)
        .where(run.c.due_ms <= now, task.c.end_ms > now)
        .order_by(run.c.due_ms)
        .limit(room)
        .with_for_update(of=run, skip_locked=True)
    )
    due = [row for row in found.mappings() if not is_over(row["end_ms"], now)]
    share = -(-(load + load_of_others + len(due)) // (others + 1)) - load
    late = sum(row["due_ms"] <= now - _FAIR_FOR_MS for row in due)
    claimed: list[dict[str, object]] = []
    taken: list[NewEvent] = []
    for row in due[: max(share, late, 0)]:
        wait_ms = max(0, row["start_ms"] - now)
        playhead = _playhead_after_break(seal, row, now + wait_ms)
        if playhead is None:
            continue
        claimed.append(
            {
                "of_task": row["task_id"],
                "to_loop": playhead.loop,
                "to_item": playhead.item,
                "to_position": playhead.position_ms,
                "at": None if row["playhead_ms"] is None else now + wait_ms,
            }
        )
        detail = {"worker": worker_id, "epoch": row["epoch"] + 1, "playhead": _playhead_detail(playhead)}
        taken.append(NewEvent(row["task_id"], "claimed", now, detail))
    if claimed:
        await connection.execute(
            run.update()
            .where(run.c.task_id == sa.bindparam("of_task"))
            .values(
                worker_id=worker_id,
                epoch=run.c.epoch + 1,
                due_ms=None,
                state=State.WAITING.value,
                loop=sa.bindparam("to_loop"),
                item=sa.bindparam("to_item"),
                position_ms=sa.bindparam("to_position"),
                playhead_ms=sa.bindparam("at"),
            ),
            claimed,
        )
        await events.append(connection, taken)
        await connection.execute(
            worker.update().where(worker.c.id == worker_id).values(load=load + len(claimed), orders=worker.c.orders + 1)
        )
    return len(claimed)


async def held(
    connection: AsyncConnection, seal: Seal, worker_id: str, known: Mapping[str, tuple[int, int]]
) -> tuple[list[HeldTask], int]:
    """All tasks the worker holds, with the spec where epoch and version are not ``known``; and the time."""
    now = await read_now_ms(connection)
    rows = await connection.execute(
        sa.select(run.c.task_id, run.c.epoch, task.c.version)
        .join(task, task.c.id == run.c.task_id)
        .where(run.c.worker_id == worker_id)
    )
    found = [HeldTask(task_id, epoch, version, None, True, Playhead()) for task_id, epoch, version in rows]
    new = [one.task_id for one in found if known.get(one.task_id) != (one.epoch, one.version)]
    fresh: dict[str, HeldTask] = {}
    for begin in range(0, len(new), 500):
        rows = await connection.execute(_WITH_SPEC.where(run.c.task_id.in_(new[begin : begin + 500])))
        for row in rows.mappings():
            fresh[row["task_id"]] = HeldTask(
                row["task_id"],
                row["epoch"],
                row["version"],
                spec_of(seal, row),
                row["enabled"] and not row["finished"],
                _playhead(row),
            )
    return [fresh.get(one.task_id, one) for one in found], now


async def report(connection: AsyncConnection, worker_id: str, reports: Sequence[Report], *, load: int) -> None:
    """Renew the lease, write down what runs do, append what changed, take back what is returned. Raises LeaseLost."""
    now = await read_now_ms(connection)
    lease_ms = (await connection.execute(sa.select(worker.c.lease_ms).where(worker.c.id == worker_id))).scalar()
    if lease_ms is None or lease_ms <= now:
        raise LeaseLost
    played_out = sorted(one.task_id for one in reports if one.outcome is Outcome.PLAYED_OUT)
    if played_out:
        await connection.execute(sa.select(task.c.id).where(task.c.id.in_(played_out)).with_for_update())
    mine = await _held_epochs(connection, worker_id, [one.task_id for one in reports])
    current = [one for one in reports if mine.get(one.task_id) == one.epoch]
    await _write_statuses(connection, current, now)
    await events.append(
        connection,
        [
            NewEvent(one.task_id, change.status.state.value, now - round(change.age_s * 1000), _detail(change.status))
            for one in current
            for change in one.changes
            if not change.status.final
        ],
    )
    await _take_back(connection, worker_id, {one.task_id: one for one in current if one.outcome is not None}, now)
    renewed = await connection.execute(
        worker.update()
        .where(worker.c.id == worker_id, worker.c.lease_ms > now)
        .values(lease_ms=now + LEASE_MS, load=load)
    )
    if not renewed.rowcount:
        raise LeaseLost


async def leave(connection: AsyncConnection, worker_id: str) -> None:
    """End a lease at once: the worker is gone, or its process is."""
    now = await read_now_ms(connection)
    await _free(connection, run.c.worker_id == worker_id, now, "its worker ended")
    await connection.execute(worker.update().where(worker.c.id == worker_id).values(lease_ms=0, load=0))


async def free_expired(connection: AsyncConnection) -> int:
    """Free the tasks of workers whose lease ran out; how many."""
    now = await read_now_ms(connection)
    # Locked, so that a renewal that is on its way wins; one that comes later finds its lease gone.
    expired = await connection.execute(
        sa.select(worker.c.id).where(worker.c.lease_ms <= now).with_for_update(skip_locked=True)
    )
    gone = list(expired.scalars())
    if not gone:
        return 0
    return await _free(connection, run.c.worker_id.in_(gone), now, "its worker is gone")


async def has_expired(connection: AsyncConnection) -> bool:
    """Whether a worker that holds tasks is gone: a look before a write."""
    holds_tasks = sa.exists(sa.select(run.c.task_id).where(run.c.worker_id == worker.c.id))
    query = sa.select(worker.c.id).where(worker.c.lease_ms <= now_ms(), holds_tasks)
    return (await connection.execute(query.limit(1))).first() is not None


async def conclude_due(connection: AsyncConnection, seal: Seal) -> int:
    """End the tasks that are due and that no worker will take: the window is over, or the list would be."""
    now = await read_now_ms(connection)
    rows = await connection.execute(
        _WITH_SPEC.where(_may_have_ended(now)).with_for_update(of=(task, run), skip_locked=True)
    )
    ended: list[str] = []
    played_out: list[str] = []
    for row in rows.mappings():
        if is_over(row["end_ms"], now):
            ended.append(row["task_id"])
        elif row["playhead_ms"] is not None and _playhead_after_break(seal, row, now) is None:
            played_out.append(row["task_id"])
    done = ended + played_out
    if done:
        await _finish(connection, played_out)
        await connection.execute(
            run.update().where(run.c.task_id.in_(done)).values(due_ms=None, state=State.ENDED.value, kbps_out=0)
        )
        detail = {"final": True}
        await events.append(connection, [NewEvent(task_id, State.ENDED.value, now, detail) for task_id in done])
    return len(done)


async def has_ended(connection: AsyncConnection) -> bool:
    """Whether there may be something to conclude: a look before a write."""
    query = sa.select(run.c.task_id).join(task, task.c.id == run.c.task_id)
    return (await connection.execute(query.where(_may_have_ended(now_ms())).limit(1))).first() is not None


def _may_have_ended(now: sa.ColumnElement[int] | int) -> sa.ColumnElement[bool]:
    # A list that was played may have been played out since by the clock.
    is_over = sa.or_(task.c.end_ms <= now + END_TOLERANCE_MS, run.c.playhead_ms.is_not(None))
    return sa.and_(run.c.due_ms <= now, is_over)


async def live_workers(connection: AsyncConnection) -> list[str]:
    """Who has a lease now."""
    rows = await connection.execute(sa.select(worker.c.id).where(worker.c.lease_ms > now_ms()))
    return list(rows.scalars())


async def _held_epochs(connection: AsyncConnection, worker_id: str, task_ids: Sequence[str]) -> dict[str, int]:
    """Task -> epoch, of those that the worker still holds; the rows are locked."""
    found: dict[str, int] = {}
    for begin in range(0, len(task_ids), 500):
        rows = await connection.execute(
            sa.select(run.c.task_id, run.c.epoch)
            .where(run.c.task_id.in_(task_ids[begin : begin + 500]), run.c.worker_id == worker_id)
            .order_by(run.c.task_id)
            .with_for_update()
        )
        found.update((task_id, epoch) for task_id, epoch in rows)
    return found


async def _write_statuses(connection: AsyncConnection, reports: Sequence[Report], now: int) -> None:
    if not reports:
        return
    await connection.execute(
        run.update()
        .where(run.c.task_id == sa.bindparam("of_task"))
        .values(
            {
                name: sa.bindparam(f"to_{name}")
                for name in ("state", "kbps_out", "dropped_tags", "retries", "fault", "reason")
            }
        ),
        [
            {
                "of_task": one.task_id,
                "to_state": one.status.state.value,
                "to_kbps_out": one.status.kbps_out,
                "to_dropped_tags": one.status.dropped_tags,
                "to_retries": one.status.retries,
                "to_fault": one.status.fault.value if one.status.fault else None,
                "to_reason": one.status.reason,
            }
            for one in reports
        ],
    )
    played = [one for one in reports if one.status.playhead is not None and one.status.media_time_ms]
    if played:
        await connection.execute(
            run.update()
            .where(run.c.task_id == sa.bindparam("of_task"))
            # A list that stands still broke when it last moved.
            .where(
                sa.or_(
                    run.c.playhead_ms.is_(None),
                    run.c.loop != sa.bindparam("to_loop"),
                    run.c.item != sa.bindparam("to_item"),
                    run.c.position_ms != sa.bindparam("to_position"),
                )
            )
            .values(
                loop=sa.bindparam("to_loop"),
                item=sa.bindparam("to_item"),
                position_ms=sa.bindparam("to_position"),
                playhead_ms=now,
            ),
            [
                {
                    "of_task": one.task_id,
                    "to_loop": one.status.playhead.loop,
                    "to_item": one.status.playhead.item,
                    "to_position": one.status.playhead.position_ms,
                }
                for one in played
                if one.status.playhead is not None
            ],
        )
    for one in reports:
        if one.item_ends_ms:
            last = max(one.item_ends_ms)
            ends = json.dumps([one.item_ends_ms.get(item) for item in range(last + 1)])
            await connection.execute(run.update().where(run.c.task_id == one.task_id).values(item_ends=ends))


async def _take_back(connection: AsyncConnection, worker_id: str, returned: Mapping[str, Report], now: int) -> None:
    """Free the tasks that a worker returns: due again when there is still something to do."""
    if not returned:
        return
    rows = await connection.execute(
        sa.select(task.c.id, task.c.enabled, task.c.finished, task.c.start_ms, task.c.end_ms).where(
            task.c.id.in_(returned)
        )
    )
    freed: list[dict[str, object]] = []
    told: list[NewEvent] = []
    for task_id, enabled, finished, start_ms, end_ms in rows:
        one = returned[task_id]
        due_ms = None
        state = State.STOPPED
        if one.outcome is Outcome.PLAYED_OUT or (enabled and is_over(end_ms, now)):
            state = State.ENDED
        else:
            due_ms = decide_due(enabled=enabled, finished=finished, start_ms=start_ms, end_ms=end_ms, now_ms=now)
            if one.outcome is Outcome.FAILED and due_ms is not None:
                state, due_ms = State.FAILED, min(now + RETRY_FAILED_MS, end_ms)
            elif due_ms is not None:
                state = State.WAITING
        freed.append({"of_task": task_id, "to_due": due_ms, "to_state": state.value})
        told.append(NewEvent(task_id, state.value, now, {**_detail(one.status), "final": due_ms is None}))
    await connection.execute(
        run.update()
        .where(run.c.task_id == sa.bindparam("of_task"))
        .values(worker_id=None, due_ms=sa.bindparam("to_due"), state=sa.bindparam("to_state"), kbps_out=0),
        freed,
    )
    await _finish(connection, [task_id for task_id, one in returned.items() if one.outcome is Outcome.PLAYED_OUT])
    await events.append(connection, told)


async def _free(connection: AsyncConnection, of_whom: sa.ColumnElement[bool], now: int, why: str) -> int:
    """Free the tasks of workers that cannot return them; how many."""
    rows = await connection.execute(
        sa.select(run.c.task_id, task.c.enabled, task.c.finished, task.c.start_ms, task.c.end_ms)
        .join(task, task.c.id == run.c.task_id)
        .where(of_whom)
        .order_by(run.c.task_id)
        .with_for_update(of=run)
    )
    freed: list[dict[str, object]] = []
    for task_id, enabled, finished, start_ms, end_ms in rows:
        due_ms = decide_due(enabled=enabled, finished=finished, start_ms=start_ms, end_ms=end_ms, now_ms=now)
        state = State.STOPPED if due_ms is None else State.WAITING
        freed.append({"of_task": task_id, "to_due": due_ms, "to_state": state.value})
    if freed:
        await connection.execute(
            run.update()
            .where(run.c.task_id == sa.bindparam("of_task"))
            .values(worker_id=None, due_ms=sa.bindparam("to_due"), state=sa.bindparam("to_state"), kbps_out=0),
            freed,
        )
        lost = [NewEvent(str(one["of_task"]), "lost", now, {"reason": why}) for one in freed]
        await events.append(connection, lost)
    return len(freed)


async def _finish(connection: AsyncConnection, task_ids: Sequence[str]) -> None:
    if task_ids:
        await connection.execute(task.update().where(task.c.id.in_(task_ids)).values(finished=True))


def _playhead(row: sa.RowMapping) -> Playhead:
    return Playhead(row["loop"], row["item"], row["position_ms"])


def _playhead_after_break(seal: Seal, row: sa.RowMapping, at_ms: int) -> Playhead | None:
    """Where the list of a row goes on at that time; None when it would have been played out."""
    if row["playhead_ms"] is None:
        return Playhead()
    spec = spec_of(seal, row)
    if spec.continue_strategy is ContinueStrategy.AT_BREAK:
        return _playhead(row)
    ends: list[int | None] = json.loads(row["item_ends"])
    spans = [
        (round(item.start_s * 1000), ends[index] if index < len(ends) else (round(item.end_s * 1000) or None))
        for index, item in enumerate(spec.items)
    ]
    return decide_playhead(_playhead(row), at_ms - row["playhead_ms"], spec.continue_strategy, spans, spec.loops)


def _detail(status: RelayStatus) -> dict[str, object]:
    """What an event tells of a status: never a secret, because reasons are made without."""
    detail: dict[str, object] = {"retries": status.retries}
    if status.playhead is not None:
        detail["playhead"] = _playhead_detail(status.playhead)
    if status.fault is not None:
        detail["fault"] = status.fault.value
    if status.reason is not None:
        detail["reason"] = status.reason
    return detail


def _playhead_detail(playhead: Playhead) -> dict[str, int]:
    return {"loop": playhead.loop, "item": playhead.item, "position_ms": playhead.position_ms}
