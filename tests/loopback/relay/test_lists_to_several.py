"""A list with several destinations: one play for all, that waits only while none of them is there."""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from itertools import pairwise

import pytest

from kit.waiting import PATIENCE_S
from scripted.destination import Destination, Manner, Publish, reject_publish, stop_reading, take
from scripted.waiting import until
from streamferry.media.tag import AUDIO, VIDEO
from streamferry.media.url import MediaUrl
from streamferry.relay import Item, RelaySpec
from streamferry.relay import spec as relay_spec
from streamferry.relay.inputs import first_list
from streamferry.relay.status import ItemChange, ItemStep, State

pytestmark = pytest.mark.usefixtures("quick")
#: Pictures of a short clip, 3 s at 25 a second.
CLIP_PICTURES = 75


def spec_of(items: Sequence[Item], *destinations: Destination, **options: object) -> RelaySpec:
    """Play to all of them; each has its port for an id."""
    first, *others = [relay_spec.Destination(str(one.port), one.url()) for one in destinations]
    spec = RelaySpec.vod(items, first.url, destination_id=first.id, others=tuple(others))
    return replace(spec, **options)


def item_of(path: object, start_s: float = 0.0, end_s: float = 0.0) -> Item:
    """A file as an item."""
    return Item(MediaUrl.parse(str(path)), start_s, end_s)


def assert_rising(publish: Publish) -> None:
    """Time never goes back, and no picture is late."""
    for track in (VIDEO, AUDIO):
        steps = [after - before for before, after in pairwise(publish.stamps(track))]
        assert min(steps) > 0
        assert max(steps) <= 100


@pytest.fixture
async def make_destination():
    """Makes destinations that are closed after the test."""
    async with AsyncExitStack() as stack:

        async def make(manner: Manner = take, **options: int) -> Destination:
            return await stack.enter_async_context(Destination(manner, **options))

        yield make


async def test_all_get_the_whole_list_and_then_it_ends(relays, make_destination, clips) -> None:
    """Its items in each loop from the first picture to the last, the same at all, in one publish session each."""
    good = [await make_destination() for _ in range(3)]
    item = item_of(clips("h264_bframes"), 0, 1)
    running = relays.start_spec(spec_of([item, item], *good, loops=2))
    steps: list[ItemChange] = []
    running.relay.watch_items(steps.append)
    async with asyncio.timeout(PATIENCE_S):
        final = await running.relay.wait()
    assert (final.state, final.fault) == (State.ENDED, None)
    publishes = [one.publishes[0] for one in good]
    assert [len(one.publishes) for one in good] == [1, 1, 1]
    bodies = [[tag[2] for tag in publish.frames(VIDEO)] for publish in publishes]
    assert len(bodies[0]) == 4 * 25
    assert bodies[0] == bodies[1] == bodies[2]
    for publish in publishes:
        assert publish.ended == "unpublished"
        assert_rising(publish)
    finished = [change.playhead for change in steps if change.step is ItemStep.FINISHED]
    assert [(one.loop, one.item) for one in finished] == [(0, 0), (0, 1), (1, 0), (1, 1)]


async def test_stuck_and_refusing_ones_cost_the_others_nothing(relays, monkeypatch, make_destination, clips) -> None:
    """Also if one of them is the first: the list is played to its end at the good ones."""
    monkeypatch.setattr(first_list, "GATHER_S", 0.1)
    monkeypatch.setattr(first_list, "STALL_S", 0.5)
    bad = [await make_destination(reject_publish), await make_destination(stop_reading, receive_buffer_bytes=16 << 10)]
    good = [await make_destination() for _ in range(2)]
    items = [item_of(clips("h264_no_bframes"))]
    running = relays.start_spec(spec_of(items, bad[0], good[0], bad[1], good[1], loops=1))
    async with asyncio.timeout(PATIENCE_S):
        assert (await running.relay.wait()).state is State.ENDED
    pictures = [[tag[2] for tag in one.publishes[0].frames(VIDEO)] for one in good]
    # One that joined later than the other has from the next keyframe on.
    assert max(map(len, pictures)) == CLIP_PICTURES
    assert pictures[0][-25:] == pictures[1][-25:]


