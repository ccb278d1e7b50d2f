"""A source that breaks off and sends again, at the next session's beginning, what it has already sent."""

import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripted.camera import OTHER_AVC_HEADER, Camera, frames, number_of
from streamferry.media.tag import AUDIO, VIDEO, Tag
from streamferry.relay.continuation import NEW_CLOCK_MS, PATIENCE_S
from streamferry.relay.feed import LiveFeed
from streamferry.source.live import SILENCE_S
from streamferry.timeline import Timeline

SCRATCH = memoryview(bytearray(1 << 16))
HOUR_MS = 3_600_000


class Inlet:
    silence_s = SILENCE_S
    is_mute = False

    def __init__(self) -> None:
        self.tags: list[Tag] = []

    def pull(self, scratch, out):
        out += self.tags
        self.tags = []
        return 1

    def close(self):
        pass


class Relayed:
    """What is laid of the sessions of a source."""

    def __init__(self) -> None:
        self.timeline = Timeline()
        self.laid = []
        self.now = 0.0

    def session(self, tags: list[Tag], cuts=(), *, may_replay=True, seconds=0.5, **options) -> LiveFeed:
        """One session gives these tags in so many pulls, over so many seconds."""
        inlet = Inlet()
        feed = LiveFeed(inlet, self.timeline, SCRATCH, self.now, may_replay=may_replay, **options)
        edges = [0, *sorted(min(cut, len(tags)) for cut in cuts), len(tags)]
        for begin, end in pairwise(edges):
            inlet.tags = tags[begin:end]
            self.now += seconds / len(edges)
            feed.pull(self.now, self.laid)
        return feed

    def numbers(self, tag_type: int) -> list[int]:
        return [number_of(tag) for tag in frames([tag[:3] for tag in self.laid], tag_type)]

    def steps(self, tag_type: int) -> set[int]:
        stamps = [tag[1] for tag in frames([tag[:3] for tag in self.laid], tag_type)]
        return {later - earlier for earlier, later in pairwise(stamps)}


pulls = st.lists(st.integers(0, 400), max_size=6)


