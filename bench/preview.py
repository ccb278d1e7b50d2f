"""Preview: what a viewer costs the worker, and whether it costs the destination a frame.

    python bench/preview.py [--streams N] [--windows N] [--seconds S]

Bars: one viewer on each of N live relays adds at most 1 % of a core a viewer, and no relay drops a frame. Windows with
and without viewers take turns in one run of the relays; a viewer's cost is the median of the differences of
neighbours. The viewers are another process on the load generators' core, as the service is; the listener, passes and
all, is that of a worker. A window counts only if the sink saw every stream in real time, and every viewer got media.
"""

import argparse
import json
import statistics
import sys
import time
from contextlib import ExitStack
from typing import Any

from rich.console import Console
from rich.table import Table

from clip import live_clip
from contenders import Relays, start_host
from measure import about, allow_many_files
from programs import BENCH, Program, Sink, Source, cores
from results import Bar, keep, print_bars
from windows import doubts, measure_window

CPU_BAR_PERCENT = 1.0
UP_SECONDS = 60.0
SETTLE_SECONDS = 4.0


def start_viewers(host: Program, viewers: Program, streams: int) -> None:
    """One on each relay. Returns when all of them get media."""
    viewers.ask(json.dumps(host.ask(json.dumps({"preview": True}))), timeout=30)
    deadline = time.monotonic() + UP_SECONDS
    while (seen := viewers.ask(json.dumps({"report": True})))["fresh"] < streams:
        if time.monotonic() > deadline:
            raise RuntimeError(f"{seen['fresh']} of {streams} viewers got media within {UP_SECONDS:g} s")
        time.sleep(0.25)


def measure(streams: int, pairs: int, seconds: float) -> tuple[list[dict[str, Any]], list[str]]:
    """(windows, failures). Windows without and with viewers take turns; ``viewers`` tells which it is."""
    windows: list[dict[str, Any]] = []
    failures: list[str] = []
    with ExitStack() as stack:
        sink, source = stack.enter_context(Sink()), stack.enter_context(Source(live_clip()))
        host = start_host(stack)
        viewers = stack.enter_context(Program([sys.executable, BENCH / "viewers.py"], cores()[1], talks=True))
        viewers.hear()
        sources = [source.url("http", "bursts", i) for i in range(streams)]
        host.ask(
            json.dumps({"kind": "live", "sources": sources, "destinations": [sink.url(i) for i in range(streams)]})
        )
        sink.wait_for_streams(streams, UP_SECONDS)
        for number in range(2 * pairs):
            looks = number % 2 == 1
            if looks:
                start_viewers(host, viewers, streams)
            time.sleep(SETTLE_SECONDS)
            source.report(), sink.report(), viewers.ask(json.dumps({"report": True}))
            host.ask(json.dumps({"report": True}))
            window = measure_window(Relays([host]), source, sink, streams, seconds)
            window["viewers"] = viewers.ask(json.dumps({"report": True})) if looks else None
            window["host"] = host.ask(json.dumps({"report": True}))
            failures += doubts(window, streams)
            if looks and window["viewers"]["fresh"] < streams:
                failures.append(f"{window['viewers']['fresh']} of {streams} viewers got media")
            viewers.ask(json.dumps({"stop": True}))
            windows.append(window)
    return windows, failures


def print_windows(console: Console, windows: list[dict[str, Any]], streams: int) -> None:
    """One line a window."""
    table = Table("viewers", "core %", "% a stream", "kbps a viewer", "dropped", "beat late ms")
    for window in windows:
        seen = window["viewers"]
        kbps = seen["bytes"] * 8 / 1000 / window["seconds"] / streams if seen else 0
        table.add_row(
            str(seen["fresh"]) if seen else "0",
            f"{window['cpu_percent'] * streams:.1f}",
            f"{window['cpu_percent']:.3f}",
            f"{kbps:.0f}",
            str(window["host"]["dropped_tags"]),
            f"{window['host']['beat_worst_late_ms']:.1f}",
        )
    console.print(table)


def main() -> int:
    """Run it. Returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--streams", type=int, default=50)
    parser.add_argument("--windows", type=int, default=5, help="pairs of windows, without and with viewers")
    parser.add_argument("--seconds", type=float, default=8.0, help="length of a window")
    asked = parser.parse_args()
    allow_many_files()
    console = Console(width=None if sys.stdout.isatty() else 120)
    windows, failures = measure(asked.streams, asked.windows, asked.seconds)
    print_windows(console, windows, asked.streams)
    for failure in failures:
        console.print(failure, highlight=False)
    costs = [w["cpu_percent"] - b["cpu_percent"] for b, w in zip(windows[::2], windows[1::2], strict=True)]
    cost = statistics.median(costs)
    dropped = windows[-1]["host"]["dropped_tags"]
    bars = [
        Bar("CPU of a viewer, % of a core", None if failures else cost, CPU_BAR_PERCENT),
        Bar("frames dropped", None if failures else dropped, 0),
    ]
    print_bars(console, bars)
    settings = {**vars(asked), "core_of_relays": cores()[0], "core_of_load": cores()[1]}
    result = {**about("preview", settings), "viewer_cpu_percent": costs, "windows": windows, "failures": failures}
    console.print(f"kept in {keep('preview', result, bars)}", highlight=False)
    return 0 if all(bar.passed for bar in bars) else 1


if __name__ == "__main__":
    sys.exit(main())
