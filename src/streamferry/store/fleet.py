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
from streamferry.store.workers import HOLDS_TASKS, KEEP_CORDONED_MS, KEEP_GONE_MS, is_alive
from streamferry.tasks.placement import read_labels_text
from streamferry.worker import WorkerHealth

_HEALTH = TypeAdapter(WorkerHealth)
#: How long a worker is shown that is gone; one that was emptied before has done what it was to do. One that is cordoned
#: is expected back.
_SHOWN_MS = sa.case(
    (worker.c.intent == Intent.CORDONED.value, KEEP_CORDONED_MS),
    (worker.c.intent == Intent.DRAINING.value, 10 * 60_000),
    else_=KEEP_GONE_MS,
)
#: When it ended, or when it was last heard of.
_GONE_MS = sa.case((worker.c.lease_ms < 0, -worker.c.lease_ms), else_=worker.c.lease_ms - worker.c.length_ms)
_SHOWN = (
    sa.select(
        worker,
        is_alive(now_ms()).label("is_alive"),
        _GONE_MS.label("gone_ms"),
        SENT_KBPS.label("kbps"),
        ENCODES.label("encodes"),
    )
    .where(
        sa.or_(
            is_alive(now_ms()),
            now_ms() - _SHOWN_MS < _GONE_MS,
            # What is wanted of it has just been changed.
            worker.c.intent_ms > now_ms() - _SHOWN_MS,
            HOLDS_TASKS,
        )
    )
    .order_by(worker.c.started_ms, worker.c.id)
)


async def all_workers(connection: AsyncConnection) -> list[WorkerRecord]:
    """Workers that have a lease, or had one a short time ago, and those that are cordoned; oldest first."""
    return [_record(row) for row in (await connection.execute(_SHOWN)).mappings()]


def _record(row: sa.RowMapping) -> WorkerRecord:
    intent = read_member(Intent, row["intent"], Intent.OPEN)
    since_ms = row["started_ms"] if intent is Intent.OPEN else row["intent_ms"]
    if not row["is_alive"]:
        since_ms = row["gone_ms"]
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
