"""Rows of signed calls that were done, so that none is done twice: across restarts, and at any service on the store.

A call is recorded in the transaction of its change: it is there exactly if the change was made, even if the answer was
lost with the connection. A concurrent duplicate waits for the row of the first.
"""

import functools

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from streamferry.store.database import insert_into, now_ms
from streamferry.store.schema import signed_call
from streamferry.tasks.signed_calls import DoneBefore, SignedCall

#: How far apart two calls that were signed in the same second may arrive.
SAME_SECOND_MS = 2_000
#: Kept for longer than it is valid: the clocks of services on one store may differ by this much.
CLOCKS_APART_MS = 300_000
#: Beyond this, rows are deleted, first to expire first: some 40 MB. 10 calls a second of a key are 9,000 in 15 minutes.
MAX_ROWS = 200_000


async def claim(
    connection: AsyncConnection, call: SignedCall, *, made: str | None = None, refusal: str | None = None
) -> int:
    """Record it, with what it made or why it was refused; returns the time. Raises DoneBefore: roll back and answer.

    A new call takes one statement.
    """
    values = {
        "made": made,
        "refusal": refusal,
        "kept_ms": round(call.valid_s * 1000) + CLOCKS_APART_MS,
    }
    # In a fixed order, so that no two wait for each other.
    rows = [{"name": name, **values} for name in sorted(call.names)]
    put = _put(connection.dialect.name, may_repeat=not call.is_creation)
    written = {name: now for name, now in await connection.execute(put, rows)}  # noqa: C416 -- rows, not pairs
    if known := set(call.names) - written.keys():
        query = sa.select(signed_call.c.made, signed_call.c.refusal).where(signed_call.c.name.in_(known))
        found = (await connection.execute(query)).first()
        raise DoneBefore(*found) if found else DoneBefore(None, None)
    now: int = max(written.values())
    return now


@functools.cache
def _put(dialect: str, *, may_repeat: bool) -> sa.Insert:
    """Inserts names, or what has expired again. ``may_repeat``: also what was there within ``SAME_SECOND_MS``.

    A client that stops, continues and stops within a second signs both stops identically: X-Date counts seconds.
    """
    now = now_ms()
    can_be_written = is_over = signed_call.c.ends_ms <= now
    if may_repeat:
        since: sa.ColumnElement[int] = sa.literal_column(str(SAME_SECOND_MS))
        can_be_written = sa.or_(is_over, signed_call.c.first_ms.between(now - since, now + since))
    insert = insert_into(dialect, signed_call).values(
        first_ms=now, ends_ms=now + sa.bindparam("kept_ms", type_=sa.BigInteger())
    )
    statement: sa.Insert = insert.on_conflict_do_update(
        index_elements=[signed_call.c.name],
        set_={
            "first_ms": sa.case((is_over, insert.excluded.first_ms), else_=signed_call.c.first_ms),
            **{name: insert.excluded[name] for name in ("ends_ms", "made", "refusal")},
        },
        where=can_be_written,
    ).returning(signed_call.c.name, now)
    return statement


def over(now: sa.ColumnElement[int] | int) -> sa.ColumnElement[bool]:
    """Rows that may be deleted: those with expired signatures, and the first ones beyond ``MAX_ROWS``."""
    beyond = sa.select(signed_call.c.ends_ms).order_by(signed_call.c.ends_ms.desc()).offset(MAX_ROWS).limit(1)
    return sa.or_(signed_call.c.ends_ms <= now, signed_call.c.ends_ms <= beyond.scalar_subquery())
