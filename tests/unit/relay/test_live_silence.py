"""Silence beside the pictures of a source without sound: when it begins, where it lies, when it ends."""

from itertools import pairwise

import pytest

from scripted.camera import AAC_HEADER, FRAME_MS, Camera, frames, number_of
from streamferry.media.enhanced import tag_kind
from streamferry.media.stamps import signed_delta_ms
from streamferry.media.tag import AUDIO, SEQUENCE_HEADER, VIDEO
from streamferry.relay.silence import SOUND_PATIENCE_MS, Silence

HOUR_MS = 3_600_000


def film(camera, seconds):
    """What a camera without a microphone gives."""
    return [tag for tag in camera.headers() + camera.film(seconds) if tag[0] != AUDIO]


def audio_headers(tags):
    return [tag for tag in tags if tag[0] == AUDIO and tag_kind(AUDIO, tag[2]) == SEQUENCE_HEADER]


def fill(silence, tags):
    """Through it in pieces of three tags, as a beat may find them."""
    return [tag for at in range(0, len(tags), 3) for tag in silence.fill(tags[at : at + 3])]


def assert_even(silent):
    """No frame is missing and none is too much: 1024 samples of 48 kHz apart, to the millisecond."""
    steps = [signed_delta_ms(later, earlier) for (_, earlier, _), (_, later, _) in pairwise(silent)]
    assert set(steps) == {21, 22}


@pytest.mark.parametrize("stamp_ms", [0, (1 << 24) - 500, (1 << 31) - 500, (1 << 32) - 500])
def test_a_source_known_to_be_mute_has_silence_from_its_first_keyframe(stamp_ms):
    """One header behind the keyframe, then frames without a gap as far as the pictures go; these are as they were."""
    camera = Camera(stamp_ms)
    given = film(camera, 2)
    filled = fill(Silence(is_known=True), given)
    assert [tag for tag in filled if tag[0] != AUDIO] == given
    assert len(audio_headers(filled)) == 1
    silent = frames(filled, AUDIO)
    assert_even(silent)
    assert silent[0][1] == given[2][1]
    assert 0 < signed_delta_ms(frames(given, VIDEO)[-1][1], silent[-1][1]) <= 22
    at = [tag[0] for tag in filled].index(AUDIO)
    assert filled[at - 1] == frames(given, VIDEO)[0]


def test_any_other_source_gets_it_after_three_seconds_of_pictures():
    """Until then its sound may still come."""
    camera = Camera(HOUR_MS)
    filled = fill(Silence(is_known=False), film(camera, 5))
    silent = frames(filled, AUDIO)
    assert silent[0][1] == HOUR_MS + SOUND_PATIENCE_MS
    assert_even(silent)


def test_pictures_without_a_beginning_get_none():
    """There is nothing yet that a viewer could see."""
    camera = Camera(gop=10_000)
    camera.shoot()
    given = film(camera, 10)
    assert fill(Silence(is_known=False), given) == given


def test_a_source_with_sound_is_left_alone():
    """Its tags are what they were, and there is nothing more to do."""
    silence = Silence(is_known=False)
    camera = Camera()
    given = camera.headers() + camera.film(4)
    assert fill(silence, given) == given
    assert silence.is_over


def test_an_announcement_is_no_sound():
    """A header without a frame behind it, as of a camera whose microphone is off: silence all the same."""
    camera = Camera()
    given = camera.headers() + [tag for tag in camera.film(5) if tag[0] != AUDIO]
    silence = Silence(is_known=False)
    filled = fill(silence, given)
    assert not silence.is_over
    assert len(audio_headers(filled)) == 2
    assert frames(filled, AUDIO)[0][1] == SOUND_PATIENCE_MS


@pytest.mark.parametrize("announced", ["at the start", "late"])
def test_sound_that_comes_after_all_takes_the_place_of_silence(announced):
    """With its own header, none of it beside silence, and from then on nothing is added."""
    camera = Camera()
    headers = [tag for tag in camera.headers() if tag[0] != AUDIO or announced == "at the start"]
    silence = Silence(is_known=False)
    before = fill(silence, headers + [tag for tag in camera.film(5) if tag[0] != AUDIO])
    late = [(AUDIO, camera.stamp_ms, AAC_HEADER)] if announced == "late" else []
    given = late + camera.film(1)
    # Sound that lags behind the picture by half a second begins where there is silence.
    given = [(tag[0], tag[1] - 500 * (tag[0] == AUDIO), tag[2]) for tag in given]
    after = fill(silence, given)
    assert silence.is_over
    assert audio_headers(before + after)[-1][2] == AAC_HEADER
    assert frames(after, VIDEO) == frames(given, VIDEO)
    stamps = [tag[1] for tag in frames(before + after, AUDIO)]
    assert all(later > earlier for earlier, later in pairwise(stamps))
    real = [number_of(tag) for tag in frames(after, AUDIO) if len(tag[2]) == 6]
    assert real == list(range(real[0], real[0] + len(real)))
    assert len(real) >= 24


@pytest.mark.parametrize("to_ms", [0, 10 * HOUR_MS])
def test_silence_goes_with_the_clock_of_the_source(to_ms):
    """A jump of the pictures is one of the silence: the timeline closes both alike."""
    camera = Camera(HOUR_MS)
    silence = Silence(is_known=True)
    fill(silence, film(camera, 2))
    camera.stamp_ms = to_ms
    silent = frames(fill(silence, film(camera, 2)), AUDIO)
    assert silent[0][1] == to_ms
    assert_even(silent)
    assert silent[-1][1] > to_ms + 2000 - 2 * FRAME_MS - 22
