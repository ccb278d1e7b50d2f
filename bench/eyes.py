"""Eyes: what it costs to watch the content of live relays, for all that can be watched for.

    python bench/eyes.py [--streams N] [--windows N] [--seconds S]

Bar: at most 0.3 % of a core a watched stream of 720p, with the ffmpeg children that decode. Windows with and without
take turns in one run of the relays; the cost is the median of the differences of neighbours, for the relays' process
and for the children apart. The children share the core of the relays, at the lowest priority. A window counts only if
the sink saw every stream in real time.
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
from measure import about, allow_many_files, cpu_ns, cpu_ns_between, family
from programs import Sink, Source, cores
from results import Bar, keep, print_bars
from windows import doubts, measure_window

CPU_BAR_PERCENT = 0.3
UP_SECONDS = 60.0
#: Until the children have started, and each stream was looked at.
SETTLE_SECONDS = 10.0


def children_ns(parent: int) -> dict[str, int]:
    """ns on a CPU of each thread of the children of a process that run now."""
    return cpu_ns(family([parent])[1:])


def measure(streams: int, pairs: int, seconds: float) -> tuple[list[dict[str, Any]], list[str]]:
    """(windows, failures). Windows without and with eyes take turns. ``cpu_percent`` of a window is that of the process
    with its children; ``eyes_percent`` is the children's part, and ``relay_percent`` the rest, for a stream."""
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
            before = children_ns(host.pid)
            window = measure_window(Relays([host]), source, sink, streams, seconds)
            eyes_ns = cpu_ns_between(before, children_ns(host.pid))
            window["eyes_percent"] = 100 * eyes_ns / 1e9 / window["seconds"] / streams
            window["relay_percent"] = window["cpu_percent"] - window["eyes_percent"]
            window["is_watched"] = number % 2 == 1
            window["host"] = host.ask(json.dumps({"report": True}))
            failures += doubts(window, streams)
            windows.append(window)
    return windows, failures


def costs(windows: list[dict[str, Any]], key: str) -> list[float]:
    """How much more each watched window has than the one before it."""
    return [watched[key] - plain[key] for plain, watched in zip(windows[::2], windows[1::2], strict=True)]


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
    table = Table("watched", "relays, % a stream", "children, % a stream", "dropped", "beat late ms")
    for window in windows:
        table.add_row(
            str(window["is_watched"]),
            f"{window['relay_percent']:.3f}",
            f"{window['eyes_percent']:.3f}",
            str(window["host"]["dropped_tags"]),
            f"{window['host']['beat_worst_late_ms']:.1f}",
        )
    console.print(table)
    for failure in failures:
        console.print(failure, highlight=False)
    parts = {key: statistics.median(costs(windows, key)) for key in ("cpu_percent", "relay_percent", "eyes_percent")}
    console.print(
        f"watching adds {parts['relay_percent']:.3f} % in the relays and {parts['eyes_percent']:.3f} % in the children"
    )
    bars = [
        Bar("CPU of watching a stream, % of a core", None if failures else parts["cpu_percent"], CPU_BAR_PERCENT),
    ]
    print_bars(console, bars)
    settings = {**vars(asked), "core_of_relays": cores()[0], "core_of_load": cores()[1]}
    result = {**about("eyes", settings), "watching_adds": parts, "windows": windows, "failures": failures}
    console.print(f"kept in {keep('eyes', result, bars)}", highlight=False)
    return 0 if all(bar.passed for bar in bars) else 1


if __name__ == "__main__":
    sys.exit(main())
