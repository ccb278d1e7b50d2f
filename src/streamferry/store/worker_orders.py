"""Orders to workers: to read their tasks, because something about one of them was changed; or only to ask."""

from collections.abc import Collection

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from streamferry.store.given import bind, table_of
from streamferry.store.schema import worker


async def order(connection: AsyncConnection, worker_ids: Collection[str | None]) -> None:
    """Order these to read their tasks; None is nobody. Their rows are locked one after the other, by id.

    An update of several rows locks them in no order, and two of them would wait for each other.
    """
    chosen = sorted({one for one in worker_ids if one is not None})
    those = worker.c.id.in_(chosen)
    if len(chosen) > 1:
        await connection.execute(sa.select(worker.c.id).where(those).order_by(worker.c.id).with_for_update())
    if chosen:
        await connection.execute(worker.update().where(those).values(orders=worker.c.orders + 1))


async def tell(connection: AsyncConnection, worker_ids: Collection[str]) -> None:
    """Have these ask now, where they are told of changes (``listening``): they are the place for what is due."""
    if worker_ids and connection.dialect.name == "postgresql":
        given = table_of("postgresql", {"whom": worker.c.id.type})
        told = sa.select(sa.func.pg_notify("streamferry", given.c.whom))
        await connection.execute(told, bind([{"whom": one} for one in sorted(worker_ids)]))
