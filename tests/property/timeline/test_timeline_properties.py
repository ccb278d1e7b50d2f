"""Whatever a source does with its stamps, the output clock keeps its promises."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from streamferry.media.tag import AUDIO, KEYFRAME, VIDEO, LaidTag, Tag
from streamferry.timeline import Timeline

KEY = b"\x17\x01\x00\x00\x00key"
SOUND = b"\xaf\x01sound"

_tags = st.lists(
    st.one_of(
        st.tuples(st.just(VIDEO), st.integers(0, 2**32 - 1), st.just(KEY)),
        st.tuples(st.just(AUDIO), st.integers(0, 2**32 - 1), st.just(SOUND)),
    ),
    max_size=60,
)


@given(sessions=st.lists(_tags, max_size=4), start_ms=st.sampled_from([0, 2**24 - 50, 2**31 - 50, 2**32 - 50]))
def test_dts_rise_strictly_per_track_whatever_comes(sessions: list[list[Tag]], start_ms: int) -> None:
    """No stamp, however wild, makes a track stand still or fall back, or come out before the clock's start."""
    timeline = Timeline(start_ms)
    laid: list[LaidTag] = []
    for session in sessions:
        timeline.begin_live()
        timeline.lay(session, laid)
    for track in (AUDIO, VIDEO):
        times = [dts for tag_type, dts, _, kind in laid if tag_type == track and kind <= KEYFRAME]
        assert all(a < b for a, b in pairwise(times))
        assert not times or times[0] >= start_ms


@given(
    start=st.integers(0, 2**32 - 1),
    audio_offset_ms=st.integers(0, 400),
    split=st.integers(1, 50),
)
def test_the_offset_between_sound_and_picture_is_kept(start: int, audio_offset_ms: int, split: int) -> None:
    """Over any start stamp, wraps included, and any beat size."""
    tags: list[Tag] = [(VIDEO, (start + ms) % 2**32, KEY) for ms in range(0, 2000, 40)]
    tags += [(AUDIO, (start + audio_offset_ms + ms) % 2**32, SOUND) for ms in range(0, 2000, 20)]
    tags.sort(key=lambda tag: (tag[1] - start) % 2**32)
    timeline = Timeline()
    timeline.begin_live()
    laid: list[LaidTag] = []
    for index in range(0, len(tags), split):
        timeline.lay(tags[index : index + split], laid)
    firsts = {track: next(dts for tag_type, dts, _, _ in laid if tag_type == track) for track in (AUDIO, VIDEO)}
    assert firsts[AUDIO] - firsts[VIDEO] == audio_offset_ms
    assert timeline.repairs == 0
