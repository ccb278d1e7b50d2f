"""What a look takes of a stream: the newest that there is when it ends."""

import pytest

from streamferry.media.tag import AUDIO, FRAME, KEYFRAME, SEQUENCE_HEADER, VIDEO, LaidTag
from streamferry.relay.eyes.look import SOUND_FRAMES, Look, Seen

HEADERS: list[LaidTag] = [
    (VIDEO, 0, b"\x17\0\0\0\0", SEQUENCE_HEADER),
    (AUDIO, 0, b"\xaf\0\x12\x10", SEQUENCE_HEADER),
]


def seen_of(sounds_ms: list[int], keyframes_ms: list[int], until_ms: int) -> Seen:
    """What is seen of a stream whose sound says when it was sent; a picture comes every 40 ms."""
    ended: list[Seen] = []
    look = Look(HEADERS, ended.append, lambda _: None, None)
    sounds: list[LaidTag] = [(AUDIO, at, b"\xaf\1" + at.to_bytes(4), FRAME) for at in sounds_ms]
    pictures: list[LaidTag] = [
        (VIDEO, at, b"\x17\1\0\0\0", KEYFRAME) if at in keyframes_ms else (VIDEO, at, b"\x27\1\0\0\0", FRAME)
        for at in range(40, until_ms, 40)
    ]
    for tag in sorted(sounds + pictures, key=lambda one: one[1]):
        look.take([tag])
        if ended:
            return ended[0]
    raise AssertionError("the look did not end")


def test_sound_is_what_was_sent_last() -> None:
    """A look that has to wait for its keyframe does not judge what was loud when it began."""
    seen = seen_of(list(range(1, 6_000, 23)), keyframes_ms=[4_000], until_ms=6_000)
    heard_ms = [int.from_bytes(body[2:]) for body in seen.sounds]
    assert len(heard_ms) == SOUND_FRAMES
    assert 3_700 < heard_ms[0] < heard_ms[-1] <= 4_000


def test_sound_that_has_stopped_while_a_keyframe_was_waited_for_is_missing() -> None:
    """It is not judged by what came before."""
    seen = seen_of(list(range(1, 800, 23)), keyframes_ms=[4_000], until_ms=6_000)
    assert seen.is_mute
    assert not seen.sounds


def test_sound_that_comes_late_is_waited_for() -> None:
    """A keyframe at once, and the sound a second later: none of it is missing."""
    seen = seen_of(list(range(1_000, 3_000, 23)), keyframes_ms=[40], until_ms=4_000)
    assert not seen.is_mute
    assert len(seen.sounds) == SOUND_FRAMES


def test_further_tracks_are_not_looked_at() -> None:
    """OBS sends a second sound for recordings: it says nothing of the first, nor do its headers."""
    other_header, other_sound = b"\x95\x00mp4a\x01\x12\x10", b"\x95\x01mp4a\x01other"
    ended: list[Seen] = []
    look = Look([*HEADERS, (AUDIO, 0, other_header, SEQUENCE_HEADER)], ended.append, lambda _: None, None)
    for at in range(1, 2_000, 20):
        look.take([(AUDIO, at, b"\xaf\1first", FRAME), (AUDIO, at, other_sound, FRAME)])
        look.take([(VIDEO, at, b"\x17\1\0\0\0", KEYFRAME)])
        if ended:
            break
    assert ended[0].headers[AUDIO] == HEADERS[1][2]
    assert set(ended[0].sounds) == {b"\xaf\1first"}


def test_a_sound_that_is_too_large_is_not_copied() -> None:
    """It would be kept twelve times, for each stream; it is sound all the same."""
    ended: list[Seen] = []
    look = Look(HEADERS, ended.append, lambda _: None, None)
    for at in range(1, 4_000, 20):
        look.take([(VIDEO, at, b"\x17\1\0\0\0", KEYFRAME), (AUDIO, at, b"\xaf\1" + bytes(1 << 20), FRAME)])
        if ended:
            break
    assert ended[0].sounds == ()


