"""Event rows and their callbacks. Append-only, in the transaction of the change that they report."""

import functools
import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from streamferry.relay.status import Playhead
from streamferry.store import mailboxes
from streamferry.store.cells import read_object, read_time
from streamferry.store.given import bind, table_of
from streamferry.store.numbers import count_up
from streamferry.store.places import PLAYED_ON_MS, position_of
from streamferry.store.records import EventRecord
from streamferry.store.schema import OPENS_MS, event, mailbox, run, task
from streamferry.tasks.actor import current_actor
from streamferry.tasks.model import CallbackEvent, decide_api_status
from streamferry.tasks.schedule import END_TOLERANCE_MS
from streamferry.tasks.times import from_ms

#: Kinds of events that are sent as callbacks, and what they are called there. The rest is bookkeeping.
TOLD: Mapping[str, CallbackEvent] = {one.value: one for one in CallbackEvent} | {"lost": CallbackEvent.RETRYING}


@dataclass(frozen=True, slots=True)
class NewEvent:
    """An event to append. ``detail`` contains no secrets."""

    task_id: str
    kind: str
    at_ms: int
    detail: Mapping[str, object] = field(default_factory=dict)


# Tasks whose callbacks have a receiver.
_RECEIVERS = (
    sa.select(
        run.c.task_id,
        run.c.state,
        run.c.loop,
        run.c.item,
        run.c.position_ms,
        PLAYED_ON_MS.label("played_on_ms"),
        run.c.item_ends,
        run.c.playhead_ms,
        task.c.enabled,
        task.c.finished,
        OPENS_MS.label("opens_ms"),
        task.c.end_ms,
        mailbox.c.title,
    )
    .join(task, task.c.id == run.c.task_id)
    .join(mailbox, mailbox.c.task_id == run.c.task_id)
    .where(
        run.c.task_id.in_(sa.bindparam("task_ids", expanding=True)),
        mailbox.c.sealed_url.is_not(None),
        mailbox.c.gone_ms.is_(None),
    )
)


async def append(
    connection: AsyncConnection, events: Sequence[NewEvent], *, counted: Mapping[str, int] | None = None
) -> None:
    """Number the events of each task without a gap, store them, and queue a callback for each kind that has one.

    The tasks' run rows, and then the mailboxes of those with a receiver, are locked by this until the transaction ends.
    With several tasks the transaction has to have locked their run rows. ``counted``: task -> the number of its last
    one, if these events are counted in the run rows already.
    """
    if not events:
        return
    counts = Counter(one.task_id for one in events)
    last = await count_up(connection, run.c.event_seq, counts) if counted is None else counted
    latest = {task_id: number - counts[task_id] for task_id, number in last.items()}
    receivers: Mapping[str, sa.RowMapping] = {}
    if told := sorted({one.task_id for one in events if one.kind in TOLD}):
        found = await connection.execute(_RECEIVERS, {"task_ids": told})
        receivers = {row["task_id"]: row for row in found.mappings()}
    actor = current_actor()
    who = {"actor": str(actor), "request_id": actor.request_id}
    rows: list[dict[str, object]] = []
    owed: dict[str, list[mailboxes.NewDelivery]] = defaultdict(list)
    for one in events:
        if one.task_id not in latest:
            continue
        seq = latest[one.task_id] = latest[one.task_id] + 1
        rows.append(
            {
                "task_id": one.task_id,
                "seq": seq,
                "at_ms": one.at_ms,
                "kind": one.kind,
                "detail": _json(one.detail),
                **who,
            }
        )
        row = receivers.get(one.task_id)
        if row is not None and one.kind in TOLD:
            owed[one.task_id].append(mailboxes.NewDelivery(TOLD[one.kind], one.at_ms, _json(_snapshot(one, row))))
    if rows:
        await connection.execute(_insert(connection.dialect.name), bind(rows))
    if owed:
        await mailboxes.owe(connection, owed)


@functools.cache
def _insert(dialect: str) -> sa.Insert:
    names = ("task_id", "seq", "at_ms", "kind", "detail", "actor", "request_id")
    given = table_of(dialect, {name: event.c[name].type for name in names})
    return event.insert().from_select(list(names), sa.select(given))


