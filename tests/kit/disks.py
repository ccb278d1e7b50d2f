"""A disk that is nearly full, without being root: one that nobody else writes to, and a reserve that leaves little."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir

from streamferry.net.disk import Disk

_MEMORY = Path("/dev/shm")


@contextmanager
def quiet_folder() -> Iterator[Path]:
    """A folder in memory, where the room does not change by what other programs do: those of the tests keep out.

    One at a time on a machine: a test in another process would take the bytes that this one counts.
    """
    place = _MEMORY if os.access(_MEMORY, os.W_OK) else Path(gettempdir())
    with (place / "streamferry-quiet.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with TemporaryDirectory(prefix="streamferry-", dir=place) as folder:
            yield Path(folder)


def reserve_for(folder: Path, room_bytes: int) -> int:
    """The reserve with which so much may still be written to the disk of a folder."""
    return Disk(folder, 0).free_bytes - room_bytes
