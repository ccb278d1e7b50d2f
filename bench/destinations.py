"""Destinations: what a further destination of a relay costs, beside a relay of its own.

    python bench/destinations.py [--streams N] [--destinations N] [--rounds N] [--seconds S]

Bar: CPU of a further destination, at most 0.6 of that of a relay with one. Two scenes: all destinations are there from
the beginning, so that their sessions count from the same frame; and all but the first come later, so that each counts
from another frame than the first. A round runs N relays with one destination, then each scene with as many relays; a
ratio is taken within a round, and the median of the rounds is judged. A window counts only if the sink saw every
stream of every destination in real time.
"""

import argparse
import json
import statistics
import sys
import time

from rich.console import Console
from rich.table import Table

from clip import live_clip
from contenders import Relays, start_host
from measure import about, allow_many_files
from programs import Sink, Source, build_native, cores
from results import Bar, keep, print_bars
from windows import SETTLE_SECONDS, UP_SECONDS, Measured, doubts, measure_window, measuring

CPU_BAR = 0.6
ONE, TOGETHER, LATER = "one destination", "several, from the beginning", "several, all but the first later"


def measure(scene: str, streams: int, destinations: int, seconds: float) -> Measured:
    """One window of one scene; CPU is that of a relay with all its destinations."""
    count = 1 if scene == ONE else destinations
    with measuring(scene) as (measured, stack):
        sink, source = stack.enter_context(Sink()), stack.enter_context(Source(live_clip()))
        host = start_host(stack)
        job = {
            "kind": "live",
            "sources": [source.url("http", "bursts", i) for i in range(streams)],
            "destinations": [sink.url(i) for i in range(streams)],
        }
        others = [[sink.url(streams * j + i) for j in range(1, count)] for i in range(streams)]
        host.ask(json.dumps(job if scene == LATER else {**job, "others": others}))
        if scene == LATER:
            sink.wait_for_streams(streams, UP_SECONDS)
            time.sleep(SETTLE_SECONDS)
            host.ask(json.dumps({"add": others}))
        sink.wait_for_streams(streams * count, UP_SECONDS)
        time.sleep(SETTLE_SECONDS)
        source.report(), sink.report()
        window = measure_window(Relays([host]), source, sink, streams, seconds)
        measured.windows.append(window)
        measured.failures += doubts(window, streams * count)
        measured.cpu_percent = window["cpu_percent"]
    return measured


def main() -> int:
    """Run it. Returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--streams", type=int, default=20)
    parser.add_argument("--destinations", type=int, default=5, help="of a relay that has several")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=8.0, help="length of a window")
    asked = parser.parse_args()
    allow_many_files()
    for program in ("source", "sink"):
        build_native(program)
    live_clip()
    console = Console(width=None if sys.stdout.isatty() else 120)
    rounds: list[dict[str, Measured]] = []
    ratios: dict[str, list[float]] = {TOGETHER: [], LATER: []}
    for number in range(1, asked.rounds + 1):
        found = {scene: measure(scene, asked.streams, asked.destinations, asked.seconds) for scene in (ONE, *ratios)}
        rounds.append(found)
        table = Table(f"round {number}", "CPU % a relay", "a further one / a relay", "seen")
        for scene, measured in found.items():
            cpu, one = measured.cpu_percent, found[ONE].cpu_percent
            ratio = None
            if scene != ONE and cpu is not None and one and not (measured.failures or found[ONE].failures):
                ratio = (cpu - one) / (asked.destinations - 1) / one
                ratios[scene].append(ratio)
            table.add_row(
                scene,
                "-" if cpu is None else f"{cpu:.4f}",
                "-" if ratio is None else f"{ratio:.3f}",
                "; ".join(measured.failures) or "all publishing",
            )
        console.print(table)
    bars = [
        Bar(f"a further destination / a relay, {scene}", statistics.median(found) if found else None, CPU_BAR)
        for scene, found in ratios.items()
    ]
    print_bars(console, bars)
    settings = {**vars(asked), "core_of_relays": cores()[0], "core_of_load": cores()[1]}
    kept = [
        {scene: {"cpu_percent": one.cpu_percent, "windows": one.windows, "failures": one.failures}}
        for found in rounds
        for scene, one in found.items()
    ]
    result = {**about("destinations", settings), "ratios": ratios, "scenes": kept}
    console.print(f"kept in {keep('destinations', result, bars)}", highlight=False)
    return 0 if all(bar.passed for bar in bars) else 1


if __name__ == "__main__":
    sys.exit(main())
