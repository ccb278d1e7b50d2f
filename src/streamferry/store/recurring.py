"""Tasks whose window recurs: when one is over, the next one takes its place.

A run ends before that, unless the slate is sent between the windows: then it goes on in the next one.
"""

import functools
import json
from collections.abc import Mapping

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from streamferry.relay.status import State
from streamferry.store import events, tasks, timing
from streamferry.store.cells import read_json
from streamferry.store.database import now_ms
from streamferry.store.events import NewEvent
from streamferry.store.given import bind, table_of
from streamferry.store.numbers import count_up
from streamferry.store.schema import run, task
from streamferry.store.seal import Seal
from streamferry.store.spec_json import Unreadable
from streamferry.store.worker_orders import order
from streamferry.tasks.schedule import decide_due
from streamferry.tasks.times import from_ms, to_ms

#: The event that tells of a window that is over, and of the one that follows.
MOVED_ON = "moved_on"
#: Most tasks of one pass.
_BATCH = 100
#: When one is looked at again that could not be read: a service of a newer version may have done so by then.
_AGAIN_MS = 60_000
#: When one is that a worker is to end.
_ENDS_MS = 1_000
#: What is told of a window: the counters of its last run.
_COUNTERS = ("media_time_ms", "bytes_in", "bytes_out", "lost_ms", "dropped_tags", "retries")


def are_over(now: sa.ColumnElement[int] | int) -> sa.ColumnElement[bool]:
    """Whether the window is over and concluded: no worker has the task, and none is to take it; or one goes on."""
    # SQLite has no statistics, and would look for all runs with a null: those of all tasks that run or have ended.
    is_left = sa.and_(run.c.worker_id.is_(None), run.c.due_ms.is_(None))
    goes_on = sa.and_(run.c.worker_id.is_not(None), task.c.opens_ms.is_not(None), task.c.enabled)
    is_left = sa.or_(is_left, goes_on)
    return sa.and_(task.c.moves_on_ms <= now, sa.case((is_left, sa.true()), else_=sa.false()))


async def move_on(connection: AsyncConnection, seal: Seal) -> int:
    """Give the tasks whose windows are over their next ones; returns how many were looked at, at most ``_BATCH``."""
    found = await connection.execute(
        timing.WITH_TIMING.add_columns(now_ms().label("now"))
        .where(are_over(now_ms()))
        .order_by(task.c.moves_on_ms)
        .limit(_BATCH)
        .with_for_update(of=(task, run), skip_locked=True)
    )
    rows = found.mappings().all()
    told: list[NewEvent] = []
    moved: list[dict[str, object]] = []
    runs: dict[str, dict[str, object]] = {}
    held: list[dict[str, object]] = []
    later: list[dict[str, object]] = []
    workers: set[str | None] = set()
    for row in rows:
        task_id, now = row["task_id"], row["now"]
        try:
            series = timing.read(seal, row).series
        except Unreadable:
            # Its worker has told.
            later.append({"of_task": task_id, "at_ms": now + _AGAIN_MS})
            continue
        window = series.next(from_ms(now)) if series else None
        values: dict[str, object] = {"of_task": task_id, "to_moves_on": None}
        worker_id = row["worker_id"]
        if window is None and worker_id is not None:
            # It was the last one: its worker is about to end it.
            later.append({"of_task": task_id, "at_ms": now + _ENDS_MS})
            continue
        if window is None:
            values |= {"to_start": row["start_ms"], "to_end": row["end_ms"], "to_finished": row["finished"]}
        else:
            start_ms, end_ms = to_ms(window.start_at), to_ms(window.end_at)
            values |= {"to_start": start_ms, "to_end": end_ms, "to_finished": False, "to_moves_on": end_ms}
            if worker_id is None:
                opens_ms = start_ms if row["opens_ms"] is None else row["opens_ms"]
                enabled = row["enabled"]
                due_ms = decide_due(enabled=enabled, finished=False, start_ms=opens_ms, end_ms=end_ms, now_ms=now)
                state = row["state"] if due_ms is None else State.WAITING.value
                runs[task_id] = {"of_task": task_id, "to_due": due_ms, "to_state": state}
            else:
                held.append(
                    {
                        "of_task": task_id,
                        # What is told of the old window is not of this list.
                        "to_list_version": row["version"] + 1,
                        "to_counted_before": json.dumps({name: row[name] for name in _COUNTERS}),
                    }
                )
                workers |= {worker_id, row["next_worker_id"]}
        moved.append(values)
        told.append(NewEvent(task_id, MOVED_ON, now, _detail(row, values)))
    dialect = connection.dialect.name
    if later:
        await connection.execute(_look_later(dialect), bind(later))
    if moved:
        await connection.execute(_move(dialect), bind(moved))
    if runs:
        await connection.execute(_begin(dialect), bind(list(runs.values())))
    if held:
        await connection.execute(_go_on(dialect), bind(held))
    if told:
        counted = await count_up(connection, run.c.event_seq, {one.task_id: 1 for one in told})
        await events.append(connection, told, counted=counted)
    await order(connection, workers)
    return len(rows)


