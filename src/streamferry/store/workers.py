"""Worker rows: which workers are alive, by a lease on the database's clock; tasks of those that are not are freed.

Order of locks, here, in ``claims``, ``due``, ``assignments`` and ``usage``, so that no two transactions wait for each
other: task, run, worker, usage.
"""

import functools
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from pydantic import TypeAdapter
from sqlalchemy.ext.asyncio import AsyncConnection

from streamferry.media.errors import Fault
from streamferry.reasons import Code, Reason
from streamferry.relay.status import State
from streamferry.store import events, overlaps, tasks
from streamferry.store.cells import reason_cells
from streamferry.store.database import insert_into, now_ms, read_now_ms
from streamferry.store.events import NewEvent
from streamferry.store.given import bind, table_of
from streamferry.store.places import PLAYED_ON_MS, position_of
from streamferry.store.records import Intent
from streamferry.store.schema import OPENS_MS, pulse, run, task, worker
from streamferry.tasks.placement import labels_text
from streamferry.tasks.schedule import LOST_STEP_MS, decide_due
from streamferry.worker import LEASE_S, LeaseLost, WorkerHealth

_HEALTH = TypeAdapter(WorkerHealth)
#: A lease is longer here than its worker believes by this much: a worker that stops in time stops before it expires.
_MARGIN_MS = 500
#: The length of a lease, unless a worker asks for another one.
LEASE_MS = round(LEASE_S * 1000) + _MARGIN_MS
#: A store that was not written to for longer was unavailable, and nobody could renew: less than any lease.
PULSE_GAP_MS = 3_000
#: Rows of workers that are gone are kept this long, to be shown; of those that are to take no tasks, so that they take
#: none when their machines come back from repair.
KEEP_GONE_MS, KEEP_CORDONED_MS = 3_600_000, 7 * 24 * 3_600_000


@dataclass(frozen=True, slots=True)
class Traits:
    """What a worker is: its labels, its limits beside the number of tasks (None: none), the version of its program."""

    labels: tuple[str, ...] = ()
    max_kbps: int | None = None
    max_encodes: int | None = None
    version: str = ""


NO_TRAITS = Traits()


async def register(
    connection: AsyncConnection,
    worker_id: str,
    capacity: int,
    address: str | None = None,
    traits: Traits = NO_TRAITS,
    *,
    lease_s: float = LEASE_S,
    is_attached: bool = False,
) -> None:
    """A lease for a worker that holds nothing; what it held before is free. ``address``: where it serves previews.

    ``is_attached``: its lease never expires. Its service, which started it, ends it before giving its tasks away.
    A worker that was cordoned stays so, by its id.
    """
    now = await read_now_ms(connection)
    intents = sa.select(worker.c.intent, worker.c.intent_ms).where(worker.c.id == worker_id)
    intent = (await connection.execute(intents)).first()
    await _free(connection, run.c.worker_id == worker_id, now, Reason.of(Code.TASK_WORKER_LOST_LEASE))
    await overlaps.resign(connection, run.c.next_worker_id == worker_id)
    since_ms, cordoned_since_ms = (sa.literal(now - kept, sa.BigInteger) for kept in (KEEP_GONE_MS, KEEP_CORDONED_MS))
    kept_since_ms = sa.case((worker.c.intent == Intent.OPEN.value, since_ms), else_=cordoned_since_ms)
    # Of a lease that ran out and was not ended yet somebody has to free the tasks.
    is_forgotten = sa.and_(sa.func.abs(worker.c.lease_ms) <= kept_since_ms, sa.not_(HOLDS_TASKS))
    await connection.execute(worker.delete().where(sa.or_(worker.c.id == worker_id, is_forgotten)))
    length_ms = round(lease_s * 1000) + _MARGIN_MS
    await connection.execute(
        worker.insert(),
        {
            "id": worker_id,
            "capacity": capacity,
            "load": 0,
            "orders": 0,
            "lease_ms": now + length_ms,
            "length_ms": length_ms,
            "is_attached": is_attached,
            "started_ms": now,
            "address": address,
            "labels": labels_text(traits.labels),
            "max_kbps": traits.max_kbps,
            "max_encodes": traits.max_encodes,
            "version": traits.version,
            "intent": intent.intent if intent else Intent.OPEN.value,
            "intent_ms": intent.intent_ms if intent else None,
        },
    )


