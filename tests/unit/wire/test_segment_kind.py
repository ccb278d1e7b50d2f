"""What a segment of HLS is, told by its first bytes."""

import pytest

from streamferry.wire.segment_kind import SegmentKind, segment_kind, segment_offset

_TS = bytes([0x47, 0x40, 0, 0x10]).ljust(188, b"\xff")
_ADTS = bytes.fromhex("fff15080017ffc21").ljust(11, b"\0")
_ID3 = b"ID3\x04\0\0\0\0\0\x05" + b"\0" * 5


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (_TS * 5, SegmentKind.TS),
        (_TS[:16], SegmentKind.TS),
        (b"\x89PNG" + b"\0" * 60 + _TS * 5, SegmentKind.TS),
        *((bytes([0, 0, 0, 24]) + name + b"\0" * 16, SegmentKind.MP4) for name in (b"ftyp", b"moof", b"emsg", b"sidx")),
        (_ADTS * 3, SegmentKind.PACKED_AUDIO),
        (_ADTS[:16], SegmentKind.PACKED_AUDIO),
        (_ID3 + _ADTS * 3, SegmentKind.PACKED_AUDIO),
        (_ID3[:12], SegmentKind.PACKED_AUDIO),
        (bytes.fromhex("fffb9064") + b"\0" * 12, SegmentKind.PACKED_AUDIO),
        # A sampling rate that is reserved: no MP3.
        (bytes.fromhex("fffb9c64") + b"\0" * 12, SegmentKind.TS),
    ],
)
def test_a_kind_is_told_by_sixteen_bytes(head: bytes, kind: SegmentKind) -> None:
    """So many are looked at; more of them change nothing."""
    assert segment_kind(head) is kind
    assert segment_kind(head[:16]) is kind


def test_media_is_found_after_a_picture() -> None:
    """Five packets in a row are no accident; a letter is no media."""
    assert segment_offset(b"\x89PNG" + b"G" * 60 + _TS * 5) == 64
    assert segment_offset(_TS * 5) == segment_offset(_ID3 + _ADTS * 3) == 0
    assert segment_offset(b"Good morning. " * 200) is None
