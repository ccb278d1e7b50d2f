"""Workers as they are shown, and what an operator wants of them."""

import sqlalchemy as sa
from pydantic import TypeAdapter, ValidationError
from sqlalchemy.ext.asyncio import AsyncConnection

from streamferry.store.cells import read_member, read_time
from streamferry.store.database import now_ms, read_now_ms
from streamferry.store.placing import ENCODES, SENT_KBPS
from streamferry.store.records import Intent, WorkerRecord
from streamferry.store.schema import run, worker
from streamferry.store.worker_orders import order
from streamferry.store.workers import is_alive
from streamferry.tasks.placement import read_labels_text
from streamferry.worker import WorkerHealth

_HEALTH = TypeAdapter(WorkerHealth)
_SHOWN = sa.select(
    worker,
    is_alive(now_ms()).label("is_alive"),
    SENT_KBPS.label("kbps"),
    ENCODES.label("encodes"),
).order_by(worker.c.started_ms, worker.c.id)


async def all_workers(connection: AsyncConnection) -> list[WorkerRecord]:
    """Workers that have a lease or had one in the last hour, and those that are to take no tasks; oldest first."""
    return [_record(row) for row in (await connection.execute(_SHOWN)).mappings()]


def _record(row: sa.RowMapping) -> WorkerRecord:
    intent = read_member(Intent, row["intent"], Intent.OPEN)
    since_ms = row["started_ms"] if intent is Intent.OPEN else row["intent_ms"]
    if not row["is_alive"]:
        # When it ended, or when it was last heard of.
        since_ms = -row["lease_ms"] if row["lease_ms"] < 0 else row["lease_ms"] - row["length_ms"]
    return WorkerRecord(
        worker_id=row["id"],
        is_alive=row["is_alive"],
        load=row["load"],
        capacity=row["capacity"],
        started_at=read_time(row["started_ms"]),
        health=_health_of(row["health"]),
        labels=read_labels_text(row["labels"]),
        kbps=int(row["kbps"]),
        max_kbps=row["max_kbps"],
        encodes=row["encodes"],
        max_encodes=row["max_encodes"],
        version=row["version"],
        intent=intent,
        since_at=read_time(since_ms),
    )


def _health_of(text: str | None) -> WorkerHealth | None:
    """A worker's last report; None if it is in the format of another version."""
    try:
        return None if text is None else _HEALTH.validate_json(text)
    except ValidationError:
        return None


async def set_intent(connection: AsyncConnection, worker_id: str, intent: Intent) -> bool:
    """Note what is wanted of a worker; False if there is none of that id. Marks that a drain has set are taken back."""
    now = await read_now_ms(connection)
    told: list[str | None] = []
    if intent is not Intent.DRAINING:
        held = sa.select(run.c.next_worker_id).where(run.c.worker_id == worker_id, run.c.moves).order_by(run.c.task_id)
        told = list((await connection.execute(held.with_for_update())).scalars())
        stays = {"moves": False, "due_ms": None, "next_worker_id": None}
        await connection.execute(run.update().where(run.c.worker_id == worker_id, run.c.moves).values(stays))
    await order(connection, [worker_id, *told])
    changed = await connection.execute(
        worker.update()
        .where(worker.c.id == worker_id)
        .values(
            intent=intent.value, intent_ms=sa.case((worker.c.intent == intent.value, worker.c.intent_ms), else_=now)
        )
    )
    return changed.rowcount > 0


async def release_gone(connection: AsyncConnection, prefix: str) -> int:
    """Let go of workers that were to take no tasks, and have ended, whose names begin so; how many.

    Such a row is kept for the machine that comes back from its repair. These names never come again.
    """
    ended = worker.c.lease_ms < 0
    those = sa.and_(worker.c.id.startswith(prefix, autoescape=True), ended, worker.c.intent != Intent.OPEN.value)
    return (await connection.execute(worker.update().where(those).values(intent=Intent.OPEN.value))).rowcount
