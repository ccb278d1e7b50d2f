"""What time it is, passed in so that tests need not wait."""

from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Gives the time as an aware UTC datetime."""

    def now(self) -> datetime:
        """The time now."""


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """The time now."""
        return datetime.now(UTC)


class StepWatch:
    """Detects that a wall clock was set: it has moved by a different amount than the monotonic one."""

    #: A clock that is being slewed moves by less between two checks.
    STEP_MS = 1_000

    def __init__(self) -> None:
        self._seen: tuple[int, float, float] | None = None

    def note(self, wall_ms: int, earliest: float, latest: float) -> bool:
        """Whether it was set since the last note. It showed ``wall_ms`` between two monotonic times, in seconds."""
        seen, self._seen = self._seen, (wall_ms, earliest, latest)
        if seen is None:
            return False
        moved_ms = wall_ms - seen[0]
        least_ms, most_ms = (earliest - seen[2]) * 1000, (latest - seen[1]) * 1000
        return not least_ms - self.STEP_MS <= moved_ms <= most_ms + self.STEP_MS
