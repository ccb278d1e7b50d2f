"""What plays when, by the clock: the items of a list one after the other, as far as their lengths are known. Pure.

It says what will be if nothing breaks. Of a list that plays it goes on from where that is now.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import chain

from streamferry.relay.spec import LEAD_MS
from streamferry.relay.status import Playhead
from streamferry.tasks.model import TaskItem, TaskKind, TaskSpec
from streamferry.tasks.series import Window

#: Windows of a series that are looked through at once.
_WINDOWS = 1000


@dataclass(frozen=True, slots=True)
class Entry:
    """From one time to another. ``item`` and ``loop`` are None for a live source. ``end_at`` None: not known, and
    so nothing after it either, in this window. ``is_slate``: the slate between two windows."""

    start_at: datetime
    end_at: datetime | None
    item: int | None
    loop: int | None
    is_slate: bool = False


def guide(
    spec: TaskSpec,
    ends_ms: Sequence[int | None],
    playhead: Playhead | None,
    playhead_at: datetime | None,
    now: datetime,
    since: datetime,
) -> Iterator[Entry]:
    """What plays at ``since`` and after that, which is not before ``now``; it may never end.

    ``ends_ms``: where each item ends, in ms from its file's start; ``playhead``: what was sent last, and when.
    """
    present = Window(spec.start_at, spec.end_at)
    over_at = spec.series.slate_from if spec.series else None
    later = (one for one in spec.series.windows(now) if one != present) if spec.series else iter(())
    for number, window in enumerate(chain((present,), later)):
        if number >= _WINDOWS:
            return
        if over_at is not None:
            if since < window.start_at and max(over_at, now) < window.start_at:
                yield Entry(max(over_at, now), window.start_at, None, None, is_slate=True)
            over_at = window.end_at
        if window.end_at <= since:
            continue
        plays = number == 0 and playhead is not None and playhead_at is not None
        if spec.kind is TaskKind.LIVE:
            yield Entry(window.start_at, window.end_at, None, None)
        elif plays and playhead is not None and playhead_at is not None:
            due_at = playhead_at + timedelta(milliseconds=LEAD_MS)
            yield from _list(spec, _spans(spec.items, ends_ms), playhead, due_at, window, since)
        else:
            # A window that began in the past begins now.
            begin_at = max(window.start_at, now)
            yield from _list(spec, _spans(spec.items, ends_ms), Playhead(), begin_at, window, since)


def _spans(items: Sequence[TaskItem], ends_ms: Sequence[int | None]) -> list[tuple[int, int | None]]:
    known = [*ends_ms, *(None for _ in items)]
    return [
        (round(item.start_s * 1000), end_ms if end_ms is not None else round(item.end_s * 1000) or None)
        for item, end_ms in zip(items, known, strict=False)
    ]


def _list(
    spec: TaskSpec,
    spans_ms: Sequence[tuple[int, int | None]],
    at: Playhead,
    due_at: datetime,
    window: Window,
    since: datetime,
) -> Iterator[Entry]:
    """The list from a position that is due at a time."""
    position_ms = max(at.position_ms, spans_ms[at.item][0])
    start_at = due_at - timedelta(milliseconds=position_ms - spans_ms[at.item][0])
    loop, item = at.loop, at.item
    lengths = [end - start for start, end in spans_ms if end is not None and end > start]
    whole = timedelta(milliseconds=sum(lengths)) if len(lengths) == len(spans_ms) else None
    while start_at < window.end_at and (spec.loops < 0 or loop < spec.loops):
        if item == 0 and whole and since - start_at > whole:
            # Not one by one.
            skipped = (since - start_at) // whole
            skipped = skipped if spec.loops < 0 else min(skipped, spec.loops - loop)
            start_at, loop = start_at + skipped * whole, loop + skipped
            continue
        begin_ms, end_ms = spans_ms[item]
        if end_ms is None:
            yield Entry(start_at, None, item, loop)
            return
        end_at = min(start_at + timedelta(milliseconds=max(0, end_ms - begin_ms)), window.end_at)
        if end_at > since and end_at > start_at:
            yield Entry(start_at, end_at, item, loop)
        elif not lengths:
            return
        start_at, item = end_at, item + 1
        if item == len(spans_ms):
            item, loop = 0, loop + 1
