"""A clock in place of the machine's, for actions and reads that judge by the time."""

from datetime import datetime


class VirtualClock:
    """A clock that stands still until it is told to go on."""

    def __init__(self, now: datetime) -> None:
        self._now = now

    def now(self) -> datetime:
        """The time it was set to."""
        return self._now

    def set(self, now: datetime) -> None:
        """Make it that time."""
        self._now = now
