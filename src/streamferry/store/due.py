"""Run rows that are due: a worker takes them, or they are concluded because there is nothing left to do."""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from streamferry.media.errors import Fault
from streamferry.reasons import Code, Reason
from streamferry.relay.status import Playhead, State
from streamferry.store import events, task_rows, tasks, workers
from streamferry.store.cells import reason_cells
from streamferry.store.database import now_ms, read_now_ms
from streamferry.store.events import NewEvent, playhead_detail
from streamferry.store.numbers import count_up
from streamferry.store.schema import pulse, run, task, worker
from streamferry.store.seal import Seal
from streamferry.store.spec_json import Unreadable
from streamferry.tasks.schedule import END_TOLERANCE_MS, is_over
from streamferry.worker import LeaseLost

#: A due task that nobody took for this long is taken by any worker with room, beyond its fair share.
_FAIR_FOR_MS = 1_000
#: One that nobody took for this long is reported as late.
LATE_MS = 5_000
#: No task is reported as late until the store has been writable without a gap for this long: workers need it to start
#: and to ask.
_SETTLED_MS = 10_000
_NO_ROOM = Reason.of(Code.TASK_NO_ROOM)
NO_ROOM = str(_NO_ROOM)
_NEVER_STARTED = Reason.of(Code.TASK_NEVER_STARTED)
_BATCH = 500


#: Values of a run that ended without a fault: they clear what its last worker reported.
_FORGOTTEN: dict[str, object] = {"fault": None, **reason_cells(None)}


class Claimed(NamedTuple):
    """How many tasks were claimed, and how often something about the worker's tasks was changed, with this."""

    tasks: int
    orders: int | None


_OTHERS = sa.select(now_ms(), sa.func.count(worker.c.id), sa.func.coalesce(sa.func.sum(worker.c.load), 0)).where(
    workers.is_alive(now_ms()), worker.c.load < worker.c.capacity, worker.c.id != sa.bindparam("worker_id")
)


