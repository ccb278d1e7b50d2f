"""Live RTSP: what 100 cameras through us cost, beside 100 ffmpeg processes that do the whole job.

    python bench/rtsp_live.py [--streams N] [--windows N] [--seconds S]

``rtsp_server.py`` plays one clip of 2 Mbps for every relay, over TCP, on the load's core. Ours are one process; should
one of them need an ffmpeg child, that is counted with it.
Prints a table, keeps everything in ``results/rtsp_live-COMMIT.json``, exits with 1 if a row or a bar failed.
"""

import argparse
import json
import socket
import sys
import time
from contextlib import ExitStack
from dataclasses import asdict

from rich.console import Console
from rich.table import Table

from clip import live_clip
from contenders import Relays, start_host
from measure import about, allow_many_files, pss_mib
from programs import BENCH, SERVER_UP_SECONDS, Program, Sink, Source, build_native, close_all, cores, unused_port
from results import Bar, keep, print_bars
from windows import UP_SECONDS, Measured, take_windows

OURS, THEIRS = "streamferry", "ffmpeg, the whole job"
#: Most CPU that ours may take of theirs, and most memory of a stream in MiB.
CPU_BAR, MEMORY_BAR_MIB = 0.35, 1.0


def serve(stack: ExitStack) -> str:
    """Start a camera; its address."""
    port = unused_port()
    words = [sys.executable, str(BENCH / "rtsp_server.py"), str(port), str(live_clip())]
    stack.enter_context(Program(words, cores()[1]))
    deadline = time.monotonic() + SERVER_UP_SECONDS
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            break
        except ConnectionRefusedError:
            if time.monotonic() > deadline:
                raise RuntimeError("no camera came into being") from None
            time.sleep(0.1)
    return f"rtsp://127.0.0.1:{port}/camera"


def start_ours(address: str, count: int, sink: Sink, stack: ExitStack) -> Relays:
    """One process, and its children."""
    host = start_host(stack)
    empty_mib = pss_mib([host.pid])
    destinations = [sink.url(i) for i in range(count)]
    host.ask(json.dumps({"kind": "live", "sources": [address] * count, "destinations": destinations}))
    return Relays([host], empty_mib)


def start_theirs(address: str, count: int, sink: Sink, stack: ExitStack) -> Relays:
    """A process for each."""
    programs: list[Program] = []
    stack.callback(close_all, programs)
    for i in range(count):
        reading = ["-rtsp_transport", "tcp", "-i", address]
        argv = ["ffmpeg", "-nostdin", "-loglevel", "error", *reading, "-c", "copy", "-f", "flv", sink.url(i)]
        programs.append(Program(argv, cores()[0]))
    return Relays(programs)


def measure(name: str, streams: int, windows: int, seconds: float) -> Measured:
    """Run one row from start to end. What goes wrong is in ``failures``."""
    measured = Measured(name)
    try:
        with ExitStack() as stack:
            sink = stack.enter_context(Sink())
            idle = stack.enter_context(Source(live_clip()))
            start = start_ours if name == OURS else start_theirs
            address = serve(stack)
            begun = time.monotonic()
            relays = start(address, streams, sink, stack)
            sink.wait_for_streams(streams, UP_SECONDS)
            measured.up_seconds = round(time.monotonic() - begun, 2)
            take_windows(measured, relays, idle, sink, streams, windows, seconds)
            measured.memory_mib = (pss_mib(relays.pids) - relays.empty_mib) / streams
    except (RuntimeError, OSError) as error:
        measured.failures.append(str(error))
    return measured


def main() -> int:
    """Run it. Returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--streams", type=int, default=100)
    parser.add_argument("--windows", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=10.0, help="length of a window")
    asked = parser.parse_args()
    allow_many_files()
    build_native("source"), build_native("sink"), live_clip()
    console = Console(width=None if sys.stdout.isatty() else 160)
    rows = {name: measure(name, asked.streams, asked.windows, asked.seconds) for name in (OURS, THEIRS)}
    table = Table("row", "CPU % a stream", "min-max", "MiB a stream", "up s", "seen")
    for name, row in rows.items():
        spread = [window["cpu_percent"] for window in row.windows] or [0.0]
        seen = "; ".join(dict.fromkeys(row.failures)) or "all publishing"
        table.add_row(
            name,
            f"{row.cpu_percent or 0:.4f}",
            f"{min(spread):.3f}-{max(spread):.3f}",
            f"{row.memory_mib or 0:.2f}",
            f"{row.up_seconds or 0:.1f}",
            seen,
        )
    console.print(table)
    mine, theirs = rows[OURS], rows[THEIRS]
    sound = not mine.failures and not theirs.failures
    ratio = mine.cpu_percent / theirs.cpu_percent if sound and mine.cpu_percent and theirs.cpu_percent else None
    bars = [
        Bar(f"CPU of {OURS} / {THEIRS}", ratio, CPU_BAR),
        Bar(f"memory of a stream of {OURS}, MiB", mine.memory_mib if sound else None, MEMORY_BAR_MIB),
    ]
    print_bars(console, bars)
    settings = {**vars(asked), "core_of_relays": cores()[0], "core_of_load": cores()[1]}
    result = {**about("rtsp_live", settings), "rows": [asdict(row) for row in rows.values()]}
    console.print(f"kept in {keep('rtsp_live', result, bars)}", highlight=False)
    return 0 if all(bar.passed for bar in bars) else 1


if __name__ == "__main__":
    sys.exit(main())
