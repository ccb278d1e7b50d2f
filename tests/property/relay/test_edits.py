"""Edits of a list on air: any at all, several in a row."""

from hypothesis import given
from hypothesis import strategies as st

from streamferry.relay import Playhead, move, move_ends

LISTS = st.text("abcde", min_size=1, max_size=8)


@given(LISTS, LISTS, st.data())
def test_an_edit_leads_to_a_place_in_the_new_list(before, after, data):
    """The same item, at the same moment of it, if it is there; else a beginning, of this loop or the next."""
    at = Playhead(3, data.draw(st.integers(0, len(before) - 1)), 4_000)
    moved, is_kept = move(at, before, after)
    assert 0 <= moved.item < len(after)
    assert is_kept == (before[at.item] in after)
    if is_kept:
        assert (after[moved.item], moved.loop, moved.position_ms) == (before[at.item], 3, 4_000)
    else:
        assert moved.position_ms == 0
        assert moved.loop == 3 or moved == Playhead(4)


@given(LISTS, LISTS, LISTS, st.integers(0, 7))
def test_what_is_left_alone_stays_around_an_edit(before, old, new, cut):
    """An item that plays before or behind what was edited keeps its distance to that end of the list."""
    head, tail = before[:cut], before[cut:].upper()
    for item in range(len(head) + len(old) + len(tail)):
        if item < len(head):
            expected = item
        elif item >= len(head) + len(old):
            expected = item + len(new) - len(old)
        else:
            continue
        if (head + old + tail).count((head + old + tail)[item]) == 1 and (head + new + tail)[expected] not in new:
            moved, is_kept = move(Playhead(0, item), head + old + tail, head + new + tail)
            assert (moved.item, is_kept) == (expected, True)


@given(LISTS)
def test_no_edit_is_no_move(items):
    """Also where the list has an item several times."""
    for item in range(len(items)):
        assert move(Playhead(1, item, 7), items, items) == (Playhead(1, item, 7), True)


@given(st.permutations("abcdef"), st.permutations("abcdef"))
def test_ends_move_with_their_items(before, after):
    """What is known of an item is known of it wherever it was put."""
    ends_ms = {item: ord(name) for item, name in enumerate(before)}
    assert move_ends(ends_ms, before, after) == {item: ord(name) for item, name in enumerate(after)}