@functools.cache
def _poll(labels: tuple[str, ...]) -> sa.Select[Any]:
    me = worker.c.id == sa.bindparam("worker_id")
    due = (
        sa.select(run.c.task_id)
        .join(task, task.c.id == run.c.task_id)
        .where(run.c.due_ms <= now_ms(), is_for(sa.bindparam("worker_id")), asks_only(labels))
    )
    return sa.select(
        sa.select(worker.c.orders).where(me).scalar_subquery(),
        sa.and_(sa.exists().where(me, worker.c.intent == Intent.OPEN.value), sa.exists(due)),
        now_ms(),
    )


async def poll(connection: AsyncConnection, worker_id: str, labels: tuple[str, ...] = ()) -> tuple[int, bool, int]:
    """How often something about the worker's tasks was changed, whether any is due, and the time. It is cheap.

    A task is due that asks for no labels but these, as long as the worker takes tasks at all.
    """
    orders, has_due, now = (await connection.execute(_poll(labels), {"worker_id": worker_id})).one()
    return orders or 0, has_due, now


def is_for(worker_id: object) -> sa.ColumnElement[bool]:
    """Whether a task that is due is another one's, which then moves, or nobody's."""
    return sa.or_(run.c.worker_id.is_(None), run.c.worker_id != worker_id)


def asks_only(labels: Collection[str]) -> sa.ColumnElement[bool]:
    """Whether a task asks for no other labels: nothing is left of its text without them."""
    left: sa.ColumnElement[str] = task.c.placement
    for one in sorted(labels):
        left = sa.func.replace(left, labels_text((one,)), "")
    return left == ""


def is_alive(now: sa.ColumnElement[int] | int) -> sa.ColumnElement[bool]:
    """Whether a lease is valid. One that ends later than any lease can was given before the clock was set back."""
    return sa.and_(worker.c.lease_ms > now, worker.c.lease_ms <= now + 2 * worker.c.length_ms)


def _is_gone(now: sa.ColumnElement[int] | int) -> sa.ColumnElement[bool]:
    """Whether a lease ran out while the store was writable long enough for its worker to have renewed it.

    An outage of the store counts against no worker: after it, each lease gets its full length again. Not for attached
    workers.
    """
    was_away = sa.exists().where(
        sa.or_(
            pulse.c.since_ms > now - worker.c.length_ms,
            # It is not being written to, or its clock was set.
            sa.not_(pulse.c.at_ms.between(now - PULSE_GAP_MS, now + PULSE_GAP_MS)),
        )
    )
    return sa.and_(worker.c.lease_ms > 0, ~worker.c.is_attached, ~is_alive(now), ~was_away.correlate(worker))


async def beat(connection: AsyncConnection, now: int, *, afresh: bool) -> None:
    """Note that the store is writable. ``afresh``: forget earlier notes, because its clock was set."""
    await connection.execute(_beat(connection.dialect.name), {"now": now, "goes_on": not afresh})


@functools.cache
def _beat(dialect: str) -> sa.Insert:
    server: sa.ColumnElement[str] = sa.literal("")
    if dialect == "postgresql":
        server = sa.cast(sa.func.pg_postmaster_start_time(), sa.String(64))
    now = sa.bindparam("now", type_=sa.BigInteger())
    first = insert_into(dialect, pulse).values(id=1, at_ms=now, since_ms=now, server=server)
    goes_on = sa.and_(
        pulse.c.at_ms.between(now - PULSE_GAP_MS, now + PULSE_GAP_MS),
        pulse.c.server == first.excluded.server,
        sa.bindparam("goes_on", type_=sa.Boolean()),
    )
    statement: sa.Insert = first.on_conflict_do_update(
        index_elements=[pulse.c.id],
        set_={
            "at_ms": now,
            "since_ms": sa.case((goes_on, pulse.c.since_ms), else_=now),
            "server": first.excluded.server,
        },
    )
    return statement


#: Whether a worker has tasks.
HOLDS_TASKS = sa.exists(sa.select(run.c.task_id).where(run.c.worker_id == worker.c.id).correlate(worker))
_LEASE = sa.select(worker.c.lease_ms, now_ms()).where(worker.c.id == sa.bindparam("worker_id"))


