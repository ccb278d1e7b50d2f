"""Times on the command line where clocks are put forward and back: what is shown can be given again and is the same."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from streamferry.cli.time_arguments import read_past, read_time, show_time

NOW = datetime(2027, 1, 1, tzinfo=UTC)
#: Zone, a time that does not come, what comes in its place; zone, a time that comes twice, its offsets.
FORWARD = [
    ("Europe/Berlin", "2027-03-28T02:30", "2027-03-28T03:30"),
    ("America/New_York", "2027-03-14T02:30", "2027-03-14T03:30"),
    ("Australia/Lord_Howe", "2027-10-03T02:15", "2027-10-03T02:45"),
]
BACK = [
    ("Europe/Berlin", "2027-10-31T02:30", "+02:00", "+01:00"),
    ("America/New_York", "2027-11-07T01:30", "-04:00", "-05:00"),
    ("Australia/Lord_Howe", "2027-04-04T01:45", "+11:00", "+10:30"),
]


@pytest.fixture
def zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """This machine's zone, for a while."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", request.param)
        time.tzset()
        yield request.param
    time.tzset()


@pytest.mark.parametrize(("zone", "text", "instead"), FORWARD, indirect=["zone"])
def test_a_time_that_does_not_come_is_refused_with_what_to_write(zone: str, text: str, instead: str) -> None:
    """It was taken for an hour before or after, without a word."""
    for read, option in ((read_time, "--start"), (read_past, "--since")):
        with pytest.raises(ValueError, match=f"^{option}: {text} does not come .* write {instead}, or"):
            read(option, text, NOW)


def test_a_span_without_end_is_refused() -> None:
    """With its option; it ended in a traceback."""
    with pytest.raises(ValueError, match=r"^--end: \+9+d9+d9+d is later than the year 9999$"):
        read_time("--end", "+999999d999999d999999d", NOW)


@pytest.mark.parametrize(("zone", "text", "first", "second"), BACK, indirect=["zone"])
def test_a_time_that_comes_twice_is_refused_with_both(zone: str, text: str, first: str, second: str) -> None:
    """And either of them is taken as it is written in the answer."""
    with pytest.raises(ValueError, match=r"^--end: .* comes twice .* write (\S+) or (\S+)$") as refused:
        read_time("--end", text, NOW)
    *_, one, _, other = str(refused.value).split()
    assert (one, other) == (f"{text}{first}", f"{text}{second}")
    assert read_time("--end", one, NOW) < read_time("--end", other, NOW)


@pytest.mark.parametrize("zone", [*(one[0] for one in BACK), "UTC", "Asia/Shanghai"], indirect=True)
def test_what_is_shown_is_the_same_time_when_it_is_given(zone: str) -> None:
    """Every five minutes of the days on which clocks change, and only there with an offset."""
    edges = {datetime.fromisoformat(one[1][:10]).replace(tzinfo=UTC) for one in (*FORWARD, *BACK)}
    offsets = 0
    for edge in edges:
        for minutes in range(-1440, 2880, 5):
            at = edge + timedelta(minutes=minutes)
            shown = show_time(at)
            offsets += len(shown) > len("2027-10-31 02:30")
            assert read_time("--start", shown, NOW) == at
    # Two hours in the zones of whole hours, one in that of half an hour.
    assert offsets == {"UTC": 0, "Asia/Shanghai": 0, "Australia/Lord_Howe": 12}.get(zone, 24)


@pytest.mark.parametrize("zone", ["Europe/Berlin"], indirect=True)
def test_spans_are_elapsed_time(zone: str) -> None:
    """A day is 24 hours, also the one of 23."""
    begin = read_time("--start", "2027-03-27T12:00", NOW)
    assert show_time(read_time("--end", "+1d", begin), seconds=True) == "2027-03-28 13:00:00"
