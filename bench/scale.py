"""Scale: how much one process of ours carries on one core, into a black hole: 3,000 loops, and then 1,500 live relays.

    python bench/scale.py [--loops N] [--live N] [--latency CLASS] [--before PATH] [--windows N] [--seconds S]

Bars: the worst beat is less than 100 ms late. The latency that is added to live media is at most its beat and 100 ms
at p99, and a frame of a file comes in time at p99. Both ends use the machine's monotonic clock. 100 live streams are
probed: the source ends each inter frame with the time it sends it, the sink takes the time the frame's last byte came.
100 loops are probed: a file's frame has no time of sending, so it is late when it comes after a player needs it that
shows the stream's first frame as it comes. All other streams are only counted: each must be seen publishing in real
time through every window. Memory is that of the process for a relay, and beside it what the kernel holds for the
sockets, of both ends: the floor that no program gets below.

``--before PATH``: another checkout, which is measured first in the same way. Everything is kept in
``results/scale-COMMIT.json``. Exits with 1 if a bar failed.
"""

import argparse
import json
import random
import sys
import time
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from clip import live_clip, vod_clip
from contenders import BEAT_MS, Relays, check_checkout, start_host
from measure import about, allow_many_files, commit, pss_mib, sockets_mib
from programs import BENCH, Program, Sink, Source, build_native, cores
from results import Bar, keep, print_bars
from windows import doubts, measure_window

BEAT_BAR_MS = 100.0
LATENCY_BAR_MS = 150.0
PROBES = 100
#: Relays are started in batches over several GOPs, so that the keyframes of the loops do not fall on one beat.
BATCH, BATCH_SECONDS = 25, 0.25
UP_SECONDS = 120.0
SETTLE_SECONDS = 6.0
LOOPS, LIVE = "loops", "live"


@dataclass
class Scene:
    """What one process was given, and how it did. Memory in MiB a relay."""

    name: str
    kind: str
    count: int
    memory_mib: float = 0.0
    sockets_mib: float = 0.0
    windows: list[dict[str, Any]] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    @property
    def worst_beat_ms(self) -> float:
        """By how much the latest beat was late."""
        return max(window["host"]["beat_worst_late_ms"] for window in self.windows)

    @property
    def late_p99_ms(self) -> float:
        """Added latency of live media, or lateness of a file's, at p99 of the worst window."""
        spread = "added_us" if self.kind == LIVE else "late_us"
        return max(window["sink"][spread]["p99"] for window in self.windows) / 1000

    @property
    def core_percent(self) -> float:
        """Of a core, for the whole process, in the busiest window."""
        return max(window["cpu_percent"] for window in self.windows) * self.count


def start_in_batches(
    host: Program, kind: str, count: int, source: Source, sink: Sink, latency: str | None = None
) -> None:
    """Start ``count`` relays, ``live`` or ``vod``; those keyed ``probe...`` are drawn, so that they follow no slot of a
    beat or source."""
    probes = set(random.Random(1).sample(range(count), min(PROBES, count)))
    for first in range(0, count, BATCH):
        numbers = range(first, min(first + BATCH, count))
        keys = [f"{'probe' if i in probes else ''}{kind}{i}" for i in numbers]
        sources = [source.url("http", "bursts", i) for i in numbers] if kind == "live" else [str(vod_clip())]
        job = {"kind": kind, "sources": sources, "destinations": [sink.url(key) for key in keys]}
        job |= {"latency": latency} if latency else {}
        host.ask(json.dumps(job), timeout=30)
        time.sleep(BATCH_SECONDS)


