"""MPEG-TS cut into segments that each begin at a keyframe, with the tables in front. Not a demultiplexer.

Players are told once how long segments are at most, by the first one: a later one that would be longer is cut where it
has reached that, at any frame.

It reads what ffmpeg's muxer writes: one program, its tables on the PIDs below, random access points marked.

Specification: ISO/IEC 13818-1, 2.4.3.2 (packet), 2.4.3.4 (adaptation field), 2.4.3.6 (PES packet); RFC 8216, 3.2.
"""

from dataclasses import dataclass

TS_PACKET_BYTES = 188
#: A segment ends at the first keyframe after this long, or where there are no pictures, at the first sound after that.
SEGMENT_S = 2.0
SOUND_SEGMENT_S = 5.0
#: What players are told a segment lasts at most: twice the keyframe interval that platforms ask for, or as long as the
#: first one, which is cut at the latest where a usual encoder's longest interval ends.
TARGET_S, LONGEST_TARGET_S = 4, 10
# Longer than ffmpeg's muxer holds sound back for the picture.
_AWAY_S = 1.5

# PAT, SDT, and where ffmpeg puts the PMT of its first program.
_TABLE_PIDS = frozenset((0x0000, 0x0011, 0x1000))
_CLOCK_HZ = 90_000
_WRAP = 1 << 33


@dataclass(frozen=True, slots=True)
class TsSegment:
    """Whole packets, and how long they play."""

    data: bytes
    duration_s: float


def target_s(first_s: float) -> int:
    """What players are told, by the length of the first segment (RFC 8216, 4.3.3.1: after rounding none is longer)."""
    return max(TARGET_S, int(first_s + 0.5))


class TsSegmenter:
    """Feed it a transport stream, split anywhere; it gives the segments that are whole."""

    def __init__(self) -> None:
        self._unread = b""
        self._tables: dict[int, bytes] = {}
        self._packets = bytearray()
        self._has_video = False
        # Presentation times in 90 kHz: the segment's first, and the latest of its kind.
        self._first_pts: int | None = None
        self._last_pts = 0
        self._longest_s = LONGEST_TARGET_S
        self._is_first = True

    def feed(self, data: bytes) -> list[TsSegment]:
        """Segments that ``data`` completes."""
        data = self._unread + data
        whole = len(data) - len(data) % TS_PACKET_BYTES
        self._unread = data[whole:]
        segments: list[TsSegment] = []
        for at in range(0, whole, TS_PACKET_BYTES):
            packet = data[at : at + TS_PACKET_BYTES]
            if (start := _start_of(packet)) is not None:
                segments += self._note_start(*start)
            pid = (packet[1] & 0x1F) << 8 | packet[2]
            if pid in _TABLE_PIDS:
                self._tables[pid] = packet
            self._packets += packet
        return segments

    def finish(self) -> list[TsSegment]:
        """What is left, as the last segment; none if nothing is."""
        if self._first_pts is None or self._last_pts == self._first_pts:
            return []
        return [self._cut(self._last_pts)]

    def _note_start(self, is_video: bool, is_key: bool, pts: int) -> list[TsSegment]:
        if self._first_pts is None:
            self._first_pts = self._last_pts = pts
        pts = self._last_pts + (pts - self._last_pts + _WRAP // 2) % _WRAP - _WRAP // 2
        if is_video:
            self._has_video = True
        elif self._has_video:
            # Sound beside a picture decides nothing, until the picture has stayed away.
            if pts - self._last_pts < _AWAY_S * _CLOCK_HZ:
                return []
            self._has_video = False
        played_s = (pts - self._first_pts) / _CLOCK_HZ
        segments = []
        if (is_key and played_s >= (SEGMENT_S if is_video else SOUND_SEGMENT_S)) or played_s >= self._longest_s:
            segments.append(self._cut(pts))
        self._last_pts = max(self._last_pts, pts)
        return segments

    def _cut(self, pts: int) -> TsSegment:
        assert self._first_pts is not None
        # A hole in the media does not count.
        duration_s = min(self._longest_s, (pts - self._first_pts) / _CLOCK_HZ)
        segment = TsSegment(bytes(self._packets), duration_s)
        if self._is_first:
            self._is_first, self._longest_s = False, target_s(segment.duration_s)
        self._packets = bytearray(b"".join(self._tables.values()))
        self._first_pts = pts
        return segment


def _start_of(packet: bytes) -> tuple[bool, bool, int] | None:
    """Of a packet in which a frame with a time begins: whether it is of a picture, a point to start at, and its PTS."""
    if not packet[1] & 0x40:
        return None
    is_key = False
    payload = 4
    if packet[3] & 0x20:
        is_key = packet[4] > 0 and bool(packet[5] & 0x40)
        payload += 1 + packet[4]
    header = packet[payload : payload + 14]
    if len(header) < 14 or header[:3] != b"\0\0\1" or not header[7] & 0x80:
        return None
    pts = (header[9] >> 1 & 7) << 30 | header[10] << 22 | header[11] >> 1 << 15 | header[12] << 7 | header[13] >> 1
    is_video = header[3] & 0xF0 == 0xE0
    return is_video, is_key or not is_video, pts
