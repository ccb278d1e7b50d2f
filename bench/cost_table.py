"""The tables of cost in the documents, written from results that were kept.

    python bench/cost_table.py [bench/results/density-COMMIT.json] [bench/results/scale-COMMIT.json]

Without arguments from the files that README.md names. A test compares README.md and docs/howto/sizing.md with them.
"""

import json
import re
import sys
from pathlib import Path
from typing import Any

from programs import BENCH
from scale import LIVE, Scene

ROOT = BENCH.parent
DOCUMENTS = ("README.md", "docs/howto/sizing.md")
_KEPT = r"bench/results/%s-\w+\.json"

#: (what the reader sees, row of bursts, row of pieces)
COSTS = (
    ("**HTTP-FLV to RTMP**", "live normal bursts", "live normal pieces"),
    ("the same with low latency", "live low bursts", None),
    ("the same by `ffmpeg -c copy`", "ffmpeg live bursts", "ffmpeg live pieces"),
    ("the same bytes through HAProxy", "haproxy bursts", "haproxy pieces"),
    ("the floor: receive and send in C, on our beat", "floor live normal bursts", "floor live normal pieces"),
    ("**RTMP to RTMP**", "RTMP source normal bursts", None),
    ("the same by `ffmpeg -c copy`", "ffmpeg RTMP source bursts", None),
    ("**HTTP-FLV to RTMPS**", "live normal to RTMPS", None),
    ("the same by `ffmpeg -c copy`", "ffmpeg live to RTMPS", None),
    ("the same bytes through HAProxy, to TLS", "haproxy to TLS", None),
    ("**a list of files, in loops**", "list", None),
    ("the same by `ffmpeg -re -stream_loop -1`", "ffmpeg list", None),
    ("the floor: one `sendfile` in C, on our beat", "floor list", None),
)


def cost_lines(density: dict[str, Any]) -> list[str]:
    """README's table of costs."""
    rows = {row["row"]: row for row in density["rows"]}
    lines = [
        f"| per stream, {density['settings']['streams']} at once | CPU | when small pieces come | memory |",
        "|---|---|---|---|",
    ]
    for what, bursts, pieces in COSTS:
        cpu, memory = _percent(rows[bursts]), rows[bursts]["memory_mib"]
        small = _percent(rows[pieces]) if pieces else ""
        lines.append(
            f"| {what} | {cpu} | {small} | {memory:.2f} MiB |" if memory >= 0.01 else f"| {what} | {cpu} | {small} | |"
        )
    return [re.sub(r"\|  \|", "| |", line) for line in lines]


def scale_lines(scale: dict[str, Any]) -> list[str]:
    """README's table of what one process carries."""
    lines = [
        "| one process on one core | worst beat | frames, p99 | of the core | memory |",
        "|---|---|---|---|---|",
    ]
    for kept in scale["scenes"]:
        scene = Scene(**kept)
        if scene.name.startswith("before: "):
            continue
        live = scene.kind == LIVE
        what = f"{scene.count:,} {'live streams' if live else 'loops'}"
        late = f"held for {scene.late_p99_ms:.0f} ms" if live else f"{-scene.late_p99_ms:.0f} ms before they are due"
        beat, core = f"{scene.worst_beat_ms:.0f} ms late", f"{scene.core_percent:.0f} %"
        memory = f"{scene.memory_mib * scene.count:.0f} MiB"
        lines.append(f"| {what} | {beat} | {late} | {core} | {memory} |")
    return lines


def sizing_lines(density: dict[str, Any]) -> dict[str, str]:
    """Beginning of a line of the document about sizing -> that line."""
    rows = {row["row"]: row for row in density["rows"]}
    live, files = rows["live normal bursts"], rows["list"]
    lines = (
        f"| live RTMP or HTTP-FLV, passed on (2 Mbps) | {_percent(live)} | `make bench` |",
        f"| a list of files, in loops (2 Mbps) | {_percent(files)} | `make bench` |",
        f"| a live stream, passed on | {live['memory_mib']:.2f} MiB |",
        f"| a list of files | {files['memory_mib']:.2f} MiB |",
    )
    return {line.split(" | ")[0]: line for line in lines}


def _percent(row: dict[str, Any]) -> str:
    if row["failures"]:
        return "too slow"  # It did not carry all streams in real time: that it cost less says nothing.
    return f"{row['cpu_percent']:.3f} %"


def named(text: str, benchmark: str) -> Path:
    """The kept result of that benchmark which README names."""
    found = re.search(_KEPT % benchmark, text)
    if found is None:
        raise ValueError(f"README.md names no result of {benchmark}")
    return ROOT / found[0]


def fill(text: str, density: Path, scale: Path) -> str:
    """A document with its tables as the results have them."""
    costs, carried = json.loads(density.read_text()), json.loads(scale.read_text())
    for path in (density, scale):
        text = re.sub(_KEPT % path.name.split("-")[0], f"bench/results/{path.name}", text)
    for table in (cost_lines(costs), scale_lines(carried)):
        head = " | ".join(table[0].split(" | ")[1:])
        text = re.sub(
            rf"^\|[^\n]* \| {re.escape(head)}\n(\|.*\n)+", lambda _, new=table: "\n".join(new) + "\n", text, flags=re.M
        )
    for beginning, line in sizing_lines(costs).items():
        text = re.sub(rf"^{re.escape(beginning)} \|.*$", lambda _, new=line: new, text, flags=re.M)
    return text


def main() -> int:
    """Write the documents. Returns the exit status."""
    readme = (ROOT / "README.md").read_text()
    given = {path.name.split("-")[0]: path for path in map(Path, sys.argv[1:])}
    results = [given.get(benchmark) or named(readme, benchmark) for benchmark in ("density", "scale")]
    for name in DOCUMENTS:
        path = ROOT / name
        path.write_text(fill(path.read_text(), *results))
    return 0


if __name__ == "__main__":
    sys.exit(main())
