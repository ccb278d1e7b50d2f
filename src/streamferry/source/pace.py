"""When media that comes in segments goes on: at the pace of its stamps. Pure: it is told the time.

Segments come at once and last for seconds. It goes a little faster for as long as more is waiting than at the start, so
that a pause is made up for, and so is a server whose clock is fast. A gap in the media takes no time.
"""

#: The most that it goes faster than the stamps.
_MAX_RATE = 2.0
# So much more than at the start is usual: between two readings of a playlist.
_USUAL_SEGMENTS = 0.5
# After a pause of the machine it goes on from where it was.
_MAX_STEP_S = 1.0


class Pace:
    """Of one session."""

    def __init__(self) -> None:
        self._at: float | None = None
        #: Up to which stamp media is due, in ms.
        self.due_ms = 0.0

    def begin(self, stamp_ms: float, now: float) -> None:
        """Media begins at this stamp, or goes on there after a gap: it is due now."""
        self.due_ms, self._at = stamp_ms, now

    def advance(self, now: float, last_ms: float, excess_segments: float) -> float:
        """Time has passed; returns ``due_ms``. ``last_ms``: stamp of the last media that is there.

        ``excess_segments``: by how many segments more is waiting than when it began. Without media time stands still.
        """
        if self._at is None:
            self._at = now
        step_s = min(now - self._at, _MAX_STEP_S)
        self._at = now
        rate = 1.0 + min(max(excess_segments - _USUAL_SEGMENTS, 0.0) / 2, _MAX_RATE - 1.0)
        self.due_ms = min(self.due_ms + step_s * rate * 1000, max(last_ms, self.due_ms))
        return self.due_ms
