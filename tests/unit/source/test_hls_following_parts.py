"""HlsFollower of a low-latency playlist: which parts and segments are played, over faults of servers."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamferry.source.hls_follower import HlsFollower
from streamferry.wire.hls import Playlist

#: Segments of 2 s in four parts.
PARTS = 4


def playlist(first, end, open_parts=0, *, with_parts_from=None, independent=(), replaced=None, blocks=True):
    """Segments from ``first`` to before ``end``, and parts of that. ``replaced``: lines instead of those of parts."""
    control = "CAN-BLOCK-RELOAD=YES," if blocks else ""
    lines = ["#EXTM3U", "#EXT-X-TARGETDURATION:2", f"#EXT-X-MEDIA-SEQUENCE:{first}"]
    lines += [f"#EXT-X-SERVER-CONTROL:{control}PART-HOLD-BACK=1.5", "#EXT-X-PART-INF:PART-TARGET=0.5"]

    def parts(number, count):
        for part in range(count):
            told = (replaced or {}).get((number, part))
            own = ",INDEPENDENT=YES" if (number, part) in independent else ""
            yield f'#EXT-X-PART:DURATION=0.5,URI="{number}.{part}"{own}' if told is None else told

    for number in range(first, end):
        if number >= (end - 2 if with_parts_from is None else with_parts_from):
            lines += parts(number, PARTS)
        lines += ["#EXTINF:2,", f"{number}.ts"]
    lines += [*parts(end, open_parts), f'#EXT-X-PRELOAD-HINT:TYPE=PART,URI="{end}.{open_parts}"']
    return Playlist.parse("\n".join(filter(None, lines)).encode())


def follower_of(*playlists):
    follower = HlsFollower()
    follower.parts.is_wanted = True
    for at, one in enumerate(playlists):
        follower.take(one, float(at))
    return follower


def drain(follower):
    found = []
    while (one := follower.next()) is not None:
        found.append(one)
    return found


def names(follower):
    return [one.segment.media.uri for one in drain(follower)]


@pytest.mark.parametrize(
    ("open_parts", "independent", "expected"),
    [
        (0, (), ["9.ts"]),
        (3, (), ["10.0", "10.1", "10.2"]),
        (2, (), ["9.ts", "10.0", "10.1"]),
        (2, {(9, 2)}, ["9.2", "9.3", "10.0", "10.1"]),
        (2, {(9, 3)}, ["9.3", "10.0", "10.1"]),
        (3, {(9, 3), (10, 1)}, ["10.0", "10.1", "10.2"]),
    ],
)
def test_it_begins_where_a_part_needs_no_other_and_no_nearer_to_the_end_than_the_server_says(
    open_parts, independent, expected
):
    assert names(follower_of(playlist(4, 10, open_parts, independent=independent))) == expected


def test_each_part_is_played_once_and_what_is_complete_is_had_whole():
    follower = follower_of(playlist(4, 10, 3))
    played = names(follower)
    for one in (playlist(4, 10, 3), playlist(5, 11, 0), playlist(5, 11, 1), playlist(7, 13, 2)):
        follower.take(one, 1.0)
        played += names(follower)
    assert played == ["10.0", "10.1", "10.2", "10.3", "11.0", "11.1", "11.2", "11.3", "12.ts", "13.0", "13.1"]


def test_what_it_asks_for():
    follower = follower_of(playlist(4, 10, 3))
    drain(follower)
    assert follower.parts.query == "_HLS_msn=10&_HLS_part=3"
    assert follower.hint.media.uri == "10.3"
    follower.take(playlist(5, 11), 1.0)
    assert follower.parts.query == "_HLS_msn=11&_HLS_part=0"
    follower.take(playlist(5, 11, blocks=False), 2.0)
    assert follower.parts.query == ""


def test_when_the_playlist_is_read_again():
    """A server that does not wait is not asked more often than parts come; one that is hostile, ten times a second."""
    follower = follower_of(playlist(4, 10, 3))
    assert follower.reload_at == 0.25
    follower.take(playlist(4, 10, 3), 1.0)
    assert follower.reload_at == 1.5
    hostile = playlist(4, 10, 3)
    hostile.lines[4] = "#EXT-X-PART-INF:PART-TARGET=0.02"
    follower.take(hostile, 2.0)
    assert follower.reload_at == 2.1


def test_parts_that_are_gone_or_do_not_add_up_to_their_segment():
    """It is had whole, and the reader leaves out what it has; after some in a row parts are left."""
    follower = follower_of(playlist(4, 10, 3))
    drain(follower)
    follower.take(playlist(5, 11, 1, with_parts_from=11), 1.0)
    found = drain(follower)
    assert [(one.segment.media.uri, one.goes_on, one.repeats) for one in found] == [
        ("10.ts", False, True),
        ("11.0", False, False),
    ]
    follower.take(playlist(5, 12, 1, replaced={(11, 2): ""}), 1.0)
    assert names(follower) == ["11.ts", "12.0"]
    follower.take(playlist(5, 13, 1, replaced={(12, 2): ""}), 1.0)
    assert names(follower) == ["12.ts"]
    assert not follower.parts.are_used
    follower.take(playlist(5, 14, 1), 2.0)
    assert names(follower) == ["13.ts"]
    follower.begin_session()
    follower.take(playlist(9, 16, 3), 3.0)
    assert names(follower) == ["16.0", "16.1", "16.2"]


def test_a_segment_whose_parts_were_all_played_is_not_had_again_if_they_are_gone():
    follower = follower_of(playlist(4, 10, 3), playlist(4, 10, 4))
    drain(follower)
    follower.take(playlist(5, 11, 1, with_parts_from=11), 1.0)
    assert names(follower) == ["11.0"]


def test_a_part_that_failed():
    """No other part of the segment is played; what came after it in vain is played after the whole."""
    follower = follower_of(playlist(4, 10, 4))
    *_, last = drain(follower)
    follower.take(playlist(5, 11, 1), 1.0)
    after = follower.next()
    assert (last.segment.media.uri, after.segment.media.uri) == ("10.3", "11.0")
    follower.fail_part(10, after)
    assert [(one.segment.media.uri, one.repeats) for one in drain(follower)] == [("10.ts", True), ("11.0", False)]


def test_a_part_that_failed_of_a_segment_that_is_not_complete():
    follower = follower_of(playlist(4, 10, 2, independent={(9, 3), (10, 1)}))
    assert names(follower)[-1] == "10.1"
    follower.fail_part(10)
    assert follower.hint is None
    follower.take(playlist(4, 10, 3), 1.0)
    assert names(follower) == []
    follower.take(playlist(5, 11, 2), 2.0)
    assert names(follower) == ["10.ts", "11.0", "11.1"]


def test_gaps_are_left_out_until_a_part_that_needs_no_other():
    gap = '#EXT-X-PART:DURATION=0.5,URI="10.1",GAP=YES'
    follower = follower_of(playlist(4, 10, 4, replaced={(10, 1): gap}, independent={(10, 3)}))
    found = drain(follower)
    assert [(one.segment.media.uri, one.lost_s, one.goes_on) for one in found] == [
        ("10.0", 0.0, False),
        ("10.3", 1.0, True),
    ]


def test_the_next_session_goes_on_after_what_was_played():
    follower = follower_of(playlist(4, 10, 3))
    drain(follower)
    follower.begin_session()
    follower.take(playlist(5, 11, 3, independent={(10, 3)}), 1.0)
    first, *_ = found = drain(follower)
    assert [one.segment.media.uri for one in found] == ["11.0", "11.1", "11.2"]
    assert (first.is_break, first.goes_on, first.repeats) == (True, False, False)


def test_a_server_that_does_not_wait_or_never_answers_is_asked_for_what_there_is():
    follower = follower_of(playlist(4, 10, 3))
    for _ in range(3):
        assert follower.parts.query
        follower.parts.note_wait(is_good=False)
        assert not follower.parts.query
        follower.parts.note_plain()
    assert not follower.parts.query


@given(st.lists(st.tuples(st.integers(0, 3), st.booleans(), st.booleans(), st.integers(0, 9)), max_size=40))
def test_of_one_stream_nothing_is_skipped_repeated_or_out_of_order(steps):
    """However the server goes on, whatever fails: segments and parts follow each other, or a segment is had whole."""
    follower = follower_of(playlist(0, 5, 0))
    follower.parts.note_wait(is_good=True)
    made, played, at = 5 * PARTS, drain(follower), 0.0
    for more, has_parts, blocks, failing in steps:
        made, at = made + more, at + 0.5
        end, count = divmod(made, PARTS)
        follower.take(
            playlist(max(0, end - 6), end, count, with_parts_from=None if has_parts else end, blocks=blocks), at
        )
        while (one := follower.next()) is not None:
            if one.segment.part is not None and failing == one.segment.part:
                follower.fail_part(one.segment.number, one)
                break
            played.append(one)
    for before, after in pairwise(played):
        one, other = before.segment, after.segment
        assert not after.is_break
        if other.number == one.number:
            assert one.part is not None
            assert after.repeats == (other.part is None)
            assert after.goes_on == (other.part is not None)
            assert other.part in (None, one.part + 1)
        else:
            assert other.number == one.number + 1
            assert not other.part
            assert one.part in (None, PARTS - 1)


def test_of_a_server_that_lags_no_part_is_taken():
    """Also when what is missing of the segment has to be had whole."""
    follower = follower_of(playlist(6, 10, 2))
    drain(follower)
    follower.take(playlist(5, 9, 4), 1.0)
    follower.fail_part(10)
    assert names(follower) == []
    follower.take(playlist(7, 11, 1), 2.0)
    assert names(follower) == ["10.ts", "11.0"]
