"""Publish sessions that end by plan, where the next one begins."""

import pytest

from kit.clips import ClipFactory
from scripted.camera import number_of
from scripted.destination import reset_in_stream, take
from scripted.waiting import until
from streamferry.media import peer_options
from streamferry.media.enhanced import tag_kind
from streamferry.media.peer_options import PeerOptions
from streamferry.media.tag import AUDIO, KEYFRAME, VIDEO
from streamferry.media.url import MediaUrl
from streamferry.relay import destination_keeper
from streamferry.relay.prepared_list import PreparedList
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


async def test_what_was_lost_once_was_counted_at_each_rotation(relays, destination, clips: ClipFactory, each_second):
    """Of a list that keeps time: all that had passed since the last loss, though nothing was lost at a rotation."""
    item = Item(MediaUrl.parse(clips("h264_no_bframes").as_uri()))

    async def manner(caller):
        if destination.publishes:
            await take(caller)
        else:
            await reset_in_stream(caller)

    destination.manner = manner
    spec = RelaySpec.vod([item], destination.url(), keeps_time=True, destination_options=each_second)
    running = relays.start_spec(spec)
    await until("a session after the loss", lambda: len(destination.publishes) > 1 and running.status.lost_ms > 0)
    lost_ms = running.status.lost_ms
    await until("rotations", lambda: len(destination.publishes) > 3 and destination.publishes[3].has_both_tracks)
    await running.relay.stop()
    assert running.status.lost_ms == lost_ms


async def test_a_list_that_ends_when_its_session_is_due_to_be_followed_began_another_of_nothing(
    relays, destination, clips: ClipFactory, each_second, monkeypatch
):
    """There is no keyframe any more up to its end: it is over, and so is its broadcast."""
    monkeypatch.setattr(peer_options, "MIN_ROTATE_S", 0)
    item = Item(MediaUrl.parse(clips("h264_no_bframes").as_uri()), 0, 0.9)
    spec = RelaySpec.vod([item], destination.url(), loops=1, destination_options=PeerOptions(rotate_s=0.01))
    reader = await PreparedList(relays.host._store).open_item(spec, item, 0)
    await reader.file.wait_complete(lambda _: None)
    reader.close()
    running = relays.start_spec(spec)
    await until("the end", lambda: running.status.final)
    assert running.status.state == "ended"
    (publish,) = destination.publishes
    assert publish.has_both_tracks
