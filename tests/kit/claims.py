"""A worker that takes what is due, as its loop does."""

from sqlalchemy.ext.asyncio import AsyncConnection

from streamferry.store import Seal, claims


async def claim(connection: AsyncConnection, seal: Seal, worker_id: str, *, load: int, room: int) -> claims.Claimed:
    """Choose and claim in one transaction."""
    choice = await claims.choose(connection, worker_id, load=load, room=room)
    return await claims.claim(connection, seal, worker_id, choice, load=load)
