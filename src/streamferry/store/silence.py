"""Whether what a run row says is still so: a worker reports every half second, and one that has not says nothing.

A host that died or froze goes on saying ``streaming`` in its rows until its lease runs out, and so does a store that
was away, until workers reach it again. Whoever reads is told that nobody knows, from ``SILENT_MS`` on. Nothing of this
is written down: what becomes of the tasks is decided by leases.
"""

from typing import Any

import sqlalchemy as sa

from streamferry.relay.status import State
from streamferry.store.database import now_ms
from streamferry.store.schema import run, worker

#: What a run row says is good for as long as ``streaming`` is (see ``relay.State``).
SILENT_MS = 3_000

# Each report renews the lease, whether or not anybody judges it.
_HEARD_MS = worker.c.lease_ms - worker.c.length_ms
_SILENT_WORKERS = sa.select(worker.c.id).where(
    # One of the future was written before the clock was set back.
    sa.not_(_HEARD_MS.between(now_ms() - SILENT_MS, now_ms() + SILENT_MS))
)

#: Whether a run is said to stream by a worker that has not been heard of.
IS_SILENT: sa.ColumnElement[bool] = sa.and_(
    run.c.state == State.STREAMING.value, run.c.worker_id.in_(_SILENT_WORKERS.scalar_subquery())
)
#: What such a run does, as far as anybody knows, and any other one.
STATE: sa.ColumnElement[str] = sa.case((IS_SILENT, State.STALLED.value), else_=run.c.state)
#: Since when it has not been heard of; null for one that has.
SINCE_MS: sa.ColumnElement[int | None] = sa.case(
    (IS_SILENT, sa.select(_HEARD_MS).where(worker.c.id == run.c.worker_id).correlate(run).scalar_subquery())
)
#: Of how long that is, in ms.
FOR_MS: sa.ColumnElement[Any] = now_ms() - SINCE_MS
#: Whether a run is in trouble: what kept it from streaming is known, or nobody knows whether it does.
IS_TROUBLED: sa.ColumnElement[bool] = sa.or_(run.c.trouble_ms.is_not(None), IS_SILENT)


def measured(column: sa.ColumnElement[int]) -> sa.ColumnElement[int]:
    """A rate of a run row: nothing, if nobody knows."""
    return sa.case((IS_SILENT, 0), else_=column)


def reason(silent_ms: int) -> str:
    """In words, for who asks why it is stalled."""
    return f"its worker has not been heard of for {max(silent_ms, SILENT_MS) // 1000} s"
