"""Two hours of varied material before the eyes: false alarms, and how soon each fault is found that is put in.

    python bench/false_alarms.py [--minutes M] [--seed N] [--lanes L]

The material is made by ffmpeg's generators: none of it was filmed. It has what is hard to tell from a fault: night,
fades, letterboxes, slides that stand for 25 s, cameras that look at a wall, people who speak low or pause. It is coded
by x264 and AAC as live streams are, with a keyframe every 2 s, at 480x270 and 5 pictures a second: only keyframes are
looked at. It is played faster than real time: the clock of the watcher is that of the stamps, and it waits for its
decoders.

Bars: no alarm in the material, and each fault put in is found within its duration and 5 s, and not before: from the
moment in which it begins, which for a picture that stands by itself is its last change. All rules have their defaults.
"""

import argparse
import asyncio
import random
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.console import Console

from measure import about
from results import Bar, keep, print_bars
from streamferry.media.enhanced import tag_kind
from streamferry.media.starts import Starts
from streamferry.media.tag import AUDIO, KEYFRAME, SEQUENCE_HEADER, VIDEO, LaidTag, Tag
from streamferry.push import Outlet
from streamferry.relay.eyes.decoders import FfmpegDecoders
from streamferry.relay.eyes.eyes import Eyes
from streamferry.relay.eyes.judge import DEFAULTS, ContentFault, Rule
from streamferry.relay.eyes.watcher import Watcher
from streamferry.relay.flow import CALM_INSPECT_S, INSPECT_S
from streamferry.relay.taps import Taps
from streamferry.wire.flv import FLV_HEADER_BYTES, scan_tags

