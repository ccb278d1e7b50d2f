"""Publish sessions that end by plan, where the next one begins."""

import pytest

from kit.clips import ClipFactory
from scripted.camera import number_of
from scripted.waiting import until
from streamferry.media import peer_options
from streamferry.media.enhanced import tag_kind
from streamferry.media.peer_options import PeerOptions
from streamferry.media.tag import AUDIO, KEYFRAME, VIDEO
from streamferry.media.url import MediaUrl
from streamferry.relay import destination_keeper
from streamferry.relay.spec import Item, RelaySpec

pytestmark = pytest.mark.usefixtures("quick")


@pytest.fixture
def each_second(monkeypatch) -> PeerOptions:
    """Of a destination; in earnest a minute is the least."""
    monkeypatch.setattr(peer_options, "MIN_ROTATE_S", 1)
    return PeerOptions(rotate_s=1)


async def test_a_session_follows_another_as_planned(relays, source, destination, each_second):
    """Archives of a platform are cut where a viewer can begin, and its limit of hours is never met (D-16).

    That nothing is lost if it takes no longer than 2 s: ``unit/push/test_until_start.py``.
    """
    running = relays.start(source, destination, destination_options=each_second)
    await until("another session", lambda: len(destination.publishes) > 1 and destination.publishes[1].has_both_tracks)
    for publish in destination.publishes[:2]:
        assert tag_kind(VIDEO, publish.frames(VIDEO)[0][2]) == KEYFRAME
        assert publish.stamps(VIDEO)[0] == 0
    assert destination.publishes[0].ended == "unpublished"
    for tag_type in (VIDEO, AUDIO):
        numbers = [number_of(tag) for publish in destination.publishes[:2] for tag in publish.frames(tag_type)]
        assert numbers == sorted(set(numbers))
    assert running.status.retries == 0
    await running.relay.stop()


async def test_a_session_of_a_list_follows_another(relays, destination, clips: ClipFactory, each_second):
    """A list is held for as long as it takes, and goes on at a keyframe before where it was."""
    item = Item(MediaUrl.parse(clips("h264_no_bframes").as_uri()))
    running = relays.host.start(RelaySpec.vod([item], destination.url(), destination_options=each_second))
    await until("another session", lambda: len(destination.publishes) > 1 and destination.publishes[1].has_both_tracks)
    for publish in destination.publishes[:2]:
        assert tag_kind(VIDEO, publish.frames(VIDEO)[0][2]) == KEYFRAME
    assert destination.publishes[0].ended == "unpublished"
    assert running.status.retries == 0
    await running.stop()


async def test_a_stream_without_keyframes_is_cut_anywhere(relays, source, destination, each_second, monkeypatch):
    """After some patience: a plan is a plan. The next session begins with the next keyframe."""
    monkeypatch.setattr(destination_keeper, "ROTATE_PATIENCE_S", 0.0)
    running = relays.start(source, destination, destination_options=each_second)
    await until("another session", lambda: len(destination.publishes) > 1 and destination.publishes[1].frames(VIDEO))
    assert tag_kind(VIDEO, destination.publishes[1].frames(VIDEO)[0][2]) == KEYFRAME
    await running.relay.stop()


async def test_a_stop_while_the_place_is_waited_for_ends_the_broadcast(relays, source, destination, each_second):
    running = relays.start(source, destination, destination_options=each_second)
    outlet = running.relay._run._flow.outlet
    await until("the wait", lambda: type(outlet.session).__name__ == "UntilStart")
    await running.relay.stop()
    await until("the end", lambda: destination.publishes[0].is_over)
    assert destination.publishes[0].ended == "unpublished"
    assert len(destination.publishes) == 1
