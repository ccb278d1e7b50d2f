"""Several inputs and a slate between scripted ends: what is on air, seen by the frames that come."""

import asyncio
import itertools
import random
import shutil
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from kit.clips import ClipFactory
from kit.pictures import make_picture
from kit.waiting import PATIENCE_S
from scripted.camera import AVC_HEADER, SOUND_MS, Camera, number_of, sound
from scripted.destination import Destination, Publish
from scripted.source import Source
from scripted.waiting import until
from streamferry.media.errors import Fault
from streamferry.media.slate import Slate, SlateKind
from streamferry.media.tag import AUDIO, SEQUENCE_HEADER, VIDEO, Tag
from streamferry.media.url import MediaUrl
from streamferry.prepare.form import AudioForm, Form, VideoForm
from streamferry.prepare.slate import Canvas, slate_clip
from streamferry.relay import Item, RelaySpec
from streamferry.relay import spec as spec_module
from streamferry.relay.beat import RING_S
from streamferry.relay.eyes.decoders import FfmpegDecoders
from streamferry.relay.eyes.look import SOUND_FRAMES
from streamferry.relay.feed import LiveFeed
from streamferry.relay.flow import LiveFlow
from streamferry.relay.inputs import keeper, live_input, policy, slate
from streamferry.relay.inputs.held import WatchedFeed
from streamferry.relay.inputs.keeper import InputsKeeper
from streamferry.relay.inputs.policy import SLATE, Switching
from streamferry.relay.spec import Input, Latency, Order
from streamferry.relay.status import Shown, State, Switch
from streamferry.wire.codecs import pixel_format

pytestmark = pytest.mark.usefixtures("quick", "quick_switches")
#: The pictures of each camera count from another number.
STEP = 1_000_000
RULES = Switching(switch_after_s=0.4, return_after_s=0.4)


@pytest.fixture
def quick_switches(monkeypatch, tmp_path_factory) -> None:
    """Less patience than users may ask for, and slates that are made once; while the process is held up no input is
    down.
    """
    slates = tmp_path_factory.getbasetemp() / "slates"
    monkeypatch.setattr(slate, "slate_clip", lambda wanted, canvas, root: slate_clip(wanted, canvas, slates))
    monkeypatch.setattr(spec_module, "LEAST_SWITCH_S", 0.1)
    monkeypatch.setattr(policy, "SETTLED_S", 0.2)
    monkeypatch.setattr(policy, "WORRIED_S", 0.2)
    monkeypatch.setattr(keeper, "PAUSED_S", 0.2)
    monkeypatch.setattr(slate, "_LOOK_S", 0.05)


class Cameras:
    """As many cameras as asked for, each a source of its own."""

    def __init__(self, protocol: str = "rtmp") -> None:
        self.all: list[Source] = []
        self.protocol = protocol

    async def add(self) -> Source:
        """One more, rolling."""
        camera = Camera(stamp_ms=90_000 * len(self.all))
        camera.pictures = STEP * len(self.all)
        source = await Source(self.protocol, camera).__aenter__()
        self.all.append(source)
        return source


@pytest.fixture
async def cameras() -> AsyncIterator[Cameras]:
    """Cameras that are switched off after the test."""
    cameras = Cameras()
    yield cameras
    for source in cameras.all:
        await source.__aexit__(None, None, None)


def live(source: Source, *, warm: bool = True) -> Input:
    """A camera as one more input."""
    return Input((Item(source.url()),), True, warm)


def shown(publish: Publish) -> list[int]:
    """Which camera each picture is of, -1 for what is none's; neighbours once."""
    return [key for key, _ in itertools.groupby(map(camera_of, publish.frames(VIDEO)))]


def camera_of(tag: Tag) -> int:
    """The number of the camera that shot a picture; -1 for another picture."""
    return number_of(tag) // STEP if len(tag[2]) == 400 else -1


