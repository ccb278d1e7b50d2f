"""Lists of files to a scripted destination: where they go on, and what is told of items that are not whole."""

import asyncio

import pytest

from kit.clips import ClipFactory
from scripted.destination import Destination
from streamferry.media.tag import VIDEO
from streamferry.media.url import MediaUrl
from streamferry.relay import Item, ItemStep, Playhead, RelaySpec

pytestmark = pytest.mark.usefixtures("quick")

BEHIND_MS = 3_600_000


async def play(relays, destination: Destination, items: list[Item], **choices):
    """Play a list to its end; gives the final status and the steps of its items."""
    relay = relays.host.start(RelaySpec.vod(items, destination.url(), **choices))
    steps = []
    relay.watch_items(steps.append)
    async with asyncio.timeout(30):
        return await relay.wait(), steps


def item(clips: ClipFactory, name: str = "two_seconds", **offsets: float) -> Item:
    return Item(MediaUrl.parse(str(clips(name))), **offsets)


@pytest.mark.parametrize(
    ("playhead", "offsets", "loops", "played"),
    [
        (Playhead(0, 0, BEHIND_MS), {}, 1, [(0, 1)]),
        (Playhead(0, 0, 1500), {"end_s": 1.0}, 1, [(0, 1)]),
        (Playhead(0, 1, BEHIND_MS), {}, 2, [(1, 0), (1, 1)]),
        (Playhead(0, 1, BEHIND_MS), {}, 1, []),
    ],
)
async def test_a_playhead_behind_the_end_of_its_item(
    relays, destination, clips, playhead: Playhead, offsets, loops: int, played: list[tuple[int, int]]
) -> None:
    """The list goes on with what follows, behind the last of all it has ended: without a fault, and without failing."""
    items = [item(clips, **offsets), item(clips)]
    status, steps = await play(relays, destination, items, playhead=playhead, loops=loops)
    assert (status.state, status.fault, status.retries) == ("ended", None, 0)
    started = [(step.playhead.loop, step.playhead.item) for step in steps if step.step is ItemStep.STARTED]
    assert started == played
    assert len(destination.publishes) == bool(played)
    assert not any(step.step is ItemStep.FAILED for step in steps)


async def test_a_start_offset_behind_the_end_is_the_items_fault(relays, destination, clips) -> None:
    """That is what its owner asked for: it is told, and the rest of the list is played."""
    status, steps = await play(relays, destination, [item(clips, start_s=60.0), item(clips)], loops=1)
    assert (status.state, status.fault) == ("ended", "user_source")
    assert "start offset" in (status.reason or "")
    assert [step.step for step in steps] == ["item_failed", "item_started", "item_finished"]


async def test_an_item_that_is_shorter_than_it_claims(relays, destination, clips) -> None:
    """It is played as far as it goes, the list goes on, and which item it was is told with both lengths."""
    status, steps = await play(relays, destination, [item(clips, "truncated"), item(clips)], loops=1)
    assert status.state == "ended"
    failed = [step for step in steps if step.step is ItemStep.FAILED]
    assert [(step.playhead.item, step.fault) for step in failed] == [(0, "user_source")]
    assert "before its own end: it claims to last" in (failed[0].reason or "")
    assert status.reason == failed[0].reason
    assert len(destination.publishes) == 1
    assert destination.publishes[0].stamps(VIDEO)[-1] > 2000


async def test_an_end_offset_before_the_cut_is_no_loss(relays, destination, clips) -> None:
    """What its owner asked for was there."""
    status, steps = await play(relays, destination, [item(clips, "truncated", end_s=0.5)], loops=1)
    assert (status.state, status.fault) == ("ended", None)
    assert [step.step for step in steps] == ["item_started", "item_finished"]
