"""Eyes: what it costs to watch the content of live relays, for all that can be watched for.

    python bench/eyes.py [--streams N] [--windows N] [--seconds S]

Bar: at most 0.3 % of a core a watched stream of 720p, with the ffmpeg children that decode. Windows with and without
take turns in one run of the relays; the cost is the median of the differences of neighbours. The children share the
core of the relays, at the lowest priority. A window counts only if the sink saw every stream in real time.
"""

import argparse
import json
import os
import statistics
import sys
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from clip import live_clip
from contenders import Relays, start_host
from measure import about, allow_many_files
from programs import Sink, Source, cores
from results import Bar, keep, print_bars
from windows import doubts, measure_window

CPU_BAR_PERCENT = 0.3
UP_SECONDS = 60.0
#: Until the children have started, and each stream was looked at.
SETTLE_SECONDS = 10.0
_TICKS = os.sysconf("SC_CLK_TCK")


def children_cpu_s(parent: int) -> float:
    """CPU seconds of the children of a process that run now."""
    total = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            fields = stat.read_text().rpartition(")")[2].split()
            if int(fields[1]) == parent:
                total += int(fields[11]) + int(fields[12])
    return total / _TICKS


def measure(streams: int, pairs: int, seconds: float) -> tuple[list[dict[str, Any]], list[str]]:
    """(windows, failures). Windows without and with eyes take turns; ``eyes_cpu_s`` is that of the children."""
    windows: list[dict[str, Any]] = []
    failures: list[str] = []
    with ExitStack() as stack:
        sink, source = stack.enter_context(Sink()), stack.enter_context(Source(live_clip()))
        host = start_host(stack)
        sources = [source.url("http", "bursts", i) for i in range(streams)]
        host.ask(
            json.dumps({"kind": "live", "sources": sources, "destinations": [sink.url(i) for i in range(streams)]})
        )
        sink.wait_for_streams(streams, UP_SECONDS)
        for number in range(2 * pairs):
            host.ask(json.dumps({"watch": number % 2 == 1}))
            time.sleep(SETTLE_SECONDS)
            source.report(), sink.report()
            host.ask(json.dumps({"report": True}))
            before_s = children_cpu_s(host.pid)
            window = measure_window(Relays([host]), source, sink, streams, seconds)
            window["eyes_cpu_s"] = children_cpu_s(host.pid) - before_s
            window["is_watched"] = number % 2 == 1
            window["host"] = host.ask(json.dumps({"report": True}))
            failures += doubts(window, streams)
            windows.append(window)
    return windows, failures


def cost_of(window: dict[str, Any], streams: int) -> float:
    """CPU of a stream, with its part of the children, in % of a core."""
    return float(window["cpu_percent"] + window["eyes_cpu_s"] / window["seconds"] / streams * 100)


def main() -> int:
    """Run it. Returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--streams", type=int, default=20)
    parser.add_argument("--windows", type=int, default=4, help="pairs of windows, without and with eyes")
    parser.add_argument("--seconds", type=float, default=12.0, help="length of a window")
    asked = parser.parse_args()
    allow_many_files()
    console = Console(width=None if sys.stdout.isatty() else 120)
    windows, failures = measure(asked.streams, asked.windows, asked.seconds)
    table = Table("watched", "relays, % a stream", "children, % a stream", "children, CPU s", "dropped", "beat late ms")
    for window in windows:
        table.add_row(
            str(window["is_watched"]),
            f"{window['cpu_percent']:.3f}",
            f"{window['eyes_cpu_s'] / window['seconds'] / asked.streams * 100:.3f}",
            f"{window['eyes_cpu_s']:.2f}",
            str(window["host"]["dropped_tags"]),
            f"{window['host']['beat_worst_late_ms']:.1f}",
        )
    console.print(table)
    for failure in failures:
        console.print(failure, highlight=False)
    pairs = zip(windows[::2], windows[1::2], strict=True)
    costs = [cost_of(watched, asked.streams) - cost_of(plain, asked.streams) for plain, watched in pairs]
    bars = [
        Bar("CPU of watching a stream, % of a core", None if failures else statistics.median(costs), CPU_BAR_PERCENT)
    ]
    print_bars(console, bars)
    settings = {**vars(asked), "core_of_relays": cores()[0], "core_of_load": cores()[1]}
    result = {**about("eyes", settings), "watch_cpu_percent": costs, "windows": windows, "failures": failures}
    console.print(f"kept in {keep('eyes', result, bars)}", highlight=False)
    return 0 if all(bar.passed for bar in bars) else 1


if __name__ == "__main__":
    sys.exit(main())
