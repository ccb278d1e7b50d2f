"""Event rows and the callbacks owed for them. Only ever appended to, in the transaction of what they tell."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from streamferry.control.clock import from_ms
from streamferry.control.store.records import EventRecord
from streamferry.control.store.schema import delivery, event, run, task_spec
from streamferry.relay import Playhead


@dataclass(frozen=True, slots=True)
class NewEvent:
    """Something to append. ``detail`` holds no secrets."""

    task_id: str
    kind: str
    at_ms: int
    detail: Mapping[str, object] = field(default_factory=dict)


async def append(connection: AsyncConnection, events: Sequence[NewEvent]) -> None:
    """Number the events of each task without a gap, keep them, and owe a callback for each where one is wanted.

    The tasks' run rows are locked by this until the transaction ends.
    """
    if not events:
        return
    counts = Counter(one.task_id for one in events)
    await connection.execute(
        run.update()
        .where(run.c.task_id == sa.bindparam("of_task"))
        .values(event_seq=run.c.event_seq + sa.bindparam("further")),
        [{"of_task": task_id, "further": count} for task_id, count in sorted(counts.items())],
    )
    numbered = await connection.execute(
        sa.select(run.c.task_id, run.c.event_seq, task_spec.c.sealed_callback)
        .join(task_spec, task_spec.c.task_id == run.c.task_id)
        .where(run.c.task_id.in_(counts))
    )
    latest: dict[str, int] = {}
    callbacks: dict[str, bytes] = {}
    for task_id, seq, sealed_callback in numbered:
        latest[task_id] = seq - counts[task_id]
        if sealed_callback is not None:
            callbacks[task_id] = sealed_callback
    rows: list[dict[str, object]] = []
    owed: list[dict[str, object]] = []
    for one in events:
        if one.task_id not in latest:
            continue
        seq = latest[one.task_id] = latest[one.task_id] + 1
        detail = json.dumps(one.detail, ensure_ascii=False, separators=(",", ":"))
        rows.append({"task_id": one.task_id, "seq": seq, "at_ms": one.at_ms, "kind": one.kind, "detail": detail})
        if one.task_id in callbacks:
            owed.append(
                {
                    "task_id": one.task_id,
                    "seq": seq,
                    "sealed_callback": callbacks[one.task_id],
                    "state": "pending",
                    "attempts": 0,
                    "due_ms": one.at_ms,
                }
            )
    if rows:
        await connection.execute(event.insert(), rows)
    if owed:
        await connection.execute(delivery.insert(), owed)


async def history(connection: AsyncConnection, task_id: str, *, after_seq: int, limit: int) -> list[EventRecord]:
    """The events of a task behind a number, oldest first."""
    query = sa.select(event).where(event.c.task_id == task_id, event.c.seq > after_seq)
    found = await connection.execute(query.order_by(event.c.seq).limit(limit))
    return [_record(row) for row in found.mappings()]


async def feed(connection: AsyncConnection, task_id: str | None, *, after: int, limit: int) -> list[EventRecord]:
    """Events behind an id, oldest first, of one task or of all. Who follows it by the last id misses none."""
    query = sa.select(event).where(event.c.id > after)
    if task_id is not None:
        query = query.where(event.c.task_id == task_id)
    elif connection.dialect.name == "postgresql":
        # Ids are taken before the commit: what was written since the oldest open transaction began waits for its end.
        query = query.where(sa.text("event.xmin::text::bigint < pg_snapshot_xmin(pg_current_snapshot())::text::bigint"))
    found = await connection.execute(query.order_by(event.c.id).limit(limit))
    return [_record(row) for row in found.mappings()]


async def last_id(connection: AsyncConnection) -> int:
    """The largest id there is, 0 without any events."""
    return (await connection.execute(sa.select(sa.func.max(event.c.id)))).scalar() or 0


def _record(row: sa.RowMapping) -> EventRecord:
    detail = json.loads(row["detail"])
    return EventRecord(row["id"], row["task_id"], row["seq"], from_ms(row["at_ms"]), row["kind"], detail)


def playhead_detail(playhead: Playhead) -> dict[str, int]:
    """A place in a list, as an event tells it."""
    return {"loop": playhead.loop, "item": playhead.item, "position_ms": playhead.position_ms}
