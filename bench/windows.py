"""Windows: CPU of relays over some seconds, what source, sink and machine saw of it, and whether it counts."""

import json
import statistics
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

from contenders import Relays
from measure import cpu_ns, cpu_ns_between, machine_ticks
from programs import Program, Sink, Source

#: Time for N relays to come up; a hundred ffmpeg on one core need about ten seconds.
UP_SECONDS = 90.0
#: GOP caches are sent, sockets have grown their buffers.
SETTLE_SECONDS = 4.0
#: Stamps may advance this much less than a window lasts: a keyframe in pieces takes 0.3 s, a beat up to 0.64 s.
BEHIND_MS = 1000


@dataclass
class Measured:
    """One row. CPU in percent of one core for a stream, memory in MiB for a stream beyond the empty process."""

    row: str
    cpu_percent: float | None = None
    memory_mib: float | None = None
    up_seconds: float | None = None
    windows: list[dict[str, Any]] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    @property
    def beat_late_p99_ms(self) -> float | None:
        """By how much turns of the beat were late, at p99 of the worst window; None for what has no beat."""
        found = [window["host"]["beat_late_p99_ms"] for window in self.windows if "host" in window]
        return max(found, default=None)


@contextmanager
def measuring(row: str) -> Iterator[tuple[Measured, ExitStack]]:
    """A row that the block measures, and what ends all that it starts. What goes wrong is in the row's failures."""
    measured = Measured(row)
    try:
        with ExitStack() as stack:
            yield measured, stack
    except (RuntimeError, OSError) as error:
        measured.failures.append(str(error))


def take_windows(
    measured: Measured,
    relays: Relays,
    source: Source,
    sink: Sink,
    streams: int,
    windows: int,
    seconds: float,
    behind_ms: int = BEHIND_MS,
    host: Program | None = None,
) -> None:
    """Let the streams settle, then take the windows, the median of their CPU, and why one of them does not count.

    ``behind_ms``: their stamps may advance this much less than a window lasts. ``host``: see ``host.py``; each window
    has its report.
    """
    time.sleep(SETTLE_SECONDS)
    source.report(), sink.report(), host and _report(host)
    for _ in range(windows):
        window = measure_window(relays, source, sink, streams, seconds)
        if host is not None:
            window["host"] = _report(host)
        measured.windows.append(window)
        measured.failures += doubts(window, streams, behind_ms)
    measured.cpu_percent = statistics.median(window["cpu_percent"] for window in measured.windows)


def _report(host: Program) -> dict[str, Any]:
    return host.ask(json.dumps({"report": True}))


def measure_window(relays: Relays, source: Source, sink: Sink, streams: int, seconds: float) -> dict[str, Any]:
    """CPU in percent of a core for a stream, and what the source, the sink and the machine saw meanwhile."""
    machine, load = machine_ticks(), {program: cpu_ns([program.pid]) for program in (source, sink)}
    begun, before = time.monotonic_ns(), cpu_ns(relays.pids)
    time.sleep(seconds)
    spent, lasted = cpu_ns_between(before, cpu_ns(relays.pids)), time.monotonic_ns() - begun
    source_ns, sink_ns = (cpu_ns_between(earlier, cpu_ns([program.pid])) for program, earlier in load.items())
    total, idle, stolen = (b - a for a, b in zip(machine, machine_ticks(), strict=True))
    return {
        "seconds": round(lasted / 1e9, 3),
        "cpu_percent": 100 * spent / lasted / streams,
        "machine_busy_percent": round(100 * (1 - idle / total), 1),
        "machine_stolen_percent": round(100 * stolen / total, 1),
        "source_core_percent": round(100 * source_ns / lasted, 1),
        "sink_core_percent": round(100 * sink_ns / lasted, 1),
        "source": source.report(),
        "sink": sink.report(),
    }


def doubts(window: dict[str, Any], streams: int, behind_ms: int = BEHIND_MS) -> list[str]:
    """Why the window does not count: a stream that was not seen publishing all through it, in real time."""
    sink, source = window["sink"], window["source"]
    found = []
    if sink["fresh"] != streams or sink["streams"] != streams:
        found.append(f"{sink['fresh']} of {sink['streams']} streams publishing, not {streams}")
    if sink["lost"] or sink["new_streams"]:
        found.append(f"{sink['lost']} streams left and {sink['new_streams']} came")
    if sink["min_advance_ms"] < window["seconds"] * 1000 - behind_ms:
        found.append(f"a stream advanced {sink['min_advance_ms']} ms in {window['seconds']} s")
    if sink["backwards"]:
        found.append(f"{sink['backwards']} stamps went back")
    if source["dropped"]:
        found.append(f"{source['dropped']} streams were read too slowly")
    return found
