"""What ``tasks.placement`` decides by, read from the store; and tasks that are to move to another worker.

A task moves so: it is marked here, its worker stops it at the next keyframe and gives it back, and whoever has a place
for it takes it; where its destinations take two publishers, the other way round (``overlaps``). So only what has a
place elsewhere is marked: nothing goes off the air because a worker is emptied.
"""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from streamferry.relay.status import State
from streamferry.store.database import now_ms
from streamferry.store.records import Intent
from streamferry.store.schema import run, task, worker
from streamferry.store.worker_orders import order
from streamferry.store.workers import asks_only, is_alive
from streamferry.tasks.placement import (
    CROWDED,
    UNKNOWN_KBPS,
    Candidate,
    Wanted,
    decide_moves,
    decide_places,
    read_labels_text,
)

#: Most tasks of a drained worker that are marked at once.
_DRAIN_BATCH = 50
#: Most tasks that are on their way because a worker is crowded, and most that are considered.
_MOVES_AT_ONCE, _CONSIDERED = 5, 200
#: What is shorter on the air is left alone: it has just been moved, or may not last.
_SETTLED_MEDIA_MS = 60_000
# Before this an average says little.
_MEASURED_MS = 10_000

#: Kbps that a task is likely to send.
KBPS = sa.case(
    (run.c.media_time_ms >= _MEASURED_MS, run.c.bytes_out * 8 / sa.func.nullif(run.c.media_time_ms, 0)),
    else_=UNKNOWN_KBPS,
)
#: Columns that ``wanted_of`` reads.
WANTED = (run.c.task_id, task.c.placement, task.c.encodes, task.c.priority, task.c.source_digest, KBPS.label("kbps"))
_OF_WORKER = run.c.worker_id == worker.c.id
# Only where there is a limit: it reads every task of the worker.
SENT_KBPS = sa.case(
    (
        worker.c.max_kbps.is_not(None),
        sa.select(sa.func.coalesce(sa.func.sum(KBPS), 0)).where(_OF_WORKER).correlate(worker).scalar_subquery(),
    ),
    else_=0,
)
ENCODES = sa.case(
    (
        worker.c.max_encodes.is_not(None),
        sa.select(sa.func.count())
        .select_from(run.join(task, task.c.id == run.c.task_id))
        .where(_OF_WORKER, task.c.encodes)
        .correlate(worker)
        .scalar_subquery(),
    ),
    else_=0,
)
_CANDIDATES = sa.select(worker, SENT_KBPS.label("kbps"), ENCODES.label("encodes"), now_ms().label("now_ms")).where(
    is_alive(now_ms()), worker.c.capacity > 0, worker.c.intent == Intent.OPEN.value
)


async def candidates(connection: AsyncConnection) -> list[Candidate]:
    """The workers that are alive and take tasks, full ones, too."""
    return (await candidates_now(connection))[0]


async def candidates_now(connection: AsyncConnection) -> tuple[list[Candidate], int]:
    """The same, and the time; 0 without any."""
    rows = (await connection.execute(_CANDIDATES)).mappings().all()
    found = [
        Candidate(
            row["id"],
            row["load"],
            row["capacity"],
            frozenset(read_labels_text(row["labels"])),
            int(row["kbps"]),
            row["max_kbps"],
            row["encodes"],
            row["max_encodes"],
        )
        for row in rows
    ]
    return found, rows[0]["now_ms"] if rows else 0


def limits_of(one: Candidate) -> list[sa.ColumnElement[bool]]:
    """What a task must be, by the limits that it is near to, for ``Candidate.has_room``; it has a stream to spare."""
    found: list[sa.ColumnElement[bool]] = []
    if one.max_encodes is not None and one.encodes >= one.max_encodes:
        found.append(~task.c.encodes)
    if one.max_kbps is not None and one.kbps:
        found.append(one.max_kbps - one.kbps >= KBPS)
    return found


def wanted_of(row: "sa.RowMapping | dict[str, Any]") -> Wanted:
    """A row with the columns of ``WANTED``."""
    return Wanted(
        row["task_id"],
        read_labels_text(row["placement"]),
        int(row["kbps"]),
        row["encodes"],
        row["priority"],
        row["source_digest"],
    )


async def pulls(connection: AsyncConnection, tasks: Sequence[Wanted]) -> dict[str, set[str]]:
    """Source -> the workers that pull it, of the sources of these tasks."""
    sources = {one.source for one in tasks if one.source is not None}
    if not sources:
        return {}
    found = await connection.execute(
        sa.select(task.c.source_digest, run.c.worker_id)
        .join(run, run.c.task_id == task.c.id)
        .where(task.c.source_digest.in_(sources), run.c.worker_id.is_not(None))
        .distinct()
    )
    held: dict[str, set[str]] = {}
    for source, worker_id in found:
        held.setdefault(source, set()).add(worker_id)
    return held


