"""When a task runs, as it is in the form: texts that a user types, by the clocks of the user's zone."""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, tzinfo
from enum import StrEnum
from typing import Any

from streamferry.reasons import Code
from streamferry.tasks import checks
from streamferry.tasks.draft import CLEARED
from streamferry.tasks.errors import InvalidField
from streamferry.tasks.series import Series, Window
from streamferry.tasks.times import comes_twice, instants_of
from streamferry.tasks.windows import ENDLESS, Endless, SeriesDraft
from streamferry.web.views import TaskView

#: As ``<input type="datetime-local">`` writes it.
_TIME = "%Y-%m-%dT%H:%M"
_DAY = timedelta(days=1)


class Recurrence(StrEnum):
    """How often there is a window."""

    ONCE = "once"
    NEVER_ENDS = "never_ends"
    SERIES = "series"


#: Rules that can be chosen; any other is typed.
PRESETS = {
    "daily": "FREQ=DAILY",
    "weekdays": "FREQ=WEEKLY;BYDAY=MO,TU,WE,TH,FR",
    "weekly": "FREQ=WEEKLY",
    "monthly": "FREQ=MONTHLY",
}


@dataclass(slots=True)
class WindowValues:
    """See the module. ``start`` empty means now. ``exdates`` and ``rdates``: times, separated by commas or spaces.

    ``seen``: the task that is being changed, None for a new one."""

    zone: tzinfo
    start: str = ""
    end: str = ""
    recurrence: Recurrence = Recurrence.ONCE
    rule: str = PRESETS["daily"]
    time_zone: str = ""
    exdates: str = ""
    rdates: str = ""
    slate_between: bool = False
    seen: TaskView | None = None

    @classmethod
    def new(cls, zone: tzinfo, now: datetime) -> "WindowValues":
        """From now on for a day."""
        return cls(zone, end=(now + _DAY).astimezone(zone).strftime(_TIME), time_zone=str(zone))

    @classmethod
    def of(cls, task: TaskView, zone: tzinfo) -> "WindowValues":
        """That of a task that is to be changed. A series is shown by its own clocks where it is typed by them."""
        end_at, series = task.end_at, task.series
        values = cls(zone, task.start_at.astimezone(zone).strftime(_TIME), time_zone=str(zone), seen=task)
        if isinstance(end_at, datetime):
            values.end = end_at.astimezone(zone).strftime(_TIME)
        else:
            values.recurrence = Recurrence.NEVER_ENDS
        if series is not None:
            values.recurrence, values.rule, values.time_zone = Recurrence.SERIES, series.rule, series.time_zone
            values.slate_between = series.slate_between
            values.exdates, values.rdates = ", ".join(series.exdates), ", ".join(series.rdates)
        return values

    def copy(self, now: datetime) -> "WindowValues":
        """That of a new task that recurs as this one does, or ends as rarely, from now on."""
        return replace(self, start="", end=self.new(self.zone, now).end, seen=None)

    def start_at(self, now: datetime) -> datetime:
        """Raises InvalidField."""
        before = self.seen.start_at if self.seen else None
        return self._read_time(self.start, before) if self.start else now.replace(microsecond=0)

    def end_at(self) -> datetime | Endless:
        """Raises InvalidField."""
        if self.recurrence is Recurrence.NEVER_ENDS:
            return ENDLESS
        before = self.seen.end_at if self.seen else None
        return self._read_time(self.end, before if isinstance(before, datetime) else None)

    def draft(self, now: datetime) -> dict[str, Any]:
        """The fields of the draft. Raises InvalidField."""
        return {"start_at": self.start_at(now), "end_at": self.end_at(), "series": self._series() or CLEARED}

    def judge(self, judge: Callable[[str, Callable[[], object]], None], now: datetime, *, has_slate: bool) -> None:
        """Have each field judged. ``has_slate``: whether the form has one."""
        judge("start_at", lambda: self.start_at(now))
        judge("end_at", lambda: self._check_end(now))
        if (series := self._series()) is not None:
            judge("series.slate_between", lambda: _check_slate(series, has_slate=has_slate))
            with contextlib.suppress(InvalidField):
                end_at = self.end_at()
                first = Window(self.start_at(now), end_at) if isinstance(end_at, datetime) else None
                if first is not None and first.start_at < first.end_at:
                    for name in ("series.rule", "series.time_zone", "series.exdates", "series.rdates"):
                        judge(name, lambda name=name: _only(name, series, first))  # type: ignore[misc]

    def find_doubtful(self, now: datetime) -> Iterator[datetime]:
        """The ambiguous times of the window, as they are understood: in the zone, with its offset then.

        A field has no place for an offset. The task's own time stays; otherwise the first of the two is meant.
        """
        for text, is_start in ((self.start, True), (self.end, False)):
            with contextlib.suppress(InvalidField):
                at = self.start_at(now) if is_start else self.end_at()
                if text and isinstance(at, datetime) and comes_twice(at, self.zone):
                    yield at.astimezone(self.zone)

    def _series(self) -> SeriesDraft | None:
        if self.recurrence is not Recurrence.SERIES:
            return None
        return SeriesDraft(
            *(self.rule.strip(), self.time_zone.strip(), _times(self.exdates), _times(self.rdates)), self.slate_between
        )

    def _check_end(self, now: datetime) -> None:
        end_at = self.end_at()
        if isinstance(end_at, datetime):
            start_at = self.start_at(now)
            # A series may have begun with a window that is over.
            checks.check_window(start_at, end_at, start_at if self.recurrence is Recurrence.SERIES else now)

    def _read_time(self, text: str, before: datetime | None) -> datetime:
        """``before`` is kept to the second when the form, which has minutes only, still shows it."""
        if before is not None and text == before.astimezone(self.zone).strftime(_TIME):
            return before
        return read_local_time(text, self.zone)


def read_local_time(text: str, zone: tzinfo) -> datetime:
    """When the clocks of a zone show what ``<input type="datetime-local">`` wrote; of two such times the first.

    Raises InvalidField.
    """
    try:
        found = instants_of(datetime.strptime(text[:16], _TIME), zone)
    except (ValueError, OverflowError):
        raise InvalidField("time", Code.FIELD_DATE_AND_TIME) from None
    if not found:
        raise InvalidField("time", Code.FIELD_SKIPPED_TIME, zone=str(zone))
    return found[0]


def _times(text: str) -> list[str]:
    return text.replace(",", " ").split()


def _check_slate(series: SeriesDraft, *, has_slate: bool) -> None:
    if series.slate_between and not has_slate:
        raise InvalidField("series.slate_between", Code.SERIES_SLATE)


def _only(name: str, draft: SeriesDraft, first: Window) -> None:
    """Raise what is wrong with this field, and nothing else."""
    try:
        Series.decide(draft.rule, draft.time_zone, first, draft.exdates, draft.rdates)
    except InvalidField as error:
        if error.field == name:
            raise
