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
from streamferry.relay.inputs import inserts
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


async def test_a_slate_that_cannot_be_made_ends_nothing(
    relays, source: Source, destination: Destination, tmp_path: Path
) -> None:
    """As on a disk that cannot be written: the source is on air without it, in one session."""
    (tmp_path / "slates").write_text("in the way")
    spec = replace(RelaySpec.live(source.url(), destination.url()), slate=Slate(title="Soon"))
    relay = relays.host.start(spec)
    await until("the camera", lambda: destination.publishes and len(destination.publishes[0].frames(VIDEO)) > 50)
    assert (await relay.stop()).retries == 0
    assert len(destination.publishes) == 1


async def test_two_inputs_that_are_alike_are_both_ended(relays, source: Source, destination: Destination) -> None:
    """When they are taken away none goes on pulling, unseen."""
    backup = await Source().__aenter__()
    twice = (Input((Item(backup.url()),), True, True),) * 2
    spec = replace(RelaySpec.live(source.url(), destination.url()), more_inputs=twice, slate=Slate())
    relay = relays.host.start(spec)
    await until("both", lambda: len(backup.viewers) == 2)
    relay.update(replace(spec, more_inputs=()))
    await until("none", lambda: not backup.viewers)
    await relay.stop()
    await backup.__aexit__(None, None, None)


async def test_what_is_done_to_the_picture_is_changed_while_on_air(
    relays, source: Source, destination: Destination
) -> None:
    """As whether it gets silence where it has no sound: what is shown is opened anew for it."""
    spec = replace(RelaySpec.live(source.url(), destination.url()), slate=Slate())
    relay = relays.host.start(spec)
    await until("the camera", lambda: destination.publishes and len(destination.publishes[0].frames(VIDEO)) > 20)
    viewer = source.viewers[0]
    relay.update(replace(spec, silence=False))
    await until("another session of the source", lambda: source.viewers and source.viewers[0] is not viewer)
    await relay.stop()


async def test_a_skip_is_of_what_plays_now_and_not_of_an_insert_that_waits(
    relays, destination: Destination, clips: ClipFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The list goes on with its next item at once, though a file is open that is to be played later; and that is not in
    the way of one that is to be played now."""
    monkeypatch.setattr(inserts, "OPEN_EARLY_S", 7200.0)
    clip = MediaUrl.parse(str(clips("close_keyframes")))
    spec = replace(RelaySpec.vod([Item(clip), Item(clip, 10)], destination.url()), slate=Slate())
    relay = relays.host.start(spec)
    await until("the first", lambda: relay.status.playhead is not None and relay.status.playhead.position_ms > 500)
    insert = Order(1, time.time() + 3600, Item(clip, 5))
    relay.update(replace(spec, orders=(insert,)))
    frames = len(destination.publishes[0].frames(VIDEO))
    await until("visits", lambda: len(destination.publishes[0].frames(VIDEO)) > frames + 20)
    relay.update(replace(spec, orders=(insert, Order(2, time.time()))))
    await until("the second", lambda: relay.status.playhead is not None and relay.status.playhead.item == 1, 20)
    relay.update(replace(spec, orders=(insert, Order(3, time.time(), Item(clip, 12)))))
    await until("a file that was ordered later, for now", lambda: str(relay.status.on_air) == "insert")
    await relay.stop()
