"""The secret that callbacks are signed with: one for the whole store, sealed, made when it is first needed."""

import base64
import secrets

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from streamferry.reasons import Code, Reason
from streamferry.store import sealing
from streamferry.store.database import lock_name, read_now_ms
from streamferry.store.schema import callback_secret
from streamferry.store.seal import Seal, SealBroken

#: How long callbacks are also signed with the previous secret.
OLD_SECRET_MS = 24 * 3_600_000
DAMAGED_SECRET = Reason.of(Code.CALLBACK_SECRET_DAMAGED)
# Any name will do, as long as everything that makes a secret uses the same.
_LOCK = "0" * 14 + "e"


async def current(connection: AsyncConnection, seal: Seal) -> list[str]:
    """The secrets to sign with, the current one first; empty if none was made, or none can be opened."""
    query = sa.select(callback_secret).order_by(callback_secret.c.id.desc()).limit(2)
    rows = (await connection.execute(query)).mappings().all()
    if len(rows) == 2 and rows[0]["created_ms"] <= await read_now_ms(connection) - OLD_SECRET_MS:
        rows = rows[:1]
    return [secret for row in rows if (secret := _open(seal, row["sealed_secret"])) is not None]


async def ensure(connection: AsyncConnection, seal: Seal) -> str:
    """The current secret, made if there is none; one that cannot be opened is not replaced. Raises SealBroken."""
    await lock_name(connection, _LOCK)
    query = sa.select(callback_secret.c.sealed_secret).order_by(callback_secret.c.id.desc()).limit(1)
    row = (await connection.execute(query)).first()
    if row is None:
        return await _make(connection, seal)
    secret = _open(seal, row.sealed_secret)
    if secret is None:
        raise SealBroken(str(DAMAGED_SECRET))
    return secret


async def replace(connection: AsyncConnection, seal: Seal) -> str:
    """Make a new secret. The previous one stays valid for a day, so that receivers can be changed one by one."""
    await lock_name(connection, _LOCK)
    newest = sa.select(sa.func.max(callback_secret.c.id)).scalar_subquery()
    await connection.execute(callback_secret.delete().where(callback_secret.c.id < newest))
    return await _make(connection, seal)


def _open(seal: Seal, sealed: bytes) -> str | None:
    """The secret, in the form that signing takes; None if it is not one."""
    try:
        secret = seal.open(sealed)
        base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except ValueError:
        return None
    return secret


async def _make(connection: AsyncConnection, seal: Seal) -> str:
    # As Standard Webhooks writes a symmetric secret: 24 to 64 random bytes in base64 after a prefix.
    await sealing.require(connection, seal)
    secret = "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()
    values = {"sealed_secret": seal.seal(secret), "created_ms": await read_now_ms(connection)}
    await connection.execute(callback_secret.insert(), values)
    return secret
