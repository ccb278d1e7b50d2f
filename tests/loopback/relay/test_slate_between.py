"""The slate between the windows of a channel: one publish session through two windows and what is between them."""

import asyncio
import shutil
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from test_inputs import RULES, Cameras, assert_unbroken, camera_of, header_of, quick_switches, shown

from kit.clips import ClipFactory
from kit.waiting import PATIENCE_S
from scripted.destination import Destination
from scripted.waiting import until
from streamferry.media.slate import Slate
from streamferry.media.tag import AUDIO, VIDEO
from streamferry.media.url import MediaUrl
from streamferry.relay import Item, RelaySpec
from streamferry.relay.inputs import keeper
from streamferry.relay.status import Switch

__all__ = ["quick_switches"]
pytestmark = pytest.mark.usefixtures("quick", "quick_switches")
HOUR_S = 3600.0


@pytest.fixture
async def cameras() -> AsyncIterator[Cameras]:
    """Cameras that are switched off after the test."""
    cameras = Cameras()
    yield cameras
    for source in cameras.all:
        await source.__aexit__(None, None, None)


def windows(*spans: tuple[float, float]) -> tuple[tuple[float, float], ...]:
    """From and until so many seconds from now."""
    now = time.time()
    return tuple((now + begin, now + end) for begin, end in spans)


async def test_the_slate_is_sent_until_the_next_window_begins(
    relays, cameras: Cameras, destination: Destination
) -> None:
    """The camera is on air when a window is open, and only then, whatever was asked for by hand; all in one session."""
    first = await cameras.add()
    live = replace(RelaySpec.live(first.url(), destination.url()), slate=Slate(), switching=RULES, pinned=0)
    relay = relays.host.start(replace(live, windows=windows((-60, HOUR_S))))
    switches: list[Switch] = []
    relay.watch_switches(switches.append)
    await until("the camera", lambda: destination.publishes and len(destination.publishes[0].frames(VIDEO)) > 10)
    publish = destination.publishes[0]
    relay.update(replace(live, windows=windows((-60, 0.3), (HOUR_S, 2 * HOUR_S))))
    await until("the slate", lambda: shown(publish) == [0, -1])
    assert (str(relay.status.on_air), relay.status.state.value) == ("slate", "streaming")
    relay.update(replace(live, windows=windows((-60, 0), (0.5, HOUR_S))))
    await until("the camera again", lambda: shown(publish) == [0, -1, 0])
    await until("a stretch of it", lambda: camera_of(publish.frames(VIDEO)[-10]) == 0)
    await relay.stop()
    assert len(destination.publishes) == 1
    assert_unbroken(publish)
    assert publish.frames(AUDIO)
    assert [(str(one.after), one.after.why.code) for one in switches] == [
        ("slate", "on_air.between"),
        ("input 0", "on_air.by_hand"),
    ]


async def test_between_windows_no_source_is_pulled(
    relays, cameras: Cameras, destination: Destination, monkeypatch
) -> None:
    """It is opened before the next one begins; a window that is moved to begin sooner begins then."""
    monkeypatch.setattr(keeper, "OPEN_EARLY_S", 1.0)
    first = await cameras.add()
    live = replace(RelaySpec.live(first.url(), destination.url()), slate=Slate(), switching=RULES)
    relay = relays.host.start(replace(live, windows=windows((HOUR_S, 2 * HOUR_S))))
    await until("the slate", lambda: destination.publishes and len(destination.publishes[0].frames(VIDEO)) > 10)
    publish = destination.publishes[0]
    assert relay.status.on_air.why.code == "on_air.between"
    assert not first.viewers
    relay.update(replace(live, windows=windows((0, HOUR_S))))
    await until("the camera", lambda: shown(publish) == [-1, 0])
    relay.update(replace(live, windows=windows((-60, 0), (HOUR_S, 2 * HOUR_S))))
    await until("the slate again", lambda: shown(publish) == [-1, 0, -1])
    await until("that the source is left", lambda: not first.viewers)
    await relay.stop()
    assert_unbroken(publish)


