"""Soak of live HLS: relays of channels that slide, begin anew and drop, in one process of ours: what grows, who is off.

    python bench/hls_soak.py [--minutes N] [--warm-up N] [--streams N]

See ``odd_hls_server.py`` for what the channels do wrong. Each minute all relays are looked at, and the host makes a
full garbage collection. Bars:

    off air   streams of which no frame came in the last second, in any look at a minute's end: a channel that answers
              503 for up to 8 s, or has just begun anew, may be among them, at most a tenth
    lost      publish sessions that ended: none, whatever the sources do
    growth    of proportional set size and open files, after the warm-up: from the least of its first five minutes
              to the least of its last five

Kept in ``results/hls_soak-COMMIT.json``. Exits with 1 if a bar failed. It needs a core.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from rich.console import Console

from clip import live_clip
from contenders import start_host
from measure import PROC, about, allow_many_files, cpu_ns, pss_mib
from odd_hls_server import SEGMENT_S
from programs import BENCH, Program, Sink, build_native, cores
from results import Bar, keep, print_bars
from windows import UP_SECONDS

MEMORY_BAR_MIB = 5.0
FILES_BAR = 20.0
OFF_PERCENT = 10.0


def cut(folder: Path) -> None:
    """The clip in segments."""
    cutting = ["-c", "copy", "-f", "segment", "-segment_time", f"{SEGMENT_S:g}", "-segment_format", "mpegts"]
    command = ["ffmpeg", "-nostdin", "-loglevel", "error", "-i", str(live_clip()), *cutting, str(folder / "%d.ts")]
    subprocess.run(command, check=True)


def look(host: Program, sink: Sink) -> dict[str, Any]:
    """What goes on now."""
    return {
        "sink": sink.report(),
        "host": host.ask(json.dumps({"report": True})),
        **host.ask(json.dumps({"collect": True})),
        "memory_mib": round(pss_mib([host.pid]), 2),
        "files": len(os.listdir(PROC / str(host.pid) / "fd")),
    }


def growth(minutes: list[dict[str, Any]], what: str) -> float:
    """From the least of the first five minutes to the least of the last five."""
    early, late = (min(minute[what] for minute in part) for part in (minutes[:5], minutes[-5:]))
    return float(round(late - early, 2))


def main() -> int:
    """Run it. Returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=int, default=20)
    parser.add_argument("--warm-up", type=int, default=5, help="how many of the minutes do not count for growth")
    parser.add_argument("--streams", type=int, default=100)
    parser.add_argument("--seed", default="1")
    asked = parser.parse_args()
    if asked.minutes <= asked.warm_up:
        parser.error("there have to be more minutes than those of the warm-up")
    allow_many_files()
    build_native("sink")
    console = Console(width=None if sys.stdout.isatty() else 160)
    minutes: list[dict[str, Any]] = []
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="streamferry-bench-")))
        cut(folder)
        argv = [sys.executable, BENCH / "odd_hls_server.py", folder, asked.seed]
        server = stack.enter_context(Program(argv, cores()[1], talks=True))
        port = server.hear()["port"]
        sink = stack.enter_context(Sink(drain_ms=40))
        host = start_host(stack)
        job = {
            "kind": "live",
            "sources": [f"http://127.0.0.1:{port}/c{i}/live.m3u8" for i in range(asked.streams)],
            "destinations": [sink.url(i) for i in range(asked.streams)],
        }
        host.ask(json.dumps(job))
        sink.wait_for_streams(asked.streams, UP_SECONDS)
        sink.report()
        for number in range(1, asked.minutes + 1):
            time.sleep(60)
            minute = look(host, sink)
            minutes.append(minute)
            console.print(
                f"minute {number}: {minute['memory_mib']} MiB, {minute['objects']} objects, {minute['files']} files,"
                f" {minute['sink']['fresh']} on air, {minute['sink']['lost']} lost, {minute['host']['states']},"
                f" {minute['host']['dropped_tags']} dropped, beat {minute['host']['beat_worst_late_ms']:.0f} ms late",
                highlight=False,
            )
        cpu_s = sum(cpu_ns([host.pid]).values()) / 1e9
    steady = minutes[asked.warm_up :]
    off = max(100 * (1 - minute["sink"]["fresh"] / asked.streams) for minute in minutes)
    bars = [
        Bar("most streams off air at a minute's end, %", off, OFF_PERCENT),
        Bar("publish sessions lost", float(sum(minute["sink"]["lost"] for minute in minutes)), 0.0),
        Bar("growth of memory_mib", growth(steady, "memory_mib"), MEMORY_BAR_MIB),
        Bar("growth of files", growth(steady, "files"), FILES_BAR),
    ]
    print_bars(console, bars)
    settings = {**vars(asked), "core_of_relays": cores()[0], "core_of_load": cores()[1]}
    result = {**about("hls_soak", settings), "cpu_s": round(cpu_s, 1), "minutes": minutes}
    console.print(f"kept in {keep('hls_soak', result, bars)}", highlight=False)
    return 0 if all(bar.passed for bar in bars) else 1


if __name__ == "__main__":
    sys.exit(main())
