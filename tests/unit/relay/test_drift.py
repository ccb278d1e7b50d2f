"""Drift of sound: what a clock that runs apart becomes, and that what is none stays as it is. Without waiting."""

import functools
import random
from itertools import pairwise
from typing import NamedTuple

import pytest

from scripted.camera import AAC_HEADER, AVC_HEADER, METADATA_BODY, picture, sound
from streamferry.media.stamps import signed_delta_ms, to_wire_ms
from streamferry.media.tag import AUDIO, SCRIPT, VIDEO
from streamferry.relay.drift import AWAY_MS, LASTING, WINDOW_MS, Drift

#: Of a clock that is off by 0.1 % by the time it is judged, with the window in which that happens.
FOUND_MS = (LASTING + 2) * WINDOW_MS // 1000
HOUR_S = 3_600
#: Bodies that tell each other apart in a pull.
BODIES = {VIDEO: [picture(number, 9) for number in range(256)], AUDIO: [sound(number) for number in range(256)]}


class Frame(NamedTuple):
    """One frame: when it was made and when it is sent, in ms of real time, and its stamp."""

    tag_type: int
    made_ms: float
    sent_ms: float
    stamp_ms: float

    def sent(self, at_ms):
        return Frame(self.tag_type, self.made_ms, at_ms, self.stamp_ms)

    def delayed(self, ms):
        return self.sent(self.sent_ms + ms)

    def moved(self, ms):
        return Frame(self.tag_type, self.made_ms, self.sent_ms, self.stamp_ms + ms)


@functools.cache
def track(tag_type, seconds, frame_ms, slow=0.0):
    """The frames of one track whose clock is slower than real time by that part."""
    made = [number * frame_ms / (1 - slow) for number in range(int(seconds * 1000 / frame_ms * (1 - slow)))]
    return [Frame(tag_type, at, at, number * frame_ms) for number, at in enumerate(made)]


def film(seconds=1200, *, slow=0.0, picture_ms=1000 / 15, sound_ms=64):
    """A cheap camera: 15 pictures a second and AAC of 16 kHz; ``slow``: its clock of sound."""
    return track(VIDEO, seconds, picture_ms) + track(AUDIO, seconds, sound_ms, slow)


def of_sound(frames, change):
    """The same with the change made to each frame of sound."""
    return [change(frame) if frame.tag_type == AUDIO else frame for frame in frames]


def jittered(frames, ms, seed=1):
    """Sent later by up to so much, each track in its order."""
    chance = random.Random(seed)
    latest = {AUDIO: 0.0, VIDEO: 0.0}
    late = []
    for frame in sorted(frames, key=lambda frame: frame.made_ms):
        latest[frame.tag_type] = max(latest[frame.tag_type], frame.sent_ms + chance.random() * ms)
        late.append(frame.sent(latest[frame.tag_type]))
    return late


def show(frames, drift, *, beat_ms=80, start_ms=0):
    """Frames through a drift as a feed finds them: (frame, the tag it was, the tag it became) of each."""
    shown, pulled, tags, begun_ms = [], [], [], None

    def pull():
        if tags:
            shown.extend(zip(pulled, tags, drift.correct(tags), strict=True))

    for frame in sorted(frames, key=lambda frame: frame.sent_ms):
        beat = frame.sent_ms // beat_ms
        if beat != begun_ms:
            pull()
            pulled, tags, begun_ms = [], [], beat
        body = BODIES[frame.tag_type][len(tags) % 256]
        pulled.append(frame)
        tags.append((frame.tag_type, to_wire_ms(round(frame.stamp_ms) + start_ms), body))
    pull()
    return shown


def sounds(shown):
    """When each sound was made, in ms, and what became of it."""
    return [(frame.made_ms, tag) for frame, _, tag in shown if frame.tag_type == AUDIO]


def offsets(shown):
    """By how much each sound is late beside the pictures of its time (negative: early); with that time in ms."""
    return [(made_ms, tag[1] - made_ms) for made_ms, tag in sounds(shown)]