WITHIN_S = 5.0
_STEP_S = 0.16
_KBPS = 800
_SIZE = "s=480x270:r=5"
_HEAD = (
    f"color=0x39424e:{_SIZE},noise=all_seed={{seed}}:alls=3:allf=t[wall];"
    "color=0xc08a6a:s=70x100:r=5[head];"
    "[wall][head]overlay=x='200+6*sin(t*0.7)+3*sin(t*2.3)':y='80+4*sin(t*1.1)'"
)
PICTURES = {
    "test picture": f"testsrc2={_SIZE}",
    "slow zoom": f"mandelbrot={_SIZE}:start_scale=1:end_scale=0.05:end_pts=4000",
    "crowd": f"life={_SIZE}:seed={{seed}}:ratio=0.2:mold=10:death_color=#203040:life_color=#e0d0a0,gblur=2",
    "scrolling text": f"cellauto={_SIZE}:seed={{seed}}:rule=110",
    "gradients": f"gradients={_SIZE}:seed={{seed}}:speed=0.005:n=4:c0={{color}}:c1={{color}}:c2={{color}}:c3={{color}}",
    # Where it is darkest it has some 10 of 255.
    "night street": f"gradients={_SIZE}:seed={{seed}}:speed=0.01:n=3:c0={{light}}:c1={{light}}:c2={{light}},"
    "eq=brightness=-0.38:contrast=0.35,"
    "noise=all_seed={seed}:alls=5:allf=t",
    "night, lamps": f"testsrc2={_SIZE},eq=brightness=-0.42:contrast=0.3:saturation=0.4,"
    "noise=all_seed={seed}:alls=3:allf=t",
    "starry sky": f"life={_SIZE}:seed={{seed}}:ratio=0.3:rule=S23/B36:mold=40:death_color=black:life_color=white,"
    "noise=all_seed={seed}:alls=3:allf=t",
    "fades": f"testsrc2={_SIZE},eq=eval=frame:brightness='-0.5+0.5*min(1,abs(sin(t*0.3))*1.6)'",
    "fades to black": f"mandelbrot={_SIZE}:end_pts=3000,drawbox=t=fill:color=black:enable='lt(mod(t,20),4)'",
    "slides": f"cellauto={_SIZE}:seed={{seed}}:rule=30,select='not(mod(n,125))',fps=5",
    "bullet points": f"color=white:{_SIZE},drawbox=x=60:y=60:w=400:h=24:t=fill:color=black,"
    "drawbox=x=60:y=120:w=480:h=24:t=fill:color=black:enable='gte(mod(t,75),25)',"
    "drawbox=x=60:y=180:w=330:h=24:t=fill:color=black:enable='gte(mod(t,75),50)'",
    "talking head": _HEAD,
    "talking head in letterbox": f"{_HEAD},crop=480:180,pad=480:270:0:45",
    "cinema": f"mandelbrot={_SIZE}:end_pts=5000,crop=480:204,pad=480:270:0:33",
    "slow pan": "mandelbrot=s=960x270:r=5:start_scale=0.3:end_scale=0.3,select='eq(n,0)',"
    "loop=-1:1,settb=1/100,setpts=N*20,crop=480:270:x='240+230*sin(t*0.02)'",
    "wall, grain": f"color=0x405060:{_SIZE},noise=all_seed={{seed}}:alls=12:allf=t",
    "film grain": f"smptebars={_SIZE},noise=all_seed={{seed}}:alls=16:allf=t+u,vignette",
    "parking lot": f"smptehdbars={_SIZE},eq=brightness=-0.2:contrast=0.5,noise=all_seed={{seed}}:alls=6:allf=t",
    "fog": f"gradients={_SIZE}:seed={{seed}}:speed=0.003:n=2:c0=0xb0b4b8:c1=0xc4c8cc,"
    "noise=all_seed={seed}:alls=2:allf=t",
    "cartoon": f"smptebars={_SIZE},hue=h='60*floor(t/3)':b='mod(floor(t/3),3)-1'",
    "sport": "testsrc2=s=640x640:r=5,rotate=a=t*0.8,crop=480:270",
    "aquarium": f"life={_SIZE}:seed={{seed}}:ratio=0.1:mold=80:death_color=#002040:"
    "life_color=#30a0c0:mold_color=#001020",
    "scoreboard": f"color=0x103010:{_SIZE}[field];color=white:s=24x16:r=5[point];"
    "[field][point]overlay=x='20+mod(floor(t)*6,180)':y=20",
}
#: Where there is chance in a picture or a sound, it is that of ``{seed}``: a run can be repeated. So it is of colours,
#: which the generator would take from elsewhere: any, and those that are not dark.
MOST_SEED = 1 << 31
LEAST_OF_COLORS = {"{color}": 0, "{light}": 0x70}
#: Pictures that stand by themselves, and for how many s.
STANDS_S = {"slides": 25.0, "bullet points": 25.0, "cartoon": 3.0, "scoreboard": 1.0}
SOUNDS = {
    "tone": "sine=440",
    "speech": "anoisesrc=seed={seed}:color=pink:amplitude=0.2,tremolo=f=4:d=0.9,"
    "volume='if(lt(mod(t,6),4.5),1,0.003)':eval=frame",
    "low speech": "anoisesrc=seed={seed}:color=pink:amplitude=0.03,tremolo=f=3:d=0.9,"
    "volume='if(lt(mod(t,11),7),1,0.05)':eval=frame",
    "speech with long pauses": "anoisesrc=seed={seed}:color=brown:amplitude=0.1,tremolo=f=5:d=0.8,"
    "volume='if(lt(mod(t,23),9),1,0)':eval=frame",
    "room": "anoisesrc=seed={seed}:color=brown:amplitude=0.01",
    "strings, very low": "sine=220,volume=0.03,tremolo=f=0.2:d=0.9",
    "music": "sine=330,tremolo=f=2:d=0.7",
    "wind": "anoisesrc=seed={seed}:color=pink:amplitude=0.08,tremolo=f=0.1:d=0.95",
}
#: What is put in: a filter of the picture, or of the sound, from ``{at}`` s on; each ends with the stretch.
FAULTS = {
    ContentFault.BLACK: ("drawbox=t=fill:color=black:enable='gte(t,{at})'", ""),
    ContentFault.FROZEN: ("trim=end={at},tpad=stop_mode=clone:stop_duration=200", ""),
    ContentFault.SILENT: ("", "volume=0:enable='gte(t,{at})'"),
}


