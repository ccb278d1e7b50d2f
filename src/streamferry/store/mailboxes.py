"""Mailboxes: the callbacks of each task, in the order of its events.

Theory of operation. A mailbox is claimed, not a delivery: its holder sends the oldest one that waits, so the order of a
task is kept whichever service sends. A claim expires by itself: ``due_ms`` is set to when it is given up, and a holder
that returns later finds another name in ``holder``. ``settle`` records the result of an attempt; after a crash between
sending and settling, the same delivery is sent again under the same id.

Order of locks: run, then mailbox. A transaction that locks several mailboxes without their runs skips those that are
locked, so that it waits for nobody.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from streamferry.media.url import MediaUrl
from streamferry.reasons import Reason
from streamferry.store.cells import reason_cells
from streamferry.store.database import now_ms, read_now_ms
from streamferry.store.deliveries import IS_WAITING, delivery_of
from streamferry.store.host_places import HostPlaces
from streamferry.store.numbers import count_up
from streamferry.store.records import DeliveryRecord
from streamferry.store.schema import delivery, mailbox
from streamferry.store.seal import Seal
from streamferry.tasks.model import CallbackEvent, DeliveryState, TaskSpec

#: How long callbacks are tried.
PATIENCE_MS = 24 * 3_600_000

#: Hosts with more due than they have places for are found one by one; this many per turn.
_LOOKS = 20


@dataclass(frozen=True, slots=True)
class NewDelivery:
    """A callback to queue. ``detail``: JSON of its content."""

    event: CallbackEvent
    at_ms: int
    detail: str


@dataclass(frozen=True, slots=True)
class Claim:
    """A claimed mailbox, its address (None if it cannot be read), and the delivery to try."""

    url: MediaUrl | None
    host_digest: str
    address_digest: str
    failures: int
    is_failing: bool
    record: DeliveryRecord


@dataclass(frozen=True, slots=True)
class Attempt:
    """The result of a claim. ``problem`` None: it was delivered; otherwise the next attempt is in ``pause_ms``.

    ``refusals``: it is given up after this many refusals; None: this was not one. ``is_gone``: nothing more is to be
    sent to the address.
    """

    task_id: str
    number: int
    problem: Reason | None = None
    pause_ms: int = 0
    refusals: int | None = None
    is_gone: bool = False


# What the actions do


async def open_box(connection: AsyncConnection, seal: Seal, task_id: str, spec: TaskSpec) -> None:
    """The mailbox of a new task, if it has an address."""
    if spec.callback_url:
        await connection.execute(
            mailbox.insert(), {"task_id": task_id, "last_number": 0, "due_ms": None, **_values_for(seal, spec)}
        )


async def follow(
    connection: AsyncConnection, seal: Seal, task_id: str, before: TaskSpec | None, spec: TaskSpec
) -> None:
    """A task was changed. Waiting callbacks go to the new address at once; without one they are dropped.

    An address that had ended gets another chance. ``before`` None: it cannot be read.
    """
    if before is not None and before.callback_url == spec.callback_url:
        if spec.callback_url:
            values = {"title": spec.title, "gone_ms": None}
            await connection.execute(mailbox.update().where(mailbox.c.task_id == task_id).values(values))
        return
    is_waiting = sa.exists().where(delivery.c.task_id == task_id, IS_WAITING)
    due_ms = sa.case((is_waiting, now_ms()), else_=None) if spec.callback_url else None
    found = await connection.execute(
        mailbox.update().where(mailbox.c.task_id == task_id).values(due_ms=due_ms, **_values_for(seal, spec))
    )
    if not found.rowcount:
        await open_box(connection, seal, task_id, spec)
    if not spec.callback_url:
        await connection.execute(delivery.delete().where(delivery.c.task_id == task_id, IS_WAITING))


def _values_for(seal: Seal, spec: TaskSpec) -> dict[str, object]:
    """Values of a mailbox whose address is new, or removed."""
    url = spec.callback_url
    return {
        "title": spec.title,
        "gone_ms": None,
        "sealed_url": seal.seal(url) if url else None,
        "host_digest": _digest(seal, "host", MediaUrl.parse(url).authority if url else ""),
        "address_digest": _digest(seal, "address", url),
        "failures": 0,
        "holder": None,
    }


async def owe(connection: AsyncConnection, owed: Mapping[str, Sequence[NewDelivery]]) -> None:
    """Append to mailboxes, whose run rows the transaction has locked."""
    further = {task_id: len(some) for task_id, some in owed.items()}
    due_ms = sa.func.coalesce(mailbox.c.due_ms, now_ms())
    last = await count_up(connection, mailbox.c.last_number, further, due_ms=due_ms)
    await connection.execute(
        delivery.insert().values(owed_ms=now_ms()),
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
            }
            for task_id, last_number in last.items()
            for number, one in enumerate(owed[task_id], last_number - len(owed[task_id]) + 1)
        ],
    )


# What the dispatcher does


# Made once: a service asks twice a second.
_IS_FAILING = sa.or_(mailbox.c.failures > 0, mailbox.c.address_digest.in_(sa.bindparam("failing", expanding=True)))
_HAS_PLACE = sa.and_(
    mailbox.c.host_digest.not_in(sa.bindparam("full", expanding=True)),
    sa.or_(
        mailbox.c.host_digest.not_in(sa.bindparam("full_for_failing", expanding=True)),
        sa.not_(_IS_FAILING),
    ),
)
_HAS_DUE = sa.select(sa.exists(sa.select(mailbox.c.task_id).where(mailbox.c.due_ms <= now_ms(), _HAS_PLACE)))
_DUE = (
    sa.select(mailbox, _IS_FAILING.label("is_failing"))
    .where(
        mailbox.c.due_ms <= sa.bindparam("now"),
        _HAS_PLACE,
        mailbox.c.task_id.not_in(sa.bindparam("chosen", expanding=True)),
    )
    .order_by(mailbox.c.due_ms)
    .limit(sa.bindparam("at_most"))
    .with_for_update(skip_locked=True)
)


def _values_of(places: HostPlaces) -> dict[str, object]:
    return {
        "failing": list(places.failing),
        "full": places.full,
        "full_for_failing": places.full_for_failing,
    }


async def has_due(connection: AsyncConnection, places: HostPlaces) -> bool:
    """Whether there is something to send and a place for it: a read that may save a write."""
    return bool((await connection.execute(_HAS_DUE, _values_of(places))).scalar_one())


async def claim(
    connection: AsyncConnection, seal: Seal, holder: str, *, limit: int, lease_ms: int, places: HostPlaces
) -> list[Claim]:
    """Claim mailboxes that are due, the longest due first, for each host no more than it has places."""
    now = await read_now_ms(connection)
    boxes = await _choose(connection, now, limit, places)
    if not boxes:
        return []
    heads = (
        sa.select(delivery.c.task_id, sa.func.min(delivery.c.number))
        .where(delivery.c.task_id.in_(boxes), IS_WAITING)
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
                delivery_of(row),
            )
        )
    if claims:
        held = [one.record.task_id for one in claims]
        values = {"holder": holder, "due_ms": now + lease_ms}
        await connection.execute(mailbox.update().where(mailbox.c.task_id.in_(held)).values(values))
    if boxes:
        # Nothing is waiting in them any more.
        await connection.execute(mailbox.update().where(mailbox.c.task_id.in_(boxes)).values(due_ms=None))
    return claims


def _open_url(seal: Seal, box: sa.RowMapping) -> MediaUrl | None:
    try:
        return MediaUrl.parse(seal.open(box["sealed_url"]))
    except ValueError:
        return None


async def _choose(connection: AsyncConnection, now: int, limit: int, places: HostPlaces) -> dict[str, sa.RowMapping]:
    """Mailboxes that are due, by task. A host with ten thousand of them costs one more read, not all the places."""
    chosen: dict[str, sa.RowMapping] = {}
    for _ in range(_LOOKS):
        if len(chosen) >= limit:
            break
        found = await connection.execute(
            _DUE, {**_values_of(places), "now": now, "chosen": list(chosen), "at_most": limit - len(chosen)}
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
    """Record the results of claims; returns those whose mailbox is locked now, and how many were given up.

    After a failure all that have waited for a day are given up: the receiver has accepted none of them. One that was
    refused often enough is given up alone, and the next one is due.
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
    mine = sa.and_(delivery.c.task_id == one.task_id, IS_WAITING)
    counted = delivery.update().where(mine, delivery.c.number == one.number)
    counted = counted.values(
        attempts=delivery.c.attempts + 1,
        refusals=delivery.c.refusals + int(one.refusals is not None),
        **reason_cells(one.problem, name="problem"),
    )
    if one.problem is None:
        # Even if the claim had expired: the callback has arrived all the same.
        counted = counted.values(state=DeliveryState.DELIVERED.value, settled_ms=now)
    await connection.execute(counted)
    if not is_held:
        return 0
    dead = refused = 0
    if one.problem is not None:
        told = reason_cells(one.problem, name="problem")
        given_up = delivery.update().values(state=DeliveryState.DEAD.value, settled_ms=now, **told)
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


def _digest(seal: Seal, kind: str, text: str) -> str:
    return seal.digest(f"callback {kind} {text}") if text else ""
