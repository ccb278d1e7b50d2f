"""Files played over one live source, which is all that there is to show: seen by the frames that come."""

import asyncio
import itertools
import time
from dataclasses import replace

import pytest

from kit.clips import ClipFactory
from scripted.camera import FRAME_MS, Camera, number_of
from scripted.destination import Destination, Publish
from scripted.source import Source
from scripted.waiting import until
from streamferry.media.slate import Slate, SlateKind
from streamferry.media.tag import AUDIO, VIDEO
from streamferry.media.url import MediaUrl
from streamferry.prepare.store import PreparedStore
from streamferry.relay import Item, RelaySpec
from streamferry.relay.host import Relay, RelayHost
from streamferry.relay.inputs.policy import Switching
from streamferry.relay.spec import Order
from streamferry.relay.status import Switch

pytestmark = pytest.mark.usefixtures("quick")
#: The pictures of ``h264_bframes``.
FILM_PICTURES = 75


def shown(publish: Publish) -> str:
    """What was on air: c for the camera, f for a film; neighbours once."""
    names = ("c" if len(tag[2]) == 400 else "f" for tag in publish.frames(VIDEO))
    return "".join(key for key, _ in itertools.groupby(names))


def assert_unbroken(publish: Publish) -> None:
    """Stamps of each track rise without a gap."""
    for tag_type in (VIDEO, AUDIO):
        steps = [after - before for before, after in itertools.pairwise(publish.stamps(tag_type))]
        assert min(steps) > 0
        assert max(steps) <= 200


def film(clips: ClipFactory, name: str = "h264_bframes") -> Item:
    """A file to be inserted."""
    return Item(MediaUrl.parse(str(clips(name))))


def is_plain(relay: Relay) -> bool:
    """Whether it costs what it cost before."""
    source = relay._run._source
    return source._keeper is source._live and source._live._session is not None


def next_is_open(relay: Relay) -> bool:
    """Whether the file that is played next is there."""
    inputs = relay._run._source._inputs
    one = None if inputs is None else inputs._inserts._next
    return one is not None and one.input.is_open


async def first_publish(destination: Destination) -> Publish:
    """The publish, once it shows some of the camera."""
    await until("the camera", lambda: destination.publishes and len(destination.publishes[0].frames(VIDEO)) > 10)
    return destination.publishes[0]


@pytest.mark.parametrize("protocol", ["http", "rtmp"])
async def test_a_film_is_played_over_a_live_source_that_is_alone(
    relays, destination: Destination, clips: ClipFactory, protocol: str
) -> None:
    """All of it, twice, in one publish and one session of the source, which costs as little afterwards as before."""
    async with Source(protocol) as source:
        spec = RelaySpec.live(source.url(), destination.url())
        running = relays.start_spec(spec)
        relay = running.relay
        switches: list[Switch] = []
        relay.watch_switches(switches.append)
        publish = await first_publish(destination)
        await until("streaming", lambda: relay.status.state == "streaming")
        running.told.clear()
        was_fast = relay._run._flow._feed.fast_path is not None
        viewer = source.viewers[0]
        for number in (1, 2):
            relay.update(replace(spec, orders=(Order(number, time.time(), film(clips)),)))
            await until("the film", lambda number=number: shown(publish) == "cf" * number)
            assert str(relay.status.on_air) == "insert"
            assert relay.status.state == "streaming"
            await until("the camera again", lambda number=number: shown(publish) == "cf" * number + "c")
            await until("the plain form", lambda: is_plain(relay))
        assert (relay._run._flow._feed.fast_path is not None) is was_fast
        assert str(relay.status.on_air) == "input 0"
        count = len(publish.frames(VIDEO))
        await until("more of the camera", lambda: len(publish.frames(VIDEO)) > count + 30)
        assert source.viewers == [viewer]
        assert not running.told
        await relay.stop()
    assert len(destination.publishes) == 1
    assert [str(switch.after) for switch in switches] == ["insert", "input 0"] * 2
    assert {switch.after.file for switch in switches} == {film(clips).url.shown}
    assert sum(len(tag[2]) != 400 for tag in publish.frames(VIDEO)) == 2 * FILM_PICTURES
    assert_unbroken(publish)