async def require_lease(connection: AsyncConnection, worker_id: str) -> int:
    """The time. Raises LeaseLost if the worker has no lease, or it was ended.

    One that ran out but was not ended is still valid: nobody else has its tasks. So it survives a change of the clock;
    a worker that cannot reach the store is stopped in time by its own fence.
    """
    row = (await connection.execute(_LEASE, {"worker_id": worker_id})).first()
    if row is None or row[0] < 0:
        raise LeaseLost
    return int(row[1])


_RENEW = (
    worker.update()
    .where(worker.c.id == sa.bindparam("worker_id"), worker.c.lease_ms > 0)
    .values(
        lease_ms=now_ms() + worker.c.length_ms,
        load=sa.bindparam("of_load"),
        # What it was before, if nothing is told.
        health=sa.func.coalesce(sa.bindparam("told", type_=sa.Text()), worker.c.health),
    )
)


async def renew(connection: AsyncConnection, worker_id: str, *, load: int, health: WorkerHealth | None) -> None:
    """Give a lease its full length again, from now on. Raises LeaseLost if it ended meanwhile."""
    told = None if health is None else _HEALTH.dump_json(health).decode()
    renewed = await connection.execute(_RENEW, {"worker_id": worker_id, "of_load": load, "told": told})
    if not renewed.rowcount:
        raise LeaseLost


async def read_lease(connection: AsyncConnection, worker_id: str) -> int | None:
    """When the lease of a worker ends, as long as it is valid: another time after each report of the worker."""
    valid = sa.select(worker.c.lease_ms).where(worker.c.id == worker_id, is_alive(now_ms()))
    return (await connection.execute(valid)).scalar()


async def retire(connection: AsyncConnection, worker_id: str) -> None:
    """Mark a worker as taking no more tasks: the others leave it no share of what is due."""
    await connection.execute(worker.update().where(worker.c.id == worker_id).values(capacity=0))


async def leave(connection: AsyncConnection, worker_id: str) -> None:
    """End a lease at once: the worker is gone, or its process is."""
    await _end(connection, worker.c.id == worker_id, Reason.of(Code.TASK_WORKER_ENDED))


async def free_expired(connection: AsyncConnection) -> int:
    """Free the tasks of workers whose lease ran out; how many."""
    expired = _is_gone(await read_now_ms(connection))
    return await _end(connection, expired, Reason.of(Code.TASK_WORKER_GONE), may_be_renewed=True)


async def free_attached(connection: AsyncConnection) -> int:
    """Free the tasks of attached workers, whose service and processes are gone; returns how many."""
    return await _end(
        connection, sa.and_(worker.c.is_attached, worker.c.lease_ms > 0), Reason.of(Code.TASK_SERVICE_ENDED)
    )


async def _end(
    connection: AsyncConnection, whose: sa.ColumnElement[bool], why: Reason, *, may_be_renewed: bool = False
) -> int:
    """End the leases of these workers, and free their tasks; how many. ``may_be_renewed``: a renewal in progress wins.

    A claim in progress is waited for with the worker's lock, and its tasks are freed, too. But they are not locked yet,
    and somebody who changes one of them waits for the worker: then all locks are given up, and taken in order again.
    """
    now = await read_now_ms(connection)
    those = sa.select(worker.c.id).where(whose)
    while True:
        async with connection.begin_nested() as attempt:
            either = sa.or_(run.c.worker_id.in_(those), run.c.next_worker_id.in_(those))
            in_order = sa.select(run.c.task_id).where(either).order_by(run.c.task_id)
            locked = set((await connection.execute(in_order.with_for_update())).scalars())
            gone = list((await connection.execute(those.with_for_update(skip_locked=may_be_renewed))).scalars())
            if not gone:
                return 0
            held, is_next = run.c.worker_id.in_(gone), run.c.next_worker_id.in_(gone)
            theirs = sa.select(run.c.task_id).where(sa.or_(held, is_next))
            if locked.issuperset((await connection.execute(theirs)).scalars()):
                await overlaps.resign(connection, is_next)
                freed = await _free(connection, held, now, why)
                # A claim that comes later finds no lease.
                await connection.execute(worker.update().where(worker.c.id.in_(gone)).values(lease_ms=-now, load=0))
                return freed
            await attempt.rollback()


