"""Always on air: automatic switches in a row between real servers, and what arrives at the sink.

    python bench/always_on.py [--switches N] [--seed N]

Two publishers, of a red and of a green picture with a flash and a beep each second, send to nginx-rtmp; a relay shows
the first, the second while that is down, and a blue slate while both are. At random moments one fails or comes back:

    killed  kill -9 of its publisher, the server tells
    frozen  SIGSTOP: its connection stays and carries nothing (a source that is away without a word)
    slow    SIGSTOP and SIGCONT in turn, a tenth of a second of each: it comes late and in bursts, and no switch follows

What is on air is read from the decoded pictures of the recording at the sink. Bars: one publish session; DTS of each
track rises strictly; no gap longer than two frames; each flash that no join cuts has its beep where it was, to 5 ms;
the pictures on air are in the order of the decisions that the relay told; nothing of the recording fails to decode.
Kept in ``results/always_on-COMMIT.json``; 10 s a switch.
"""

import argparse
import itertools
import json
import random
import signal
import statistics
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from measure import about
from programs import BENCH
from results import Bar, keep, print_bars

sys.path.append(str(BENCH.parent / "tests"))
from kit import programs
from kit.av_offset import av_offsets_ms
from kit.live import Publisher
from kit.nginx_rtmp import NginxRtmp
from kit.pictures import frames
from kit.probe import Track, decode_errors, max_gap_ms, packets
from kit.relay_program import RelayProgram
from kit.waiting import wait_for

FPS, FILM_S = 25, 20
COLORS = ("red", "green")
LETTERS = {"input 0": "r", "input 1": "g", "slate": "b"}
#: Of the relay that is tried: seconds.
SWITCH_AFTER_S, RETURN_AFTER_S = 2, 2
#: A flash is white, and belongs to each colour.
WHITE = 180


def film(path: Path, color: str) -> Path:
    """One colour with a white flash and a beep each second."""
    flash = "drawbox=t=fill:color=white:enable='lt(mod(t+0.501,1),0.2)'"
    beep = "aevalsrc='0.8*sin(2*PI*1000*t)*lt(mod(t+0.5,1),0.2)':s=48000"
    inputs = (f"color=c={color}:s=320x180:r={FPS},{flash}", beep)
    made = [word for graph in inputs for word in ("-f", "lavfi", "-t", str(FILM_S), "-i", graph)]
    coded = ["-c:v", "libx264", "-preset", "ultrafast", "-g", str(FPS), "-pix_fmt", "yuv420p", "-c:a", "aac"]
    programs.run([programs.ffmpeg(), "-v", "error", "-nostdin", "-y", *made, *coded, "-ac", "2", "-f", "flv", path])
    return path


@dataclass
class Camera:
    """One publisher, which fails and comes back."""

    nginx: NginxRtmp
    clip: Path
    key: str
    log: Path
    publisher: Publisher | None = None
    is_stopped: bool = False

    @property
    def is_up(self) -> bool:
        """Whether it sends."""
        return self.publisher is not None and not self.is_stopped

    def come(self) -> None:
        """Publish, anew if it was killed."""
        if self.is_stopped and self.publisher is not None:
            # What it had is old: the server is to take the new one for the same stream.
            self.publisher.vanish()
            self.nginx.wait_unpublished(self.key)
        self.publisher, self.is_stopped = Publisher(self.clip, self.nginx.url(self.key), self.log), False
        self.nginx.wait_published(self.key)

    def fail(self, how: str) -> None:
        """Be killed, or stop without a word."""
        assert self.publisher is not None
        if how == "killed":
            self.publisher.vanish()
            self.publisher = None
        else:
            self.publisher.process.send_signal(signal.SIGSTOP)
            self.is_stopped = True

    def be_slow(self, seconds: float) -> None:
        """Send in bursts for so long."""
        assert self.publisher is not None
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            for what in (signal.SIGSTOP, signal.SIGCONT):
                self.publisher.process.send_signal(what)
                time.sleep(0.1)

    def end(self) -> None:
        """For good."""
        if self.publisher is not None:
            self.publisher.vanish()


