"""Where a list is by now: a worker does not tell of one that plays on at the speed of the clock (docs/decisions/0130).

The row of such a run says where it was when it was told of last; and each report of its worker, with this list or
without, that it has gone on until then.
"""

import sqlalchemy as sa

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
