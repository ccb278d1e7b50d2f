"""Which input is on air, by tables."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamferry.reasons import Code, Reason
from streamferry.relay.inputs.policy import SLATE, Health, Switching, decide_input, opens_in_s, wanted_inputs

NOW = 1000.0
RULES = Switching()
BY_HAND = Switching(returns=False)
FROZEN = Reason.of(Code.SOURCE_NO_KEYFRAME)

GONE = Health(alive_at=NOW - 100)
NEVER = Health()
#: It stopped a moment ago; and it stopped as long ago as makes a switch.
BRIEFLY = Health(alive_at=NOW - 2.9, well_since=NOW - 100)
SILENT = Health(alive_at=NOW - 3, well_since=NOW - 100)
LOST = Health(alive_at=NOW - 2.9, well_since=None)
WELL = Health(alive_at=NOW, well_since=NOW - 100)
NEW = Health(alive_at=NOW, well_since=NOW - 0.5)
BACK = Health(alive_at=NOW, well_since=NOW - 29.9)
FROZEN_ONE = Health(alive_at=NOW, well_since=NOW - 100, content=FROZEN)


@pytest.mark.parametrize(
    ("healths", "on_air", "rules", "has_slate", "pinned", "expected"),
    [
        # Nothing is wrong: nothing changes.
        ([WELL, WELL], 0, RULES, True, None, None),
        ([BRIEFLY, WELL], 0, RULES, True, None, None),
        ([LOST, WELL], 0, RULES, True, None, None),
        # Down: the next that is well, else the slate, else nothing else.
        ([SILENT, WELL], 0, RULES, True, None, (1, "on_air.down")),
        ([SILENT, NEW], 0, RULES, True, None, (1, "on_air.down")),
        ([SILENT, GONE, WELL], 0, RULES, True, None, (2, "on_air.down")),
        ([SILENT, GONE], 0, RULES, True, None, (SLATE, "on_air.down")),
        ([SILENT, GONE], 0, RULES, False, None, None),
        ([SILENT], 0, RULES, True, None, (SLATE, "on_air.down")),
        # What it sends is not worth showing.
        ([FROZEN_ONE, WELL], 0, RULES, True, None, (1, FROZEN.code)),
        ([FROZEN_ONE, FROZEN_ONE], 0, RULES, True, None, (SLATE, FROZEN.code)),
        ([FROZEN_ONE, FROZEN_ONE], 0, RULES, False, None, None),
        ([FROZEN_ONE, WELL], 1, RULES, True, None, None),
        # Back, after it has been well; by hand only where that is asked for.
        ([WELL, WELL], 1, RULES, True, None, (0, "on_air.back")),
        ([BACK, WELL], 1, RULES, True, None, None),
        ([GONE, WELL, WELL], 2, RULES, True, None, (1, "on_air.back")),
        ([WELL, WELL], 1, BY_HAND, True, None, None),
        ([WELL, SILENT], 1, BY_HAND, True, None, (0, "on_air.down")),
        ([WELL, SILENT], 1, RULES, True, None, (0, "on_air.down")),
        # The slate: until an input has settled, whichever is the first by then.
        ([NEVER], SLATE, RULES, True, None, None),
        ([NEW], SLATE, RULES, True, None, None),
        ([BACK], SLATE, RULES, True, None, (0, "on_air.well")),
        ([GONE, WELL], SLATE, BY_HAND, True, None, (1, "on_air.well")),
        # By hand.
        ([WELL, WELL], 0, RULES, True, 1, (1, "on_air.by_hand")),
        ([WELL, GONE], 0, RULES, True, 1, None),
        ([SILENT, GONE], 0, RULES, True, 1, (SLATE, "on_air.down")),
        ([WELL, WELL], 1, RULES, True, 1, None),
        ([WELL, SILENT], 1, RULES, True, 1, (0, "on_air.down")),
        ([WELL, WELL], 0, RULES, True, SLATE, (SLATE, "on_air.by_hand")),
        ([WELL, WELL], SLATE, RULES, True, SLATE, None),
        ([WELL, WELL], 0, RULES, False, SLATE, None),
        ([WELL, WELL], SLATE, RULES, True, 1, (1, "on_air.by_hand")),
        # Who pins an input has seen what is in it.
        ([FROZEN_ONE, WELL], 0, RULES, True, 0, None),
        ([WELL, FROZEN_ONE], 0, RULES, True, 1, (1, "on_air.by_hand")),
        ([FROZEN_ONE, FROZEN_ONE], SLATE, RULES, True, 1, (1, "on_air.by_hand")),
        ([FROZEN_ONE, WELL], SLATE, RULES, True, None, (1, "on_air.well")),
        ([FROZEN_ONE], SLATE, RULES, True, None, None),
    ],
)
def test_what_is_on_air(
    healths: list[Health],
    on_air: int,
    rules: Switching,
    has_slate: bool,
    pinned: int | None,
    expected: tuple[int, str] | None,
) -> None:
    """The table of the module, line by line."""
    choice = decide_input(healths, on_air, rules, NOW, has_slate=has_slate, pinned=pinned)
    assert (None if choice is None else (choice.which, choice.why.code)) == expected


@pytest.mark.parametrize("pinned", [None, 0, SLATE])
@pytest.mark.parametrize("healths", [[WELL], [SILENT], [FROZEN_ONE], [NEVER]])
def test_while_no_window_is_open_the_slate_is_on_air(healths: list[Health], pinned: int | None) -> None:
    """However well an input is, and whatever was asked for by hand; also while there is no slate yet."""
    for has_slate in (True, False):
        choice = decide_input(healths, 0, RULES, NOW, has_slate=has_slate, pinned=pinned, is_open=False)
        assert choice is not None
        assert (choice.which, choice.why.code) == (SLATE, "on_air.between")
    assert decide_input(healths, SLATE, RULES, NOW, has_slate=True, pinned=pinned, is_open=False) is None


@pytest.mark.parametrize(
    ("windows", "at", "expected"),
    [
        ((), 50, 0),
        (((10, 20),), 5, 5),
        (((10, 20),), 10, 0),
        (((10, 20),), 19.9, 0),
        (((10, 20),), 20, math.inf),
        (((10, 20), (30, 40)), 20, 10),
        (((10, 20), (20, 40)), 20, 0),
        (((10, 20), (30, 40)), 35, 0),
        (((10, 20), (30, 40)), 40, math.inf),
    ],
)
def test_when_a_window_opens(windows: tuple[tuple[float, float], ...], at: float, expected: float) -> None:
    """A window has its start, and not its end."""
    assert opens_in_s(windows, at) == expected


@pytest.mark.parametrize(
    ("healths", "on_air", "rules", "pinned", "expected"),
    [
        ([WELL, GONE, GONE], 0, RULES, None, [True, False, True]),
        ([SILENT, GONE, GONE], 0, RULES, None, [True, True, True]),
        ([Health(alive_at=NOW - 1), GONE, GONE], 0, RULES, None, [True, True, True]),
        ([GONE, WELL, GONE], 1, RULES, None, [True, True, True]),
        ([GONE, WELL, GONE], 1, BY_HAND, None, [False, True, True]),
        ([WELL, GONE, GONE], 0, RULES, 1, [True, True, True]),
        ([GONE, GONE, GONE], SLATE, RULES, SLATE, [True, True, True]),
        ([FROZEN_ONE, GONE, GONE], 0, RULES, None, [True, True, True]),
    ],
)
def test_what_is_kept_open(
    healths: list[Health], on_air: int, rules: Switching, pinned: int | None, expected: list[bool]
) -> None:
    """A cold input only while it may be needed; the third is warm."""
    assert wanted_inputs(healths, [False, False, True], on_air, rules, NOW, pinned=pinned) == expected


def test_an_input_is_well_from_the_end_of_its_fault_on():
    """However long it has sent: it is not shown again at once."""
    health = Health(alive_at=NOW, well_since=NOW - 100)
    health.note_content(FROZEN, NOW - 50)
    assert not health.is_well(NOW, 3.0)
    health.note_content(None, NOW)
    assert (health.is_well(NOW, 3.0), health.well_since) == (True, NOW)
    health.note_content(None, NOW + 1)
    assert health.well_since == NOW


@given(
    st.lists(
        st.tuples(st.floats(0, 200), st.one_of(st.none(), st.floats(0, 200)), st.booleans()), min_size=1, max_size=5
    ),
    st.integers(-1, 4),
    st.one_of(st.none(), st.integers(-1, 4)),
    st.booleans(),
)
def test_what_is_chosen_can_be_shown_and_stays(
    ages: list[tuple[float, float | None, bool]], on_air: int, pinned: int | None, returns: bool
) -> None:
    """Whatever the inputs do: a choice is another than what is on air, can be shown, and is not taken back."""
    healths = [
        Health(NOW - age, None if well is None else NOW - max(age, well), FROZEN if is_frozen else None)
        for age, well, is_frozen in ages
    ]
    rules = Switching(returns=returns)
    on_air, pinned = min(on_air, len(ages) - 1), None if pinned is None else min(pinned, len(ages) - 1)
    for has_slate in (False, True):
        choice = decide_input(healths, on_air, rules, NOW, has_slate=has_slate, pinned=pinned)
        seen = [on_air]
        while choice is not None:
            assert choice.which not in seen
            if choice.which == SLATE:
                assert has_slate
            else:
                health = healths[choice.which]
                assert health.is_sending(NOW, 3.0) if choice.which == pinned else health.is_well(NOW, 3.0)
            seen.append(choice.which)
            choice = decide_input(healths, choice.which, rules, NOW, has_slate=has_slate, pinned=pinned)


def test_an_input_is_well_again_only_after_a_pause_without_another() -> None:
    """Media with pauses shorter than that is one stretch; a longer one begins another."""
    health = Health()
    for at in (0.0, 2.0, 4.9, 7.8):
        health.note_alive(at, 3.0)
    assert health.well_since == 0.0
    health.note_alive(10.8, 3.0)
    assert health.well_since == 10.8
    health.note_gone()
    assert not health.is_well(10.9, 3.0)
