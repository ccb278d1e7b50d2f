"""Live HLS: what 100 sources through us cost, beside 100 ffmpeg processes that do the whole job.

    python bench/hls_live.py [--streams N] [--windows N] [--seconds S] [--over S]

One live playlist with segments of 4 s, of MPEG-TS or of fragmented MP4, made by ffmpeg and served by nginx, both on the
load's core, is pulled by every relay. Ours are one process; should one need an ffmpeg child, that is counted with it.
They begin evenly over a segment, as sources that know nothing of each other lie; ``--over 0`` begins all at once, where
each holds its whole fragment at the same moment. 100 ffmpeg take some 15 s until all of them run.
As many FLV sources are a row of their own: no more than they may these delay the beat of a process.
Prints a table, keeps everything in ``results/hls_live-COMMIT.json``, exits with 1 if a row or a bar failed.
"""

import argparse
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import asdict
from functools import partial
from pathlib import Path

from rich.console import Console

from clip import live_clip
from contenders import BEAT_MS
from measure import about, allow_many_files
from programs import Program, Source, build_native, cores, start_server, unused_port
from results import Bar, keep, print_bars
from whole_job import OURS, THEIRS, bars_of, measure, table_of
from windows import Measured

#: Most CPU that ours may take of theirs, and most memory of a stream in MiB.
CPU_BAR, MEMORY_BAR_MIB = 0.3, 1.0
#: By how much more turns of the beat may be late than with FLV sources, at p99: a tenth of a beat. What comes between
#: two visits waits for up to a whole one anyway.
LATE_BAR_MS = BEAT_MS["normal"] / 10
FLV = "FLV"
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


def serve_flv(stack: ExitStack) -> str:
    """Start FLV sources; their address."""
    return stack.enter_context(Source(live_clip())).url("http", "bursts", "{}")


def late_bar(mine: Measured, flv: Measured, form: str) -> Bar:
    """See ``LATE_BAR_MS``."""
    late_ms, flv_ms = mine.beat_late_p99_ms, flv.beat_late_p99_ms
    is_sound = not mine.failures and not flv.failures and late_ms is not None and flv_ms is not None
    return Bar(f"beat late p99, {form} more than FLV, ms", late_ms - flv_ms if is_sound else None, LATE_BAR_MS)


def main() -> int:
    """Run it. Returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--streams", type=int, default=100)
    parser.add_argument("--windows", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3.0 * SEGMENT_SECONDS, help="length of a window")
    parser.add_argument("--over", type=float, default=1.0 * SEGMENT_SECONDS, help="seconds in which ours begin")
    parser.add_argument("--forms", default=",".join(FORMS), help="of the segments")
    asked = parser.parse_args()
    allow_many_files()
    build_native("source"), build_native("sink"), live_clip()
    console = Console(width=None if sys.stdout.isatty() else 160)
    amount = (asked.streams, asked.windows, asked.seconds)
    rows: dict[tuple[str, str], Measured] = {}
    rows[OURS, FLV] = measure(f"{OURS}, {FLV}", serve_flv, None, *amount, over_s=asked.over)
    for form in asked.forms.split(","):
        serve_form = partial(serve, form)
        for name, reading, burst_ms in (
            (OURS, None, 0),
            (THEIRS, ["-readrate", "1"], BURST_MS if form == "fMP4" else 0),
        ):
            rows[name, form] = measure(
                f"{name}, {form}", serve_form, reading, *amount, burst_ms=burst_ms, over_s=asked.over
            )
    console.print(table_of([*rows.values()]))
    bars = [
        bar
        for form in asked.forms.split(",")
        for bar in (
            *bars_of(rows[OURS, form], rows[THEIRS, form], CPU_BAR, MEMORY_BAR_MIB, f", {form}"),
            late_bar(rows[OURS, form], rows[OURS, FLV], form),
        )
    ]
    print_bars(console, bars)
    settings = {**vars(asked), "core_of_relays": cores()[0], "core_of_load": cores()[1]}
    result = {**about("hls_live", settings), "rows": [asdict(row) for row in rows.values()]}
    console.print(f"kept in {keep('hls_live', result, bars)}", highlight=False)
    return 0 if all(bar.passed for bar in bars) else 1


if __name__ == "__main__":
    sys.exit(main())
