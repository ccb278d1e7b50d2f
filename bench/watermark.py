"""Watermark: what a watermarked VOD loop costs after its first pass, beside a plain loop and ffmpeg doing it live.

    python bench/watermark.py [--streams N] [--windows N] [--seconds S]

The clip is encoded with the settings that streamferry's own preparation uses, so that the watermarked file has about
its bit rate: what a loop costs is mostly its bytes. The preparation is done, and timed, before the loops are measured.
Prints a table, keeps everything in ``results/watermark-COMMIT.json``, exits with 1 if a row or a bar failed.
"""

import argparse
import json
import os
import subprocess
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
from measure import about, allow_many_files
from programs import BUILD, Program, Sink, Source, build_native, cores
from results import Bar, keep, print_bars
from windows import UP_SECONDS, Measured, measuring, take_windows

SECONDS = 20
PLACE = (0.8, 0.05, 0.15)
PLAIN, MARKED, LIVE = "plain loop", "watermarked loop", "ffmpeg overlay + x264"
#: (row, peer's row, most it may cost of it)
BARS = ((MARKED, PLAIN, 1.1), (MARKED, LIVE, 0.02))
_X264 = ("-c:v", "libx264", "-preset", "veryfast", "-crf", "20", "-maxrate", "3226k", "-bufsize", "6452k")


def film() -> Path:
    """The first 20 s of the clip of the other benchmarks in our own encoder's settings. Made once."""
    path = BUILD / "watermark.mp4"
    if not path.exists():
        cut = ("-t", str(SECONDS), "-i", str(live_clip()))
        _ffmpeg(*cut, *_X264, "-g", "60", "-c:a", "copy", "-movflags", "+faststart", str(path))
    return path


def picture() -> Path:
    """A half transparent PNG of 400 x 200. Made once."""
    path = BUILD / "watermark.png"
    if not path.exists():
        _ffmpeg(
            "-f", "lavfi", "-i", "testsrc2=s=400x200,format=rgba,colorchannelmixer=aa=0.5", "-frames:v", "1", str(path)
        )
    return path


def _ffmpeg(*words: str) -> None:
    subprocess.run(["ffmpeg", "-nostdin", "-y", "-loglevel", "error", *words], check=True)


def prepare(marked: bool) -> float:
    """Put the film into the cache; the seconds it took."""
    words = [
        "--watermark",
        str(picture()),
        "--watermark-pos",
        f"{PLACE[0]},{PLACE[1]}",
        "--watermark-ratio",
        str(PLACE[2]),
    ]
    began = time.monotonic()
    subprocess.run(
        [sys.executable, "-c", "from streamferry.cli import main; main()", "prepare", str(film()), *words * marked],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    return time.monotonic() - began


def start_loops(marked: bool, count: int, sink: Sink, stack: ExitStack) -> Relays:
    """Ours: one process with all loops."""
    host = start_host(stack)
    job = {"kind": "vod", "sources": [str(film())], "destinations": [sink.url(i) for i in range(count)]}
    host.ask(json.dumps(job | ({"watermark": [str(picture()), *PLACE]} if marked else {})))
    return Relays([host])


def start_ffmpeg(sink: Sink, stack: ExitStack) -> Relays:
    """One ffmpeg that lays the picture over each loop anew."""
    x, y, ratio = PLACE
    graph = f"[1:v]scale={round(1280 * ratio)}:-1[m];[0:v][m]overlay=x={round(1280 * x)}:y={round(720 * y)}"
    reading = ["-re", "-stream_loop", "-1", "-i", str(film()), "-i", str(picture())]
    coding = ["-filter_complex", graph, *_X264, "-pix_fmt", "yuv420p", "-g", "60", "-c:a", "copy"]
    argv = ["ffmpeg", "-nostdin", "-loglevel", "error", *reading, *coding, "-f", "flv", sink.url(0)]
    return Relays([stack.enter_context(Program(argv, cores()[0]))])


def measure(name: str, streams: int, windows: int, seconds: float) -> Measured:
    """Run one row from start to end. What goes wrong is in ``failures``."""
    with measuring(name) as (measured, stack):
        sink = stack.enter_context(Sink())
        source = stack.enter_context(Source(live_clip()))
        if name == LIVE:
            streams, relays = 1, start_ffmpeg(sink, stack)
        else:
            relays = start_loops(name == MARKED, streams, sink, stack)
        sink.wait_for_streams(streams, UP_SECONDS)
        take_windows(measured, relays, source, sink, streams, windows, seconds)
    return measured


def main() -> int:
    """Run it. Returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--streams", type=int, default=100)
    parser.add_argument("--windows", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=4.0, help="length of a window")
    asked = parser.parse_args()
    allow_many_files()
    build_native("source"), build_native("sink"), film(), picture()
    console = Console(width=None if sys.stdout.isatty() else 160)
    with tempfile.TemporaryDirectory(prefix="streamferry-bench-") as cache:
        os.environ["STREAMFERRY_CACHE_DIR"] = cache
        prepared_s = {PLAIN: prepare(False), MARKED: prepare(True)}
        sizes = sorted(path.stat().st_size for path in Path(cache).glob("*/media.rtmp"))
        rows = {name: measure(name, asked.streams, asked.windows, asked.seconds) for name in (PLAIN, MARKED, LIVE)}
    table = Table("row", "CPU % a stream", "min-max", "prepared in s", "seen")
    for name, row in rows.items():
        spread = [window["cpu_percent"] for window in row.windows] or [0.0]
        seconds = f"{prepared_s[name]:.1f}" if name in prepared_s else ""
        seen = "; ".join(dict.fromkeys(row.failures)) or "all publishing"
        table.add_row(name, f"{row.cpu_percent or 0:.4f}", f"{min(spread):.3f}-{max(spread):.3f}", seconds, seen)
    console.print(table)
    console.print(f"prepared files: {' and '.join(f'{8 * size / SECONDS / 1e6:.2f}' for size in sizes)} Mbps")
    bars = []
    for name, peer, most in BARS:
        mine, theirs = rows[name].cpu_percent, rows[peer].cpu_percent
        sound = mine and theirs and not rows[name].failures and not rows[peer].failures
        bars.append(Bar(f"CPU of {name} / {peer}", mine / theirs if mine and theirs and sound else None, most))
    print_bars(console, bars)
    settings = {**vars(asked), "core_of_relays": cores()[0], "core_of_load": cores()[1]}
    result = {
        **about("watermark", settings),
        "prepared_seconds": prepared_s,
        "prepared_bytes": sizes,
        "rows": [asdict(row) for row in rows.values()],
    }
    console.print(f"kept in {keep('watermark', result, bars)}", highlight=False)
    return 0 if all(bar.passed for bar in bars) else 1


if __name__ == "__main__":
    sys.exit(main())
