"""What is told of the place of a list: not that it plays on."""

from dataclasses import replace

import pytest

from streamferry.relay import Playhead, RelayStatus, State
from streamferry.worker.list_place import ListPlace

REPORT_S = 0.5
ONE = (1, 1)


def status(position_ms: int, item: int = 0, loop: int = 0) -> RelayStatus:
    return RelayStatus(State.STREAMING, media_time_ms=1 + position_ms, playhead=Playhead(loop, item, position_ms))


class Told:
    """A list that is looked at each half second. ``places``: what was told, as (at, position, whether it plays on)."""

    def __init__(self) -> None:
        self.now = 100.0
        self.place = ListPlace(self.now)
        self.places: list[tuple[float, int, bool]] = []

    def look(self, at: RelayStatus, known: tuple[int, int] = ONE) -> None:
        self.place.see(known, at, self.now)
        if self.place.is_news:
            assert at.playhead is not None
            self.places.append((self.now - 100, at.playhead.position_ms, self.place.plays_on))
            self.place.confirm()
        self.now += REPORT_S

    def where(self, at: float) -> float:
        """Where the store takes it to be ``at`` seconds after the beginning."""
        told_at, position_ms, plays_on = [one for one in self.places if one[0] <= at][-1]
        return position_ms + (1000 * (at - told_at) if plays_on else 0)


@pytest.mark.parametrize("visit_ms", [80, 160, 640])
def test_a_list_that_plays_on_is_told_of_twice(visit_ms: int) -> None:
    """Once it begins, and once it moves: also where it moves in steps, as it is sent in visits. Its lead is no news."""
    told = Told()
    for tick in range(240):
        at_ms = tick * 500
        told.look(status(at_ms // visit_ms * visit_ms + 900 * (tick > 0)))
        assert abs(told.where(tick * REPORT_S) - at_ms - 900 * (tick > 0)) <= visit_ms
    assert [plays_on for _, _, plays_on in told.places] == [False, True]


def test_a_list_that_stands_is_told_to_stand_where_it_stands() -> None:
    """Within a second and a half, and once; and again when it goes on."""
    told = Told()
    for tick in range(20):
        told.look(status(tick * 500))
    for _ in range(20):
        told.look(status(9_500))
    assert told.places[-1][1:] == (9_500, False)
    assert told.places[-1][0] <= 9.5 + 1.5
    assert len(told.places) == 3
    for tick in range(20):
        told.look(status(9_500 + tick * 500))
    assert told.places[-1][2]
    assert told.where(29.5) == 19_000


@pytest.mark.parametrize(
    "jump",
    [status(20_000), status(1_000), status(5_500, item=1), status(5_500, loop=1)],
    ids=["ahead", "back", "item", "loop"],
)
def test_a_place_elsewhere_is_told_at_once(jump: RelayStatus) -> None:
    told = Told()
    for tick in range(11):
        told.look(status(tick * 500))
    told.look(jump)
    assert jump.playhead is not None
    assert told.places[-1] == (5.5, jump.playhead.position_ms, True)


def test_a_list_that_is_too_slow_is_told_of_in_time() -> None:
    """The store is never wrong by more than a second, and half a second of playing."""
    told = Told()
    for tick in range(400):
        told.look(status(tick * 450))
        assert abs(told.where(tick * REPORT_S) - tick * 450) <= 1500
    assert len(told.places) < 40


def test_a_task_that_was_changed_is_told_of_again() -> None:
    """Its place may have been moved with its list, or be another epoch's."""
    told = Told()
    for tick in range(10):
        told.look(status(tick * 500))
    for known in ((1, 2), (2, 2)):
        before = len(told.places)
        told.look(status(round((told.now - 100) * 1000)), known)
        assert len(told.places) == before + 1


def test_what_was_not_stored_is_told_again() -> None:
    place = ListPlace(0.0)
    place.see(ONE, status(10), 0.0)
    assert place.is_news
    place.see(ONE, status(10), 0.5)
    assert place.is_news
    place.confirm()
    assert not place.is_news


@pytest.mark.parametrize(
    "nothing",
    [RelayStatus(State.STREAMING, media_time_ms=9), replace(status(500), media_time_ms=0), RelayStatus(State.STOPPED)],
    ids=["live", "before it plays", "over"],
)
def test_what_has_no_place_does_not_play_on(nothing: RelayStatus) -> None:
    place = ListPlace(0.0)
    place.see(ONE, nothing, 0.0)
    assert not place.is_news
    assert not place.plays_on
