"""A disk that is nearly full, without being root: one that nobody else writes to, and a reserve that leaves little."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from streamferry.net.disk import Disk

_MEMORY = Path("/dev/shm")


@contextmanager
def quiet_folder() -> Iterator[Path]:
    """A folder in memory, where the room does not change by what other programs do: those of the tests keep out."""
    place = _MEMORY if os.access(_MEMORY, os.W_OK) else None
    with TemporaryDirectory(prefix="streamferry-", dir=place) as folder:
        yield Path(folder)


def reserve_for(folder: Path, room_bytes: int) -> int:
    """The reserve with which so much may still be written to the disk of a folder."""
    return Disk(folder, 0).free_bytes - room_bytes
