"""What a worker process uses and how it is doing, as one value for its row in the store."""

import os
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from streamferry.relay import Totals

#: How long a late beat is remembered.
LATE_WINDOW_S = 60.0
_STATM = Path("/proc/self/statm")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class WorkerHealth:
    """``cpu_percent``: of one core, since the last measurement. ``beat_late_ms``: the worst beat of the last minute.

    ``memory_bytes`` is the process's resident memory, without preparation processes. Totals count from its start.
    """

    cpu_percent: float
    memory_bytes: int
    beat_late_ms: float
    preparing: int
    totals: Totals


class Measured(Protocol):
    """What is needed of ``relay.RelayHost``."""

    @property
    def totals(self) -> Totals: ...

    @property
    def preparing(self) -> int: ...

    def take_worst_lateness(self) -> float: ...


class HealthMeter:
    """Measures this process and its host."""

    def __init__(self, host: Measured) -> None:
        self._host = host
        self._measured_at = time.monotonic()
        self._cpu_s = time.process_time()
        self._late: deque[tuple[float, float]] = deque()

    def measure(self) -> WorkerHealth:
        """Measure now, and since the last call."""
        now, cpu_s = time.monotonic(), time.process_time()
        elapsed_s = max(now - self._measured_at, 1e-3)
        cpu_percent = 100 * (cpu_s - self._cpu_s) / elapsed_s
        self._measured_at, self._cpu_s = now, cpu_s
        self._late.append((now, self._host.take_worst_lateness()))
        while self._late[0][0] < now - LATE_WINDOW_S:
            self._late.popleft()
        return WorkerHealth(
            cpu_percent=cpu_percent,
            memory_bytes=_resident_bytes(),
            beat_late_ms=1000 * max(late_s for _, late_s in self._late),
            preparing=self._host.preparing,
            totals=self._host.totals,
        )


def _resident_bytes() -> int:
    """Resident memory; 0 on anything but Linux."""
    try:
        return int(_STATM.read_text().split()[1]) * _PAGE_BYTES
    except OSError:
        return 0
