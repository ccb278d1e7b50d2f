"""At most one encode for each core, over all processes that share a cache.

A slot is a lock file; the kernel frees it with the process that holds it. If none is free, a preparation waits: those
ahead of time are in no hurry, and two encodes on one core would both be late.
"""

import fcntl
import os
import time
from collections.abc import Callable
from pathlib import Path

_POLL_SECONDS = 0.2


class EncodeSlot:
    """One of ``count`` slots, by default one for each core; ``on_wait`` is called each 0.2 s of waiting for it."""

    def __init__(
        self,
        root: Path,
        on_wait: Callable[[], object] = lambda: None,
        *,
        count: int | None = None,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self._root = root
        self._on_wait = on_wait
        self._count = count or len(os.sched_getaffinity(0))
        self._sleep = sleep
        self._held: int | None = None

    def __enter__(self) -> "EncodeSlot":
        self.take()
        return self

    def __exit__(self, *_: object) -> None:
        self.give_back()

    def take(self) -> None:
        """Wait for a slot and hold it."""
        self._held = _take(self._root, self._count)
        while self._held is None:
            self._on_wait()
            self._sleep(_POLL_SECONDS)
            self._held = _take(self._root, self._count)

    def give_back(self) -> None:
        """Let others have it."""
        if self._held is not None:
            os.close(self._held)
        self._held = None


def _take(root: Path, slots: int) -> int | None:
    for number in range(slots):
        lock = os.open(root / f"encode-{number}.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
        else:
            return lock
    return None