def assert_untouched(frames, **options):
    """Each tag is what it was."""
    shown = show(frames, Drift(), **options)
    assert len(shown) == len(frames)
    assert [tag for _, _, tag in shown] == [tag for _, tag, _ in shown]


def assert_in_order(shown):
    """Pictures are what they were, and stamps of sound rise strictly."""
    assert all(was == became for frame, was, became in shown if frame.tag_type == VIDEO)
    stamps = [tag[1] for _, tag in sounds(shown)]
    assert all(signed_delta_ms(later, earlier) > 0 for earlier, later in pairwise(stamps))


@pytest.mark.parametrize("slow", [0.001, -0.001, 0.003, -0.003, 0.0003])
def test_a_clock_that_runs_apart_is_followed(slow):
    """Found within minutes, never further off than by then, and close up to the end of half an hour."""
    drift = Drift()
    shown = show(film(1800, slow=slow), drift)
    assert_in_order(shown)
    found_ms = max(abs(slow) * 1000 * FOUND_MS, AWAY_MS + 15)
    late = offsets(shown)
    assert max(abs(ms) for _, ms in late) < found_ms
    assert max(abs(ms) for at_ms, ms in late if at_ms > 600_000) < 20 + 30_000 * abs(slow)
    assert drift.sound_ms == pytest.approx(-slow * 1_800_000, abs=20 + 20_000 * abs(slow))


@pytest.mark.parametrize(
    ("picture_ms", "sound_ms"),
    [(40, 1024 / 48), (1000 / 30, 1024 / 44.1), (1000 / 60, 10), (40, 20), (40, 40), (200, 40), (80, 128), (1000, 64)],
)
def test_frames_of_any_length_tell_the_clock(picture_ms, sound_ms):
    """Those of both tracks alike, pictures once a second, packets of telephones; whatever the beat finds in a pull."""
    shown = show(film(700, slow=0.001, picture_ms=picture_ms, sound_ms=sound_ms), Drift())
    assert_in_order(shown)
    assert max(abs(ms) for at_ms, ms in offsets(shown) if at_ms > 400_000) < 30 + sound_ms
    assert_untouched(film(400, picture_ms=picture_ms, sound_ms=sound_ms))


def test_a_clock_that_is_slightly_apart_is_found_in_hours():
    """50 ppm, which is 4 s a day: some ms in each of many windows are seen as the line they are."""
    shown = show(film(HOUR_S, slow=0.00005), Drift())
    assert_in_order(shown)
    late = offsets(shown)
    assert max(abs(ms) for _, ms in late) < AWAY_MS + 20
    assert abs(late[-1][1]) < 30


def test_a_clock_is_followed_through_jitter():
    """A sender that mixes its tracks badly: what is certain is made good, the rest is left."""
    shown = show(jittered(film(slow=0.001), 50), Drift())
    assert_in_order(shown)
    assert max(abs(ms) for _, ms in offsets(shown)) < 220


def test_a_clock_is_followed_through_bursts():
    """A server that stops each quarter of a minute for as long as a relay waits, and then sends all at once."""

    def sent(frame):
        stop_ms = frame.made_ms // 15_000 * 15_000
        return frame.sent(max(frame.made_ms, stop_ms + 4900 + frame.made_ms / 1e6))

    shown = show([sent(frame) for frame in film(slow=0.001)], Drift())
    assert_in_order(shown)
    assert max(abs(ms) for at_ms, ms in offsets(shown) if at_ms > 400_000) < 60


def test_a_clock_across_the_wrap_of_stamps():
    """Both tracks wrap at 2^32, and nothing is seen of it."""
    start_ms = (1 << 32) - 900_000
    shown = show(film(slow=0.001), Drift(), start_ms=start_ms)
    assert_in_order(shown)
    late = [signed_delta_ms(tag[1], start_ms) - made_ms for made_ms, tag in sounds(shown)]
    assert max(abs(ms) for ms in late) < FOUND_MS
    assert abs(late[-1]) < 40


