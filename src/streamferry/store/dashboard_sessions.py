"""Sessions of the dashboard, by digests of their tokens: known to every service on the store, and after a restart."""

from collections.abc import Collection

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from streamferry.store.database import now_ms, read_now_ms
from streamferry.store.schema import access_key, dashboard_session

_LIVE = (
    sa.select(
        dashboard_session.c.digest,
        access_key.c.id,
        access_key.c.read_only,
        (dashboard_session.c.ends_ms - now_ms()).label("left_ms"),
    )
    .join(
        access_key,
        # A key with another secret is another key.
        sa.and_(
            access_key.c.id == dashboard_session.c.access_key_id,
            access_key.c.created_ms == dashboard_session.c.key_ms,
            access_key.c.enabled,
        ),
    )
    .where(dashboard_session.c.ends_ms > now_ms())
)


async def put(connection: AsyncConnection, digest: str, access_key_id: str, length_ms: int) -> None:
    """Store a session of an enabled key; those that have ended are deleted."""
    now = await read_now_ms(connection)
    await connection.execute(dashboard_session.delete().where(dashboard_session.c.ends_ms <= now))
    key = sa.select(sa.literal(digest), access_key.c.id, access_key.c.created_ms, sa.literal(now + length_ms))
    await connection.execute(
        dashboard_session.insert().from_select(
            ["digest", "access_key_id", "key_ms", "ends_ms"],
            key.where(access_key.c.id == access_key_id, access_key.c.enabled),
        )
    )


async def find(connection: AsyncConnection, digest: str) -> tuple[str, bool, int] | None:
    """Its key, whether that may only read, and how many ms are left; None if there is no such session any more."""
    row = (await connection.execute(_LIVE.where(dashboard_session.c.digest == digest))).first()
    return None if row is None else (row.id, row.read_only, row.left_ms)


async def live_ones(connection: AsyncConnection, digests: Collection[str]) -> set[str]:
    """Those of these sessions that are not over."""
    found = await connection.execute(_LIVE.where(dashboard_session.c.digest.in_(digests)))
    return set(found.scalars())


async def delete(connection: AsyncConnection, digest: str) -> None:
    """Delete a session."""
    await connection.execute(dashboard_session.delete().where(dashboard_session.c.digest == digest))
