"""The time ranges that usage queries may have, with their steps."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from streamferry.reasons import Code
from streamferry.store.usage_sums import FINE_DAYS
from streamferry.tasks.errors import InvalidField

_HISTORY = timedelta(days=366)
_QUARTER = timedelta(days=93)
#: Step in seconds -> the longest range for it; the numbers are the cloud API's.
DURATION_STEPS = {60: timedelta(days=1), 3600: _QUARTER, 86400: _QUARTER}
BANDWIDTH_STEPS = {300: timedelta(days=31), 3600: _QUARTER, 86400: _QUARTER}
#: All of them.
STEPS = DURATION_STEPS | BANDWIDTH_STEPS
#: Points of one answer: 31 days by 300 s of ten groups. More are megabytes that nobody draws, made while others wait.
MAX_POINTS = 100_000


@dataclass(frozen=True, slots=True)
class Range:
    """A checked range of time with its step."""

    start_at: datetime
    end_at: datetime
    step_s: int

    @property
    def steps(self) -> int:
        """How many steps; the last one may be partial."""
        return -(-(self.end_at - self.start_at) // timedelta(seconds=self.step_s))


def check_range(
    start_at: datetime, end_at: datetime, step_s: int, steps: Mapping[int, timedelta], now: datetime
) -> Range:
    """A checked range. ``steps``: step in seconds -> the longest range. Raises InvalidField."""
    if step_s not in steps:
        raise InvalidField("step_s", Code.FIELD_STEP, steps=tuple(map(str, sorted(steps))))
    if end_at <= start_at:
        raise InvalidField("end_at", Code.FIELD_NOT_AFTER, field="start_at")
    if end_at - start_at > steps[step_s]:
        days = steps[step_s].days
        raise InvalidField("end_at", Code.FIELD_RANGE_TOO_LONG, days=days, field="start_at", other_field="step_s")
    if start_at < now - _HISTORY:
        raise InvalidField("start_at", Code.FIELD_TOO_LONG_AGO, days=_HISTORY.days)
    fine_days = FINE_DAYS.get(step_s)
    if fine_days is not None and start_at < now - timedelta(days=fine_days):
        raise InvalidField("start_at", Code.FIELD_STEPS_TOO_LONG_AGO, days=fine_days, field="step_s")
    return Range(start_at, end_at, step_s)


def check_points(asked: Range, series: int) -> None:
    """Check that so many series of a range fit one answer. Raises InvalidField."""
    points = asked.steps * series
    if points > MAX_POINTS:
        raise InvalidField(
            "end_at",
            Code.FIELD_RANGE_MANY_POINTS,
            points=points,
            count=MAX_POINTS,
            field="step_s",
        )
