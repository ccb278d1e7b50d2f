"""The window of a task as a request gives it, and what becomes of it: from a start to an end, without an end, or again
and again. Pure.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import Final

from streamferry.reasons import Code
from streamferry.tasks import checks
from streamferry.tasks.errors import InvalidField
from streamferry.tasks.model import TaskSpec
from streamferry.tasks.series import Series, Window
from streamferry.tasks.times import NEVER

#: A series may not begin longer ago: its windows are counted from there.
MAX_AGE = timedelta(days=366)


class Endless(Enum):
    """See ``ENDLESS``."""

    NEVER = "never"


#: An end that never comes.
ENDLESS: Final = Endless.NEVER


@dataclass(frozen=True, slots=True)
class SeriesDraft:
    """Windows that recur, see ``Series``: the first begins and ends as the task does, or comes later."""

    rule: str
    time_zone: str
    exdates: Sequence[str] = ()
    rdates: Sequence[str] = ()
    slate_between: bool = False


def decide_window(
    start_at: datetime | None,
    end_at: datetime | Endless | None,
    given: object,
    current: TaskSpec | None,
    now: datetime,
) -> tuple[datetime, datetime, Series | None]:
    """Start and end in UTC, of a series those of the window that runs or comes next; and the series.

    What is None stays. ``given``: a SeriesDraft, None, or anything else for no series. Raises InvalidField.
    """
    start_at = _decide_time("start_at", start_at, current.start_at if current else None)
    asks_endless = isinstance(end_at, Endless)
    end_at = _decide_time(
        "end_at", NEVER if isinstance(end_at, Endless) else end_at, current.end_at if current else None
    )
    is_endless = asks_endless or (current is not None and end_at == current.end_at == NEVER)
    present = current.series if current else None
    is_moved = current is None or (start_at, end_at) != (current.start_at, current.end_at)
    if isinstance(given, SeriesDraft):
        asked = given
    elif given is None and present is not None:
        asked = SeriesDraft(present.rule, present.time_zone, *present.dates, present.slate_between)
    else:
        # The title of a task that has ended may be changed, even by a client that sends the window again.
        if is_moved or present is not None:
            checks.check_window(start_at, end_at, now, is_endless=is_endless)
        return start_at, end_at, None
    first = Window(start_at, end_at) if is_moved or present is None else present.first_window
    series = _decide_series(asked, first, now, is_new=is_moved or present is None)
    if asked.slate_between:
        series = series.with_slate(present, now)
    if series == present:
        return start_at, end_at, series
    window = series.next(now)
    if window is None:
        raise InvalidField("series.rule", Code.SERIES_OVER)
    return *window, series


def _decide_series(asked: SeriesDraft, first: Window, now: datetime, *, is_new: bool) -> Series:
    if first.end_at == NEVER:
        raise InvalidField("end_at", Code.SERIES_NEVER_ENDS)
    if first.end_at <= first.start_at:
        raise InvalidField("end_at", Code.FIELD_NOT_AFTER, field="start_at")
    if first.end_at - first.start_at > checks.MAX_WINDOW:
        raise InvalidField("end_at", Code.FIELD_WINDOW_TOO_LONG, field="start_at")
    if is_new and now - first.start_at > MAX_AGE:
        raise InvalidField("start_at", Code.SERIES_OLD)
    return Series.decide(asked.rule, asked.time_zone, first, asked.exdates, asked.rdates)


def _decide_time(field: str, given: datetime | None, present: datetime | None) -> datetime:
    chosen = given or present
    if chosen is None:
        raise InvalidField(field, Code.FIELD_REQUIRED)
    return checks.check_time(field, chosen)
