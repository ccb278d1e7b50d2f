"""Servers that begin each session with what they sent before: viewers do not see it again. Time is an argument."""

from itertools import pairwise

import pytest

from scripted.camera import AAC_HEADER, AVC_HEADER
from streamferry.media.errors import SourceEnded
from streamferry.media.stamps import to_wire_ms
from streamferry.media.tag import AUDIO, KEYFRAME, VIDEO
from streamferry.relay.feed import LiveFeed
from streamferry.timeline import Timeline

SCRATCH = memoryview(bytearray(1 << 16))
GOP_MS = 960
BEAT_MS = 160


class Inlet:
    """Gives at each visit what has arrived by then: (when, tag)."""

    silence_s = 5.0
    is_mute = False

    def __init__(self, arrivals):
        self.arrivals = arrivals
        self.now_ms = 0

    def pull(self, scratch, out):
        out += [tag for at, tag in self.arrivals if at <= self.now_ms]
        self.arrivals = [one for one in self.arrivals if one[0] > self.now_ms]
        if not self.arrivals and self.now_ms:
            raise SourceEnded("over")
        return 0

    def close(self):
        pass


def session(began_ms, seconds, past_ms, stamp_of, tracks, arrives):
    """Frames of true times, from ``past_ms`` before it began; stamps as the server makes them."""
    first = (began_ms - past_ms) // GOP_MS * GOP_MS
    arrivals = [(0, (VIDEO, to_wire_ms(stamp_of(first)), AVC_HEADER))] if VIDEO in tracks else []
    arrivals.append((0, (AUDIO, to_wire_ms(stamp_of(first)), AAC_HEADER)))
    for ms in range(first, began_ms + seconds * 1000, 20):
        at, stamp = arrives(ms - began_ms), to_wire_ms(stamp_of(ms))
        if VIDEO in tracks and ms % 40 == 0:
            head = b"\x17\x01\0\0\0" if ms % GOP_MS == 0 else b"\x27\x01\0\0\0"
            arrivals.append((at, (VIDEO, stamp, head + ms.to_bytes(4, "big"))))
        arrivals.append((at, (AUDIO, stamp, b"\xaf\x01" + ms.to_bytes(4, "big"))))
    return arrivals


def play(*, past_ms, sessions=3, seconds=12, away_ms=500, stamp_of=lambda ms, first: ms, tracks=(VIDEO, AUDIO), late=0):
    """True times of what is laid, by track, and the timeline; the burst takes ``late`` ms for a second of media."""
    timeline, laid = Timeline(), []
    began_ms = 100_000
    for number in range(sessions):
        first = (began_ms - past_ms) // GOP_MS * GOP_MS
        arrivals = session(
            began_ms,
            seconds,
            past_ms if number else 0,
            lambda ms, first=first: stamp_of(ms, first),
            tracks,
            lambda ms: max(ms, round((ms + past_ms) * late / 1000), 0),
        )
        inlet = Inlet(sorted(arrivals, key=lambda one: one[0]))
        feed = LiveFeed(inlet, timeline, SCRATCH, began_ms / 1000, may_replay=number > 0)
        while True:
            try:
                feed.pull((began_ms + inlet.now_ms) / 1000, laid)
            except SourceEnded:
                break
            inlet.now_ms += BEAT_MS
        began_ms += seconds * 1000 + away_ms
    found = {track: [] for track in (VIDEO, AUDIO)}
    for tag_type, dts_ms, body, kind in laid:
        if kind <= KEYFRAME:
            found[tag_type].append((int.from_bytes(body[-4:], "big"), dts_ms))
    return found, timeline


@pytest.mark.parametrize("late", [0, 60])
@pytest.mark.parametrize("base", [0, (1 << 32) - 15_000, 1_814_400_000])
def test_viewers_saw_the_last_ten_seconds_again_at_each_reconnect(base, late):
    """Original stamps: each picture once, from the first keyframe after the last one on; sound where it belongs."""
    found, timeline = play(past_ms=10_000, stamp_of=lambda ms, first: ms - 100_000 + base, late=late)
    for frames in found.values():
        times = [true_ms for true_ms, _ in frames]
        assert times == sorted(set(times))
    assert found[VIDEO][-1][0] - found[VIDEO][0][0] - (found[VIDEO][-1][1] - found[VIDEO][0][1]) < 2 * (GOP_MS + 40)
    shifts = {dts - true for true, dts in found[VIDEO]}
    assert len(shifts) <= 3
    assert len({dts - true for true, dts in found[AUDIO]} - shifts) == 0
    assert timeline.repairs == 0


def test_a_replay_whose_stamps_begin_anew_repeats_at_most_a_group():
    """Nothing tells that it was sent: the clock runs ahead by one group a session, and not by ten seconds."""
    found, _ = play(past_ms=10_000, away_ms=40, stamp_of=lambda ms, first: ms - first)
    times = [true_ms for true_ms, _ in found[VIDEO]]
    assert len(times) - len(set(times)) <= 2 * GOP_MS / 40
    assert len(set(times)) >= 3 * 12_000 / 40 - 2


def test_a_group_that_a_server_keeps_is_played_whole():
    """What nearly all of them do: nothing is left out, whether stamps go on or begin anew."""
    for stamp_of in (lambda ms, first: ms, lambda ms, first: ms - first):
        found, _ = play(past_ms=900, away_ms=3000, stamp_of=stamp_of)
        times = [true_ms for true_ms, _ in found[VIDEO]]
        assert [true for true in times if true % GOP_MS == 0] == sorted({true for true in times if true % GOP_MS == 0})
        assert max(later - earlier for earlier, later in pairwise(times)) <= 3000 + 40


def test_a_session_without_a_burst_is_not_touched():
    """Live at once: the first frame is laid in the visit that brings it."""
    found, _ = play(past_ms=0, away_ms=960 * 4 - 12_000 % 960)
    times = [true_ms for true_ms, _ in found[AUDIO]]
    assert times == sorted(set(times))
    assert len(found[VIDEO]) >= 3 * (12_000 - GOP_MS) / 40


def test_sound_alone_repeats_a_second_at_most():
    """A radio that begins each session with its last ten."""
    found, _ = play(past_ms=10_000, stamp_of=lambda ms, first: ms - first, tracks=(AUDIO,))
    times = [true_ms for true_ms, _ in found[AUDIO]]
    assert len(times) - len(set(times)) <= 2 * 1_040 / 20
