"""Tasks with their specs and runs, as the actions make, find, list, change and delete them."""

import asyncio
import json
from collections.abc import Mapping, Sequence

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from streamferry.media.watermark import Watermark
from streamferry.relay.status import Playhead, State
from streamferry.store import destination_cells, digests, freshness, pictures, task_destinations, timing
from streamferry.store.cells import read_time, reason_cells
from streamferry.store.found import read_found, read_unready, read_unseen
from streamferry.store.on_air import read_on_air
from streamferry.store.records import LockedTask, RunningTask, TaskCount, TaskRecord
from streamferry.store.schema import OPENS_MS, run, task, task_destination, task_spec
from streamferry.store.seal import Seal
from streamferry.store.spec_json import serialize_spec
from streamferry.store.task_rows import TOLD, read_state, task_of
from streamferry.store.worker_orders import order
from streamferry.tasks.model import ApiStatus, TaskSpec

#: Tasks that a list unseals at a time.
_SLICE = 50


class PageTooLarge(Exception):
    """A page has more bytes than allowed; this many tasks of its beginning do not."""

    def __init__(self, fits: int) -> None:
        super().__init__(f"only {fits} tasks fit")
        self.fits = fits


def known_ends(ends_ms: Sequence[int | None]) -> dict[str, object]:
    """Values of a run row whose items end there: ms from the file's start, None where that is unknown."""
    return {"item_ends": json.dumps(list(ends_ms))}


def place(at: Playhead, at_ms: int) -> dict[str, object]:
    """Values of a run row whose list was at that position at that time."""
    return {
        "loop": at.loop,
        "item": at.item,
        "position_ms": at.position_ms,
        "playhead_ms": at_ms,
        "plays_on": False,
    }


async def insert(
    connection: AsyncConnection, seal: Seal, task_id: str, spec: TaskSpec, *, now_ms: int, due_ms: int | None
) -> int:
    """A new task with its spec and its run row, in which its first event is counted: the number of that."""
    await connection.execute(
        task.insert(),
        {
            "id": task_id,
            "enabled": True,
            "finished": False,
            "version": 1,
            "created_ms": now_ms,
            **digests.searched(seal, spec),
        },
    )
    await connection.execute(task_spec.insert(), {"task_id": task_id, **await _sealed(connection, seal, spec)})
    await task_destinations.note(connection, seal, task_id, spec)
    await connection.execute(
        run.insert(),
        {
            "task_id": task_id,
            "epoch": 0,
            "due_ms": due_ms,
            "state": State.WAITING.value,
            **known_ends(()),
            "kbps_out": 0,
            "dropped_tags": 0,
            "retries": 0,
            "event_seq": 1,
            **START_AGAIN,
        },
    )
    return 1


#: Values of a run row when no worker has it.
IDLE: dict[str, object] = {
    "kbps_in": 0,
    "kbps_out": 0,
    "sound_drift_ms": None,
    "preparing_percent": None,
    "rtt_ms": None,
    "retransmits": None,
    "delivery_kbps": None,
    "server_ack_s": None,
    "destinations": None,
    "on_air": None,
    "found": None,
    "unseen": None,
    "unready": None,
    "plays_on": False,
}
#: Values of a run row that is not in trouble.
NO_TROUBLE: dict[str, object] = {
    "trouble_ms": None,
    "trouble_fault": None,
    **reason_cells(None, "trouble_"),
    "trouble_tries": 0,
}
#: Values of a run row whose list starts from its beginning.
START_AGAIN: dict[str, object] = {"loop": 0, "item": 0, "position_ms": 0, "playhead_ms": None, "plays_on": False}
#: Values of a run row whose task was stopped while no worker had it: two events, because it has stopped at once.
STOPPED: dict[str, object] = {"state": State.STOPPED.value, "event_seq": run.c.event_seq + 2, **NO_TROUBLE}