async def claim(connection: AsyncConnection, seal: Seal, worker_id: str, *, load: int, room: int) -> Claimed:
    """Take due tasks, at most ``room``, usually no more than the worker's fair share. Raises LeaseLost: roll back."""
    now, others, load_of_others = (await connection.execute(_OTHERS, {"worker_id": worker_id})).one()
    found = await connection.execute(
        task_rows.WITH_RUN.where(run.c.due_ms <= now, task.c.end_ms > now)
        .order_by(run.c.due_ms)
        .limit(room)
        .with_for_update(of=run, skip_locked=True)
    )
    due = [row for row in found.mappings() if not is_over(row["end_ms"], now)]
    share = -(-(load + load_of_others + len(due)) // (others + 1)) - load
    late = sum(row["due_ms"] <= now - _FAIR_FOR_MS for row in due)
    taken: list[NewEvent] = []
    for row in due[: max(share, late, 0)]:
        playhead = _playhead(seal, row, now)
        if playhead is None:
            continue
        detail = {"worker": worker_id, "epoch": row["epoch"] + 1, "playhead": playhead_detail(playhead)}
        taken.append(NewEvent(row["task_id"], "claimed", now, detail))
    if not taken:
        return Claimed(0, None)
    # Where and when it broke is kept until it has moved on: the new worker may be lost before that.
    values: dict[str, object] = {"worker_id": worker_id, "epoch": run.c.epoch + 1, "state": State.WAITING.value}
    values |= {"due_ms": None, "played_out_ms": None}
    counted = await count_up(connection, run.c.event_seq, {one.task_id: 1 for one in taken}, **values)
    await events.append(connection, taken, counted=counted)
    orders = await connection.execute(
        worker.update()
        .where(worker.c.id == worker_id, worker.c.lease_ms > 0)
        .values(load=load + len(taken), orders=worker.c.orders + 1)
        .returning(worker.c.orders)
    )
    if (count := orders.scalar()) is None:
        # Ended since it looked: nobody would ever free what it takes.
        raise LeaseLost
    return Claimed(len(taken), count)


async def conclude(connection: AsyncConnection, seal: Seal) -> int:
    """End the tasks that are due but that no worker will take: the window is over, or the list would have ended.

    A limited number at once. A list that was played is opened once after it broke, to find out when it will have ended.
    """
    found = await connection.execute(
        task_rows.WITH_RUN.add_columns(now_ms().label("now"))
        .where(_may_have_ended(now_ms()))
        .order_by(run.c.due_ms)
        .limit(_BATCH)
        .with_for_update(of=(task, run), skip_locked=True)
    )
    rows = found.mappings().all()
    if not rows:
        return 0
    now: int = rows[0]["now"]
    waiting: list[dict[str, object]] = []
    ended: list[str] = []
    played_out: list[str] = []
    unserved: list[str] = []
    for row in rows:
        if is_over(row["end_ms"], now):
            # One that was made after its time, and one that has run, have simply ended.
            has_waited = row["reason"] == NO_ROOM or (row["epoch"] == 0 and row["created_ms"] < row["end_ms"])
            is_unserved = row["state"] == State.WAITING.value and has_waited
            (unserved if is_unserved else ended).append(row["task_id"])
        elif (played_out_ms := _played_out_ms(seal, row, now)) <= now:
            played_out.append(row["task_id"])
        else:
            waiting.append({"of_task": row["task_id"], "at_ms": played_out_ms})
    if waiting:
        await connection.execute(_WAIT, waiting)
    done = ended + played_out
    if done:
        await tasks.finish(connection, played_out)
        detail: dict[str, object] = {"final": True}
        told = [NewEvent(task_id, State.ENDED.value, now, detail) for task_id in done]
        await _conclude(connection, told, {"state": State.ENDED.value, **_FORGOTTEN})
    if unserved:
        fault = {"fault": Fault.SERVICE.value}
        detail = {**fault, **_NEVER_STARTED.told(), "final": True}
        told = [NewEvent(task_id, State.FAILED.value, now, detail) for task_id in unserved]
        await _conclude(connection, told, {"state": State.FAILED.value, **fault, **reason_cells(_NEVER_STARTED)})
    return len(done) + len(unserved)


async def _conclude(connection: AsyncConnection, told: Sequence[NewEvent], values: Mapping[str, object]) -> None:
    """Nobody has to do anything for these tasks any more; one event of each."""
    further = {one.task_id: 1 for one in told}
    calm: dict[str, object] = {"due_ms": None, **tasks.IDLE, **tasks.NO_TROUBLE, **values}
    await events.append(connection, told, counted=await count_up(connection, run.c.event_seq, further, **calm))


async def tell_late(connection: AsyncConnection) -> int:
    """Report that tasks which nobody takes are waiting for room; returns how many."""
    now = await read_now_ms(connection)
    rows = await connection.execute(
        sa.select(run.c.task_id)
        .join(task, task.c.id == run.c.task_id)
        .where(_is_late(now), _is_untold())
        .order_by(run.c.task_id)
        .limit(_BATCH)
        .with_for_update(of=run, skip_locked=True)
    )
    late = list(rows.scalars())
    if late:
        fault = {"fault": Fault.SERVICE.value}
        trouble = {"trouble_fault": Fault.SERVICE.value, **reason_cells(_NO_ROOM, "trouble_")}
        await connection.execute(
            run.update()
            .where(run.c.task_id.in_(late))
            .values(
                {
                    "state": State.WAITING.value,
                    **fault,
                    **reason_cells(_NO_ROOM),
                    **trouble,
                    "trouble_ms": sa.func.coalesce(run.c.trouble_ms, now),
                }
            )
        )
        detail = {**fault, **_NO_ROOM.told()}
        await events.append(connection, [NewEvent(task_id, State.WAITING.value, now, detail) for task_id in late])
    return len(late)


async def count_late(connection: AsyncConnection) -> int:
    """How many tasks are due that nobody has taken for some seconds."""
    query = sa.select(sa.func.count()).select_from(run.join(task, task.c.id == run.c.task_id))
    return int((await connection.execute(query.where(_is_late(now_ms())))).scalar_one())


def _is_late(now: sa.ColumnElement[int] | int) -> sa.ColumnElement[bool]:
    # A task is due some seconds before its window opens. Workers of a service that has just started, or whose store was
    # unavailable, have not asked yet.
    return sa.and_(
        ~sa.exists().where(pulse.c.since_ms > now - _SETTLED_MS),
        run.c.due_ms <= now - LATE_MS,
        task.c.start_ms <= now - LATE_MS,
        task.c.end_ms > now + END_TOLERANCE_MS,
    )


def _is_untold() -> sa.ColumnElement[bool]:
    return sa.or_(run.c.reason.is_(None), run.c.reason != NO_ROOM, run.c.state != State.WAITING.value)


def _playhead(seal: Seal, row: sa.RowMapping, now: int) -> Playhead | None:
    """Where its list resumes; None if it would have been played out. An unreadable one is reported by its worker."""
    if row["playhead_ms"] is None:
        return Playhead()
    try:
        return task_rows.playhead_after_break(task_rows.spec_of(seal, row), row, now)
    except Unreadable:
        return Playhead()


_WAIT = run.update().where(run.c.task_id == sa.bindparam("of_task")).values(played_out_ms=sa.bindparam("at_ms"))


def _played_out_ms(seal: Seal, row: sa.RowMapping, now: int) -> int:
    """When its list will be played out by the clock: ``now`` if it is, the end of its window if not before that."""
    try:
        spec = task_rows.spec_of(seal, row)
    except Unreadable:
        # Its worker reports it.
        return int(row["end_ms"])
    moments = range(now, row["end_ms"])
    return now + bisect_left(moments, True, key=lambda at: task_rows.playhead_after_break(spec, row, at) is None)


def _may_have_ended(now: sa.ColumnElement[int] | int) -> sa.ColumnElement[bool]:
    # A list that was played may have been played out since by the clock.
    has_played = sa.and_(run.c.playhead_ms.is_not(None), sa.func.coalesce(run.c.played_out_ms, 0) <= now)
    is_over = sa.or_(task.c.end_ms <= now + END_TOLERANCE_MS, has_played)
    return sa.and_(run.c.due_ms <= now, is_over)


class Pending(NamedTuple):
    """What there may be to do, each for a function here or in ``workers``: a read that may save writes."""

    expired: bool
    ended: bool
    late: bool


_OF_TASK = sa.select(run.c.task_id).join(task, task.c.id == run.c.task_id)
_PENDING = sa.select(
    workers.some_expired(),
    sa.exists(_OF_TASK.where(_may_have_ended(now_ms()))),
    sa.exists(_OF_TASK.where(_is_late(now_ms()), _is_untold())),
)


async def read_pending(connection: AsyncConnection) -> Pending:
    """Whether tasks are to be freed, concluded, or reported as late."""
    return Pending(*(await connection.execute(_PENDING)).one())
