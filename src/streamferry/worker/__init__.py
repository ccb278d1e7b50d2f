"""A process full of relays: it claims tasks, keeps its lease, fences itself, and hands over what it leaves.

``Ledger`` is all it needs of a store.
"""

from streamferry.worker.ledger import Assignment, Change, LeaseLost, Ledger, Outcome, Report, Usage

__all__ = ["Assignment", "Change", "LeaseLost", "Ledger", "Outcome", "Report", "Usage"]
