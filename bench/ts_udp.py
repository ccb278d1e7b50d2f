"""MPEG-TS over UDP: what is lost of a minute of 60 Mbps, alone in a process and beside other relays.

    python bench/ts_udp.py [--mbps N] [--windows N] [--seconds S] [--beside N]

ffmpeg sends a clip of H.264 at that rate in datagrams of 7 packets, each picture in one burst, which is harder than the
even pace of an encoder: no more than the socket's buffer may hold until the next visit. Bars, of each row:

    lost packets      of MPEG-TS, as its counters tell, since the stream came up: none
    uneven stamps     of pictures at the sink, for a frame that is missing makes a step of two: none
    datagrams dropped by the kernel since its buffer was full, for all sockets of the machine: none
    worst beat        as in ``scale.py``

CPU is that of the whole process. Kept in ``results/ts_udp-COMMIT.json``. Exits with 1 if a row or a bar failed.
"""

import argparse
import json
import socket
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

from clip import even_clips
from contenders import Relays, start_host
from measure import about, allow_many_files, pss_mib
from programs import BUILD, Program, Sink, Source, build_native, cores
from results import Bar, keep, print_bars
from scale import BEAT_BAR_MS
from windows import UP_SECONDS, Measured, measuring, take_windows

SECONDS = 10
#: Of TS at this bit rate of the picture, with its heads and the sound.
OVERHEAD = 1.04
DATAGRAM_BYTES = 7 * 188


def clip(mbps: int) -> Path:
    """H.264 at 1080p30 and AAC, in MP4, which tells how long it is: so loops have no seam. Made once a rate."""
    path = BUILD / f"clip-{mbps}.mp4"
    if not path.exists():
        BUILD.mkdir(exist_ok=True)
        rate = f"{round(1000 * mbps / OVERHEAD)}k"
        unfinished = path.with_name("unfinished-" + path.name)
        words = [
            *("ffmpeg", "-nostdin", "-y", "-loglevel", "error", "-t", str(SECONDS)),
            *("-f", "lavfi", "-i", "testsrc2=s=1920x1080:r=30,noise=alls=60:allf=t"),
            *("-t", str(SECONDS - 0.1), "-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000"),
            *("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-g", "60", "-bf", "0"),
            *("-b:v", rate, "-minrate", rate, "-maxrate", rate, "-bufsize", f"{mbps * 250}k"),
            *("-x264-params", "nal-hrd=cbr", "-c:a", "aac", "-b:a", "128k", "-ac", "2", str(unfinished)),
        ]
        subprocess.run(words, check=True)
        unfinished.rename(path)
    return path


def unused_port() -> int:
    """A UDP port that was free a moment ago."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def dropped() -> int:
    """Datagrams that the kernel dropped since a socket's buffer was full."""
    names, values = (
        line.split() for line in Path("/proc/net/snmp").read_text().splitlines() if line.startswith("Udp:")
    )
    return int(values[names.index("RcvbufErrors")])


def measure(media: Path, beside: int, windows: int, seconds: float) -> Measured:
    """One row: the stream, and so many relays of FLV sources in its process."""
    with measuring(f"beside {beside} live relays" if beside else "alone") as (measured, stack):
        sink = stack.enter_context(Sink(drain_ms=40))
        source = stack.enter_context(Source(even_clips()[0]))
        host, port = start_host(stack), unused_port()
        relays = Relays([host], pss_mib([host.pid]))
        sources = [f"udp://127.0.0.1:{port}", *(source.url("http", "bursts", i) for i in range(beside))]
        job = {"kind": "live", "sources": sources, "destinations": [sink.url(i) for i in range(1 + beside)]}
        host.ask(json.dumps(job))
        to = f"udp://127.0.0.1:{port}?pkt_size={DATAGRAM_BYTES}"
        reading = ["-re", "-stream_loop", "-1", "-i", str(media)]
        words = ["ffmpeg", "-nostdin", "-loglevel", "error", *reading, "-c", "copy", "-f", "mpegts", to]
        stack.enter_context(Program(words, cores()[1]))
        sink.wait_for_streams(1 + beside, UP_SECONDS)
        before = dropped()
        take_windows(measured, relays, source, sink, 1 + beside, windows, seconds, host=host)
        measured.windows[-1]["dropped_datagrams"] = dropped() - before
        measured.memory_mib = (pss_mib([host.pid]) - relays.empty_mib) / (1 + beside)
    return measured


def bars_of(row: Measured) -> list[Bar]:
    """See the module."""
    is_sound = bool(row.windows) and not row.failures
    last, windows = row.windows[-1:], row.windows
    figures = {
        "lost packets": (sum(window["host"]["lost_packets"] for window in last), 0.0),
        "datagrams dropped": (sum(window["dropped_datagrams"] for window in last), 0.0),
        "uneven stamps": (sum(window["sink"]["uneven"] for window in windows), 0.0),
        "worst beat, ms late": (max((w["host"]["beat_worst_late_ms"] for w in windows), default=0.0), BEAT_BAR_MS),
    }
    return [Bar(f"{row.row}: {what}", value if is_sound else None, most) for what, (value, most) in figures.items()]


def main() -> int:
    """Run it. Returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mbps", type=int, default=60)
    parser.add_argument("--windows", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=20.0, help="length of a window")
    parser.add_argument("--beside", type=int, default=100, help="live relays in the same process, in the second row")
    asked = parser.parse_args()
    allow_many_files()
    build_native("source"), build_native("sink"), even_clips()
    media = clip(asked.mbps)
    console = Console(width=None if sys.stdout.isatty() else 160)
    rows = [measure(media, beside, asked.windows, asked.seconds) for beside in (0, asked.beside)]
    table = Table("row", "core %", "Mbps at the sink", "frames", "seen")
    for row, count in zip(rows, (1, 1 + asked.beside), strict=True):
        cores_percent = [window["cpu_percent"] * count for window in row.windows] or [0.0]
        mbps = [8 * window["sink"]["bytes"] / window["seconds"] / 1e6 for window in row.windows] or [0.0]
        frames = sum(window["sink"]["min_frames"] for window in row.windows)
        table.add_row(
            row.row,
            f"{min(cores_percent):.1f}-{max(cores_percent):.1f}",
            f"{min(mbps):.1f}-{max(mbps):.1f}",
            str(frames),
            "; ".join(dict.fromkeys(row.failures)) or "all publishing",
        )
    console.print(table)
    bars = [bar for row in rows for bar in bars_of(row)]
    print_bars(console, bars)
    settings = {**vars(asked), "core_of_relays": cores()[0], "core_of_load": cores()[1]}
    result = {**about("ts_udp", settings), "rows": [asdict(row) for row in rows]}
    console.print(f"kept in {keep('ts_udp', result, bars)}", highlight=False)
    return 0 if all(bar.passed for bar in bars) else 1


if __name__ == "__main__":
    sys.exit(main())
