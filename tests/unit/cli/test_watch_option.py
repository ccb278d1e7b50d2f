"""What ``--watch`` says, as fields of REST."""

from typing import Any

import pytest

from streamferry.cli.task_air import air_fields


@pytest.mark.parametrize(
    ("told", "rules"),
    [
        (["black"], {"black": {}}),
        (
            ["silent=-50/30", "frozen=/60"],
            {"silent": {"threshold": -50.0, "duration_s": 30.0}, "frozen": {"duration_s": 60.0}},
        ),
        (["black+switch"], {"black": {"switches": True}}),
        (["silent=-50/30+switch"], {"silent": {"threshold": -50.0, "duration_s": 30.0, "switches": True}}),
        (["none"], {}),
    ],
)
def test_a_rule_has_a_threshold_a_duration_and_may_switch(told: list[str], rules: dict[str, Any]) -> None:
    """What is not said has its default; ``none`` is no rule at all."""
    assert air_fields({"watch": told}) == {"watch": rules}


@pytest.mark.parametrize("told", ["silent=loud", "silent=-50/long", "black+act", "black+switch+switch", "black=+"])
def test_what_cannot_be_read_is_refused_by_name(told: str) -> None:
    """With what it would have to look like."""
    with pytest.raises(ValueError, match=r"--watch: .* must be like"):
        air_fields({"watch": [told]})