async def lock(connection: AsyncConnection, task_id: str) -> LockedTask | None:
    """The task's row, or None; nobody else changes it until the transaction ends."""
    row = (await connection.execute(sa.select(task).where(task.c.id == task_id).with_for_update())).mappings().first()
    if row is None:
        return None
    return LockedTask(
        task_id=task_id,
        version=row["version"],
        enabled=row["enabled"],
        finished=row["finished"],
        start_at=read_time(row["start_ms"] if row["opens_ms"] is None else row["opens_ms"]),
        end_at=read_time(row["end_ms"]),
        group=row["group_name"],
        stream_digest=row["stream_digest"],
    )


async def find(connection: AsyncConnection, seal: Seal, task_id: str) -> TaskRecord | None:
    """The task, or None."""
    row = (await connection.execute(TOLD.where(task.c.id == task_id))).mappings().first()
    return None if row is None else task_of(seal, row)


async def page(
    connection: AsyncConnection,
    seal: Seal,
    *,
    title: str,
    groups: Sequence[str],
    statuses: Sequence[ApiStatus],
    states: Sequence[State],
    in_trouble: bool | None,
    now: sa.ColumnElement[int] | int,
    offset: int,
    limit: int,
    max_bytes: int | None = None,
) -> tuple[list[TaskRecord], int]:
    """Tasks newest first, and their number. ``title``: part of it in any case; no groups, statuses or states: any.

    Raises PageTooLarge for more than ``max_bytes`` of their specs, before any of it is unsealed.
    """
    wanted = _is_like(title, groups)
    if statuses:
        wanted.append(_status_at(now).in_([int(status) for status in statuses]))
    if states:
        in_state = freshness.STATE.in_([state.value for state in states])
        wanted.append(task.c.id.in_(sa.select(run.c.task_id).where(in_state)))
    if in_trouble is not None:
        # Each one uses its index.
        kept, silent = (
            task.c.id.in_(sa.select(run.c.task_id).where(one))
            for one in (run.c.trouble_ms.is_not(None), freshness.IS_SILENT)
        )
        is_it = sa.and_(_status_at(now) == int(ApiStatus.ACTIVE), sa.or_(kept, silent))
        wanted.append(is_it if in_trouble else ~is_it)
    numbers, total = await _numbers(connection, wanted, offset=offset, limit=limit)
    if max_bytes is not None:
        await _require_fit(connection, numbers, max_bytes)
    records: list[TaskRecord] = []
    for begin in range(0, len(numbers), _SLICE):
        some = numbers[begin : begin + _SLICE]
        rows = await connection.execute(TOLD.where(task.c.number.in_(some)).order_by(task.c.number.desc()))
        records.extend(task_of(seal, row) for row in rows.mappings())
        # Let others run in between: lists of long addresses take a while to unseal.
        await asyncio.sleep(0)
    return records, total


async def _require_fit(connection: AsyncConnection, numbers: Sequence[int], max_bytes: int) -> None:
    """Raises PageTooLarge, unless a single task is that large."""
    sizes = await connection.execute(
        sa.select(sa.func.length(task_spec.c.sealed_spec))
        .join(task, task.c.id == task_spec.c.task_id)
        .where(task.c.number.in_(numbers))
        .order_by(task.c.number.desc())
    )
    total = 0
    for count, size in enumerate(sizes.scalars()):
        # Sealed values are in Base64.
        total += size * 3 // 4
        if total > max_bytes and count:
            raise PageTooLarge(count)


def _is_like(title: str, groups: Sequence[str]) -> list[sa.ColumnElement[bool]]:
    wanted: list[sa.ColumnElement[bool]] = []
    if title:
        wanted.append(task.c.title_folded.contains(title.casefold(), autoescape=True))
    if groups:
        wanted.append(task.c.group_name.in_(groups))
    return wanted


