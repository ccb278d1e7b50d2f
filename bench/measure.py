"""What processes cost: CPU from the scheduler's own count, memory as proportional set size; and what machine it was.

CPU is the first field of ``/proc/PID/task/TID/schedstat``: ns on a CPU, exact, where ``/proc/PID/stat`` counts ticks of
10 ms. Loopback TCP runs the receiver's half of the stack in the sender's time, the same for every contender.
"""

import os
import platform
import resource
import subprocess
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

PROC = Path("/proc")


def allow_many_files() -> None:
    """Raise the soft limit of open files to the hard one: a thousand relays need two thousand sockets."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def family(pids: Iterable[int]) -> list[int]:
    """The processes and all that they started."""
    found: list[int] = []
    for pid in pids:
        found.append(pid)
        for children in _read_all(PROC / str(pid) / "task", "children"):
            found += family(int(child) for child in children.split())
    return found


def cpu_ns(pids: Iterable[int]) -> dict[str, int]:
    """ns on a CPU of each thread of the processes."""
    return {
        path.parent.name: int(path.read_text().split()[0])
        for pid in family(pids)
        for path in (PROC / str(pid) / "task").glob("*/schedstat")
    }


def cpu_ns_between(before: dict[str, int], after: dict[str, int]) -> int:
    """ns spent by the threads alive at the end."""
    return sum(ns - before.get(thread, 0) for thread, ns in after.items())


def pss_mib(pids: Iterable[int]) -> float:
    """Proportional set size of the processes together: memory shared by two counts half for each."""
    kib = 0
    for pid in family(pids):
        for line in (PROC / str(pid) / "smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                kib += int(line.split()[1])
    return kib / 1024


def sockets_mib() -> float:
    """What the kernel holds for TCP on the whole machine."""
    for line in (PROC / "net/sockstat").read_text().splitlines():
        if line.startswith("TCP:"):
            words = line.split()
            return int(words[words.index("mem") + 1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
    return 0.0


def machine_ticks() -> tuple[int, int, int]:
    """(all, idle, stolen) clock ticks of the machine since boot, to tell how quiet it was."""
    fields = [int(word) for word in (PROC / "stat").read_text().splitlines()[0].split()[1:9]]
    return sum(fields), fields[3] + fields[4], fields[7]


def about(benchmark: str, settings: dict[str, Any]) -> dict[str, Any]:
    """Head of a result: what ran, where, from which commit, and when."""
    models = [line for line in (PROC / "cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return {
        "benchmark": benchmark,
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit(),
        "machine": {
            "cpu": models[0].partition(": ")[2] if models else platform.machine(),
            "cores": os.cpu_count(),
            "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
            "kernel": platform.release(),
            "python": platform.python_version(),
        },
        "settings": settings,
    }


def commit(folder: Path = Path(__file__).parent) -> str:
    """Short hash of the checkout whose ``bench`` this is, with ``-dirty`` when its product differs from it."""

    def git(*words: str) -> str:
        return subprocess.run(["git", *words], capture_output=True, text=True, cwd=folder).stdout.strip()

    dirty = "-dirty" if git("status", "--porcelain", "../src") else ""
    return (git("rev-parse", "--short=10", "HEAD") or "unknown") + dirty


def _read_all(folder: Path, name: str) -> list[str]:
    return [path.read_text() for path in folder.glob(f"*/{name}")]