async def test_an_order_that_waits_costs_nothing_until_its_time_is_near(
    relays, source: Source, destination: Destination, clips: ClipFactory
) -> None:
    """And one that is taken back is not played."""
    spec = RelaySpec.live(source.url(), destination.url())
    later = Order(1, time.time() + 3600, film(clips))
    relay = relays.host.start(replace(spec, orders=(later,)))
    publish = await first_publish(destination)
    assert is_plain(relay)
    soon = Order(2, time.time() + 15, film(clips))
    relay.update(replace(spec, orders=(later, soon)))
    await until("the file is opened", lambda: not is_plain(relay))
    await until("it is open", lambda: next_is_open(relay))
    # Of the last one that is taken back its number is left.
    gone = Order(2, 0.0)
    relay.update(replace(spec, orders=(later, gone)))
    await until("the plain form", lambda: is_plain(relay))
    relay.update(replace(spec, orders=(later, gone, Order(3, time.time() + 1, film(clips)))))
    await until("the film", lambda: shown(publish) == "cfc")
    await relay.stop()
    assert_unbroken(publish)


async def test_a_source_that_dies_during_a_film_is_told_after_it_and_returns(
    relays, source: Source, destination: Destination, clips: ClipFactory
) -> None:
    """In the same publish; while the film plays the run streams."""
    spec = RelaySpec.live(source.url(), destination.url())
    relay = relays.start_spec(spec)
    publish = await first_publish(destination)
    relay.relay.update(replace(spec, orders=(Order(1, time.time(), film(clips)),)))
    await until("the film", lambda: shown(publish) == "cf")
    told = len(relay.told)
    await source.leave()
    await until("trouble", lambda: relay.has_told("retrying", "user_source", "", told))
    assert sum(len(tag[2]) != 400 for tag in publish.frames(VIDEO)) == FILM_PICTURES
    assert str(relay.status.on_air) == "input 0"
    source.come()
    await until("the camera again", lambda: shown(publish) == "cfc")
    await until("streaming", lambda: relay.status.state == "streaming")
    assert is_plain(relay.relay)
    await relay.relay.stop()
    assert len(destination.publishes) == 1
    assert min(after - before for before, after in itertools.pairwise(publish.stamps(VIDEO))) > 0


async def test_films_that_are_due_together_follow_each_other(
    relays, source: Source, destination: Destination, clips: ClipFactory
) -> None:
    """In order of their numbers, with nothing between them; and so when the first is skipped."""
    spec = RelaySpec.live(source.url(), destination.url())
    relay = relays.host.start(spec)
    switches: list[Switch] = []
    relay.watch_switches(switches.append)
    publish = await first_publish(destination)
    at = time.time()
    orders = (Order(1, at, film(clips, "half_a_minute")), Order(2, at, film(clips)))
    relay.update(replace(spec, orders=orders))
    await until("the first", lambda: shown(publish) == "cf")
    await until("the second is open", lambda: next_is_open(relay))
    relay.update(replace(spec, orders=(*orders, Order(3, time.time()))))
    await until("the camera again", lambda: shown(publish) == "cfc")
    await relay.stop()
    assert [str(one.after) for one in switches] == ["insert", "insert", "input 0"]
    assert_unbroken(publish)


