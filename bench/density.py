"""Density: what relaying one 2 Mbps 720p30 stream costs, ours beside ffmpeg, nginx-rtmp and HAProxy in one run.

    python bench/density.py [--rows TEXT,TEXT] [--streams N] [--windows N] [--seconds S] [--moments N]

Each row relays N streams from the source to the sink, waits until all of them publish, lets them settle, and then takes
the CPU of the relay processes over some windows and their memory at the end. A row fails unless the sink saw every
stream publishing in every window, in real time. Then the bars are tested: ours over a peer's, of the same run.
Prints tables, keeps everything in ``results/density-COMMIT.json``, exits with 1 if a row or a bar failed.
"""

import argparse
import statistics
import sys
import time
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from typing import Any

from rich.console import Console
from rich.table import Table

from clip import live_clip, vod_clip
from contenders import Feed, Relays, Start, ffmpeg, haproxy, nginx_rtmp, streamferry
from measure import about, allow_many_files, cpu_ns, cpu_ns_between, machine_ticks, pss_mib
from programs import Sink, Source, build_native, cores
from results import Bar, keep, print_bars

#: Time for N relays to come up; a hundred ffmpeg on one core need about ten seconds.
UP_SECONDS = 90.0
#: GOP caches are sent, sockets have grown their buffers.
SETTLE_SECONDS = 4.0
#: Stamps may advance this much less than a window lasts: a keyframe in pieces takes 0.3 s, a beat 0.1 s.
BEHIND_MS = 600

ROWS: dict[str, tuple[Start, Feed]] = {
    "streamferry http-flv bursts": (streamferry, Feed("http")),
    "streamferry http-flv pieces": (streamferry, Feed("http", "pieces")),
    "streamferry rtmp bursts": (streamferry, Feed("rtmp")),
    "streamferry vod loop": (streamferry, Feed("vod")),
    "haproxy bursts": (haproxy, Feed("publish")),
    "haproxy pieces": (haproxy, Feed("publish", "pieces")),
    "nginx-rtmp bursts": (nginx_rtmp, Feed("publish")),
    "nginx-rtmp pieces": (nginx_rtmp, Feed("publish", "pieces")),
    "ffmpeg http-flv bursts": (ffmpeg, Feed("http")),
    "ffmpeg http-flv pieces": (ffmpeg, Feed("http", "pieces")),
    "ffmpeg rtmp bursts": (ffmpeg, Feed("rtmp")),
    "ffmpeg -re vod loop": (ffmpeg, Feed("vod")),
}

#: (row, peer's row, most it may cost of it)
CPU_BARS = (
    ("streamferry http-flv bursts", "haproxy bursts", 1.2),
    ("streamferry http-flv bursts", "ffmpeg http-flv bursts", 0.25),
    ("streamferry http-flv pieces", "haproxy pieces", 0.6),
    ("streamferry http-flv pieces", "ffmpeg http-flv pieces", 0.2),
    ("streamferry vod loop", "haproxy bursts", 0.8),
    ("streamferry vod loop", "ffmpeg -re vod loop", 0.12),
)
MEMORY_BAR_MIB = 0.6


@dataclass
class Measured:
    """One row. CPU in percent of one core for a stream, memory in MiB for a stream beyond the empty process."""

    row: str
    cpu_percent: float | None = None
    memory_mib: float | None = None
    up_seconds: float | None = None
    windows: list[dict[str, Any]] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)


def measure_row(name: str, streams: int, windows: int, seconds: float, moments: int) -> Measured:
    """Run one row from start to end. What goes wrong is in ``failures``; only the order to stop is raised."""
    start, feed = ROWS[name]
    measured = Measured(name)
    try:
        with ExitStack() as stack:
            sink = stack.enter_context(Sink())
            source = stack.enter_context(Source(live_clip(), moments))
            begun = time.monotonic()
            relays = start(feed, streams, source, sink, stack)
            sink.wait_for_streams(streams, UP_SECONDS)
            measured.up_seconds = round(time.monotonic() - begun, 2)
            take_windows(measured, relays, source, sink, streams, windows, seconds)
            measured.memory_mib = (pss_mib(relays.pids) - relays.empty_mib) / streams
    except (RuntimeError, OSError) as error:
        measured.failures.append(str(error))
    return measured


def take_windows(
    measured: Measured, relays: Relays, source: Source, sink: Sink, streams: int, windows: int, seconds: float
) -> None:
    """Let the streams settle, then take the windows, the median of their CPU, and why one of them does not count."""
    time.sleep(SETTLE_SECONDS)
    source.report(), sink.report()
    for _ in range(windows):
        window = measure_window(relays, source, sink, streams, seconds)
        measured.windows.append(window)
        measured.failures += doubts(window, streams)
    measured.cpu_percent = statistics.median(window["cpu_percent"] for window in measured.windows)


