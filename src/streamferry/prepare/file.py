"""A prepared file as the players of this process share it: its headers, its index, and a view of what can be read.

It may still grow: the store tells it what the preparation process reports. Everything a beat calls is synchronous and
touches no disk in the usual case: the file is mapped, and pages are asked for some seconds before they are needed.
"""

import asyncio
import contextlib
import mmap
import os
from array import array
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from streamferry.media.errors import MediaError, SourceCutShort
from streamferry.media.tag import SCRIPT, Tag
from streamferry.prepare.cache import Entry, Summary
from streamferry.prepare.errors import PreparationRestarted
from streamferry.prepare.form import Form
from streamferry.reasons import Code
from streamferry.wire.amf0 import Amf0Value
from streamferry.wire.flv import parse_metadata
from streamferry.wire.rtmp.chunk_file import Index, read_headers

# At 2 Mbps 16 s; a disk gives it in 0.1 s at the slowest. As much at a time is released behind the player, so that a
# process that plays many long files does not map them all in the end.
_AHEAD_BYTES = 4 << 20
_BEHIND_BYTES = 4 << 20


@dataclass(frozen=True, slots=True)
class PrepareProgress:
    """How far a preparation is. The download counts in bytes (0 of None for a local file), its result in media time.

    ``claimed_ms`` is how long the file says it is, 0 if it does not.
    """

    fetched_bytes: int = 0
    total_bytes: int | None = None
    media_ms: int = 0
    claimed_ms: int = 0

    @property
    def percent(self) -> int | None:
        """Part of the download that is there, None where the origin did not say how much there is."""
        return 100 * self.fetched_bytes // self.total_bytes if self.total_bytes else None


