"""Audit rows: who got in, and who changed what lets people in. Only ever appended to; they outlive events.

What happens to tasks is in ``events``. Failed sign-ins can be made by anybody, so their lines are bounded for each
process, and the next one says how many were left out.
"""

import json
import time
from collections import Counter
from collections.abc import Mapping

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from streamferry.net.peers import peer_of
from streamferry.store.cells import read_object, read_time
from streamferry.store.database import now_ms
from streamferry.store.records import AuditRecord
from streamferry.store.schema import audit
from streamferry.tasks.actor import current_actor
from streamferry.tasks.model import AuditKind

_MAX_NAME = 128


class Throttle:
    """Lets so many lines a minute through, and a few of each peer, so that one cannot hide the others' failures.

    ``untold`` counts those that it held back since the last.
    """

    def __init__(self, lines_a_minute: int = 60, of_peer: int = 5) -> None:
        self._limit = lines_a_minute
        self._of_peer = of_peer
        self._minute = -1
        self._lines: Counter[str] = Counter()
        self.untold = 0

    def admits(self, address: str, now: float | None = None) -> bool:
        """Whether there is room for one of that peer now."""
        minute = int((time.monotonic() if now is None else now) // 60)
        if minute != self._minute:
            self._minute = minute
            self._lines.clear()
        peer = peer_of(address)
        if self._lines[peer] >= self._of_peer or self._lines.total() >= self._limit:
            self.untold += 1
            return False
        self._lines[peer] += 1
        return True

    def tell_untold(self) -> int:
        """How many were held back; from here on they count as told."""
        told, self.untold = self.untold, 0
        return told


async def append(
    connection: AsyncConnection, kind: AuditKind, subject: str = "", detail: Mapping[str, object] | None = None
) -> None:
    """A line, in the transaction of what it tells. ``subject``: what it was done to. No secrets."""
    actor = current_actor()
    await connection.execute(
        audit.insert().values(
            at_ms=now_ms(),
            kind=kind.value,
            subject=_plain(subject),
            actor=_plain(str(actor)),
            peer=actor.peer,
            request_id=actor.request_id,
            detail=json.dumps(dict(detail or {}), ensure_ascii=False),
        )
    )


async def page(connection: AsyncConnection, *, before: int | None, limit: int) -> list[AuditRecord]:
    """Lines before an id, newest first."""
    query = sa.select(audit).order_by(audit.c.id.desc()).limit(limit)
    rows = await connection.execute(query if before is None else query.where(audit.c.id < before))
    return [
        AuditRecord(
            id=row["id"],
            at=read_time(row["at_ms"]),
            kind=row["kind"],
            subject=row["subject"],
            actor=row["actor"],
            peer=row["peer"],
            request_id=row["request_id"],
            detail=read_object(row["detail"]),
        )
        for row in rows.mappings()
    ]


def _plain(text: str) -> str:
    """A name that somebody may have made up: printable, and not without end."""
    return "".join(character if character.isprintable() else "?" for character in text[:_MAX_NAME])
