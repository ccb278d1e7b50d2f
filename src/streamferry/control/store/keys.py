"""Access key rows; the secrets are sealed."""

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from streamferry.control.clock import from_ms
from streamferry.control.store.records import KeyPair, KeyRecord
from streamferry.control.store.schema import access_key
from streamferry.control.store.seal import Seal


async def put(connection: AsyncConnection, seal: Seal, pair: KeyPair, *, now_ms: int) -> None:
    """A new key, enabled; one of that name is replaced."""
    await connection.execute(access_key.delete().where(access_key.c.id == pair.access_key_id))
    values = {
        "id": pair.access_key_id,
        "sealed_secret": seal.seal(pair.secret),
        "enabled": True,
        "read_only": pair.read_only,
        "created_ms": now_ms,
    }
    await connection.execute(access_key.insert(), values)


async def find(connection: AsyncConnection, seal: Seal, access_key_id: str) -> KeyPair | None:
    """An enabled key with its secret, or None."""
    query = sa.select(access_key.c.sealed_secret, access_key.c.read_only)
    row = (await connection.execute(query.where(access_key.c.id == access_key_id, access_key.c.enabled))).first()
    return None if row is None else KeyPair(access_key_id, seal.open(row.sealed_secret), row.read_only)


async def disable(connection: AsyncConnection, access_key_id: str) -> bool:
    """Disable a key; False if there is none."""
    done = await connection.execute(access_key.update().where(access_key.c.id == access_key_id).values(enabled=False))
    return done.rowcount == 1


async def all_keys(connection: AsyncConnection) -> list[KeyRecord]:
    """Every key, oldest first."""
    query = sa.select(access_key.c.id, access_key.c.enabled, access_key.c.read_only, access_key.c.created_ms)
    rows = await connection.execute(query.order_by(access_key.c.created_ms, access_key.c.id))
    return [KeyRecord(key_id, enabled, read_only, from_ms(at_ms)) for key_id, enabled, read_only, at_ms in rows]
