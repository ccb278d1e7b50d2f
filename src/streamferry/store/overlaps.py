"""A hand-over with overlap: the next worker publishes before the one that has the task lets go.

Where all destinations of a task take a second publisher, a task that moves (``placing``) is due while its worker has
it. Who takes it then is its next worker (``run.next_worker_id``), and runs it under the epoch after the present one.
Its reports are left aside until one says that media arrives; with that it has the task, and the worker before it finds
that it has it no more. Whatever changes the task before that, or ends one of the two, ends the hand-over: the next
worker finds that it holds nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from streamferry.reasons import Code, Reason
from streamferry.relay.status import State
from streamferry.store import destination_cells, events
from streamferry.store.events import NewEvent
from streamferry.store.schema import run
from streamferry.store.worker_orders import order
from streamferry.worker import Report

#: Values of a run that nobody is about to take over.
NO_NEXT: dict[str, object] = {"next_worker_id": None}


@dataclass(frozen=True, slots=True)
class Held:
    """What a worker that reports has to do with a task: it has it, or is the next one. ``epoch``: the worker's own."""

    epoch: int
    #: Who has it, if this worker is the next one; and how each of several destinations is doing there.
    before: str | None
    destinations: str | None = None


async def take(connection: AsyncConnection, worker_id: str, task_ids: Sequence[str]) -> None:
    """Become the next worker of tasks that move, under a lock on their rows."""
    if task_ids:
        chosen = run.c.task_id.in_(task_ids)
        await connection.execute(run.update().where(chosen).values(next_worker_id=worker_id, due_ms=None))


async def settle(
    connection: AsyncConnection, worker_id: str, reports: Sequence[Report], held: dict[str, Held], now: int
) -> list[Report]:
    """The reports that count: those of tasks that the worker has, some of them from now on. The rows are locked."""
    ours = [one for one in reports if one.task_id in held and held[one.task_id].epoch == one.epoch]
    on_air = [one for one in ours if held[one.task_id].before is not None and _is_on_air(one, held[one.task_id])]
    given_up = [one.task_id for one in ours if held[one.task_id].before is not None and one.outcome is not None]
    if given_up:
        await connection.execute(run.update().where(run.c.task_id.in_(given_up)).values(NO_NEXT))
    if on_air:
        await _promote(connection, worker_id, {one.task_id: held[one.task_id] for one in on_air}, now)
    return [one for one in ours if held[one.task_id].before is None or one in on_air]


def _is_on_air(one: Report, held: Held) -> bool:
    """Whether each destination takes media, but for those to which the worker before sends none."""
    if one.outcome is not None:
        return False
    status = one.status
    if not status.destinations:
        return status.state is State.STREAMING and status.media_time_ms > 0
    taking = {int(each.id) for each in status.destinations if each.state is State.STREAMING and each.bytes_out}
    before = {each.id for each in destination_cells.read(held.destinations) if each.state is State.STREAMING}
    return bool(taking) and before <= taking


async def _promote(connection: AsyncConnection, worker_id: str, tasks: dict[str, Held], now: int) -> None:
    before = {one.before for one in tasks.values()}
    values = {"worker_id": worker_id, "epoch": run.c.epoch + 1, "moves": False, "due_ms": None, **NO_NEXT}
    await connection.execute(run.update().where(run.c.task_id.in_(tasks)).values(values))
    await order(connection, [*before, worker_id])
    why = Reason.of(Code.TASK_MOVES).told()
    claims = [
        NewEvent(task_id, "claimed", now, {"worker": worker_id, "epoch": one.epoch, **why})
        for task_id, one in sorted(tasks.items())
    ]
    await events.append(connection, claims)


async def resign(connection: AsyncConnection, workers: sa.ColumnElement[bool]) -> None:
    """These workers are nobody's next one any more. ``workers``: a condition on ``run.next_worker_id``."""
    held = sa.select(run.c.task_id).where(workers).order_by(run.c.task_id)
    if ids := list((await connection.execute(held.with_for_update())).scalars()):
        await connection.execute(run.update().where(run.c.task_id.in_(ids)).values(NO_NEXT))
