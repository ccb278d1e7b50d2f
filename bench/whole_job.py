"""Rows of live sources through us, beside a row of ffmpeg processes that each do the whole job."""

import json
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack

from rich.table import Table

from clip import live_clip
from contenders import Relays, start_host
from measure import pss_mib
from programs import Program, Sink, Source, close_all, cores
from results import Bar
from windows import BEHIND_MS, UP_SECONDS, Measured, measuring, take_windows

OURS, THEIRS = "streamferry", "ffmpeg"


def _start_ours(address: str, count: int, sink: Sink, stack: ExitStack, over_s: float) -> Relays:
    """One process, and its children; the relays begin evenly over so many seconds."""
    host = start_host(stack)
    empty_mib = pss_mib([host.pid])
    begun = time.monotonic()
    for i in range(count):
        time.sleep(max(0.0, begun + over_s * i / count - time.monotonic()))
        host.ask(
            json.dumps({"kind": "live", "sources": [address.replace("{}", str(i))], "destinations": [sink.url(i)]})
        )
    return Relays([host], empty_mib)


def _start_theirs(address: str, count: int, sink: Sink, stack: ExitStack, reading: Sequence[str]) -> Relays:
    """A process for each."""
    words = ["ffmpeg", "-nostdin", "-loglevel", "error", *reading, "-i", address, "-c", "copy", "-f", "flv"]
    relays = Relays([])
    stack.callback(close_all, relays.programs)
    relays.programs += [Program([*words, sink.url(i)], cores()[0]) for i in range(count)]
    return relays


def measure(
    row: str,
    serve: Callable[[ExitStack], str],
    reading: Sequence[str] | None,
    streams: int,
    windows: int,
    seconds: float,
    *,
    burst_ms: int = 0,
    over_s: float = 0.0,
) -> Measured:
    """Run one row from start to end. What goes wrong is in ``failures``.

    ``serve``: starts the source, gives its address, in which ``{}`` is the number of the stream. ``reading``: how
    ffmpeg reads it; None: the row is ours.
    ``burst_ms``: how long at most nothing leaves between two bursts. ``over_s``: ours begin evenly over that time.
    """
    with measuring(row) as (measured, stack):
        sink = stack.enter_context(Sink(fresh_ms=1000 + burst_ms))
        idle = stack.enter_context(Source(live_clip()))
        address = serve(stack)
        begun = time.monotonic()
        if reading is None:
            relays = _start_ours(address, streams, sink, stack, over_s)
        else:
            relays = _start_theirs(address, streams, sink, stack, reading)
        host = relays.programs[0] if reading is None else None
        sink.wait_for_streams(streams, UP_SECONDS)
        measured.up_seconds = round(time.monotonic() - begun, 2)
        take_windows(measured, relays, idle, sink, streams, windows, seconds, BEHIND_MS + burst_ms, host)
        measured.memory_mib = (pss_mib(relays.pids) - relays.empty_mib) / streams
    return measured


def table_of(rows: Sequence[Measured]) -> Table:
    """What was measured, a line each."""
    table = Table("row", "CPU % a stream", "min-max", "MiB a stream", "up s", "beat late p99 ms", "seen")
    for row in rows:
        spread = [window["cpu_percent"] for window in row.windows] or [0.0]
        seen = "; ".join(dict.fromkeys(row.failures)) or "all publishing"
        table.add_row(
            row.row,
            f"{row.cpu_percent or 0:.4f}",
            f"{min(spread):.3f}-{max(spread):.3f}",
            f"{row.memory_mib or 0:.2f}",
            f"{row.up_seconds or 0:.1f}",
            "" if row.beat_late_p99_ms is None else f"{row.beat_late_p99_ms:.1f}",
            seen,
        )
    return table


def bars_of(mine: Measured, theirs: Measured, cpu_bar: float, memory_bar_mib: float, what: str = "") -> list[Bar]:
    """Most CPU that ours may take of theirs, and most memory of a stream in MiB. ``what``: which pair it is."""
    sound = not mine.failures and not theirs.failures
    ratio = mine.cpu_percent / theirs.cpu_percent if sound and mine.cpu_percent and theirs.cpu_percent else None
    return [
        Bar(f"CPU of {OURS} / {THEIRS}{what}", ratio, cpu_bar),
        Bar(f"memory of a stream of {OURS}{what}, MiB", mine.memory_mib if sound else None, memory_bar_mib),
    ]
