"""Turns ffmpeg's FLV into the growing part files, media and index, and reports their growth to players."""

import os
import select
import time
from collections.abc import Callable

from streamferry.media.tag import AUDIO, VIDEO, Tag
from streamferry.prepare.blocking_ffmpeg import BlockingFfmpeg
from streamferry.prepare.cache import Entry
from streamferry.prepare.form import AudioForm, Form
from streamferry.prepare.journal import Journal, Message
from streamferry.prepare.layout import CannotCopy, ChunkLayout
from streamferry.prepare.room import Room
from streamferry.prepare.window import Window, free_blocks
from streamferry.reasons import Code
from streamferry.wire.flv import FLV_HEADER_BYTES, MAX_TAG_BYTES, parse_flv_header, scan_tags
from streamferry.wire.rtmp.chunk_file import TRACKS

# How long laid tags wait for a write, and how often players hear of growth: a player behind by this much starves.
_FLUSH_SECONDS = 0.25
_FLUSH_BYTES = 256 << 10
_REPORT_SECONDS = 0.1
_READ_BYTES = 1 << 20
# Given back to the disk at once.
_LET_GO_BYTES = 1 << 20
# The flags byte of the FLV header (E.2). ffmpeg's muxer sets it from the streams it has: its word can be taken.
_FLAGS_AT, _HAS_AUDIO, _HAS_VIDEO = 4, 4, 1


