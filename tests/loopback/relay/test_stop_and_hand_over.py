"""A relay that is stopped while its service leaves, or while it changes between live and files."""

import pytest

from scripted.waiting import until
from streamferry.media.url import MediaUrl
from streamferry.relay.spec import Item, RelaySpec
from streamferry.relay.status import State

pytestmark = pytest.mark.usefixtures("quick")


async def test_a_stop_that_waits_for_its_turn_ends_the_broadcast_though_the_worker_leaves(relays, source, destination):
    """Who stops a task wants the broadcast to end, and nobody goes on with it."""
    running = relays.start(source, destination)
    await until("the stream", lambda: destination.publishes and destination.publishes[0].has_both_tracks)
    running.relay.request_stop()
    running.relay.hand_over()
    assert (await running.relay.wait()).state is State.STOPPED
    await until("the end", lambda: destination.publishes[0].is_over)
    assert destination.publishes[0].ended == "unpublished"


@pytest.mark.parametrize("is_stopped", [True, False])
async def test_a_stop_while_the_next_keyframe_is_waited_for_ends_the_broadcast(relays, source, destination, is_stopped):
    """The platform waited for a publisher who never came; where none is stopped, it is to wait."""
    running = relays.start(source, destination)
    await until("the stream", lambda: destination.publishes and destination.publishes[0].has_both_tracks)
    running.relay.hand_over()
    if is_stopped:
        running.relay.request_stop()
    running.relay.hand_over(at_once=True)
    assert (await running.relay.wait()).state is State.STOPPED
    await until("the end", lambda: destination.publishes[0].is_over)
    assert destination.publishes[0].ended == ("unpublished" if is_stopped else "closed")


@pytest.mark.parametrize("is_stopped", [True, False])
async def test_a_change_to_files_that_is_stopped_in_the_same_moment_ends_the_broadcast(
    relays, source, destination, is_stopped
):
    """A worker hears of both at once, also where the change moves the task's beginning into the future."""
    running = relays.start(source, destination)
    await until("the stream", lambda: destination.publishes and destination.publishes[0].has_both_tracks)
    running.relay.update(RelaySpec.vod([Item(MediaUrl.parse("file:///no/such/film.mp4"))], destination.url()))
    if is_stopped:
        running.relay.request_stop()
        assert (await running.relay.wait()).state is State.STOPPED
    await until("the end", lambda: destination.publishes[0].is_over)
    assert destination.publishes[0].ended == ("unpublished" if is_stopped else "closed")
