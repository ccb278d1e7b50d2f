"""Run rows that a worker holds: what it is to do with them, and what it reports."""

import functools
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from streamferry.reasons import Code, Reason
from streamferry.relay.status import Playhead, RelayStatus, Shown, State, Trouble
from streamferry.store import events, overlaps, pictures, run_reports, sealing, task_rows, tasks, usage, workers
from streamferry.store.database import now_ms
from streamferry.store.events import NewEvent, playhead_detail
from streamferry.store.followed_orders import marked
from streamferry.store.given import bind, table_of
from streamferry.store.schema import OPENS_MS, run, task
from streamferry.store.seal import Seal
from streamferry.store.spec_json import Unreadable, with_picture
from streamferry.store.task_rows import ListTiming
from streamferry.tasks.model import CallbackEvent, ContinueStrategy, TaskSpec
from streamferry.tasks.schedule import RETRY_FAILED_MS, decide_due, is_over
from streamferry.worker import Change, Outcome, Report, WorkerHealth

#: Most tasks that one statement names.
_BATCH = 500
#: A list whose place was reported last so long ago stands, if it is not said to play on. Workers of before 0033 never
#: say so, and report it twice a second.
_STANDS_MS = 5_000


@dataclass(frozen=True, slots=True)
class HeldTask:
    """A task that a worker holds, with its spec if that was requested. ``problem``: why it has none."""

    task_id: str
    epoch: int
    version: int
    spec: TaskSpec | None
    is_wanted: bool
    playhead: Playhead
    trouble: Trouble | None = None
    problem: Reason | None = None
    moves: bool = False
    is_next: bool = False


_HAS = run.c.worker_id == sa.bindparam("worker_id")
_IS_NEXT = sa.and_(run.c.next_worker_id == sa.bindparam("worker_id"), run.c.worker_id.is_not(None))
# The next worker runs it under the epoch that begins with it.
_EPOCH = (run.c.epoch + sa.case((_IS_NEXT, 1), else_=0)).label("epoch")
_HOLDS = (
    sa.select(
        *(run.c.task_id, _EPOCH, task.c.version, sa.and_(run.c.moves, _HAS).label("moves")),
        *(_IS_NEXT.label("is_next"), now_ms().label("now")),
    )
    .join(task, task.c.id == run.c.task_id)
    .where(sa.or_(_HAS, _IS_NEXT))
)


async def read(
    connection: AsyncConnection, seal: Seal, worker_id: str, known: Mapping[str, tuple[int, int]]
) -> tuple[list[HeldTask], int]:
    """All tasks the worker holds, with the spec where epoch and version are not ``known``; and the time.

    ``moves``: it is to be given back at the next keyframe, for another worker. ``is_next``: it is another worker's,
    until this one is on the air with it (``overlaps``).

    Raises SealBroken if the store's key was replaced: then the worker cannot read anything, no task is to blame.
    """
    holds = (await connection.execute(_HOLDS, {"worker_id": worker_id})).all()
    # Without any tasks the time does not matter.
    now: int = holds[0].now if holds else 0
    found = [
        HeldTask(task_id, epoch, version, None, True, Playhead(), moves=moves, is_next=is_next)
        for task_id, epoch, version, moves, is_next, _ in holds
    ]
    new = [one.task_id for one in found if one.moves or known.get(one.task_id) != (one.epoch, one.version)]
    fresh: dict[str, HeldTask] = {}
    for begin in range(0, len(new), _BATCH):
        rows = await connection.execute(task_rows.WITH_RUN.where(run.c.task_id.in_(new[begin : begin + _BATCH])))
        for row in rows.mappings().all():
            try:
                spec = await _read_whole(connection, seal, row)
            except Unreadable as error:
                await sealing.require(connection, seal)
                fresh[row["task_id"]] = HeldTask(
                    row["task_id"], row["epoch"], row["version"], None, True, Playhead(), problem=error.why
                )
                continue
            fresh[row["task_id"]] = HeldTask(
                row["task_id"],
                row["epoch"],
                row["version"],
                spec,
                row["enabled"] and not row["finished"],
                # One that was played out between its claim and this read ends at once.
                task_rows.playhead_after_break(_timing(spec, row, now), row, now) or task_rows.playhead_of(row),
                task_rows.trouble_of(row),
            )
    return [
        replace(fresh.get(one.task_id, one), moves=one.moves, is_next=one.is_next, epoch=one.epoch) for one in found
    ], now


