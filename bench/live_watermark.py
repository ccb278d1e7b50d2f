"""Live watermark: what the encoder of one watermarked live relay costs, by the size of the picture.

    python bench/live_watermark.py [--seconds S]

The clip of the other benchmarks, 30 frames a second with noise in it, at two sizes, from this folder's HTTP-FLV source
to its RTMP sink. Prints a table and keeps it in ``results/live_watermark-COMMIT.json``; there is no bar.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from clip import live_clip
from measure import about, cpu_ns, cpu_ns_between, family, pss_mib
from programs import BUILD, Sink, Source
from results import keep
from watermark import PLACE, picture

#: Until the encoder's rate control and the first group of pictures are behind it.
SETTLE_SECONDS = 8


def clip(size: str) -> Path:
    """The clip at that size, 20 s of it at 4 Mbps if it is larger. Made once."""
    if size == "1280x720":
        return live_clip()
    path = BUILD / f"clip-{size}.flv"
    if not path.exists():
        words = ("-t", "20", "-i", str(live_clip()), "-vf", f"scale={size.replace('x', ':')}", "-c:v", "libx264")
        rate = ("-preset", "veryfast", "-b:v", "4M", "-maxrate", "4M", "-bufsize", "2M", "-g", "60", "-c:a", "copy")
        end = ("-flvflags", "no_duration_filesize", str(path))
        subprocess.run(["ffmpeg", "-nostdin", "-y", "-loglevel", "error", *words, *rate, *end], check=True)
    return path


def measure(size: str, seconds: float) -> dict[str, Any]:
    """CPU in percent of one core and memory, of the encoder and of the relay without it; kbps in and out."""
    x, y, ratio = PLACE
    with Source(clip(size)) as source, Sink() as sink, tempfile.TemporaryFile("w+") as said:
        relay = subprocess.Popen(
            [
                *(Path(sys.executable).with_name("streamferry"), "relay", source.url("http", "bursts", "0"), "--live"),
                *("--watermark", picture(), "--watermark-pos", f"{x},{y}", "--watermark-ratio", str(ratio)),
                *("--to", sink.url("0"), "--json"),
            ],
            stdout=said,
        )
        try:
            sink.wait_for_streams(1, 30)
            time.sleep(SETTLE_SECONDS)
            encoders = [pid for pid in family([relay.pid]) if pid != relay.pid]
            before, began = {pid: cpu_ns([pid]) for pid in (relay.pid, *encoders)}, time.monotonic()
            time.sleep(seconds)
            elapsed_ns = (time.monotonic() - began) * 1e9
            share = {pid: 100 * cpu_ns_between(before[pid], cpu_ns([pid])) / elapsed_ns for pid in before}
            if not all(Path(f"/proc/{pid}").exists() for pid in encoders):
                raise RuntimeError("the encoder did not keep up and was replaced: the machine is not quiet enough")
            memory = pss_mib(encoders)
        finally:
            relay.terminate()
            relay.wait(10)
        said.seek(0)
        lines = [json.loads(line) for line in said]
    # What a process costs holds what it started.
    encoder_share = sum(share[pid] for pid in encoders)
    rates = [line["kbps_out"] for line in lines if line["state"] == "streaming" and line["kbps_out"]]
    return {
        "size": size,
        "encoder_cpu_percent": round(encoder_share, 1),
        "relay_cpu_percent": round(share[relay.pid] - encoder_share, 2),
        "encoder_mib": round(memory, 1),
        "kbps_out": round(sum(rates) / len(rates)),
        "retries": lines[-1]["retries"],
    }


def main() -> int:
    """Run it. Returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=20)
    asked = parser.parse_args()
    rows = [measure(size, asked.seconds) for size in ("1280x720", "1920x1080")]
    table = Table("picture", "encoder, % of a core", "relay", "encoder, MiB", "kbps out", "retries")
    for row in rows:
        table.add_row(*(str(value) for value in row.values()))
    console = Console(width=None if sys.stdout.isatty() else 120)
    console.print(table)
    kept = keep("live_watermark", {**about("live_watermark", vars(asked)), "rows": rows}, [])
    console.print(f"kept in {kept}", highlight=False)
    return 1 if any(row["retries"] for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
