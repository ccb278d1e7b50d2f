"""ItemFilter: which steps of a list's items are reported, so that a list of short files floods nobody. Pure.

A film of an hour is worth a word when it begins and when it ends; the 300,000 loops that a clip of two seconds makes in
a week are not. So each task has an allowance of items: BURST at once, and one more each EVERY_S. An item that is let
through is told to its end, one that is not is left out whole, and the next that is told says how many steps were left
out. A list whose items last EVERY_S or longer is told completely.
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
        # Loop and item of the one that is told to its end.
        self._told: tuple[int, int] | None = None
        self._untold = 0

    def admit(self, change: ItemChange, now: float) -> int | None:
        """None if it is not to be told; else how many steps before it were not."""
        which = (change.playhead.loop, change.playhead.item)
        if change.step is ItemStep.STARTED:
            is_told = self._take(now)
            self._told = which if is_told else None
        elif which == self._told:
            is_told = True
        else:
            # One that failed without having begun counts too, while the one before it may be playing still.
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
