"""Audit rows: who signed in, and who changed keys and secrets. Append-only; they are kept longer than events.

What happens to tasks is in ``events``. Which failed sign-ins leave a line is decided in ``control.sign_ins``.
"""

import json
from collections.abc import Mapping

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from streamferry.store.cells import read_object, read_time
from streamferry.store.database import now_ms
from streamferry.store.records import AuditRecord
from streamferry.store.schema import audit
from streamferry.tasks.actor import current_actor
from streamferry.tasks.model import AuditKind

_MAX_NAME = 128


async def append(
    connection: AsyncConnection, kind: AuditKind, subject: str = "", detail: Mapping[str, object] | None = None
) -> None:
    """Append a line, in the transaction that it reports. ``subject``: what it was done to. No secrets."""
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
    """A name that may be made up: made printable and limited in length."""
    return "".join(character if character.isprintable() else "?" for character in text[:_MAX_NAME])
