"""How many workers a cluster gets."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamferry.service.demand import QUIET_S, Size, Spare, decide_slots

SIZE = Size(least=2, most=10, cpus=1.0, capacity=100)


@pytest.mark.parametrize(
    ("fullness", "waiting", "slots"),
    [
        ((), 0, 2),
        ((), 1, 2),
        ((), 141, 3),
        ((0.5, 0.5), 0, 2),
        ((0.7, 0.7), 0, 2),
        ((0.71, 0.7), 0, 3),
        ((0.7,) * 7, 0, 7),
        # Full by bits a second with few streams: those that wait need more workers all the same.
        ((1.0, 1.0), 30, 4),
        ((0.1,) * 5, 0, 2),
        ((1.0,) * 10, 5_000, 10),
    ],
)
def test_workers_are_as_many_as_keep_seven_tenths_of_their_room_taken(
    fullness: tuple[float, ...], waiting: int, slots: int
) -> None:
    """What they have and what waits takes 70 % of their room, from the least to the most."""
    assert decide_slots(fullness, waiting, SIZE) == slots


@given(st.lists(st.floats(0, 2), max_size=20), st.integers(0, 10_000), st.integers(0, 500))
def test_more_work_never_means_fewer_workers(fullness: list[float], waiting: int, more: int) -> None:
    """Whatever there is, it is within the limits, and grows with the tasks that wait."""
    few, many = (decide_slots(fullness, count, SIZE) for count in (waiting, waiting + more))
    assert SIZE.least <= few <= many <= SIZE.most


def test_the_emptiest_leaves_when_it_was_to_spare_for_ten_minutes() -> None:
    """And the next one ten minutes later, so that tasks move slowly. One that does not run goes first."""
    spare, loads = Spare(), {"a": 3, "b": 1, "c": None, "d": 2}
    assert spare.decide_leaver(loads, 2, 1000.0) is None
    assert spare.decide_leaver(loads, 2, 999.9 + QUIET_S) is None
    assert spare.decide_leaver(loads, 2, 1000.0 + QUIET_S) == "c"
    del loads["c"]
    assert spare.decide_leaver(loads, 2, 1001.0 + QUIET_S) is None
    assert spare.decide_leaver(loads, 2, 1000.0 + 2 * QUIET_S) == "b"
    del loads["b"]
    assert spare.decide_leaver(loads, 2, 1000.0 + 9 * QUIET_S) is None


def test_a_moment_in_which_all_were_needed_begins_the_wait_anew() -> None:
    """A load that comes each few minutes keeps its workers."""
    spare, loads = Spare(), {"a": 0, "b": 0}
    for minute in range(0, 60, 5):
        assert spare.decide_leaver(loads, 1, minute * 60.0) is None
        assert spare.decide_leaver(loads, 2, minute * 60.0 + 30) is None
    assert spare.decide_leaver(loads, 1, 4000.0) is None
    assert spare.decide_leaver(loads, 1, 4000.0 + QUIET_S) in loads


@given(
    st.dictionaries(st.sampled_from("abcdef"), st.none() | st.integers(0, 9)),
    st.lists(st.tuples(st.integers(0, 6), st.sampled_from([1.0, QUIET_S / 2, QUIET_S])), max_size=12),
)
def test_never_does_one_leave_that_is_needed(loads: dict[str, int | None], looks: list[tuple[int, float]]) -> None:
    """Whatever is needed when: those that stay are enough, and no other was emptier."""
    spare, now = Spare(), 0.0
    for needed, passed in looks:
        now += passed
        leaver = spare.decide_leaver(loads, needed, now)
        if leaver is not None:
            assert len(loads) > needed
            gone = loads.pop(leaver)
            assert gone is None or all(one is not None and one >= gone for one in loads.values())
