"""Packed audio of HLS: AAC in ADTS or MP3 without a container, behind an ID3 tag that tells when it begins.

Specification: RFC 8216, 3.4; ID3v2.4, 3.1 (sizes of four times 7 bits) and 4.27 (PRIV).
"""

from streamferry.media.tag import Tag
from streamferry.wire.mpegts.sounds import Sounds
from streamferry.wire.mpegts.stamps import TURN_TICKS, unwrapped

_OWNER = b"com.apple.streaming.transportStreamTimestamp\0"
_HEAD_BYTES = 10
_MAX_TAG_BYTES = 1 << 20
_STAMP_MASK = TURN_TICKS - 1


class PackedAudio:
    """Reads the segments of one rendition, each from its beginning; see ``TsDemuxer``."""

    #: See ``TsDemuxer.has_sound``.
    has_sound = True
    encrypted = ""
    pending_ms: int | None = None

    def __init__(self) -> None:
        self._sounds: Sounds | None = None
        self._held = b""
        self._is_head = True
        self._pts: int | None = None
        self._last: int | None = None

    @property
    def is_known(self) -> bool:
        """Whether its codec is known."""
        return self._sounds is not None

    @property
    def unsupported(self) -> str:
        """See ``TsDemuxer.unsupported``."""
        return self._sounds.unsupported if self._sounds is not None else ""

    def begin_segment(self) -> None:
        """The next bytes are the beginning of a segment."""
        self._held, self._is_head = b"", True
        if self._sounds is not None:
            self._sounds.lose()

    def feed(self, data: bytes | memoryview, out: list[Tag]) -> None:
        """See ``TsDemuxer.feed``."""
        data = self._held + data
        self._held = b""
        while self._is_head:
            if len(data) < _HEAD_BYTES:
                self._held = data
                return
            if not data.startswith(b"ID3"):
                self._is_head = False
                break
            size = _HEAD_BYTES + sum((byte & 0x7F) << 7 * (3 - place) for place, byte in enumerate(data[6:10]))
            if len(data) < size:
                if size > _MAX_TAG_BYTES:
                    data = data[_HEAD_BYTES:]
                    self._is_head = False
                    break
                self._held = data
                return
            self._note_stamp(data[:size])
            data = data[size:]
        if self._sounds is None and len(data) >= 2:
            # Layer 0 is ADTS (ISO/IEC 14496-3, 1.A.2.2.1).
            self._sounds = Sounds("mpeg" if data[0] == 0xFF and data[1] & 0x06 else "aac")
        if self._sounds is not None:
            self._sounds.put(data, self._pts, out)
            self._pts = None
        else:
            self._held = data

    def finish(self, out: list[Tag]) -> None:
        """See ``TsDemuxer.finish``: nothing is held that is whole."""

    def _note_stamp(self, tag: bytes) -> None:
        at = tag.find(_OWNER)
        if at >= 0 and at + len(_OWNER) + 8 <= len(tag):
            begin = at + len(_OWNER)
            stamp = int.from_bytes(tag[begin : begin + 8]) & _STAMP_MASK
            self._pts = self._last = unwrapped(stamp, self._last)