def _timing(spec: TaskSpec, row: sa.RowMapping, now: int) -> ListTiming:
    """A list that another worker plays meanwhile begins where that one is by now.

    One that stands, because a file is inserted or its destination takes nothing, begins where it stands.
    """
    timing = ListTiming.of(spec)
    if row["next_worker_id"] is None or row["playhead_ms"] is None:
        return timing
    stands = not row["plays_on"] and now - row["playhead_ms"] > _STANDS_MS
    return replace(timing, strategy=ContinueStrategy.AT_BREAK if stands else ContinueStrategy.AT_BREAK_PLUS_ELAPSED)


async def _read_whole(connection: AsyncConnection, seal: Seal, row: sa.RowMapping) -> TaskSpec:
    """The spec with the watermark's picture. Raises Unreadable."""
    spec = marked(task_rows.spec_of(seal, row), row["orders_done"])
    if spec.watermark is None:
        return spec
    return with_picture(spec, await pictures.read(connection, [row["picture_digest"]]))


async def deleted(connection: AsyncConnection, task_ids: Collection[str]) -> set[str]:
    """Those of which there is nothing any more."""
    asked = list(task_ids)
    left: set[str] = set()
    for begin in range(0, len(asked), _BATCH):
        there = sa.select(run.c.task_id).where(run.c.task_id.in_(asked[begin : begin + _BATCH]))
        left.update((await connection.execute(there)).scalars())
    return set(asked) - left


async def report(
    connection: AsyncConnection,
    worker_id: str,
    reports: Sequence[Report],
    *,
    load: int,
    health: WorkerHealth | None = None,
    age_s: float = 0.0,
) -> set[str]:
    """Renew the lease, record the status of runs and what was measured, append changes as events, take tasks back.

    Returns the reported tasks that the worker does not hold. Raises LeaseLost.

    ``age_s``: how long ago the reports were made; they may have waited for another write.
    """
    if not reports:
        await workers.renew(connection, worker_id, load=load, health=health)
        return set()
    # Before anything is written; renewing requires it, too.
    now = await workers.require_lease(connection, worker_id)
    made_ms = now - round(age_s * 1000)
    reports = await _check_played_out(connection, reports)
    mine = await _held(connection, worker_id, reports)
    current = await overlaps.settle(connection, worker_id, reports, mine, now)
    await run_reports.write(connection, current, made_ms)
    await events.append(
        connection,
        [
            NewEvent(one.task_id, _kind(change), made_ms - round(change.age_s * 1000), _change_detail(change))
            for one in current
            for change in one.changes
            if change.item is not None or change.switch is not None or not change.status.final
        ],
    )
    await _take_back(connection, worker_id, {one.task_id: one for one in current if one.outcome is not None}, now)
    await workers.renew(connection, worker_id, load=load, health=health)
    await usage.add(connection, reports, now)
    return {one.task_id for one in reports} - mine.keys()


async def _check_played_out(connection: AsyncConnection, reports: Sequence[Report]) -> Sequence[Report]:
    """Lock the tasks whose lists were played out; one that may have a new list since then is merely given back."""
    played_out = sorted(one.task_id for one in reports if one.outcome is Outcome.PLAYED_OUT)
    if not played_out:
        return reports
    rows = await connection.execute(
        sa.select(task.c.id, task.c.version).where(task.c.id.in_(played_out)).order_by(task.c.id).with_for_update()
    )
    versions: dict[str, int] = {task_id: version for task_id, version in rows}  # noqa: C416 -- rows, not pairs
    return [
        replace(one, outcome=Outcome.HANDED_BACK)
        if one.outcome is Outcome.PLAYED_OUT and versions.get(one.task_id) != one.version
        else one
        for one in reports
    ]


@functools.cache
def _hold(dialect: str) -> sa.Select[Any]:
    given = table_of(dialect, {"of_task": run.c.task_id.type})
    return (
        sa.select(
            *(run.c.task_id, _EPOCH, sa.case((_IS_NEXT, run.c.worker_id)).label("before")),
            sa.case((_IS_NEXT, run.c.destinations)).label("destinations"),
        )
        .join(given, run.c.task_id == given.c.of_task)
        .where(sa.or_(_HAS, _IS_NEXT))
        .order_by(run.c.task_id)
        .with_for_update(of=run)
    )


async def _held(connection: AsyncConnection, worker_id: str, reports: Sequence[Report]) -> dict[str, overlaps.Held]:
    """Those tasks that the worker still holds; the rows are locked, always in the same order."""
    given = bind([{"of_task": one.task_id} for one in reports])
    rows = await connection.execute(_hold(connection.dialect.name), {**given, "worker_id": worker_id})
    return {task_id: overlaps.Held(*rest) for task_id, *rest in rows.all()}


