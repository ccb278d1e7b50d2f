"""Orders of a task that were followed: noted before they are, so that no other run follows them again.

A worker that is lost in between has not followed its order: it is left out (docs/decisions/0109).
"""

import json
from dataclasses import replace

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from streamferry.store.cells import read_json
from streamferry.store.schema import run, task
from streamferry.tasks.model import TaskSpec

#: More than can wait at a time: older ones are no longer part of any task.
_KEPT = 100


def read_done(cell: object) -> tuple[int, ...]:
    """The numbers in a cell; none of one that cannot be read."""
    numbers = read_json(cell)
    return tuple(one for one in numbers if isinstance(one, int)) if isinstance(numbers, list) else ()


def marked(spec: TaskSpec, cell: object) -> TaskSpec:
    """The spec with its orders marked that were followed."""
    if not spec.orders or not (done := read_done(cell)):
        return spec
    return replace(spec, orders=tuple(replace(one, is_done=one.number in done) for one in spec.orders))


async def claim(
    connection: AsyncConnection, worker_id: str, task_id: str, *, epoch: int, version: int, number: int
) -> bool | None:
    """Note that a worker follows an order now; whether it may. None: it is to ask again, because the task was changed,
    which it is to read first, or is another worker's until this one is on the air with it.

    It locks the task as an action does, so that an order is either taken back or followed.
    """
    row = (
        await connection.execute(
            sa.select(task.c.version, run.c.worker_id, run.c.next_worker_id, run.c.epoch, run.c.orders_done)
            .join(run, run.c.task_id == task.c.id)
            .where(task.c.id == task_id)
            .with_for_update(of=(task, run))
        )
    ).first()
    if row is None or number in (done := read_done(row.orders_done)):
        return False
    is_next = row.worker_id is not None and (row.next_worker_id, row.epoch + 1) == (worker_id, epoch)
    if not is_next and (row.worker_id, row.epoch) != (worker_id, epoch):
        return False
    if is_next or row.version != version:
        return None
    kept = json.dumps([*done, number][-_KEPT:])
    await connection.execute(run.update().where(run.c.task_id == task_id).values(orders_done=kept))
    return True
