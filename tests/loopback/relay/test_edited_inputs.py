"""Inputs and the slate are edited while on air: what is told to be on air is what is seen."""

import itertools
import time
from dataclasses import replace

import pytest

from kit.clips import ClipFactory
from scripted.camera import Camera, number_of
from scripted.destination import Destination, Publish
from scripted.source import Source
from scripted.waiting import until
from streamferry.media.slate import Slate, SlateKind
from streamferry.media.tag import VIDEO
from streamferry.media.url import MediaUrl
from streamferry.relay import Item, RelaySpec
from streamferry.relay import spec as spec_module
from streamferry.relay.inputs.policy import Switching
from streamferry.relay.spec import Input, Order
from streamferry.relay.status import Switch

pytestmark = pytest.mark.usefixtures("quick")
#: The pictures of the second camera count from that number.
STEP = 1_000_000
RULES = Switching(switch_after_s=0.4, return_after_s=60)


@pytest.fixture(autouse=True)
def impatient(monkeypatch) -> None:
    """Less patience than users may ask for."""
    monkeypatch.setattr(spec_module, "LEAST_SWITCH_S", 0.1)


@pytest.fixture
async def cameras():
    """Two of them."""
    second = Camera(stamp_ms=90_000)
    second.pictures = STEP
    async with Source("rtmp") as one, Source("rtmp", second) as other:
        yield one, other


def shown(publish: Publish) -> str:
    """Which camera each picture is of, or s for the slate; neighbours once."""
    names = ("ab"[number_of(tag) // STEP] if len(tag[2]) == 400 else "s" for tag in publish.frames(VIDEO))
    return "".join(key for key, _ in itertools.groupby(names))


async def test_what_was_on_air_is_taken_away(relays, cameras: tuple[Source, Source], destination: Destination) -> None:
    """The backup, and then the slate: what is on air instead is told, each change once and from what was told before.
    It said the backup, and the slate, for ever."""
    first, second = cameras
    backup = Input((Item(second.url()),), True, True)
    blue = Slate(SlateKind.COLOR, color="#0000ff")
    spec = replace(RelaySpec.live(first.url(), destination.url()), more_inputs=(backup,), slate=blue, switching=RULES)
    relay = relays.host.start(spec)
    switches: list[Switch] = []
    relay.watch_switches(switches.append)
    await until("the first", lambda: destination.publishes and shown(destination.publishes[0]) == "a")
    publish = destination.publishes[0]
    await until("the slate", lambda: relay._run._source._inputs._slate.is_open)
    await first.leave()
    await until("the backup", lambda: shown(publish) == "ab")
    relay.update(replace(spec, more_inputs=()))
    await until("the slate", lambda: shown(publish) == "abs")
    assert str(relay.status.on_air) == "slate"
    relay.update(replace(spec, more_inputs=(), slate=None))
    first.come()
    await until("the first again", lambda: shown(publish) == "absa")
    assert str(relay.status.on_air) == "input 0"
    await relay.stop()
    told = [(str(one.before), str(one.after), one.after.why.code) for one in switches]
    assert told == [
        ("input 0", "input 1", "on_air.down"),
        ("input 1", "input 0", "on_air.edited"),
        ("input 0", "slate", "on_air.down"),
        ("slate", "input 0", "on_air.edited"),
    ]
    assert len(destination.publishes) == 1


async def test_the_backup_becomes_the_source_while_it_is_on_air(
    relays, cameras: tuple[Source, Source], destination: Destination
) -> None:
    """Its session goes on, though it was a cold one and is all that there is from then on; it has another number, and
    nothing was switched."""
    first, second = cameras
    backup = Input((Item(second.url()),), True)
    spec = replace(RelaySpec.live(first.url(), destination.url()), more_inputs=(backup,), switching=RULES)
    relay = relays.host.start(spec)
    switches: list[Switch] = []
    relay.watch_switches(switches.append)
    await until("the first", lambda: destination.publishes and shown(destination.publishes[0]) == "a")
    publish = destination.publishes[0]
    await first.leave()
    await until("the backup", lambda: shown(publish) == "ab")
    (viewer,) = second.viewers
    relay.update(replace(spec, more_inputs=(replace(backup, warm=True),)))
    relay.update(RelaySpec.live(second.url(), destination.url()))
    assert str(relay.status.on_air) == "input 0"
    count = len(publish.frames(VIDEO))
    await until("more of it", lambda: len(publish.frames(VIDEO)) > count + 50)
    assert second.viewers == [viewer]
    await relay.stop()
    assert [(str(one.before), str(one.after)) for one in switches] == [("input 0", "input 1")]
    assert shown(publish) == "ab"
    numbers = [number_of(tag) for tag in publish.frames(VIDEO) if number_of(tag) >= STEP]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))


async def test_a_slate_that_a_list_has_for_a_moment_ends_nothing(
    relays, destination: Destination, clips: ClipFactory
) -> None:
    """Added and taken away before the run that it asked for had begun: the relay stopped for good."""
    film = Item(MediaUrl.parse(str(clips("close_keyframes"))))
    spec = RelaySpec.vod([film], destination.url(), loops=-1)
    running = relays.start_spec(spec)
    await until("the list", lambda: destination.publishes and len(destination.publishes[0].frames(VIDEO)) > 10)
    running.relay.update(replace(spec, slate=Slate(SlateKind.COLOR, color="#0000ff")))
    running.relay.update(spec)
    await until("the list again", lambda: len(destination.publishes) == 2 and destination.publishes[1].has_both_tracks)
    await until("streaming", lambda: running.status.state == "streaming")
    assert "stopped" not in [status.state for status in running.told]


async def test_a_file_over_a_list_that_gets_a_slate_is_over(
    relays, destination: Destination, clips: ClipFactory
) -> None:
    """The run that follows begins with the list: that is told, since the as-run log has when a file ended."""
    film = Item(MediaUrl.parse(str(clips("close_keyframes"))))
    spec = RelaySpec.vod([film], destination.url(), loops=-1)
    relay = relays.host.start(spec)
    switches: list[Switch] = []
    relay.watch_switches(switches.append)
    await until("the list", lambda: destination.publishes and len(destination.publishes[0].frames(VIDEO)) > 10)
    orders = (Order(1, time.time(), film),)
    relay.update(replace(spec, orders=orders))
    await until("the file", lambda: str(relay.status.on_air) == "insert")
    relay.update(replace(spec, orders=orders, slate=Slate(SlateKind.COLOR, color="#0000ff")))
    await until("the list again", lambda: str(relay.status.on_air) == "input 0")
    await relay.stop()
    told = [(str(one.before), str(one.after), one.after.why.code) for one in switches]
    assert told == [("input 0", "insert", "on_air.insert"), ("insert", "input 0", "on_air.insert_over")]
    assert switches[1].after.file == film.url.shown
