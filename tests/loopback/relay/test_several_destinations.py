"""A relay with several destinations: each is on its own, and what one does is nothing to the others."""

import asyncio
from contextlib import AsyncExitStack
from dataclasses import replace
from itertools import pairwise

import pytest
from spliced import assert_gaps_end_in_keyframes, until_next_picture

from scripted.camera import number_of
from scripted.destination import (
    Destination,
    Manner,
    Publish,
    never_read,
    reject_publish,
    reset_in_stream,
    slow,
    stop_reading,
    take,
)
from scripted.source import Source
from scripted.waiting import until
from streamferry.media.tag import AUDIO, VIDEO
from streamferry.relay import Latency, RelaySpec, RelayStatus
from streamferry.relay import spec as relay_spec
from streamferry.relay.status import DestinationStatus, State

pytestmark = pytest.mark.usefixtures("quick")
# Of the kernel on each side, so that a destination that does not read is noticed.
_SMALL_BYTES = 16 << 10


def spec_of(source: Source, *destinations: Destination | relay_spec.Destination) -> RelaySpec:
    """Relay to all of them; a bare one has its port for an id."""
    wanted = [
        one if isinstance(one, relay_spec.Destination) else relay_spec.Destination(str(one.port), one.url())
        for one in destinations
    ]
    first = wanted[0]
    return RelaySpec.live(
        source.url(), first.url, destination_options=first.options, destination_id=first.id, others=tuple(wanted[1:])
    )


def told_of(status: RelayStatus, destination: Destination) -> DestinationStatus:
    """What a status says of one of them."""
    return next(one for one in status.destinations if one.id == str(destination.port))


async def on_air(*destinations: Destination) -> list[Publish]:
    """Wait until each has a publish with both tracks; gives the publishes."""
    for destination in destinations:
        await until("a stream", lambda one=destination: one.publishes and one.publishes[-1].has_both_tracks)
    return [destination.publishes[-1] for destination in destinations]


def assert_whole(publish: Publish) -> None:
    """Each picture is the next one, and time never goes back: nothing was dropped."""
    numbers = [number_of(frame) for frame in publish.frames(VIDEO)]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    for track in (VIDEO, AUDIO):
        assert all(before < after for before, after in pairwise(publish.stamps(track)))


@pytest.fixture
async def make_destination():
    """Makes destinations that are closed after the test."""
    async with AsyncExitStack() as stack:

        async def make(manner: Manner = take, **options: int) -> Destination:
            return await stack.enter_async_context(Destination(manner, **options))

        yield make


async def test_each_gets_the_same_stream_from_0(relays, source, make_destination):
    """All frames of one pull, each in a session of its own, and the status tells of each."""
    all_of_them = [await make_destination() for _ in range(relay_spec.MAX_DESTINATIONS)]
    running = relays.start_spec(spec_of(source, *all_of_them))
    publishes = await on_air(*all_of_them)
    await until("pictures", lambda: all(len(publish.frames(VIDEO)) > 50 for publish in publishes))
    for publish in publishes:
        assert_whole(publish)
        assert publish.frames(VIDEO)[0][1] == 0
    await until("streaming", lambda: {one.state for one in running.status.destinations} == {State.STREAMING})
    status = running.status
    assert [one.id for one in status.destinations] == [str(one.port) for one in all_of_them]
    assert (source.accepted, status.retries, status.state) == (1, 0, State.STREAMING)
    assert status.bytes_out >= sum(one.bytes_out for one in status.destinations[:2]) > 0
    assert running.relay._run._flow._feed.fast_path.bytes_in > 0


async def test_slow_stuck_refusing_and_absent_ones_cost_the_others_nothing(relays, source, make_destination):
    """Ten destinations of which three are slow, one takes nothing, one refuses and one is away: four are whole."""
    never = asyncio.Event()
    bad = [await make_destination(slow(40_000, never), receive_buffer_bytes=_SMALL_BYTES) for _ in range(3)]
    bad += [await make_destination(manner, receive_buffer_bytes=_SMALL_BYTES) for manner in (never_read, stop_reading)]
    bad += [await make_destination(manner) for manner in (reject_publish, reset_in_stream)]
    await bad[-1].leave()
    good = [await make_destination() for _ in range(3)]
    # The first is one of the bad, so that the state of the task is not theirs.
    running = relays.start_spec(spec_of(source, bad[-2], good[0], *bad[:-2], *good[1:], bad[-1]))
    publishes = await on_air(*good)
    await until("pictures", lambda: all(len(publish.frames(VIDEO)) > 150 for publish in publishes))
    for destination, publish in zip(good, publishes, strict=True):
        assert destination.publishes == [publish]
        assert_whole(publish)
        told = await until("its state", lambda one=destination: told_of(running.status, one))
        assert (told.state, told.dropped_tags, told.lost_ms, told.retries) == (State.STREAMING, 0, 0, 0)
    refused = told_of(running.status, bad[-2])
    assert (refused.state, refused.fault) == (State.RETRYING, "user_destination")
    assert refused.retries > 0
    assert running.status.state is State.RETRYING
    assert told_of(running.status, bad[-1]).state is State.RETRYING
    assert source.accepted == 1


