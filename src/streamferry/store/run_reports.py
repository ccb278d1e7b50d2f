"""What a worker reports of its runs, as rows: a statement for each kind of news, however many tasks.

The rows have to be locked (``assignments``): an update by a given table locks them in no order.
"""

import functools
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from streamferry.relay.status import RelayStatus
from streamferry.store import destination_cells, tasks
from streamferry.store.cells import reason_cells
from streamferry.store.found import dump_found, dump_unready, dump_unseen
from streamferry.store.given import bind, table_of
from streamferry.store.on_air import dump_on_air
from streamferry.store.schema import run
from streamferry.worker import Report

#: Columns of a run row with the same names as in RelayStatus.
_COUNTS = (
    "kbps_in",
    "kbps_out",
    "media_time_ms",
    "bytes_in",
    "bytes_out",
    "repairs",
    "sound_drift_ms",
    "preparing_percent",
    "dropped_tags",
    "lost_ms",
    "lost_packets",
    "rtt_ms",
    "retransmits",
    "delivery_kbps",
    "server_ack_s",
    "retries",
)
_REASON = ("reason", "reason_json")
_TROUBLE = ("trouble_fault", "trouble_reason", "trouble_reason_json", "trouble_tries")
_TOLD = ("state", "fault", "destinations", "on_air", "found", "unseen", "unready", *_COUNTS, *_REASON, *_TROUBLE)
_PLACE = ("loop", "item", "position_ms")
_MADE = sa.bindparam("made", type_=sa.BigInteger())


def _is_of_this_list(given: Any) -> sa.ColumnElement[bool]:
    """An update may have set a new list since the worker read it: then nothing of that has been played."""
    is_so: sa.ColumnElement[bool] = run.c.list_version <= given.c.of_version
    return is_so


def _place(given: Any) -> dict[str, Any]:
    has_moved = sa.or_(run.c.playhead_ms.is_(None), *(run.c[name] != given.c[f"to_{name}"] for name in _PLACE))
    # A list that does not move broke when it last moved.
    at_ms = sa.case((has_moved, _MADE), else_=run.c.playhead_ms)
    return {name: given.c[f"to_{name}"] for name in (*_PLACE, "plays_on")} | {"playhead_ms": at_ms}


def _given(dialect: str, *names: str) -> Any:
    keys = {"of_task": run.c.task_id.type, "of_version": run.c.list_version.type}
    return table_of(dialect, keys | {f"to_{name}": run.c[name].type for name in names})


@functools.cache
def _write_place(dialect: str) -> sa.Update:
    given = _given(dialect, *_PLACE, "plays_on")
    return run.update().where(run.c.task_id == given.c.of_task, _is_of_this_list(given)).values(_place(given))


@functools.cache
def _write_status(dialect: str) -> sa.Update:
    """Of live sources and of lists; without a position (null) nothing has played."""
    given = _given(dialect, *_TOLD, *_PLACE, "plays_on")
    # The store decides since when: a worker only knows the trouble that it has seen itself.
    since_ms = sa.case((given.c.to_trouble_fault.is_not(None), sa.func.coalesce(run.c.trouble_ms, _MADE)))
    is_place = sa.and_(given.c.to_loop.is_not(None), _is_of_this_list(given))
    place = {name: sa.case((is_place, value), else_=run.c[name]) for name, value in _place(given).items()}
    told = {name: given.c[f"to_{name}"] for name in _TOLD}
    return run.update().where(run.c.task_id == given.c.of_task).values(told | {"trouble_ms": since_ms} | place)


@functools.cache
def _write_ends(dialect: str) -> sa.Update:
    given = _given(dialect, "item_ends")
    return (
        run.update()
        .where(run.c.task_id == given.c.of_task, _is_of_this_list(given))
        .values({"item_ends": given.c.to_item_ends})
    )


async def write(connection: AsyncConnection, reports: Sequence[Report], made_ms: int) -> None:
    """At most one statement for each of the three, however many tasks."""
    whole: list[dict[str, object]] = []
    moved: list[dict[str, object]] = []
    ends: list[dict[str, object]] = []
    for one in reports:
        whose: dict[str, object] = {"of_task": one.task_id, "of_version": one.version, "to_plays_on": one.plays_on}
        place: dict[str, object] = dict.fromkeys(("to_loop", "to_item", "to_position_ms"))
        if one.status.playhead is not None and one.status.media_time_ms:
            at = one.status.playhead
            place = {"to_loop": at.loop, "to_item": at.item, "to_position_ms": at.position_ms}
        if not one.is_place:
            whole.append(whose | place | _status_cells(one.status))
        elif place["to_loop"] is not None:
            moved.append(whose | place)
        if one.item_ends_ms:
            known = tasks.known_ends([one.item_ends_ms.get(item) for item in range(max(one.item_ends_ms) + 1)])
            ends.append({**whose, "to_item_ends": known["item_ends"]})
    dialect = connection.dialect.name
    if whole:
        await connection.execute(_write_status(dialect), {**bind(whole), "made": made_ms})
    if moved:
        await connection.execute(_write_place(dialect), {**bind(moved), "made": made_ms})
    if ends:
        await connection.execute(_write_ends(dialect), bind(ends))


def _status_cells(status: RelayStatus) -> dict[str, object]:
    trouble = status.trouble
    return {
        "to_state": status.state.value,
        "to_fault": status.fault.value if status.fault else None,
        "to_on_air": dump_on_air(status.on_air),
        "to_found": dump_found(status.found),
        "to_unseen": dump_unseen(status.unseen),
        "to_unready": dump_unready(status.unready),
        **{f"to_{name}": getattr(status, name) for name in _COUNTS},
        "to_destinations": destination_cells.write(status.destinations),
        **reason_cells(status.why, "to_"),
        "to_trouble_fault": trouble.fault.value if trouble else None,
        **reason_cells(trouble.why if trouble else None, "to_trouble_"),
        "to_trouble_tries": trouble.tries if trouble else 0,
    }


@functools.cache
def give_back(dialect: str) -> sa.Update:
    """Rows of ``of_task``, ``to_due_ms`` and ``to_state``, whose worker has them no more."""
    given = _given(dialect, "due_ms", "state")
    told = {"due_ms": given.c.to_due_ms, "state": given.c.to_state}
    return (
        run.update()
        .where(run.c.task_id == given.c.of_task)
        .values({"worker_id": None, "next_worker_id": None, "moves": False, **told, **tasks.IDLE})
    )
