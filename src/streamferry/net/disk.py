"""The disk of a folder: how much of it may still be used, and which errors mean that it is full."""

import os
from dataclasses import dataclass
from errno import EDQUOT, ENOSPC
from pathlib import Path

#: Space that is left for everything else on the disk, such as the store: an amount, or a fraction of a small disk.
_RESERVE_BYTES = 1 << 30
_RESERVE_PART = 20


@dataclass(frozen=True, slots=True)
class Disk:
    """The disk of ``folder``, which need not exist yet. ``reserve_bytes``: space not to be used; None: as above."""

    folder: Path
    reserve_bytes: int | None = None

    @property
    def free_bytes(self) -> int:
        """Bytes that an unprivileged process may still write. Raises OSError."""
        return self._look()[0]

    @property
    def room_bytes(self) -> int:
        """Free bytes without the reserve; negative if part of that is used. Raises OSError."""
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
    """Whether the error means that the disk, or the user's quota, is full."""
    return error.errno in (ENOSPC, EDQUOT)
