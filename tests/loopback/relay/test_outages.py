"""Where a list goes on after its destination was away, seen by the frames that come."""

import asyncio
import time
from dataclasses import replace

import pytest

from kit.clips import ClipFactory
from kit.sightings import KnownFrames
from scripted.destination import Caller, Destination, take
from scripted.listener import reset
from scripted.waiting import until
from streamferry.media.errors import Fault
from streamferry.media.tag import VIDEO
from streamferry.media.url import MediaUrl
from streamferry.relay import Item, Playhead, RelaySpec
from streamferry.relay.feed import FileFeed
from streamferry.timeline.pace import LEAD_MS
from streamferry.worker import Assignment
from streamferry.worker.performance import Performance

pytestmark = pytest.mark.usefixtures("quick")
AWAY_S = 4.0
#: The clip has a keyframe each second, and a list goes on at the one at or before its place.
GOP_MS = 1000


class AwayForAWhile:
    """A destination that leaves after two seconds of media and refuses everybody for a while."""

    def __init__(self) -> None:
        self.left_at: float | None = None

    async def __call__(self, caller: Caller) -> None:
        if self.left_at is None:
            await caller.receive_pictures(50)
            self.left_at = time.monotonic()
            reset(caller.sock)
        elif time.monotonic() - self.left_at < AWAY_S:
            reset(caller.sock)
        else:
            await take(caller)


def around_the_break(destination: Destination) -> tuple[bytes, bytes]:
    """The last picture of the first publish, and the first of the second."""
    before, after = (publish.frames(VIDEO) for publish in destination.publishes)
    return before[-1][2][5:], after[0][2][5:]


def check_goes_on(began_ms: float, broke_ms: float, broke_at: float | None, *, keeps_time: bool) -> None:
    """A list begins again where it broke or where the clock is, which what had been sent was a lead ahead of."""
    assert broke_at is not None
    away_ms = (time.monotonic() - broke_at) * 1000
    expected_ms = broke_ms + max(0, away_ms - LEAD_MS) * keeps_time
    assert -GOP_MS - 700 <= began_ms - expected_ms <= 700


@pytest.mark.parametrize("keeps_time", [False, True])
@pytest.mark.parametrize("count", [1, 2])
async def test_a_list_goes_on_where_its_strategy_says(relays, clips: ClipFactory, keeps_time: bool, count: int) -> None:
    """Where it broke, or where the clock would be: within the item, and across an item's end."""
    clip = clips("half_a_minute")
    frames = KnownFrames(clip)
    # Two items: the place by the clock lies in the second, which is the first second of the clip again.
    url = MediaUrl.parse(str(clip))
    items = [Item(url)] if count == 1 else [Item(url, 0, 5), Item(url, 15)]
    manner = AwayForAWhile()
    async with Destination(manner) as destination:
        relay = relays.host.start(RelaySpec.vod(items, destination.url(), keeps_time=keeps_time))
        async with asyncio.timeout(15):
            while len(destination.publishes) < 2 or not destination.publishes[1].frames(VIDEO):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        broke_ms, began_ms = (frames.position_ms(frame) for frame in around_the_break(destination))
        if count == 2 and keeps_time:
            assert began_ms >= 15_000
            began_ms -= 10_000
        check_goes_on(began_ms, broke_ms, manner.left_at, keeps_time=keeps_time)
        await relay.stop()


async def test_a_list_that_would_have_been_played_out_has_ended(relays, clips: ClipFactory) -> None:
    """Nothing is left to send when the destination is back."""
    item = Item(MediaUrl.parse(str(clips("half_a_minute"))), 0, 4)
    async with Destination(AwayForAWhile()) as destination:
        relay = relays.host.start(RelaySpec.vod([item], destination.url(), loops=1, keeps_time=True))
        async with asyncio.timeout(15):
            assert (await relay.wait()).state == "ended"
        assert len(destination.publishes) == 1


@pytest.mark.parametrize("position_ms", [5_000, 29_000])
async def test_a_list_taken_over_is_where_the_clock_is_however_long_its_start_took(
    relays, clips: ClipFactory, position_ms: int
) -> None:
    """It began before its destination took it: within the item where it stood, and in the next one."""
    clip = clips("half_a_minute")
    frames = KnownFrames(clip)
    manner = AwayForAWhile()
    manner.left_at = began_at = time.monotonic()
    async with Destination(manner) as destination:
        items = [Item(MediaUrl.parse(str(clip)))] * 2
        playhead = Playhead(0, 0, position_ms)
        relay = relays.host.start(RelaySpec.vod(items, destination.url(), playhead=playhead, keeps_time=True))
        async with asyncio.timeout(15):
            while not destination.publishes or not destination.publishes[0].frames(VIDEO):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        away_ms = (time.monotonic() - began_at) * 1000
        assert away_ms >= AWAY_S * 1000
        first_ms = frames.position_ms(destination.publishes[0].frames(VIDEO)[0][2][5:])
        assert -GOP_MS - 700 <= frames.apart_ms(first_ms, position_ms + away_ms) <= 700
        await relay.stop()


