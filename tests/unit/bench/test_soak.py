"""What the soak concludes from its minutes."""

from typing import Any

import pytest

from soak import GUESTS, faults, growth

RESIDENTS = 3


def minute() -> dict[str, Any]:
    """One in which nothing was missing."""
    seen = {"uneven": 0, "lost": 0, "new_streams": 0, "backwards": 0, "min_advance_ms": 45_000}
    streams = RESIDENTS + GUESTS
    return {
        "seconds": 45.0,
        "coming": {**seen, "new_streams": GUESTS},
        "sink": {**seen, "streams": streams, "fresh": streams},
        "going": {**seen, "lost": GUESTS},
        "source": {"dropped": 0},
        "host": {"dropped_tags": 0},
    }


def test_a_minute_in_which_guests_come_and_go_is_without_fault() -> None:
    """They are the streams that end."""
    assert faults(minute(), RESIDENTS) == []


@pytest.mark.parametrize(
    ("part", "what", "count", "told"),
    [
        ("coming", "uneven", 1, "1 video stamps not one frame after the last (coming)"),
        ("going", "uneven", 2, "2 video stamps not one frame after the last (going)"),
        ("going", "lost", GUESTS + 1, f"{GUESTS + 1} streams ended, not {GUESTS}"),
        ("host", "dropped_tags", 4, "4 frames dropped"),
        (
            "sink",
            "fresh",
            RESIDENTS,
            f"{RESIDENTS} of {RESIDENTS + GUESTS} streams publishing, not {RESIDENTS + GUESTS}",
        ),
    ],
)
def test_what_is_missing_is_told(part: str, what: str, count: int, told: str) -> None:
    """Also outside the window: while guests come and go."""
    found = minute()
    found[part][what] = count
    assert faults(found, RESIDENTS) == [told]


def test_growth_is_from_least_to_least() -> None:
    """A minute at whose end something had not gone yet is not the rule."""
    files = [67, 70, 67, 67, 67, 90, 67, 71, 68, 68, 68, 68]
    assert growth([{"files": count} for count in files], "files") == 1
    assert growth([{"files": count} for count in range(60, 75)], "files") == 10