def test_sound_and_pictures_made_together_are_left_alone():
    """Behind a jittery network, too, and when one of both is always late."""
    assert_untouched(film())
    assert_untouched(jittered(film(), 300))
    assert_untouched(of_sound(film(), lambda frame: frame.delayed(700)))


def test_a_muxer_that_orders_by_stamp_is_left_alone():
    """Whatever its camera did: the order of its tags tells nothing, and nothing is done."""
    assert_untouched([frame.sent(frame.stamp_ms) for frame in film(slow=0.001)])


def test_a_track_alone_is_left_alone():
    """There is nothing to compare it with."""
    assert_untouched(track(VIDEO, 600, 40))
    assert_untouched(track(AUDIO, 600, 64, slow=0.001))


def test_frames_that_are_dropped_are_no_drift():
    """A sender on a bad line leaves out pictures for minutes, and then sound: what it sends is where it belongs."""

    def is_sent(frame):
        second = frame.made_ms // 1000
        if frame.tag_type == VIDEO:
            return not 300 < second < 900 or frame.made_ms % 400 == 0
        return not 900 < second < 1000 and not (1200 < second < 1500 and second % 7 < 4)

    assert_untouched([frame for frame in film() if is_sent(frame)])


def test_bursts_are_no_drift():
    """A server sends what it had kept first, pictures before sound, and stops now and then to send all at once."""

    def sent(frame):
        if frame.made_ms < 5000:
            return frame.sent(5000 + (frame.tag_type == AUDIO) + frame.made_ms / 10_000)
        stop_ms = frame.made_ms // 70_000 * 70_000
        return frame.sent(max(frame.made_ms, stop_ms + 8000 + frame.made_ms / 1e6))

    assert_untouched([sent(frame) for frame in film()])


