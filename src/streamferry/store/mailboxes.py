"""Mailboxes and deliveries: callbacks that are owed to the receiver of a task, in the order in which they came about.

Theory of operation. A mailbox is claimed, not a delivery: whoever holds it sends the oldest one that waits, so that the
order of a task is kept whoever sends. A claim ends by itself: ``due_ms`` is moved to when it is given up, and a holder
that comes back later finds another name in ``holder``. What is kept of an attempt is written by ``settle``; a crash
between sending and settling means that the same one is sent again under the same id.

Order of locks: run, then mailbox. A transaction that locks several mailboxes without their runs skips those that are
locked, so that it waits for nobody.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from streamferry.media.url import MediaUrl
from streamferry.store import sealing
from streamferry.store.cells import read_member, read_object, read_time
from streamferry.store.database import now_ms, read_now_ms
from streamferry.store.host_places import HostPlaces
from streamferry.store.records import Backlog, DeliveryRecord
from streamferry.store.schema import delivery, mailbox, task
from streamferry.store.seal import Seal
from streamferry.tasks.model import CallbackEvent, DeliveryState, TaskSpec

#: How long callbacks are tried.
PATIENCE_MS = 24 * 3_600_000

#: Hosts with more due than there is room for are met one by one; the rest of them are for the next turn.
_LOOKS = 20

_IS_WAITING = delivery.c.state == DeliveryState.WAITING.value


@dataclass(frozen=True, slots=True)
class NewDelivery:
    """A callback to owe. ``detail``: JSON of all that is told."""

    event: CallbackEvent
    at_ms: int
    detail: str


@dataclass(frozen=True, slots=True)
class Claim:
    """A mailbox that is held, its address, None if that cannot be read, and the delivery to try."""

    url: MediaUrl | None
    host_digest: str
    address_digest: str
    failures: int
    is_failing: bool
    record: DeliveryRecord


@dataclass(frozen=True, slots=True)
class Attempt:
    """What became of a claim. ``problem`` None: it was delivered; else the next attempt is in ``pause_ms``.

    ``refusals``: it is given up when so many answers were refusals; None: this one was none. ``is_gone``: nothing more
    is to be sent to the address.
    """

    task_id: str
    number: int
    problem: str | None = None
    pause_ms: int = 0
    refusals: int | None = None
    is_gone: bool = False


# What the actions do


async def follow(
    connection: AsyncConnection, seal: Seal, task_id: str, before: TaskSpec | None, spec: TaskSpec
) -> None:
    """A task was made or changed. What waits goes to the new address, at once; without one it is dropped.

    An address that had ended gets another chance. ``before`` None: there was none, or it cannot be read.
    """
    values: dict[str, object] = {"title": spec.title, "gone_ms": None}
    await sealing.require(connection, seal)
    if before is None or before.callback_url != spec.callback_url:
        is_waiting = sa.exists().where(delivery.c.task_id == task_id, _IS_WAITING)
        values |= {
            "sealed_url": seal.seal(spec.callback_url) if spec.callback_url else None,
            "host_digest": _digest(
                seal, "host", MediaUrl.parse(spec.callback_url).authority if spec.callback_url else ""
            ),
            "address_digest": _digest(seal, "address", spec.callback_url),
            "failures": 0,
            "holder": None,
            "due_ms": sa.case((is_waiting, now_ms()), else_=None) if spec.callback_url else None,
        }
    found = await connection.execute(mailbox.update().where(mailbox.c.task_id == task_id).values(values))
    if spec.callback_url and not found.rowcount:
        await connection.execute(mailbox.insert(), {"task_id": task_id, "last_number": 0, **values, "due_ms": None})
    if not spec.callback_url:
        await connection.execute(delivery.delete().where(delivery.c.task_id == task_id, _IS_WAITING))


async def owe(connection: AsyncConnection, owed: Mapping[str, Sequence[NewDelivery]]) -> None:
    """Append to mailboxes, whose run rows the transaction has locked."""
    now = await read_now_ms(connection)
    await connection.execute(
        mailbox.update()
        .where(mailbox.c.task_id == sa.bindparam("of_task"))
        .values(
            last_number=mailbox.c.last_number + sa.bindparam("further"),
            due_ms=sa.func.coalesce(mailbox.c.due_ms, sa.bindparam("now", type_=sa.BigInteger)),
        ),
        [{"of_task": task_id, "further": len(owed[task_id]), "now": now} for task_id in sorted(owed)],
    )
    found = await connection.execute(
        sa.select(mailbox.c.task_id, mailbox.c.last_number).where(mailbox.c.task_id.in_(owed))
    )
    await connection.execute(
        delivery.insert(),
        [
            {
                "task_id": task_id,
                "number": number,
                "kind": one.event.value,
                "at_ms": one.at_ms,
                "detail": one.detail,
                "state": DeliveryState.WAITING.value,
                "attempts": 0,
                "refusals": 0,
                "owed_ms": now,
            }
            for task_id, last_number in found
            for number, one in enumerate(owed[task_id], last_number - len(owed[task_id]) + 1)
        ],
    )


# What the dispatcher does


async def has_due(connection: AsyncConnection, places: HostPlaces) -> bool:
    """Whether there is something to send where there is a place: a look before a write."""
    query = sa.select(mailbox.c.task_id).where(mailbox.c.due_ms <= now_ms(), _has_place(places))
    return (await connection.execute(query.limit(1))).first() is not None


def _has_place(places: HostPlaces) -> sa.ColumnElement[bool]:
    return sa.and_(
        mailbox.c.host_digest.not_in(places.full),
        sa.or_(mailbox.c.host_digest.not_in(places.full_for_failing), sa.not_(_is_failing(places))),
    )


def _is_failing(places: HostPlaces) -> sa.ColumnElement[bool]:
    return sa.or_(mailbox.c.failures > 0, mailbox.c.address_digest.in_(places.failing))


async def claim(
    connection: AsyncConnection, seal: Seal, holder: str, *, limit: int, lease_ms: int, places: HostPlaces
) -> list[Claim]:
    """Hold mailboxes that are due, those due longest first, of each host no more than it has places for."""
    now = await read_now_ms(connection)
    boxes = await _choose(connection, now, limit, places)
    if not boxes:
        return []
    heads = (
        sa.select(delivery.c.task_id, sa.func.min(delivery.c.number))
        .where(delivery.c.task_id.in_(boxes), _IS_WAITING)
        .group_by(delivery.c.task_id)
    )
    rows = await connection.execute(
        sa.select(delivery).where(sa.tuple_(delivery.c.task_id, delivery.c.number).in_(heads))
    )
    claims: list[Claim] = []
    for row in rows.mappings():
        box = boxes.pop(row["task_id"])
        claims.append(
            Claim(
                _open_url(seal, box),
                box["host_digest"],
                box["address_digest"],
                box["failures"],
                box["is_failing"],
                _record(row),
            )
        )
    if claims:
        held = [one.record.task_id for one in claims]
        values = {"holder": holder, "due_ms": now + lease_ms}
        await connection.execute(mailbox.update().where(mailbox.c.task_id.in_(held)).values(values))
    if boxes:
        # Nothing waits in them any more.
        await connection.execute(mailbox.update().where(mailbox.c.task_id.in_(boxes)).values(due_ms=None))
    return claims


def _open_url(seal: Seal, box: sa.RowMapping) -> MediaUrl | None:
    try:
        return MediaUrl.parse(seal.open(box["sealed_url"]))
    except ValueError:
        return None


async def _choose(connection: AsyncConnection, now: int, limit: int, places: HostPlaces) -> dict[str, sa.RowMapping]:
    """Mailboxes that are due, by task. A host with ten thousand of them takes one look more, not all the places."""
    chosen: dict[str, sa.RowMapping] = {}
    for _ in range(_LOOKS):
        if len(chosen) >= limit:
            break
        found = await connection.execute(
            sa.select(mailbox, _is_failing(places).label("is_failing"))
            .where(mailbox.c.due_ms <= now, _has_place(places), mailbox.c.task_id.not_in(chosen))
            .order_by(mailbox.c.due_ms)
            .limit(limit - len(chosen))
            .with_for_update(skip_locked=True)
        )
        was_refused = False
        for row in found.mappings():
            if places.take(row["host_digest"], is_failing=row["is_failing"]):
                chosen[row["task_id"]] = row
            else:
                was_refused = True
        if not was_refused:
            break
    return chosen


async def settle(connection: AsyncConnection, holder: str, attempts: Sequence[Attempt]) -> tuple[list[Attempt], int]:
    """Write down what became of claims; gives back those whose mailbox is locked just now, and how many were given up.

    A failure gives up all that have waited for a day: the receiver has taken none of them. One that was refused often
    enough is given up alone, and the next one is due.
    """
    if not attempts:
        return [], 0
    now = await read_now_ms(connection)
    held = await connection.execute(
        sa.select(mailbox.c.task_id, mailbox.c.holder)
        .where(mailbox.c.task_id.in_([one.task_id for one in attempts]))
        .with_for_update(skip_locked=True)
    )
    holder_of: dict[str, str | None] = {task_id: name for task_id, name in held}  # noqa: C416 -- rows, not pairs
    dead = 0
    for one in attempts:
        if one.task_id in holder_of:
            dead += await _settle(connection, one, holder_of[one.task_id] == holder, now)
    return [one for one in attempts if one.task_id not in holder_of], dead


async def _settle(connection: AsyncConnection, one: Attempt, is_held: bool, now: int) -> int:
    mine = sa.and_(delivery.c.task_id == one.task_id, _IS_WAITING)
    counted = delivery.update().where(mine, delivery.c.number == one.number)
    counted = counted.values(
        attempts=delivery.c.attempts + 1,
        refusals=delivery.c.refusals + int(one.refusals is not None),
        problem=one.problem,
    )
    if one.problem is None:
        # Also of a claim that was given up: it has arrived all the same.
        counted = counted.values(state=DeliveryState.DELIVERED.value, settled_ms=now)
    await connection.execute(counted)
    if not is_held:
        return 0
    dead = refused = 0
    if one.problem is not None:
        given_up = delivery.update().values(state=DeliveryState.DEAD.value, settled_ms=now, problem=one.problem)
        if one.refusals is not None:
            its = sa.and_(mine, delivery.c.number == one.number, delivery.c.refusals >= one.refusals)
            refused = (await connection.execute(given_up.where(its))).rowcount
        too_old = sa.true() if one.is_gone else delivery.c.owed_ms <= now - PATIENCE_MS
        dead = refused + (await connection.execute(given_up.where(mine, too_old))).rowcount
    is_over = one.problem is None or refused > 0
    is_waiting = sa.exists().where(mine)
    due_ms = now if is_over else now + one.pause_ms
    await connection.execute(
        mailbox.update()
        .where(mailbox.c.task_id == one.task_id)
        .values(
            holder=None,
            failures=0 if is_over else mailbox.c.failures + 1,
            due_ms=sa.case((is_waiting, sa.literal(due_ms, sa.BigInteger)), else_=None),
            gone_ms=now if one.is_gone else None,
        )
    )
    return dead


# What is looked at and done again


async def page(
    connection: AsyncConnection,
    *,
    task_id: str | None,
    state: DeliveryState | None,
    offset: int,
    limit: int,
) -> tuple[list[DeliveryRecord], int]:
    """Deliveries, newest first, and how many there are."""
    wanted = _wanted(task_id, state)
    total = (await connection.execute(sa.select(sa.func.count()).select_from(delivery).where(*wanted))).scalar_one()
    rows = await connection.execute(
        sa.select(delivery).where(*wanted).order_by(delivery.c.id.desc()).limit(limit).offset(offset)
    )
    return [_record(row) for row in rows.mappings()], total


async def backlog(connection: AsyncConnection) -> Backlog:
    """What is not delivered."""
    counted = await connection.execute(
        sa.select(delivery.c.state, sa.func.count(), sa.func.min(delivery.c.owed_ms))
        .where(delivery.c.state.in_((DeliveryState.WAITING.value, DeliveryState.DEAD.value)))
        .group_by(delivery.c.state)
    )
    counts = {DeliveryState(state): (count, oldest_ms) for state, count, oldest_ms in counted}
    waiting, oldest_ms = counts.get(DeliveryState.WAITING, (0, None))
    now = await read_now_ms(connection)
    return Backlog(
        waiting=waiting,
        dead=counts.get(DeliveryState.DEAD, (0, None))[0],
        oldest_age_s=0.0 if oldest_ms is None else max(0, now - oldest_ms) / 1000,
    )


async def find(connection: AsyncConnection, task_id: str, number: int) -> DeliveryRecord | None:
    """A delivery, or None."""
    query = sa.select(delivery).where(delivery.c.task_id == task_id, delivery.c.number == number)
    row = (await connection.execute(query)).mappings().first()
    return None if row is None else _record(row)


async def tasks_with_dead(connection: AsyncConnection) -> list[str]:
    """Tasks with dead letters and an address that they could go to."""
    query = sa.select(delivery.c.task_id).join(mailbox, mailbox.c.task_id == delivery.c.task_id)
    is_dead = delivery.c.state == DeliveryState.DEAD.value
    rows = await connection.execute(query.where(is_dead, mailbox.c.sealed_url.is_not(None)).distinct())
    return list(rows.scalars())


async def wake(connection: AsyncConnection, task_id: str, number: int | None) -> int:
    """Deliver again, at once and for a day: one of a task that does not wait, or all its dead ones. How many."""
    locked = sa.select(mailbox.c.task_id).where(mailbox.c.task_id == task_id, mailbox.c.sealed_url.is_not(None))
    if (await connection.execute(locked.with_for_update())).first() is None:
        return 0
    chosen = (
        delivery.c.state == DeliveryState.DEAD.value
        if number is None
        else sa.and_(delivery.c.number == number, sa.not_(_IS_WAITING))
    )
    woken = await connection.execute(
        delivery.update()
        .where(delivery.c.task_id == task_id, chosen)
        .values(
            state=DeliveryState.WAITING.value, attempts=0, refusals=0, owed_ms=now_ms(), settled_ms=None, problem=None
        )
    )
    if woken.rowcount:
        # Who is sending another one just now finds that it has lost its claim, and that one is sent once more.
        await connection.execute(
            mailbox.update()
            .where(mailbox.c.task_id == task_id)
            .values(due_ms=now_ms(), failures=0, holder=None, gone_ms=None)
        )
    return woken.rowcount


async def drop_dead(connection: AsyncConnection, task_id: str | None) -> int:
    """Forget dead letters; how many."""
    wanted = _wanted(task_id, DeliveryState.DEAD)
    of_tasks = set((await connection.execute(sa.select(delivery.c.task_id).where(*wanted).distinct())).scalars())
    dropped = (await connection.execute(delivery.delete().where(*wanted))).rowcount
    await forget_empty(connection, of_tasks)
    return dropped


async def forget_empty(connection: AsyncConnection, task_ids: Collection[str]) -> None:
    """Mailboxes of deleted tasks in which nothing is any more."""
    await connection.execute(
        mailbox.delete().where(
            mailbox.c.task_id.in_(task_ids),
            ~sa.exists().where(task.c.id == mailbox.c.task_id),
            ~sa.exists().where(delivery.c.task_id == mailbox.c.task_id),
        )
    )


def _wanted(task_id: str | None, state: DeliveryState | None) -> list[sa.ColumnElement[bool]]:
    wanted: list[sa.ColumnElement[bool]] = []
    if task_id is not None:
        wanted.append(delivery.c.task_id == task_id)
    if state is not None:
        wanted.append(delivery.c.state == state.value)
    return wanted


def _digest(seal: Seal, kind: str, text: str) -> str:
    return seal.digest(f"callback {kind} {text}") if text else ""


def _record(row: sa.RowMapping) -> DeliveryRecord:
    return DeliveryRecord(
        task_id=row["task_id"],
        number=row["number"],
        event=read_member(CallbackEvent, row["kind"], CallbackEvent.FAILED),
        at=read_time(row["at_ms"]),
        detail=read_object(row["detail"]),
        state=read_member(DeliveryState, row["state"], DeliveryState.DEAD),
        attempts=row["attempts"],
        problem=row["problem"],
        settled_at=None if row["settled_ms"] is None else read_time(row["settled_ms"]),
    )
