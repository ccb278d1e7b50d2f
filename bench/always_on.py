"""Always on air: automatic switches in a row between real servers, and what arrives at the sink.

    python bench/always_on.py [--switches N] [--seed N]

Two publishers, of a red and of a green picture with a flash and a beep each second, send to nginx-rtmp; a relay shows
the first, the second while that is down, and a blue slate while both are. At random moments one fails or comes back:

    killed   kill -9 of its publisher, the server tells
    stopped  its connection stays and carries nothing (a source that is away without a word)
    black    its picture turns black; the sound goes on
    frozen   it sends the same picture again and again; the sound goes on
    silent   its sound is silent; the picture goes on
    bursts   it comes late and in bursts of a tenth of a second, for some seconds: no switch follows
    slow     half of real time, for some seconds: no switch follows

Black, frozen and silent are found by the eyes (``--watch``, 2 s, frozen 6 s). A backup that is away comes back late, or
not before the first does: then the slate is on air. What is on air is read from the decoded pictures of the recording.

Bars: one publish session; DTS of each track rises strictly; where a frame has ended the next one of its track begins no
more than a frame of the picture later, of sound that and a frame of its own (sound and picture do not end at the same
moment, and are not moved against each other); each flash that has a beep, and that no join cuts, has it where it was,
to 5 ms; the pictures on air are in the order of the decisions that the relay told; nothing of the recording fails to
decode. The decision's own time is no part of a gap: viewers wait for that long, and nothing of it is in the stamps.
Kept in ``results/always_on-COMMIT.json``; some 8 s a switch.
"""

import argparse
import contextlib
import itertools
import json
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
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
from kit.nginx_rtmp import NginxRtmp
from kit.pictures import frames
from kit.probe import Track, decode_errors, max_gap_ms, packets
from kit.relay_program import RelayProgram
from kit.waiting import wait_for
from streamferry.media.enhanced import tag_kind
from streamferry.media.tag import AUDIO, SEQUENCE_HEADER, VIDEO, Tag
from streamferry.source.flv import FlvReader
from streamferry.wire.flv import serialize_flv_header, serialize_tag

FPS, FILM_S = 25, 20
COLORS = ("red", "green")
LETTERS = {"input 0": "r", "input 1": "g", "slate": "b"}
#: Of the relay that is tried: seconds.
SWITCH_AFTER_S, RETURN_AFTER_S = 2, 2
#: The eyes have the lowest priority: on a machine that is busy they are late.
SETTLED_S = 60.0
#: Faults of the content, with threshold and seconds.
WATCH = ("black=0.98/2", "frozen=1/6", "silent=-60/2")
#: Stamps of FLV are whole ms.
ROUNDED_MS = 1
#: A flash is white, and belongs to each colour.
WHITE = 180
#: Of a black picture nobody can tell whose it is.
BLACK = 60


#: What a camera can show: filters of its picture, and of its sound.
SHOWS = {
    "picture": ("", ""),
    "black": ("drawbox=t=fill:color=black", ""),
    "frozen": ("", ""),
    "silent": ("", "volume=0"),
}
KINDS = tuple(SHOWS)[1:]


def film(path: Path, color: str, show: str) -> Path:
    """One colour in which a grey box goes round, with a white flash and a beep each second. All are coded alike."""
    flash = "drawbox=t=fill:color=white:enable='lt(mod(t+0.501,1),0.2)'"
    place = "20" if show == "frozen" else "20+mod(t*37,240)"
    grey = f"color=0x606060:s=50x50:r={FPS}[box];[all][box]overlay=y=100:x='{place}'"
    # A look hears a quarter of a second: there is a low tone between the beeps.
    sound = "aevalsrc='0.02*sin(2*PI*300*t)+0.7*sin(2*PI*1000*t)*lt(mod(t+0.5,1),0.2)':s=48000"
    of_picture, of_sound = SHOWS[show]
    seen = [f"color=c={color}:s=320x180:r={FPS}[all];{grey}", "" if show == "frozen" else flash, of_picture]
    inputs = (",".join(filter(None, seen)), ",".join(filter(None, (sound, of_sound))))
    made = [word for graph in inputs for word in ("-f", "lavfi", "-t", str(FILM_S), "-i", graph)]
    coded = ["-c:v", "libx264", "-preset", "ultrafast", "-g", str(FPS), "-pix_fmt", "yuv420p", "-c:a", "aac"]
    programs.run([programs.ffmpeg(), "-v", "error", "-nostdin", "-y", *made, *coded, "-ac", "2", "-f", "flv", path])
    return path


