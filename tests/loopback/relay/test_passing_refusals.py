"""Servers that refuse for a moment: what is told in the end is what happened last, and who asks for time gets it."""

import asyncio

import httpx
import pytest

from kit.clips import ClipFactory
from kit.http_files import HttpFiles
from scripted.destination import Destination
from streamferry.media.errors import SourceUnreachable
from streamferry.media.url import MediaUrl
from streamferry.net.retry_after import MAX_RETRY_AFTER_S
from streamferry.prepare.errors import from_wire, to_wire
from streamferry.prepare.origin import raise_for_status
from streamferry.relay import Item, ItemStep, RelaySpec

pytestmark = pytest.mark.usefixtures("quick")


async def play(relays, destination: Destination, items: list[Item], loops: int = 1):
    """Play a list to its end; gives the final status and the steps of its items."""
    relay = relays.host.start(RelaySpec.vod(items, destination.url(), loops=loops))
    steps = []
    relay.watch_items(steps.append)
    async with asyncio.timeout(60):
        return await relay.wait(), steps


def at(files: HttpFiles, clips: ClipFactory, name: str, **offsets: float) -> Item:
    return Item(MediaUrl.parse(files.url(clips(name))), **offsets)


@pytest.mark.parametrize("status", [429, 503])
async def test_what_was_refused_at_first_and_then_played_was_told_as_failed(
    relays, destination, clips: ClipFactory, http_files: HttpFiles, status: int
) -> None:
    """Alone in its list: it is waited for as long as the server asked, played to its end, and no fault is left."""
    item = at(http_files, clips, "two_seconds")
    http_files.refusals[f"/{clips('two_seconds').name}"] = [(status, "1"), (status, "")]
    final, steps = await play(relays, destination, [item])
    assert (final.state, final.fault, final.reason) == ("ended", None, None)
    assert steps[-1].step is ItemStep.FINISHED
    first, second, *_ = http_files.requests
    assert (first.status, second.status) == (status, status)
    assert second.at - first.at >= 1


async def test_an_item_that_is_not_due_yet_is_tried_again(
    relays, destination, clips: ClipFactory, http_files: HttpFiles
) -> None:
    """The first of two plays while the server refuses the second for a moment: both are played, and nothing is told."""
    items = [at(http_files, clips, "half_a_minute", end_s=6.0), at(http_files, clips, "two_seconds")]
    http_files.refusals[f"/{clips('two_seconds').name}"] = [(429, ""), (503, "")]
    final, steps = await play(relays, destination, items)
    assert (final.state, final.fault, final.retries) == ("ended", None, 0)
    assert [(step.step, step.playhead.item) for step in steps] == [
        (ItemStep.STARTED, 0),
        (ItemStep.FINISHED, 0),
        (ItemStep.STARTED, 1),
        (ItemStep.FINISHED, 1),
    ]


async def test_an_item_that_failed_once_and_then_played_leaves_no_fault(
    relays, destination, clips: ClipFactory, http_files: HttpFiles
) -> None:
    """Refused when it was due in the first loop, and skipped; played in the second: the list ends without a fault."""
    items = [at(http_files, clips, "two_seconds"), at(http_files, clips, "aac_48000_mono")]
    http_files.refusals[f"/{clips('two_seconds').name}"] = [(503, "")]
    final, steps = await play(relays, destination, items, loops=2)
    assert steps[0].step is ItemStep.FAILED
    assert (final.state, final.fault) == ("ended", None)


@pytest.mark.parametrize(
    ("told", "seconds"),
    [
        ("5", 5),
        ("0", 0),
        ("86400", MAX_RETRY_AFTER_S),
        ("Fri, 31 Dec 2100 23:59:59 GMT", MAX_RETRY_AFTER_S),
        ("Mon, 01 Jan 2001 00:00:00 GMT", 0),
        ("Mon, 01 Jan 99999999999999999999 00:00:00 GMT", 0),
        ("Mon, 01 Jan 2100 00:00:00 +9999999999999999", 0),
        ("soon", 0),
        ("-3", 0),
        ("", 0),
        ("9" * 400, MAX_RETRY_AFTER_S),
    ],
)
def test_retry_after_is_read_and_bounded(told: str, seconds: float) -> None:
    """Seconds or a date; also across the pipe of a preparation."""
    response = httpx.Response(503, headers={"Retry-After": told})
    with pytest.raises(SourceUnreachable) as refused:
        raise_for_status(MediaUrl.parse("http://films.example/a.mp4"), response)
    assert refused.value.retry_after_s == seconds
    assert from_wire(to_wire(refused.value)).retry_after_s == seconds
