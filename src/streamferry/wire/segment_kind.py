"""What a segment of HLS is, or the header before one, from its first bytes (RFC 8216, 3.1 to 3.4)."""

from enum import Enum, auto

#: Boxes that a file of MP4 begins with (ISO/IEC 14496-12, 4.2).
FIRST_BOXES = frozenset((b"ftyp", b"styp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot", b"uuid", b"moof"))
# And those that a segment or a header of fragmented MP4 begins with beside them (CMAF, ISO/IEC 23000-19, 7.3.2).
_SEGMENT_BOXES = FIRST_BOXES | {b"sidx", b"emsg", b"prft", b"ssix"}
#: Some hosts put a picture in front of a segment of MPEG-TS, so that image hosting services accept it.
MAX_DISGUISE_BYTES = 64 << 10
_TS_PACKET_BYTES = 188
# This many in a row do not occur by accident in anything but TS.
_TS_ROW = 5
_ID3_HEAD_BYTES = 10


class SegmentKind(Enum):
    """What reads a segment."""

    TS = auto()
    MP4 = auto()
    PACKED_AUDIO = auto()


def segment_kind(head: bytes) -> SegmentKind:
    """Of a segment that begins so. What is nothing else is taken for MPEG-TS, in which packets are searched for."""
    if _begins_with_box(head):
        return SegmentKind.MP4
    if head.startswith(b"ID3") or _is_packed_audio(head):
        return SegmentKind.PACKED_AUDIO
    return SegmentKind.TS


def segment_offset(head: bytes) -> int | None:
    """Where media begins in the first bytes of an HLS segment or header; None if it is not of a kind that HLS knows.

    MPEG-TS, fragmented MP4, and AAC, MP3, AC-3 or E-AC-3, behind ID3 tags or not (RFC 8216, 3.2 to 3.4).
    """
    if (_begins_with_box(head) and int.from_bytes(head[:4]) != 0) or _is_packed_audio(head):
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


def _begins_with_box(head: bytes) -> bool:
    return head[4:8] in _SEGMENT_BOXES


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
