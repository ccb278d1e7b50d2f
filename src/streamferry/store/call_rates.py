"""How often keys call at each service of a store: a row a service, as long as somebody calls it."""

import json
from collections import defaultdict
from collections.abc import Mapping

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from streamferry.store.database import read_now_ms
from streamferry.store.schema import call_rate

#: Rows that were told longer ago say nothing any more; much later they are deleted.
_FRESH_MS, _KEPT_MS = 3_000, 60_000


async def exchange(
    connection: AsyncConnection, service: str, rates: Mapping[str, float]
) -> dict[str, tuple[float, int]]:
    """Tell how many calls a second were allowed, by names of ours; what it was of the same names at the others.

    Name -> calls a second of all of them together, and at how many.
    """
    now = await read_now_ms(connection)
    await connection.execute(
        call_rate.delete().where(sa.or_(call_rate.c.service == service, call_rate.c.at_ms < now - _KEPT_MS))
    )
    if rates:
        await connection.execute(call_rate.insert(), {"service": service, "at_ms": now, "rates": json.dumps(rates)})
    found = await connection.execute(
        sa.select(call_rate.c.rates).where(
            call_rate.c.service != service, call_rate.c.at_ms.between(now - _FRESH_MS, now + _FRESH_MS)
        )
    )
    elsewhere: dict[str, tuple[float, int]] = defaultdict(lambda: (0.0, 0))
    for text in found.scalars():
        for name, rate in json.loads(text).items():
            if name in rates:
                before, services = elsewhere[name]
                elsewhere[name] = before + rate, services + 1
    return dict(elsewhere)
