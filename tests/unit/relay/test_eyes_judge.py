"""What follows from what was seen and heard, by tables: observations with their times, and what is found when."""

from dataclasses import replace
from math import inf

import pytest

from streamferry.relay.eyes.judge import DEFAULTS, HEIGHT, STALE_S, WIDTH, ContentFault, Judge, Rule, Watch, difference

FPS = Rule(10.0, 20.0)
PIXELS = WIDTH * HEIGHT
BLACK = bytes(PIXELS)
GREY = bytes([128]) * PIXELS
#: A street at night: where it is dark it is nearly black, but not quite.
NIGHT = bytes(range(9, 18)) * (PIXELS // 9)
#: Another picture, which differs in one small part: a clock in a corner.
CLOCK = bytes([128]) * (PIXELS - 6) + bytes([255]) * 6


def part_black(share: float) -> bytes:
    """That part of it is black."""
    count = round(PIXELS * share)
    return bytes(count) + bytes([128]) * (PIXELS - count)


@pytest.mark.parametrize(
    ("rule", "note", "values", "found"),
    [
        ("black", "note_picture", [GREY, BLACK, BLACK, BLACK], [(1, False), (10, False), (11, True), (30, True)]),
        ("black", "note_picture", [BLACK, BLACK, GREY, BLACK], [(30, False)]),
        ("black", "note_picture", [part_black(0.9)] * 4, [(30, False)]),
        ("black", "note_picture", [BLACK], [(30, False)]),
        ("black", "note_picture", [NIGHT] * 4, [(30, False)]),
        ("frozen", "note_picture", [GREY] * 4, [(29, False), (30, True)]),
        ("frozen", "note_picture", [GREY, BLACK, BLACK, BLACK], [(30, False), (31, True)]),
        ("frozen", "note_picture", [GREY, CLOCK, GREY, CLOCK], [(59, False)]),
        ("silent", "note_level", [-20.0, -inf, -70.0, -60.1], [(20, False), (21, True)]),
        ("silent", "note_level", [-inf, -inf, -59.0, -inf], [(40, False)]),
        ("low_bitrate", "note_rate", [500.0, 99.0, 20.0, 10.0], [(20, False), (21, True)]),
        ("low_fps", "note_frames", [25.0, 9.9, 0.0, 5.0], [(19.4, False), (20.5, True)]),
        ("low_fps", "note_frames", [9.0, 10.0, 9.0], [(40, False)]),
        ("keyframes_far_apart", "note_keyframes", [11.0, 12.0, 10.5], [(19, False), (20, True)]),
        ("keyframes_far_apart", "note_keyframes", [11.0, 10.0, 11.0], [(40, False)]),
    ],
)
def test_a_fault_is_found_when_it_has_lasted(rule, note, values, found):
    """One observation a second from 0 on: two bad ones at least, and the rule's duration since the first of them.
    Frames are counted over half a second."""
    judge = Judge(replace(Watch(**{rule: getattr(DEFAULTS, rule)}), **({"low_fps": FPS} if rule == "low_fps" else {})))
    for at, value in enumerate(values):
        getattr(judge, note)(float(at), value, *((0.5,) if note == "note_frames" else ()))
    for now, is_found in found:
        assert [str(one.fault) for one in judge.findings(now)] == ([rule] if is_found else []), now


def test_it_is_over_with_the_first_good_observation():
    """And begins anew from the next bad one."""
    judge = Judge(Watch(silent=Rule(-60.0, 2.0)))
    for at in range(4):
        judge.note_level(at, -inf)
    (finding,) = judge.findings(3)
    assert (finding.fault, finding.since, finding.value) == (ContentFault.SILENT, 0, None)
    judge.note_level(4, -30.0)
    assert judge.findings(4) == ()
    for at in (5, 6):
        judge.note_level(at, -80.0)
    assert judge.findings(6.9) == ()
    assert judge.findings(7)[0].since == 5


def test_what_was_seen_long_ago_says_nothing():
    """Nor does what is cleared."""
    judge = Judge(Watch(black=Rule(0.98, 1.0)))
    for at in (0, 1):
        judge.note_picture(at, BLACK)
    assert judge.findings(1 + STALE_S)
    assert not judge.findings(2 + STALE_S)
    assert judge.findings(2)
    judge.clear()
    assert not judge.findings(2)


@pytest.mark.parametrize("every_s", [66, 75])
def test_looks_that_are_rare_find_a_fault_that_stands(every_s):
    """Keyframes may be 65 s apart; and a stream that could not be decoded once is left alone for a minute."""
    judge = Judge(DEFAULTS)
    for at in range(0, 3 * every_s, every_s):
        judge.note_picture(at, BLACK)
        judge.note_keyframes(at, 65.0)
    found = [one.fault for one in judge.findings(3 * every_s - 1)]
    assert found == [ContentFault.BLACK, ContentFault.KEYFRAMES_FAR_APART]


def test_a_black_picture_is_not_frozen_as_well():
    """If black is watched for; else it is a picture that does not change."""
    for watch, found in ((DEFAULTS, ["black"]), (Watch(frozen=DEFAULTS.frozen), ["frozen"])):
        judge = Judge(watch)
        for at in range(40):
            judge.note_picture(at, BLACK)
        assert [str(one.fault) for one in judge.findings(40)] == found


def test_what_is_not_asked_for_is_not_found():
    """However bad it is."""
    judge = Judge(Watch())
    for at in range(100):
        judge.note_picture(at, BLACK)
        judge.note_level(at, -inf)
        judge.note_rate(at, 1.0)
        judge.note_keyframes(at, 60.0)
    assert judge.findings(99) == ()


def test_pictures_differ_by_the_part_that_differs_most_or_by_all():
    """From 0, the same, to 200: black and white."""
    assert difference(GREY, GREY) == 0
    assert difference(BLACK, bytes([255]) * PIXELS) == 200
    assert 5 < difference(GREY, CLOCK) < 10
    # Grain: each pixel by 1 % or so.
    grain = bytes(128 + (at * 7 % 5) for at in range(PIXELS))
    assert difference(GREY, grain) > 1


@pytest.mark.parametrize(
    ("pictures", "stood_s", "since"),
    [
        ([130, 128], 2.0, -2),
        ([130, 128], 0.0, 4),
        ([140, 128], 2.0, 2),
        ([132, 130, 128], 2.0, 6),
        ([130, 130, 128], 2.0, 6),
        ([130, 128] * 20, 2.0, None),
    ],
)
def test_a_picture_that_has_just_begun_to_stand_is_the_first_of_those_that_stay(pictures, stood_s, since):
    """Though its grain is coded otherwise later: by the frames before it, if they say that nothing changes. The grain
    of a camera that differs at each look is never a picture that stands."""
    judge = Judge(Watch(frozen=DEFAULTS.frozen))
    shown = pictures if since is None else [*pictures, *[pictures[-1]] * 10]
    for number, brightness in enumerate(shown):
        judge.note_picture(4.0 * number, bytes([brightness]) * PIXELS, stood_s=stood_s)
    last = 4.0 * (len(shown) - 1)
    found = [one.since for one in judge.findings(max(last, 100.0))]
    assert found == ([] if since is None else [since])
