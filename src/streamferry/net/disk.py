"""The disk under a folder: how much of it may still be used, and how it is told that it is full."""

import os
from dataclasses import dataclass
from errno import EDQUOT, ENOSPC
from pathlib import Path

#: What is left to everybody else on the disk, the store among them: so much, and of a small disk a part.
_RESERVE_BYTES = 1 << 30
_RESERVE_PART = 20


@dataclass(frozen=True, slots=True)
class Disk:
    """The disk of ``folder``, which need not be there yet. ``reserve_bytes``: not to be used; None is as above."""

    folder: Path
    reserve_bytes: int | None = None

    @property
    def free_bytes(self) -> int:
        """What a process without privileges may still write. Raises OSError."""
        return self._look()[0]

    @property
    def room_bytes(self) -> int:
        """What is free without the reserve; negative where that has been touched. Raises OSError."""
        free, total = self._look()
        reserve = min(_RESERVE_BYTES, total // _RESERVE_PART) if self.reserve_bytes is None else self.reserve_bytes
        return free - reserve

    def _look(self) -> tuple[int, int]:
        folder = self.folder
        while not folder.exists() and folder != folder.parent:
            folder = folder.parent
        found = os.statvfs(folder)
        return found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize


def is_full(error: OSError) -> bool:
    """Whether it was the disk, or the user's part of it, that had no room."""
    return error.errno in (ENOSPC, EDQUOT)