async def test_one_comes_and_goes_while_the_others_are_on_air(relays, source, make_destination):
    """The second is added and the third taken away: neither is noticed by the rest; who leaves is unpublished."""
    first, second, third = [await make_destination() for _ in range(3)]
    running = relays.start_spec(spec_of(source, first, third))
    (publish, leaving) = await on_air(first, third)
    assert second.accepted == 0
    running.relay.update(spec_of(source, first, second, third))
    (joined,) = await on_air(second)
    before = running.status.bytes_out
    running.relay.update(spec_of(source, first, second))
    await until("the end", lambda: leaving.is_over)
    assert leaving.ended == "unpublished"
    for one in (publish, joined):
        await until_next_picture(one)
        assert_whole(one)
        assert one.ended is None
    assert [len(one.publishes) for one in (first, second, third)] == [1, 1, 1]
    assert [one.id for one in running.status.destinations] == [str(first.port), str(second.port)]
    # What it was sent still counts.
    assert running.status.bytes_out >= before


async def test_the_first_goes_and_the_next_leads(relays, source, make_destination):
    """The session of the next goes on, by the fast path, and the run's state is its own from then on."""
    first, second = [await make_destination() for _ in range(2)]
    running = relays.start_spec(spec_of(source, first, second))
    (gone, publish) = await on_air(first, second)
    running.relay.update(spec_of(source, second))
    await until("the end", lambda: gone.is_over)
    assert gone.ended == "unpublished"
    await until_next_picture(publish)
    feed = running.relay._run._flow._feed
    before = feed.fast_path.bytes_in
    await until("the fast path", lambda: feed.fast_path.bytes_in > before)
    # And the first comes back to its place.
    running.relay.update(spec_of(source, first, second))
    await until("another stream", lambda: len(first.publishes) == 2 and first.publishes[1].has_both_tracks)
    await until_next_picture(publish)
    assert_whole(publish)
    assert second.publishes == [publish]
    assert (running.status.state, running.status.retries) == (State.STREAMING, 0)


async def test_the_fast_path_is_taken_again_when_the_first_is_back(relays, source, make_destination):
    """While the first is away the others go on without it; they have not lost a picture when it is back."""
    first, second = [await make_destination() for _ in range(2)]
    running = relays.start_spec(spec_of(source, first, second))
    (_, publish) = await on_air(first, second)
    feed = running.relay._run._flow._feed
    await until("the fast path", lambda: feed.fast_path.bytes_in > 0)
    await first.leave()
    await until("the loss", lambda: not running.relay._run._flow.lead.outlet.session)
    count = len(publish.frames(VIDEO))
    await until("pictures without it", lambda: len(publish.frames(VIDEO)) > count + 10)
    first.come()
    await until("another stream", lambda: len(first.publishes) == 2 and first.publishes[1].has_both_tracks)
    before = feed.fast_path.bytes_in
    await until("the fast path", lambda: feed.fast_path.bytes_in > before + 2_000)
    assert_whole(publish)
    assert second.publishes == [publish]


async def test_one_that_moves_is_published_anew_and_the_others_go_on(relays, source, make_destination):
    """Another address under the same id: a session of its own after the old one was ended."""
    first, second, third = [await make_destination() for _ in range(3)]
    running = relays.start_spec(spec_of(source, first, second))
    (publish, moved) = await on_air(first, second)
    elsewhere = relay_spec.Destination(str(second.port), third.url())
    running.relay.update(spec_of(source, first, elsewhere))
    await on_air(third)
    await until("the end", lambda: moved.is_over)
    assert moved.ended == "unpublished"
    await until_next_picture(publish)
    assert_whole(publish)
    assert first.publishes == [publish]