async def test_it_waits_while_nobody_is_there(relays, make_destination, clips) -> None:
    """And goes on from where it was, in both sessions."""
    both = [await make_destination() for _ in range(2)]
    for one in both:
        await one.leave()
    running = relays.start_spec(spec_of([item_of(clips("h264_no_bframes"))], *both, loops=1))
    await until("attempts", lambda: running.status.retries > 1)
    assert running.status.state is State.RETRYING
    for one in both:
        one.come()
    async with asyncio.timeout(PATIENCE_S):
        assert (await running.relay.wait()).state is State.ENDED
    assert max(len(one.publishes[0].frames(VIDEO)) for one in both) == CLIP_PICTURES


@pytest.mark.parametrize("keeps_time", [True, False])
async def test_it_resumes_where_it_was_or_where_it_would_be(relays, make_destination, clips, keeps_time) -> None:
    """When all destinations were away for a second."""
    both = [await make_destination() for _ in range(2)]
    running = relays.start_spec(spec_of([item_of(clips("close_keyframes"))], *both, keeps_time=keeps_time))
    await until("pictures", lambda: all(one.publishes and len(one.publishes[0].frames(VIDEO)) > 25 for one in both))
    for one in both:
        await one.leave()
    await until("that it is known", lambda: not running.relay._run._flow.has_session)
    left_ms = running.status.playhead.position_ms
    await asyncio.sleep(1)
    for one in both:
        one.come()
    await until(
        "pictures again", lambda: all(len(one.publishes) > 1 and one.publishes[1].frames(VIDEO) for one in both)
    )
    position_ms = running.status.playhead.position_ms
    sent_ms = max(one.publishes[1].stamps(VIDEO)[-1] for one in both)
    skipped_ms = position_ms - sent_ms - left_ms
    assert (skipped_ms > 600) is keeps_time


async def test_it_is_edited_and_skipped_while_on_air(relays, make_destination, clips) -> None:
    """In the open sessions; and a further destination joins."""
    first, second, third = [await make_destination() for _ in range(3)]
    film, other = item_of(clips("close_keyframes")), item_of(clips("half_a_minute"))
    spec = spec_of([film, film], first, second)
    running = relays.start_spec(spec)
    await until(
        "pictures", lambda: all(one.publishes and len(one.publishes[0].frames(VIDEO)) > 5 for one in (first, second))
    )
    running.relay.update(spec := replace(spec, orders=(relay_spec.Order(1, 2e9),)))
    await until("the second", lambda: (at := running.status.playhead) is not None and at.item == 1)
    running.relay.update(spec := replace(spec, items=(other, film)))
    running.relay.update(spec := replace(spec, others=spec_of([film], first, second, third).others))
    await until("the third", lambda: third.publishes and third.publishes[0].frames(VIDEO))
    running.relay.update(spec := replace(spec, items=(other,)))
    await until("the other film", lambda: (at := running.status.playhead) is not None and at.item == 0)
    count = len(first.publishes[0].frames(VIDEO))
    await until("pictures of it", lambda: len(first.publishes[0].frames(VIDEO)) > count + 10)
    assert [len(one.publishes) for one in (first, second, third)] == [1, 1, 1]
    await running.relay.stop()
    for one in (first, second):
        assert_rising(one.publishes[0])


async def test_a_list_that_cannot_be_played_fails(relays, make_destination, tmp_path) -> None:
    """As it does with one destination, and with the same words."""
    both = [await make_destination() for _ in range(2)]
    (tmp_path / "no.mp4").write_bytes(b"This is no film." * 100)
    items = [item_of(tmp_path / "no.mp4")]
    async with asyncio.timeout(PATIENCE_S):
        several = await relays.start_spec(spec_of(items, *both, loops=1)).relay.wait()
        alone = await relays.start_spec(spec_of(items, both[0], loops=1)).relay.wait()
    assert several.state is State.FAILED
    assert (several.state, several.fault, several.reason) == (alone.state, alone.fault, alone.reason)


async def test_the_second_destination_is_added_to_a_list_on_air(relays, make_destination, clips) -> None:
    """It goes on from where it is, not from its beginning."""
    first, second = [await make_destination() for _ in range(2)]
    items = [item_of(clips("close_keyframes"))]
    running = relays.start_spec(spec_of(items, first))
    await until("two seconds", lambda: running.status.playhead and running.status.playhead.position_ms > 2000)
    running.relay.update(spec_of(items, first, second))
    await until("pictures", lambda: second.publishes and second.publishes[0].frames(VIDEO))
    assert running.status.playhead.position_ms > 1500
