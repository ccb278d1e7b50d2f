"""What must hold at the destination when a source has come back: one publish session, unbroken."""

from itertools import pairwise

from scripted.camera import number_of
from scripted.destination import Destination, Publish
from scripted.waiting import until
from streamferry.media.enhanced import tag_kind
from streamferry.media.tag import AUDIO, KEYFRAME, VIDEO


async def until_next_picture(publish: Publish) -> None:
    """Wait for a picture that is not there yet."""
    count = len(publish.frames(VIDEO))
    await until("the picture", lambda: len(publish.frames(VIDEO)) > count)


def assert_unbroken(destination: Destination, publish: Publish) -> None:
    """One publish session; on it DTS rise strictly per track, no gap is long, a keyframe follows each gap."""
    assert destination.publishes == [publish]
    assert publish.ended is None
    for tag_type in (VIDEO, AUDIO):
        steps = [b - a for a, b in pairwise(publish.stamps(tag_type))]
        assert min(steps) > 0
        assert max(steps) <= 200
    assert_gaps_end_in_keyframes(publish)


def assert_gaps_end_in_keyframes(publish: Publish) -> None:
    """What arrives can be decoded: wherever pictures are missing, the next one needs none of them."""
    for before, after in pairwise(publish.frames(VIDEO)):
        if number_of(after) != number_of(before) + 1:
            assert tag_kind(VIDEO, after[2]) == KEYFRAME
