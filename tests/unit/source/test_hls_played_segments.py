"""HlsPlayedSegments: which segments of a playlist were played, from what ffmpeg requested."""

import pytest

from streamferry.source.hls_played_segments import AHEAD, HlsPlayedSegments


def addresses(first, last, *, token=""):
    return [f"http://cdn.example/live/{number}.ts{token}" for number in range(first, last + 1)]


def trail_of(asked):
    played_segments = HlsPlayedSegments()
    for address in asked:
        played_segments.ask(0, address)
    return played_segments


def test_nothing_was_played_yet():
    """A session begins some segments before the end, as players do."""
    assert HlsPlayedSegments().unseen(addresses(1, 9), 10) == AHEAD


@pytest.mark.parametrize(("last", "count"), [(5, 0), (6, 1), (7, 2), (8, 3), (30, AHEAD)])
def test_what_was_played_is_not_played_again(last, count):
    """Behind the last one; never from further back than at the beginning, so that no delay builds up."""
    assert trail_of(addresses(3, 5)).unseen(addresses(1, last), last + 1) == count


def test_a_token_that_changes_hides_nothing():
    """Names are told apart without their query, where that is enough."""
    played_segments = trail_of(addresses(3, 5, token="?token=old"))
    assert played_segments.unseen(addresses(1, 6, token="?token=new"), 7) == 1


def test_names_in_the_query():
    """Where all else is the same, the query counts."""
    made = [f"http://cdn.example/get?segment={number}" for number in range(8)]
    assert trail_of(made[2:5]).unseen(made[1:7], 7) == 2


def test_parts_of_one_file_cannot_be_told_apart():
    """So nothing is known of them."""
    one = ["http://cdn.example/all.ts"] * 5
    assert trail_of(one[:2]).unseen(one, 5) == AHEAD


def test_a_segment_that_could_not_be_had_was_not_played():
    """The next session begins with it: a token that died is the usual reason."""
    played_segments = trail_of(addresses(3, 5))
    for address in addresses(6, 7):
        played_segments.ask(0, address)
        played_segments.fail(0)
    assert played_segments.unseen(addresses(4, 7), 8) == 2


def test_sound_in_a_playlist_of_its_own():
    """Its segments are other ones, and go on beside those of the picture."""
    played_segments = HlsPlayedSegments()
    for number, picture in enumerate(addresses(3, 5)):
        played_segments.ask(0, picture)
        played_segments.ask(1, f"http://cdn.example/sound/{number}.aac")
    assert played_segments.unseen(addresses(4, 6), 7) == 1


def test_a_stream_that_began_anew():
    """None of its segments is known."""
    assert trail_of(addresses(30, 35)).unseen(addresses(0, 4), 5) == AHEAD


def test_names_that_are_used_again():
    """A playlist whose numbers go on has new media, whatever its segments are called."""
    played_segments = trail_of(addresses(0, 2))
    assert played_segments.unseen(addresses(0, 2), 3) == 0
    assert played_segments.unseen(addresses(0, 2), 3) == 0
    assert played_segments.unseen(addresses(0, 2), 6) == AHEAD
