"""The position of a list, since when, and where it would be by now if it had not stopped. Pure: time is an argument.

A list with ContinueStrategy 1 resumes where it would be by the clock, whatever broke: its worker, its destination or
the sources of all its items.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from difflib import SequenceMatcher

from streamferry.relay.spec import ENDLESS, Item
from streamferry.relay.status import START, Playhead
from streamferry.timeline.pace import LEAD_MS

#: A position is advanced by at most this without a check of where its item ends (``tasks.schedule.LOST_STEP_MS``).
_SET_ON_MS = 1000


class ListPosition:
    """Follows the playhead of one run; ``now`` is monotonic, in seconds. ``lead_ms``: so much it is ahead of time."""

    def __init__(self, start: Playhead, now: float, lead_ms: int = LEAD_MS) -> None:
        self._lead_s = lead_ms / 1000
        self._playhead = start
        # A list that has not begun yet has nothing to catch up with.
        self._since: float | None = now if start != START else None
        self._ends_ms: dict[int, int] = {}

    def note(self, playhead: Playhead, now: float) -> None:
        """Note the list's current position, in terms of what was sent: that is one lead ahead of time."""
        if playhead != self._playhead:
            self._playhead, self._since = playhead, now + self._lead_s

    def hold(self, now: float) -> None:
        """The list stands still."""
        self._since = now

    def note_end(self, item: int, end_ms: int | None) -> None:
        """Note where an item ends, if that is known."""
        if end_ms is not None:
            self._ends_ms[item] = end_ms

    def follow(self, before: Sequence[Item], after: Sequence[Item]) -> None:
        """The list was edited."""
        self._playhead, is_kept = move(self._playhead, before, after)
        if not is_kept:
            self._since = None
        self._ends_ms = move_ends(self._ends_ms, before, after)

    def by(self, now: float, items: Sequence[Item], loops: int) -> Playhead | None:
        """Where the list would be; None when it would have been played out."""
        if self._since is None:
            return self._playhead
        spans_ms = [
            (round(item.start_s * 1000), self._ends_ms.get(index) or round(item.end_s * 1000) or None)
            for index, item in enumerate(items)
        ]
        return advance(self._playhead, round((now - self._since) * 1000), spans_ms, loops)


def move(at: Playhead, before: Sequence[object], after: Sequence[object]) -> tuple[Playhead, bool]:
    """Where a position in ``before`` is after an edit, and whether that item still exists.

    At the item itself, wherever it was moved to; instead of a removed one at what replaced it, otherwise at what comes
    next, which may be in the next loop.
    """
    item, is_kept = _find(at.item, before, after)
    if is_kept:
        return replace(at, item=item), True
    return (Playhead(at.loop, item) if item < len(after) else Playhead(at.loop + 1)), False


def move_ends(ends_ms: Mapping[int, int], before: Sequence[object], after: Sequence[object]) -> dict[int, int]:
    """The known ends of items, by index, after the list was edited."""
    moved = ((_find(item, before, after), end_ms) for item, end_ms in ends_ms.items())
    return {item: end_ms for (item, is_kept), end_ms in moved if is_kept}


def _find(item: int, before: Sequence[object], after: Sequence[object]) -> tuple[int, bool]:
    if item >= len(before):
        return 0, False
    gone_to = 0
    for change, first, last, new_first, new_last in SequenceMatcher(None, before, after, False).get_opcodes():
        if first <= item < last:
            gone_to = new_first + item - first
            if change == "equal":
                return gone_to, True
            gone_to = min(gone_to, new_last)
    moved_to = [at for at, one in enumerate(after) if one == before[item]]
    return (min(moved_to, key=lambda at: abs(at - item)), True) if moved_to else (gone_to, False)


def advance(
    broke: Playhead, elapsed_ms: int, spans_ms: Sequence[tuple[int, int | None]], loops: int
) -> Playhead | None:
    """Where a list is ``elapsed_ms`` after it was at ``broke``; None when it was played out by then.

    A ``broke`` just after the end of its item is as far into what follows. ``spans_ms`` has for each item the position
    where it begins and the one where it ends, both from the file's start; an end that is not known yet is None.
    Only the item itself can tell whether it is that long, so the list continues in it, however far; a run that finds
    nothing there continues with the next item.
    """
    if not spans_ms:
        return broke
    start_ms, end_ms = spans_ms[broke.item]
    behind_ms = 0 if end_ms is None else max(0, broke.position_ms - end_ms)
    if behind_ms > _SET_ON_MS:
        # The file is longer than it was when its end was seen: it was replaced, or it broke off that time.
        spans_ms, behind_ms = [*spans_ms[: broke.item], (start_ms, None), *spans_ms[broke.item + 1 :]], 0
    left_ms = behind_ms + max(0, elapsed_ms)
    if left_ms == 0:
        return broke
    loop, item, position_ms = broke.loop, broke.item, max(broke.position_ms, start_ms)
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
