"""Run rows that are due and that no worker takes (``claims``): they are concluded, or reported as late."""

import functools
from bisect import bisect_left
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from streamferry.media.errors import Fault
from streamferry.reasons import Code, Reason
from streamferry.relay.status import State
from streamferry.store import events, placing, recurring, task_rows, tasks, timing, workers
from streamferry.store.cells import read_reason, reason_cells
from streamferry.store.database import now_ms, read_now_ms
from streamferry.store.events import NewEvent
from streamferry.store.given import bind, table_of
from streamferry.store.numbers import count_up
from streamferry.store.records import Intent
from streamferry.store.schema import IS_FREE, OPENS_MS, pulse, run, task, worker
from streamferry.store.seal import Seal
from streamferry.store.spec_json import Unreadable
from streamferry.tasks.placement import WAITS, Wanted, explain_wait, read_labels_text
from streamferry.tasks.schedule import END_TOLERANCE_MS, LOOK_AHEAD_MS, is_over

#: One that nobody took for this long is reported as late.
LATE_MS = 5_000
#: No task is reported as late until the store has been writable without a gap for this long: workers need it to start
#: and to ask.
_SETTLED_MS = 10_000
_NEVER_STARTED = Reason.of(Code.TASK_NEVER_STARTED)
_BATCH = 500
#: Values of a run that ended without a fault: they clear what its last worker reported.
_FORGOTTEN: dict[str, object] = {"fault": None, **reason_cells(None)}