async def move_tasks(connection: AsyncConnection, *, rebalances: bool) -> int:
    """Mark tasks of workers that are drained, and of crowded ones if ``rebalances``, as far as there is a place for
    them; returns how many."""
    open_ones = await candidates(connection)
    draining = await connection.execute(
        sa.select(worker.c.id).where(worker.c.intent == Intent.DRAINING.value, worker.c.lease_ms > 0)
    )
    going = await _going(connection, list(draining.scalars()), open_ones)
    marked = list(going)
    if rebalances and not going:
        marked += await _relieve(connection, open_ones)
    return await mark(connection, marked)


async def _going(connection: AsyncConnection, drained: Sequence[str], workers: Sequence[Candidate]) -> list[str]:
    """Tasks of drained workers for which there is a place beside all that have been marked before, or wait."""
    if not drained:
        return []
    under_way = await connection.execute(
        sa.select(*WANTED)
        .join(task, task.c.id == run.c.task_id)
        .where(sa.or_(run.c.moves, run.c.due_ms <= now_ms()), _may_go(workers))
        .order_by(task.c.priority.desc(), run.c.due_ms)
        .limit(sum(one.max_streams for one in workers))
    )
    reserved = [wanted_of(row) for row in under_way.mappings()]
    standing = {one.worker_id: one for one in workers}
    places = decide_places(reserved, workers, {})
    for one in reserved:
        if (worker_id := places.get(one.task_id)) is not None:
            standing[worker_id] = standing[worker_id].with_task(one)
    left = [one for one in standing.values() if one.streams < one.max_streams]
    tasks = await _settled(connection, drained, _DRAIN_BATCH, 0, _may_go(left)) if left else []
    return list(decide_places(tasks, left, await pulls(connection, tasks)))


def _may_go(workers: Sequence[Candidate]) -> sa.ColumnElement[bool]:
    """Whether one of these workers may take a task, by its labels and whether it encodes."""
    kinds = {(one.labels, one.max_encodes is not None and one.encodes >= one.max_encodes) for one in workers}
    each = [asks_only(labels) & ~task.c.encodes if is_full else asks_only(labels) for labels, is_full in kinds]
    return sa.or_(sa.false(), *each)


async def _relieve(connection: AsyncConnection, workers: Sequence[Candidate]) -> list[str]:
    """Tasks that crowded workers should hand over."""
    crowded = [one.worker_id for one in workers if one.fullness() > CROWDED]
    if not crowded or len(crowded) == len(workers):
        return []
    on_their_way = await connection.execute(
        sa.select(sa.func.count()).select_from(run).where(sa.or_(run.c.moves, run.c.due_ms <= now_ms()))
    )
    at_most = _MOVES_AT_ONCE - on_their_way.scalar_one()
    if at_most <= 0:
        return []
    tasks = {
        worker_id: await _settled(connection, [worker_id], _CONSIDERED, _SETTLED_MEDIA_MS) for worker_id in crowded
    }
    moves = decide_moves(tasks, workers, at_most=at_most)
    return [task_id for ids in moves.values() for task_id in ids]


async def _settled(
    connection: AsyncConnection, workers: Sequence[str], limit: int, media_ms: int, *only: sa.ColumnElement[bool]
) -> list[Wanted]:
    """Tasks of these workers that stay so far; the least important first, and only those on the air for so long."""
    if not workers:
        return []
    rows = await connection.execute(
        sa.select(*WANTED)
        .join(task, task.c.id == run.c.task_id)
        .where(
            run.c.worker_id.in_(workers),
            ~run.c.moves,
            *only,
            *((run.c.state == State.STREAMING.value, run.c.media_time_ms >= media_ms) if media_ms else ()),
        )
        .order_by(task.c.priority, run.c.task_id)
        .limit(limit)
    )
    return [wanted_of(row) for row in rows.mappings()]


async def mark(connection: AsyncConnection, task_ids: Sequence[str]) -> int:
    """Order their workers to give them back at the next keyframe; returns how many there are."""
    if not task_ids:
        return 0
    held = sa.select(run.c.task_id).where(run.c.task_id.in_(task_ids)).order_by(run.c.task_id).with_for_update()
    await connection.execute(held)
    overlaps = sa.exists().where(task.c.id == run.c.task_id, task.c.overlaps, task.c.enabled)
    marked = await connection.execute(
        run.update()
        .where(run.c.task_id.in_(task_ids), run.c.worker_id.is_not(None), ~run.c.moves)
        .values(moves=True, due_ms=sa.case((overlaps, now_ms()), else_=run.c.due_ms))
        .returning(run.c.worker_id)
    )
    workers = list(marked.scalars())
    await order(connection, workers)
    return len(workers)
