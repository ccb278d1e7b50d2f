"""Time by which calls are counted."""

from dataclasses import dataclass


@dataclass
class BucketTime:
    """``now``: seconds."""

    now: float = 0.0
