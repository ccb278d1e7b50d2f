"""Windows that recur."""

import random
from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise
from zoneinfo import ZoneInfo

import pytest

from streamferry.tasks.errors import InvalidField
from streamferry.tasks.series import HORIZON, Series, Window, overlap

NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)  # a Monday


def local(text: str, zone: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)


def series(
    rule: str, start: str, end: str, zone: str = "UTC", *, exdates: tuple[str, ...] = (), rdates: tuple[str, ...] = ()
) -> Series:
    return Series.decide(rule, zone, Window(local(start, zone), local(end, zone)), exdates, rdates)


def shown(one: Series, count: int, after: datetime = NOW) -> list[str]:
    zone = ZoneInfo(one.time_zone)
    return [
        f"{window.start_at.astimezone(zone):%m-%d %H:%M}-{window.end_at.astimezone(zone):%H:%M}"
        for window in islice(one.windows(after), count)
    ]


def test_weekly_on_two_days_by_the_clocks_of_the_zone() -> None:
    """Windows begin at the same time by the clocks, whatever the offset is; the one that runs now comes first."""
    one = series("FREQ=WEEKLY;BYDAY=MO,WE", "2026-01-05T20:00", "2026-01-05T21:30", "Asia/Shanghai")
    assert shown(one, 3) == ["01-05 20:00-21:30", "01-07 20:00-21:30", "01-12 20:00-21:30"]
    assert shown(one, 1, local("2026-01-05T21:30", "Asia/Shanghai")) == ["01-07 20:00-21:30"]


@pytest.mark.parametrize(
    ("day", "start", "end", "hours"),
    [
        ("2026-03-28", "22:00", "06:00", 7),  # the night to the 29th is an hour shorter in Berlin
        ("2026-10-24", "22:00", "06:00", 9),  # the one to October 25th an hour longer
        ("2026-03-29", "02:30", "04:00", 0.5),  # 02:30 does not come: it is 03:30
        ("2026-10-25", "02:30", "04:00", 2.5),  # 02:30 comes twice: the first is meant
    ],
)
def test_nights_in_which_clocks_are_put_forward_and_back(day: str, start: str, end: str, hours: float) -> None:
    """A window begins and ends when the clocks on the wall say so."""
    last = "2026-01-05T" + end if start < end else "2026-01-06T" + end
    one = series("FREQ=DAILY", f"2026-01-05T{start}", last, "Europe/Berlin")
    middle = local(f"{day}T12:00", "Europe/Berlin") if start > end else local(f"{day}T00:30", "Europe/Berlin")
    window = next(found for found in one.windows(NOW) if found.start_at > middle)
    assert (window.end_at - window.start_at) == timedelta(hours=hours)


def test_windows_of_whole_days_leave_no_gap() -> None:
    """Neither on the day of 23 hours, nor on that of 25."""
    one = series("FREQ=DAILY", "2026-01-05T06:00", "2026-01-06T06:00", "America/New_York")
    found = list(islice(one.windows(NOW), 400))
    assert all(before.end_at == after.start_at for before, after in pairwise(found))
    assert {(window.end_at - window.start_at).total_seconds() / 3600 for window in found} == {23, 24, 25}


def test_exceptions_and_additions() -> None:
    """A window that is left out does not come, one that is rdates does, each only once."""
    one = series(
        "FREQ=DAILY;COUNT=4",
        "2026-01-06T20:00",
        "2026-01-06T21:00",
        exdates=("2026-01-07T20:00:00", "2026-01-30T20:00:00"),
        rdates=("2026-01-20T09:00:00", "2026-01-08T20:00:00", "2026-01-30T20:00:00"),
    )
    assert shown(one, 9) == ["01-06 20:00-21:00", "01-08 20:00-21:00", "01-09 20:00-21:00", "01-20 09:00-10:00"]


@pytest.mark.parametrize(
    ("until", "last"), [("20260107", "01-07"), ("20260107T200000Z", "01-07"), ("20260107T195959Z", "01-06")]
)
def test_the_last_day_of_a_series(until: str, last: str) -> None:
    """UNTIL is included; a date is the whole day."""
    one = series(f"FREQ=DAILY;UNTIL={until}", "2026-01-06T20:00", "2026-01-06T21:00")
    assert shown(one, 9)[-1].startswith(last)


@pytest.mark.parametrize(
    ("rule", "first"),
    [
        ("FREQ=MONTHLY;BYDAY=-1FR", "01-30"),
        ("FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1", "01-30"),
        ("FREQ=MONTHLY;BYMONTHDAY=-1", "01-31"),
        ("RRULE:freq=yearly;bymonth=2;bymonthday=29", "02-29"),
        ("FREQ=YEARLY;BYWEEKNO=20;BYDAY=MO", "05-11"),
        ("FREQ=WEEKLY;INTERVAL=2;WKST=SU;BYDAY=SU", "01-18"),
    ],
)
def test_rules_as_calendars_write_them(rule: str, first: str) -> None:
    """Parts of RFC 5545 mean what it says."""
    assert shown(series(rule, "2026-01-05T20:00", "2026-01-05T21:00"), 1)[0].startswith(first)


