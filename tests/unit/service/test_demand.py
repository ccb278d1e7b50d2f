"""How many workers a cluster gets."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamferry.service.demand import Size, decide_slots

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
