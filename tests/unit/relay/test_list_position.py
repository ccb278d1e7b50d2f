"""Where a list would be if it had never stopped: pure, so time is a number."""

from streamferry.media.url import MediaUrl
from streamferry.relay import ENDLESS, Item, Playhead
from streamferry.relay.list_position import ListPosition
from streamferry.relay.status import START
from streamferry.timeline.pace import LEAD_MS

LEAD_S = LEAD_MS / 1000

ITEMS = [Item(MediaUrl.parse("http://files.example/a.mp4"), 0, 10), Item(MediaUrl.parse("http://files.example/b.mp4"))]


def test_a_list_that_has_not_begun_has_nothing_to_catch_up_with() -> None:
    """However long its destination lets it wait, it begins at its beginning."""
    assert ListPosition(START, 100.0).by(160.0, ITEMS, 1) == START


def test_time_counts_from_when_the_list_was_last_seen_moving() -> None:
    """Also if the same place is noted again and again, and from the beginning for one that goes on.

    What was sent is a lead ahead of its time: a list that gained that at each break would run away from the clock.
    """
    place = ListPosition(Playhead(0, 0, 2_000), 100.0)
    assert place.by(103.0, ITEMS, ENDLESS) == Playhead(0, 0, 5_000)
    place.note(Playhead(0, 0, 4_000), 110.0)
    place.note(Playhead(0, 0, 4_000), 115.0)
    assert place.by(110.0 + LEAD_S / 2, ITEMS, ENDLESS) == Playhead(0, 0, 4_000)
    assert place.by(112.0 + LEAD_S, ITEMS, ENDLESS) == Playhead(0, 0, 6_000)


def test_ends_that_were_seen_are_walked_over() -> None:
    """The end of the second item is known once it was played, so loops can be counted; and then a list can be over."""
    place = ListPosition(START, 100.0)
    place.note(Playhead(0, 1, 500), 100.0)
    place.note_end(1, 20_000)
    place.note(Playhead(1, 0, 1_000), 130.0)
    place.note_end(0, 10_000)
    assert place.by(140.0 + LEAD_S, ITEMS, 2) == Playhead(1, 1, 1_000)
    assert place.by(160.0 + LEAD_S, ITEMS, ENDLESS) == Playhead(2, 0, 1_000)
    assert place.by(160.0 + LEAD_S, ITEMS, 2) is None


def test_what_is_known_of_another_list_is_what_it_has_of_the_list_before() -> None:
    """Its place, wherever its item is now or with what is in place of it; and where those items end."""
    place = ListPosition(START, 100.0)
    place.note_end(0, 10_000)
    place.note(Playhead(0, 1, 500), 100.0)
    place.note_end(1, 20_000)
    place.follow(ITEMS, [*ITEMS, ITEMS[0]])
    assert place.by(160.0 + LEAD_S, ITEMS, ENDLESS) == Playhead(2, 1, 500)
    place.follow(ITEMS, [ITEMS[0], Item(MediaUrl.parse("http://files.example/c.mp4"))])
    assert place.by(160.0, ITEMS, 1) == Playhead(0, 1)
    place.note(Playhead(0, 1, 500), 200.0)
    assert place.by(260.0 + LEAD_S, ITEMS, 1) == Playhead(0, 1, 60_500)