async def test_a_film_is_played_while_the_source_is_away(
    relays, source: Source, destination: Destination, clips: ClipFactory
) -> None:
    """The source comes on air after it."""
    spec = RelaySpec.live(source.url(), destination.url())
    relay = relays.host.start(spec)
    publish = await first_publish(destination)
    await source.leave()
    await until("trouble", lambda: relay.status.state == "retrying")
    relay.update(replace(spec, orders=(Order(1, time.time(), film(clips)),)))
    await until("the film", lambda: shown(publish) == "cf")
    source.come()
    await until("the camera again", lambda: shown(publish) == "cfc")
    await until("the plain form", lambda: is_plain(relay))
    await relay.stop()
    assert len(destination.publishes) == 1
    assert sum(len(tag[2]) != 400 for tag in publish.frames(VIDEO)) == FILM_PICTURES


async def test_many_films_put_the_output_no_further_ahead_than_one_group_of_pictures(
    relays, destination: Destination, clips: ClipFactory
) -> None:
    """The live source returns each time with the pictures it has kept; what that sends ahead of time does not add
    up."""
    gop = 25
    async with Source(camera=Camera(gop=gop)) as source:
        spec = RelaySpec.live(source.url(), destination.url())
        running = relays.start_spec(spec)
        relay = running.relay
        publish = await first_publish(destination)
        ahead_ms: list[float] = []

        def measure() -> None:
            ahead_ms.append(publish.stamps(VIDEO)[-1] - time.monotonic() * 1000)

        measure()
        short = replace(film(clips), end_s=1.9)
        for number in range(1, 9):
            relay.update(replace(spec, orders=(Order(number, time.time(), short),)))
            await until("the film", lambda number=number: shown(publish) == "cf" * number)
            await until("the camera again", lambda number=number: shown(publish) == "cf" * number + "c")
            measure()
        assert not any(status.state == "stalled" for status in running.told)
        await relay.stop()
    assert_unbroken(publish)
    assert max(ahead_ms) - ahead_ms[0] < gop * FRAME_MS + 1000


async def test_a_film_shorter_than_the_keyframes_of_its_source_are_apart_left_a_hole(
    relays, destination: Destination, clips: ClipFactory
) -> None:
    """Its last picture stands until the next of them, with silence; then the camera goes on, which was never down."""
    async with Source(camera=Camera(gop=75)) as source:
        spec = replace(RelaySpec.live(source.url(), destination.url()), switching=Switching(switch_after_s=1.0))
        running = relays.start_spec(spec)
        relay = running.relay
        switches: list[Switch] = []
        relay.watch_switches(switches.append)
        publish = await first_publish(destination)
        keys = [number_of(tag) for tag in publish.frames(VIDEO) if tag[2][0] >> 4 == 1]
        await until("a new group", lambda: number_of(publish.frames(VIDEO)[-1]) > keys[-1] + 75)
        short = replace(film(clips), end_s=0.3)
        relay.update(replace(spec, orders=(Order(1, time.time(), short),)))
        await until("the film", lambda: shown(publish) == "cf")
        assert str(relay.status.on_air) == "insert"
        await until("the camera again", lambda: shown(publish) == "cfc")
        await until("the plain form", lambda: is_plain(relay))
        await relay.stop()
    assert [str(one.after) for one in switches] == ["insert", "input 0"]
    assert not any(status.state in ("stalled", "retrying") for status in running.told)
    steps = [after - before for before, after in itertools.pairwise(publish.stamps(VIDEO))]
    assert (min(steps) > 0, max(steps) <= 240) == (True, True)
    sounds = [after - before for before, after in itertools.pairwise(publish.stamps(AUDIO))]
    assert (min(sounds) > 0, max(sounds) <= 240) == (True, True)


