"""Access key rows; the secrets are sealed."""

import logging

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from streamferry.store import sealing
from streamferry.store.cells import read_time
from streamferry.store.database import insert_into
from streamferry.store.records import KeyPair, KeyRecord
from streamferry.store.schema import access_key
from streamferry.store.seal import Seal, SealBroken

_log = logging.getLogger("streamferry.control")


async def put(connection: AsyncConnection, seal: Seal, pair: KeyPair, *, now_ms: int) -> None:
    """Store a key, enabled; one with that id is replaced."""
    await sealing.require(connection, seal)
    values = {
        "sealed_secret": seal.seal(pair.secret),
        "enabled": True,
        "read_only": pair.read_only,
        "created_ms": now_ms,
    }
    statement = insert_into(connection.dialect.name, access_key).values(id=pair.access_key_id, **values)
    await connection.execute(statement.on_conflict_do_update(index_elements=[access_key.c.id], set_=values))


async def exists(connection: AsyncConnection, access_key_id: str) -> bool:
    """Whether there is one with that id, enabled or not."""
    query = sa.select(access_key.c.enabled).where(access_key.c.id == access_key_id)
    return (await connection.execute(query)).first() is not None


async def find(connection: AsyncConnection, seal: Seal, access_key_id: str) -> KeyPair | None:
    """An enabled key with its secret, or None; one that cannot be opened is useless, which is logged."""
    query = sa.select(access_key.c.sealed_secret, access_key.c.read_only)
    row = (await connection.execute(query.where(access_key.c.id == access_key_id, access_key.c.enabled))).first()
    if row is None:
        return None
    try:
        return KeyPair(access_key_id, seal.open(row.sealed_secret), row.read_only)
    except SealBroken:
        _log.error("the secret of access key %s cannot be opened: make another key and disable it", access_key_id)
        return None


async def disable(connection: AsyncConnection, access_key_id: str) -> bool:
    """Disable a key; False if there is none."""
    done = await connection.execute(access_key.update().where(access_key.c.id == access_key_id).values(enabled=False))
    return done.rowcount == 1


async def all_keys(connection: AsyncConnection) -> list[KeyRecord]:
    """Every key, oldest first."""
    query = sa.select(access_key.c.id, access_key.c.enabled, access_key.c.read_only, access_key.c.created_ms)
    rows = await connection.execute(query.order_by(access_key.c.created_ms, access_key.c.id))
    return [KeyRecord(key_id, enabled, read_only, read_time(at_ms)) for key_id, enabled, read_only, at_ms in rows]
