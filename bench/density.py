"""Density: what relaying a 2 Mbps 720p30 stream costs, beside ffmpeg, nginx-rtmp, HAProxy and the floor, in one run.

    python bench/density.py [--rows TEXT,TEXT] [--no-peers] [--before PATH] [--rounds N] [--streams N] [--seconds S]

A round runs every row once: it relays N streams from the source to the sink, waits until all of them publish, lets
them settle, and takes the CPU of the relay processes over a window and their memory at its end. A row's figure is the
median of the rounds; a ratio is taken within each round, and the median of those is tested against its bar, so that a
machine that changes in the course of the run changes all rows. A window counts only if the sink saw every stream
publishing all through it, in real time; one that does not count is taken anew, once a round, and then the row fails.

``--before PATH``: another checkout, made by ``git worktree add --detach PATH COMMIT``. Each row of ours is followed in
each round by the same of that checkout. ``--no-peers``: only rows of ours, of the floor, and of that checkout.

Prints tables, keeps everything in ``results/density-COMMIT.json`` (``density_part-...`` when rows were left out), exits
with 1 if a row or a bar failed.
"""

import argparse
import statistics
import sys
import time
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from clip import live_clip, vod_clip
from contenders import (
    BEAT_MS,
    Feed,
    Start,
    check_checkout,
    ffmpeg,
    floor,
    haproxy,
    nginx_rtmp,
    python_floor,
    streamferry,
)
from measure import about, allow_many_files, commit, pss_mib
from programs import Sink, Source, build_native, cores
from results import Bar, keep, print_bars
from tls import certificate, put_in_front
from windows import UP_SECONDS, Measured, measuring, take_windows

BEFORE = "before: "


@dataclass(frozen=True)
class Row:
    """What is started and what it is given. ``tls``: the destinations take RTMPS."""

    start: Start
    feed: Feed
    tls: bool = False


#: In the order in which a round runs them: what is compared lies close together.
ROWS = {
    "live normal bursts": Row(streamferry, Feed("http")),
    "live low bursts": Row(streamferry, Feed("http", latency="low")),
    "haproxy bursts": Row(haproxy, Feed("publish")),
    "floor live normal bursts": Row(floor, Feed("publish")),
    "floor in Python live normal bursts": Row(python_floor, Feed("publish")),
    "ffmpeg live bursts": Row(ffmpeg, Feed("http")),
    "live normal pieces": Row(streamferry, Feed("http", "pieces")),
    "haproxy pieces": Row(haproxy, Feed("publish", "pieces")),
    "floor live normal pieces": Row(floor, Feed("publish", "pieces")),
    "floor in Python live normal pieces": Row(python_floor, Feed("publish", "pieces")),
    "ffmpeg live pieces": Row(ffmpeg, Feed("http", "pieces")),
    "nginx-rtmp bursts": Row(nginx_rtmp, Feed("publish")),
    "nginx-rtmp pieces": Row(nginx_rtmp, Feed("publish", "pieces")),
    "RTMP source normal bursts": Row(streamferry, Feed("rtmp")),
    "ffmpeg RTMP source bursts": Row(ffmpeg, Feed("rtmp")),
    "list": Row(streamferry, Feed("list")),
    "floor list": Row(floor, Feed("list")),
    "floor in Python list": Row(python_floor, Feed("list")),
    "ffmpeg list": Row(ffmpeg, Feed("list")),
    "live normal to RTMPS": Row(streamferry, Feed("http"), tls=True),
    "haproxy to TLS": Row(haproxy, Feed("publish"), tls=True),
    "ffmpeg live to RTMPS": Row(ffmpeg, Feed("http"), tls=True),
}

