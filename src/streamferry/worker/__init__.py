"""A process full of relays: it claims tasks, keeps its lease, fences itself, and hands its tasks over when it leaves.

``Ledger`` is all it needs from a store; ``processes`` starts workers as children of another process.
"""

from streamferry.worker.health import HealthMeter, WorkerHealth
from streamferry.worker.ledger import Assignment, Change, LeaseLost, Ledger, Outcome, Report, StoreUnavailable, Usage
from streamferry.worker.worker import LEASE_S, Worker

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
    "Worker",
    "WorkerHealth",
]