async def test_a_backup_of_a_backup_carries_the_same_stamps(relays, source, make_destination):
    """As all three do, also after the one in the middle was away."""
    first, second, third = [await make_destination() for _ in range(3)]
    ids = {one: str(one.port) for one in (first, second, third)}
    pairs = [
        relay_spec.Destination(ids[one], one.url(), backup_of=ids[of]) for one, of in ((second, first), (third, second))
    ]
    relays.start_spec(spec_of(source, first, *pairs))
    await on_air(first, second, third)
    await third.leave()
    await second.leave()
    third.come()
    await until("a new session of the last", lambda: len(third.publishes) > 1)
    second.come()
    await until("and of the other", lambda: len(second.publishes) > 1)
    await on_air(second, third)

    def stamps(destination: Destination) -> dict[int, int]:
        return {number_of(frame): frame[1] for frame in destination.publishes[-1].frames(VIDEO)}

    def common() -> set[int]:
        return stamps(first).keys() & stamps(second).keys() & stamps(third).keys()

    same = await until("the same pictures", common)
    for other in (second, third):
        assert [stamps(other)[number] for number in same] == [stamps(first)[number] for number in same]


@pytest.mark.parametrize("broken", ["primary", "backup"])
async def test_a_pair_carries_the_same_stamps(relays, source, make_destination, broken):
    """Also after one of them was away: who comes back counts from where the other one began."""
    primary, backup, other = [await make_destination() for _ in range(3)]
    ids = {one: str(one.port) for one in (primary, backup, other)}
    pair = relay_spec.Destination(ids[backup], backup.url(), backup_of=ids[primary])
    relays.start_spec(spec_of(source, primary, pair, other))
    await on_air(primary, backup, other)
    away = primary if broken == "primary" else backup
    for destination in (away, other):
        await destination.leave()
        destination.come()
    await until("new sessions", lambda: all(len(one.publishes) > 1 for one in (away, other)))
    await on_air(away, other)

    def stamps(destination: Destination) -> dict[int, int]:
        return {number_of(frame): frame[1] for frame in destination.publishes[-1].frames(VIDEO)}

    both = await until("the same pictures", lambda: stamps(primary).keys() & stamps(backup).keys())
    assert {stamps(primary)[number] for number in both} == {stamps(backup)[number] for number in both}
    assert all(stamps(primary)[number] == stamps(backup)[number] for number in both)
    # One that is in no pair counts from its own beginning.
    assert other.publishes[-1].frames(VIDEO)[0][1] == 0
    assert away.publishes[-1].frames(VIDEO)[0][1] > 0


async def test_each_has_its_own_latency(relays, source, make_destination):
    """The source is visited as often as the most eager of them asks for."""
    first, second = [await make_destination() for _ in range(2)]
    eager = relay_spec.Destination(str(second.port), second.url(), latency=Latency.LOW)
    running = relays.start_spec(spec_of(source, first, eager))
    await on_air(first, second)
    run = running.relay._run
    assert sum(run._flow in slot for slot in run._beat._slots) == Latency.LOW.visits
    running.relay.update(spec_of(source, first, replace(eager, latency=Latency.DENSE)))
    assert sum(run._flow in slot for slot in run._beat._slots) == Latency.NORMAL.visits


async def test_all_are_handed_over_at_the_same_keyframe(relays, source, make_destination):
    """A worker that leaves unpublishes none of them, and all end after the same picture."""
    all_of_them = [await make_destination() for _ in range(3)]
    running = relays.start_spec(spec_of(source, *all_of_them))
    publishes = await on_air(*all_of_them)
    running.relay.hand_over()
    assert (await running.relay.wait()).state is State.STOPPED
    await until("their ends", lambda: all(publish.is_over for publish in publishes))
    assert [publish.ended for publish in publishes] == ["closed"] * 3
    assert len({number_of(publish.frames(VIDEO)[-1]) for publish in publishes}) == 1
    for publish in publishes:
        assert_gaps_end_in_keyframes(publish)


async def test_a_stop_unpublishes_all(relays, source, make_destination):
    """Each broadcast ends now."""
    all_of_them = [await make_destination() for _ in range(3)]
    running = relays.start_spec(spec_of(source, *all_of_them))
    publishes = await on_air(*all_of_them)
    await running.relay.stop()
    await until("their ends", lambda: all(publish.is_over for publish in publishes))
    assert [publish.ended for publish in publishes] == ["unpublished"] * 3