@pytest.mark.parametrize(
    ("frame_bytes", "frames", "stood_s"), [(40, 10, 0.96), (40, 3, 0.96), (40, 2, 0.0), (400, 10, 0.0)]
)
def test_frames_that_repeat_the_one_before_say_that_nothing_changes(
    frame_bytes: int, frames: int, stood_s: float
) -> None:
    """Some of them, of a hundredth of their keyframe at most; what comes after it says nothing of it."""
    ended: list[Seen] = []
    look = Look(HEADERS, ended.append, lambda _: None, None)
    for at in range(1, frames + 1):
        look.take([(VIDEO, 40 * at, b"\x27\1\0\0\0" + bytes(frame_bytes), FRAME)])
    look.take([(VIDEO, 1_000, b"\x17\1\0\0\0" + bytes(5_000), KEYFRAME)])
    for at in range(1_000, 2_000, 20):
        look.take([(VIDEO, at, b"\x27\1\0\0\0" + bytes(4_000), FRAME), (AUDIO, at, b"\xaf\1", FRAME)])
        if ended:
            break
    assert ended[0].stood_s == stood_s


def rate_of(tags: list[LaidTag], headers: list[LaidTag] = HEADERS) -> list[tuple[float, float]]:
    """What a look tells of these tags, sent one by one: frames a second, and over how many seconds."""
    told: list[tuple[float, float]] = []
    look = Look(headers, lambda _: None, lambda _: None, None, lambda *rate: told.append(rate))
    for tag in tags:
        look.take([tag])
    return told


def pictures(*stamps_ms: int) -> list[LaidTag]:
    """One at each."""
    return [(VIDEO, at, b"\x27\1\0\0\0", FRAME) for at in stamps_ms]


def sounds(until_ms: int) -> list[LaidTag]:
    """From the beginning on."""
    return [(AUDIO, at, b"\xaf\1", FRAME) for at in range(0, until_ms, 20)]


@pytest.mark.parametrize(
    ("tags", "rates"),
    [
        (pictures(*range(3, 2_500, 40)), [(25, 1), (25, 1)]),
        # While a keyframe is waited for: encoders count frames from one to the next.
        (pictures(*range(0, 1_001, 40), *range(1_200, 3_001, 200)), [(25, 1), (5, 1), (5, 1)]),
        (pictures(0, 3_000), [(1 / 3, 3)]),
        # Each picture in three slices, a tag for each.
        (pictures(*[at for at in range(0, 1_500, 40) for _ in range(3)]), [(25, 1)]),
        # Sound is sent three seconds before its pictures.
        (sounds(3_000) + pictures(*range(0, 1_500, 40)), [(25, 1)]),
        # The picture has ended, the sound has not.
        (pictures(0, 40) + sounds(13_000), [(1 / 3, 6), (0, 6)]),
        (sounds(7_000), [(0, 6)]),
    ],
)
def test_frames_are_counted_by_their_stamps(tags: list[LaidTag], rates: list[tuple[float, float]]) -> None:
    """However they were sent."""
    assert rate_of(tags) == [(pytest.approx(fps), lasted_s) for fps, lasted_s in rates]


def test_sound_alone_has_no_frame_rate() -> None:
    """Radio is no picture that has ended."""
    assert rate_of(sounds(9_000), HEADERS[1:]) == []


def test_a_look_waits_for_the_frame_rate() -> None:
    """All else is there in the first quarter of a second."""
    ended: list[Seen] = []
    told: list[float] = []
    look = Look(HEADERS, ended.append, lambda _: None, None, lambda fps, _: told.append(fps))
    for at in range(0, 2_000, 20):
        look.take([(VIDEO, at, b"\x17\1\0\0\0", KEYFRAME), (AUDIO, at, b"\xaf\1", FRAME)])
        if ended:
            break
    assert told == [50.0]
    assert at == 1_000
