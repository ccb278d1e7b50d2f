"""Where a list goes on after its destination was away, seen by the frames that come."""

import asyncio
import time
from collections.abc import Callable
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
from streamferry.push import outlet
from streamferry.relay import LEAD_MS, Item, Playhead, RelaySpec
from streamferry.relay.backoff import Backoff
from streamferry.relay.file_feed import FileFeed
from streamferry.worker import Assignment
from streamferry.worker.task_runner import TaskRunner

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


class WedgedOnce:
    """A destination that stays connected after four seconds of media, but takes no more; then one that works."""

    def __init__(self) -> None:
        self.stuck_at: float | None = None
        self._is_over = asyncio.Event()

    async def __call__(self, caller: Caller) -> None:
        if self.stuck_at is None:
            await caller.receive_pictures(100)
            self.stuck_at = time.monotonic()
            await self._is_over.wait()
        else:
            self._is_over.set()
            await take(caller)


async def goes_on_ms(
    destination: Destination, frames: KnownFrames, broke_at: Callable[[], float | None], *, keeps_time: bool
) -> float:
    """How far behind the picture that came last before its break a list goes on.

    For one that keeps time: from where the clock is. What a session begins with comes at once, so what counts is where
    the list has come to after that.
    """
    publishes = destination.publishes
    await until("more pictures", lambda: len(publishes) == 2 and len(publishes[1].frames(VIDEO)) > 40)
    began_at = broke_at()
    assert began_at is not None
    before, after = ([frames.position_ms(tag[2][5:]) for tag in publish.frames(VIDEO)] for publish in publishes)
    if keeps_time:
        return after[-1] - before[-1] - (time.monotonic() - began_at) * 1000
    return after[0] - before[-1]


@pytest.mark.parametrize("keeps_time", [False, True])
@pytest.mark.parametrize("count", [1, 2])
async def test_a_list_goes_on_where_its_strategy_says(relays, clips: ClipFactory, keeps_time: bool, count: int) -> None:
    """Where it broke, or where the clock would be: within the item, and across an item's end."""
    clip = clips("close_keyframes")
    # Two items: the place by the clock lies in the second, which is the clip from another place on.
    url = MediaUrl.parse(str(clip))
    items = [Item(url)] if count == 1 else [Item(url, 0, 5), Item(url, 15)]
    manner = AwayForAWhile()
    async with Destination(manner) as destination:
        relay = relays.host.start(RelaySpec.vod(items, destination.url(), keeps_time=keeps_time))
        off_ms = await goes_on_ms(destination, KnownFrames(clip), lambda: manner.left_at, keeps_time=keeps_time)
        if count == 2 and keeps_time:
            off_ms -= 10_000
        assert -1000 <= off_ms <= 500
        await relay.stop()


async def test_a_list_that_keeps_time_leaves_out_what_a_wedged_destination_did_not_take(
    relays, clips: ClipFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All that was sent meanwhile is in the kernel's buffers; and the next one is there at once."""
    monkeypatch.setattr(outlet, "STALL_S", 3.0)
    clip = clips("close_keyframes")
    manner = WedgedOnce()
    async with Destination(manner, receive_buffer_bytes=8192) as destination:
        relay = relays.host.start(RelaySpec.vod([Item(MediaUrl.parse(str(clip)))], destination.url(), keeps_time=True))
        off_ms = await goes_on_ms(destination, KnownFrames(clip), lambda: manner.stuck_at, keeps_time=True)
        assert -1000 <= off_ms <= 500 + LEAD_MS
        await relay.stop()


async def test_a_list_that_would_have_been_played_out_has_ended(relays, clips: ClipFactory) -> None:
    """Nothing is left to send when the destination is back."""
    item = Item(MediaUrl.parse(str(clips("half_a_minute"))), 0, 4)
    async with Destination(AwayForAWhile()) as destination:
        relay = relays.host.start(RelaySpec.vod([item], destination.url(), loops=1, keeps_time=True))
        async with asyncio.timeout(30):
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
        async with asyncio.timeout(30):
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
        self._note = FileFeed.note_arrived
        monkeypatch.setattr(FileFeed, "note_arrived", lambda feed: self._look(feed))

    def _look(self, feed: FileFeed) -> None:
        self._note(feed)
        at = feed.playhead
        if self.made_at is None and at is not None and (at.item, at.position_ms) >= self._place:
            self.made_at = time.monotonic()
            raise RuntimeError("a mistake of ours")


@pytest.mark.parametrize("keeps_time", [False, True])
@pytest.mark.parametrize(("pause_s", "ahead_ms"), [(0.1, LEAD_MS), (3.0, 0)])
async def test_a_run_that_broke_inside_goes_on_where_its_strategy_says(
    relays, clips: ClipFactory, monkeypatch: pytest.MonkeyPatch, keeps_time: bool, pause_s: float, ahead_ms: int
) -> None:
    """The run that is built anew counts patience from its own beginning, and time from where the list broke.

    After a break shorter than the lead, of which all had been sent already, nothing is repeated.
    """
    monkeypatch.setattr(Backoff, "next_delay", lambda _: pause_s)
    clip = clips("close_keyframes")
    mistake = OneMistake(monkeypatch, 0, 8_000)
    async with Destination(take) as destination:
        items = [Item(MediaUrl.parse(str(clip)))]
        relay = relays.host.start(
            RelaySpec.vod(items, destination.url(), loops=1, keeps_time=keeps_time, patience_s=6.0)
        )
        off_ms = await goes_on_ms(destination, KnownFrames(clip), lambda: mistake.made_at, keeps_time=keeps_time)
        assert -1000 <= off_ms <= 500 + ahead_ms
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
        await until("another publish", lambda: len(destination.publishes) == 2)
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
        await until("an attempt", lambda: relay.status.retries > 0)
        relay.update(replace(first, items=(Item(MediaUrl.parse(str(clip)), 10.0),)))
        await until("a picture", lambda: destination.publishes and destination.publishes[0].frames(VIDEO))
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
        runner = TaskRunner(assignment, relays.host.start, lambda: None)
        await until("an attempt", lambda: (seen := runner.report()) is not None and seen.status.retries > 0)
        more = (*spec.items, Item(MediaUrl.parse(str(clips("two_seconds")))))
        runner.follow(replace(assignment, version=2, spec=replace(spec, items=more)))
        await until("a picture", lambda: destination.publishes and destination.publishes[0].frames(VIDEO))
        assert frames.position_ms(destination.publishes[0].frames(VIDEO)[0][2][5:]) == 10_000
        runner.end()
        await until("the end", lambda: runner.is_over)