async def test_a_list_begins_again_with_each_window(relays, destination: Destination, clips: ClipFactory) -> None:
    """And where it was between them is nowhere. Played to its end before that, it gives way to the slate; after the
    last window it ends."""
    items = [Item(MediaUrl.parse(str(clips("close_keyframes"))))]
    films = replace(RelaySpec.vod(items, destination.url()), slate=Slate(), switching=RULES)
    relay = relays.host.start(replace(films, windows=windows((-60, HOUR_S), (2 * HOUR_S, 3 * HOUR_S))))
    await until("the film", lambda: relay.status.playhead is not None and relay.status.playhead.position_ms > 500)
    relay.update(replace(films, windows=windows((-60, 0), (HOUR_S, 2 * HOUR_S))))
    await until("the slate", lambda: relay.status.on_air.input is None)
    assert relay.status.playhead is None
    relay.update(replace(films, windows=windows((0, HOUR_S))))
    await until("the film again", lambda: relay.status.playhead is not None and relay.status.on_air.input == 0)
    assert (relay.status.playhead.loop, relay.status.playhead.item) == (0, 0)
    await relay.stop()
    assert len(destination.publishes) == 1
    assert_unbroken(destination.publishes[0])


async def test_a_list_that_is_over_waits_for_the_next_window(
    relays, destination: Destination, clips: ClipFactory
) -> None:
    """With the slate, as between windows; in the last window it ends the run."""
    items = [Item(MediaUrl.parse(str(clips("h264_no_bframes"))))]
    film = replace(RelaySpec.vod(items, destination.url(), loops=1), slate=Slate(), switching=RULES)
    relay = relays.host.start(replace(film, windows=windows((-60, HOUR_S), (2 * HOUR_S, 3 * HOUR_S))))
    switches: list[Switch] = []
    relay.watch_switches(switches.append)
    await until("the slate after it", lambda: switches and switches[-1].after.why.code == "on_air.played_out")
    assert relay.status.state.value == "streaming"
    relay.update(replace(film, windows=windows((-60, 0), (HOUR_S, 2 * HOUR_S))))
    await until("the end of its window", lambda: relay.status.playhead is None)
    relay.update(replace(film, windows=windows((0, HOUR_S))))
    async with asyncio.timeout(PATIENCE_S):
        assert (await relay.wait()).state.value == "ended"
    assert len(destination.publishes) == 1
    assert_unbroken(destination.publishes[0])
    assert [str(one.after) for one in switches][-2:] == ["slate", "input 0"]


async def test_a_list_without_anything_to_play_returns_from_the_slate(
    relays, destination: Destination, clips: ClipFactory, tmp_path: Path
) -> None:
    """When one of its items can be played again: it was there, it is taken away, and it comes back."""
    film, other = tmp_path / "film.mp4", tmp_path / "other.mp4"
    shutil.copy(clips("h264_no_bframes"), film)
    films = [Item(MediaUrl.parse(str(film))), Item(MediaUrl.parse(str(other)))]
    spec = replace(RelaySpec.vod(films, destination.url()), slate=Slate(), switching=RULES, pre_download=False)
    relay = relays.host.start(spec)
    await until("the film", lambda: destination.publishes and len(destination.publishes[0].frames(VIDEO)) > 10)
    publish = destination.publishes[0]
    film.unlink()
    await until("the slate", lambda: str(relay.status.on_air) == "slate")
    shutil.copy(clips("h264_no_bframes"), tmp_path / "whole.mp4")
    (tmp_path / "whole.mp4").rename(film)
    await until("the film again", lambda: str(relay.status.on_air) == "input 0")
    count = len(publish.frames(VIDEO)) + 10
    await until("a stretch of it", lambda: len(publish.frames(VIDEO)) > count)
    await relay.stop()
    assert len(destination.publishes) == 1
    assert_unbroken(publish, longest_gap_ms=2000)
    assert len(set(header_of(publish))) == 2
