"""Room on the cache's disk for a preparation: it is made as needed, by removing files that nobody uses.

A file that is to be kept leaves the reserve alone and is given up where that is all there is; then it is played without
being kept, in a window. What is written for a window takes what there is.
"""

import time
from collections.abc import Callable
from pathlib import Path

from streamferry.net.disk import Disk, is_full
from streamferry.prepare.cache import evict
from streamferry.prepare.errors import NoRoom
from streamferry.reasons import Code

# How much is freed at a time, so that not every write has to scan the cache.
_MORE_BYTES = 64 << 20
#: If nothing could be removed, the cache is not scanned again for this long.
_PATIENCE_S = 5.0


class Room:
    """``root``: the cache. ``keeps``: whether the file is to stay there. Used by two threads."""

    def __init__(self, root: Path, disk: Disk, name: str, *, keeps: bool) -> None:
        self._root = root
        self._disk = disk
        self._name = name
        self._keeps = keeps
        self._asks_again_at = 0.0

    def write(self, data: "bytes | memoryview", put: Callable[[memoryview], int]) -> None:
        """Write all of it by ``put``, which gives how much it took. Raises NoRoom, and OSError."""
        view = memoryview(data)
        while view:
            if self._disk.room_bytes < len(view):
                self._make(len(view))
                if self._keeps and self._disk.room_bytes < len(view):
                    raise NoRoom(Code.CACHE_NO_ROOM, name=self._name)
            try:
                view = view[put(view) :]
            except OSError as error:
                # There may be a quota, of which what is free says nothing.
                if not is_full(error) or not self._make(max(0, self._disk.room_bytes) + len(view)):
                    raise

    def _make(self, size_bytes: int) -> int:
        """Remove files that nobody uses; returns how many bytes that freed."""
        if time.monotonic() < self._asks_again_at:
            return 0
        freed_bytes = evict(self._root, None, self._disk, size_bytes + _MORE_BYTES)
        if not freed_bytes:
            self._asks_again_at = time.monotonic() + _PATIENCE_S
        return freed_bytes
