"""What inputs that are over leave behind: nothing, whatever the collector of garbage has frozen.

What is alive at a freeze and part of a cycle is not looked at again while a channel goes on. So nothing is collected
here at all.
"""

import asyncio
import contextlib
import gc
import itertools
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from scripted.waiting import until
from streamferry.media.slate import Slate, SlateKind
from streamferry.media.url import MediaUrl
from streamferry.relay import Item, RelaySpec
from streamferry.relay.host import Relay
from streamferry.relay.inputs.list_input import ListInput
from streamferry.relay.spec import Order

pytestmark = pytest.mark.usefixtures("quick", "uncollected")


@pytest.fixture
def uncollected() -> Iterator[None]:
    """No garbage is collected during the test."""
    gc.disable()
    yield
    gc.enable()


def held(root: Path) -> list[str]:
    """What this process has open or mapped of files below ``root``."""
    maps = [line.split()[-1] for line in Path("/proc/self/maps").read_text().splitlines()]
    opened = []
    for descriptor in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            opened.append(str(descriptor.readlink()))
    return [path for path in maps + opened if path.startswith(str(root))]


def lists() -> int:
    """How many inputs that are files this process has in its memory."""
    return sum(type(one) is ListInput for one in gc.get_objects())


def inputs_are_there(relay: Relay) -> bool:
    """Whether it has more to see to than its source."""
    inputs = relay._run._source._inputs
    return inputs is not None and inputs.is_running


def turns() -> int:
    """How many groups of inputs, and exceptions, this process has in its memory."""
    return sum(isinstance(one, asyncio.TaskGroup | BaseException) for one in gc.get_objects())


async def test_each_turn_between_a_source_alone_and_inputs_was_kept_for_ever(relays, source, destination):
    """Where the keeper of inputs was cancelled referred to itself, and so to all that it had."""
    spec = RelaySpec.live(source.url(), destination.url())
    slate = Slate(SlateKind.COLOR, color="#204060")
    relay = relays.host.start(spec)
    await until("streaming", lambda: relay.status.state == "streaming")
    counts = []
    for _ in range(4):
        relay.update(replace(spec, slate=slate))
        await until("the inputs", lambda: inputs_are_there(relay))
        relay.update(spec)
        await until("the plain form", lambda: not inputs_are_there(relay))
        counts.append(turns())
    await until("no more than after the first", lambda: turns() <= counts[0])
    await relay.stop()


async def test_inserted_files_and_slates_that_are_over_are_closed(relays, source, destination, clips, tmp_path):
    """Files are played to their end, and taken back; slates are taken away as they are made, and open."""
    spec = RelaySpec.live(source.url(), destination.url())
    film = Item(MediaUrl.parse(str(clips("h264_bframes"))), end_s=0.3)
    slate = Slate(SlateKind.COLOR, color="#204060")
    relay = relays.host.start(spec)
    await until("streaming", lambda: relay.status.state == "streaming")
    switches, numbers = [], itertools.count(1)
    relay.watch_switches(switches.append)
    before = lists()
    for _ in range(2):
        played = len(switches) + 2
        relay.update(replace(spec, orders=(Order(next(numbers), time.time(), film),)))
        await until("the film", lambda played=played: len(switches) >= played)
        for ready in (lambda: True, lambda: held(tmp_path)):
            number = next(numbers)
            relay.update(replace(spec, slate=slate, orders=(Order(number, time.time() + 10, film),)))
            await until("the inputs", lambda: inputs_are_there(relay))
            await until("what is to be taken away", ready)
            relay.update(replace(spec, orders=(Order(number, 0.0),)))
            await until("the plain form", lambda: not inputs_are_there(relay))
        await until("nothing open", lambda: not held(tmp_path))
        await until("nothing kept", lambda: lists() <= before)
    await relay.stop()
