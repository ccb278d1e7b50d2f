"""A prepared file in memory, as its reader and the kernel see one: laid out as on the disk, whole or still growing."""

import os
import weakref
from bisect import bisect_right

from scripted.camera import FRAME_MS, Camera
from streamferry.media.enhanced import tag_kind
from streamferry.media.errors import MediaError
from streamferry.media.tag import KEYFRAME, VIDEO, Tag
from streamferry.wire.rtmp.chunk_file import TRACKS, IndexWriter, serialize_header, serialize_message


class MemoryFile:
    """Satisfies ``source.prepared.PlayableFile``: a camera's film, or ``tags`` after ``headers``.

    A viewer can start at each keyframe; without a picture at one sound a second.
    """

    def __init__(
        self,
        seconds: float = 0.0,
        *,
        gop: int = 25,
        frame_bytes: int = 400,
        headers: list[Tag] | None = None,
        tags: list[Tag] | None = None,
        duration_ms: int | None = None,
    ) -> None:
        camera = Camera(gop=gop, frame_bytes=frame_bytes)
        self.headers: list[Tag] = camera.headers() if headers is None else headers
        self.tags = camera.film(seconds) if tags is None else tags
        self.duration_ms = camera.pictures * FRAME_MS if duration_ms is None else duration_ms
        data = bytearray().join(serialize_header(tag_type, body) for tag_type, _, body in self.headers)
        writer = IndexWriter(len(data))
        self.index = writer.index
        last = dict.fromkeys(TRACKS, 0)
        self.ends: dict[int, tuple[int, int]] = {}
        #: Offsets at which a message ends, and the stamp of that message.
        self.message_ends = [len(data)]
        self._stamps = [0]
        has_picture = any(tag[0] == VIDEO for tag in self.tags)
        sound_place_ms = -1000
        for tag_type, stamp_ms, body in self.tags:
            is_key = tag_type == VIDEO and tag_kind(VIDEO, body) == KEYFRAME
            is_sound_place = not has_picture and stamp_ms - sound_place_ms >= 1000
            if is_key or is_sound_place:
                sound_place_ms = stamp_ms
                writer.note_place(stamp_ms, len(data))
            writer.note_message(tag_type, stamp_ms, len(data))
            data += serialize_message(tag_type, stamp_ms - last[tag_type], body)
            self.ends[tag_type] = (stamp_ms, stamp_ms - last[tag_type] or FRAME_MS)
            last[tag_type] = stamp_ms
            self.message_ends.append(len(data))
            self._stamps.append(stamp_ms)
        self._data = bytes(data)
        self.descriptor = os.memfd_create("film")
        weakref.finalize(self, os.close, self.descriptor)
        os.pwrite(self.descriptor, self._data, 0)
        self.tracks = frozenset(self.ends)
        self.end_offset = len(data)
        self.complete = True
        self.changes_headers = False
        self.failed: MediaError | None = None
        self.cut_short: MediaError | None = None
        self.holders = 1
        self.advised: list[int] = []

    @property
    def known_ms(self) -> int:
        """Stamp of the last message that can be read."""
        return self._stamps[bisect_right(self.message_ends, self.end_offset) - 1]

    def grow_by(self, messages: int) -> None:
        """So many messages more can be read; with the last one it is whole."""
        at = bisect_right(self.message_ends, self.end_offset) - 1 + messages
        self.end_offset = self.message_ends[min(at, len(self.message_ends) - 1)]
        self.complete = self.end_offset == len(self._data)

    def grow_to(self, ms: int) -> None:
        """Readable up to the messages of this stamp, and not whole."""
        self.complete = False
        self.end_offset = self.message_ends[bisect_right(self._stamps, ms) - 1]

    def become_whole(self) -> None:
        """All of it can be read."""
        self.end_offset, self.complete = len(self._data), True

    def break_off(self, part: float, error: MediaError) -> None:
        """Make it a file whose preparation failed after that part of it."""
        places = self.index.place_offsets
        self.end_offset = places[1 + int((len(places) - 1) * part)]
        self.complete = False
        self.failed = error

    def view(self) -> memoryview:
        """What can be read now."""
        return memoryview(self._data)[: self.end_offset]

    def advise(self, offset: int, asked: int = 0) -> int:
        """Note it."""
        self.advised.append(offset)
        return offset

    def retain(self) -> None:
        """One more holder."""
        self.holders += 1

    def close(self) -> None:
        """One holder less."""
        self.holders -= 1