def run(scene: Scene, checkout: Path, latency: str, windows: int, seconds: float) -> None:
    """Fill in the scene. What goes wrong is in its failures."""
    try:
        with ExitStack() as stack:
            sink = stack.enter_context(Sink(drain_ms=40))
            source = stack.enter_context(Source(live_clip()))
            host = start_host(stack, checkout)
            empty_mib, before_mib = pss_mib([host.pid]), sockets_mib()
            if scene.kind == LOOPS:
                # The first loop prepares the file; thousands that start together would all wait for it.
                first = {"kind": "vod", "sources": [str(vod_clip())], "destinations": [sink.url("first")]}
                host.ask(json.dumps(first))
                sink.wait_for_streams(1, UP_SECONDS)
                host.ask(json.dumps({"stop": True}))
            start_in_batches(host, "live" if scene.kind == LIVE else "vod", scene.count, source, sink, latency)
            sink.wait_for_streams(scene.count, UP_SECONDS)
            time.sleep(SETTLE_SECONDS)
            relays = Relays([host], empty_mib)
            source.report(), sink.report(), host.ask(json.dumps({"report": True}))
            for _ in range(windows):
                window = measure_window(relays, source, sink, scene.count, seconds)
                window["host"] = host.ask(json.dumps({"report": True}))
                scene.failures += doubts(window, scene.count)
                scene.windows.append(window)
            scene.memory_mib = (pss_mib([host.pid]) - empty_mib) / scene.count
            scene.sockets_mib = max(sockets_mib() - before_mib, 0.0) / scene.count
    except (RuntimeError, OSError) as error:
        scene.failures.append(str(error))


def print_windows(console: Console, windows: list[dict[str, Any]], relays: int) -> None:
    """One line a window."""
    spreads = ("added_us", "late_us", "jitter_us")
    names = ("live added", "VOD late", "VOD jitter")
    table = Table(
        *("core %", "beat late", *(f"{name} p50/p99/max" for name in names), "source late", "source %", "sink %"),
        title="ms",
    )
    for window in windows:
        table.add_row(
            f"{window['cpu_percent'] * relays:.1f}",
            f"{window['host']['beat_worst_late_ms']:.1f}",
            *(" / ".join(f"{window['sink'][s][part] / 1000:.1f}" for part in ("p50", "p99", "max")) for s in spreads),
            f"{window['source']['worst_late_ms']:.1f}",
            f"{window['source_core_percent']:.0f}",
            f"{window['sink_core_percent']:.0f}",
        )
    console.print(table)


def judge(scene: Scene, latency: str) -> list[Bar]:
    """The bars of a scene; one that is not sound fails them."""
    most = BEAT_MS[latency] + BEAT_BAR_MS if scene.kind == LIVE else 0.0
    what = "added latency p99" if scene.kind == LIVE else "lateness of a frame p99"
    is_sound = scene.windows and not scene.failures
    return [
        Bar(f"{scene.name}: worst beat, ms late", scene.worst_beat_ms if is_sound else None, BEAT_BAR_MS),
        Bar(f"{scene.name}: {what}, ms", scene.late_p99_ms if is_sound else None, most),
    ]


def main() -> int:
    """Run it. Returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--loops", type=int, default=3000)
    parser.add_argument("--live", type=int, default=1500)
    parser.add_argument("--latency", default="normal", choices=("low", "normal"), help="class of the live relays")
    parser.add_argument("--before", type=Path, help="another checkout, measured first")
    parser.add_argument("--windows", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=8.0, help="length of a window")
    asked = parser.parse_args()
    before = asked.before and asked.before.resolve()
    if before:
        check_checkout(before)
    allow_many_files()
    build_native("source"), build_native("sink"), live_clip(), vod_clip()
    console = Console(width=None if sys.stdout.isatty() else 160)
    bars, scenes = [], []
    for kind, count in ((LOOPS, asked.loops), (LIVE, asked.live)):
        for checkout in (before, BENCH.parent):
            if not count or not checkout:
                continue
            is_before = checkout == before
            name = f"{'before: ' * is_before}{count} {'loops' if kind == LOOPS else f'live, {asked.latency}'}"
            scene = Scene(name, kind, count)
            run(scene, checkout, asked.latency, asked.windows, asked.seconds)
            scenes.append(scene)
            console.print(name, highlight=False)
            print_windows(console, scene.windows, count)
            memory = (
                f"{scene.memory_mib:.3f} MiB a relay, and {scene.sockets_mib:.3f} MiB in the kernel for its sockets"
            )
            console.print(memory, *dict.fromkeys(scene.failures), sep="\n", highlight=False)
            if not is_before:
                bars += judge(scene, asked.latency)
    print_bars(console, bars)
    settings = {
        **vars(asked),
        "before": before and commit(before / "bench"),
        "core_of_relays": cores()[0],
        "core_of_load": cores()[1],
    }
    result = {**about("scale", settings), "scenes": [asdict(scene) for scene in scenes]}
    console.print(f"kept in {keep('scale', result, bars)}", highlight=False)
    return 0 if all(bar.passed for bar in bars) else 1


if __name__ == "__main__":
    sys.exit(main())