class Sender:
    """An ffmpeg that publishes what we write to it, in real time or at another ``pace``: one of the films in a loop,
    another one from a keyframe on, stamps going on."""

    def __init__(self, films: dict[str, Path], url: str, log: Path) -> None:
        self.show = "picture"
        self.pace = 1.0
        self._films = {show: _groups(path) for show, path in films.items()}
        words = [
            programs.ffmpeg(),
            "-v",
            "warning",
            "-nostdin",
            "-analyzeduration",
            "200000",
            "-f",
            "flv",
            "-i",
            "pipe:0",
        ]
        self._log = log.open("w")
        self.process = subprocess.Popen(
            [*words, "-c", "copy", "-f", "flv", "-flvflags", "no_duration_filesize", url],
            stdin=subprocess.PIPE,
            stderr=self._log,
        )
        self._thread = threading.Thread(target=self._send, name="sender", daemon=True)
        self._thread.start()

    def _send(self) -> None:
        pipe = self.process.stdin
        assert pipe is not None
        headers, _ = self._films["picture"]
        begin = serialize_flv_header(has_audio=True, has_video=True)
        with contextlib.suppress(OSError, ValueError):
            pipe.write(begin + b"".join(serialize_tag(kind, 0, body) for kind, _, body in headers))
            due, begun_ms = time.monotonic(), 0
            for number in itertools.count():
                _, groups = self._films[self.show]
                at_ms = 0
                for kind, stamp_ms, body in groups[number % len(groups)]:
                    due += (stamp_ms - at_ms) / 1000 / self.pace
                    at_ms = stamp_ms
                    while self.pace == 0.0 or time.monotonic() < due:
                        time.sleep(0.005)
                    pipe.write(serialize_tag(kind, begun_ms + stamp_ms, body))
                    pipe.flush()
                due += (1000 - at_ms) / 1000 / self.pace
                begun_ms += 1000

    def vanish(self) -> None:
        """kill -9."""
        self.process.kill()
        self.process.wait()
        self._thread.join()
        self._log.close()