async def conclude(connection: AsyncConnection, seal: Seal) -> int:
    """End the tasks that are due but that no worker will take: the window is over, or the list would have ended.

    A limited number at once. When a list that was played will have ended is found out once after it broke.
    """
    found = await connection.execute(
        timing.WITH_TIMING.add_columns(now_ms().label("now"))
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
            why = read_reason(row["reason"], row["reason_json"])
            is_told = why is not None and why.code in WAITS
            has_waited = is_told or (row["epoch"] == 0 and row["created_ms"] < row["end_ms"])
            is_unserved = row["state"] == State.WAITING.value and has_waited
            (unserved if is_unserved else ended).append(row["task_id"])
        elif (played_out_ms := _played_out_ms(seal, row, now)) <= now:
            played_out.append(row["task_id"])
        else:
            waiting.append({"of_task": row["task_id"], "at_ms": played_out_ms})
    if waiting:
        await connection.execute(_wait(connection.dialect.name), bind(waiting))
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


async def follow_clock(connection: AsyncConnection, now: int) -> None:
    """The clock was set: what was due by the old one is due now, and not when the new one gets there."""
    begins_ms = sa.select(OPENS_MS - LOOK_AHEAD_MS).where(task.c.id == run.c.task_id).scalar_subquery()
    # The retry of one that failed comes early.
    await connection.execute(
        run.update().where(run.c.due_ms > now, begins_ms < run.c.due_ms, begins_ms <= now).values(due_ms=now)
    )


async def tell_late(connection: AsyncConnection) -> int:
    """Report why nobody takes the tasks that are waiting; returns for how many that is news."""
    now = await read_now_ms(connection)
    return sum([await _tell_waiting(connection, one, now) for one in await _explain_late(connection)])


class _Waiting(NamedTuple):
    """Late tasks that ask for the same, and why nobody takes them."""

    placement: str
    encodes: bool
    why: Reason

    @property
    def are_untold(self) -> sa.ColumnElement[bool]:
        is_told = sa.and_(run.c.reason == str(self.why), run.c.state == State.WAITING.value)
        return sa.and_(task.c.placement == self.placement, task.c.encodes == self.encodes, is_told.is_not(True))


async def _explain_late(connection: AsyncConnection) -> list[_Waiting]:
    groups = (await connection.execute(_LATE_GROUPS)).all()
    everybody = await placing.candidates(connection) if groups else []
    return [
        _Waiting(placement, encodes, explain_wait(Wanted("", read_labels_text(placement), encodes=encodes), everybody))
        for placement, encodes, _ in groups
    ]


async def _tell_waiting(connection: AsyncConnection, waiting: _Waiting, now: int) -> int:
    why = waiting.why
    rows = await connection.execute(
        sa.select(run.c.task_id)
        .join(task, task.c.id == run.c.task_id)
        .where(_is_late(now), waiting.are_untold)
        .order_by(run.c.task_id)
        .limit(_BATCH)
        .with_for_update(of=run, skip_locked=True)
    )
    late = list(rows.scalars())
    if late:
        fault = {"fault": Fault.SERVICE.value}
        trouble = {"trouble_fault": Fault.SERVICE.value, **reason_cells(why, "trouble_")}
        await connection.execute(
            run.update()
            .where(run.c.task_id.in_(late))
            .values(
                {
                    "state": State.WAITING.value,
                    **fault,
                    **reason_cells(why),
                    **trouble,
                    "trouble_ms": sa.func.coalesce(run.c.trouble_ms, now),
                }
            )
        )
        detail = {**fault, **why.told()}
        await events.append(connection, [NewEvent(task_id, State.WAITING.value, now, detail) for task_id in late])
    return len(late)


async def count_late(connection: AsyncConnection) -> int:
    """How many tasks are due that nobody has taken for some seconds."""
    query = sa.select(sa.func.count()).select_from(run.join(task, task.c.id == run.c.task_id))
    return int((await connection.execute(query.where(_is_late(now_ms())))).scalar_one())


async def count_late_for(connection: AsyncConnection, labels: Collection[str], *, encodes: bool) -> int:
    """How many of these another worker with these labels could take, which encodes or does not."""
    groups = (await connection.execute(_LATE_GROUPS)).all()
    return sum(
        count
        for placement, needs_encode, count in groups
        if set(read_labels_text(placement)) <= set(labels) and (encodes or not needs_encode)
    )


def _is_late(now: sa.ColumnElement[int] | int) -> sa.ColumnElement[bool]:
    # A task is due some seconds before its window opens. Workers of a service that has just started, or whose store was
    # unavailable, have not asked yet.
    return sa.and_(
        ~sa.exists().where(pulse.c.since_ms > now - _SETTLED_MS),
        run.c.due_ms <= now - LATE_MS,
        now - LATE_MS >= OPENS_MS,
        task.c.end_ms > now + END_TOLERANCE_MS,
        IS_FREE,
    )


#: What late tasks ask for, and how many of them: few kinds, however many tasks.
_LATE_GROUPS = (
    sa.select(task.c.placement, task.c.encodes, sa.func.count())
    .select_from(run.join(task, task.c.id == run.c.task_id))
    .where(_is_late(now_ms()))
    .group_by(task.c.placement, task.c.encodes)
)


@functools.cache
def _wait(dialect: str) -> sa.Update:
    given = table_of(dialect, {"of_task": run.c.task_id.type, "at_ms": run.c.played_out_ms.type})
    return run.update().where(run.c.task_id == given.c.of_task).values(played_out_ms=given.c.at_ms)


def _played_out_ms(seal: Seal, row: sa.RowMapping, now: int) -> int:
    """When its list will be played out by the clock: ``now`` if it is, the end of its window if not before that."""
    try:
        plays = timing.read(seal, row).list
    except Unreadable:
        # Its worker reports it.
        return int(row["end_ms"])
    moments = range(now, row["end_ms"])
    return now + bisect_left(moments, True, key=lambda at: task_rows.playhead_after_break(plays, row, at) is None)


def _may_have_ended(now: sa.ColumnElement[int] | int) -> sa.ColumnElement[bool]:
    # A list that was played may have been played out since by the clock.
    has_played = sa.and_(run.c.playhead_ms.is_not(None), sa.func.coalesce(run.c.played_out_ms, 0) <= now)
    is_over = sa.or_(task.c.end_ms <= now + END_TOLERANCE_MS, has_played)
    return sa.and_(run.c.due_ms <= now, IS_FREE, is_over)


class Pending(NamedTuple):
    """What there may be to do, each for a function here, in ``workers``, ``recurring`` or ``placing``: a read that may
    save writes.

    ``late``: tasks that nobody takes, for a reason that was not told.
    """

    expired: bool
    ended: bool
    over: bool
    late: bool
    draining: bool


_OF_TASK = sa.select(run.c.task_id).join(task, task.c.id == run.c.task_id)
_PENDING = sa.select(
    workers.some_expired(),
    sa.exists(_OF_TASK.where(_may_have_ended(now_ms()))),
    sa.exists(_OF_TASK.where(recurring.are_over(now_ms()))),
    sa.exists(_OF_TASK.where(_is_late(now_ms()))),
    sa.exists().where(
        worker.c.intent == Intent.DRAINING.value,
        worker.c.lease_ms > 0,
        sa.exists().where(run.c.worker_id == worker.c.id, ~run.c.moves).correlate(worker),
    ),
)


async def read_pending(connection: AsyncConnection) -> Pending:
    """Whether tasks are to be freed, concluded, or reported as late."""
    pending = Pending(*(await connection.execute(_PENDING)).one())
    if not pending.late:
        return pending
    untold = [_OF_TASK.where(_is_late(now_ms()), one.are_untold) for one in await _explain_late(connection)]
    is_news = (await connection.execute(sa.select(sa.or_(*map(sa.exists, untold))))).scalar_one() if untold else False
    return pending._replace(late=bool(is_news))