class PreparedFile:
    """One prepared file, shared: each holder calls ``close`` once. Got from ``PreparedStore.open``.

    ``headers`` are the metadata tag and the sequence headers, ``tracks`` the tag types that it has or may get; ``form``
    says what the frames are; ``end_offset`` grows until ``complete``, when ``duration_ms`` and ``ends`` are known;
    ``failed`` says that it will not grow more, and ``cut_short`` that it is complete as far as it goes.
    """

    def __init__(self, entry: Entry, on_unused: Callable[["PreparedFile"], None]) -> None:
        self.headers: list[Tag] = []
        self.metadata: dict[str, Amf0Value] = {}
        self.tracks: frozenset[int] = frozenset()
        self.index = Index()
        self.ends: dict[int, tuple[int, int]] = {}
        self.changes_headers = False
        self.end_offset = 0
        self.duration_ms = 0
        self.form = Form()
        self.cut_short: MediaError | None = None
        self.complete = False
        self.failed: MediaError | None = None
        self.progress = PrepareProgress()
        self.users = 0
        self.entry = entry
        #: Called with the position where players read, if set.
        self.on_read: Callable[[int], None] | None = None
        self._on_unused = on_unused
        self._changed = asyncio.Event()
        self._use_lock = -1
        #: Of the file, once it can be read.
        self.descriptor = -1
        self._steps = -1
        self._steps_bytes = 0
        self._map: mmap.mmap | None = None
        self._view = memoryview(b"")

    # What players call.

    def view(self) -> memoryview:
        """All that can be read now, from the file's start; valid as long as it, or a slice of it, is held."""
        if len(self._view) < self.end_offset:
            # A map cannot grow. The old one is freed with its last slice.
            self._map = mmap.mmap(self.descriptor, self.end_offset, access=mmap.ACCESS_READ)
            self._view = memoryview(self._map)
        return self._view

    @property
    def known_ms(self) -> int:
        """Stamp up to which all media there is of a file that grows is known."""
        return self.progress.media_ms

    def advise(self, offset: int, asked: int = 0) -> int:
        """Have the kernel read what follows ``offset``, and drop what is well before it; gives up to where.

        ``asked``: up to where that was done before. To ask again costs as much as the first time.
        """
        if self.on_read is not None:
            self.on_read(offset)
        self.view()
        assert self._map is not None
        start = offset - offset % mmap.PAGESIZE
        begin, end = max(start, asked - asked % mmap.PAGESIZE), min(start + _AHEAD_BYTES, len(self._map))
        if begin < end:
            self._map.madvise(mmap.MADV_WILLNEED, begin, end - begin)
        if start >= 2 * _BEHIND_BYTES:
            self._map.madvise(mmap.MADV_DONTNEED, start - 2 * _BEHIND_BYTES, _BEHIND_BYTES)
        return end

    def retain(self) -> None:
        """Add a holder, who will call ``close``."""
        self.users += 1

    def close(self) -> None:
        """Remove a holder. After the last one the file may be evicted; a preparation that nobody waits for ends."""
        self.users -= 1
        if self.users == 0:
            self._on_unused(self)

    # What the store calls.

    async def wait_playable(self, start_ms: int, on_progress: Callable[[PrepareProgress], None] | None) -> None:
        """Wait until a player can start at ``start_ms``. Raises the preparation's error."""
        told = PrepareProgress()
        while True:
            if on_progress is not None and self.progress != told:
                told = self.progress
                on_progress(told)
            if self.complete or (self.end_offset and self.progress.media_ms >= start_ms):
                return
            if self.failed is not None:
                raise self.failed
            await self._changed.wait()

    async def wait_complete(self, on_progress: Callable[[PrepareProgress], None]) -> None:
        """Wait until it is complete. Raises the preparation's error."""
        while not self.complete:
            if self.failed is not None:
                raise self.failed
            on_progress(self.progress)
            await self._changed.wait()

    def load(self) -> None:
        """Take the use lock, and open the file if the cache has it whole. Disk work: for a thread."""
        if self._use_lock < 0:
            self._use_lock = self.entry.lock_for_use()
        summary = self.entry.read_summary()
        if summary is not None:
            self.descriptor = os.open(self.entry.media, os.O_RDONLY)
            self.index = self.entry.read_index()
            self._open_at(summary.end_offset)
            self._become_complete(summary)

    def apply(self, message: dict[str, Any]) -> None:
        """Take in what the preparation process reports, see ``journal``; ``complete`` only of a file seen growing."""
        if "ready" in message:
            self._open_part(message["ready"])
        if "index" in message:
            self._grow_index(message["index"])
            self.end_offset = message["end"]
            if not self.headers:
                self._open_at(self.end_offset)
        if "complete" in message:
            summary = Summary.from_json(message["complete"])
            self.end_offset = summary.end_offset
            self._become_complete(summary)
        self.progress = PrepareProgress(
            fetched_bytes=message.get("fetched", self.progress.fetched_bytes),
            total_bytes=message.get("total", self.progress.total_bytes),
            media_ms=message.get("media_ms", self.progress.media_ms),
            claimed_ms=message.get("claimed_ms", self.progress.claimed_ms),
        )
        self.wake()

    @property
    def is_growing(self) -> bool:
        """True once the part file has been opened."""
        return self.descriptor >= 0

    def fail(self, error: MediaError) -> None:
        """It will not grow any more."""
        self.failed = error
        self.wake()

    def wake(self) -> None:
        """Let all waiters check again."""
        self._changed.set()
        self._changed = asyncio.Event()

    def release(self) -> None:
        """Release maps, file and lock, whoever still refers to this.

        Slices that are held keep a map, not the file's place in the cache.
        """
        self.index = Index()
        self._view = memoryview(b"")
        self._map = None
        for descriptor in (self.descriptor, self._steps, self._use_lock):
            if descriptor >= 0:
                os.close(descriptor)
        self.descriptor = self._steps = self._use_lock = -1

    def _open_part(self, ready: dict[str, Any]) -> None:
        # It may have become whole since the message was written.
        for path in (self.entry.media_part, self.entry.media):
            with contextlib.suppress(FileNotFoundError):
                file = os.open(path, os.O_RDONLY)
                if os.fstat(file).st_ino == ready["inode"]:
                    self.descriptor = file
                    try:
                        self._steps = os.open(self.entry.steps_part, os.O_RDONLY)
                        self.index = Index(ready["first_offset"])
                    except FileNotFoundError:
                        self.index = self.entry.read_index()
                    self.tracks = frozenset(ready["tracks"])
                    self.form = Form.from_json(ready["form"])
                    return
                os.close(file)
        raise PreparationRestarted(Code.CACHE_PREPARATION_BROKEN_OFF)

    def _grow_index(self, more: dict[str, Any]) -> None:
        self.changes_headers = more["changes"]
        if self._steps < 0:
            return  # It was whole when it was opened.
        index = self.index
        for stamp_ms, offset in more["places"]:
            index.add_place(stamp_ms, offset)
        for tag_type, firsts in more["firsts"].items():
            for stamp_ms, offset in firsts:
                index.add_first(int(tag_type), stamp_ms, offset)
        steps_bytes = more["steps"] - self._steps_bytes
        index.add_steps(array("Q", os.pread(self._steps, steps_bytes, self._steps_bytes)))
        self._steps_bytes += steps_bytes

    def _open_at(self, end_offset: int) -> None:
        self.end_offset = end_offset
        self.headers = read_headers(self.view(), self.index.place_offsets[0])
        for tag_type, _, body in self.headers:
            if tag_type == SCRIPT:
                self.metadata = parse_metadata(body)

    def _become_complete(self, summary: Summary) -> None:
        self.duration_ms = summary.duration_ms
        self.ends = summary.ends
        self.changes_headers = summary.changes_headers
        self.tracks = frozenset(summary.ends)
        self.form = summary.form
        if summary.ended_early:
            seconds, claimed_s = summary.duration_ms / 1000, summary.claimed_ms / 1000
            if claimed_s > seconds:
                self.cut_short = SourceCutShort(Code.FILE_ENDED_BEFORE_CLAIMED, seconds=seconds, claimed_s=claimed_s)
            else:
                self.cut_short = SourceCutShort(Code.FILE_ENDED_EARLY, seconds=seconds)
        self.complete = True
