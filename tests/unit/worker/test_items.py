"""Which steps of a list's items are reported."""

from streamferry.relay import ItemChange, ItemStep, Playhead
from streamferry.worker.items import BURST, EVERY_S, ItemFilter


def play(items: ItemFilter, loops: int, length_s: float, at: float = 0.0) -> list[tuple[float, ItemStep, int]]:
    """A clip in a loop: when which step was told, and how many were left out before it."""
    told = []
    for loop in range(loops):
        begin = at + loop * length_s
        for now, step in ((begin, ItemStep.STARTED), (begin + length_s, ItemStep.FINISHED)):
            untold = items.admit(ItemChange(step, Playhead(loop)), now)
            if untold is not None:
                told.append((now, step, untold))
    return told


def test_films_are_told_completely() -> None:
    """Items that last as long as the allowance takes to grow: each begins and ends, for ever."""
    told = play(ItemFilter(), 2000, EVERY_S)
    assert [step for _, step, _ in told] == [ItemStep.STARTED, ItemStep.FINISHED] * 2000
    assert not any(untold for _, _, untold in told)


def test_a_clip_of_two_seconds_looped_for_a_week_floods_nobody() -> None:
    """The first ones are told, then one a minute, each to its end; what was left out is counted."""
    week_s = 7 * 24 * 3600
    told = play(ItemFilter(), week_s // 2, 2.0)
    pairs = len(told) // 2
    assert BURST + week_s / EVERY_S * 0.99 <= pairs <= BURST + week_s / EVERY_S + 1
    assert [step for _, step, _ in told] == [ItemStep.STARTED, ItemStep.FINISHED] * pairs
    assert sum(untold for _, _, untold in told) + len(told) >= week_s - 2 * EVERY_S


def test_an_item_that_fails_while_another_plays_takes_nothing_from_it() -> None:
    """The next item is opened ahead: its failure is told, and so is the end of the one that plays."""
    items = ItemFilter()
    steps = (
        ItemChange(ItemStep.STARTED, Playhead(0, 0)),
        ItemChange(ItemStep.FAILED, Playhead(0, 1)),
        ItemChange(ItemStep.FINISHED, Playhead(0, 0, 900)),
    )
    assert [items.admit(step, 1.0) for step in steps] == [0, 0, 0]


def test_a_list_that_only_fails_is_bounded_too() -> None:
    """Each failure takes from the allowance."""
    items = ItemFilter()
    told = [items.admit(ItemChange(ItemStep.FAILED, Playhead(loop)), loop * 0.5) for loop in range(1000)]
    assert BURST <= len([one for one in told if one is not None]) <= BURST + 500 / EVERY_S + 1
