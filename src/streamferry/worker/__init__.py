"""A process full of relays: it claims tasks, keeps its lease, fences itself, and hands its tasks over when it leaves.

``Ledger`` is all it needs from a store; ``processes`` starts workers as children of another process. Stores and
services import this package for its reports, so what runs relays is not imported here: ``worker``.
"""

from streamferry.worker.health import HealthMeter, WorkerHealth
from streamferry.worker.ledger import (
    LEASE_S,
    Assignment,
    Change,
    LeaseLost,
    Ledger,
    Outcome,
    Report,
    StoreUnavailable,
    Usage,
)

__all__ = [
    "LEASE_S",
    "Assignment",
    "Change",
    "HealthMeter",
    "LeaseLost",
    "Ledger",
    "Outcome",
    "Report",
    "StoreUnavailable",
    "Usage",
    "WorkerHealth",
]
