"""What the benchmark of cost concludes from its figures."""

from pathlib import Path

import pytest

from density import BEFORE, CPU_BARS, ROWS, Figures, judge, ratios, rows_asked
from results import Bar
from windows import Measured


def measured(row: str, *cpu: float | None, failures: tuple[str, ...] = ()) -> Figures:
    """A row with the figures of some rounds."""
    figures = Figures(row)
    for percent in cpu:
        figures.close_round(Measured(row, percent, None if percent is None else 0.1, failures=list(failures)))
    return figures


def bar_of_list(mine: Figures, floor: Figures) -> Bar:
    """That of a list against the floor."""
    bars = judge({"list": mine, "floor list": floor})
    return next(bar for bar in bars if bar.what == "CPU of list / floor list")


def test_a_ratio_is_taken_within_each_round() -> None:
    """A machine that gets slower by the round changes no ratio."""
    mine, theirs = measured("a", 1.0, 2.0, 4.0), measured("b", 2.0, 4.0, 8.0)
    assert ratios(mine, theirs) == [0.5, 0.5, 0.5]


def test_a_round_without_a_figure_is_left_out_and_the_others_stay_paired() -> None:
    """The second round of one row is not compared with the third of the other."""
    mine, theirs = measured("a", 1.0, None, 3.0), measured("b", 2.0, 4.0, 4.0)
    assert ratios(mine, theirs) == [0.5, 0.75]
    assert mine.cpu_percent == 2.0


@pytest.mark.parametrize(("cpu", "passed"), [((0.3, 0.1, 0.1), True), ((0.3, 0.3, 0.1), False)])
def test_a_bar_is_passed_by_the_median_of_the_ratios(cpu: tuple[float, ...], passed: bool) -> None:
    """One bad round of three does not decide; two do."""
    assert bar_of_list(measured("list", *cpu), measured("floor list", 0.1, 0.1, 0.1)).passed is passed


@pytest.mark.parametrize("broken", ["list", "floor list"])
def test_a_row_that_failed_fails_its_bars(broken: str) -> None:
    """However good its figure is: streams that do not arrive cost nothing."""
    mine, floor = (
        measured(name, 0.1, failures=("3 streams left",) if name == broken else ()) for name in ("list", "floor list")
    )
    assert not bar_of_list(mine, floor).passed


def test_every_bar_compares_rows_that_there_are() -> None:
    """A bar of a misspelt row would never be tested."""
    assert {name for row, peer, _ in CPU_BARS for name in (row, peer)} <= ROWS.keys()


def test_rows_are_chosen_by_parts_of_their_names_and_another_checkout_follows_each_of_ours() -> None:
    """Paired rows run one after the other."""
    assert list(rows_asked("list,haproxy pieces", None, False)) == [
        "haproxy pieces",
        "list",
        "floor list",
        "floor in Python list",
        "ffmpeg list",
    ]
    paired = list(rows_asked("list", Path("/elsewhere"), True))
    assert paired == ["list", BEFORE + "list", "floor list", "floor in Python list"]
    assert list(rows_asked("", None, False)) == list(ROWS)
