"""The window of a file that is not kept: the part ahead of its player is bounded, the part behind it is freed.

The file keeps its offsets: what was played becomes a hole in it, which takes no room on the disk (fallocate(2),
FALLOC_FL_PUNCH_HOLE: ext4, XFS, Btrfs, tmpfs). The player says where it reads, on the standard input of the preparation
process; that stops reading from ffmpeg while it is far enough ahead, and ffmpeg then waits, and so does the download.
"""

import ctypes
import os
import threading
from collections.abc import Iterable

from streamferry.prepare.slots import EncodeSlot

_PUNCH_HOLE, _KEEP_SIZE = 2, 1
_BLOCK_BYTES = 4096
# Fractions of the room ahead: kept behind the player, for a session that restarts at a keyframe; and for the download.
_PART = 4
_libc = ctypes.CDLL(None, use_errno=True)
_fallocate = _libc.fallocate
_fallocate.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)


class Window:
    """Where a player reads, and how far ahead of it, from the first place it may start at, there may be more."""

    def __init__(self, ahead_bytes: int, start_ms: int) -> None:
        self.start_ms = start_ms
        self.ahead_bytes = ahead_bytes
        self.behind_bytes = self.download_bytes = ahead_bytes // _PART
        #: Given back while there is no room, because an encoder that waits needs no core.
        self.slot: EncodeSlot | None = None
        self._offset = 0
        self._has_begun = False
        self._moved = threading.Condition()

    def listen(self, lines: Iterable[str]) -> None:
        """The thread that hears the player: an offset a line."""
        for line in lines:
            self._has_begun = True
            self.move_to(int(line))

    def move_to(self, offset: int) -> None:
        """The player is at ``offset``, or will begin there."""
        with self._moved:
            self._offset = max(self._offset, offset)
            self._moved.notify_all()

    @property
    def has_begun(self) -> bool:
        """Whether the player has said where it is."""
        return self._has_begun

    @property
    def kept_from(self) -> int:
        """What lies before it is not needed any more, but for the keyframe before it."""
        return self._offset - self.behind_bytes

    def has_room(self, end_offset: int) -> bool:
        """Whether a file that ends there may grow."""
        return end_offset - self._offset <= self.ahead_bytes

    def wait_for_room(self, end_offset: int) -> None:
        """Wait until it may."""
        if self.has_room(end_offset):
            return
        if self.slot is not None:
            self.slot.give_back()
        with self._moved:
            self._moved.wait_for(lambda: self.has_room(end_offset))
        if self.slot is not None:
            self.slot.take()


def free_blocks(file: int, start: int, end: int) -> int:
    """Free the whole blocks within a range of a file on the disk; returns the end of what is free. Raises OSError."""
    start, end = start + -start % _BLOCK_BYTES, end - end % _BLOCK_BYTES
    if end > start and _fallocate(file, _PUNCH_HOLE | _KEEP_SIZE, start, end - start):
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    return end
