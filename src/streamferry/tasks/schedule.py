"""When a task needs attention, and where its list resumes after a break. Pure: the time is an argument.

Theory of operation. Each run row has a due time, the moment from which a worker may claim it; none means that there is
nothing to do until somebody changes the task, or that a worker has it. Workers query for what is due, so the cost
depends on what is due and not on what is stored. A task that is due after its window is not claimed but concluded.

All times are Unix milliseconds on the store's clock.
"""

from collections.abc import Sequence

from streamferry.relay.list_position import advance
from streamferry.relay.status import Playhead
from streamferry.tasks.model import ContinueStrategy

#: A worker claims a task this long before its StartTime, so that it starts at the time and not after it.
LOOK_AHEAD_MS = 5_000
#: A run that ended with a fault that no retry fixes is still tried again, but rarely: the file at the address may have
#: been replaced.
RETRY_FAILED_MS = 60_000
#: A worker's clock may say that EndTime has come this long before the store's does.
END_TOLERANCE_MS = 500
#: A list whose worker vanished resumes this far after its saved position, or at the keyframe before that. On average
#: the list had played for a quarter of a second since then, and in files with a keyframe each second the last one is
#: half a second back: so it resumes at the keyframe closest to the break, before or after it.
LOST_STEP_MS = 750


def decide_due(*, enabled: bool, finished: bool, start_ms: int, end_ms: int, now_ms: int) -> int | None:
    """When a task that nobody runs may be claimed, or must be concluded. None: never, unless it is changed."""
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
    """Where a list resumes that broke at ``broke``, ``elapsed_ms`` ago; None when it would have been played out.

    ``spans_ms`` as in :func:`streamferry.relay.list_position.advance`.
    """
    return advance(broke, 0 if strategy is ContinueStrategy.AT_BREAK else elapsed_ms, spans_ms, loops)