def assert_unbroken(publish: Publish, longest_gap_ms: int = 200) -> None:
    """Stamps of each track rise, with no gap longer than that; each stretch begins with a keyframe."""
    for tag_type in (VIDEO, AUDIO):
        steps = [after - before for before, after in itertools.pairwise(publish.stamps(tag_type))]
        assert min(steps) > 0
        assert max(steps) <= longest_gap_ms
    pictures = publish.frames(VIDEO)
    for before, after in itertools.pairwise(pictures):
        if camera_of(before) != camera_of(after):
            assert after[2][0] >> 4 == 1, "a stretch does not begin with a keyframe"


@pytest.mark.parametrize("warm", [True, False])
async def test_the_backup_comes_on_air_when_the_source_dies_and_the_source_returns(
    relays, cameras: Cameras, destination: Destination, warm: bool
) -> None:
    """In one publish session, with reasons and numbers, and back by itself once the source has been well."""
    first, second = await cameras.add(), await cameras.add()
    spec = replace(
        RelaySpec.live(first.url(), destination.url()), more_inputs=(live(second, warm=warm),), switching=RULES
    )
    relay = relays.host.start(spec)
    switches: list[Switch] = []
    relay.watch_switches(switches.append)
    await until("the first camera", lambda: destination.publishes and len(destination.publishes[0].frames(VIDEO)) > 10)
    publish = destination.publishes[0]
    await first.leave()
    await until("the second camera", lambda: shown(publish) == [0, 1])
    first.come()
    await until("the first camera again", lambda: shown(publish) == [0, 1, 0])
    await until("a stretch of it", lambda: camera_of(publish.frames(VIDEO)[-10]) == 0)
    await relay.stop()
    assert len(destination.publishes) == 1
    assert_unbroken(publish)
    assert [(switch.before.input, switch.after.input) for switch in switches] == [(0, 1), (1, 0)]
    assert switches[0].after.why.code == "on_air.down"
    assert switches[1].after.why.code == "on_air.back"


@pytest.mark.parametrize("has_slate", [False, True])
async def test_a_run_with_nothing_to_show_is_in_trouble(
    relays, cameras: Cameras, destination: Destination, has_slate: bool
) -> None:
    """It was said to connect, for ever and without a reason, where no input could be had from the beginning."""
    first, second = await cameras.add(), await cameras.add()
    for one in (first, second):
        await one.leave()
    gone = Slate(SlateKind.CLIP, clip=MediaUrl.parse("file:///nowhere/clip.mp4"))
    spec = replace(RelaySpec.live(first.url(), destination.url()), more_inputs=(live(second),), switching=RULES)
    relay = relays.host.start(replace(spec, slate=gone) if has_slate else spec)
    await until("trouble", lambda: relay.status.state is State.RETRYING)
    status = relay.status
    assert (status.fault, status.why is not None, status.trouble is not None) == (Fault.USER_SOURCE, True, True)
    await until("another try", lambda: relay.status.retries > 2)
    second.come()
    await until("the second camera", lambda: destination.publishes and shown(destination.publishes[0]) == [1])
    await until("its state", lambda: relay.status.state is State.STREAMING)
    await relay.stop()


