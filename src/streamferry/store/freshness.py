"""Whether a run row is still current: a worker reports every half second, so after a longer silence nobody knows.

The rows of a host that died or froze still say ``streaming`` until its lease runs out, and so do all rows after an
outage of the store, until workers reach it again. From ``SILENT_MS`` on, readers are told that the state is not known.
This is computed on reading and never stored: leases decide what happens to the tasks.
"""

from typing import Any

import sqlalchemy as sa

from streamferry.reasons import Code, Reason
from streamferry.relay.status import State
from streamferry.store.database import now_ms
from streamferry.store.schema import run, worker

#: What a run row says is good for as long as ``streaming`` is (see ``relay.State``).
SILENT_MS = 3_000

#: When a worker reported last: each report renews the lease, even if nobody checks that lease.
HEARD_MS = worker.c.lease_ms - worker.c.length_ms
_SILENT_WORKERS = sa.select(worker.c.id).where(
    # A time in the future was written before the clock was set back.
    sa.not_(HEARD_MS.between(now_ms() - SILENT_MS, now_ms() + SILENT_MS))
)

#: Whether a run is marked as streaming by a worker that has gone silent.
IS_SILENT: sa.ColumnElement[bool] = sa.and_(
    run.c.state == State.STREAMING.value, run.c.worker_id.in_(_SILENT_WORKERS.scalar_subquery())
)
#: The state to show: for such a run, and for any other one.
STATE: sa.ColumnElement[str] = sa.case((IS_SILENT, State.STALLED.value), else_=run.c.state)
#: Since when it has been silent; null if it is not.
SINCE_MS: sa.ColumnElement[int | None] = sa.case(
    (IS_SILENT, sa.select(HEARD_MS).where(worker.c.id == run.c.worker_id).correlate(run).scalar_subquery())
)
#: How long that is, in ms.
FOR_MS: sa.ColumnElement[Any] = now_ms() - SINCE_MS
#: Whether a run is in trouble: what kept it from streaming is known, or nobody knows whether it does.
IS_TROUBLED: sa.ColumnElement[bool] = sa.or_(run.c.trouble_ms.is_not(None), IS_SILENT)


def measured(column: sa.ColumnElement[int]) -> sa.ColumnElement[int]:
    """A rate of a run row; 0 if it is not known."""
    return sa.case((IS_SILENT, 0), else_=column)


def reason(silent_ms: int) -> Reason:
    """The reason to show for a run that is stalled in this way."""
    return Reason.of(Code.TASK_WORKER_SILENT, seconds=max(silent_ms, SILENT_MS) // 1000)