async def _numbers(
    connection: AsyncConnection, wanted: Sequence[sa.ColumnElement[bool]], *, offset: int, limit: int
) -> tuple[list[int], int]:
    """Numbers of the tasks on a page, and how many there are in total.

    The page is searched from the newest task on. A full page is mostly found early, so only counting reads every task;
    a page that is not full already gives the total.
    """
    newest = sa.select(task.c.number).where(*wanted).order_by(task.c.number.desc()).limit(limit).offset(offset)
    numbers = list((await connection.execute(newest)).scalars())
    if len(numbers) < limit and (numbers or not offset):
        return numbers, offset + len(numbers)
    count = sa.select(sa.func.count()).select_from(task).where(*wanted)
    return numbers, (await connection.execute(count)).scalar_one()


async def running(connection: AsyncConnection) -> list[RunningTask]:
    """What each task that a worker has is doing; without its spec, which would have to be unsealed."""
    columns = (
        *(freshness.STATE, freshness.measured(run.c.kbps_out), run.c.bytes_out, run.c.dropped_tags, run.c.retries),
        *(freshness.measured(run.c.kbps_in), run.c.worker_id, run.c.media_time_ms, run.c.sound_drift_ms),
        *(run.c.lost_ms, run.c.lost_packets, run.c.rtt_ms, run.c.retransmits, run.c.delivery_kbps),
        *(freshness.IS_TROUBLED, run.c.destinations, sa.case((freshness.IS_SILENT, None), else_=run.c.on_air)),
        *(sa.case((freshness.IS_SILENT, None), else_=cell) for cell in (run.c.found, run.c.unseen, run.c.unready)),
    )
    rows = await connection.execute(sa.select(run.c.task_id, *columns).where(run.c.worker_id.is_not(None)))
    return [
        RunningTask(
            *(task_id, read_state(state)),
            *[*numbers, destination_cells.read(each), read_on_air(on_air)],
            *[read_found(found), read_unseen(unseen), read_unready(unready)],
        )
        for task_id, state, *numbers, each, on_air, found, unseen, unready in rows
    ]


async def count(
    connection: AsyncConnection, *, now: sa.ColumnElement[int] | int, title: str = "", groups: Sequence[str] = ()
) -> list[TaskCount]:
    """How many tasks are in each status and state, of those that ``page`` would list for title and group."""
    status, troubled = _status_at(now).label("status"), freshness.IS_TROUBLED.label("troubled")
    sent = sa.func.sum(freshness.measured(run.c.kbps_out))
    found = await connection.execute(
        sa.select(status, freshness.STATE.label("told"), troubled, sa.func.count(), sent)
        .select_from(task.join(run, run.c.task_id == task.c.id))
        .where(*_is_like(title, groups))
        .group_by(*(sa.literal_column(name) for name in ("status", "told", "troubled")))
    )
    return [
        TaskCount(ApiStatus(number), read_state(state), bool(troubled) and number == ApiStatus.ACTIVE, tasks, int(kbps))
        for number, state, troubled, tasks, kbps in found
    ]


def _status_at(now: sa.ColumnElement[int] | int) -> sa.ColumnElement[int]:
    """``model.decide_api_status`` in SQL; a test compares the two."""
    return sa.case(
        (task.c.enabled.is_(False), int(ApiStatus.DISABLED)),
        (now < OPENS_MS, int(ApiStatus.NOT_STARTED)),
        (sa.or_(task.c.finished, task.c.end_ms <= now), int(ApiStatus.ENDED)),
        else_=int(ApiStatus.ACTIVE),
    )


async def replace(
    connection: AsyncConnection,
    seal: Seal,
    before: LockedTask,
    spec: TaskSpec,
    *,
    finished: bool,
    had_others: bool = False,
) -> None:
    """Replace its spec, which had several destinations or not. See ``change``."""
    if had_others:
        await connection.execute(task_destination.delete().where(task_destination.c.task_id == before.task_id))
    await task_destinations.note(connection, seal, before.task_id, spec)
    await change(connection, before, finished=finished, **digests.searched(seal, spec))
    await connection.execute(
        task_spec.update().where(task_spec.c.task_id == before.task_id).values(**await _sealed(connection, seal, spec))
    )


