"""What is on air, as it is given by hand."""

import pytest

from streamferry.cli.input_options import parse_slate
from streamferry.cli.task_air import air_fields


def test_the_slate_and_the_rules_of_switching() -> None:
    """Each alone, for a change of it; the text is of the card that is given, or that is there."""
    assert air_fields({"returns": False}) == {"switching": {"returns": False}}
    assert air_fields({"switch_after": 5.0, "one_form": "first"}) == {
        "switching": {"switch_after_s": 5.0, "normalize": "first"}
    }
    assert air_fields({"slate": "Soon", "slate_text": "at 8"})["slate"] == {
        "kind": "card",
        "title": "Soon",
        "text": "at 8",
    }
    assert air_fields({"slate_text": "at 9"}) == {"slate": {"text": "at 9"}}
    assert air_fields({"slate": "none"}) == {"slate": None}
    with pytest.raises(ValueError, match="--slate-text"):
        air_fields({"slate": "none", "slate_text": "at 9"})


@pytest.mark.parametrize("place", ["/srv/media/soon.mp4", "file:///srv/media/soon.mp4", "https://h.example/soon.mp4"])
def test_a_slate_that_is_a_file_is_played(place: str) -> None:
    """Its address was written on a card: a path for tasks, and the address of a file for a relay."""
    assert air_fields({"slate": place})["slate"] == {"kind": "clip", "clip": place}
    made = parse_slate(place)
    assert made is not None
    assert made.clip is not None
    assert made.clip.shown.endswith("soon.mp4")
