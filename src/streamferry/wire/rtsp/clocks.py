"""Stamps of RTP tracks, laid beside each other on one clock in ticks of 90 kHz.

Each track counts from a random number at its own rate. A track is laid where its first packet arrived. Sender reports
tell what time of day a stamp is; once both tracks have one, the picture is moved to where it belongs beside its sound:
by a tenth of the time that passes, so that neither jumps. Reports without sense are passed over: cameras have no clock
or set it, and servers start one for each track.

Specification: RFC 3550, 5.1 (timestamp), 6.4.1 (sender reports).
"""

TICKS = 90_000
#: Arrival is right within a GOP that a server keeps for those who come. Reports that contradict it more are wrong.
MAX_OFFSET_S = 6.0
#: Where stamps go on elsewhere than time does, by more than this, another clock has begun.
_BREAK_S = 10.0
# A sender's time of day was set, if it and the stamps differ by more than this from one report to the next.
_CLOCK_SET_S = 0.1
_SLEW = 0.1
# So that nothing is before the beginning: leading pictures, reordered ones.
_START_S = 30.0


class TrackClock:
    """Of one track."""

    def __init__(self, rate_hz: int) -> None:
        self.rate_hz = rate_hz
        #: A stamp, and where it lies; None before the first packet.
        self._zero: tuple[int, float] | None = None
        #: The last stamp, on a clock without wraps.
        self._last = 0
        self._last_at = 0.0
        self._shift = self._target = 0.0
        self._has_given = False
        #: Time of day of stamp 0 of the clock without wraps, in s, by the last report.
        self._day: float | None = None
        self._early_report: tuple[float, int] | None = None

    def ticks(self, stamp: int, now: float) -> int:
        """Where a stamp of 32 bits lies; ``now``: when its packet came, in s since the session began."""
        last = self._last
        step = (stamp - last + 0x80000000 & 0xFFFFFFFF) - 0x80000000
        if self._zero is not None and abs(step / self.rate_hz - (now - self._last_at)) > _BREAK_S:
            self.restart()
        whole = self._last = last + step
        if self._zero is None:
            self._zero = whole, (now + _START_S) * TICKS
            if self._early_report is not None:
                self.report(*self._early_report)
        elif self._shift != self._target:
            most = abs(step) * TICKS / self.rate_hz * _SLEW
            self._shift += max(-most, min(self._target - self._shift, most))
        self._last_at, self._has_given = now, True
        zero, at = self._zero
        return int(at + (whole - zero) * TICKS / self.rate_hz + self._shift)

    @property
    def is_placed(self) -> bool:
        """Whether it lies where its reports say, as far as they say anything."""
        return self._day is not None and self._shift == self._target

    def restart(self) -> None:
        """The sender begins anew: its stamps have nothing to do with those before."""
        self._zero = self._day = self._early_report = None
        self._shift = self._target = 0.0

    def report(self, seconds: float, stamp: int) -> bool:
        """A sender report. Returns whether its time of day goes on from that of the last."""
        if self._zero is None:
            self._early_report = seconds, stamp
            return True
        self._early_report = None
        near = self._last + (stamp - self._last + 0x80000000 & 0xFFFFFFFF) - 0x80000000
        day = seconds - near / self.rate_hz
        was, self._day = self._day, day
        return was is None or abs(day - was) < _CLOCK_SET_S

    def forget_report(self) -> None:
        """What was reported holds no longer."""
        self._day = None

    def place_beside(self, other: "TrackClock") -> None:
        """Move to where equal times of day lie at equal places, if both have been reported."""
        if self._zero is None or other._zero is None or self._day is None or other._day is None:
            return
        # The same time of day, near the present, on both.
        now = self._day + self._last / self.rate_hz
        mine = self._lay(self._last)
        theirs = other._lay((now - other._day) * other.rate_hz)
        offset = theirs - mine
        if abs(offset) > MAX_OFFSET_S * TICKS:
            return
        self._target = offset
        if not self._has_given:
            self._shift = offset

    def _lay(self, whole: float) -> float:
        assert self._zero is not None
        return self._zero[1] + (whole - self._zero[0]) * TICKS / self.rate_hz