@given(
    begin_ms=st.sampled_from([NEW_CLOCK_MS + 1, HOUR_MS, (1 << 24) - 3000, (1 << 31) - 3000]),
    first=st.integers(30, 200),
    repeated=st.integers(1, 25),
    more=st.integers(1, 60),
    break_at=st.integers(0, 2),
    first_cuts=pulls,
    second_cuts=pulls,
)
def test_what_is_repeated_is_relayed_once(begin_ms, first, repeated, more, break_at, first_cuts, second_cuts):
    """The stream goes on without a hole, a repetition or a step, wherever it broke off and however it comes."""
    camera = Camera(begin_ms)
    headers = camera.headers()
    stream = [tag for _ in range(first + more) for tag in camera.shoot()]
    end = 3 * first - break_at
    # From a keyframe on that was relayed: one of the last, which are ten pictures apart.
    begin = 3 * max(0, (first - 1 - repeated) // 10 * 10)
    relayed = Relayed()
    relayed.session(headers + stream[:end], first_cuts, may_replay=False)
    relayed.now += 1
    relayed.session(headers + stream[begin:], second_cuts)
    assert relayed.numbers(VIDEO) == list(range(first + more))
    assert relayed.numbers(AUDIO) == list(range(2 * (first + more)))
    assert (relayed.steps(VIDEO), relayed.steps(AUDIO)) == ({40}, {20})
    assert relayed.timeline.repairs == 0


def again(camera_ms, first, second, **options):
    """Two sessions whose pictures are numbered alike; the pictures that were laid of the second."""
    relayed = Relayed()
    one, other = Camera(camera_ms), Camera(second)
    relayed.session(one.headers() + one.film(first), may_replay=False)
    count = len(relayed.numbers(VIDEO))
    relayed.now += 1
    relayed.session(other.headers() + other.film(2), range(0, 150, 12), seconds=2, **options)
    return relayed.numbers(VIDEO)[count:]


@pytest.mark.parametrize(
    ("before_ms", "second_ms"),
    [
        (0, 0),
        (HOUR_MS, 0),
        (HOUR_MS, NEW_CLOCK_MS),
        (HOUR_MS, HOUR_MS + 60_000),
        (HOUR_MS, HOUR_MS - 200_000),
        (HOUR_MS, 2 * HOUR_MS),
    ],
)
def test_another_clock_is_none(before_ms, second_ms):
    """An encoder that began anew, or a stream that went on meanwhile, is relayed from its first keyframe on."""
    assert again(before_ms, 4, second_ms) == list(range(50))


def test_of_another_source_nothing_is_left_out():
    """Its clock may be the same by chance, or because it is another size of the same stream."""
    assert again(HOUR_MS, 4, HOUR_MS, may_replay=False) == list(range(50))


def test_a_clock_that_was_set_back_costs_three_seconds():
    """It looks like a repetition, but does not come as fast as one."""
    relayed = Relayed()
    camera = Camera(HOUR_MS)
    relayed.session(camera.headers() + camera.film(60), may_replay=False)
    last = relayed.numbers(VIDEO)[-1]
    camera.stamp_ms -= 60_000
    camera.start_over()
    relayed.session(camera.headers() + camera.film(20), range(0, 1500, 12), seconds=20)
    left = last + 20 * 25 - relayed.numbers(VIDEO)[-1]
    assert left == 0
    gone = 20 * 25 - sum(number > last for number in relayed.numbers(VIDEO))
    assert PATIENCE_S * 25 <= gone <= (PATIENCE_S + 1) * 25


def test_with_a_hole_it_begins_with_a_keyframe():
    """What is repeated ends before what comes next: pictures that refer to missing ones are not relayed."""
    camera = Camera(HOUR_MS)
    relayed = Relayed()
    stream = camera.film(20)
    relayed.session(camera.headers() + stream[: 3 * 55], may_replay=False)
    # Pictures 60 to 83 are missing.
    relayed.session(camera.headers() + stream[3 * 50 : 3 * 55] + stream[3 * 84 :])
    assert relayed.numbers(VIDEO)[54:56] == [54, 90]


def test_other_headers_begin_with_a_keyframe():
    """The encoder was set anew in between: its pictures cannot be read with the old header."""
    camera = Camera(HOUR_MS)
    relayed = Relayed()
    stream = camera.film(20)
    relayed.session(camera.headers() + stream[: 3 * 55], may_replay=False)
    camera.video_header = OTHER_AVC_HEADER
    relayed.session(camera.headers() + stream[3 * 50 :])
    assert relayed.numbers(VIDEO)[54:56] == [54, 60]


@pytest.mark.parametrize("seed", range(3))
def test_a_hundred_breaks(seed):
    """A link that lives for 20 s and then ends (A15), with whatever the server keeps: each picture once, in order."""
    chance = random.Random(seed)
    camera = Camera(HOUR_MS)
    headers, stream = camera.headers(), camera.film(200)
    relayed, at = Relayed(), 0
    while at < len(stream) // 3:
        until = min(at + chance.randint(20, 80), len(stream) // 3)
        begin = max(0, at // 10 * 10 - 10 * chance.randint(0, 30)) if at else 0
        cuts = [chance.randint(0, 500) for _ in range(3)]
        relayed.session(headers + stream[3 * begin : 3 * until], cuts, may_replay=at > 0)
        at = until
    assert relayed.numbers(VIDEO) == list(range(len(stream) // 3))


@pytest.mark.parametrize("begin", [80, 90, 120])
def test_silence_has_no_hole_of_seconds_after_a_break(begin):
    """A source that had no sound until the break is not waited for again: silence goes on with its first keyframe."""
    camera = Camera(HOUR_MS)
    headers, stream = camera.headers(), [tag for tag in camera.film(20) if tag[0] == VIDEO]
    relayed = Relayed()
    short = relayed.session(headers[:1] + stream[:5], may_replay=False, silence=True)
    assert short.is_mute is None
    before = relayed.session(headers[:1] + stream[:85], may_replay=False, silence=True)
    assert before.is_mute is True
    relayed.session(headers[:1] + stream[begin:], range(0, 400, 5), silence=True, was_mute=True)
    # No more than the ten pictures of a group.
    assert max(relayed.steps(AUDIO)) <= 10 * 40 + 22


def test_a_session_with_sound_is_not_mute():
    camera = Camera(HOUR_MS)
    assert Relayed().session(camera.headers() + camera.film(5), range(0, 300, 5), silence=True).is_mute is False
