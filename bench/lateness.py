"""Lateness: whether 200 relays keep their pace while a file is encoded beside them, on their own core.

    python bench/lateness.py [--live N] [--vod N] [--windows N] [--seconds S]

The relays are measured as ``scale.py`` does it, first alone and then with ``streamferry prepare`` at work, which brings
the clip into another size: a preparation as the service runs it, niced to the last place. It is pinned to the core
of the relays, where it can disturb them most. Exits with 1 if a bar failed: the same for both as in ``scale.py``.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from contextlib import ExitStack
from typing import Any

from rich.console import Console

from clip import live_clip, vod_clip
from contenders import Relays, start_host
from measure import about, allow_many_files, cpu_ns, pss_mib
from programs import Program, Sink, Source, build_native, cores
from results import Bar, keep, print_bars
from scale import BEAT_BAR_MS, LATENCY_BAR_MS, SETTLE_SECONDS, UP_SECONDS, print_windows, start_in_batches
from windows import doubts, measure_window

ALONE, BESIDE = "alone", "beside an encode"
#: The encode has looked at its file and works.
ENCODE_UP_SECONDS = 3.0


class Encode(Program):
    """``streamferry prepare`` of the clip into another size, and into a cache of its own."""

    def __init__(self) -> None:
        words = "from streamferry.cli import main; main()"
        argv = [sys.executable, "-c", words, "prepare", str(vod_clip()), "--normalize", "1920x1080"]
        super().__init__(argv, cores()[0])


def measure(live: int, vod: int, windows: int, seconds: float) -> tuple[dict[str, list[dict[str, Any]]], list[str]]:
    """(windows alone and beside an encode, failures)."""
    failures: list[str] = []
    rows: dict[str, list[dict[str, Any]]] = {ALONE: [], BESIDE: []}
    count = live + vod
    with ExitStack() as stack:
        sink = stack.enter_context(Sink(drain_ms=40))
        source = stack.enter_context(Source(live_clip()))
        host = start_host(stack)
        relays = Relays([host], pss_mib([host.pid]))
        # The first loop prepares the file; all that start together would wait for it.
        host.ask(json.dumps({"kind": "vod", "sources": [str(vod_clip())], "destinations": [sink.url("first")]}))
        sink.wait_for_streams(1, UP_SECONDS)
        host.ask(json.dumps({"stop": True}))
        start_in_batches(host, "vod", vod, source, sink)
        start_in_batches(host, "live", live, source, sink)
        sink.wait_for_streams(count, UP_SECONDS)
        time.sleep(SETTLE_SECONDS)
        for name, seen in rows.items():
            encode = stack.enter_context(Encode()) if name == BESIDE else None
            if encode is not None:
                time.sleep(ENCODE_UP_SECONDS)
            source.report(), sink.report(), host.ask(json.dumps({"report": True}))
            for _ in range(windows):
                before = sum(cpu_ns([encode.pid]).values()) if encode is not None else 0
                window = measure_window(relays, source, sink, count, seconds)
                window["host"] = host.ask(json.dumps({"report": True}))
                failures += doubts(window, count)
                if encode is not None:
                    spent = sum(cpu_ns([encode.pid]).values()) - before if encode.is_running else 0
                    window["encode_core_percent"] = round(spent / 1e7 / window["seconds"], 1)
                    if not spent:
                        failures.append("the encode ended before the window did: use fewer or shorter windows")
                seen.append(window)
    return rows, failures


def main() -> int:
    """Run it. Returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--live", type=int, default=100)
    parser.add_argument("--vod", type=int, default=100)
    parser.add_argument("--windows", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=8.0, help="length of a window")
    asked = parser.parse_args()
    allow_many_files()
    build_native("source"), build_native("sink"), live_clip(), vod_clip()
    console = Console(width=None if sys.stdout.isatty() else 160)
    with tempfile.TemporaryDirectory(prefix="streamferry-bench-") as cache:
        os.environ["STREAMFERRY_CACHE_DIR"] = cache
        rows, failures = measure(asked.live, asked.vod, asked.windows, asked.seconds)
    bars = []
    for name, windows in rows.items():
        console.print(name)
        print_windows(console, windows, asked.live + asked.vod)
        worst = {
            "worst beat, ms late": (max(w["host"]["beat_worst_late_ms"] for w in windows), BEAT_BAR_MS),
            "live, added latency p99, ms": (max(w["sink"]["added_us"]["p99"] for w in windows) / 1000, LATENCY_BAR_MS),
            "VOD, lateness p99, ms": (max(w["sink"]["late_us"]["p99"] for w in windows) / 1000, LATENCY_BAR_MS),
        }
        bars += [Bar(f"{name}: {what}", None if failures else value, most) for what, (value, most) in worst.items()]
    shares = [window["encode_core_percent"] for window in rows[BESIDE]]
    console.print(f"the encode had {min(shares)}-{max(shares)} % of the core", highlight=False)
    for failure in dict.fromkeys(failures):
        console.print(failure, highlight=False)
    print_bars(console, bars)
    settings = {**vars(asked), "core_of_relays": cores()[0], "core_of_load": cores()[1]}
    result = {**about("lateness", settings), "windows": rows, "failures": failures}
    console.print(f"kept in {keep('lateness', result, bars)}", highlight=False)
    return 0 if all(bar.passed for bar in bars) else 1


if __name__ == "__main__":
    sys.exit(main())
