"""Whatever tracks and packets a source mixes, and however it damages them, the timeline's promises hold."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from streamferry.media.enhanced import FirstTracks, headers_in, tag_kind, unwrap
from streamferry.media.tag import AUDIO, KEYFRAME, NESTED, START, VIDEO, kind_of_audio, kind_of_video
from streamferry.timeline import Timeline

_FOURCCS = {VIDEO: b"avc1", AUDIO: b"mp4a"}


@st.composite
def _bodies(draw):
    """A body of one of the forms there are, sometimes cut or changed in one byte."""
    tag_type = draw(st.sampled_from((VIDEO, AUDIO)))
    frame_type, packet = draw(st.sampled_from((1, 1, 2, 2, 5))), draw(st.sampled_from((0, 1, 1, 1, 3, 4)))
    multitrack = 6 if tag_type == VIDEO else 5
    high = 0x80 | frame_type << 4 if tag_type == VIDEO else 0x90
    fourcc, payload = _FOURCCS[tag_type], draw(st.binary(max_size=6))
    ids = draw(st.lists(st.integers(0, 20), min_size=1, max_size=4, unique=True))
    sized = [bytes((number,)) + len(payload).to_bytes(3, "big") + payload for number in ids]
    legacy = {VIDEO: bytes((frame_type << 4 | 7, packet)), AUDIO: bytes((0xAF, packet))}[tag_type]
    body = draw(
        st.sampled_from(
            (
                legacy + payload,
                bytes((high | packet,)) + fourcc + payload,
                bytes((high | multitrack, packet)) + fourcc + bytes((ids[0],)) + payload,
                bytes((high | multitrack, 0x10 | packet)) + fourcc + b"".join(sized),
                bytes((high | multitrack, 0x20 | packet)) + b"".join(fourcc + one for one in sized),
                bytes((high | 7, 2)) + b"\x00\x00\x01" + bytes((packet,)) + fourcc + payload,
            )
        )
    )
    damage = draw(st.integers(0, 3))
    if damage == 0:
        body = body[: draw(st.integers(0, len(body)))]
    elif damage == 1:
        at = draw(st.integers(0, len(body) - 1))
        body = body[:at] + bytes((draw(st.integers(0, 255)),)) + body[at + 1 :]
    return tag_type, body


_tags = st.lists(st.tuples(st.integers(0, 2**32 - 1) | st.integers(0, 3000), _bodies()), max_size=40)


def _tracks_of(tag_type, body):
    kind = kind_of_video(body) if tag_type == VIDEO else kind_of_audio(body)
    return [part.track_id for part in unwrap(tag_type, body).parts] if kind == NESTED else [0]


@given(sessions=st.lists(_tags, max_size=3))
def test_stamps_rise_on_each_track_whatever_comes(sessions):
    """And frames are laid as they came, kept headers are bounded, and nothing raises."""
    timeline = Timeline()
    laid = []
    for session in sessions:
        timeline.begin_live()
        for stamp, (tag_type, body) in session:
            timeline.lay([(tag_type, stamp, body)], laid)
        assert len(timeline.headers) <= 2 * 17 * 3
    stamps = {}
    came = {body for session in sessions for _, (_, body) in session}
    for tag_type, dts_ms, body, kind in laid:
        if kind <= KEYFRAME:
            assert body in came
            for track_id in _tracks_of(tag_type, body):
                stamps.setdefault((tag_type, track_id), []).append(dts_ms)
    for (_, track_id), times in stamps.items():
        # Of tracks beyond those that are told apart nothing is promised but that they cost nothing.
        assert track_id > 15 or all(a < b for a, b in pairwise(times))


@given(sessions=st.lists(_tags, min_size=1, max_size=3))
def test_a_start_is_a_keyframe_or_a_sound_before_one(sessions):
    """Within a segment no sound is a start between a keyframe of the leading track and 15 s later."""
    timeline = Timeline()
    for session in sessions:
        timeline.begin_live()
        picture_ms = None
        for stamp, (tag_type, body) in session:
            laid = []
            timeline.lay([(tag_type, stamp, body)], laid)
            for kind_type, dts_ms, laid_body, kind in laid:
                if kind == START and kind_type == VIDEO:
                    assert tag_kind(VIDEO, laid_body) == KEYFRAME
                    picture_ms = dts_ms
                elif kind == START:
                    assert picture_ms is None or dts_ms - picture_ms > 5_000


@given(tag=_bodies())
def test_bodies_are_read_without_an_error(tag):
    """Whatever they hold, for everybody who looks into them; kinds, headers and tracks agree."""
    tag_type, body = tag
    kind = tag_kind(tag_type, body)
    taken = FirstTracks().take(tag_type, body)
    if taken is not None and kind <= KEYFRAME:
        assert tag_kind(tag_type, bytes(taken)) == kind
    if body:
        for key, header in headers_in(tag_type, body).items():
            assert headers_in(tag_type, header) == {key: header}
