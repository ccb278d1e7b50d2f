"""HlsFollower: which segments of a live playlist are played, over reloads, faults of servers and sessions."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamferry.source.hls_follower import HlsFollower
from streamferry.wire.hls import Playlist


def playlist(first, count, *, seconds=2.0, name="s{}.ts", marks=None, head=(), end=False):
    """``marks``: lines before the segment with that number."""
    lines = ["#EXTM3U", "#EXT-X-TARGETDURATION:2", f"#EXT-X-MEDIA-SEQUENCE:{first}", *head]
    for number in range(first, first + count):
        lines += [*(marks or {}).get(number, ()), f"#EXTINF:{seconds},", name.format(number)]
    return Playlist.parse("\n".join([*lines, *(["#EXT-X-ENDLIST"] if end else [])]).encode())


def drain(follower):
    found = []
    while (one := follower.next()) is not None:
        found.append(one)
    return found


def names(follower):
    return [one.segment.media.uri for one in drain(follower)]


def test_it_begins_three_segments_before_the_end():
    follower = HlsFollower()
    follower.take(playlist(10, 6), 0.0)
    assert names(follower) == ["s13.ts", "s14.ts", "s15.ts"]
    assert follower.start_s == 6.0


def test_it_begins_as_many_segments_before_the_end_as_it_is_told():
    """Or with the first that is listed."""
    for asked, first, seconds in ((1, 15, 2.0), (5, 11, 10.0), (9, 10, 12.0)):
        follower = HlsFollower()
        follower.begin_session(asked)
        follower.take(playlist(10, 6), 0.0)
        assert names(follower)[0] == f"s{first}.ts"
        assert follower.start_s == seconds


def test_each_segment_is_played_once_however_often_the_playlist_is_read():
    follower = HlsFollower()
    played = []
    for first in (0, 0, 1, 1, 2, 4, 4):
        follower.take(playlist(first, 5), float(first))
        played += names(follower)
    assert played == [f"s{number}.ts" for number in range(2, 9)]


def test_when_the_playlist_is_read_again():
    """After a segment's time, or half of it if nothing was new; segments decide where the target says too much."""
    follower = HlsFollower()
    follower.take(playlist(0, 3), 100.0)
    assert follower.reload_at == 102.0
    follower.take(playlist(0, 3), 102.0)
    assert follower.reload_at == 103.0
    follower.take(playlist(1, 3, seconds=0.01), 103.0)
    assert follower.reload_at == 103.5


def test_what_left_the_playlist_unplayed_is_counted():
    """It goes on near the live edge, and the stamps are those of the same clock."""
    follower = HlsFollower()
    follower.take(playlist(0, 3), 0.0)
    drain(follower)
    follower.take(playlist(7, 5), 20.0)
    first, *_ = found = drain(follower)
    assert [one.segment.number for one in found] == [9, 10, 11]
    assert (first.lost_s, first.is_break) == ((9 - 3) * 2.0, False)


def test_gaps_are_not_asked_for():
    follower = HlsFollower()
    follower.take(playlist(0, 3, marks={1: ["#EXT-X-GAP"]}), 0.0)
    assert [(one.segment.number, one.lost_s) for one in drain(follower)] == [(0, 0.0), (2, 2.0)]


def test_breaks_are_told_and_also_those_that_were_not_seen():
    follower = HlsFollower()
    follower.take(playlist(0, 3, marks={1: ["#EXT-X-DISCONTINUITY"]}), 0.0)
    assert [one.is_break for one in drain(follower)] == [False, True, False]
    follower.take(playlist(9, 3, head=["#EXT-X-DISCONTINUITY-SEQUENCE:4"]), 20.0)
    assert [one.is_break for one in drain(follower)] == [True, False, False]


def test_a_server_that_was_started_anew():
    """Its numbers and names begin anew: it is another stream, and plays at once."""
    follower = HlsFollower()
    follower.take(playlist(1419, 4), 0.0)
    drain(follower)
    follower.take(playlist(0, 2), 2.0)
    found = drain(follower)
    assert [(one.segment.number, one.is_break) for one in found] == [(0, True), (1, False)]
    follower.take(playlist(0, 4), 6.0)
    assert names(follower) == ["s2.ts", "s3.ts"]


