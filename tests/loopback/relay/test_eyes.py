"""What is seen and heard in real clips, by real decoders, on the clock of their own stamps."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from kit import programs
from kit.waiting import PATIENCE_S
from scripted.camera import laid
from scripted.destination import Destination
from scripted.source import Source
from scripted.waiting import until
from streamferry.media.enhanced import tag_kind
from streamferry.media.tag import AUDIO, KEYFRAME, SEQUENCE_HEADER, VIDEO, LaidTag, Tag
from streamferry.push import Outlet
from streamferry.relay import RelaySpec
from streamferry.relay.eyes import watcher
from streamferry.relay.eyes.decoders import FfmpegDecoders
from streamferry.relay.eyes.eyes import Eyes
from streamferry.relay.eyes.judge import DEFAULTS, Rule, Watch
from streamferry.relay.eyes.look import SOUND_FRAMES
from streamferry.relay.eyes.watcher import Watcher
from streamferry.relay.taps import Taps
from streamferry.wire.flv import FLV_HEADER_BYTES, scan_tags
from streamferry.wire.stills import still

#: When what is wrong begins, how long it has to last, and within how much more it is to be seen.
BEGINS_S, LASTS_S, WITHIN_S = 8.0, 6.0, 5.0
WATCH = Watch(
    black=Rule(0.98, LASTS_S),
    frozen=Rule(DEFAULTS.frozen.threshold if DEFAULTS.frozen else 1.0, LASTS_S),
    silent=Rule(-60.0, LASTS_S),
    low_fps=Rule(15.0, LASTS_S),
)
# Of a keyframe: one slice of zeros.
_NO_PICTURE = b"\x17\1\0\0\0" + (200).to_bytes(4) + b"\x65" + bytes(199)
#: Name -> picture and sound.
CLIPS = {
    "black": ("testsrc2=size=320x180:rate=25,drawbox=t=fill:color=black:enable='gte(t,8)'", "sine=440"),
    "frozen": ("testsrc2=size=320x180:rate=25:duration=8,tpad=stop_mode=clone:stop_duration=20", "sine=440"),
    "silent": ("testsrc2=size=320x180:rate=25", "sine=440,volume=0:enable='gte(t,8)'"),
    "low_fps": ("testsrc2=size=320x180:rate=25,select='lt(t,8)+not(mod(n,5))'", "sine=440"),
    "dark": ("testsrc2=size=320x180:rate=25,eq=brightness=-0.35:contrast=0.3", "sine=440"),
    "grainy": ("color=0x405060:size=320x180:rate=25,noise=alls=12:allf=t", "sine=440"),
    "quiet": ("testsrc2=size=320x180:rate=25", "anoisesrc=amplitude=0.01:color=pink,tremolo=f=2:d=0.9"),
}


async def tags_of(name: str, folder: Path, *options: str) -> list[Tag]:
    """A clip of 20 s, a keyframe every 2 s."""
    picture, tone = CLIPS[name]
    path = folder / f"{name}.flv"
    arguments = [
        *("-v", "error", "-nostdin", "-f", "lavfi", "-i", picture, "-f", "lavfi", "-i", tone, "-t", "20"),
        *("-c:v", "libx264", "-preset", "ultrafast", "-bf", "2", "-g", "50", "-pix_fmt", "yuv420p", "-b:v", "800k"),
        *("-fps_mode", "vfr"),
        *("-c:a", "aac", "-ar", "44100", "-ac", "2", *options, str(path)),
    ]
    await asyncio.to_thread(programs.run, [programs.ffmpeg(), *arguments])
    data, tags = memoryview(path.read_bytes()), list[Tag]()
    scan_tags(data, FLV_HEADER_BYTES, len(data), tags)
    return tags


class Stage:
    """Plays tags to a watcher, 320 ms at a time, with an inspection every 2 s; its clock is that of the stamps."""

    def __init__(self, watch: Watch, eyes: Eyes) -> None:
        self.outlet = Outlet()
        self.now = 0.0
        self.headers: list[LaidTag] = []
        self.watcher = Watcher(watch, Taps(self.outlet), self, eyes, lambda: self.now)
        #: When something else was found, and what.
        self.told: list[tuple[float, list[str]]] = []

    async def play(self, tags: list[Tag]) -> None:
        """All of them."""
        marked = laid(tags)
        self.headers = [tag for tag in marked if tag[3] == SEQUENCE_HEADER]
        inspect_at, at = 0.0, 0
        while at < len(marked):
            self.now += 0.32
            end = at
            while end < len(marked) and marked[end][1] <= self.now * 1000:
                end += 1
            if self.outlet.tap is not None and end > at:
                self.outlet.tap(marked[at:end])
            at = end
            await self.settle()
            if self.now >= inspect_at:
                inspect_at = self.now + 2.0
                found = [str(one.fault) for one in self.watcher.inspect(self.now, 800)]
                if found != (self.told[-1][1] if self.told else []):
                    self.told.append((self.now, found))

    async def settle(self) -> None:
        """Until the eyes have answered."""
        await until("an answer", lambda: not self.watcher.is_waiting)


@pytest.fixture
async def eyes() -> AsyncIterator[Eyes]:
    """Eyes that need no rest."""
    eyes = Eyes(FfmpegDecoders(), lambda seconds: asyncio.sleep(0))
    yield eyes
    await eyes.aclose()


@pytest.mark.parametrize("name", ["black", "frozen", "silent", "low_fps"])
async def test_each_fault_is_seen_within_its_duration_and_5_s(name: str, eyes: Eyes, tmp_path: Path) -> None:
    """And not before it has lasted; nothing else is found."""
    stage = Stage(WATCH, eyes)
    await stage.play(await tags_of(name, tmp_path))
    (at, found), *more = stage.told
    assert found == [name]
    assert BEGINS_S + LASTS_S <= at <= BEGINS_S + LASTS_S + WITHIN_S
    assert not more


@pytest.mark.parametrize("name", ["dark", "grainy", "quiet"])
async def test_nothing_is_found_where_nothing_is_wrong(name: str, eyes: Eyes, tmp_path: Path) -> None:
    """Of a dark scene in which something moves, a camera that looks at a wall, and somebody who speaks low."""
    stage = Stage(WATCH, eyes)
    await stage.play(await tags_of(name, tmp_path))
    assert stage.told == []


async def test_streams_of_all_sizes_share_the_decoders_and_what_is_damaged_harms_nobody(tmp_path: Path) -> None:
    """Another size, rate and number of channels in between; and before them keyframes that are none."""
    decoders = FfmpegDecoders(answer_s=PATIENCE_S)
    eyes = Eyes(decoders, lambda seconds: asyncio.sleep(0))
    black = await tags_of("black", tmp_path)
    large = await tags_of("dark", tmp_path, "-vf", "scale=640:360", "-ar", "48000", "-ac", "1")
    broken: list[Tag] = [
        (kind, stamp, _NO_PICTURE if kind == VIDEO and body[1] == 1 else body) for kind, stamp, body in large
    ]
    stages = [Stage(WATCH, eyes) for _ in range(3)]
    try:
        await stages[0].play(broken)
        await stages[1].play(large)
        await stages[2].play(black)
    finally:
        await eyes.aclose()
    assert stages[1].told == []
    assert [faults for _, faults in stages[2].told] == [["black"]]


async def test_keyframes_of_hevc_are_seen_at_once_among_those_of_other_streams(tmp_path: Path) -> None:
    """Of another size, some with pictures that come before them, and beside H.264: each has the answer to its own."""
    decoders = FfmpegDecoders(answer_s=PATIENCE_S)
    clips = []
    for picture, size, words in (
        ("color=white", "320x180", ("-c:v", "libx265", "-x265-params", "log-level=none:keyint=25:bframes=3")),
        ("color=black", "640x360", ("-c:v", "libx265", "-x265-params", "log-level=none:keyint=25:no-open-gop=1")),
        ("color=0x808080", "320x180", ("-c:v", "libx264", "-bf", "2", "-g", "25")),
    ):
        path = tmp_path / "clip.flv"
        arguments = [
            *("-y", "-v", "error", "-nostdin", "-f", "lavfi", "-i", f"{picture}:size={size}:rate=25", "-t", "3"),
            *(*words, "-preset", "ultrafast", "-pix_fmt", "yuv420p", str(path)),
        ]
        await asyncio.to_thread(programs.run, [programs.ffmpeg(), *arguments])
        data, tags = memoryview(path.read_bytes()), list[Tag]()
        scan_tags(data, FLV_HEADER_BYTES, len(data), tags)
        marked = laid(tags)
        (header,) = [bytes(body) for kind, _, body, mark in marked if kind == VIDEO and mark == SEQUENCE_HEADER]
        stills = [
            still(header, bytes(body))
            for kind, _, body, _ in marked
            if kind == VIDEO and tag_kind(VIDEO, body) == KEYFRAME
        ]
        assert len(stills) >= 3
        clips.append(stills)
    bright = []
    try:
        for number in range(3):
            for stills in clips:
                asked = stills[number]
                assert asked is not None
                answer = await decoders.picture(*asked)
                bright.append(round(sum(answer) / len(answer) / 100))
    finally:
        await decoders.aclose()
    assert bright == [3, 0, 1] * 3


async def test_a_child_that_hears_silence_first_says_so(eyes: Eyes, tmp_path: Path) -> None:
    """A frame of silence has 6 bytes: a child that leaves out what it reads to see what comes never gave an answer."""
    decoders = FfmpegDecoders()
    clips = []
    for tone in ("anullsrc=r=44100:cl=mono", "sine=440"):
        path = tmp_path / "clip.flv"
        arguments = [
            "-y",
            "-v",
            "error",
            "-nostdin",
            "-f",
            "lavfi",
            "-i",
            tone,
            "-t",
            "2",
            "-c:a",
            "aac",
            "-ac",
            "1",
            str(path),
        ]
        await asyncio.to_thread(programs.run, [programs.ffmpeg(), *arguments])
        data, tags = memoryview(path.read_bytes()), list[Tag]()
        scan_tags(data, FLV_HEADER_BYTES, len(data), tags)
        header, _, *frames = [bytes(body) for kind, _, body in tags if kind == AUDIO]
        clips.append((header, frames[:SOUND_FRAMES]))
    try:
        levels = [await decoders.level(*clips[at]) for at in (0, 1, 0, 0, 1)]
    finally:
        await decoders.aclose()
    assert sum(map(len, clips[0][1])) < 10 * SOUND_FRAMES
    assert [level > -60 for level in levels] == [False, True, False, False, True]


async def test_a_run_tells_what_is_wrong_and_when_it_is_over(relays, destination: Destination, source: Source) -> None:
    """The first status with it comes by itself, and another when the rules are withdrawn; the stream has no gap."""
    spec = RelaySpec.live(source.url(), destination.url())
    relay = relays.host.start(replace(spec, watch=Watch(low_bitrate=Rule(50_000.0, 1.0))))
    told: list[list[str]] = []
    relay.watch(lambda status: told.append([one.fault.value for one in status.found]))
    await until("what is wrong", lambda: ["low_bitrate"] in told)
    (found,) = relay.status.found
    assert str(found.why).endswith("kbps are sent")
    relay.update(spec)
    await until("that it is over", lambda: told[-1] == [])
    await relay.stop()
    assert len(destination.publishes) == 1


async def test_a_run_tells_what_cannot_be_watched(
    relays, destination: Destination, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who asks for black pictures of a stream that no decoder reads would take it for well. It is no fault; when it is
    not asked for any more nothing is told."""
    monkeypatch.setattr(watcher, "EVERY_S", 0.2)
    spec = RelaySpec.live(source.url(), destination.url())
    relay = relays.host.start(replace(spec, watch=Watch(black=Rule(0.98, 1.0))))
    told: list[list[str]] = []
    relay.watch(lambda status: told.append([one.sense.value for one in status.unseen]))
    await until("what cannot be seen", lambda: ["picture"] in told)
    assert str(relay.status.unseen[0].why).startswith("the picture cannot be watched: ")
    assert relay.status.found == ()
    relay.update(spec)
    await until("that it is over", lambda: told[-1] == [])
    await relay.stop()