def run_switches(console: Console, stack: ExitStack, home: Path, count: int, seed: int) -> tuple[list[str], Path, Path]:
    """The trial: what was told to be on air, one after the other; the recording and one of the films."""
    chance = random.Random(seed)
    nginx = NginxRtmp(home / "nginx")
    nginx.start()
    stack.callback(nginx.stop)
    cameras = [Camera(nginx, film(home / f"{color}.flv", color), color, home / f"{color}.log") for color in COLORS]
    for camera in cameras:
        camera.come()
        stack.callback(camera.end)
    options = ["--input", nginx.url(COLORS[1]), "--warm", "--slate", "#0000ff"]
    rules = ["--switch-after", SWITCH_AFTER_S, "--return-after", RETURN_AFTER_S]
    to = nginx.url("channel", app="rec")
    relay = RelayProgram(home / "relay", nginx.url(COLORS[0]), "--live", *options, *rules, "--to", to)
    stack.callback(relay.interrupt)
    relay.wait_state("streaming")

    def now() -> str:
        return str(relay.raw_lines[-1]["on_air"])

    def settle(wanted: str) -> None:
        wait_for(f"{wanted} on air", lambda: now() == wanted)
        began_ms = relay.raw_lines[-1]["media_time_ms"]
        wait_for("a stretch of it", lambda: relay.raw_lines[-1]["media_time_ms"] > began_ms + 1000)

    settle("input 0")
    told = ["input 0"]
    while len(told) <= count:
        time.sleep(chance.random() * 1.5)
        first, second = cameras
        if first.is_up and chance.random() < 0.2:
            first.be_slow(chance.uniform(1, 3))
            console.print(f"{len(told) - 1}: input 0 was slow")
        camera = chance.choice([one for one in cameras if not (first.is_up and one is second and second.is_up)])
        how = "back"
        if camera.is_up:
            how = chance.choice(("killed", "frozen"))
            camera.fail(how)
        else:
            camera.come()
        wanted = "input 0" if first.is_up else "input 1" if second.is_up else "slate"
        settle(wanted)
        if wanted != told[-1]:
            told.append(wanted)
            console.print(f"{len(told) - 1}: {camera.key} {how}, {wanted} on air")
    relay.interrupt()
    nginx.wait_unpublished("channel", "rec")
    recordings = nginx.recordings("channel")
    assert len(recordings) == 1, f"{len(recordings)} publish sessions"
    return told, recordings[0], cameras[0].clip


def letters(path: Path) -> list[str]:
    """The colour of each picture that is not white, neighbours once."""
    pixels = (frame[4][4] for frame in frames(path, 1 << 20, crop="8:8:0:0"))
    seen = ("rgb"[max(range(3), key=lambda part: pixel[part])] for pixel in pixels if min(pixel) < WHITE)
    return [key for key, _ in itertools.groupby(seen)]


def not_rising(track: Track) -> int:
    """How often a stamp is not later than the one before it."""
    return sum(later <= earlier for earlier, later in itertools.pairwise(track.dts_ms))


def main() -> int:
    """Run it. Returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--switches", type=int, default=50)
    parser.add_argument("--seed", type=int, default=7)
    asked = parser.parse_args()
    console = Console(width=None if sys.stdout.isatty() else 120)
    began_at = time.monotonic()
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="streamferry-bench-")))
        told, recorded, clip = run_switches(console, stack, home, asked.switches, asked.seed)
        media = packets(recorded)
        seen, wanted = letters(recorded), [LETTERS[one] for one in told]
        own_ms = statistics.median(av_offsets_ms(clip))
        apart_ms = sorted(abs(one - own_ms) for one in av_offsets_ms(recorded))
        errors = decode_errors(recorded)
    switches = len(told) - 1
    # A join may cut the flash of what ends and of what begins.
    uncut = apart_ms[: max(1, len(apart_ms) - 2 * switches)]
    bars = [
        Bar("stamps that do not rise", sum(not_rising(track) for track in media), 0),
        *(Bar(f"longest gap of the {track.kind}, ms", max_gap_ms(track), 2 * 1000 / FPS + 1) for track in media),
        Bar("sound beside its picture, uncut flashes, ms", uncut[-1], 5),
        Bar("pictures on air that no decision told", float(seen != wanted), 0),
        Bar("complaints of the decoder", len(errors.splitlines()), 0),
    ]
    print_bars(console, bars)
    result = {
        **about("always_on", vars(asked)),
        "took_s": round(time.monotonic() - began_at),
        "told": "".join(wanted),
        "seen": "".join(seen),
        "flashes": len(apart_ms),
        "flashes_apart": {limit: sum(one <= limit for one in apart_ms) for limit in (1, 5, 20, 40)},
    }
    console.print(json.dumps(result["flashes_apart"]))
    console.print(f"kept in {keep('always_on', result, bars)}", highlight=False)
    return 0 if all(bar.passed for bar in bars) else 1


if __name__ == "__main__":
    sys.exit(main())
