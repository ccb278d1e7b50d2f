"""A prepared file in memory, as the reader sees one: made from a camera's tags, whole or still growing."""

from bisect import bisect_right

from scripted.camera import FRAME_MS, Camera
from streamferry.media.enhanced import tag_kind
from streamferry.media.errors import MediaError
from streamferry.media.tag import KEYFRAME, VIDEO, Tag
from streamferry.wire.flv import serialize_flv_header, serialize_tag


class MemoryFile:
    """Satisfies ``source.prepared.PlayableFile``."""

    def __init__(self, seconds: float, *, gop: int = 25, frame_bytes: int = 400) -> None:
        camera = Camera(gop=gop, frame_bytes=frame_bytes)
        self.headers: list[Tag] = camera.headers()
        self.tags = camera.film(seconds)
        data = bytearray(serialize_flv_header(True, True))
        self._keyframes: list[tuple[int, int]] = []
        for tag in self.tags:
            if tag[0] == VIDEO and tag_kind(VIDEO, tag[2]) == KEYFRAME:
                self._keyframes.append((tag[1], len(data)))
            data += serialize_tag(*tag)
        self._data = bytes(data)
        self.end_offset = len(data)
        self.origin_ms = 0
        self.duration_ms = camera.pictures * FRAME_MS
        self.complete = True
        self.failed: MediaError | None = None
        self.cut_short: MediaError | None = None
        self.holders = 1

    def break_off(self, part: float, error: MediaError) -> None:
        """Make it a file whose preparation failed after that part of it."""
        at = int(len(self._keyframes) * part)
        self.end_offset = self._keyframes[at][1]
        self.complete = False
        self.failed = error

    def view(self) -> memoryview:
        """What can be read now."""
        return memoryview(self._data)

    def keyframe_at_or_before(self, ms: int) -> tuple[int, int]:
        """Where to start."""
        stamp, offset = self._keyframes[bisect_right([stamp for stamp, _ in self._keyframes], ms) - 1]
        return offset, stamp

    def advise(self, offset: int) -> None:
        """Nothing to do."""

    def retain(self) -> None:
        """One more holder."""
        self.holders += 1

    def close(self) -> None:
        """One holder less."""
        self.holders -= 1
