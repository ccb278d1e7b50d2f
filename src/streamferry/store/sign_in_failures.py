"""Failed sign-ins by what they are counted by, as keyed digests: services on one store count together."""

from collections.abc import Collection, Mapping

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from streamferry.store.database import insert_into, now_ms, read_now_ms
from streamferry.store.schema import sign_in_failure


async def read(connection: AsyncConnection, names: Collection[str]) -> dict[str, tuple[int, float]]:
    """Name -> how many failures, and in how many seconds the next try may come; negative: that is over."""
    found = await connection.execute(
        sa.select(
            sign_in_failure.c.name, sign_in_failure.c.failures, (sign_in_failure.c.until_ms - now_ms()).label("wait_ms")
        ).where(sign_in_failure.c.name.in_(names))
    )
    return {name: (failures, wait_ms / 1000) for name, failures, wait_ms in found}


async def count(connection: AsyncConnection, waits_s: Mapping[str, float], memory_s: float) -> None:
    """Count a failure for each name, after which the next try has to wait so long. Old ones are deleted."""
    now = await read_now_ms(connection)
    forgotten = sign_in_failure.c.until_ms < now - round(memory_s * 1000)
    await connection.execute(sign_in_failure.delete().where(forgotten))
    for name in sorted(waits_s):
        until = now + round(waits_s[name] * 1000)
        first = insert_into(connection.dialect.name, sign_in_failure).values(name=name, failures=1, until_ms=until)
        await connection.execute(
            first.on_conflict_do_update(
                index_elements=[sign_in_failure.c.name],
                set_={"failures": sign_in_failure.c.failures + 1, "until_ms": until},
            )
        )


async def forgive(connection: AsyncConnection, name: str) -> None:
    """Forget the failures of a name."""
    await connection.execute(sign_in_failure.delete().where(sign_in_failure.c.name == name))
