"""Numbers of what is appended for a task: counters in rows that have the task's id, without gaps."""

from collections import defaultdict
from collections.abc import Mapping

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection


async def count_up(
    connection: AsyncConnection, counter: sa.Column[int], further: Mapping[str, int], **values: object
) -> dict[str, int]:
    """Count so many more for each task, and set ``values`` too; task -> the last number, where there is a row.

    With several tasks their run rows have to be locked already: these are locked in no order.
    """
    table = counter.table
    alike: dict[int, list[str]] = defaultdict(list)
    for task_id, count in further.items():
        alike[count].append(task_id)
    last: dict[str, int] = {}
    for count, task_ids in alike.items():
        rows = await connection.execute(
            sa.update(table)
            .where(table.c.task_id.in_(task_ids))
            .values({counter.name: counter + count, **values})
            .returning(table.c.task_id, counter)
        )
        last.update((task_id, number) for task_id, number in rows)
    return last