class OneMistake:
    """A mistake of ours, made once, when a list has come to a place."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, item: int, position_ms: int) -> None:
        self._place = (item, position_ms)
        self.made_at: float | None = None
        self._check = FileFeed.check_liveness
        monkeypatch.setattr(FileFeed, "check_liveness", lambda feed, now: self._look(feed, now))

    def _look(self, feed: FileFeed, now: float) -> None:
        self._check(feed, now)
        at = feed.playhead
        if self.made_at is None and at is not None and (at.item, at.position_ms) >= self._place:
            self.made_at = time.monotonic()
            raise RuntimeError("a mistake of ours")


@pytest.mark.parametrize("keeps_time", [False, True])
async def test_a_run_that_broke_inside_goes_on_where_its_strategy_says(
    relays, clips: ClipFactory, monkeypatch: pytest.MonkeyPatch, keeps_time: bool
) -> None:
    """The run that is built anew counts time and patience from its own beginning, not from the relay's."""
    clip = clips("half_a_minute")
    frames = KnownFrames(clip)
    mistake = OneMistake(monkeypatch, 0, 8_000)
    async with Destination(take) as destination:
        items = [Item(MediaUrl.parse(str(clip)))]
        relay = relays.host.start(
            RelaySpec.vod(items, destination.url(), loops=1, keeps_time=keeps_time, patience_s=6.0)
        )
        await until("another publish", lambda: len(destination.publishes) == 2, 25)
        await until("its pictures", lambda: destination.publishes[1].frames(VIDEO), 15)
        broke_ms, began_ms = (frames.position_ms(frame) for frame in around_the_break(destination))
        check_goes_on(began_ms, broke_ms, mistake.made_at, keeps_time=keeps_time)
        await relay.stop()


async def test_a_list_made_shorter_while_its_run_is_built_anew_begins(
    relays, clips: ClipFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the old list stood is no place in the new one."""
    short, long = (Item(MediaUrl.parse(str(clips(name)))) for name in ("two_seconds", "half_a_minute"))
    OneMistake(monkeypatch, 1, 0)
    async with Destination(take) as destination:
        first = RelaySpec.vod([short, long], destination.url())
        relay = relays.host.start(first)
        relay.watch(
            lambda status: relay.update(replace(first, items=(short,))) if status.fault is Fault.SERVICE else None
        )
        await until("another publish", lambda: len(destination.publishes) == 2, 25)
        await until("its pictures", lambda: destination.publishes[1].frames(VIDEO))
        assert relay.status.playhead is not None
        assert relay.status.playhead.item == 0
        await relay.stop()


async def test_a_list_that_came_while_nothing_had_played_begins_at_its_offset(relays, clips: ClipFactory) -> None:
    """Its destination was not there yet: of the new list nothing is known, and there is nothing to catch up with."""
    clip = clips("half_a_minute")
    frames = KnownFrames(clip)
    manner = AwayForAWhile()
    manner.left_at = time.monotonic()
    async with Destination(manner) as destination:
        first = RelaySpec.vod([Item(MediaUrl.parse(str(clips("two_seconds"))))], destination.url(), keeps_time=True)
        relay = relays.host.start(first)
        await until("an attempt", lambda: relay.status.retries > 0, 8)
        relay.update(replace(first, items=(Item(MediaUrl.parse(str(clip)), 10.0),)))
        await until("a picture", lambda: destination.publishes and destination.publishes[0].frames(VIDEO), 15)
        assert frames.position_ms(destination.publishes[0].frames(VIDEO)[0][2][5:]) == 10_000
        await relay.stop()


async def test_a_file_put_behind_one_that_had_not_begun_took_its_place(relays, clips: ClipFactory) -> None:
    """While the list waits for its destination its task is given another file: the first one is still the first."""
    clip = clips("half_a_minute")
    frames = KnownFrames(clip)
    manner = AwayForAWhile()
    manner.left_at = time.monotonic()
    async with Destination(manner) as destination:
        spec = RelaySpec.vod([Item(MediaUrl.parse(str(clip)), 10.0)], destination.url(), loops=1)
        assignment = Assignment("task", 1, 1, is_wanted=True, spec=spec, start_in_s=0, end_in_s=600)
        performance = Performance(assignment, relays.host.start, lambda: None)
        await until("an attempt", lambda: (seen := performance.report()) is not None and seen.status.retries > 0)
        more = (*spec.items, Item(MediaUrl.parse(str(clips("two_seconds")))))
        performance.follow(replace(assignment, version=2, spec=replace(spec, items=more)))
        await until("a picture", lambda: destination.publishes and destination.publishes[0].frames(VIDEO), 15)
        assert frames.position_ms(destination.publishes[0].frames(VIDEO)[0][2][5:]) == 10_000
        performance.end()
        await until("the end", lambda: performance.is_over)
