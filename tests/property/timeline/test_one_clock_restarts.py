"""Clocks of a source that restart: of one track, or of both. Sound and picture stay together."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamferry.media.tag import AUDIO, KEYFRAME, VIDEO, LaidTag, Tag
from streamferry.timeline import Timeline

KEY, INTER, SOUND = b"\x17\x01\x00\x00\x00key", b"\x27\x01\x00\x00\x00inter", b"\xaf\x01sound"
#: What a viewer does not notice yet.
BOUND_MS = 300
_STEPS = {VIDEO: 40, AUDIO: 20}
_WRAP = 1 << 32
_END_MS = 40_000


def sent(lost, restarts, bases):
    """Frames in the order they are sent: (true ms, tag). ``lost``: of a track, from when to when it sends nothing.

    From then on its stamps count from its base in ``bases``, if it is one of ``restarts``.
    """
    frames: list[tuple[int, Tag]] = []
    for track, step_ms in _STEPS.items():
        for ms in range(0, _END_MS, step_ms):
            begin_ms, end_ms = lost[track]
            if begin_ms <= ms < end_ms:
                continue
            stamp = (ms - end_ms + bases[track]) % _WRAP if track in restarts and ms >= end_ms else ms
            body = SOUND if track == AUDIO else KEY if ms % 1000 == 0 else INTER
            frames.append((ms, (track, stamp, body)))
    return sorted(frames, key=lambda frame: (frame[0], -frame[1][0]))


def laid_shifts(frames, batch):
    """Lay them; of each track its last true time and how far from it its last frame was laid; and all that was laid."""
    timeline = Timeline()
    timeline.begin_live()
    laid: list[LaidTag] = []
    for at in range(0, len(frames), batch):
        timeline.lay(
            [(tag[0], tag[1], tag[2] + at_ms.to_bytes(4, "big")) for at_ms, tag in frames[at : at + batch]], laid
        )
    shifts = {}
    for tag_type, dts_ms, body, _ in laid:
        shifts[tag_type] = dts_ms - int.from_bytes(body[-4:], "big")
    return shifts, laid, timeline


def assert_rising(laid):
    for track in _STEPS:
        times = [dts for tag_type, dts, _, kind in laid if tag_type == track and kind <= KEYFRAME]
        assert all(a < b for a, b in pairwise(times))


@pytest.mark.parametrize("lost_ms", [0, 500, 1000, 2000, 5000, 8000])
@pytest.mark.parametrize("at_ms", [5000, 12_000])
@pytest.mark.parametrize("track", [VIDEO, AUDIO])
def test_a_track_whose_clock_restarts_stays_with_the_other(track, at_ms, lost_ms):
    """A camera's picture hangs and comes back with stamps from 0, while its sound goes on."""
    lost = {VIDEO: (at_ms, at_ms), AUDIO: (at_ms, at_ms), track: (at_ms, at_ms + lost_ms)}
    shifts, laid, timeline = laid_shifts(sent(lost, {track}, {VIDEO: 0, AUDIO: 0}), 7)
    assert abs(shifts[AUDIO] - shifts[VIDEO]) < BOUND_MS
    assert timeline.repairs == 1
    assert_rising(laid)


_bases = st.one_of(st.sampled_from([0, 1_814_400_000, _WRAP - 48_807, _WRAP - 100]), st.integers(100_000, _WRAP - 1))


@given(
    track=st.sampled_from([VIDEO, AUDIO]),
    at_ms=st.integers(11, 25).map(lambda s: s * 1000),
    lost_ms=st.integers(0, 8000),
    base=_bases,
    batch=st.integers(1, 60),
)
def test_one_track_restarts_wherever_its_clock_begins(track, at_ms, lost_ms, base, batch):
    """Loss, moment and base are any."""
    lost = {VIDEO: (at_ms, at_ms), AUDIO: (at_ms, at_ms), track: (at_ms, at_ms + lost_ms)}
    shifts, laid, _ = laid_shifts(sent(lost, {track}, {VIDEO: base, AUDIO: base}), batch)
    assert abs(shifts[AUDIO] - shifts[VIDEO]) < BOUND_MS
    assert_rising(laid)


@given(
    at_ms=st.integers(11, 25).map(lambda s: s * 1000),
    lost_ms=st.integers(0, 4000),
    lag_ms=st.integers(0, 3000),
    # Where one track restarts just before 2^32 and the other after it they are 20 ms apart.
    base=_bases.filter(lambda base: base < _WRAP - 60_000),
    batch=st.integers(1, 60),
)
def test_after_both_clocks_restart_their_offset_is_the_source_s_own(at_ms, lost_ms, lag_ms, base, batch):
    """One of them comes back first: the other joins it by its stamps, to the millisecond."""
    lost = {VIDEO: (at_ms, at_ms + lost_ms), AUDIO: (at_ms, at_ms + lost_ms + lag_ms)}
    bases = {VIDEO: base, AUDIO: (base + lag_ms) % _WRAP}
    shifts, laid, timeline = laid_shifts(sent(lost, {VIDEO, AUDIO}, bases), batch)
    assert abs(shifts[AUDIO] - shifts[VIDEO]) <= 5
    assert timeline.repairs <= 3
    assert_rising(laid)
