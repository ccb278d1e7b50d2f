"""First byte: from the order to start a relay to the first frame at the destination.

    python bench/first_byte.py [--trials N]

Trials one after the other in one relay host: live HTTP-FLV and RTMP from a source with a GOP cache, and a VOD file that
is in the cache. The clock starts just before ``RelayHost.start`` and stops when the sink has the first whole video or
audio frame; sequence headers do not count. Bar: at most 300 ms at p95 for each.
"""

import argparse
import json
import statistics
import subprocess
import sys
from contextlib import ExitStack

from rich.console import Console
from rich.table import Table

from clip import live_clip, vod_clip
from contenders import start_host
from measure import about, allow_many_files
from programs import Program, Sink, Source, cores
from results import Bar, keep, print_bars

BAR_MS = 300.0
TRIAL_SECONDS = 10.0
PREPARE_SECONDS = 60.0
KINDS = ("live http-flv", "live rtmp", "vod cached")


def one_trial(kind: str, name: str, host: Program, source: Source, sink: Sink, timeout: float) -> float:
    """ms from start to first frame. Raises RuntimeError if none comes."""
    if kind == "vod cached":
        job = {"kind": "vod", "sources": [str(vod_clip())], "destinations": [sink.url(name)]}
    else:
        protocol = "http" if kind == "live http-flv" else "rtmp"
        job = {"kind": "live", "sources": [source.url(protocol, "bursts", name)], "destinations": [sink.url(name)]}
    started_ns = host.ask(json.dumps(job))["started_ns"][0]
    while (first := sink.hear(timeout)).get("first") != name:
        pass
    host.ask(json.dumps({"stop": True}))
    taken: float = (first["ns"] - started_ns) / 1e6
    return taken


def run(trials: int) -> dict[str, list[float]]:
    """ms of each trial, by kind."""
    # As a whole: what is asked for by a relay that ends soon is prepared no further than that.
    command = [sys.executable, "-m", "streamferry", "prepare", str(vod_clip())]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, timeout=PREPARE_SECONDS)
    with ExitStack() as stack:
        sink = stack.enter_context(Sink(drain_ms=0, events=True))
        source = stack.enter_context(Source(live_clip()))
        host = start_host(stack)
        return {
            kind: [one_trial(kind, f"{kind.split()[1]}{i}", host, source, sink, TRIAL_SECONDS) for i in range(trials)]
            for kind in KINDS
        }


def p95(values: list[float]) -> float:
    """95th percentile, inclusive."""
    return statistics.quantiles(values, n=20, method="inclusive")[-1]


def main() -> int:
    """Run it. Returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=40)
    asked = parser.parse_args()
    allow_many_files()
    console = Console(width=None if sys.stdout.isatty() else 120)
    taken = run(asked.trials)
    table = Table("start to first frame", "p50 ms", "p95 ms", "max ms")
    for kind, values in taken.items():
        table.add_row(kind, f"{statistics.median(values):.1f}", f"{p95(values):.1f}", f"{max(values):.1f}")
    console.print(table)
    bars = [Bar(f"{kind}, start to first frame p95, ms", p95(values), BAR_MS) for kind, values in taken.items()]
    print_bars(console, bars)
    settings = {**vars(asked), "core_of_relays": cores()[0], "core_of_load": cores()[1]}
    path = keep("first_byte", {**about("first_byte", settings), "trials_ms": taken}, bars)
    console.print(f"kept in {path}", highlight=False)
    return 0 if all(bar.passed for bar in bars) else 1


if __name__ == "__main__":
    sys.exit(main())
