"""Lines of the log of a task: what is the same again and again stands there once."""

from datetime import UTC, datetime, timedelta
from typing import Any

from streamferry.web.dashboard.history import Line, lines_of
from streamferry.web.event_views import EventView

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)


def events(*told: tuple[str, dict[str, Any]]) -> list[EventView]:
    """Newest first, as they are read; given oldest first."""
    made = [
        EventView(
            id=seq,
            task_id="t",
            seq=seq,
            at=NOW + timedelta(seconds=seq),
            kind=kind,
            detail=detail,
            actor=None,
            request_id=None,
        )
        for seq, (kind, detail) in enumerate(told, 1)
    ]
    return made[::-1]


def short(lines: list[Line]) -> list[tuple[str, int, int]]:
    return [(line.newest.kind, line.count, line.oldest.seq) for line in lines]


REFUSED, CLOSED = {"fault": "user_destination", "reason": "refused"}, {"fault": "user_destination", "reason": "closed"}


def test_problems_that_repeat_are_one_line_with_their_number_and_since_when() -> None:
    """47 retries filled the log; the newest says why, the oldest since when."""
    told = events(("retrying", CLOSED), *[("retrying", REFUSED)] * 46, ("failed", REFUSED))
    lines = lines_of(told, "problems")
    assert short(lines) == [("failed", 1, 48), ("retrying", 47, 1)]
    assert lines[1].newest.detail["reason"] == "refused"


def test_among_all_events_only_what_is_the_same_is_folded() -> None:
    """Another reason is another line, and so is each file."""
    place = {"playhead": {"loop": 0, "item": 0, "position_ms": 0}}
    told = events(("retrying", CLOSED), *[("retrying", REFUSED)] * 2, ("item_started", place), ("item_started", place))
    assert short(lines_of(told, "all")) == [
        ("item_started", 1, 5),
        ("item_started", 1, 4),
        ("retrying", 2, 2),
        ("retrying", 1, 1),
    ]


def test_waiting_is_a_problem_only_with_a_reason() -> None:
    """A task that nobody has room for, and not one that was handed on."""
    told = events(("waiting", {}), ("waiting", {"fault": "service", "reason": "no worker has room"}))
    assert short(lines_of(told, "problems")) == [("waiting", 1, 2)]
