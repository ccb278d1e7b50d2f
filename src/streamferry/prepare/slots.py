"""At most one encode for each core, over all processes that share a cache.

A slot is a lock file; the kernel frees it with the process that holds it. Who finds none waits: preparations ahead of
time are in no hurry, and two encodes at once on one core would both come too late.
"""

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

_POLL_SECONDS = 0.2


@contextmanager
def encode_slot(
    root: Path,
    on_wait: Callable[[], object] = lambda: None,
    *,
    count: int | None = None,
    sleep: Callable[[float], object] = time.sleep,
) -> Iterator[None]:
    """Hold one of ``count`` slots, by default one for each core; ``on_wait`` is called each 0.2 s of waiting."""
    slots = count or len(os.sched_getaffinity(0))
    held = _take(root, slots)
    while held is None:
        on_wait()
        sleep(_POLL_SECONDS)
        held = _take(root, slots)
    try:
        yield
    finally:
        os.close(held)


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
