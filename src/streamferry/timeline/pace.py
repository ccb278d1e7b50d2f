"""When a tag of a file may leave: an absolute schedule, so that nothing drifts however long a loop runs."""

#: Media sent ahead of its time at the start of a publish session, so that players fill their buffer and start at once.
#: If a worker is killed before it has reported that it began, a list repeats this; hence less than a second.
LEAD_MS = 900


class Pace:
    """Maps the wall clock to the output clock: what is due at ``now`` is what should have been sent by ``now``.

    It does not depend on what was sent. After a hold, and for a new publish session, a new schedule starts at the
    position reached.
    """

    __slots__ = ("_origin_ms", "_started")

    def __init__(self, position_ms: int, now: float, lead_ms: int = LEAD_MS) -> None:
        """Start the schedule: ``position_ms`` of the output clock plus the lead is due at ``now`` (s)."""
        self._origin_ms = position_ms + lead_ms
        self._started = now

    def due_ms(self, now: float) -> int:
        """Stamp on the output clock up to which tags may have left at ``now`` (monotonic seconds)."""
        return self._origin_ms + int((now - self._started) * 1000)