def stretches(minutes: float, chance: random.Random) -> Iterator[tuple[str, str, float, int]]:
    """(picture, sound, seconds, seed) one after the other: each picture with each sound before any comes again."""
    left = minutes * 60
    pairs: list[tuple[str, str]] = []
    while left > 0:
        if not pairs:
            pairs = [(picture, sound) for picture in PICTURES for sound in SOUNDS]
            chance.shuffle(pairs)
        seconds = min(left, chance.uniform(30, 90))
        yield (*pairs.pop(), seconds, chance.randrange(MOST_SEED))
        left -= seconds


async def film(picture: str, sound: str, seconds: float, seed: int, path: Path) -> list[Tag]:
    """Those as tags of a live stream."""
    picture, sound = picture.replace("{seed}", str(seed)), sound.replace("{seed}", str(seed))
    chance = random.Random(seed)
    for name, least in LEAST_OF_COLORS.items():
        while name in picture:
            picture = picture.replace(name, f"0x{bytes(chance.randrange(least, 256) for _ in range(3)).hex()}", 1)
    words = [
        *("ffmpeg", "-y", "-nostdin", "-v", "error", "-filter_complex", f"{picture},format=yuv420p[v];{sound}[a]"),
        *("-map", "[v]", "-map", "[a]", "-t", f"{seconds:.2f}", "-c:v", "libx264", "-preset", "veryfast", "-bf", "2"),
        *("-g", "10", "-keyint_min", "10", "-sc_threshold", "0", "-b:v", f"{_KBPS}k", "-maxrate", f"{_KBPS}k"),
        *("-bufsize", f"{2 * _KBPS}k", "-c:a", "aac", "-b:a", "96k", "-ar", "44100", "-ac", "1", str(path)),
    ]
    child = await asyncio.create_subprocess_exec(*words)
    if await child.wait():
        raise RuntimeError(f"ffmpeg could not make {picture} with {sound}")
    return await asyncio.to_thread(_read, path)


def _read(path: Path) -> list[Tag]:
    data, tags = memoryview(path.read_bytes()), list[Tag]()
    scan_tags(data, FLV_HEADER_BYTES, len(data), tags)
    return tags


class Stage:
    """Shows tags to a watcher, as the outlet of a run does, and asks it as often as the run would."""

    def __init__(self, eyes: Eyes) -> None:
        self._outlet = Outlet()
        self._starts = Starts()
        self.now = 0.0
        self.headers: list[LaidTag] = []
        self._watcher = Watcher(DEFAULTS, Taps(self._outlet), self, eyes, lambda: self.now)
        self._inspect_at = 0.0
        self._found: set[str] = set()

    async def show(self, tags: list[Tag]) -> list[tuple[float, str]]:
        """Go on with these. Gives what was newly found, and how many s after their beginning."""
        marked, began_at, told = self._laid(tags), self.now, []
        at = 0
        while at < len(marked):
            self.now += _STEP_S
            end = at
            while end < len(marked) and marked[end][1] <= (self.now - began_at) * 1000:
                end += 1
            if self._outlet.tap is not None and end > at:
                shift_ms = round(began_at * 1000)
                self._outlet.tap([(kind, dts + shift_ms, body, mark) for kind, dts, body, mark in marked[at:end]])
            at = end
            while self._watcher.is_waiting:  # noqa: ASYNC110 - as the beat would
                await asyncio.sleep(0.001)
            if self.now >= self._inspect_at:
                found = {one.fault.value for one in self._watcher.inspect(self.now, _KBPS)}
                told += [(self.now - began_at, fault) for fault in found - self._found]
                self._found = found
                self._inspect_at = self.now + (INSPECT_S if self._watcher.is_worried else CALM_INSPECT_S)
        return told

    def _laid(self, tags: list[Tag]) -> list[LaidTag]:
        """With their kinds."""
        self._starts.begin(has_picture=True)
        marked: list[LaidTag] = []
        for tag_type, stamp_ms, body in tags:
            kind = tag_kind(tag_type, body)
            if kind <= KEYFRAME:
                kind = self._starts.mark_picture(kind) if tag_type == VIDEO else self._starts.sound
            marked.append((tag_type, stamp_ms, body, kind))
        self.headers = [tag for tag in marked if tag[3] == SEQUENCE_HEADER and tag[0] in (AUDIO, VIDEO)]
        return marked


