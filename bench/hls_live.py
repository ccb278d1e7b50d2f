"""Live HLS: what 100 sources through us cost, beside 100 ffmpeg processes that do the whole job.

    python bench/hls_live.py [--streams N] [--windows N] [--seconds S]

One live playlist with segments of 4 s, of MPEG-TS or of fragmented MP4, made by ffmpeg and served by nginx, both on the
load's core, is pulled by every relay. Ours are one process; should one need an ffmpeg child, that is counted with it.
Prints a table, keeps everything in ``results/hls_live-COMMIT.json``, exits with 1 if a row or a bar failed.
"""

import argparse
import json
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

from clip import live_clip
from contenders import Relays, start_host
from measure import about, allow_many_files, pss_mib
from programs import Program, Sink, Source, build_native, close_all, cores, start_server, unused_port
from results import Bar, keep, print_bars
from windows import BEHIND_MS, UP_SECONDS, Measured, take_windows

OURS, THEIRS = "streamferry", "ffmpeg"
#: Most CPU that ours may take of theirs, and most memory of a stream in MiB.
CPU_BAR, MEMORY_BAR_MIB = 0.3, 1.0
SEGMENT_SECONDS = 4
#: ffmpeg writes all pictures of a fragment before all of its sound. It reads one at the pace of its stamps, and sends
#: it when its sound is there: once in a segment.
BURST_MS = SEGMENT_SECONDS * 1000


_NGINX = """
daemon off; worker_processes 1; pid {folder}/pid; error_log {folder}/error;
events { worker_connections 4096; }
http { access_log off; client_body_temp_path {folder}/body; keepalive_requests 1000000;
    server { listen 127.0.0.1:PORT; root ROOT; } }
"""
FORMS = {
    "TS": ["-hls_segment_filename", "{}/segment%d.ts"],
    "fMP4": ["-hls_segment_type", "fmp4", "-hls_segment_filename", "{}/segment%d.m4s"],
}


def serve(form: str, stack: ExitStack) -> str:
    """Start a live playlist; its address."""
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="streamferry-bench-")))
    folder.chmod(0o755)
    cutting = [
        "-c",
        "copy",
        "-f",
        "hls",
        "-hls_time",
        str(SEGMENT_SECONDS),
        "-hls_list_size",
        "6",
        "-hls_flags",
        "delete_segments",
    ]
    named = [word.replace("{}", str(folder)) for word in FORMS[form]]
    reading = ["-re", "-stream_loop", "-1", "-i", str(live_clip())]
    maker = ["ffmpeg", "-nostdin", "-loglevel", "error", *reading, *cutting, *named, str(folder / "live.m3u8")]
    stack.enter_context(Program(maker, cores()[1]))
    port = unused_port()
    config = _NGINX.replace("PORT", str(port)).replace("ROOT", str(folder))
    start_server(stack, ["nginx", "-c"], config, port, cores()[1])
    deadline = time.monotonic() + 60
    while len(list(folder.glob("segment*"))) < 4:
        if time.monotonic() > deadline:
            raise RuntimeError("no live playlist came into being")
        time.sleep(0.1)
    return f"http://127.0.0.1:{port}/live.m3u8"


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
        reading = ["-readrate", "1", "-i", address]
        argv = ["ffmpeg", "-nostdin", "-loglevel", "error", *reading, "-c", "copy", "-f", "flv", sink.url(i)]
        programs.append(Program(argv, cores()[0]))
    return Relays(programs)


def measure(name: str, form: str, streams: int, windows: int, seconds: float) -> Measured:
    """Run one row from start to end. What goes wrong is in ``failures``."""
    measured = Measured(f"{name}, {form}")
    burst_ms = BURST_MS if (name, form) == (THEIRS, "fMP4") else 0
    try:
        with ExitStack() as stack:
            sink = stack.enter_context(Sink(fresh_ms=1000 + burst_ms))
            idle = stack.enter_context(Source(live_clip()))
            start = start_ours if name == OURS else start_theirs
            begun = time.monotonic()
            relays = start(serve(form, stack), streams, sink, stack)
            sink.wait_for_streams(streams, UP_SECONDS)
            measured.up_seconds = round(time.monotonic() - begun, 2)
            take_windows(measured, relays, idle, sink, streams, windows, seconds, BEHIND_MS + burst_ms)
            measured.memory_mib = (pss_mib(relays.pids) - relays.empty_mib) / streams
    except (RuntimeError, OSError) as error:
        measured.failures.append(str(error))
    return measured


def main() -> int:
    """Run it. Returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--streams", type=int, default=100)
    parser.add_argument("--windows", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3.0 * SEGMENT_SECONDS, help="length of a window")
    parser.add_argument("--forms", default=",".join(FORMS), help="of the segments")
    asked = parser.parse_args()
    allow_many_files()
    build_native("source"), build_native("sink"), live_clip()
    console = Console(width=None if sys.stdout.isatty() else 160)
    rows = {
        f"{name}, {form}": measure(name, form, asked.streams, asked.windows, asked.seconds)
        for form in asked.forms.split(",")
        for name in (OURS, THEIRS)
    }
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
    bars = []
    for form in asked.forms.split(","):
        mine, theirs = (rows[f"{name}, {form}"] for name in (OURS, THEIRS))
        sound = not mine.failures and not theirs.failures
        ratio = mine.cpu_percent / theirs.cpu_percent if sound and mine.cpu_percent and theirs.cpu_percent else None
        bars += [
            Bar(f"CPU of {OURS} / {THEIRS}, {form}", ratio, CPU_BAR),
            Bar(f"memory of a stream of {OURS}, {form}, MiB", mine.memory_mib if sound else None, MEMORY_BAR_MIB),
        ]
    print_bars(console, bars)
    settings = {**vars(asked), "core_of_relays": cores()[0], "core_of_load": cores()[1]}
    result = {**about("hls_live", settings), "rows": [asdict(row) for row in rows.values()]}
    console.print(f"kept in {keep('hls_live', result, bars)}", highlight=False)
    return 0 if all(bar.passed for bar in bars) else 1


if __name__ == "__main__":
    sys.exit(main())