def _snapshot(one: NewEvent, row: sa.RowMapping) -> dict[str, object]:
    """Everything for the callback, as it is now: the task may have changed or be gone when it is delivered."""
    status = decide_api_status(
        enabled=row["enabled"],
        start_at=from_ms(row["opens_ms"]),
        end_at=from_ms(row["end_ms"]),
        finished=row["finished"],
        # The clock of the worker that opens and closes the window may be ahead of the store's by that much.
        now=from_ms(one.at_ms + END_TOLERANCE_MS),
    )
    snapshot: dict[str, object] = {"title": row["title"], "status": int(status), "state": row["state"]}
    if row["playhead_ms"] is not None:
        snapshot["playhead"] = {"loop": row["loop"], "item": row["item"], "position_ms": position_of(row)}
    return {**snapshot, **one.detail}


def _json(detail: Mapping[str, object]) -> str:
    return json.dumps(detail, ensure_ascii=False, separators=(",", ":"))


async def feed(connection: AsyncConnection, task_id: str | None, *, after: int, limit: int) -> list[EventRecord]:
    """Events after an id, oldest first, of one task or of all. Continuing from the last id misses none."""
    query = sa.select(event).where(event.c.id > after)
    query = query.where(_is_settled(connection) if task_id is None else event.c.task_id == task_id)
    found = await connection.execute(query.order_by(event.c.id).limit(limit))
    return [_record(row) for row in found.mappings()]


async def latest(
    connection: AsyncConnection, task_id: str, *, limit: int, kinds: Sequence[str] = ()
) -> list[EventRecord]:
    """The last events of a task, newest first; no kinds: of any kind."""
    query = sa.select(event).where(event.c.task_id == task_id).order_by(event.c.seq.desc()).limit(limit)
    if kinds:
        query = query.where(event.c.kind.in_(kinds))
    return [_record(row) for row in (await connection.execute(query)).mappings()]


#: How many of the last events are searched for matching ones: this bounds the cost of a query.
LOOK_BACK = 10_000


async def recent(
    connection: AsyncConnection, task_id: str | None, *, since_ms: int, kinds: Sequence[str], limit: int
) -> tuple[list[EventRecord], int]:
    """The last matching events, oldest first, and how many of the last ``LOOK_BACK`` match. No kinds: all."""
    last = sa.select(event)
    if task_id is None:
        last = last.where(_is_settled(connection)).order_by(event.c.id.desc())
    else:
        last = last.where(event.c.task_id == task_id).order_by(event.c.seq.desc())
    window = last.limit(LOOK_BACK).subquery()
    asked = sa.select(window, sa.func.count().over().label("total")).where(window.c.at_ms >= since_ms)
    if kinds:
        asked = asked.where(window.c.kind.in_(kinds))
    rows = (await connection.execute(asked.order_by(window.c.id.desc()).limit(limit))).mappings().all()
    return [_record(row) for row in reversed(rows)], rows[0]["total"] if rows else 0


async def last_id(connection: AsyncConnection) -> int:
    """The id after which ``feed`` gives what happens from now on; 0 without any events."""
    query = sa.select(event.c.id).where(_is_settled(connection)).order_by(event.c.id.desc()).limit(1)
    return (await connection.execute(query)).scalar() or 0


def _is_settled(connection: AsyncConnection) -> sa.ColumnElement[bool]:
    """Whether no event with a smaller id can still appear.

    PostgreSQL assigns ids before the commit: events written since the oldest open transaction began wait for its end.
    """
    if connection.dialect.name != "postgresql":
        return sa.true()
    oldest_open = sa.func.pg_snapshot_xmin(sa.func.pg_current_snapshot())
    return sa.or_(event.c.xid.is_(None), event.c.xid < oldest_open)


def _record(row: sa.RowMapping) -> EventRecord:
    detail = read_object(row["detail"])
    return EventRecord(
        row["id"],
        row["task_id"],
        row["seq"],
        read_time(row["at_ms"]),
        row["kind"],
        detail,
        row["actor"],
        row["request_id"],
    )


def playhead_detail(playhead: Playhead) -> dict[str, int]:
    """A position in a list, as the detail of an event."""
    return {"loop": playhead.loop, "item": playhead.item, "position_ms": playhead.position_ms}
