"""Several inputs, a slate and several destinations together; and what is told to whom."""

import time
from dataclasses import replace
from pathlib import Path

import pytest

from kit.clips import ClipFactory
from kit.http_files import HttpFiles
from scripted.destination import Destination
from scripted.source import Source
from scripted.waiting import until
from streamferry.media.peer_options import PeerOptions
from streamferry.media.slate import Slate, SlateKind
from streamferry.media.tag import VIDEO
from streamferry.media.url import MediaUrl
from streamferry.relay import Item, RelaySpec
from streamferry.relay import spec as relay_spec
from streamferry.relay.inputs.policy import SLATE, Switching
from streamferry.relay.spec import Input, Order

pytestmark = pytest.mark.usefixtures("quick")
RULES = Switching(switch_after_s=1.0, return_after_s=1.0)
COOKIE = "pl4nted-cookie"


async def test_lists_and_the_slate_reach_every_destination_and_the_sources_secrets_no_other_server(
    relays, source: Source, destination: Destination, clips: ClipFactory
) -> None:
    """With options that only a live source can have: they are for that alone."""
    clip = Path(clips("close_keyframes"))
    options = PeerOptions(headers=(("Cookie", COOKIE),), keep_drift=True)
    with HttpFiles(clip.parent) as files:
        film = Item(MediaUrl.parse(files.url(clip.name)))
        async with Destination() as second:
            spec = replace(
                RelaySpec.live(source.url(), destination.url(), source_options=options, destination_id="1"),
                others=(relay_spec.Destination("2", second.url()),),
                more_inputs=(Input((film,), False),),
                slate=Slate(SlateKind.CLIP, clip=film.url),
                switching=RULES,
            )
            relay = relays.host.start(spec)
            for one in (destination, second):
                await until("the camera", lambda one=one: one.publishes and len(one.publishes[0].frames(VIDEO)) > 20)
            insert = Order(1, time.time(), film)
            relay.update(replace(spec, orders=(insert,)))
            await until("the film", lambda: str(relay.status.on_air) == "insert")
            relay.update(replace(spec, orders=(insert, Order(2, time.time()))))
            await until("the camera again", lambda: str(relay.status.on_air) == "input 0")
            relay.update(replace(spec, pinned=SLATE))
            await until("the slate", lambda: str(relay.status.on_air) == "slate")
            await relay.stop()
            assert [len(one.publishes) for one in (destination, second)] == [1, 1]
    assert files.requests
    assert COOKIE not in repr(files.requests)
