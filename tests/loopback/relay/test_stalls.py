"""Ends that stay connected and give or take too little; what other relays of the host notice of it: nothing."""

import asyncio
from itertools import pairwise

from spliced import assert_unbroken, until_next_picture

from scripted import destination as manners
from scripted.camera import Camera, number_of
from scripted.destination import Destination
from scripted.source import Source
from scripted.waiting import until
from streamferry.media.enhanced import tag_kind
from streamferry.media.tag import AUDIO, KEYFRAME, VIDEO


async def watch_wedge(relays, manner):
    """It stops acknowledging while TCP stays up: not streaming after 4 s, rebuilt by its fault in 11 s."""
    async with (
        Source(camera=Camera(frame_bytes=20_000)) as source,
        Destination(manner, receive_buffer_bytes=4096) as destination,
    ):
        running = relays.start(source, destination)
        await until("the wedge to begin", lambda: destination.publishes)
        words = "the destination is connected but takes no bytes"
        await until("stalled", lambda: running.has_told("stalled", "user_destination", words))
        destination.manner = manners.take
        words = "the destination is connected but has taken no bytes for 10 s"
        await until("the rebuild", lambda: running.has_told("retrying", "user_destination", words))
        await until("streaming", lambda: running.status.state == "streaming")
        after = destination.publishes[-1]
        assert len(destination.publishes) == 2
        assert tag_kind(VIDEO, after.frames(VIDEO)[0][2]) == KEYFRAME
        assert after.stamps(VIDEO)[0] == 0
        assert after.stamps(AUDIO)[0] <= 20
        await running.relay.stop()


async def watch_silence(relays, protocol):
    """Connected and silent: stalled after 3 s, its session rebuilt after 5, by its fault; then back in 2 s."""
    async with Source(protocol) as source, Destination() as destination:
        running = relays.start(source, destination)
        await until("streaming", lambda: running.status.state == "streaming")
        publish = destination.publishes[0]
        source.rolls = False
        began = asyncio.get_running_loop().time()
        words = "the source is connected but sends no media"
        await until("stalled", lambda: running.has_told("stalled", "user_source", words))
        await until("rebuilt", lambda: source.accepted >= 2)
        assert running.has_told("retrying", "user_source", "has sent no media for 5 s")
        assert asyncio.get_running_loop().time() - began >= 4.9
        source.rolls = True
        await until_next_picture(publish)
        await until("streaming", lambda: running.status.state == "streaming")
        assert_unbroken(destination, publish)
        # A server that lets in one at a time would have refused us for ourselves.
        assert source.beside_others == 0
        await running.relay.stop()


async def watch_sound_alone(relays):
    """Its picture was promised and does not come: nothing can be sent yet, and it is not said that nothing came."""
    camera = Camera()
    camera.is_blind = True
    async with Source(camera=camera) as source, Destination() as destination:
        running = relays.start(source, destination)
        words = "the source sends media, but none of it can be sent on yet"
        await until("stalled", lambda: running.has_told("stalled", "user_source", words))
        assert not running.has_told("stalled", "user_source", "no media")
        camera.is_blind = False
        camera.start_over()
        await until("streaming", lambda: running.status.state == "streaming")
        await running.relay.stop()


async def test_ends_that_stall_are_seen_and_rebuilt(relays):
    """Wedged destinations, silent sources and one without its picture; beside them a relay that notices nothing.

    All of them side by side, because real time has to pass.
    """
    async with Source() as source, Destination() as destination:
        healthy = relays.start(source, destination)
        async with asyncio.TaskGroup() as group:
            group.create_task(watch_wedge(relays, manners.stop_reading))
            group.create_task(watch_wedge(relays, manners.never_read))
            group.create_task(watch_silence(relays, "http"))
            group.create_task(watch_sound_alone(relays))
            group.create_task(watch_silence(relays, "rtmp"))
        assert_untouched(healthy, destination)
        await healthy.relay.stop()


def assert_untouched(running, destination):
    """Not a state but streaming once it streamed, nothing lost, one session."""
    states = [status.state for status in running.told]
    assert set(states[states.index("streaming") :]) == {"streaming"}
    assert running.status.dropped_tags == 0
    assert running.status.retries == 0
    assert len(destination.publishes) == 1
    numbers = [number_of(tag) for tag in destination.publishes[0].frames(VIDEO)]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))


async def test_a_slow_destination_gets_less_but_all_of_it_decodes(relays):
    """It takes less than the stream: drops to the next keyframe, counted, on the open session; others lose nothing."""
    well = asyncio.Event()
    heavy = Camera(frame_bytes=20_000)
    async with (
        Source(camera=heavy, speed=4) as source,
        Destination(manners.slow(600_000, well), receive_buffer_bytes=4096) as destination,
        Source(speed=4) as other_source,
        Destination() as other_destination,
    ):
        running = relays.start(source, destination)
        other = relays.start(other_source, other_destination)
        await until("a drop", lambda: running.status.dropped_tags)
        at_first = running.status.dropped_tags
        await until("another", lambda: running.status.dropped_tags > at_first)
        well.set()
        newest = heavy.pictures
        await until("the present", lambda: number_of(destination.publishes[0].frames(VIDEO)[-1]) > newest)
        assert running.status.retries == 0
        publish = destination.publishes[0]
        assert len(destination.publishes) == 1
        after_gaps = [b for a, b in pairwise(publish.frames(VIDEO)) if number_of(b) != number_of(a) + 1]
        assert len(after_gaps) >= 2
        assert {tag_kind(VIDEO, tag[2]) for tag in after_gaps} == {KEYFRAME}
        for tag_type in (VIDEO, AUDIO):
            assert all(b > a for a, b in pairwise(publish.stamps(tag_type)))
        assert_untouched(other, other_destination)
        await running.relay.stop()
        await other.relay.stop()
