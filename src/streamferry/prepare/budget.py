"""What the cache may take of its disk: which files are kept, what leaves, how large a window is.

The limit is the smaller of two: its own size, and what is free on its disk without the reserve. A file for which there
is no room is played without being kept, in a window around its player.
"""

import logging
import sys
import time
from pathlib import Path

from streamferry.media.url import MediaUrl
from streamferry.net.disk import Disk
from streamferry.prepare.cache import UNKEPT, Entry, evict, unused_bytes
from streamferry.prepare.errors import CacheError
from streamferry.prepare.file_version import Version
from streamferry.reasons import Code

_log = logging.getLogger("streamferry.prepare")

#: A player says where it is each 2 MiB, and takes up to 4 MiB at once.
LEAST_AHEAD_BYTES = 12 << 20
# What a window takes in all, in units of what lies ahead of its player: a quarter lies behind that, pieces are on their
# way between the programs, and half of it may be fetched and not read.
_LOCAL_PARTS, _REMOTE_PARTS = 1.5, 2.0
# For how long a file is not kept for which there was no room.
_UNKEPT_S = 600.0


class Budget:
    """Of the cache in ``root``. All methods look at the disk: for a thread.

    Of a disk that cannot be looked at nothing is known: there is room, and who writes will hear what is wrong.
    """

    def __init__(self, root: Path, max_bytes: int, disk: Disk, ahead_bytes: int) -> None:
        self.disk = disk
        self._root = root
        self._max_bytes = max_bytes
        self._ahead_bytes = ahead_bytes
        # Until when (monotonic), by address.
        self._unkept_until: dict[str, float] = {}

    def keep_to_it(self) -> None:
        """Let go of what is too much."""
        evict(self._root, self._max_bytes, self.disk)
        # What is not in use there was left by a process that was killed.
        evict(self._root / UNKEPT, 0)

    def may_keep(self, entry: Entry, url: MediaUrl, version: Version) -> bool:
        """Whether there is room for all of a file, that of unused ones included, or it is there already."""
        try:
            is_there = entry.read_summary() is not None
            return is_there or self._has_room(url, version)
        except OSError:
            return True

    def _has_room(self, url: MediaUrl, version: Version) -> bool:
        if time.monotonic() < self._unkept_until.get(url.reveal(), 0.0):
            return False
        # What is fetched is kept until all of it is prepared.
        needed_bytes = (version.size_bytes or 0) * (1 if url.scheme == "file" else 2)
        room_bytes = self.disk.room_bytes
        if needed_bytes <= room_bytes or needed_bytes <= room_bytes + unused_bytes(self._root):
            return True
        self.note_full(url)
        return False

    def note_full(self, url: MediaUrl) -> None:
        """There was no room for it."""
        self._unkept_until[url.reveal()] = time.monotonic() + _UNKEPT_S
        _log.warning("the disk of the cache has no room for %s: it is played without being kept", url.redacted)

    def make_window(self, url: MediaUrl, version: Version) -> int:
        """Make room for the window of a file, and say how much may lie ahead of its player. Raises CacheError.

        It takes no more than half of what there is: the next file of a list is opened while this one plays.
        """
        parts = _LOCAL_PARTS if url.scheme == "file" else _REMOTE_PARTS
        try:
            evict(self._root, None, self.disk, round(2 * parts * self._ahead_bytes))
            room_bytes = self.disk.room_bytes
        except OSError:
            return self._ahead_bytes
        least_bytes = parts * min(LEAST_AHEAD_BYTES, version.size_bytes or sys.maxsize)
        if room_bytes < least_bytes:
            raise CacheError(Code.CACHE_FULL, room_mb=max(0, room_bytes) / 1e6, needed_mb=least_bytes / 1e6)
        return max(LEAST_AHEAD_BYTES, min(self._ahead_bytes, int(room_bytes / parts / 2)))
