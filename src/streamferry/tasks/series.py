"""Windows that recur: a recurrence rule of RFC 5545 (3.3.10) by the clocks of a time zone. Pure; times are arguments.

Theory of operation. A series is a first window and a rule. Its windows are found by the clocks on a wall: the rule
gives the times at which they show the start, and each window ends when they show the end. So a window of 22:00 to 06:00
does so in every night, and windows of whole days leave no gap, although days of 23 and 25 hours come. A time that
clocks skip is read with the offset from before (RFC 5545, 3.3.5), and of one that they show twice the first is meant.

``dateutil`` finds the days. It does not refuse all that is wrong, so the parts are read here. It searches a rule that
has no match to the year 9999, in steps of the frequency: parts are taken only with frequencies for which there is
always one soon, or with months and years, of which there are few. No window is used that begins after ``HORIZON``, and
rules with more than ``MAX_STARTS_A_DAY`` windows a day are refused.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, tzinfo
from heapq import merge
from itertools import islice
from typing import Any, Literal, NamedTuple
from zoneinfo import ZoneInfo

from dateutil import rrule

from streamferry.reasons import Code
from streamferry.tasks.errors import InvalidField
from streamferry.tasks.times import instants_of

#: No window is looked for that begins later than this after the last one, or after now.
HORIZON = timedelta(days=5 * 366)
MAX_STARTS_A_DAY = 48
#: Of the times that are left out, and of those that are added.
MAX_DATES = 400
MAX_RULE_CHARS = 500
#: As many windows of a new series are compared, each with the next one.
_COMPARED = 200
_MAX_COUNT = 100_000
_FREQUENCIES: dict[str, Literal[0, 1, 2, 3]] = {
    "DAILY": rrule.DAILY,
    "WEEKLY": rrule.WEEKLY,
    "MONTHLY": rrule.MONTHLY,
    "YEARLY": rrule.YEARLY,
}
_DAYS: dict[str, rrule.weekday] = {name: getattr(rrule, name) for name in ("MO", "TU", "WE", "TH", "FR", "SA", "SU")}


class _Numbers(NamedTuple):
    """A part that holds numbers: the argument of ``rrule``, their range, whether they may count from the end, and the
    frequencies that the part may come with."""

    argument: str
    least: int
    greatest: int
    is_signed: bool
    frequencies: frozenset[str]


_ANY = frozenset(_FREQUENCIES)
_LONG = frozenset(("MONTHLY", "YEARLY"))
_NUMBERS = {
    "BYMONTH": _Numbers("bymonth", 1, 12, False, _ANY),
    "BYMONTHDAY": _Numbers("bymonthday", 1, 31, True, _LONG),
    "BYYEARDAY": _Numbers("byyearday", 1, 366, True, frozenset(("YEARLY",))),
    "BYWEEKNO": _Numbers("byweekno", 1, 53, True, frozenset(("YEARLY",))),
    "BYHOUR": _Numbers("byhour", 0, 23, False, _ANY),
    "BYMINUTE": _Numbers("byminute", 0, 59, False, _ANY),
    "BYSETPOS": _Numbers("bysetpos", 1, 366, True, _LONG),
}
_FIELD = "series.rule"
_LONG_AGO = datetime(1970, 1, 2, tzinfo=UTC)


class Window(NamedTuple):
    """From one time to another, aware and in UTC."""

    start_at: datetime
    end_at: datetime


@dataclass(frozen=True, slots=True)
class Series:
    """A series of windows. Made by :meth:`decide`, or from what was stored of one.

    ``rule``: as it was given, in capitals. ``first_at`` and ``until_at``: what the clocks of ``time_zone`` show at the
    start and the end of the first window, or of one that would come before it. ``exdates``: starts of windows that are
    not to be, and ``rdates`` those of more, by the same clocks. ``slate_from``: since when the task's
    slate is sent between its windows, until the last of them, instead of an end after each; None: it is not.
    """

    rule: str
    time_zone: str
    first_at: datetime
    until_at: datetime
    exdates: tuple[datetime, ...] = ()
    rdates: tuple[datetime, ...] = ()
    slate_from: datetime | None = None

    @classmethod
    def decide(
        cls, rule: str, time_zone: str, first: Window, exdates: Sequence[str], rdates: Sequence[str]
    ) -> "Series":
        """The series as a request gives it, with ``first`` as its first window. Raises InvalidField."""
        zone = read_zone("series.time_zone", time_zone)
        first_at, until_at = (at.astimezone(zone).replace(tzinfo=None, fold=0) for at in first)
        series = cls(
            rule.strip().upper().removeprefix("RRULE:"),
            time_zone,
            first_at,
            until_at,
            _read_dates("series.exdates", exdates),
            _read_dates("series.rdates", rdates),
        )
        if series.until_at <= series.first_at:
            # Clocks are put back in between.
            raise InvalidField("end_at", Code.FIELD_NOT_AFTER, field="start_at")
        if not series._check_overlaps():
            raise InvalidField(_FIELD, Code.SERIES_OVER)
        return series

    @property
    def first_window(self) -> Window:
        """The window that it begins with, or before."""
        zone = ZoneInfo(self.time_zone)
        return Window(_instant(self.first_at, zone), _instant(self.until_at, zone))

    @property
    def dates(self) -> tuple[list[str], list[str]]:
        """The starts that are left out and those that are added, as texts."""
        return [at.isoformat() for at in self.exdates], [at.isoformat() for at in self.rdates]

    def check(self) -> None:
        """Raise InvalidField for what cannot be used, as when an older or a newer version stored it."""
        _parse(self.rule, self.first_at, read_zone("series.time_zone", self.time_zone))

    def next(self, now: datetime) -> Window | None:
        """The window that runs at that time, or comes next; None after the last one."""
        return next(self.windows(now), None)

    def windows(self, after: datetime) -> Iterator[Window]:
        """Those that end after that time, in order, as far as ``HORIZON`` after each."""
        zone, length = ZoneInfo(self.time_zone), self.until_at - self.first_at
        last_start = None
        for local in self._starts(self._local(after) - length - timedelta(days=1)):
            start_at = _instant(local, zone)
            end_at = max(_instant(local + length, zone), start_at + timedelta(seconds=1))
            # Two times in the hour that clocks skip are the same.
            if end_at <= after or (last_start is not None and start_at <= last_start):
                continue
            last_start = start_at
            yield Window(start_at, end_at)

    @property
    def slate_between(self) -> bool:
        """Whether the slate is sent between its windows."""
        return self.slate_from is not None

    def with_slate(self, present: "Series | None", now: datetime) -> "Series":
        """The same, with the slate between its windows: from the first on, or as long as it has been in ``present``."""
        since = present.slate_from if present is not None else None
        if since is None or since > now:
            since = next(self.windows(_LONG_AGO)).start_at
        return replace(self, slate_from=since)

    def busy(self, after: datetime) -> Iterator[Window]:
        """For which times it has its destination: its windows, with what is between them if the slate is sent there."""
        since = self.slate_from
        for window in self.windows(after):
            yield window if since is None else Window(min(max(since, after), window.start_at), window.end_at)
            since = None if since is None else window.end_at

    def _starts(self, after: datetime) -> Iterator[datetime]:
        """What the clocks show at the starts from ``after`` on, in order."""
        rule, most, until = _parse(self.rule, self.first_at, ZoneInfo(self.time_zone))
        exdates, rdates = set(self.exdates), sorted(set(self.rdates) - set(self.exdates))
        ruled = iter(rule.replace(until=min(until, max(after, self.first_at) + HORIZON)))
        for at in merge(islice(ruled, most), rdates):
            if at >= after and at not in exdates:
                yield at

    def _check_overlaps(self) -> bool:
        """Whether there is a window. By the clocks on the wall: days of 23 hours do not matter. Raises InvalidField."""
        length, before = self.until_at - self.first_at, None
        for at in islice(self._starts(datetime.min), _COMPARED):
            if before is not None and before < at < before + length:
                raise InvalidField(_FIELD, Code.SERIES_OVERLAP, at=at.isoformat(sep=" ", timespec="minutes"))
            before = at
        return before is not None

    def _local(self, at: datetime) -> datetime:
        return at.astimezone(ZoneInfo(self.time_zone)).replace(tzinfo=None, fold=0)


def read_zone(field: str, name: str) -> tzinfo:
    """A time zone by its IANA name. Raises InvalidField."""
    try:
        if not name or len(name) > 64 or not name.isascii():
            raise ValueError
        return ZoneInfo(name)
    except (ValueError, OSError, KeyError):
        raise InvalidField(field, Code.SERIES_ZONE) from None


def overlap(one: Iterator[Window], other: Iterator[Window]) -> bool:
    """Whether a window of the one and one of the other have a moment in common; both are in order, and end."""
    left, right = next(one, None), next(other, None)
    while left is not None and right is not None:
        if left.start_at < right.end_at and right.start_at < left.end_at:
            return True
        if left.end_at <= right.end_at:
            left = next(one, None)
        else:
            right = next(other, None)
    return False


def _instant(local: datetime, zone: tzinfo) -> datetime:
    found = instants_of(local, zone)
    return found[0] if found else local.replace(tzinfo=zone, fold=0).astimezone(UTC)


def _read_dates(field: str, texts: Sequence[str]) -> tuple[datetime, ...]:
    if len(texts) > MAX_DATES:
        raise InvalidField(field, Code.SERIES_DATES, count=MAX_DATES)
    try:
        found = {datetime.fromisoformat(text).replace(microsecond=0) for text in texts}
    except ValueError:
        raise InvalidField(field, Code.SERIES_LOCAL_TIME) from None
    if any(at.tzinfo is not None or not 1970 <= at.year <= 9000 for at in found):
        raise InvalidField(field, Code.SERIES_LOCAL_TIME)
    return tuple(sorted(found))


class _Rule(NamedTuple):
    """A rule without its COUNT and its UNTIL, and these two; ``until`` by the clocks of the zone."""

    rule: rrule.rrule
    most: int | None
    until: datetime


def _parse(text: str, first_at: datetime, zone: tzinfo) -> _Rule:
    """Raises InvalidField."""
    parts: dict[str, str] = {}
    for part in text.split(";") if len(text) <= MAX_RULE_CHARS else [""]:
        name, equals, value = part.partition("=")
        if not equals or name in parts:
            raise InvalidField(_FIELD, Code.SERIES_RULE)
        parts[name] = value
    frequency = parts.pop("FREQ", "")
    if frequency in ("SECONDLY", "MINUTELY", "HOURLY"):
        raise InvalidField(_FIELD, Code.SERIES_TOO_OFTEN, count=MAX_STARTS_A_DAY)
    if frequency not in _FREQUENCIES or {"COUNT", "UNTIL"} <= parts.keys():
        raise InvalidField(_FIELD, Code.SERIES_RULE)
    most = _number(parts.pop("COUNT"), 1, _MAX_COUNT) if "COUNT" in parts else None
    until = _read_until(parts.pop("UNTIL"), zone) if "UNTIL" in parts else datetime.max
    arguments: dict[str, Any] = {}
    if "INTERVAL" in parts:
        arguments["interval"] = _number(parts.pop("INTERVAL"), 1, 1000)
        if frequency == "DAILY" and parts.keys() & {"BYDAY", "BYMONTH"}:
            raise InvalidField(_FIELD, Code.SERIES_PART, part="INTERVAL")
    if "WKST" in parts:
        arguments["wkst"] = _weekday(parts.pop("WKST"), 0)
    if parts.keys() == {"BYSETPOS"}:
        raise InvalidField(_FIELD, Code.SERIES_PART, part="BYSETPOS")
    if "BYDAY" in parts:
        weeks = {"MONTHLY": 5, "YEARLY": 0 if "BYWEEKNO" in parts else 52}.get(frequency, 0)
        arguments["byweekday"] = [_weekday(one, weeks) for one in parts.pop("BYDAY").split(",")]
    for name, value in parts.items():
        if name not in _NUMBERS or frequency not in _NUMBERS[name].frequencies:
            raise InvalidField(_FIELD, Code.SERIES_PART, part=name[:20])
        argument, least, greatest, is_signed, _ = _NUMBERS[name]
        arguments[argument] = [_number(one, least, greatest, is_signed=is_signed) for one in value.split(",")]
    if len(arguments.get("byhour", "1")) * len(arguments.get("byminute", "1")) > MAX_STARTS_A_DAY:
        raise InvalidField(_FIELD, Code.SERIES_TOO_OFTEN, count=MAX_STARTS_A_DAY)
    return _Rule(rrule.rrule(_FREQUENCIES[frequency], dtstart=first_at, **arguments), most, until)


def _number(text: str, least: int, greatest: int, *, is_signed: bool = False) -> int:
    digits = text.removeprefix("-" if text.startswith("-") else "+") if is_signed else text
    if not (digits.isascii() and digits.isdigit()) or not least <= int(digits) <= greatest:
        raise InvalidField(_FIELD, Code.SERIES_RULE)
    return -int(digits) if text.startswith("-") else int(digits)


def _weekday(text: str, weeks: int) -> rrule.weekday:
    """With the number of its week, up to ``weeks`` from either end; 0 for none."""
    day = _DAYS.get(text[-2:])
    if day is None:
        raise InvalidField(_FIELD, Code.SERIES_RULE)
    return day(_number(text[:-2], 1, weeks, is_signed=True)) if text[:-2] else day


def _read_until(text: str, zone: tzinfo) -> datetime:
    """The last moment, by the clocks of the zone. A date is the whole day."""
    for form, is_utc in (("%Y%m%dT%H%M%SZ", True), ("%Y%m%dT%H%M%S", False)):
        try:
            at = datetime.strptime(text, form)
        except ValueError:
            continue
        return at.replace(tzinfo=UTC).astimezone(zone).replace(tzinfo=None) if is_utc else at
    try:
        return datetime.strptime(text, "%Y%m%d") + timedelta(days=1, seconds=-1)
    except (ValueError, OverflowError):
        raise InvalidField(_FIELD, Code.SERIES_RULE) from None
