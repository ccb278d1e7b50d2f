"""One session takes the place of another, by plan."""

import random

import pytest

from scripted.camera import Camera, laid, number_of
from scripted.waiting import until
from streamferry.media.enhanced import tag_kind
from streamferry.media.tag import AUDIO, KEYFRAME, VIDEO
from streamferry.push import Outlet
from streamferry.push.queue import SOFT_MS
from streamferry.push.until_start import UntilStart

FRAME_MS, GOP = 40, 10


def numbers(far, tag_type):
    return [number_of(tag) for tag in far.tags if tag[0] == tag_type and tag_kind(tag_type, tag[2]) <= KEYFRAME]


def batches(camera, frames, randoms):
    """So many pictures with their sound, in pieces as the beat brings them."""
    tags = laid(camera.film(frames * FRAME_MS / 1000))
    while tags:
        count = randoms.randint(1, 9)
        yield tags[:count]
        tags = tags[count:]


async def handed_on(publish, before, away, seed):
    """What each of two sessions got: the second came after so many pictures; and the outlet."""
    outlet, camera, randoms = Outlet(), Camera(gop=GOP), random.Random(seed)
    session, far = publish()
    outlet.attach(session, [], 0.0)
    for tags in batches(camera, before, randoms):
        outlet.offer(tags)
    come = []
    outlet.session = UntilStart(session, lambda: come.append(1))
    waiting = batches(camera, GOP, randoms)
    for tags in waiting:
        outlet.offer(tags)
    assert come == [1]
    outlet.hand_on()
    for tags in batches(camera, away, randoms):
        outlet.offer(tags)
    following, next_far = publish()
    outlet.attach(following, [], 1.0)
    for tags in batches(camera, GOP, randoms):
        outlet.offer(tags)
    last, given = camera.pictures - 1, session.sent_bytes

    def all_came():
        outlet.offer([])
        session.flush()
        far.receive()
        next_far.receive()
        return session.acked_bytes >= given and last in numbers(next_far, VIDEO)

    await until("the last picture", all_came)
    far.receive()
    return far, next_far, outlet, last


@pytest.mark.parametrize("seed", range(8))
async def test_the_next_session_begins_where_the_last_one_ended(publish, seed):
    """Whatever the pieces, and for as long as it takes to connect: each frame once, and a keyframe first."""
    away = random.Random(seed).randint(0, SOFT_MS // FRAME_MS - 2 * GOP)
    far, next_far, outlet, last = await handed_on(publish, 15 + seed, away, seed)
    assert numbers(far, VIDEO) + numbers(next_far, VIDEO) == list(range(last + 1))
    sounds = numbers(far, AUDIO) + numbers(next_far, AUDIO)
    assert sounds == list(range(sounds[-1] + 1))
    first = next(tag for tag in next_far.tags if tag[0] == VIDEO)
    assert tag_kind(VIDEO, first[2]) == KEYFRAME
    assert outlet.lost_ms == 0


async def test_a_next_session_that_does_not_come_costs_what_is_late(publish):
    """Beyond what a viewer may be behind the last group of pictures is kept, as without any plan."""
    far, next_far, outlet, last = await handed_on(publish, 15, 4 * SOFT_MS // FRAME_MS, 1)
    first = numbers(next_far, VIDEO)[0]
    assert first % GOP == 0
    assert last - first < 3 * GOP + SOFT_MS // FRAME_MS
    lost = first - numbers(far, VIDEO)[-1] - 1
    assert outlet.lost_ms == pytest.approx(lost * FRAME_MS, abs=2 * FRAME_MS)
