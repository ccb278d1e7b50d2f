"""What plays when, by the clock."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import islice

import pytest
from task_samples import make_spec

from streamferry.media.url import MediaUrl
from streamferry.relay.spec import LEAD_MS
from streamferry.relay.status import Playhead
from streamferry.tasks.guide import Entry, guide
from streamferry.tasks.model import TaskItem, TaskKind, TaskSpec
from streamferry.tasks.series import Series, Window

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
LEAD = timedelta(milliseconds=LEAD_MS)


def seconds(count: float) -> datetime:
    return NOON + timedelta(seconds=count)


def listed(*, loops: int = -1, ends_s: tuple[float, ...] = (10, 20), lasts_s: float = 100) -> TaskSpec:
    url = MediaUrl.parse("https://files.example/a.mp4")
    items = tuple(TaskItem(url, 2.0, end_s) for end_s in ends_s)
    return make_spec(kind=TaskKind.VOD, items=items, loops=loops, start_at=NOON, end_at=seconds(lasts_s))


def shown(entries: list[Entry]) -> list[tuple[float, float | None, int | None, int | None]]:
    return [
        (
            (one.start_at - NOON).total_seconds(),
            None if one.end_at is None else (one.end_at - NOON).total_seconds(),
            one.loop,
            one.item,
        )
        for one in entries
    ]


def test_a_list_that_has_not_begun() -> None:
    """From its start on, until its window is over."""
    found = list(guide(listed(lasts_s=40), (), None, None, seconds(-60), seconds(-60)))
    assert shown(found) == [(0, 8, 0, 0), (8, 26, 0, 1), (26, 34, 1, 0), (34, 40, 1, 1)]


def test_a_list_that_plays_goes_on_from_where_it_is() -> None:
    """What was sent last is due one lead later."""
    found = islice(guide(listed(), (), Playhead(4, 1, 5000), seconds(30) - LEAD, seconds(30), seconds(30)), 2)
    assert shown(list(found)) == [(27, 45, 4, 1), (45, 53, 5, 0)]


def test_ends_that_were_seen_go_before_those_that_were_asked_for() -> None:
    """A file may be shorter."""
    found = islice(guide(listed(), (5000, None), None, None, NOON, NOON), 2)
    assert shown(list(found)) == [(0, 3, 0, 0), (3, 21, 0, 1)]


def test_after_an_item_of_unknown_length_nothing_is_told() -> None:
    """Rather than something wrong."""
    assert shown(list(guide(listed(ends_s=(10, 0, 20)), (), None, None, NOON, NOON))) == [(0, 8, 0, 0), (8, None, 0, 1)]


def test_a_list_that_is_played_a_number_of_times_ends() -> None:
    """Before its window does."""
    assert shown(list(guide(listed(loops=1), (), None, None, NOON, NOON))) == [(0, 8, 0, 0), (8, 26, 0, 1)]
    assert not list(guide(listed(loops=3), (), None, None, NOON, seconds(90)))


def test_what_plays_far_ahead_is_not_counted_item_by_item() -> None:
    """Of a window without an end."""
    spec = replace(listed(), end_at=datetime(9998, 1, 1, tzinfo=UTC))
    first = next(guide(spec, (), None, None, NOON, NOON + timedelta(days=2000)))
    loops = timedelta(days=2000) // timedelta(seconds=26)
    assert (first.loop, first.item) == (
        loops,
        0 if timedelta(days=2000) % timedelta(seconds=26) < timedelta(seconds=8) else 1,
    )


def test_files_without_a_length_do_not_turn_for_ever() -> None:
    """Such as a list of files that were all found to be empty."""
    assert not list(guide(listed(), (2000, 2000), None, None, NOON, NOON))


@pytest.mark.parametrize("kind", list(TaskKind))
def test_a_series_begins_anew_in_each_window(kind: TaskKind) -> None:
    """With its first item."""
    series = Series.decide("FREQ=DAILY;COUNT=3", "UTC", Window(NOON, seconds(9)), (), ())
    spec = replace(listed(lasts_s=9), series=series, kind=kind, items=listed().items[: 1 + kind])
    found = shown(list(guide(spec, (), None, None, seconds(-5), seconds(-5))))
    day = 24 * 3600.0
    if kind is TaskKind.LIVE:
        assert found == [(n * day, n * day + 9, None, None) for n in range(3)]
    else:
        assert found == [
            (n * day + at, n * day + end, 0, item) for n in range(3) for at, end, item in ((0, 8, 0), (8, 9, 1))
        ]