async def test_an_input_without_keyframes_is_told(
    relays, cameras: Cameras, destination: Destination, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It sends, and can never be shown: it is no backup, and a run with nothing else is in trouble."""
    monkeypatch.setattr(live_input, "KEYFRAME_S", 0.5)
    first = await cameras.add()
    monkeypatch.setattr(first.camera, "start_over", lambda: None)
    first.camera.gop, first.camera._since_key = 1_000_000, 1
    spec = replace(
        RelaySpec.live(first.url(), destination.url()), more_inputs=(live(first, warm=False),), switching=RULES
    )
    relay = relays.host.start(spec)
    await until("trouble", lambda: relay.status.state is State.RETRYING)
    assert relay.status.why is not None
    assert relay.status.why.code == "source.not_begun"
    assert 0 in {one.which for one in relay.status.unready}
    first.camera.gop = 10
    await until("pictures", lambda: relay.status.state is State.STREAMING)
    assert relay.status.unready == ()
    await relay.stop()


async def test_the_slate_is_shown_while_nothing_else_is_there(
    relays, cameras: Cameras, destination: Destination
) -> None:
    """From the beginning if the source is away, and whenever it goes; the source returns without being asked."""
    first = await cameras.add()
    await first.leave()
    spec = replace(
        RelaySpec.live(first.url(), destination.url()), slate=Slate(title="We will be right back"), switching=RULES
    )
    relay = relays.host.start(spec)
    await until("the slate", lambda: destination.publishes and len(destination.publishes[0].frames(VIDEO)) > 10)
    publish = destination.publishes[0]
    await until("that it streams", lambda: relay.status.state == "streaming")
    assert str(relay.status.on_air) == "slate"
    first.come()
    await until("the camera", lambda: shown(publish) == [-1, 0])
    await first.leave()
    await until("the slate again", lambda: shown(publish) == [-1, 0, -1])
    await until("a stretch of it", lambda: camera_of(publish.frames(VIDEO)[-10]) == -1)
    await relay.stop()
    assert len(destination.publishes) == 1
    assert_unbroken(publish)
    assert publish.frames(AUDIO)


async def test_the_last_picture_is_held_with_silence(relays, cameras: Cameras, destination: Destination) -> None:
    """The keyframe that came last, at once, and five times a second."""
    first = await cameras.add()
    spec = replace(RelaySpec.live(first.url(), destination.url()), slate=Slate(SlateKind.LAST_FRAME), switching=RULES)
    relay = relays.host.start(spec)
    await until("the camera", lambda: destination.publishes and len(destination.publishes[0].frames(VIDEO)) > 10)
    publish = destination.publishes[0]
    await first.leave()
    await until("the slate", lambda: str(relay.status.on_air) == "slate")
    await until("a stretch of it", lambda: len({tag[2] for tag in publish.frames(VIDEO)[-5:]}) == 1)
    pictures, last = publish.frames(VIDEO), publish.frames(VIDEO)[-1]
    assert last[2][0] >> 4 == 1
    assert number_of(last) == max(number_of(tag) for tag in pictures if tag[2][0] >> 4 == 1)
    sound_ms = publish.stamps(AUDIO)[-1]
    await until("silence", lambda: publish.stamps(AUDIO)[-1] > sound_ms + 300)
    first.come()
    await until("the camera again", lambda: number_of(publish.frames(VIDEO)[-1]) > number_of(last))
    await relay.stop()
    assert len(destination.publishes) == 1
    assert_unbroken(publish, 300)


async def test_the_slate_becomes_the_last_picture_while_an_input_is_on_air(
    relays, cameras: Cameras, destination: Destination
) -> None:
    """From the next keyframe on that is held; over another slate the picture that is there without it."""
    first = await cameras.add()
    spec = replace(RelaySpec.live(first.url(), destination.url()), slate=Slate(), switching=RULES)
    held = replace(spec, slate=Slate(SlateKind.LAST_FRAME))
    running = relays.start_spec(spec)
    relay, told = running.relay, running.told
    await until("the camera", lambda: destination.publishes and len(destination.publishes[0].frames(VIDEO)) > 10)
    publish = destination.publishes[0]
    relay.update(held)
    count = len(publish.frames(VIDEO)) + 60
    await until("a group of pictures", lambda: len(publish.frames(VIDEO)) > count)
    await first.leave()

    def stands() -> bool:
        return str(relay.status.on_air) == "slate" and len({tag[2] for tag in publish.frames(VIDEO)[-5:]}) == 1

    await until("the slate", stands)
    assert camera_of(publish.frames(VIDEO)[-1]) == 0
    first.come()
    await until("the camera again", lambda: str(relay.status.on_air) == "input 0")
    relay.update(replace(spec, pinned=SLATE))
    await until("the card", lambda: camera_of(publish.frames(VIDEO)[-1]) == -1)
    await until("the camera, off the air", lambda: relay._run._source._inputs._inputs[0].is_open)
    relay.update(replace(held, pinned=SLATE))
    await until("a picture", lambda: camera_of(publish.frames(VIDEO)[-1]) == 0)
    await until("the slate", stands)
    told.clear()
    relay.update(replace(spec, slate=Slate(title="Another"), pinned=SLATE))
    await until("the card", lambda: camera_of(publish.frames(VIDEO)[-1]) == -1)
    assert not told
    await relay.stop()
    assert len(destination.publishes) == 1
    assert_unbroken(publish, 300)


async def test_a_backup_and_a_slate_that_are_not_there_are_told_before_they_are_needed(
    relays, cameras: Cameras, destination: Destination, clips: ClipFactory, tmp_path: Path
) -> None:
    """With the reason of each, while all is well; and no more once they are there. A cold input is not tried."""
    first, second, third = [await cameras.add() for _ in range(3)]
    await second.leave()
    await third.leave()
    missing = tmp_path / "slate.mp4"
    spec = replace(
        RelaySpec.live(first.url(), destination.url()),
        more_inputs=(live(second), live(third, warm=False)),
        slate=Slate(SlateKind.CLIP, clip=MediaUrl.parse(str(missing))),
        switching=Switching(switch_after_s=60),
    )
    running = relays.start_spec(spec)
    await until("both", lambda: [one.which for one in running.status.unready] == [1, SLATE])
    await until("that it is told", lambda: any(len(told.unready) == 2 for told in running.told))
    backup, slate = running.status.unready
    assert backup.why.code.startswith(("peer.", "source."))
    assert "slate.mp4" in str(slate.why)
    second.come()
    await until("the backup", lambda: [one.which for one in running.status.unready] == [SLATE])
    shutil.copy(clips("close_keyframes"), tmp_path / "whole.mp4")
    (tmp_path / "whole.mp4").rename(missing)
    await until("the slate", lambda: running.status.unready == ())
    await running.relay.stop()


async def test_a_switch_by_hand_stays(relays, cameras: Cameras, destination: Destination) -> None:
    """To another input and to the slate, though all are well; and back to the rules."""
    first, second = await cameras.add(), await cameras.add()
    spec = replace(
        RelaySpec.live(first.url(), destination.url()), more_inputs=(live(second),), slate=Slate(), switching=RULES
    )
    relay = relays.host.start(spec)
    await until("the first camera", lambda: destination.publishes and len(destination.publishes[0].frames(VIDEO)) > 10)
    publish = destination.publishes[0]
    relay.update(replace(spec, pinned=1))
    await until("the second camera", lambda: shown(publish) == [0, 1])
    relay.update(replace(spec, pinned=SLATE))
    await until("the slate", lambda: shown(publish) == [0, 1, -1])
    await until("more of it", lambda: camera_of(publish.frames(VIDEO)[-10]) == -1)
    relay.update(spec)
    await until("the first camera", lambda: shown(publish) == [0, 1, -1, 0])
    await relay.stop()
    assert len(destination.publishes) == 1
    assert_unbroken(publish)


async def test_switches_in_a_row_keep_time_and_step(relays, cameras: Cameras, destination: Destination) -> None:
    """At random moments: one publish session, no gap longer than a frame and a half, and sound with its picture."""
    first, second = await cameras.add(), await cameras.add()
    spec = RelaySpec.live(first.url(), destination.url())
    spec = replace(spec, more_inputs=(live(second),), slate=Slate(), switching=Switching(switch_after_s=60))
    relay = relays.host.start(spec)
    switches: list[Switch] = []
    relay.watch_switches(switches.append)
    await until("the first camera", lambda: destination.publishes and len(destination.publishes[0].frames(VIDEO)) > 10)
    publish, chance, shown_now = destination.publishes[0], random.Random(7), 0
    for _ in range(10):
        shown_now = chance.choice([other for other in (0, 1, SLATE) if other != shown_now])
        relay.update(replace(spec, pinned=shown_now))
        await until(f"{shown_now} on air", lambda to=shown_now: camera_of(publish.frames(VIDEO)[-1]) == to)
        count = len(publish.frames(VIDEO)) + chance.randrange(12)
        await until("some of it", lambda count=count: len(publish.frames(VIDEO)) >= count)
    await relay.stop()
    assert len(destination.publishes) == 1
    assert len(switches) == 10
    assert_unbroken(publish, 60)
    at_ms = {number_of(tag): tag[1] for tag in publish.frames(VIDEO) if camera_of(tag) >= 0}
    sounds = [tag for tag in publish.frames(AUDIO) if len(tag[2]) == len(sound(0))]
    # Each picture of a camera has two sounds, the first at its own stamp.
    apart = {tag[1] - at_ms[number_of(tag) // 2] for tag in sounds if number_of(tag) // 2 in at_ms}
    assert apart <= {0, SOUND_MS}


async def test_another_latency_holds_for_the_inputs_too(
    relays, cameras: Cameras, destination: Destination, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is not on air is looked at as often as what is, in the session that is open."""
    visits = {InputsKeeper: 0, LiveFlow: 0}

    def count(kind: type[InputsKeeper] | type[LiveFlow]) -> None:
        visit = kind.visit

        def counted(self: Any, now: float) -> None:
            visits[kind] += 1
            visit(self, now)

        monkeypatch.setattr(kind, "visit", counted)

    count(InputsKeeper)
    count(LiveFlow)
    first, second = await cameras.add(), await cameras.add()
    spec = replace(RelaySpec.live(first.url(), destination.url(), latency=Latency.DENSE), more_inputs=(live(second),))
    relay = relays.host.start(spec)
    await until("the first camera", lambda: destination.publishes and len(destination.publishes[0].frames(VIDEO)) > 10)
    relay.update(replace(spec, latency=Latency.LOW))

    async def measure() -> float:
        before = visits.copy()
        await until("visits", lambda: visits[LiveFlow] >= before[LiveFlow] + 20)
        return (visits[InputsKeeper] - before[InputsKeeper]) / (visits[LiveFlow] - before[LiveFlow])

    async with asyncio.timeout(PATIENCE_S):
        while await measure() < 0.9:
            pass
    await relay.stop()
    assert len(destination.publishes) == 1


async def test_the_slate_is_made_before_it_is_needed_and_there_within_a_second(
    relays, cameras: Cameras, destination: Destination, clips: ClipFactory, tmp_path: Path, monkeypatch: Any
) -> None:
    """Each kind, never encoded before: it is ready while a camera is on air; from the decision on it takes fewer visits
    than there are in a second until the first picture of it is sent. What is made for it has the pixels on air."""
    monkeypatch.setattr(slate, "slate_clip", lambda wanted, canvas, root: slate_clip(wanted, canvas, tmp_path))
    small = Canvas(Form(VideoForm("h264", 64, 36), AudioForm("aac", 44100, 2)), pixels="yuv420p10le")
    monkeypatch.setattr(slate, "canvas_of", lambda timeline: small)
    visits, waited = 0, []
    decided: int | None = None
    visit = LiveFlow.visit

    def counted(self: LiveFlow, now: float) -> None:
        nonlocal visits, decided
        visits += 1
        visit(self, now)
        if decided is not None and isinstance(self._feed, LiveFeed | WatchedFeed) and has_laid(self._feed):
            waited.append(visits - decided)
            decided = None

    def note(switch: Switch) -> None:
        nonlocal decided
        decided = visits if switch.after.shown is Shown.SLATE else None

    monkeypatch.setattr(LiveFlow, "visit", counted)
    kinds = [
        Slate(SlateKind.LAST_FRAME),
        Slate(title="Back soon"),
        Slate(SlateKind.COLOR, color="#123456"),
        Slate(SlateKind.PICTURE, picture=still(tmp_path)),
        Slate(SlateKind.CLIP, clip=MediaUrl.parse(str(clips("close_keyframes")))),
    ]
    first = await cameras.add()
    spec = replace(RelaySpec.live(first.url(), destination.url()), switching=Switching(switch_after_s=60))
    with_slate = replace(spec, slate=kinds[0])
    relay = relays.host.start(with_slate)
    relay.watch_switches(note)
    for number, kind in enumerate(kinds, start=1):
        # Not with the next slate, which would be shown until there is a keyframe of the source.
        relay.update(with_slate)
        await until("a publish", lambda: destination.publishes and destination.publishes[0].frames(VIDEO))
        # The last frame that is held is of the camera, too.
        await until("the source", lambda: relay.status.on_air and relay.status.on_air.shown is Shown.INPUT)
        await until("the camera", lambda: camera_of(destination.publishes[0].frames(VIDEO)[-1]) == 0)
        with_slate = replace(spec, slate=kind)
        relay.update(with_slate)
        # Nobody has asked for it.
        await until(f"the {kind.kind}", lambda: relay._run._source._inputs._slate.is_open)
        relay.update(replace(with_slate, pinned=SLATE))
        await until(f"the {kind.kind} on air", lambda number=number: len(waited) == number)
    publish = destination.publishes[0]
    begun = len(publish.frames(AUDIO))
    await until("its sound", lambda: len(publish.frames(AUDIO)) >= begun + 2 * SOUND_FRAMES)
    await relay.stop()
    made = [pixel_format(header) for header in header_of(publish) if header != AVC_HEADER]
    assert made == [*["yuv420p10le"] * 3, "yuv420p"], "a card, a colour, a picture, and a clip as it is"
    heard = [tag[2] for tag in publish.frames(AUDIO)[begun : begun + 2 * SOUND_FRAMES]]
    assert await level_of(sound_header_of(publish)[-1], heard) > -40, "a clip has its own sound"
    a_second = spec.visits / RING_S
    assert max(waited) < a_second
    assert len(destination.publishes) == 1


async def test_a_card_with_a_clock_shows_the_time_while_it_is_on_air(
    relays, cameras: Cameras, destination: Destination, monkeypatch: Any
) -> None:
    """One clip a minute, made a little before that begins and shown then, in the session that is open; off the air it
    is made once, without the time."""
    now, made = [datetime(2026, 5, 1, 11, 59, 30, tzinfo=UTC)], list[str]()
    make = slate.slate_clip

    async def noted(wanted: Slate, canvas: Canvas, root: Path) -> MediaUrl:
        made.append(wanted.text)
        return await make(wanted, canvas, root)

    small = Canvas(Form(VideoForm("h264", 64, 36), AudioForm("aac", 44100, 2)))
    monkeypatch.setattr(slate, "canvas_of", lambda timeline: small)
    monkeypatch.setattr(slate, "slate_clip", noted)
    monkeypatch.setattr(slate, "wall_clock", lambda: now[0])
    first = await cameras.add()
    card = Slate(title="Back soon", text="It is {clock Europe/Berlin}")
    spec = replace(RelaySpec.live(first.url(), destination.url()), slate=card, switching=RULES)
    relay = relays.host.start(spec)
    switches: list[Switch] = []
    relay.watch_switches(switches.append)
    await until("the camera", lambda: destination.publishes and len(destination.publishes[0].frames(VIDEO)) > 10)
    publish = destination.publishes[0]
    await until("the slate", lambda: relay._run._source._inputs._slate.is_open)
    shows = relay._run._source._inputs._slate.input
    assert made == ["It is"]
    clip = shows._clip
    relay.update(replace(spec, pinned=SLATE))
    for seconds, text, is_due in ((0, "13:59", True), (28, "14:00", False), (30, "14:00", True), (88, "14:01", False)):
        now[0] = datetime(2026, 5, 1, 11, 59, 30, tzinfo=UTC) + timedelta(seconds=seconds)
        await until(text, lambda text=text: made[-1] == f"It is {text}")
        if is_due:
            await until("another clip", lambda clip=clip: shows._clip is not clip)
            clip = shows._clip
        else:
            await until("the next clip", lambda: shows._next is not None and shows._next[0].is_open)
        count = len(publish.frames(VIDEO))
        await until("some of it", lambda count=count: len(publish.frames(VIDEO)) > count + 10)
        assert shows._clip is clip
    relay.update(spec)
    await until("the camera", lambda: shown(publish) == [0, -1, 0])
    await relay.stop()
    assert [str(one.after) for one in switches] == ["slate", "input 0"]
    assert made[:4] == ["It is", "It is 13:59", "It is 14:00", "It is 14:01"]
    assert len(destination.publishes) == 1
    assert_unbroken(publish)


def has_laid(feed: LiveFeed | WatchedFeed) -> bool:
    """Whether anything of it is on air."""
    return (feed._feed if isinstance(feed, WatchedFeed) else feed).has_laid


def still(folder: Path) -> bytes:
    """A picture of one colour."""
    return make_picture(folder / "still.png", "64x36", "orange").read_bytes()


async def test_a_list_stands_in_for_a_camera_and_is_itself_stood_in_for(
    relays, cameras: Cameras, destination: Destination, clips: ClipFactory
) -> None:
    """At the pace of the clock: it is on air, without a lead, until the camera is back."""
    first = await cameras.add()
    films = Input((Item(MediaUrl.parse(str(clips("close_keyframes")))),), False)
    spec = replace(RelaySpec.live(first.url(), destination.url()), more_inputs=(films,), switching=RULES)
    relay = relays.host.start(spec)
    await until("the camera", lambda: destination.publishes and len(destination.publishes[0].frames(VIDEO)) > 10)
    publish = destination.publishes[0]
    await first.leave()
    await until("the film", lambda: shown(publish) == [0, -1])
    began, at = publish.stamps(VIDEO)[-1], time.monotonic()
    count = len(publish.frames(VIDEO)) + 30
    await until("more of it", lambda: len(publish.frames(VIDEO)) > count)
    passed_ms = (time.monotonic() - at) * 1000
    assert publish.stamps(VIDEO)[-1] - began < passed_ms + 500
    first.come()
    await until("the camera again", lambda: shown(publish) == [0, -1, 0])
    await relay.stop()
    assert_unbroken(publish)


async def test_a_list_with_nothing_to_play_gives_way_to_the_slate(
    relays, destination: Destination, clips: ClipFactory, tmp_path: Path
) -> None:
    """And comes on air when its file is there; when it has been played it ends the run, as it does alone."""
    film = tmp_path / "film.mp4"
    items = [Item(MediaUrl.parse(str(film)))]
    spec = replace(RelaySpec.vod(items, destination.url(), loops=1), slate=Slate(), switching=RULES)
    relay = relays.host.start(spec)
    await until("the slate", lambda: destination.publishes and destination.publishes[0].frames(VIDEO))
    publish = destination.publishes[0]
    shutil.copy(clips("h264_no_bframes"), tmp_path / "whole.mp4")
    (tmp_path / "whole.mp4").rename(film)
    await until("the film", lambda: str(relay.status.on_air) == "input 0")
    async with asyncio.timeout(PATIENCE_S):
        assert (await relay.wait()).state == "ended"
    assert len(destination.publishes) == 1
    assert_unbroken(publish)
    assert len(set(header_of(publish))) == 2


async def test_a_file_is_played_over_what_is_on_air(
    relays, cameras: Cameras, destination: Destination, clips: ClipFactory
) -> None:
    """Once, and the camera goes on; an order that is too old, or was given before, is none."""
    first = await cameras.add()
    film = Item(MediaUrl.parse(str(clips("h264_bframes"))))
    spec = RelaySpec.live(first.url(), destination.url())
    spec = replace(spec, slate=Slate(), switching=RULES, orders=(Order(1, time.time() - 60, film),))
    relay = relays.host.start(spec)
    switches: list[Switch] = []
    relay.watch_switches(switches.append)
    await until("the camera", lambda: destination.publishes and len(destination.publishes[0].frames(VIDEO)) > 10)
    publish = destination.publishes[0]
    relay.update(replace(spec, orders=(*spec.orders, Order(2, time.time(), film))))
    await until("the film", lambda: shown(publish) == [0, -1])
    assert str(relay.status.on_air) == "insert"
    await until("the camera again", lambda: shown(publish) == [0, -1, 0])
    relay.update(replace(spec, orders=(*spec.orders, Order(2, time.time(), film), Order(3, time.time()))))
    await until("a stretch of it", lambda: camera_of(publish.frames(VIDEO)[-10]) == 0)
    await relay.stop()
    assert [str(switch.after) for switch in switches] == ["insert", "input 0"]
    pictures = [tag for tag in publish.frames(VIDEO) if camera_of(tag) == -1]
    assert len(pictures) == 75
    assert_unbroken(publish)


async def test_a_backup_was_shown_after_a_file_though_the_source_was_well(
    relays, destination: Destination, clips: ClipFactory
) -> None:
    """A source whose next keyframe was still to come was taken for down while the file played."""
    rules = Switching(switch_after_s=0.4, return_after_s=60)
    async with Source("rtmp", Camera(gop=100)) as first, Source("rtmp") as second:
        second.camera.pictures = STEP
        spec = RelaySpec.live(first.url(), destination.url())
        spec = replace(spec, more_inputs=(live(second),), switching=rules)
        relay = relays.host.start(spec)
        await until("the camera", lambda: destination.publishes and len(destination.publishes[0].frames(VIDEO)) > 10)
        publish = destination.publishes[0]
        film = Item(MediaUrl.parse(str(clips("h264_bframes"))), end_s=1.9)
        relay.update(replace(spec, orders=(Order(1, time.time(), film),)))
        await until("the film", lambda: shown(publish) == [0, -1])
        await until("a camera", lambda: len(shown(publish)) == 3)
        assert shown(publish) == [0, -1, 0]
        await relay.stop()
    assert_unbroken(publish, 300)


async def test_an_inserted_file_is_skipped(
    relays, cameras: Cameras, destination: Destination, clips: ClipFactory
) -> None:
    """The camera is on air again long before its end."""
    first = await cameras.add()
    film = Item(MediaUrl.parse(str(clips("half_a_minute"))))
    spec = replace(RelaySpec.live(first.url(), destination.url()), slate=Slate())
    relay = relays.host.start(spec)
    await until("the camera", lambda: destination.publishes and len(destination.publishes[0].frames(VIDEO)) > 10)
    publish = destination.publishes[0]
    insert = Order(1, time.time(), film)
    relay.update(replace(spec, orders=(insert,)))
    await until("the film", lambda: shown(publish) == [0, -1])
    relay.update(replace(spec, orders=(insert, Order(2, time.time()))))
    await until("the camera again", lambda: shown(publish) == [0, -1, 0], 15)
    await relay.stop()


async def test_a_list_that_is_shown_as_an_input_goes_on_with_its_next_item(
    relays, destination: Destination, clips: ClipFactory
) -> None:
    """At a keyframe, when that is asked for."""
    clip = MediaUrl.parse(str(clips("close_keyframes")))
    items = [Item(clip), Item(clip, 10)]
    spec = replace(RelaySpec.vod(items, destination.url()), slate=Slate())
    relay = relays.host.start(spec)
    await until("the first", lambda: relay.status.playhead is not None and relay.status.playhead.position_ms > 500)
    relay.update(replace(spec, orders=(Order(1, time.time()),)))
    await until("the second", lambda: relay.status.playhead is not None and relay.status.playhead.item == 1, 15)
    await relay.stop()
    assert_unbroken(destination.publishes[0])


def sound_header_of(publish: Publish) -> list[bytes]:
    """The headers of sound that came."""
    kinds = zip(publish.tags, publish.kinds, strict=True)
    return [tag[2] for tag, (tag_type, kind) in kinds if (tag_type, kind) == (AUDIO, SEQUENCE_HEADER)]


async def level_of(header: bytes, sounds: list[bytes]) -> float:
    """How loud it is, in dBFS."""
    decoders = FfmpegDecoders(answer_s=PATIENCE_S)
    try:
        return await decoders.level(header, sounds)
    finally:
        await decoders.aclose()


def header_of(publish: Publish) -> list[bytes]:
    """The headers of pictures that came."""
    kinds = zip(publish.tags, publish.kinds, strict=True)
    return [tag[2] for tag, (tag_type, kind) in kinds if (tag_type, kind) == (VIDEO, SEQUENCE_HEADER)]
