"""ItemFilter: which steps of a list's items are reported, so that a list of short files does not flood receivers. Pure.

The beginning and end of an hour-long film are worth an event; the 300,000 loops of a two-second clip in a week are not.
So each task has an allowance of items: BURST at once, and one more every EVERY_S. An item that is admitted is reported
to its end, any other is left out completely, and the next reported one says how many steps were left out. A list whose
items last EVERY_S or longer is reported completely.
"""

from streamferry.relay import ItemChange, ItemStep

#: Two loops of the longest list there is.
BURST = 60
EVERY_S = 60.0


class ItemFilter:
    """The allowance of one task."""

    def __init__(self) -> None:
        self._allowance = float(BURST)
        self._refilled_at: float | None = None
        # Loop and item of the one that is being reported to its end.
        self._told: tuple[int, int] | None = None
        self._untold = 0

    def admit(self, change: ItemChange, now: float) -> int | None:
        """None if it is not to be reported; otherwise how many steps before it were left out."""
        which = (change.playhead.loop, change.playhead.item)
        if change.step is ItemStep.STARTED:
            is_told = self._take(now)
            self._told = which if is_told else None
        elif which == self._told:
            is_told = True
        else:
            # One that failed without having begun counts too, even while the previous one may still be playing.
            is_told = change.step is ItemStep.FAILED and self._take(now)
        if not is_told:
            self._untold += 1
            return None
        untold, self._untold = self._untold, 0
        return untold

    def _take(self, now: float) -> bool:
        if self._refilled_at is not None:
            self._allowance = min(BURST, self._allowance + (now - self._refilled_at) / EVERY_S)
        self._refilled_at = now
        if self._allowance < 1:
            return False
        self._allowance -= 1
        return True
