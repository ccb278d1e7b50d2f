"""To which destinations tasks push, as digests: so that two do not push to the same one at the same time."""

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from streamferry.store.digests import destination_digest
from streamferry.store.schema import task, task_destination
from streamferry.store.seal import Seal
from streamferry.tasks.model import TaskSpec


def pushing_to(digests: list[str]) -> sa.CompoundSelect[tuple[str]]:
    """Ids of the tasks that have one of the destinations. Each of the two uses its index."""
    return sa.union_all(
        sa.select(task.c.id).where(task.c.destination_digest.in_(digests)),
        sa.select(task_destination.c.task_id).where(task_destination.c.digest.in_(digests)),
    )


def digests_of(seal: Seal, spec: TaskSpec) -> list[str]:
    """Those of all that it pushes to, in the order in which they are locked."""
    return sorted({destination_digest(seal, one.url) for one in spec.pushed})


async def note(connection: AsyncConnection, seal: Seal, task_id: str, spec: TaskSpec) -> None:
    """By what other tasks find its further destinations, if there are any."""
    digests = {destination_digest(seal, one.url) for one in spec.others if one.enabled}
    if digests:
        rows = [{"task_id": task_id, "digest": digest} for digest in sorted(digests)]
        await connection.execute(task_destination.insert(), rows)


#: Of tasks that were deleted: nobody is in the way any more, and deleting them costs no statement.
_IS_LEFT = task_destination.c.task_id.not_in(sa.select(task.c.id))


def some_left() -> sa.Exists:
    """Whether there are some of deleted tasks."""
    return sa.exists().where(_IS_LEFT)


async def forget_left(connection: AsyncConnection) -> None:
    """Delete those."""
    await connection.execute(task_destination.delete().where(_IS_LEFT))