async def _take_back(connection: AsyncConnection, worker_id: str, returned: Mapping[str, Report], now: int) -> None:
    """Free the tasks that a worker returns; they are due again if there is still something to do."""
    if not returned:
        return
    rows = await connection.execute(
        sa.select(task.c.id, task.c.enabled, task.c.finished, OPENS_MS, task.c.end_ms, run.c.moves)
        .join(run, run.c.task_id == task.c.id)
        .where(task.c.id.in_(returned))
    )
    freed: list[dict[str, object]] = []
    calm: list[str] = []
    told: list[NewEvent] = []
    for task_id, enabled, finished, start_ms, end_ms, moves in rows:
        one = returned[task_id]
        due_ms = None
        state = State.STOPPED
        if one.outcome is Outcome.PLAYED_OUT or (enabled and is_over(end_ms, now)):
            state = State.ENDED
        else:
            due_ms = decide_due(enabled=enabled, finished=finished, start_ms=start_ms, end_ms=end_ms, now_ms=now)
            if one.outcome is Outcome.FAILED and due_ms is not None:
                state, due_ms = State.FAILED, min(now + RETRY_FAILED_MS, end_ms)
            elif due_ms is not None:
                state = State.WAITING
        freed.append({"of_task": task_id, "to_due_ms": due_ms, "to_state": state.value})
        if due_ms is None or (state is State.WAITING and start_ms > now):
            calm.append(task_id)
        # The window was moved into the future: the run has stopped, and does not continue at once.
        has_stopped = state is State.WAITING and one.status.state is State.STOPPED and start_ms > now
        kind = State.STOPPED if has_stopped else state
        detail = {**_detail(one.status), "state": state.value, "final": due_ms is None}
        if moves and state is State.WAITING:
            detail |= Reason.of(Code.TASK_MOVES).told()
        told.append(NewEvent(task_id, kind.value, now, detail))
    await connection.execute(run_reports.give_back(connection.dialect.name), bind(freed))
    if calm:
        await connection.execute(run.update().where(run.c.task_id.in_(calm)).values(tasks.NO_TROUBLE))
    await tasks.finish(connection, [task_id for task_id, one in returned.items() if one.outcome is Outcome.PLAYED_OUT])
    await events.append(connection, told)


def _kind(change: Change) -> str:
    if change.item is not None:
        return change.item.step.value
    if change.destination is not None:
        return "destination_changed"
    if change.switch is not None:
        return CallbackEvent.SWITCHED.value
    if change.moved is not None:
        return "destination_moved"
    if change.content is not None:
        return (CallbackEvent.CONTENT_OVER if change.is_over else CallbackEvent.CONTENT_FOUND).value
    return "starting" if change.starting else change.status.state.value


def _change_detail(change: Change) -> dict[str, object]:
    detail = _detail(change.status)
    if (item := change.item) is not None:
        # The run's problem is not the item's.
        detail = {"retries": detail["retries"], "playhead": playhead_detail(item.playhead)}
        if item.fault is not None and item.why is not None:
            detail |= {"fault": item.fault.value, **item.why.told()}
        if change.untold:
            detail["untold"] = change.untold
    if (one := change.destination) is not None:
        detail = {"retries": one.retries, "destination": int(one.id)}
        if one.fault is not None and one.why is not None:
            detail |= {"fault": one.fault.value, **one.why.told()}
        return {**detail, "state": change.status.state.value, "destination_state": one.state.value}
    if (switch := change.switch) is not None:
        # Its reason is that of the switch: the run has no problem, or another one.
        detail = {
            "retries": detail["retries"],
            "from": str(switch.before),
            "to": str(switch.after),
            **({"file": switch.after.file} if switch.after.file else {}),
            **switch.after.why.told(),
        }
    if (moved := change.moved) is not None:
        detail = {"retries": detail["retries"], **moved.why.told()}
        if moved.destination:
            detail["destination"] = int(moved.destination)
    if (found := change.content) is not None:
        detail = {"retries": detail["retries"], "content": found.fault.value, **found.why.told()}
    return {**detail, "state": change.status.state.value}


def _detail(status: RelayStatus) -> dict[str, object]:
    """The detail of an event from a status; it contains no secret, because reasons never do."""
    detail: dict[str, object] = {"retries": status.retries}
    if status.destinations:
        # The state of a task is that of its first.
        detail["destination"] = int(status.destinations[0].id)
    if status.on_air is not None and status.on_air.shown is not Shown.INPUT:
        detail["on_air"] = str(status.on_air)
        if status.on_air.file:
            detail["file"] = status.on_air.file
    if status.playhead is not None:
        detail["playhead"] = playhead_detail(status.playhead)
    if status.fault is not None:
        detail["fault"] = status.fault.value
    if status.why is not None:
        detail |= status.why.told()
    return detail