def test_a_server_that_was_started_anew_with_the_same_names():
    """It cannot be told from one that lags, until it goes on lagging."""
    follower = HlsFollower()
    follower.take(playlist(0, 5), 0.0)
    drain(follower)
    follower.take(playlist(0, 1), 2.0)
    assert names(follower) == []
    follower.take(playlist(0, 3), 6.5)
    assert [one.segment.number for one in drain(follower)] == [0, 1, 2]


def test_a_server_that_lags_repeats_nothing():
    """Of several behind one name."""
    follower = HlsFollower()
    played = []
    for first, now in ((10, 0.0), (8, 1.0), (11, 2.0), (10, 3.0), (9, 4.0), (12, 5.0)):
        follower.take(playlist(first, 5), now)
        played += names(follower)
    assert played == [f"s{number}.ts" for number in range(12, 17)]


def test_other_names_for_the_same_numbers_are_another_stream_once():
    """A server that gives each playlist its own names would be played over and over."""
    follower = HlsFollower()
    played = []
    for turn in range(6):
        follower.take(playlist(turn, 5, name=f"{turn}-{{}}.ts"), 2.0 * turn)
        played.append(len(names(follower)))
    assert played == [3, 3, 1, 1, 1, 1]


def test_tokens_in_folders_and_queries_are_no_other_names():
    follower = HlsFollower()
    for turn in range(4):
        follower.take(playlist(turn, 5, name=f"/t{turn}/s{{}}.ts?token={turn}"), 2.0 * turn)
        assert len(names(follower)) == (1 if turn else 3)


def test_numbers_that_leap_are_another_stream():
    follower = HlsFollower()
    follower.take(playlist(0, 3), 0.0)
    drain(follower)
    follower.take(playlist(1_790_000_000, 3), 2.0)
    found = drain(follower)
    assert (len(found), found[0].is_break, found[0].lost_s) == (3, True, 0.0)


def test_the_next_session_goes_on_after_what_was_played():
    follower = HlsFollower()
    follower.take(playlist(0, 5), 0.0)
    drain(follower)
    follower.begin_session()
    follower.take(playlist(1, 5), 3.0)
    assert [(one.segment.number, one.is_break) for one in drain(follower)] == [(5, True)]


def test_the_next_session_begins_with_what_could_not_be_had():
    follower = HlsFollower()
    follower.take(playlist(0, 5), 0.0)
    follower.next()
    follower.next()
    follower.put_back()
    follower.begin_session()
    follower.take(playlist(0, 5), 3.0)
    assert names(follower) == ["s3.ts", "s4.ts"]


@pytest.mark.parametrize("other", [5_000, 200, 100_000])
def test_two_servers_behind_one_name_that_count_each_for_itself(other):
    """The segments of one are played, each once, whichever answers; of the other when the one is gone."""
    follower, played, now = HlsFollower(), [], 0.0
    for number in range(40):
        one = playlist(1_000 + number, 5, name="a{}.ts")
        two = playlist(other + number, 5, name="b{}.ts")
        follower.take(one if number % 3 == 0 else two, now)
        played += names(follower)
        now += 2.0
    assert len(set(played)) == len(played)
    assert len(played) >= 39
    changes = sum(before[0] != after[0] for before, after in pairwise(played))
    assert changes <= 1
    for number in range(40, 50):
        follower.take(playlist(1_000 + number, 5, name="a{}.ts"), now)
        now += 2.0
    assert "a1050.ts" in names(follower)


@pytest.mark.parametrize("ahead", [-4_000, -200, -20, -5, -3, 3, 5, 20, 5_000])
@pytest.mark.parametrize("turns", [2, 3, 10])
def test_two_servers_behind_one_name_whose_segments_have_other_names(ahead, turns):
    """Which are of the same moment cannot be told; none is played twice."""
    follower, played = HlsFollower(), []
    for reading in range(40):
        first, name = (1_000, "a{}.ts") if reading % turns < turns / 2 else (1_000 + ahead, "b{}.ts")
        follower.take(playlist(first + reading, 5, name=name), 2.0 * reading)
        played += names(follower)
    assert len(set(played)) == len(played) >= 35