#: (row, row it is compared with, most it may cost of that)
CPU_BARS = (
    ("live normal bursts", "haproxy bursts", 0.5),
    ("live normal bursts", "ffmpeg live bursts", 0.13),
    ("live normal bursts", "floor live normal bursts", 2.4),
    ("live normal pieces", "haproxy pieces", 0.2),
    ("live normal pieces", "ffmpeg live pieces", 0.12),
    ("live normal pieces", "floor live normal pieces", 2.4),
    ("live low bursts", "haproxy bursts", 0.72),
    ("live low bursts", "ffmpeg live bursts", 0.17),
    ("RTMP source normal bursts", "haproxy bursts", 0.6),
    ("RTMP source normal bursts", "ffmpeg RTMP source bursts", 0.14),
    ("list", "haproxy bursts", 0.3),
    ("list", "ffmpeg list", 0.045),
    ("list", "floor list", 1.7),
    ("live normal to RTMPS", "ffmpeg live to RTMPS", 0.3),
)
MEMORY_BAR_MIB = 0.6


@dataclass
class Figures:
    """A row. CPU in percent of one core for a stream, memory in MiB for a stream beyond the empty process: medians of
    the rounds. A round that gave no figure has None in its place."""

    row: str
    cpu_percent: float | None = None
    memory_mib: float | None = None
    cpu_of_rounds: list[float | None] = field(default_factory=list)
    memory_of_rounds: list[float | None] = field(default_factory=list)
    up_seconds: list[float] = field(default_factory=list)
    windows: list[dict[str, Any]] = field(default_factory=list)
    #: Why windows did not count that were taken anew.
    discarded: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def close_round(self, measured: Measured) -> None:
        """Take the figures of a round."""
        self.cpu_of_rounds.append(measured.cpu_percent)
        self.memory_of_rounds.append(measured.memory_mib)
        self.up_seconds += [measured.up_seconds] if measured.up_seconds else []
        self.windows += measured.windows
        self.failures += measured.failures
        self.cpu_percent = _median(self.cpu_of_rounds)
        self.memory_mib = _median(self.memory_of_rounds)


