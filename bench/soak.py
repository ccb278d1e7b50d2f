"""Soak: an hour of relays in one process of ours, with the collector at work: what grows, and what is missing.

    python bench/soak.py [--minutes N] [--warm-up N] [--live N] [--loops N]

Residents run from the beginning to the end: live relays (HTTP-FLV in bursts and in pieces, RTMP) and loops of a file.
Each minute guests (live relays, too) come, stay and go, and the host makes a full garbage collection, beside those that
``relay.collector`` makes. Bars:

    faults    none in any minute: each stream publishes in real time, the host drops no frame, and each video stamp is
              one frame after the last, also where a file begins again
    growth    of proportional set size, objects known to the collector and open files, after the warm-up: from the least
              of its first five minutes to the least of its last five; the proportional set size also moves by some MiB
              with what other processes share of the same libraries

Kept in ``results/soak-COMMIT.json``. Exits with 1 if a bar failed. It needs 15 % of a core.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from contextlib import ExitStack
from itertools import cycle, islice
from typing import Any

from rich.console import Console

from clip import even_clips
from contenders import Relays, start_host
from measure import PROC, about, allow_many_files, cpu_ns, pss_mib
from programs import Program, Sink, Source, build_native, cores
from results import Bar, keep, print_bars
from windows import SETTLE_SECONDS, UP_SECONDS, doubts, measure_window

GUESTS = 5
#: The rest of a minute is for guests that come and go.
WINDOW_SECONDS = 45.0
#: An object that stays after each visit would be half a million an hour, one of each guest 300.
GROWTH_BARS = {"memory_mib": 4.0, "objects": 250.0, "files": 0.0}
FEEDS = (("http", "bursts"), ("http", "pieces"), ("http", "bursts"), ("rtmp", "bursts"))


def start_live(host: Program, source: Source, sink: Sink, name: str, count: int) -> None:
    """So many live relays, of each kind in turn."""
    feeds = islice(cycle(FEEDS), count)
    job = {
        "kind": "live",
        "sources": [source.url(*feed, f"{name}{i}") for i, feed in enumerate(feeds)],
        "destinations": [sink.url(f"{name}{i}") for i in range(count)],
    }
    host.ask(json.dumps(job))


def soak_minute(host: Program, source: Source, sink: Sink, residents: int) -> dict[str, Any]:
    """Guests come, all is watched, guests go; then what the process holds is weighed."""
    begun = time.monotonic()
    start_live(host, source, sink, "guest", GUESTS)
    sink.wait_for_streams(residents + GUESTS, UP_SECONDS)
    time.sleep(SETTLE_SECONDS)
    coming = sink.report()
    source.report()
    minute = measure_window(Relays([host]), source, sink, residents + GUESTS, WINDOW_SECONDS)
    minute["coming"] = coming
    minute["host"] = host.ask(json.dumps({"report": True}))
    host.ask(json.dumps({"stop": GUESTS}))
    minute |= host.ask(json.dumps({"collect": True}))
    minute["memory_mib"] = round(pss_mib([host.pid]), 2)
    minute["files"] = len(os.listdir(PROC / str(host.pid) / "fd"))
    time.sleep(max(0.0, begun + 60 - time.monotonic()))
    minute["going"] = sink.report()
    return minute


def faults(minute: dict[str, Any], residents: int) -> list[str]:
    """What was missing in it."""
    found = doubts(minute, residents + GUESTS)
    for part in ("coming", "sink", "going"):
        if minute[part]["uneven"]:
            found.append(f"{minute[part]['uneven']} video stamps not one frame after the last ({part})")
    lost = minute["coming"]["lost"] + minute["going"]["lost"]
    if lost != GUESTS:
        found.append(f"{lost} streams ended, not {GUESTS}")
    if minute["host"]["dropped_tags"]:
        found.append(f"{minute['host']['dropped_tags']} frames dropped")
    return found


def growth(minutes: list[dict[str, Any]], what: str) -> float:
    """From the least of the first five minutes to the least of the last five."""
    early, late = (min(minute[what] for minute in part) for part in (minutes[:5], minutes[-5:]))
    return round(late - early, 2)


def main() -> int:
    """Run it. Returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=int, default=60)
    parser.add_argument("--warm-up", type=int, default=5, help="how many of the minutes do not count for growth")
    parser.add_argument("--live", type=int, default=20)
    parser.add_argument("--loops", type=int, default=10)
    asked = parser.parse_args()
    allow_many_files()
    build_native("source"), build_native("sink")
    clip, file = even_clips()
    console = Console(width=None if sys.stdout.isatty() else 160)
    residents = asked.live + asked.loops
    minutes: list[dict[str, Any]] = []
    failures: list[str] = []
    with ExitStack() as stack:
        cache = stack.enter_context(tempfile.TemporaryDirectory(prefix="streamferry-bench-"))
        os.environ["STREAMFERRY_CACHE_DIR"] = cache
        sink = stack.enter_context(Sink(drain_ms=40))
        source = stack.enter_context(Source(clip, 10))
        host = start_host(stack)
        # One after another: a file's loops that begin together also end together.
        for i in range(asked.loops):
            loop = {"kind": "vod", "sources": [str(file)], "destinations": [sink.url(f"loop{i}")]}
            host.ask(json.dumps(loop))
            sink.wait_for_streams(i + 1, UP_SECONDS)
        start_live(host, source, sink, "live", asked.live)
        sink.wait_for_streams(residents, UP_SECONDS)
        sink.report(), source.report()
        for number in range(1, asked.minutes + 1):
            minute = soak_minute(host, source, sink, residents)
            found = faults(minute, residents)
            failures += [f"minute {number}: {fault}" for fault in found]
            minutes.append(minute)
            console.print(
                f"minute {number}: {minute['memory_mib']} MiB, {minute['objects']} objects, {minute['files']} files,"
                f" {minute['cpu_percent']:.4f} % a stream, beat {minute['host']['beat_worst_late_ms']:.1f} ms late,"
                f" {minute['sink']['messages']} frames {'; '.join(found)}",
                highlight=False,
            )
        cpu_s = sum(cpu_ns([host.pid]).values()) / 1e9
    steady = minutes[asked.warm_up :]
    bars = [Bar("faults", float(len(failures)), 0.0)]
    bars += [Bar(f"growth of {what}", growth(steady, what), most) for what, most in GROWTH_BARS.items()]
    print_bars(console, bars)
    settings = {**vars(asked), "guests": GUESTS, "core_of_relays": cores()[0], "core_of_load": cores()[1]}
    result = {**about("soak", settings), "cpu_s": round(cpu_s, 1), "failures": failures, "minutes": minutes}
    console.print(f"kept in {keep('soak', result, bars)}", highlight=False)
    return 0 if all(bar.passed for bar in bars) else 1


if __name__ == "__main__":
    sys.exit(main())
