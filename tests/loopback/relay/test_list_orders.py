"""Files that are played once beside those of a list, with one destination: at once, after the present item, or not."""

import asyncio
import itertools
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from kit.clips import ClipFactory
from scripted.destination import Destination, Publish
from scripted.waiting import until
from streamferry.media.tag import AUDIO, VIDEO
from streamferry.media.url import MediaUrl
from streamferry.relay import Item, RelaySpec
from streamferry.relay.spec import Order
from streamferry.relay.status import State, Switch

pytestmark = pytest.mark.usefixtures("quick")


class Film:
    """Stretches of one file, whose pictures all differ; a keyframe each fifth."""

    def __init__(self, clips: ClipFactory) -> None:
        self.url = MediaUrl.parse(str(clips("close_keyframes")))

    def item(self, start_s: float, end_s: float) -> Item:
        return Item(self.url, start_s, end_s)


@pytest.fixture
def film(clips: ClipFactory) -> Film:
    return Film(clips)


async def pictures_of(relays, item: Item) -> list[bytes]:
    """What a list of that item alone sends."""
    async with Destination() as destination:
        relay = relays.host.start(RelaySpec.vod([item], destination.url(), loops=1))
        async with asyncio.timeout(60):
            assert (await relay.wait()).state is State.ENDED
        return bodies(destination.publishes[0])


def bodies(publish: Publish) -> list[bytes]:
    return [bytes(tag[2]) for tag in publish.frames(VIDEO)]


def steps_ms(publish: Publish, tag_type: int) -> Iterator[int]:
    stamps = publish.stamps(tag_type)
    return (after - before for before, after in itertools.pairwise(stamps))


def assert_one_broadcast(destination: Destination) -> list[bytes]:
    """One session, whose stamps rise without a gap; its pictures."""
    (publish,) = destination.publishes
    for tag_type in (VIDEO, AUDIO):
        assert min(steps_ms(publish, tag_type)) > 0
        assert max(steps_ms(publish, tag_type)) <= 90
    return bodies(publish)


async def test_a_file_is_played_over_an_item_which_goes_on_where_it_was(
    relays, destination: Destination, film: Film
) -> None:
    """Nothing of either is lost or repeated, in one session; it is told when it begins and when it is over."""
    whole, insert = film.item(0, 4), film.item(20, 20.6)
    switches: list[Switch] = []
    spec = replace(RelaySpec.vod([whole], destination.url(), loops=1), orders=(Order(1, time.time(), insert),))
    relay = relays.host.start(spec)
    relay.watch_switches(switches.append)
    items: list[str] = []
    relay.watch_items(lambda change: items.append(change.step.value))
    wanted, inserted, _ = await asyncio.gather(
        pictures_of(relays, whole), pictures_of(relays, insert), asyncio.wait_for(relay.wait(), 60)
    )
    came = assert_one_broadcast(destination)
    cut = came.index(inserted[0])
    assert 0 < cut < len(wanted)
    assert came == [*wanted[:cut], *inserted, *wanted[cut:]]
    assert [str(switch.after) for switch in switches] == ["insert", "input 0"]
    assert [switch.after.why.code for switch in switches] == ["on_air.insert", "on_air.insert_over"]
    assert items == ["item_started", "item_finished"]


def parts_of(came: list[bytes], parts: list[list[bytes]]) -> list[int]:
    """Of which parts that is made up, each of them whole but for the last one."""
    found: list[int] = []
    at = 0
    while at < len(came):
        number = next(number for number, part in enumerate(parts) if part[0] == came[at])
        length = min(len(parts[number]), len(came) - at)
        assert came[at : at + length] == parts[number][:length]
        found.append(number)
        at += length
    return found


async def test_a_file_is_played_after_the_present_item(relays, destination: Destination, film: Film) -> None:
    """Once, and nothing is cut for it; two of them in the order in which they were asked for."""
    items = [film.item(0, 1), film.item(10, 10.6)]
    queued = [film.item(20, 20.4), film.item(25, 25.4)]
    orders = tuple(Order(number, time.time(), one, after_item=True) for number, one in enumerate(queued, 1))
    switches: list[Switch] = []
    relay = relays.host.start(replace(RelaySpec.vod(items, destination.url()), orders=orders))
    relay.watch_switches(switches.append)
    parts = await asyncio.gather(*(pictures_of(relays, part) for part in (*items, *queued)))
    await until("both are over", lambda: len(switches) == 4)
    await relay.stop()
    found = parts_of(assert_one_broadcast(destination), parts)
    assert [number for number in found if number >= 2] == [2, 3]
    assert [number for number in found if number < 2] == [index % 2 for index in range(len(found) - 2)]