def measure_window(relays: Relays, source: Source, sink: Sink, streams: int, seconds: float) -> dict[str, Any]:
    """CPU over a window, and what the source, the sink and the machine saw of it."""
    machine, load = machine_ticks(), {program: cpu_ns([program.pid]) for program in (source, sink)}
    begun, before = time.monotonic_ns(), cpu_ns(relays.pids)
    time.sleep(seconds)
    spent, lasted = cpu_ns_between(before, cpu_ns(relays.pids)), time.monotonic_ns() - begun
    source_ns, sink_ns = (cpu_ns_between(earlier, cpu_ns([program.pid])) for program, earlier in load.items())
    total, idle, stolen = (b - a for a, b in zip(machine, machine_ticks(), strict=True))
    return {
        "seconds": round(lasted / 1e9, 3),
        "cpu_percent": 100 * spent / lasted / streams,
        "machine_busy_percent": round(100 * (1 - idle / total), 1),
        "machine_stolen_percent": round(100 * stolen / total, 1),
        "source_core_percent": round(100 * source_ns / lasted, 1),
        "sink_core_percent": round(100 * sink_ns / lasted, 1),
        "source": source.report(),
        "sink": sink.report(),
    }


def doubts(window: dict[str, Any], streams: int) -> list[str]:
    """Why the window does not count: a stream that was not seen publishing all through it, in real time."""
    sink, source = window["sink"], window["source"]
    found = []
    if sink["fresh"] != streams or sink["streams"] != streams:
        found.append(f"{sink['fresh']} of {sink['streams']} streams publishing, not {streams}")
    if sink["lost"] or sink["new_streams"]:
        found.append(f"{sink['lost']} streams left and {sink['new_streams']} came")
    if sink["min_advance_ms"] < window["seconds"] * 1000 - BEHIND_MS:
        found.append(f"a stream advanced {sink['min_advance_ms']} ms in {window['seconds']} s")
    if sink["backwards"]:
        found.append(f"{sink['backwards']} stamps went back")
    if source["dropped"]:
        found.append(f"{source['dropped']} streams were read too slowly")
    return found


def test_bars(rows: dict[str, Measured]) -> list[Bar]:
    """The bars whose rows were measured."""
    bars = []
    for name, peer, most in CPU_BARS:
        if name in rows and peer in rows:
            mine, theirs = rows[name].cpu_percent, rows[peer].cpu_percent
            ratio = mine / theirs if mine is not None and theirs else None
            sound = not rows[name].failures and not rows[peer].failures
            bars.append(Bar(f"CPU of {name} / {peer}", ratio if sound else None, most))
    for name, row in rows.items():
        if name.startswith("streamferry"):
            bars.append(Bar(f"MiB a stream, {name}", None if row.failures else row.memory_mib, MEMORY_BAR_MIB))
    return bars


def print_rows(console: Console, rows: dict[str, Measured]) -> None:
    """The table of costs, and of ratios to what each kind of row is measured against."""
    references = dict.fromkeys(peer for _, peer, _ in CPU_BARS)
    shown = [name for name in references if name in rows and rows[name].cpu_percent]
    table = Table("row", "CPU %", "min-max", "MiB", "up s", *(f"/ {name}" for name in shown), "seen")
    for name, row in rows.items():
        cpu = row.cpu_percent
        if cpu is None:
            table.add_row(name, *["-"] * (4 + len(shown)), "; ".join(row.failures))
            continue
        spread = [window["cpu_percent"] for window in row.windows]
        table.add_row(
            name,
            f"{cpu:.4f}",
            f"{min(spread):.3f}-{max(spread):.3f}",
            f"{row.memory_mib:.3f}",
            f"{row.up_seconds:.1f}",
            *(f"{cpu / (rows[reference].cpu_percent or 1):.2f}" for reference in shown),
            "; ".join(dict.fromkeys(row.failures)) or "all publishing",
        )
    console.print(table)


def main() -> int:
    """Run the rows asked for. Returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", default="", help="only rows whose name holds one of these texts, comma separated")
    parser.add_argument("--streams", type=int, default=100)
    parser.add_argument("--windows", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=6.0, help="length of a window")
    parser.add_argument(
        "--moments",
        type=int,
        default=100,
        help="moments of a period that live streams send at: few make them come in step, which spares event loops",
    )
    asked = parser.parse_args()
    wanted = [text.strip() for text in asked.rows.split(",")]
    names = [name for name in ROWS if any(text in name for text in wanted)]

    allow_many_files()
    build_native("source"), build_native("sink"), live_clip(), vod_clip()
    console = Console(width=None if sys.stdout.isatty() else 200)
    rows = {}
    for name in names:
        rows[name] = row = measure_row(name, asked.streams, asked.windows, asked.seconds, asked.moments)
        cpu = "no figure" if row.cpu_percent is None else f"{row.cpu_percent:.4f} %"
        console.print(f"{name}: {cpu} {'; '.join(row.failures)}", highlight=False)
    bars = test_bars(rows)
    print_rows(console, rows)
    print_bars(console, bars)
    settings = {
        **vars(asked),
        "core_of_relays": cores()[0],
        "core_of_load": cores()[1],
        "haproxy_relays": "the same media published over RTMP, as bytes",
    }
    path = keep("density", {**about("density", settings), "rows": [asdict(row) for row in rows.values()]}, bars)
    console.print(f"kept in {path}")
    return 0 if all(bar.passed for bar in bars) and not any(row.failures for row in rows.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
