"""Which due tasks a worker takes, and how it takes them. What nobody takes is concluded in ``due``."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from streamferry.relay.status import Playhead, State
from streamferry.store import events, overlaps, placing, task_rows, timing, workers
from streamferry.store.database import now_ms
from streamferry.store.events import NewEvent, playhead_detail
from streamferry.store.numbers import count_up
from streamferry.store.records import Intent
from streamferry.store.schema import run, task, worker
from streamferry.store.seal import Seal
from streamferry.store.spec_json import Unreadable
from streamferry.tasks.placement import Candidate, decide_places
from streamferry.tasks.schedule import is_over

#: A due task that nobody took for this long is taken by any worker with room, beyond its fair share.
_FAIR_FOR_MS = 1_000
#: Most tasks that a worker takes at once: others renew their leases after that, and it its own when it has begun them.
CLAIM_BATCH = 100


class Claimed(NamedTuple):
    """How many tasks were claimed, and how often something about the worker's tasks was changed, with this."""

    tasks: int
    orders: int | None


NOTHING = Claimed(0, None)


class TakesNone(Exception):
    """The worker was cordoned or is drained since it chose: it takes nothing, and what it has taken is rolled back."""


class Choice(NamedTuple):
    """What a worker is to take, and the labels that it has.

    ``is_full``: there is nothing that it has room for, by another measure than their number. ``others``: the workers
    that are the place for the rest. ``fleet``: all that take tasks.
    """

    task_ids: Collection[str]
    labels: Collection[str] = ()
    is_full: bool = False
    others: Collection[str] = ()
    fleet: Sequence[Candidate] = ()


async def choose(connection: AsyncConnection, worker_id: str, *, load: int, room: int) -> Choice:
    """Which due tasks this worker is the place for, at most ``room``. It only reads: nobody waits while it is decided.

    At most ``CLAIM_BATCH``: its own, then what nobody has taken for a second, whoever it was for.
    """
    everybody, now = await placing.candidates_now(connection)
    me = next((one for one in everybody if one.worker_id == worker_id), None)
    if me is None:
        # Ended, or cordoned since it looked.
        await workers.require_lease(connection, worker_id)
        return Choice(())
    # It knows better than its row what it holds.
    me = replace(me, streams=load, max_streams=load + room)
    # What it may not take must not stand in front of what it may.
    limits = placing.limits_of(me)
    found = await connection.execute(
        sa.select(*placing.WANTED, run.c.due_ms, task.c.end_ms)
        .join(task, task.c.id == run.c.task_id)
        .where(
            *(run.c.due_ms <= now, task.c.end_ms > now, workers.is_for(worker_id)),
            *(workers.asks_only(me.labels), *limits),
        )
        # All see the same ones, and each has a full part of them.
        .order_by(task.c.priority.desc(), run.c.due_ms, run.c.task_id)
        .limit(CLAIM_BATCH * len(everybody))
    )
    due = [row for row in found.mappings().all() if not is_over(row["end_ms"], now)]
    mine, others = await _decide_mine(connection, due, me, everybody, late_ms=now - _FAIR_FOR_MS)
    return Choice(mine[:CLAIM_BATCH], me.labels, bool(limits) and not due, others, everybody)


async def claim(connection: AsyncConnection, seal: Seal, worker_id: str, choice: Choice, *, load: int) -> Claimed:
    """Take what was chosen and is still due. Raises LeaseLost, TakesNone: roll back."""
    found = await connection.execute(
        timing.WITH_TIMING.add_columns(now_ms().label("now"))
        .where(
            run.c.task_id.in_(choice.task_ids),
            run.c.due_ms <= now_ms(),
            workers.is_for(worker_id),
            workers.asks_only(choice.labels),
        )
        .order_by(run.c.task_id)
        .with_for_update(of=run, skip_locked=True)
    )
    taken: list[NewEvent] = []
    moving: list[str] = []
    for row in found.mappings():
        now: int = row["now"]
        if is_over(row["end_ms"], now):
            continue
        if row["worker_id"] is not None:
            moving.append(row["task_id"])
            continue
        playhead = _playhead(seal, row, now)
        if playhead is None:
            continue
        detail = {"worker": worker_id, "epoch": row["epoch"] + 1, "playhead": playhead_detail(playhead)}
        taken.append(NewEvent(row["task_id"], "claimed", now, detail))
    if not taken and not moving:
        return NOTHING
    await overlaps.take(connection, worker_id, moving)
    # Where and when it broke is kept until it has moved on: the new worker may be lost before that.
    values: dict[str, object] = {"worker_id": worker_id, "epoch": run.c.epoch + 1, "state": State.WAITING.value}
    values |= {"due_ms": None, "played_out_ms": None, "moves": False, "counted_before": None, **overlaps.NO_NEXT}
    counted = await count_up(connection, run.c.event_seq, {one.task_id: 1 for one in taken}, **values)
    await events.append(connection, taken, counted=counted)
    orders = await connection.execute(
        worker.update()
        .where(worker.c.id == worker_id, worker.c.lease_ms > 0, worker.c.intent == Intent.OPEN.value)
        .values(load=load + len(taken) + len(moving), orders=worker.c.orders + 1)
        .returning(worker.c.orders)
    )
    if (count := orders.scalar()) is None:
        # Of a lease that ended since it looked nobody would ever free what it takes.
        await workers.require_lease(connection, worker_id)
        raise TakesNone
    return Claimed(len(taken) + len(moving), count)


async def _decide_mine(
    connection: AsyncConnection,
    due: Sequence[sa.RowMapping],
    me: Candidate,
    everybody: Sequence[Candidate],
    *,
    late_ms: int,
) -> tuple[list[str], set[str]]:
    """Which of these tasks are for this worker: by its place among all; then what is due since ``late_ms``. And who
    has a place for the others."""
    wanted = [placing.wanted_of(row) for row in due]
    pulls = await placing.pulls(connection, wanted)
    workers = [me if one.worker_id == me.worker_id else one for one in everybody]
    places = decide_places(wanted, workers, pulls, asked_by=me.worker_id)
    mine = [one for one in wanted if places.get(one.task_id) == me.worker_id]
    for one in mine:
        me = me.with_task(one)
    is_mine = {one.task_id for one in mine}
    late = [
        one for one, row in zip(wanted, due, strict=True) if row["due_ms"] <= late_ms and one.task_id not in is_mine
    ]
    # Each begins elsewhere among them: they are free for all.
    first = len(late) * sorted(one.worker_id for one in everybody).index(me.worker_id) // len(everybody)
    chosen = [one.task_id for one in mine] + list(decide_places(late[first:] + late[:first], [me], {}))
    return chosen, set(places.values()) - {me.worker_id}


def _playhead(seal: Seal, row: sa.RowMapping, now: int) -> Playhead | None:
    """Where its list resumes; None if it would have been played out. An unreadable one is reported by its worker."""
    if row["playhead_ms"] is None:
        return Playhead()
    try:
        return task_rows.playhead_after_break(timing.read(seal, row).list, row, now)
    except Unreadable:
        return Playhead()