def test_sound_sent_in_batches_is_no_drift():
    """Encoders that send sound twice a second, behind the pictures of its time."""
    assert_untouched(of_sound(film(), lambda frame: frame.sent(frame.sent_ms // 500 * 500 + 500)))


@pytest.mark.parametrize("jump_ms", [20_000, 5_000, -400, -HOUR_S * 1000], ids=str)
def test_stamps_that_jump_are_no_drift(jump_ms):
    """Of both tracks at once, as after an outage or when an encoder starts anew: the timeline's business."""
    frames = [frame.moved(jump_ms) if frame.made_ms > 400_000 else frame for frame in film(900)]
    assert_untouched(frames, start_ms=2 * HOUR_S * 1000)


@pytest.mark.parametrize("step_ms", [-300, -90, 90, 300, 3000], ids=str)
def test_a_step_is_no_drift(step_ms):
    """Sound that is stamped or sent otherwise from one moment on: who knows what it was right for."""
    frames = film()
    assert_untouched(of_sound(frames, lambda frame: frame.moved(step_ms * (frame.made_ms > 700_000))))
    assert_untouched(of_sound(frames, lambda frame: frame.delayed(max(step_ms, 0) * (frame.made_ms > 700_000))))


def test_a_queue_that_fills_and_empties_is_no_drift():
    """Pictures late by half a second more after a minute, for a while, and then no more."""

    def queued(frame):
        seconds = frame.made_ms / 1000 % 500
        return frame.delayed(500 * min(seconds / 60, 1) * (seconds < 200)) if frame.tag_type == VIDEO else frame

    assert_untouched([queued(frame) for frame in film()])


def test_a_clock_that_is_off_by_more_than_a_percent_is_none():
    """Sound at 3 % more than its speed is something else, such as a wrong rate in its header."""
    assert_untouched(film(slow=0.03))
    assert_untouched(film(slow=-0.03))


def test_a_source_that_puts_itself_right_is_not_put_off():
    """Its sound leaps to where it belongs each ten minutes: what was corrected is taken back, and nothing adds up."""
    frames = of_sound(film(HOUR_S), lambda frame: frame.moved(-0.001 * (frame.made_ms % 600_000)))
    shown = show(frames, Drift())
    assert_in_order(shown)
    late = offsets(shown)
    assert max(abs(ms) for _, ms in late) < 620
    assert max(abs(ms) for at_ms, ms in late if 200_000 < at_ms % 600_000 < 590_000) < 40


def test_a_step_of_a_clock_that_is_followed_stays():
    """From there on it is followed as before, no matter what the step was."""
    shown = show(of_sound(film(slow=0.001), lambda frame: frame.moved(300 * (frame.made_ms > 700_000))), Drift())
    assert_in_order(shown)
    assert all(200 < ms < 310 for at_ms, ms in offsets(shown) if at_ms > 900_000)


def test_a_hole_does_not_forget_a_clock():
    """Of both tracks, for as long as a relay waits for a source: it goes on behind it as if it had not been."""
    shown = show([frame for frame in film(slow=0.001) if not 700_000 < frame.made_ms < 705_000], Drift())
    assert_in_order(shown)
    assert max(abs(ms) for at_ms, ms in offsets(shown) if at_ms > 400_000) < 40


def test_a_source_that_begins_anew_is_measured_anew():
    """A camera that comes back to its server begins at 0 with both clocks: no sound is moved by what was before."""
    again_ms = 700_000
    first = [frame for frame in film(slow=0.001) if frame.made_ms < again_ms]
    second = [frame._replace(made_ms=at, sent_ms=at) for frame in film(300) if (at := frame.made_ms + again_ms)]
    shown = show(first + second, Drift(), start_ms=1)
    assert any(was != became for frame, was, became in shown if frame.made_ms < again_ms)
    assert all(was == became for frame, was, became in shown if frame.made_ms >= again_ms)


@pytest.mark.parametrize("start_ms", [1, (1 << 32) - 690_000], ids=["a server's own stamps", "the stamps of before"])
def test_a_new_session_goes_on_with_the_stream_of_a_server(start_ms):
    """It has the drift of all that time in it, whatever it stamps: sound is in time once seen beside a picture."""
    lost_ms, drift = 700_000, Drift()
    frames = film(slow=0.001)
    show([frame for frame in frames if frame.made_ms < lost_ms], drift, start_ms=(1 << 32) - 690_000)
    drift.begin_session()  # Twice: an attempt that fails.
    drift.begin_session()
    first_ms = lost_ms + 20_000
    moved_ms = -first_ms if start_ms == 1 else 0
    rest = [frame.moved(moved_ms) for frame in frames if frame.made_ms > first_ms]
    first = to_wire_ms(round(rest[0].stamp_ms) + start_ms + 5000)
    drift.correct([(VIDEO, first, AVC_HEADER), (AUDIO, first, AAC_HEADER)])
    drift.correct([(VIDEO, first, picture(0, 9))])
    shown = show(rest[1:], drift, start_ms=start_ms + 5000)
    assert_in_order(shown)
    late = [signed_delta_ms(tag[1], start_ms + 5000) - moved_ms - at for at, tag in sounds(shown)]
    assert max(abs(ms) for ms in late[3:]) < 90


def test_a_new_session_with_a_camera_begins_anew():
    """Its clocks begin together, and no sound is moved by what was before."""
    drift = Drift()
    show(film(700, slow=0.001), drift)
    drift.begin_session()
    shown = show(film(100), drift)
    assert all(was == became for _, was, became in shown)
    assert drift.sound_ms == 0


def test_headers_with_stamps_of_their_own_are_no_drift():
    """Servers repeat them with a stamp of 0, and metadata with any."""
    drift = Drift()
    for number, (_, tag, became) in enumerate(show(film(900, slow=0.001), drift)):
        assert tag[0] == became[0]
        if number % 50 == 0:
            headers = [(SCRIPT, 0, METADATA_BODY), (VIDEO, 0, AVC_HEADER), (AUDIO, 0, AAC_HEADER)]
            assert [tag[2] for tag in drift.correct(headers)] == [header[2] for header in headers]
    assert drift.sound_ms == pytest.approx(-900, abs=30)