async def change(connection: AsyncConnection, before: LockedTask, **values: object) -> None:
    """Change columns of the task, and increase its version.

    It was locked in this transaction, so nobody has changed it since: a different version is a bug of ours, and
    nothing is committed.
    """
    changed = await connection.execute(
        task.update()
        .where(task.c.id == before.task_id, task.c.version == before.version)
        .values(version=task.c.version + 1, **values)
    )
    if changed.rowcount != 1:
        raise RuntimeError(f"task {before.task_id} was changed without the lock under which it was read")


async def redirect(
    connection: AsyncConnection,
    task_id: str,
    *,
    due_ms: int | None,
    new_epoch: bool = False,
    values: Mapping[str, object] | None = None,
    if_free: Mapping[str, object] | None = None,
) -> tuple[int, bool]:
    """Make the run follow a changed task: due if nobody has it; otherwise its worker is ordered to read it (True).

    Also counts an event of that; the number of the last one comes first. ``new_epoch``: the worker must start again
    with what ``values`` say. ``if_free``: values of a run that nobody has. Locks the run row, then the worker's.
    """
    is_free = run.c.worker_id.is_(None)
    changes: dict[str, object] = {"event_seq": run.c.event_seq + 1, **(values or {})}
    if new_epoch:
        changes["epoch"] = run.c.epoch + 1
    for name, value in (if_free or {}).items():
        given = value if isinstance(value, sa.ColumnElement) else sa.literal(value, run.c[name].type)
        changes[name] = sa.case((is_free, given), else_=changes.get(name, run.c[name]))
    # Found out anew: it may have another list, or more time.
    changes["played_out_ms"] = None
    # Who is about to take it over would run what it was before.
    changes["next_worker_id"] = None
    changes["due_ms"] = sa.case((is_free, sa.cast(due_ms, sa.BigInteger)), else_=None)
    held = sa.select(run.c.next_worker_id).where(run.c.task_id == task_id).with_for_update()
    next_worker_id = (await connection.execute(held)).scalar_one()
    found = await connection.execute(
        run.update().where(run.c.task_id == task_id).values(changes).returning(run.c.event_seq, run.c.worker_id)
    )
    seq, worker_id = found.one()
    await order(connection, [worker_id, next_worker_id])
    return seq, worker_id is not None


async def finish(connection: AsyncConnection, task_ids: Sequence[str]) -> None:
    """Note that their lists were played out."""
    if task_ids:
        await connection.execute(task.update().where(task.c.id.in_(task_ids)).values(finished=True))


async def delete(connection: AsyncConnection, task_id: str) -> bool:
    """Delete the task, its spec and its run; a worker that has it is ordered to read (True). Events and usage stay."""
    workers = run.delete().where(run.c.task_id == task_id).returning(run.c.worker_id, run.c.next_worker_id)
    worker_id, next_worker_id = (await connection.execute(workers)).one()
    await order(connection, [worker_id, next_worker_id])
    for table, column in ((task_spec, task_spec.c.task_id), (task, task.c.id)):
        await connection.execute(table.delete().where(column == task_id))
    return worker_id is not None


async def knows_stream(connection: AsyncConnection, digest: str) -> bool:
    """Whether a task has that ``stream_digest``."""
    found = await connection.execute(sa.select(task.c.id).where(task.c.stream_digest == digest).limit(1))
    return found.first() is not None


async def _sealed(connection: AsyncConnection, seal: Seal, spec: TaskSpec) -> dict[str, object]:
    mark = spec.watermark
    digest = await pictures.put(connection, mark) if isinstance(mark, Watermark) else mark.digest if mark else None
    sealed = seal.seal(serialize_spec(spec))
    return {"sealed_spec": sealed, "picture_digest": digest, "timing": timing.write(spec, sealed)}
