"""A relay that is stopped while its service leaves."""

import pytest

from scripted.waiting import until
from streamferry.relay.status import State

pytestmark = pytest.mark.usefixtures("quick")


async def test_a_stop_that_waits_for_its_turn_ends_the_broadcast_though_the_worker_leaves(relays, source, destination):
    """Who stops a task wants the broadcast to end, and nobody goes on with it."""
    running = relays.start(source, destination)
    await until("the stream", lambda: destination.publishes and destination.publishes[0].has_both_tracks)
    running.relay.request_stop()
    running.relay.request_stop(at_next_start=True)
    assert (await running.relay.wait()).state is State.STOPPED
    await until("the end", lambda: destination.publishes[0].is_over)
    assert destination.publishes[0].ended == "unpublished"
