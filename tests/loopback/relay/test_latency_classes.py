"""A running relay whose latency class changes."""

from dataclasses import replace

import pytest

from scripted.destination import Destination
from scripted.source import Source
from scripted.waiting import until
from streamferry.relay import Latency


@pytest.mark.usefixtures("quick")
async def test_a_running_relay_changes_its_class(relays, source: Source, destination: Destination):
    """Within its sessions: the source is not opened again and the publish goes on."""
    running = relays.start(source, destination)
    await until("a stream", lambda: destination.publishes and destination.publishes[0].has_both_tracks)
    relay = running.relay
    for latency in (Latency.LOW, Latency.DENSE, Latency.NORMAL):
        relay.update(replace(relay._spec, latency=latency))
        (publish,) = destination.publishes
        count = len(publish.tags)
        await until("more of the stream", lambda count=count, publish=publish: len(publish.tags) > count + 20)
        assert sum(relay._run._flow in slot for slot in relay._run._beat._slots) == latency.visits
    assert (len(destination.publishes), source.accepted, running.status.retries) == (1, 1, 0)
