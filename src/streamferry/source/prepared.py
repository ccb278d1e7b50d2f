"""Plays a prepared file: the tags that are due, as views of the mapped file, for the beat.

It neither opens nor waits, and knows no clock: the caller that paces gives the stamp to read up to. Not here: how the
file is made (``prepare``), and how its stamps are mapped (``timeline``).
"""

from struct import Struct
from typing import Protocol

from streamferry.media.errors import MediaError, SourceUnsupported
from streamferry.media.tag import VIDEO, Tag
from streamferry.reasons import Code
from streamferry.wire.flv import MAX_TAG_BYTES, NEVER_MS, scan_tags

# Bounds one visit's work when a player has fallen behind; 100 Mbps at a visit every 320 ms.
_MAX_PULL_BYTES = 4 << 20
# How far the reader goes between two hints to the kernel; each makes it read ahead twice that far.
_ADVISE_STEP_BYTES = 2 << 20
# A join does not see tracks that begin further apart than this; normally sound is tens of ms off.
_LOOK_AHEAD_MS = 1000
_LARGEST_TAG_BYTES = MAX_TAG_BYTES + 15

_stamp_and_extension_at = Struct(">I").unpack_from


class PlayableFile(Protocol):
    """What the reader needs of a prepared file; ``prepare.PreparedFile`` is one."""

    headers: list[Tag]
    end_offset: int
    complete: bool
    failed: MediaError | None
    #: Why it is shorter than it claims, once it is complete.
    cut_short: MediaError | None
    duration_ms: int

    @property
    def origin_ms(self) -> int:
        """Stamp of the first picture, where offsets count from."""

    def view(self) -> memoryview:
        """The bytes that can be read now, at least ``end_offset`` of them."""

    def keyframe_at_or_before(self, ms: int) -> tuple[int, int]:
        """Offset and stamp of the keyframe to start from."""

    def advise(self, offset: int) -> None:
        """The reader will read from ``offset`` on, and no longer needs what is before it."""

    def retain(self) -> None:
        """Add a holder."""

    def close(self) -> None:
        """Remove a holder."""


class PreparedReader:
    """One pass over a file, from the keyframe at or before ``start_ms`` to the last tag before ``end_ms``.

    Both count from the file's origin, its first picture, as a user counts; the tags' stamps begin at 0, which with the
    priming of AAC is some milliseconds earlier. Takes over the caller's hold of the file. Raises SourceUnsupported if
    nothing lies between the two; then the file stays the caller's.
    """

    __slots__ = (
        "_advise_at",
        "_end_ms",
        "_file",
        "_headers_due",
        "_last_ms",
        "_offset",
        "_stamp_ms",
        "at_end",
        "start_dts_ms",
        "starved",
    )

    def __init__(self, file: PlayableFile, start_ms: int = 0, end_ms: int | None = None) -> None:
        if end_ms is not None and end_ms <= start_ms:
            raise SourceUnsupported(Code.FILE_END_BEFORE_START, end_ms=end_ms, start_ms=start_ms)
        if file.complete and start_ms >= file.duration_ms:
            raise SourceUnsupported(Code.FILE_START_AFTER_END, start_ms=start_ms, duration_ms=file.duration_ms)
        self._file = file
        self._end_ms = end_ms
        self._last_ms = NEVER_MS if end_ms is None else file.origin_ms + end_ms - 1
        #: Stamp of the first tag.
        self._offset, self.start_dts_ms = file.keyframe_at_or_before(start_ms + file.origin_ms if start_ms else 0)
        self._stamp_ms = self.start_dts_ms
        #: Whether everything was read.
        self.at_end = False
        #: Whether the file still grows and has nothing more now.
        self.starved = False
        self._headers_due = True
        self._advise_at = self._offset + _ADVISE_STEP_BYTES
        file.advise(self._offset)

    @property
    def position_ms(self) -> int:
        """Position of the last tag read, from the file's origin."""
        return max(0, self._stamp_ms - self._file.origin_ms)

    @property
    def end_ms(self) -> int | None:
        """Where the pass ends, from the file's origin; None as long as the file grows."""
        if not self._file.complete:
            return None
        return self._file.duration_ms if self._end_ms is None else min(self._end_ms, self._file.duration_ms)

    @property
    def failed(self) -> MediaError | None:
        """Why there are no more tags, if the file ended too early; only once all its tags were read."""
        if self.starved:
            return self._file.failed
        return self._file.cut_short if self.at_end and self._offset == self._file.end_offset else None

    def pull(self, until_ms: int, out: list[Tag]) -> None:
        """Append the tags stamped up to ``until_ms``, headers first at the start; at most 4 MiB in one call.

        Bodies are views into the map of the file: they stay valid until the next pull.
        """
        file = self._file
        if self._headers_due:
            self._headers_due = False
            out.extend((tag_type, self.start_dts_ms, body) for tag_type, _, body in file.headers)
        start = self._offset
        readable = file.end_offset
        end = readable if readable - start <= _MAX_PULL_BYTES else start + _MAX_PULL_BYTES
        last_ms = self._last_ms
        limit_ms = until_ms if until_ms < last_ms else last_ms
        offset = scan_tags(file.view(), start, end, out, limit_ms)
        if offset == start and end < readable:
            # One tag may be larger than what a pull looks at.
            offset = scan_tags(file.view(), start, min(start + _LARGEST_TAG_BYTES, readable), out, limit_ms)
        if offset != start:
            self._offset = offset
            self._stamp_ms = out[-1][1]
            if offset >= self._advise_at:
                self._advise_at = offset + _ADVISE_STEP_BYTES
                # No further: the appended tags are in use until the next pull.
                file.advise(start)
        if offset == readable:
            self.at_end = file.complete
            self.starved = not file.complete
        else:
            self.starved = False
            if until_ms >= last_ms:
                self.at_end = self._next_stamp_ms() > last_ms

    def first_stamps(self) -> dict[int, int]:
        """Stamp of the first tag of each track, by tag type, for the join. Reads one second ahead."""
        tags: list[Tag] = []
        end = min(self._offset + _MAX_PULL_BYTES, self._file.end_offset)
        scan_tags(self._file.view(), self._offset, end, tags, self.start_dts_ms + _LOOK_AHEAD_MS)
        stamps: dict[int, int] = {}
        for tag_type, stamp, _ in tags:
            stamps.setdefault(tag_type, stamp)
        return stamps or {VIDEO: self.start_dts_ms}

    def reopen_at_keyframe(self, position_ms: int) -> "PreparedReader":
        """A reader of the same pass from the keyframe at or before a position in it; close both."""
        self._file.retain()
        return PreparedReader(self._file, position_ms, self._end_ms)

    def close(self) -> None:
        """Release the file."""
        self._file.close()

    def _next_stamp_ms(self) -> int:
        word: int = _stamp_and_extension_at(self._file.view(), self._offset + 4)[0]
        return word >> 8 | (word & 0xFF) << 24
