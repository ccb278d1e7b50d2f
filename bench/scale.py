"""Scale: one process of ours with a thousand live relays and a thousand VOD loops at once, into a black hole.

    python bench/scale.py [--live N] [--vod N] [--seconds S]

Bars: the worst beat is less than 100 ms late, and added latency is at most 150 ms at p99. Both ends use the machine's
monotonic clock. 100 live streams are probed: the source ends each inter frame with the time it sends it, the sink takes
the time the frame's last byte came. 100 VOD loops are probed: a file's frame has no time of sending, so it is late when
it comes after a player needs it that shows the stream's first frame as it comes. All other streams are only counted:
each must be seen publishing in real time through every window.
"""

import argparse
import json
import random
import sys
import time
from contextlib import ExitStack
from typing import Any

from rich.console import Console
from rich.table import Table

from clip import live_clip, vod_clip
from contenders import Relays, start_host
from density import doubts, measure_window
from measure import about, allow_many_files, pss_mib
from programs import Program, Sink, Source, cores
from results import Bar, keep, print_bars

BEAT_BAR_MS = 100.0
LATENCY_BAR_MS = 150.0
PROBES = 100
#: Relays are started in batches over several GOPs, so that the keyframes of the loops do not fall on one beat.
BATCH, BATCH_SECONDS = 25, 0.25
UP_SECONDS = 60.0
SETTLE_SECONDS = 6.0


def start_in_batches(host: Program, kind: str, count: int, source: Source, sink: Sink) -> None:
    """Start ``count`` relays; those keyed ``probe...`` are drawn, so that they follow no slot of a beat or source."""
    probes = set(random.Random(1).sample(range(count), min(PROBES, count)))
    for first in range(0, count, BATCH):
        numbers = range(first, min(first + BATCH, count))
        keys = [f"{'probe' if i in probes else ''}{kind}{i}" for i in numbers]
        sources = [source.url("http", "bursts", i) for i in numbers] if kind == "live" else [str(vod_clip())]
        job = {"kind": kind, "sources": sources, "destinations": [sink.url(key) for key in keys]}
        host.ask(json.dumps(job), timeout=30)
        time.sleep(BATCH_SECONDS)


def run(live: int, vod: int, windows: int, seconds: float) -> tuple[list[dict[str, Any]], list[str], float]:
    """(windows, failures, MiB a relay)."""
    failures: list[str] = []
    with ExitStack() as stack:
        sink = stack.enter_context(Sink(drain_ms=40))
        source = stack.enter_context(Source(live_clip()))
        host = start_host(stack)
        empty_mib = pss_mib([host.pid])
        # The first loop prepares the file; a thousand that start together would all wait for it.
        host.ask(json.dumps({"kind": "vod", "sources": [str(vod_clip())], "destinations": [sink.url("first")]}))
        sink.wait_for_streams(1, UP_SECONDS)
        host.ask(json.dumps({"stop": True}))
        start_in_batches(host, "vod", vod, source, sink)
        start_in_batches(host, "live", live, source, sink)
        sink.wait_for_streams(live + vod, UP_SECONDS)
        time.sleep(SETTLE_SECONDS)
        relays = Relays([host], empty_mib)
        source.report(), sink.report(), host.ask(json.dumps({"report": True}))
        seen = []
        for _ in range(windows):
            window = measure_window(relays, source, sink, live + vod, seconds)
            window["host"] = host.ask(json.dumps({"report": True}))
            failures += doubts(window, live + vod)
            seen.append(window)
        return seen, failures, (pss_mib([host.pid]) - empty_mib) / (live + vod)


def print_windows(console: Console, windows: list[dict[str, Any]], relays: int) -> None:
    """One line a window."""
    spreads = ("added_us", "late_us", "jitter_us")
    names = ("live added", "VOD late", "VOD jitter")
    table = Table("core %", "beat late", *(f"{name} p50/p99/max" for name in names), "source late", title="ms")
    for window in windows:
        table.add_row(
            f"{window['cpu_percent'] * relays:.1f}",
            f"{window['host']['beat_worst_late_ms']:.1f}",
            *(" / ".join(f"{window['sink'][s][part] / 1000:.1f}" for part in ("p50", "p99", "max")) for s in spreads),
            f"{window['source']['worst_late_ms']:.1f}",
        )
    console.print(table)


def main() -> int:
    """Run it. Returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--live", type=int, default=1000)
    parser.add_argument("--vod", type=int, default=1000)
    parser.add_argument("--windows", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=10.0, help="length of a window")
    asked = parser.parse_args()
    allow_many_files()
    console = Console(width=None if sys.stdout.isatty() else 160)
    windows, failures, memory_mib = run(asked.live, asked.vod, asked.windows, asked.seconds)
    print_windows(console, windows, asked.live + asked.vod)
    for failure in failures:
        console.print(failure, highlight=False)
    worst = {
        "worst beat, ms late": (max(w["host"]["beat_worst_late_ms"] for w in windows), BEAT_BAR_MS),
        "live, added latency p99, ms": (max(w["sink"]["added_us"]["p99"] for w in windows) / 1000, LATENCY_BAR_MS),
        "VOD, lateness p99, ms": (max(w["sink"]["late_us"]["p99"] for w in windows) / 1000, LATENCY_BAR_MS),
    }
    bars = [Bar(what, None if failures else value, most) for what, (value, most) in worst.items()]
    print_bars(console, bars)
    settings = {**vars(asked), "core_of_relays": cores()[0], "core_of_load": cores()[1]}
    result = {**about("scale", settings), "memory_mib": memory_mib, "windows": windows, "failures": failures}
    console.print(f"{memory_mib:.3f} MiB a relay; kept in {keep('scale', result, bars)}", highlight=False)
    return 0 if all(bar.passed for bar in bars) else 1


if __name__ == "__main__":
    sys.exit(main())
