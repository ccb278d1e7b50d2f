"""Where a list is by now: a worker does not tell of one that plays on at the speed of the clock (docs/decisions/0130).

The row of such a run says where it was when it was told of last; and each report of its worker, with this list or
without, that it has gone on until then.
"""

from typing import Any

import sqlalchemy as sa

from streamferry.store.cells import read_json, read_number
from streamferry.store.freshness import HEARD_MS
from streamferry.store.schema import run, worker

#: A row that is older is of before the clock was set: a list that plays is told of each five seconds with its counters.
_MOST_MS = 10_000
_SINCE_MS = HEARD_MS - run.c.playhead_ms

#: How far a list has played on from the place in its row, in ms; 0 for one that stands.
PLAYED_ON_MS: sa.ColumnElement[int] = sa.case(
    (
        run.c.plays_on,
        sa.func.coalesce(
            sa.select(_SINCE_MS)
            .where(worker.c.id == run.c.worker_id, _SINCE_MS.between(0, _MOST_MS))
            .correlate(run)
            .scalar_subquery(),
            0,
        ),
    ),
    else_=0,
)


def item_ends_of(row: "sa.RowMapping | dict[str, Any]") -> tuple[int | None, ...]:
    """Where items end, as far as that can be read; a list can do without."""
    ends = read_json(row["item_ends"])
    if not isinstance(ends, list) or any(not (end is None or (isinstance(end, int) and end >= 0)) for end in ends):
        return ()
    return tuple(ends)


def position_of(row: "sa.RowMapping | dict[str, Any]") -> int:
    """Where in its item a list is by now, in ms, of a row with ``PLAYED_ON_MS`` as ``played_on_ms``.

    No further than to the end of the item, for its worker would have told of the next one.
    """
    ends, item, told_ms = item_ends_of(row), read_number(row["item"]), read_number(row["position_ms"])
    end_ms = ends[item] if item < len(ends) else None
    by_now_ms = told_ms + int(row["played_on_ms"])
    return by_now_ms if end_ms is None else min(by_now_ms, max(told_ms, end_ms))