def _median(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None


def ratios(mine: Figures, theirs: Figures) -> list[float]:
    """One over the other, of each round that has both."""
    pairs = zip(mine.cpu_of_rounds, theirs.cpu_of_rounds, strict=False)
    return [a / b for a, b in pairs if a is not None and b]


def run_once(name: str, row: Row, streams: int, seconds: float, moments: int) -> Measured:
    """Start a row, take a window, end it. What goes wrong is in its failures; only the order to stop is raised."""
    with measuring(name) as (measured, stack):
        sink = stack.enter_context(Sink())
        if row.tls:
            put_in_front(sink, stack)
        source = stack.enter_context(Source(live_clip(), moments))
        begun = time.monotonic()
        relays = row.start(row.feed, streams, source, sink, stack)
        sink.wait_for_streams(streams, UP_SECONDS)
        measured.up_seconds = round(time.monotonic() - begun, 2)
        take_windows(measured, relays, source, sink, streams, 1, seconds)
        measured.memory_mib = (pss_mib(relays.pids) - relays.empty_mib) / streams
    return measured


def run_round(row: Row, figures: Figures, streams: int, seconds: float, moments: int) -> str:
    """One round of one row. Returns how it went, for who watches."""
    measured = run_once(figures.row, row, streams, seconds, moments)
    discarded = measured.failures
    if discarded:
        measured = run_once(figures.row, row, streams, seconds, moments)
    figures.discarded += discarded
    figures.close_round(measured)
    cpu = "no figure" if measured.cpu_percent is None else f"{measured.cpu_percent:.4f} %"
    anew = f"taken anew: {'; '.join(discarded)}" if discarded else ""
    return " ".join((cpu, anew, *measured.failures))


def rows_asked(texts: str, before: Path | None, no_peers: bool) -> dict[str, Row]:
    """The rows whose name holds one of the texts, each of ours followed by that of the other checkout."""
    rows = {}
    for name, row in ROWS.items():
        ours = row.start is streamferry
        if no_peers and not ours and row.start not in (floor, python_floor):
            continue
        if not any(text.strip() in name for text in texts.split(",")):
            continue
        rows[name] = row
        if ours and before is not None:
            rows[BEFORE + name] = Row(partial(streamferry, checkout=before), row.feed, row.tls)
    return rows


def judge(rows: dict[str, Figures]) -> list[Bar]:
    """The bars whose rows were measured."""
    bars = []
    for name, peer, most in CPU_BARS:
        if name in rows and peer in rows:
            found = ratios(rows[name], rows[peer])
            is_sound = found and not rows[name].failures and not rows[peer].failures
            bars.append(Bar(f"CPU of {name} / {peer}", statistics.median(found) if is_sound else None, most))
    for name, row in rows.items():
        if name in ROWS and ROWS[name].start is streamferry:
            bars.append(Bar(f"MiB a stream, {name}", None if row.failures else row.memory_mib, MEMORY_BAR_MIB))
    return bars


def print_rows(console: Console, rows: dict[str, Figures]) -> None:
    """The table of costs."""
    table = Table("row", "CPU %", "min-max", "MiB", "up s", "seen")
    for name, row in rows.items():
        spread = [cpu for cpu in row.cpu_of_rounds if cpu is not None]
        seen = "; ".join(dict.fromkeys(row.failures)) or "all publishing"
        if row.cpu_percent is None:
            table.add_row(name, *["-"] * 4, seen)
            continue
        limits = f"{min(spread):.4f}-{max(spread):.4f}"
        up = f"{max(row.up_seconds):.1f}"
        table.add_row(name, f"{row.cpu_percent:.4f}", limits, f"{row.memory_mib:.3f}", up, seen)
    console.print(table)


def print_pairs(console: Console, rows: dict[str, Figures]) -> None:
    """Ours now over ours of the other checkout."""
    table = Table("now / before", "CPU", "min-max", "MiB now", "MiB before")
    for name, row in rows.items():
        before = rows.get(BEFORE + name)
        found = ratios(row, before) if before else []
        if before and found:
            ratio, limits = f"{statistics.median(found):.2f}", f"{min(found):.2f}-{max(found):.2f}"
            table.add_row(name, ratio, limits, f"{row.memory_mib:.3f}", f"{before.memory_mib:.3f}")
    if table.row_count:
        console.print(table)


def main() -> int:
    """Run the rows asked for. Returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", default="", help="only rows whose name holds one of these texts, comma separated")
    parser.add_argument("--no-peers", action="store_true", help="only rows of ours and of the floor")
    parser.add_argument("--before", type=Path, help="another checkout, whose rows follow each of ours")
    parser.add_argument("--streams", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5.0, help="length of a window")
    parser.add_argument(
        "--moments",
        type=int,
        default=100,
        help="moments of a period that live streams send at: few make them come in step, which spares event loops",
    )
    asked = parser.parse_args()
    before = asked.before and asked.before.resolve()
    if before:
        check_checkout(before)
    wanted = rows_asked(asked.rows, before, asked.no_peers)

    allow_many_files()
    for program in ("source", "sink", "floor"):
        build_native(program)
    live_clip(), vod_clip(), certificate()
    console = Console(width=None if sys.stdout.isatty() else 160)
    rows = {name: Figures(name) for name in wanted}
    begun = time.monotonic()
    for number in range(1, asked.rounds + 1):
        for name, row in wanted.items():
            went = run_round(row, rows[name], asked.streams, asked.seconds, asked.moments)
            at = f"{time.monotonic() - begun:4.0f} s, round {number} of {asked.rounds}"
            console.print(f"{at}, {name}: {went}", highlight=False)
    bars = judge(rows)
    print_rows(console, rows)
    print_pairs(console, rows)
    print_bars(console, bars)
    settings = {
        **vars(asked),
        "before": before and commit(before / "bench"),
        "beat_ms": BEAT_MS,
        "core_of_relays": cores()[0],
        "core_of_load": cores()[1],
        "haproxy_relays": "the same media published over RTMP, as bytes",
    }
    result = {**about("density", settings), "rows": [asdict(row) for row in rows.values()]}
    # README's table is written from a run of all rows; a part of it does not take its place.
    kept = keep("density" if rows.keys() >= ROWS.keys() else "density_part", result, bars)
    console.print(f"kept in {kept}", highlight=False)
    return 0 if all(bar.passed for bar in bars) and not any(row.failures for row in rows.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