async def test_a_skip_goes_on_with_the_file_that_waits(relays, destination: Destination, film: Film) -> None:
    """And not with the next item of the list, which follows it."""
    items, queued = [film.item(0, 9), film.item(10, 10.6)], film.item(20, 20.6)
    spec = RelaySpec.vod(items, destination.url(), loops=1)
    order = Order(1, time.time(), queued, after_item=True)
    relay = relays.host.start(replace(spec, orders=(order,)))
    await until("the first", lambda: destination.publishes and len(destination.publishes[0].frames(VIDEO)) > 10)
    *wanted, _ = await asyncio.gather(*(pictures_of(relays, part) for part in (queued, items[1])), asyncio.sleep(0))
    relay.update(replace(spec, orders=(order, Order(2, time.time()))))
    async with asyncio.timeout(60):
        await relay.wait()
    came = assert_one_broadcast(destination)
    assert came[-len(wanted[0]) - len(wanted[1]) :] == wanted[0] + wanted[1]
    assert len(came) < 9 * 25


async def test_an_order_that_is_taken_back_or_denied_is_not_followed(
    relays, destination: Destination, film: Film
) -> None:
    """The one before it was prepared, the other when it was to begin; each is asked for once, and the list is whole."""
    whole, insert = film.item(0, 3), film.item(20, 21)
    asked: list[int] = []

    async def deny(number: int) -> bool:
        asked.append(number)
        return False

    spec = RelaySpec.vod([whole], destination.url(), loops=1)
    later = Order(1, time.time() + 60, insert)
    relay = relays.host.start(replace(spec, orders=(later,)))
    relay.ask_before_orders(deny)
    await until("the list", lambda: destination.publishes and len(destination.publishes[0].frames(VIDEO)) > 10)
    relay.update(replace(spec, orders=(Order(2, time.time(), insert),)))
    wanted, _ = await asyncio.gather(pictures_of(relays, whole), asyncio.wait_for(relay.wait(), 60))
    assert assert_one_broadcast(destination) == wanted
    assert asked == [2]


async def test_a_file_that_cannot_be_played_is_told_and_the_list_goes_on(
    relays, destination: Destination, film: Film, tmp_path
) -> None:
    """With the reason why."""
    (tmp_path / "no.mp4").write_bytes(b"no film at all")
    broken = Item(MediaUrl.parse(str(tmp_path / "no.mp4")))
    whole, switches = film.item(0, 3), list[Switch]()
    spec = replace(RelaySpec.vod([whole], destination.url(), loops=1), orders=(Order(1, time.time(), broken),))
    relay = relays.host.start(spec)
    relay.watch_switches(switches.append)
    wanted, _ = await asyncio.gather(pictures_of(relays, whole), asyncio.wait_for(relay.wait(), 60))
    assert assert_one_broadcast(destination) == wanted
    assert [switch.after.why.code for switch in switches] == ["on_air.insert_failed"]


async def test_the_list_is_edited_while_a_file_is_played_over_it(relays, destination: Destination, film: Film) -> None:
    """The file goes on, then what is left of the item, then what the new list has."""
    items, insert = [film.item(0, 4), film.item(8, 8.6)], film.item(20, 21)
    spec = replace(RelaySpec.vod(items, destination.url(), loops=1), orders=(Order(1, time.time(), insert),))
    relay = relays.host.start(spec)
    await until("the file", lambda: str(relay.status.on_air) == "insert")
    at = relay.status.playhead
    assert at is not None
    edited = film.item(12, 12.6)
    relay.update(replace(spec, items=(items[0], edited), playhead=replace(at, item=1, position_ms=0)))
    *wanted, _ = await asyncio.gather(
        *(pictures_of(relays, part) for part in (items[0], insert, edited)), asyncio.wait_for(relay.wait(), 60)
    )
    came = assert_one_broadcast(destination)
    cut = came.index(wanted[1][0])
    assert came == [*wanted[0][:cut], *wanted[1], *wanted[0][cut:], *wanted[2]]
