"""How ffmpeg may read a file, from its first bytes: through a pipe, front to back, or only as a whole file.

Not a validator: ffmpeg decides what is media. MP4 is walked by its top-level boxes (ISO/IEC 14496-12, 4.2): with
``moov`` before ``mdat`` it reads front to back.
"""

from collections.abc import Callable
from enum import Enum

from streamferry.wire.hls import GZIP_MAGIC, uncompressed

#: Gives up to ``size`` bytes at ``offset``, waiting for them; fewer only where the file ends.
ReadAt = Callable[[int, int], bytes]

_SNIFF_SIZE = 400
_TS_PACKETS = (188, 192)
_BOX_HEADER_SIZE = 16
#: No file is longer; the system takes no offset of 2^63.
MAX_FILE_BYTES = 1 << 60
_FIRST_BOXES = frozenset((b"ftyp", b"styp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot", b"uuid", b"moof"))


#: Some hosts put a picture in front of a segment of MPEG-TS, so that image hosting services accept it.
MAX_DISGUISE_BYTES = 64 << 10
_TS_PACKET_BYTES = 188
# This many in a row do not occur by accident in anything but TS.
_TS_ROW = 5
# Boxes a segment or a header of fragmented MP4 begins with, beside those of a file (CMAF, ISO/IEC 23000-19, 7.3.2).
_SEGMENT_BOXES = frozenset((b"sidx", b"emsg", b"prft", b"ssix"))
_ID3_HEAD_BYTES = 10


class Container(Enum):
    """Kind of file; the value is the ffmpeg demuxer to name, so that a file cannot choose a stranger one."""

    FLV = "flv"
    TS = "mpegts"
    MATROSKA = "matroska"
    MP4 = "mov"
    MP4_MOOV_LAST = "mov "
    HLS = "hls"
    UNKNOWN = ""

    @property
    def demuxer(self) -> str:
        """Name of ffmpeg's demuxer, empty for ffmpeg to find out."""
        return self.value.strip()

    @property
    def reads_front_to_back(self) -> bool:
        """True when a pipe is enough."""
        return self in (Container.FLV, Container.TS, Container.MATROSKA, Container.MP4)


def look(read_at: ReadAt) -> Container:
    """Kind of the file behind ``read_at``."""
    head = read_at(0, _SNIFF_SIZE)
    if head.startswith(b"FLV\x01"):
        return Container.FLV
    if head.startswith(b"\x1aE\xdf\xa3"):
        return Container.MATROSKA
    text = uncompressed(head, _SNIFF_SIZE) if head.startswith(GZIP_MAGIC) else head
    if text.removeprefix(b"\xef\xbb\xbf").startswith(b"#EXTM3U"):
        return Container.HLS
    for packet in _TS_PACKETS:
        at = packet - 188
        if len(head) > at + packet and head[at] == 0x47 and head[at + packet] == 0x47:
            return Container.TS
    if head[4:8] in _FIRST_BOXES:
        return _walk_boxes(read_at)
    return Container.UNKNOWN


def _walk_boxes(read_at: ReadAt) -> Container:
    offset = 0
    while True:
        header = read_at(offset, _BOX_HEADER_SIZE)
        if len(header) < 8:
            return Container.MP4_MOOV_LAST
        size, name = int.from_bytes(header[:4]), header[4:8]
        if name == b"moov":
            return Container.MP4
        if name == b"mdat":
            return Container.MP4_MOOV_LAST
        if size == 1:
            size = int.from_bytes(header[8:16])
        if size < 8:
            return Container.MP4_MOOV_LAST
        offset += size
        if offset > MAX_FILE_BYTES:
            return Container.MP4_MOOV_LAST


def segment_offset(head: bytes) -> int | None:
    """Where media begins in the first bytes of an HLS segment or header; None if it is not of a kind that HLS knows.

    MPEG-TS, fragmented MP4, and AAC, MP3, AC-3 or E-AC-3, behind ID3 tags or not (RFC 8216, 3.2 to 3.4).
    """
    if (head[4:8] in _FIRST_BOXES | _SEGMENT_BOXES and int.from_bytes(head[:4]) != 0) or _is_packed_audio(head):
        return 0
    row = len(head) // _TS_PACKET_BYTES
    if row and set(head[: row * _TS_PACKET_BYTES : _TS_PACKET_BYTES][:_TS_ROW]) == {0x47}:
        return 0
    last = len(head) - (_TS_ROW - 1) * _TS_PACKET_BYTES
    at = head.find(b"G", 1, last)
    while at > 0:
        if head[at : at + _TS_ROW * _TS_PACKET_BYTES : _TS_PACKET_BYTES] == b"G" * _TS_ROW:
            return at
        at = head.find(b"G", at + 1, last)
    return None


def _is_packed_audio(head: bytes) -> bool:
    at = 0
    while head[at : at + 3] == b"ID3":
        # A size of four times 7 bits (ID3v2.4, 3.1).
        digits = head[at + 6 : at + _ID3_HEAD_BYTES]
        at += _ID3_HEAD_BYTES + sum(digit << 7 * place for place, digit in enumerate(reversed(digits)))
    frame = head[at : at + 8]
    if len(frame) < 8:
        return False
    if frame.startswith(b"\x0b\x77"):
        return True
    if frame[0] != 0xFF or frame[1] & 0xE0 != 0xE0:
        return False
    if frame[1] & 0x06:
        # MP3 (ISO/IEC 11172-3, 2.4.2.3): no reserved version, bit rate or sampling rate.
        return frame[1] & 0x18 != 0x08 and frame[2] >> 4 != 15 and frame[2] >> 2 & 3 != 3
    # ADTS (ISO/IEC 14496-3, 1.A.2.2.1): the next frame begins where this one's length says.
    behind = at + ((frame[3] & 3) << 11 | frame[4] << 3 | frame[5] >> 5)
    following = head[behind : behind + 2]
    return frame[1] & 0xF0 == 0xF0 and behind > at and (len(following) < 2 or following[:1] == b"\xff")