def _detail(row: sa.RowMapping, values: Mapping[str, object]) -> dict[str, object]:
    """The window that is over, with what its last run did, and the one that follows; times in Unix seconds."""
    detail: dict[str, object] = {"start": row["start_ms"] // 1000, "end": row["end_ms"] // 1000, "state": row["state"]}
    if row["playhead_ms"] is not None or row["media_time_ms"]:
        before = read_json(row["counted_before"])
        # A run that came after the one that counted so begins to count anew.
        is_same = isinstance(before, dict) and all(0 <= before.get(name, 0) <= row[name] for name in _COUNTERS)
        detail |= {name: row[name] - (before.get(name, 0) if is_same else 0) for name in _COUNTERS}
    if values["to_moves_on"] is not None:
        detail |= {"next_start": int(str(values["to_start"])) // 1000, "next_end": int(str(values["to_end"])) // 1000}
    return detail


@functools.cache
def _look_later(dialect: str) -> sa.Update:
    given = table_of(dialect, {"of_task": task.c.id.type, "at_ms": task.c.moves_on_ms.type})
    return task.update().where(task.c.id == given.c.of_task).values(moves_on_ms=given.c.at_ms)


@functools.cache
def _move(dialect: str) -> sa.Update:
    names = {"start_ms": "to_start", "end_ms": "to_end", "moves_on_ms": "to_moves_on", "finished": "to_finished"}
    columns = {given: task.c[name].type for name, given in names.items()}
    given = table_of(dialect, {"of_task": task.c.id.type, **columns})
    told = {name: given.c[column] for name, column in names.items()}
    return task.update().where(task.c.id == given.c.of_task).values({**told, "version": task.c.version + 1})


@functools.cache
def _begin(dialect: str) -> sa.Update:
    columns = {"of_task": run.c.task_id.type, "to_due": run.c.due_ms.type, "to_state": run.c.state.type}
    given = table_of(dialect, columns)
    return (
        run.update()
        .where(run.c.task_id == given.c.of_task)
        .values(
            {
                **tasks.START_AGAIN,
                **tasks.NO_TROUBLE,
                **dict.fromkeys(_COUNTERS, 0),
                "fault": None,
                "reason": None,
                "reason_json": None,
                "played_out_ms": None,
                "counted_before": None,
                "state": given.c.to_state,
                "due_ms": given.c.to_due,
            }
        )
    )


@functools.cache
def _go_on(dialect: str) -> sa.Update:
    """Of runs that go on: the list begins again with the window."""
    names = ("list_version", "counted_before")
    given = table_of(dialect, {"of_task": run.c.task_id.type, **{f"to_{name}": run.c[name].type for name in names}})
    told = {name: given.c[f"to_{name}"] for name in names}
    # Who is about to take it over would run what it was before.
    values = {**tasks.START_AGAIN, "next_worker_id": None, **told}
    return run.update().where(run.c.task_id == given.c.of_task).values(values)
