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
    found = await connection.execute(
        sa.select(event.c.seq, event.c.at_ms, event.c.kind, event.c.detail)
        .where(event.c.task_id == task_id, event.c.seq > after_seq)
        .order_by(event.c.seq)
        .limit(limit)
    )
    return [EventRecord(task_id, seq, from_ms(at_ms), kind, json.loads(detail)) for seq, at_ms, kind, detail in found]


def playhead_detail(playhead: Playhead) -> dict[str, int]:
    """A place in a list, as an event tells it."""
    return {"loop": playhead.loop, "item": playhead.item, "position_ms": playhead.position_ms}