def _groups(path: Path) -> tuple[list[Tag], list[list[Tag]]]:
    """Headers of a film, and its seconds, each from its keyframe on, with stamps from its beginning on."""
    tags: list[Tag] = []
    FlvReader().read(memoryview(path.read_bytes()), 0, tags)
    media = [(kind, stamp, bytes(body)) for kind, stamp, body in tags if kind in (AUDIO, VIDEO)]
    headers = [tag for tag in media if tag_kind(tag[0], tag[2]) == SEQUENCE_HEADER]
    groups: list[list[Tag]] = [[] for _ in range(FILM_S)]
    for kind, stamp, body in media:
        if tag_kind(kind, body) != SEQUENCE_HEADER and stamp < FILM_S * 1000:
            groups[stamp // 1000].append((kind, stamp % 1000, body))
    return headers, groups


@dataclass
class Camera:
    """One publisher, which fails and comes back."""

    nginx: NginxRtmp
    films: dict[str, Path]
    key: str
    log: Path
    sender: Sender | None = None
    #: How it has failed.
    fault: str | None = "away"

    def come(self) -> None:
        """Be well: publish, anew if it was killed."""
        if self.fault == "stopped" and self.sender is not None:
            # What it had is old: the server is to take the new one for the same stream.
            self.end()
        if self.sender is None:
            self.nginx.wait_unpublished(self.key)
            self.sender = Sender(self.films, self.nginx.url(self.key), self.log)
            self.nginx.wait_published(self.key)
        self.sender.show, self.fault = "picture", None

    def fail(self, how: str) -> None:
        """Be killed, stop without a word, or show nothing."""
        assert self.sender is not None
        self.fault = how
        if how == "killed":
            self.end()
        elif how == "stopped":
            self.sender.process.send_signal(signal.SIGSTOP)
        else:
            self.sender.show = how

    def be_late(self, how: str, seconds: float) -> None:
        """Send in bursts, or too slowly, for so long."""
        assert self.sender is not None
        until = time.monotonic() + seconds
        self.sender.pace = 0.5 if how == "slow" else 1.0
        while time.monotonic() < until:
            for what in (signal.SIGSTOP, signal.SIGCONT) if how == "bursts" else ():
                self.sender.process.send_signal(what)
                time.sleep(0.1)
            time.sleep(0.01)
        self.sender.pace = 1.0

    def end(self) -> None:
        """For good."""
        if self.sender is not None:
            self.sender.vanish()
            self.sender = None


def run_switches(
    console: Console, stack: ExitStack, home: Path, count: int, seed: int
) -> tuple[list[str], list[str], Path, Path]:
    """The trial: what was told to be on air, one after the other; how cameras failed; the recording and a film."""
    chance = random.Random(seed)
    nginx = NginxRtmp(home / "nginx")
    nginx.start()
    stack.callback(nginx.stop)
    cameras = [
        Camera(nginx, {show: film(home / f"{color}-{show}.flv", color, show) for show in SHOWS}, color, home / color)
        for color in COLORS
    ]
    for camera in cameras:
        camera.come()
        stack.callback(camera.end)
    options = ["--input", nginx.url(COLORS[1]), "--warm", "--slate", "#0000ff"]
    rules = ["--switch-after", SWITCH_AFTER_S, "--return-after", RETURN_AFTER_S]
    rules += [word for rule in WATCH for word in ("--watch", f"{rule}+switch")]
    to = nginx.url("channel", app="rec")
    relay = RelayProgram(home / "relay", nginx.url(COLORS[0]), "--live", *options, *rules, "--to", to, "-v")
    stack.callback(relay.interrupt)
    relay.wait_state("streaming")

    def now() -> str:
        return str(relay.raw_lines[-1]["on_air"])

    def settle(wanted: str) -> None:
        try:
            wait_for(f"{wanted} on air", lambda: now() == wanted, SETTLED_S)
        except AssertionError:
            console.print(relay.errors[-4000:], highlight=False, markup=False)
            raise
        began_ms = relay.raw_lines[-1]["media_time_ms"]
        wait_for("a stretch of it", lambda: relay.raw_lines[-1]["media_time_ms"] > began_ms + 1000)

    settle("input 0")
    shown = ["input 0"]
    faults: list[str] = []
    kinds: list[str] = []
    while len(shown) <= count:
        time.sleep(chance.random() * 1.5)
        first, second = cameras
        if first.fault is None and chance.random() < 0.2:
            how = chance.choice(("bursts", "slow"))
            first.be_late(how, chance.uniform(1, 3))
            faults.append(how)
            console.print(f"{len(shown) - 1}: input 0 was sent in {how}" if how == "bursts" else "input 0 was slow")
        if first.fault is None:
            # A backup comes late, or is away for longer.
            camera = second if second.fault is not None and chance.random() < 0.3 else first
        else:
            camera = chance.choice((first, second))
        how = "back"
        if camera.fault is None:
            # Each way to fail as often as any other; of what is off the air nobody knows till it is needed.
            kinds = kinds or chance.sample(("killed", "stopped", *KINDS), 2 + len(KINDS))
            how = kinds.pop() if now() == f"input {cameras.index(camera)}" else "killed"
            camera.fail(how)
            faults.append(how)
        else:
            camera.come()
        wanted = "input 0" if first.fault is None else "input 1" if second.fault is None else "slate"
        settle(wanted)
        if wanted != shown[-1]:
            shown.append(wanted)
            console.print(f"{len(shown) - 1}: {camera.key} {how}, {wanted} on air")
    relay.interrupt()
    # Each switch is a line: also the slate that is shown until a backup that has just come back may be.
    told = [key for key, _ in itertools.groupby(str(line["on_air"]) for line in relay.raw_lines if line["on_air"])]
    nginx.wait_unpublished("channel", "rec")
    recordings = nginx.recordings("channel")
    assert len(recordings) == 1, f"{len(recordings)} publish sessions"
    return told, faults, recordings[0], cameras[0].films["picture"]


def letters(path: Path) -> list[str]:
    """The colour of each picture that is not white and not black, neighbours once."""
    pixels = (frame[4][4] for frame in frames(path, 1 << 20, crop="8:8:0:0"))
    coloured = (pixel for pixel in pixels if min(pixel) < WHITE and max(pixel) > BLACK)
    seen = ("rgb"[max(range(3), key=lambda part: pixel[part])] for pixel in coloured)
    return [key for key, _ in itertools.groupby(seen)]


def frame_ms(track: Track) -> float:
    """How long a frame lasts."""
    return statistics.median(later - earlier for earlier, later in itertools.pairwise(track.dts_ms))


def gap_ms(track: Track) -> float:
    """The longest time from the end of a frame to the next one."""
    return max_gap_ms(track) - frame_ms(track)


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
        told, faults, recorded, clip = run_switches(console, stack, home, asked.switches, asked.seed)
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
        Bar("longest gap between two pictures, ms", gap_ms(media.video), 1000 / FPS + ROUNDED_MS),
        Bar("longest gap in the sound, ms", gap_ms(media.audio), 1000 / FPS + frame_ms(media.audio) + ROUNDED_MS),
        Bar("sound beside its picture, uncut flashes, ms", uncut[-1], 5),
        Bar("pictures on air that no decision told", float(seen != wanted), 0),
        Bar("complaints of the decoder", len(errors.splitlines()), 0),
    ]
    print_bars(console, bars)
    result = {
        **about("always_on", vars(asked)),
        "took_s": round(time.monotonic() - began_at),
        "faults": {how: faults.count(how) for how in sorted(set(faults))},
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
