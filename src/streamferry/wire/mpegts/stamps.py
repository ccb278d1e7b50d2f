"""Stamps of 33 bits at 90 kHz, on a clock that goes on. Specification: ISO/IEC 13818-1, 2.4.3.7."""

_BITS = 33
MASK = (1 << _BITS) - 1
HALF_TURN = 1 << _BITS - 1
#: After so many ticks stamps begin anew.
TURN_TICKS = 1 << _BITS


def unwrapped(stamp: int, last: int | None) -> int:
    """The reading of a stamp that is nearest to the last one, in ticks.

    The first is read a turn late, so that what comes before it does not become negative; all clocks begin so.
    """
    if last is None:
        return stamp + TURN_TICKS
    return last + (stamp - last + HALF_TURN & MASK) - HALF_TURN