@pytest.mark.parametrize("comes", ["before", "meanwhile"])
async def test_two_relays_share_a_pull_while_one_plays_a_film(
    destination: Destination, clips: ClipFactory, tmp_path, comes: str
) -> None:
    """The one that came first and pulled by itself: the other has every picture, and the source one viewer."""
    async with (
        RelayHost(store=PreparedStore(tmp_path), shares_pulls=True) as host,
        Source() as source,
        Destination() as second,
    ):
        spec = RelaySpec.live(source.url(), destination.url())
        relay = host.start(spec)
        publish = await first_publish(destination)
        others: list[Relay] = []
        if comes == "before":
            others.append(host.start(RelaySpec.live(source.url(), second.url())))
            await until("the other", lambda: second.publishes and second.publishes[0].frames(VIDEO))
        relay.update(replace(spec, orders=(Order(1, time.time(), film(clips)),)))
        await until("the film", lambda: shown(publish) == "cf")
        others = others or [host.start(RelaySpec.live(source.url(), second.url()))]
        await until("the camera again", lambda: shown(publish) == "cfc")
        await until("the plain form", lambda: is_plain(relay))
        assert len(source.viewers) == 1
        await relay.stop()
        count = len(second.publishes[0].frames(VIDEO))
        await until("more at the other", lambda: len(second.publishes[0].frames(VIDEO)) > count + 30)
        assert len(source.viewers) == 1
        await others[0].stop()
        numbers = [number_of(tag) for tag in second.publishes[0].frames(VIDEO)]
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
        await until("the end of the pull", lambda: not source.viewers)
    assert_unbroken(publish)


async def test_a_slate_is_added_and_taken_away_on_air(relays, source: Source, destination: Destination) -> None:
    """In the publish and the session of the source that are open."""
    spec = RelaySpec.live(source.url(), destination.url())
    relay = relays.host.start(spec)
    publish = await first_publish(destination)
    await until("the fast path", lambda: relay._run._flow._feed.fast_path is not None)
    viewer = source.viewers[0]
    for kind in (SlateKind.LAST_FRAME, SlateKind.CARD):
        relay.update(replace(spec, slate=Slate(kind)))
        await until("the form with inputs", lambda: not is_plain(relay) and relay._run._source._inputs.is_running)
        relay.update(spec)
        await until("the plain form", lambda: is_plain(relay))
    count = len(publish.frames(VIDEO))
    await until("more of the camera", lambda: len(publish.frames(VIDEO)) > count + 30)
    assert source.viewers == [viewer]
    assert relay._run._flow._feed.fast_path is not None
    await relay.stop()
    assert len(destination.publishes) == 1
    numbers = [number_of(tag) for tag in publish.frames(VIDEO)]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))


async def test_another_source_while_a_film_plays(
    relays, source: Source, destination: Destination, clips: ClipFactory
) -> None:
    """Is on air after it, in the publish that is open."""
    camera = Camera()
    camera.pictures = 1_000_000
    async with Source(camera=camera) as second:
        spec = RelaySpec.live(source.url(), destination.url())
        relay = relays.host.start(spec)
        publish = await first_publish(destination)
        order = Order(1, time.time(), film(clips))
        relay.update(replace(spec, orders=(order,)))
        await until("the film", lambda: shown(publish) == "cf")
        relay.update(replace(RelaySpec.live(second.url(), destination.url()), orders=(order,)))
        await until("the camera again", lambda: shown(publish) == "cfc")
        await until("the plain form", lambda: is_plain(relay))
        assert number_of(publish.frames(VIDEO)[-1]) >= 1_000_000
        await until("the first is left", lambda: not source.viewers)
        await relay.stop()
    assert len(destination.publishes) == 1
    assert_unbroken(publish)


async def test_a_run_ends_and_is_aborted_at_any_step_of_a_film(
    relays, source: Source, destination: Destination, clips: ClipFactory
) -> None:
    """Nothing of it stays behind: no viewer at the source."""
    spec = RelaySpec.live(source.url(), destination.url())
    for turns in range(0, 12, 3):
        for ends in (Relay.request_stop, Relay.abort):
            relay = relays.host.start(spec)
            await until("streaming", lambda relay=relay: relay.status.state == "streaming")
            relay.update(replace(spec, orders=(Order(1, time.time(), film(clips)),)))
            for _ in range(turns):
                await asyncio.sleep(0)
            ends(relay)
            await relay.wait()
            await until("nobody at the source", lambda: not source.viewers)