async def end_all(connection: AsyncConnection, why: Reason) -> int:
    """No worker has a lease any more, nor a task; returns how many were freed."""
    now = await read_now_ms(connection)
    freed = await _free(connection, run.c.worker_id.is_not(None), now, why)
    await connection.execute(worker.update().values(lease_ms=-now, load=0))
    return freed


def some_expired() -> sa.ColumnElement[bool]:
    """Whether a worker that holds tasks is gone."""
    return sa.exists(sa.select(worker.c.id).where(_is_gone(now_ms()), HOLDS_TASKS))


async def find_address(connection: AsyncConnection, task_id: str) -> str | None:
    """Where the worker that has the task serves previews; None if no living worker has it."""
    query = sa.select(worker.c.address).join(run, run.c.worker_id == worker.c.id)
    return (await connection.execute(query.where(run.c.task_id == task_id, is_alive(now_ms())))).scalar()


async def _free(connection: AsyncConnection, of_whom: sa.ColumnElement[bool], now: int, why: Reason) -> int:
    """Free the tasks of workers that cannot return them, and whose leases still say when they reported; how many."""
    # A connecting run that has sent media is waiting for its first acknowledgement.
    played = sa.and_(run.c.state.in_([State.STREAMING.value, State.CONNECTING.value]), run.c.media_time_ms > 0)
    rows = await connection.execute(
        sa.select(
            *(run.c.task_id, played.label("played"), PLAYED_ON_MS.label("played_on_ms")),
            *(run.c.item, run.c.position_ms, run.c.item_ends),
            *(task.c.enabled, task.c.finished, OPENS_MS.label("opens_ms"), task.c.end_ms),
        )
        .join(task, task.c.id == run.c.task_id)
        .where(of_whom)
        .order_by(run.c.task_id)
        .with_for_update(of=run)
    )
    freed: list[dict[str, object]] = []
    for row in rows.mappings():
        due_ms = decide_due(
            enabled=row["enabled"],
            finished=row["finished"],
            start_ms=row["opens_ms"],
            end_ms=row["end_ms"],
            now_ms=now,
        )
        state, fault, cells = State.STOPPED, None, reason_cells(None, "to_")
        if due_ms is not None:
            state, fault, cells = State.WAITING, Fault.SERVICE.value, reason_cells(why, "to_")
        freed.append(
            {
                "of_task": row["task_id"],
                "to_due_ms": due_ms,
                "to_state": state.value,
                "to_fault": fault,
                **cells,
                # What did not play did not move since it was saved.
                "at_ms": position_of(row) + (LOST_STEP_MS if row["played"] else 0),
                "played_on_ms": row["played_on_ms"],
            }
        )
    if freed:
        await connection.execute(_let_go(connection.dialect.name), {**bind(freed), "now": now})
        detail = {"fault": Fault.SERVICE.value, **why.told()}
        await events.append(
            connection,
            [
                NewEvent(str(one["of_task"]), "lost", now, detail)
                if one["to_due_ms"] is not None
                # The task is not wanted any more: how it ended does not matter.
                else NewEvent(str(one["of_task"]), State.STOPPED.value, now, {**detail, "final": True})
                for one in freed
            ],
        )
    return len(freed)


@functools.cache
def _let_go(dialect: str) -> sa.Update:
    told = ("due_ms", "state", "fault", "reason", "reason_json")
    columns = {"of_task": run.c.task_id.type, "at_ms": run.c.position_ms.type, "played_on_ms": sa.BigInteger()}
    given = table_of(dialect, columns | {f"to_{name}": run.c[name].type for name in told})
    is_troubled = given.c.to_due_ms.is_not(None)
    since_ms = sa.func.coalesce(run.c.trouble_ms, sa.bindparam("now", type_=sa.BigInteger()))
    return (
        run.update()
        .where(run.c.task_id == given.c.of_task)
        .values(
            {
                "worker_id": None,
                "next_worker_id": None,
                "moves": False,
                "position_ms": given.c.at_ms,
                "playhead_ms": run.c.playhead_ms + given.c.played_on_ms,
                **{name: given.c[f"to_{name}"] for name in told},
                **{f"trouble_{name}": given.c[f"to_{name}"] for name in ("fault", "reason", "reason_json")},
                "trouble_ms": sa.case((is_troubled, since_ms)),
                **tasks.IDLE,
            }
        )
    )