class Remux:
    """Copies what one ffmpeg after another writes into ``entry.media_part``, a stretch each.

    ``layout`` knows what was written once there was a header. ``extra`` gives fields for each report, such as the
    progress of the download; ``form`` is that of the result, by the first stretch.
    """

    def __init__(
        self,
        entry: Entry,
        journal: Journal,
        extra: Callable[[], Message],
        *,
        drop_late: bool,
        room: Room,
        window: Window | None = None,
    ) -> None:
        self.layout: ChunkLayout | None = None
        self._form: Form | None = None
        self._silence: AudioForm | None = None
        self._awaits_header = True
        self._room = room
        self._window = window
        self._gone_bytes = 0
        self._journal = journal
        self._extra = extra
        self._drop_late = drop_late
        self._file = os.open(entry.media_part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        self._steps = os.open(entry.steps_part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        self._flushed_at = self._reported_at = time.monotonic()
        self._announced = False
        self._steps_bytes = 0
        # How much of the index was reported: places, and the first messages from them on by track.
        self._places_reported = 1
        self._firsts_reported = dict.fromkeys(TRACKS, 0)
        self._buffer = bytearray(_READ_BYTES)
        self._filled = 0

    def __enter__(self) -> "Remux":
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._file)
        os.close(self._steps)

    @property
    def form(self) -> Form:
        """That of the result."""
        return self._form if self._form is not None else Form()

    @property
    def is_open(self) -> bool:
        """Whether anything of the present stretch was laid."""
        # Until its header has come, the layout is that of the stretch before.
        return not self._awaits_header and self.layout is not None and self.layout.is_open

    @property
    def has_begun(self) -> bool:
        """Whether anything was laid at all."""
        return self.layout is not None and self.layout.started

    def run(self, ffmpeg: BlockingFfmpeg, form: Form, silence: AudioForm | None, on_open: Callable[[], object]) -> None:
        """Copy a stretch, until ffmpeg closes its output. ``silence`` is laid beside it.

        ``on_open`` is called when the first of it was laid.

        Raises BadInterleave, CannotCopy, RemoteProtocolError, OSError for the disk.
        """
        if not self.has_begun:
            self._form = form
        self._silence, self._awaits_header, self._filled = silence, True, 0
        output = ffmpeg.stdout.fileno()
        poll = select.poll()
        poll.register(output, select.POLLIN)
        while True:
            if poll.poll(_FLUSH_SECONDS * 1000):
                if self._filled == len(self._buffer):
                    self._buffer.extend(bytes(min(len(self._buffer), MAX_TAG_BYTES)))
                with memoryview(self._buffer) as view:
                    received = os.readv(output, [view[self._filled :]])
                if not received:
                    return
                self._filled += received
                was_open = self.is_open
                self._lay()
                if self.is_open and not was_open:
                    on_open()
            self._tell()
            if self._window is not None and self.layout is not None and self.layout.index.has_places:
                self._move(self._window, self.layout)

    def _move(self, window: Window, layout: ChunkLayout) -> None:
        """Free what was played, and wait while there is enough to play."""
        index = layout.index
        if not window.has_begun:
            # A player that starts later says where it reads only when it is there.
            window.move_to(index.place_offsets[index.place_at_or_before(window.start_ms)])
        kept_from = index.place_offsets[index.place_behind(window.kept_from)]
        if kept_from - self._gone_bytes >= _LET_GO_BYTES:
            self._flush(layout)
            self._gone_bytes = free_blocks(self._file, self._gone_bytes or layout.first_offset, kept_from)
        if not window.has_room(layout.end_offset):
            self._flush(layout)
            self._report(layout)
            window.wait_for_room(layout.end_offset)

    def finish_stretch(self) -> None:
        """The stretch has ended. Raises CannotCopy if there is no frame in it."""
        if self.layout is None or self._awaits_header:
            raise CannotCopy(Code.FILE_NO_FRAME, frozenset(("video", "audio")))
        self.layout.finish_stretch()

    def finish(self) -> ChunkLayout:
        """Write what is left and sync."""
        assert self.layout is not None
        layout = self.layout
        self._flush(layout)
        self._report(layout)
        os.fsync(self._file)
        return layout

    @property
    def inode(self) -> int:
        """Identity of the part file."""
        return os.fstat(self._file).st_ino

    def _lay(self) -> None:
        start = 0
        if self._awaits_header:
            if self._filled < FLV_HEADER_BYTES:
                return
            parse_flv_header(bytes(self._buffer[:FLV_HEADER_BYTES]))
            flags = self._buffer[_FLAGS_AT]
            promised = {kind for kind, flag in ((AUDIO, _HAS_AUDIO), (VIDEO, _HAS_VIDEO)) if flags & flag}
            if self.layout is None:
                self.layout = ChunkLayout(frozenset(promised), self._drop_late, self._silence)
            else:
                self.layout.begin_stretch(frozenset(promised), self._silence)
            self._awaits_header = False
            start = FLV_HEADER_BYTES
        assert self.layout is not None
        tags: list[Tag] = []
        with memoryview(self._buffer) as view:
            start = scan_tags(view, start, self._filled, tags)
            self.layout.feed(tags)
            tags.clear()
            left = self._filled - start
            view[:left] = bytes(view[start : self._filled])
            self._filled = left

    def _tell(self) -> None:
        now = time.monotonic()
        layout = self.layout
        if layout is not None and layout.started:
            first = not self._announced and layout.index.has_places
            if first or len(layout.pending) >= _FLUSH_BYTES or now - self._flushed_at >= _FLUSH_SECONDS:
                self._flush(layout)
                self._flushed_at = now
            if first:
                self._announce(layout)
                self._reported_at = 0.0
        if now - self._reported_at >= _REPORT_SECONDS:
            self._reported_at = now
            self._report(layout)

    def _flush(self, layout: ChunkLayout) -> None:
        with memoryview(layout.pending) as view:
            self._room.write(view, lambda data: os.write(self._file, data))
        layout.pending.clear()
        steps = layout.take_steps()
        self._room.write(memoryview(steps), lambda data: os.write(self._steps, data))
        self._steps_bytes += len(steps)

    def _announce(self, layout: ChunkLayout) -> None:
        self._announced = True
        ready = {"inode": self.inode, "first_offset": layout.first_offset, "tracks": layout.tracks}
        self._journal.send({"ready": ready | {"form": self.form.to_json()}})

    def _report(self, layout: ChunkLayout | None) -> None:
        message = self._extra()
        if layout is not None and layout.index.has_places:
            if not self._announced:
                self._announce(layout)
            message["end"] = layout.end_offset - len(layout.pending)
            message["media_ms"] = layout.media_ms
            message["index"] = self._index_since_then(layout)
        if message:
            self._journal.send(message)

    def _index_since_then(self, layout: ChunkLayout) -> Message:
        """What was added to the index since the last report: how long its file of steps is, and the rest as it is."""
        index = layout.index
        since, self._places_reported = self._places_reported, len(index.place_stamps)
        firsts = {}
        for tag_type, (stamps, offsets) in index.firsts.items():
            known = self._firsts_reported[tag_type]
            firsts[tag_type] = list(zip(stamps[known:], offsets[known:], strict=True))
            self._firsts_reported[tag_type] = len(stamps)
        places = list(zip(index.place_stamps[since:], index.place_offsets[since:], strict=True))
        return {"steps": self._steps_bytes, "places": places, "firsts": firsts, "changes": layout.changes_headers}
