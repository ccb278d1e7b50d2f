"""The fence: the moment after which this process must send nothing to any peer, because its tasks may be another's.

A worker holds its tasks under a lease. When it is frozen (SIGSTOP, ``docker pause``, swapping, a suspended machine) and
wakes after the lease, any callback of the event loop may run first, so the fence is not a timer: each write compares it
(``Connection.send``, ``SrtSender.send``), and the beat compares it before each slot and ends what runs.

The lease is measured on CLOCK_BOOTTIME, which continues while the machine is suspended. CLOCK_MONOTONIC, which paces
media and runs asyncio's timers, stops then, and would show a lease as valid that ended hours ago (time(7),
clock_gettime(2)). docs/decisions/0021 says what no clock can detect.
"""

import errno
import math
import os
import time


def lease_clock() -> float:
    """Seconds on the clock that leases and fences use."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Fence:
    """One for all relays of a process. ``at`` is on ``lease_clock``; without a lease it is never reached."""

    __slots__ = ("at",)

    def __init__(self) -> None:
        self.at = math.inf

    @property
    def is_passed(self) -> bool:
        """Whether sending is no longer allowed."""
        return time.clock_gettime(time.CLOCK_BOOTTIME) >= self.at

    def check(self) -> None:
        """Raises OSError when sending is no longer allowed."""
        if time.clock_gettime(time.CLOCK_BOOTTIME) >= self.at:
            raise OSError(errno.ECANCELED, os.strerror(errno.ECANCELED))