async def measure(minutes: float, seed: int, lanes: int, console: Console) -> dict[str, Any]:
    """All of it: alarms of the material, and faults that were put in, with how late each was found."""
    chance = random.Random(seed)
    alarms: list[dict[str, Any]] = []
    faults: list[dict[str, Any]] = []
    to_show = iter(list(stretches(minutes, chance)))
    to_put_in = iter(
        [
            (fault, picture, round(chance.uniform(6, 16), 2), chance.randrange(MOST_SEED))
            for fault in FAULTS
            for picture in chance.sample(sorted(PICTURES), 8)
        ]
    )
    shown = 0.0

    async def lane(path: Path) -> None:
        """A stream of stretches as they come, with eyes of its own; then faults, each in a stream of its own."""
        nonlocal shown
        eyes = Eyes(FfmpegDecoders(60.0, niceness=0), lambda seconds: asyncio.sleep(0))
        try:
            stage = Stage(eyes)
            for picture, sound, seconds, seed in to_show:
                tags = await film(PICTURES[picture], SOUNDS[sound], seconds, seed, path)
                for at, fault in await stage.show(tags):
                    alarms.append(
                        {"fault": fault, "picture": picture, "sound": sound, "seed": seed, "at_s": round(at, 1)}
                    )
                    console.print(f"ALARM {alarms[-1]}", highlight=False)
                shown += seconds
                console.print(f"{shown / 60:5.1f} min  {picture}, {sound}", highlight=False)
            for fault, picture, at, seed in to_put_in:
                faults.append(await put_in(Stage(eyes), fault, picture, at, seed, path))
                console.print(str(faults[-1]), highlight=False)
        finally:
            await eyes.aclose()

    with tempfile.TemporaryDirectory(prefix="streamferry-bench-") as folder:
        async with asyncio.TaskGroup() as group:
            for number in range(lanes):
                group.create_task(lane(Path(folder) / f"{number}.flv"), name=f"lane {number}")
    return {"minutes": round(shown / 60, 1), "alarms": alarms, "faults": faults}


async def put_in(
    stage: Stage,
    fault: ContentFault,
    picture: str,
    at: float,
    seed: int,
    path: Path,
) -> dict[str, Any]:
    """A stretch in which the fault begins after ``at`` s. ``late_s``: after its duration; None if it is not found, and
    less than 0 if it is a false alarm."""
    rule = DEFAULTS.rule(fault)
    assert isinstance(rule, Rule)
    of_picture, of_sound = (words.format(at=at) for words in FAULTS[fault])
    tags = await film(
        ",".join(filter(None, (PICTURES[picture], of_picture))),
        ",".join(filter(None, (SOUNDS["music"], of_sound))),
        at + rule.duration_s + 2 * WITHIN_S,
        seed,
        path,
    )
    told = [(seconds, name) for seconds, name in await stage.show(tags) if name == fault.value]
    begins = at - at % STANDS_S.get(picture, 0.2) if fault is ContentFault.FROZEN else at
    late_s = round(told[0][0] - begins - rule.duration_s, 1) if told else None
    return {"fault": fault.value, "picture": picture, "seed": seed, "at_s": round(begins, 1), "late_s": late_s}


def main() -> int:
    """Run it. Returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=120.0, help="how much material")
    parser.add_argument("--seed", type=int, default=1, help="of its order")
    parser.add_argument("--lanes", type=int, default=4, help="how many streams at the same time")
    asked = parser.parse_args()
    console = Console(width=None if sys.stdout.isatty() else 120)
    measured = asyncio.run(measure(asked.minutes, asked.seed, asked.lanes, console))
    late = [one["late_s"] for one in measured["faults"]]
    early = [seconds for seconds in late if seconds is not None and seconds < 0]
    bars = [
        Bar("false alarms", float(len(measured["alarms"]) + len(early)), 0.0),
        Bar("a fault is found, s after its duration", None if None in late else max(late), WITHIN_S),
    ]
    print_bars(console, bars)
    kept = keep("false_alarms", {**about("false_alarms", vars(asked)), **measured}, bars)
    console.print(f"{measured['minutes']:.0f} minutes of material; kept in {kept}", highlight=False)
    return 0 if all(bar.passed for bar in bars) else 1


if __name__ == "__main__":
    sys.exit(main())
