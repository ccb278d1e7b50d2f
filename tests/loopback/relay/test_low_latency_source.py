"""A low-latency HLS source through a relay: by its parts where the relay is in a hurry."""

from dataclasses import replace

import pytest

from kit.low_latency_hls import LowLatencyServer
from scripted.destination import Destination
from scripted.waiting import until
from streamferry.media.url import MediaUrl
from streamferry.relay import Item, Latency, RelaySpec
from streamferry.relay.spec import Input


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("latency", [Latency.LOW, Latency.NORMAL])
@pytest.mark.parametrize("is_input", [False, True])
async def test_parts_are_played_where_the_relay_is_in_a_hurry(
    relays, peers, clips, destination: Destination, latency, is_input
):
    server = LowLatencyServer(clips.hls("half_a_minute"))
    url = MediaUrl.parse(f"http://127.0.0.1:{await peers.serve(server.serve)}/live.m3u8")
    spec = RelaySpec.live(url, destination.url(), latency=latency)
    if is_input:
        spec = replace(spec, more_inputs=(Input((Item(url),), True),))
    relays.start_spec(spec)
    await until("a stream", lambda: destination.publishes and destination.publishes[0].has_both_tracks)
    publish = destination.publishes[0]
    await until("some of it", lambda: len(publish.tags) > 100)
    assert bool(server.parts_sent) == (latency is Latency.LOW)
