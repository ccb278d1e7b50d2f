"""When a task needs attention, and where its list goes on after a break. Pure: the time is an argument.

Theory of operation. Each run row has a due time, the moment from which a worker may claim it; none means that there is
nothing to do until somebody changes the task, or that a worker has it. Whoever looks for work asks for what is due, so
a look costs what is due and not what is stored. A task that is due after its window is not claimed but concluded.

All times are Unix milliseconds on the store's clock.
"""

from collections.abc import Sequence

from streamferry.control.model import ContinueStrategy
from streamferry.relay import ENDLESS, Playhead

#: A worker claims a task this long before its StartTime, so that it starts at the time and not after it.
LOOK_AHEAD_MS = 5_000
#: Why a run that ended with a fault that no retry mends is tried again all the same, but rarely: the file at the
#: address may have been replaced.
RETRY_FAILED_MS = 60_000
#: A worker's clock may say that EndTime has come this long before the store's does.
END_TOLERANCE_MS = 500


def decide_due(*, enabled: bool, finished: bool, start_ms: int, end_ms: int, now_ms: int) -> int | None:
    """From when on a task that nobody runs may be claimed, or must be concluded. None: never, as it stands."""
    if not enabled or finished:
        return None
    if is_over(end_ms, now_ms):
        return now_ms
    return max(now_ms, start_ms - LOOK_AHEAD_MS)


def is_over(end_ms: int, now_ms: int) -> bool:
    """Whether a window that ends at ``end_ms`` is over, but for the tolerance between two clocks."""
    return now_ms >= end_ms - END_TOLERANCE_MS


def decide_playhead(
    broke: Playhead,
    elapsed_ms: int,
    strategy: ContinueStrategy,
    spans_ms: Sequence[tuple[int, int | None]],
    loops: int,
) -> Playhead | None:
    """Where a list goes on that broke at ``broke``, ``elapsed_ms`` ago; None when it would have been played out.

    ``spans_ms`` has for each item the position where it begins and the one where it ends, both from the file's start;
    an end that nobody has seen yet is None. Only the item itself can tell whether it is that long, so the list goes on
    in it, however far; a run that finds nothing there goes on with the next item.
    """
    if strategy is ContinueStrategy.AT_BREAK or elapsed_ms <= 0 or not spans_ms:
        return broke
    loop, item, position_ms = broke.loop, broke.item, max(broke.position_ms, spans_ms[broke.item][0])
    left_ms = elapsed_ms
    loop_ms = _length_of(spans_ms)
    while True:
        end_ms = spans_ms[item][1]
        if end_ms is None or left_ms < end_ms - position_ms:
            return Playhead(loop, item, position_ms + left_ms)
        left_ms -= max(0, end_ms - position_ms)
        item += 1
        if item == len(spans_ms):
            item, loop = 0, loop + 1
            if loop_ms == 0:
                return Playhead(loop, 0, spans_ms[0][0])
            if loop_ms is not None:
                # Whole loops at once: a pause of a week costs no more than one of a second.
                loop, left_ms = loop + left_ms // loop_ms, left_ms % loop_ms
        if loops != ENDLESS and loop >= loops:
            return None
        position_ms = spans_ms[item][0]


def _length_of(spans_ms: Sequence[tuple[int, int | None]]) -> int | None:
    """Length of a whole loop, or None as long as an end is unknown."""
    total = 0
    for start_ms, end_ms in spans_ms:
        if end_ms is None:
            return None
        total += max(0, end_ms - start_ms)
    return total
