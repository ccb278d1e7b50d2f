"""Joins: where a file begins after what was played before it."""

import pytest

from streamferry.media.tag import AUDIO, VIDEO
from streamferry.timeline.joins import MAX_OVERLAP_MS, Joins


def played(joins, first, last):
    """Play a file whose tracks begin and end there; gives the begin and the end of each on the output clock."""
    joins.begin(first)
    joins.end(last)
    return {track: (first[track] + joins.shift, last[track] + joins.shift) for track in first}


def test_the_first_file_begins_at_0():
    """Its first message, of whichever track."""
    assert played(Joins(), {AUDIO: 1000, VIDEO: 1040}, {AUDIO: 3000, VIDEO: 3040})[AUDIO][0] == 0


def test_each_track_begins_where_it_ended():
    """A file with B-frames begins its sound later and ends it as much later: it joins itself without a gap."""
    joins = Joins()
    first = played(joins, {VIDEO: 0, AUDIO: 80}, {VIDEO: 2000, AUDIO: 2080})
    second = played(joins, {VIDEO: 0, AUDIO: 80}, {VIDEO: 2000, AUDIO: 2080})
    assert {track: second[track][0] - first[track][1] for track in second} == {VIDEO: 0, AUDIO: 0}


#: First and last stamps of files that are lopsided in every way: a track that begins or ends seconds before the other,
#: or is not there.
LOPSIDED = [
    ({VIDEO: 0, AUDIO: 0}, {VIDEO: 10_000, AUDIO: 11_000}),
    ({VIDEO: 0, AUDIO: 2_000}, {VIDEO: 10_000, AUDIO: 14_000}),
    ({VIDEO: 3_000, AUDIO: 0}, {VIDEO: 12_000, AUDIO: 10_000}),
    ({VIDEO: 0, AUDIO: 0}, {VIDEO: 10_000, AUDIO: 6_000}),
    ({AUDIO: 0}, {AUDIO: 4_000}),
    ({VIDEO: 0}, {VIDEO: 4_000}),
    ({VIDEO: 0, AUDIO: 20}, {VIDEO: 40, AUDIO: 43}),
]


@pytest.mark.parametrize("one", range(len(LOPSIDED)))
@pytest.mark.parametrize("other", range(len(LOPSIDED)))
def test_no_track_goes_back_and_nothing_is_laid_far_under_what_was_played(one, other):
    """However unlike two files are, in either order, over many loops."""
    joins, ends = Joins(), {}
    for number in range(12):
        before_ms = joins.position_ms
        laid = played(joins, *LOPSIDED[(one, other)[number % 2]])
        for track, (begin_ms, end_ms) in laid.items():
            assert begin_ms >= ends.get(track, 0)
            ends[track] = end_ms
        begin_ms = min(begin for begin, _ in laid.values())
        assert begin_ms >= before_ms - MAX_OVERLAP_MS
        longest_ms = max(last for last in LOPSIDED[(one, other)[number % 2]][1].values())
        assert joins.position_ms - before_ms <= longest_ms


def test_a_pass_of_which_nothing_was_played_moves_nothing():
    """It was cut before its first message."""
    joins = Joins()
    played(joins, {VIDEO: 0}, {VIDEO: 2000})
    joins.begin({VIDEO: 0})
    joins.end({})
    assert joins.position_ms == 2000