@pytest.mark.parametrize("ahead", [-900, -8, -3, -1, 1, 2, 5, 8, 4_000])
@pytest.mark.parametrize("turns", [2, 3, 5])
def test_two_servers_behind_one_name_that_count_the_same_segments_differently(ahead, turns):
    """Whichever answers: each segment once, in order, without a break."""
    follower, played = HlsFollower(), []
    for reading in range(30):
        other = ahead if reading // (turns - 1) % turns else 0
        listed = playlist(1_000 + reading, 5).lines[3:]
        head = ["#EXTM3U", "#EXT-X-TARGETDURATION:2", f"#EXT-X-MEDIA-SEQUENCE:{1_000 + reading + other}"]
        follower.take(Playlist.parse("\n".join([*head, *listed]).encode()), 2.0 * reading)
        played += drain(follower)
        if reading == 20:
            follower.begin_session()
    assert [one.segment.media.uri for one in played] == [f"s{number}.ts" for number in range(1_002, 1_034)]
    assert [number for number, one in enumerate(played) if one.is_break] in ([], [23])


@pytest.mark.parametrize("pause", [1, 5, 6, 12])
def test_names_that_are_used_in_turns_are_new_segments(pause):
    """As by ffmpeg's ``hls_wrap``, also after a pause in which all of them were used again."""
    follower, played = HlsFollower(), []
    for reading in [*range(10), *range(9 + pause, 25)]:
        lines = ["#EXTM3U", "#EXT-X-TARGETDURATION:2", f"#EXT-X-MEDIA-SEQUENCE:{reading}"]
        for number in range(reading, reading + 5):
            lines += ["#EXTINF:2,", f"s{number % 6}.ts"]
        follower.take(Playlist.parse("\n".join(lines).encode()), 2.0 * reading)
        played += [one.segment.number for one in drain(follower)]
    assert played[-1] == 28
    assert played == sorted(set(played))


def test_a_delta_update_has_the_numbers_of_the_whole():
    follower = HlsFollower()
    follower.take(playlist(0, 6), 0.0)
    drain(follower)
    lines = ["#EXTM3U", "#EXT-X-TARGETDURATION:2", "#EXT-X-MEDIA-SEQUENCE:1", "#EXT-X-SKIP:SKIPPED-SEGMENTS=4"]
    lines += ["#EXTINF:2,", "s5.ts", "#EXTINF:2,", "s6.ts"]
    follower.take(Playlist.parse("\n".join(lines).encode()), 2.0)
    assert names(follower) == ["s6.ts"]


@pytest.mark.parametrize("lines", [[], ["#EXT-X-MEDIA-SEQUENCE:9999999999999999999"], ["#EXTINF:1,"], ["a.ts"]])
def test_nothing_listed_is_nothing_to_play(lines):
    follower = HlsFollower()
    follower.take(Playlist.parse("\n".join(["#EXTM3U", *lines]).encode()), 0.0)
    assert follower.next() is None
    assert follower.reload_at >= 0.5


@given(
    st.lists(
        st.tuples(
            st.integers(0, 6),  # Segments made since the last reading.
            st.integers(1, 6),  # Segments in the window.
            st.integers(0, 3),  # How many segments the answering server lags.
            st.booleans(),  # Whether a session ended.
        ),
        max_size=30,
    )
)
def test_of_one_stream_no_segment_is_repeated_and_none_goes_back(turns):
    """Whatever slides, lags or breaks off, as long as the server makes one stream and lags for less than its memory."""
    follower, made, played, now = HlsFollower(), 10, [], 0.0
    for fresh, window, lag, is_new_session in turns:
        made, now = made + fresh, now + 0.5
        if is_new_session:
            follower.begin_session()
        end = max(made - lag, window)
        follower.take(playlist(end - window, window, seconds=30), now)
        played += [one.segment.number for one in drain(follower)]
    assert played == sorted(set(played))
