"""A file that is to be inserted, as it is typed: each field judged at once, times by the clocks of the visitor."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from streamferry.control.address_rules import address_rules
from streamferry.net.folders import Folders
from streamferry.tasks.inputs import InputSourceDraft
from streamferry.web.dashboard.insert_values import InsertValues, When
from streamferry.web.dashboard.source_values import SourceValues

RULES = address_rules(Folders.of([]))
BERLIN = ZoneInfo("Europe/Berlin")
URL = "https://h.example/ad.mp4"


@pytest.mark.parametrize(
    ("values", "wrong"),
    [
        (InsertValues(UTC), {"file.url"}),
        (InsertValues(UTC, SourceValues("rtmp://h.example/live/a")), {"file.url"}),
        (InsertValues(UTC, SourceValues(URL, "2:00", "1:00")), {"file.end_s"}),
        (InsertValues(UTC, SourceValues(URL, "soon")), {"file.start_s", "file.end_s"}),
        (InsertValues(UTC, SourceValues(URL), When.AT_TIME), {"at"}),
        (
            InsertValues(UTC, SourceValues("", "x", ""), When.AT_TIME, "noon"),
            {"file.url", "file.start_s", "file.end_s", "at"},
        ),
        (InsertValues(BERLIN, SourceValues(URL), When.AT_TIME, "2027-03-28T02:30"), {"at"}),
        (InsertValues(UTC, SourceValues(URL, "1:00", "2:00"), When.AT_TIME, "2027-03-28T02:30"), set()),
        (InsertValues(UTC, SourceValues(URL), When.NOW, "noon"), set()),
        (InsertValues(UTC, SourceValues(URL), When.AFTER_ITEM, "noon"), set()),
    ],
)
def test_everything_that_is_wrong_is_said_at_its_field(values: InsertValues, wrong: set[str]) -> None:
    """At once; a time that is not asked for is not judged."""
    assert values.find_problems(RULES).keys() == wrong


def test_what_was_typed_becomes_the_order() -> None:
    """Offsets as seconds, a time by the clocks of the zone, no time but where one is asked for."""
    values = InsertValues(BERLIN, SourceValues(f" {URL} ", "1:30", "0:02:00"), When.AT_TIME, "2026-12-01T20:00")
    assert values.draft() == InputSourceDraft(URL, 90.0, 120.0)
    assert values.read_at() == datetime(2026, 12, 1, 19, tzinfo=UTC)
    for when in (When.NOW, When.AFTER_ITEM):
        values.when = when
        assert values.read_at() is None


@pytest.mark.parametrize("when", When)
def test_a_refusal_of_the_actions_is_shown_at_a_field_that_is_seen(when: When) -> None:
    """What is wrong with the time that nobody typed is wrong with the choice of it."""
    values = InsertValues(UTC, when=when)
    assert [values.place_of(name) for name in ("url", "start_s", "end_s")] == ["file.url", "file.start_s", "file.end_s"]
    assert values.place_of("at") == ("at" if when is When.AT_TIME else "when")
    assert (values.place_of("after_item"), values.place_of("task_id")) == ("when", "task_id")