@pytest.mark.parametrize(
    ("rule", "says"),
    [
        ("", "recurrence rule"),
        ("every day", "recurrence rule"),
        ("FREQ=DAILY\nDTSTART:20260101", "recurrence rule"),
        ("FREQ=SECONDLY", "at most 48 times a day"),
        ("FREQ=HOURLY", "at most 48 times a day"),
        ("FREQ=DAILY;BYHOUR=" + ",".join(map(str, range(24))) + ";BYMINUTE=0,1,2", "at most 48"),
        ("FREQ=DAILY;COUNT=0", "recurrence rule"),
        ("FREQ=DAILY;INTERVAL=0", "recurrence rule"),
        ("FREQ=DAILY;COUNT=2;UNTIL=20260301", "recurrence rule"),
        ("FREQ=DAILY;FREQ=DAILY", "recurrence rule"),
        ("FREQ=DAILY;BYEASTER=0", "BYEASTER cannot be used"),
        ("FREQ=WEEKLY;BYMONTHDAY=3", "BYMONTHDAY cannot be used"),
        ("FREQ=DAILY;BYMONTHDAY=30;BYMONTH=2", "BYMONTHDAY cannot be used"),
        ("FREQ=DAILY;INTERVAL=7;BYDAY=TU", "INTERVAL cannot be used"),
        ("FREQ=WEEKLY;BYSETPOS=300;BYDAY=TU", "BYSETPOS cannot be used"),
        ("FREQ=WEEKLY;BYDAY=1MO", "recurrence rule"),
        ("FREQ=MONTHLY;BYDAY=6MO", "recurrence rule"),
        ("FREQ=MONTHLY;BYMONTHDAY=0", "recurrence rule"),
        ("FREQ=MONTHLY;BYMONTHDAY=٣", "recurrence rule"),
        ("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30", "no window is left"),
        ("FREQ=DAILY;UNTIL=20250101", "no window is left"),
        ("FREQ=DAILY;BYHOUR=20,21;BYMINUTE=30", "before the one before it has ended"),
        ("FREQ=DAILY;" + "BYHOUR=1;" * 100, "recurrence rule"),
    ],
)
def test_a_rule_that_cannot_be_used_is_refused(rule: str, says: str) -> None:
    """With the field, and what is wrong with it."""
    with pytest.raises(InvalidField, match=says) as caught:
        series(rule, "2026-01-05T20:00", "2026-01-05T21:10")
    assert caught.value.field == "series.rule"


@pytest.mark.parametrize(
    "zone", ["", "Mars/Base", "../etc/passwd", "/etc/localtime", "Europe/Berlin\0", "x" * 300, "Ö"]
)
def test_a_zone_that_does_not_exist_is_refused(zone: str) -> None:
    """A name is looked up among zones, and never as a path."""
    with pytest.raises(InvalidField, match="IANA"):
        Series.decide("FREQ=DAILY", zone, Window(NOW, NOW + timedelta(hours=1)), (), ())


@pytest.mark.parametrize("text", ["tomorrow", "2026-01-07T20:00:00Z", "2026-01-07T20:00:00+08:00", "0001-01-01"])
def test_an_exception_is_a_time_by_the_clocks_of_the_zone(text: str) -> None:
    """An offset would say something else than the zone."""
    with pytest.raises(InvalidField, match="without an offset"):
        series("FREQ=DAILY", "2026-01-05T20:00", "2026-01-05T21:00", exdates=(text,))


def test_two_series_overlap() -> None:
    """As soon as one window of each does."""
    mornings = series("FREQ=DAILY", "2026-01-06T06:00", "2026-01-06T07:00")
    fridays = series("FREQ=WEEKLY;BYDAY=FR", "2026-01-06T06:30", "2026-01-06T08:00")
    evenings = series("FREQ=DAILY", "2026-01-06T18:00", "2026-01-06T19:00")
    assert overlap(mornings.windows(NOW), islice(fridays.windows(NOW), 50))
    assert not overlap(islice(mornings.windows(NOW), 50), islice(evenings.windows(NOW), 50))


def test_whatever_a_rule_says_its_windows_are_in_order_and_it_is_found_out_soon() -> None:
    """Rules put together by chance: each is refused by name, or gives windows one after the other."""
    chance = random.Random(5545)
    days = ["MO", "TU", "-1FR", "+2SU", "5MO", "WE", "53TH", "XX"]
    taken = 0
    for _ in range(30):
        parts = [f"FREQ={chance.choice(['DAILY', 'WEEKLY', 'MONTHLY', 'YEARLY'])}"]
        for name, values in {
            "INTERVAL": [1, 2, 7, 999, -1],
            "COUNT": [1, 3, 400, 0],
            "UNTIL": ["20270101", "20260201T000000Z", "20250101", "99999999"],
            "BYDAY": days,
            "BYMONTH": [1, 2, 6, 12, 13],
            "BYMONTHDAY": [1, 29, 31, -1, -31, 0],
            "BYYEARDAY": [1, 366, -366, -1],
            "BYWEEKNO": [1, 53, -1, -53],
            "BYHOUR": [0, 2, 3, 23, 24],
            "BYMINUTE": [0, 30, 59],
            "BYSETPOS": [1, -1, 366, -366],
            "WKST": ["MO", "SU", "1MO"],
        }.items():
            if chance.random() < 0.2:
                chosen = chance.sample(values, min(len(values), chance.choice([1, 1, 2])))
                parts.append(f"{name}={','.join(map(str, chosen))}")
        zone = chance.choice(["UTC", "Europe/Berlin", "Australia/Lord_Howe", "Pacific/Apia", "Asia/Shanghai"])
        try:
            one = series(";".join(parts), "2026-01-05T02:15", "2026-01-05T02:45", zone)
        except InvalidField:
            continue
        found = list(islice(one.windows(NOW), 50))
        taken += bool(found)
        assert all(window.start_at < window.end_at for window in found), parts
        assert all(before.start_at < after.start_at for before, after in pairwise(found)), parts
        assert all(window.start_at - NOW < HORIZON + timedelta(days=2) for window in found), parts
    assert taken > 2
