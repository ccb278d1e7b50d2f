"""The end of a finite list whose destination took it into its buffers and then was lost: nothing is left out."""

import asyncio
from dataclasses import replace

import pytest

from kit.clips import ClipFactory
from kit.sightings import KnownFrames
from scripted.destination import Caller, Destination, take
from scripted.listener import reset
from scripted.waiting import until
from streamferry.media.tag import VIDEO
from streamferry.media.url import MediaUrl
from streamferry.relay import Item, RelaySpec
from streamferry.worker import Assignment, Outcome
from streamferry.worker.task_runner import TaskRunner

pytestmark = pytest.mark.usefixtures("quick")


class StopsReading:
    """Reads five pictures and no more, until ``lost`` is set: then it resets. Who comes later finds a good server."""

    def __init__(self) -> None:
        self.lost = asyncio.Event()

    async def __call__(self, caller: Caller) -> None:
        if self.lost.is_set():
            await take(caller)
            return
        await caller.receive_pictures(5)
        await self.lost.wait()
        reset(caller.sock)


@pytest.mark.parametrize("count", [1, 2])
async def test_what_was_not_acknowledged_is_played_again(relays, clips: ClipFactory, count: int) -> None:
    """Given to the last byte, not taken: retrying, then from what had arrived to the end, and only then it ended."""
    clip = clips("two_seconds")
    frames = KnownFrames(clip)
    manner = StopsReading()
    async with Destination(manner, receive_buffer_bytes=4096) as destination:
        items = [Item(MediaUrl.parse(str(clip)))] * count
        relay = relays.host.start(RelaySpec.vod(items, destination.url(), loops=1))
        told = []
        relay.watch(told.append)
        await until("all to be given", lambda: relay.status.media_time_ms >= count * 2000 - 100)
        manner.lost.set()
        final = await asyncio.wait_for(relay.wait(), 30)
        assert (final.state, final.fault) == ("ended", None)
        assert any((status.state, status.fault) == ("retrying", "user_destination") for status in told)
        first, second = destination.publishes
        assert second.ended == "unpublished"
        assert len(first.frames(VIDEO)) < 50
        positions = [frames.position_ms(tag[2][5:]) for tag in second.frames(VIDEO)]
        # Less than a second had arrived, and there is a keyframe each second.
        assert positions == [40 * number for number in range(50)] * count


async def test_a_destination_that_stays_away_is_waited_for(relays, clips: ClipFactory) -> None:
    """The list has not ended as long as it has not arrived; its time limit ends it as any other."""
    manner = StopsReading()
    async with Destination(manner, receive_buffer_bytes=4096) as destination:
        spec = RelaySpec.vod([Item(MediaUrl.parse(str(clips("two_seconds"))))], destination.url(), loops=1)
        relay = relays.host.start(spec)
        await until("all to be given", lambda: relay.status.media_time_ms >= 1900)
        await destination.leave()
        await until("attempts", lambda: relay.status.retries >= 3)
        assert relay.status.state == "retrying"
        final = await relay.stop()
        assert (final.state, final.fault) == ("stopped", "user_destination")


async def test_a_change_that_came_during_the_goodbye_was_lost(relays, clips: ClipFactory) -> None:
    """Played out, and its destination slow to close: what came of it is the old list's, so the new one is begun."""
    closes = asyncio.Event()

    async def close_late(caller: Caller) -> None:
        await take(caller)
        await closes.wait()

    url = MediaUrl.parse(str(clips("two_seconds")))
    async with Destination(close_late) as destination:
        spec = RelaySpec.vod([Item(url)], destination.url(), loops=1)
        assignment = Assignment("task", 1, 1, is_wanted=True, spec=spec, start_in_s=0, end_in_s=600)
        runner = TaskRunner(assignment, relays.host.start, lambda: None)
        await until("the goodbye", lambda: destination.publishes and destination.publishes[0].ended)
        runner.follow(replace(assignment, version=2, spec=replace(spec, items=(Item(url, 1.0),))))
        assert not runner.is_over
        closes.set()
        await until("the end", lambda: runner.is_over)
        report = runner.report()
        assert report is not None
        assert (report.version, report.outcome) == (1, Outcome.PLAYED_OUT)
