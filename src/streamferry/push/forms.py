"""The form in which an RTMP destination is sent its codecs: that of FLV 10.1, or that of Enhanced RTMP. Pure.

    codec          comes as                          leaves as
    H.264, AAC     Enhanced RTMP (avc1, mp4a)        FLV 10.1 (7, 10): what every server reads; YouTube ends the other
    HEVC, AV1      12 and 13, as Chinese CDNs have   Enhanced RTMP (hvc1, av01), if the server lists that
                   them; or Enhanced RTMP            otherwise as they came: servers that read either often list nothing
    places of      Enhanced RTMP beside any AAC      not at all: AAC's own header has them, and readers of FLV 10.1 take
    loudspeakers                                     it for another track

Packets of several tracks, and what is wrapped otherwise, pass as they came. Nothing is encoded, and a stream that needs
none of this is not looked at.
Specification: Adobe Video File Format 10.1, E.4.2 and E.4.3; Enhanced RTMP v2, "ExVideoTagHeader", "ExAudioTagHeader".
"""

import struct
from collections.abc import Collection, Iterable

from streamferry.media.enhanced import fourcc_of
from streamferry.media.tag import AUDIO, EX_AUDIO_FORMAT, EX_VIDEO_HEADER, METADATA, SIDE_DATA, VIDEO, LaidTag, Tag
from streamferry.wire.rtmp.connect import EVERYTHING, is_taken

_AVC, _AAC = 7, 10
_ENHANCED = {12: b"hvc1", 13: b"av01"}
#: The list of a reader that takes Enhanced RTMP of everything.
ENHANCED = frozenset((EVERYTHING,))
# Enhanced packet types.
_SEQUENCE, _FRAMES, _FRAMES_WITHOUT_OFFSET = 0, 1, 3
_FORM_BYTES = 5
# Sound of FLV 10.1: AAC is always said to be 44 kHz, 16 bit, stereo (E.4.2.1).
_AAC_SOUND = _AAC << 4 | 0x0F


class Forms:
    """How the tags of a session are written. ``listed``: the codecs that the server lists."""

    def __init__(self, listed: Collection[str]) -> None:
        self._listed = listed
        self._enhanced = {
            number: fourcc for number, fourcc in _ENHANCED.items() if is_taken((fourcc.decode(),), listed)
        }
        # The same in metadata, which names codecs by numbers, a FourCC being one.
        as_number = ((b"videocodecid", _as_number(b"avc1"), _AVC), (b"audiocodecid", _as_number(b"mp4a"), _AAC))
        enhanced = [(b"videocodecid", number, _as_number(fourcc)) for number, fourcc in self._enhanced.items()]
        self._numbers = [(_field(name, came), _field(name, leaves)) for name, came, leaves in (*as_number, *enhanced)]

    def take(self, needed: Collection[str]) -> bool:
        """Whether the server takes those codecs (``needed_of``), by what it lists."""
        return is_taken(needed, self._listed)

    def concern(self, headers: list[LaidTag]) -> bool:
        """Whether a stream with these headers is to be written otherwise than it came."""
        return any(self._written(tag) is not tag for tag in headers if tag[3] != METADATA)

    def write(self, tags: list[LaidTag]) -> list[LaidTag]:
        """The tags as they are to leave."""
        return [written for tag in tags if (written := self._written(tag)) is not None]

    def _written(self, tag: LaidTag) -> LaidTag | None:
        tag_type, dts_ms, body, kind = tag
        if len(body) < _FORM_BYTES:
            return tag
        first = body[0]
        if tag_type == VIDEO:
            written = self._picture(first, body, kind)
        elif tag_type == AUDIO and first >> 4 == EX_AUDIO_FORMAT and body[1:_FORM_BYTES] == b"mp4a":
            written = _sound(first, body, kind)
        elif kind == METADATA:
            written = bytes(body)
            for came, leaves in self._numbers:
                written = written.replace(came, leaves)
        else:
            return tag
        if written is None:
            return None
        return tag if written is body else (tag_type, dts_ms, written, kind)

    def _picture(self, first: int, body: "bytes | memoryview", kind: int) -> "bytes | memoryview | None":
        frame, low = first & 0x70, first & 0x0F
        if first & EX_VIDEO_HEADER:
            if body[1:_FORM_BYTES] != b"avc1":
                return body
            if kind == SIDE_DATA:
                return None
            if low == _FRAMES:
                return b"".join((bytes((frame | _AVC, 1)), body[_FORM_BYTES:]))
            if low in (_SEQUENCE, _FRAMES_WITHOUT_OFFSET):
                return b"".join((bytes((frame | _AVC, int(low != _SEQUENCE), 0, 0, 0)), body[_FORM_BYTES:]))
            return body
        fourcc = self._enhanced.get(low)
        if fourcc is None:
            return body
        packet = body[1]
        rest = body[2:] if packet == _FRAMES and fourcc == b"hvc1" else body[_FORM_BYTES:]
        return b"".join((bytes((EX_VIDEO_HEADER | frame | packet & 0x0F,)), fourcc, rest))


def needed_of(headers: Iterable[Tag | LaidTag]) -> frozenset[str]:
    """FourCCs of what a stream with these headers is encoded in, without H.264 and AAC."""
    return frozenset(filter(None, (fourcc_of(tag[0], tag[2]) for tag in headers)))


def _as_number(fourcc: bytes) -> int:
    return int.from_bytes(fourcc, "big")


def _field(name: bytes, number: int) -> bytes:
    """A number of an AMF0 object."""
    return name + b"\0" + struct.pack(">d", number)


def _sound(first: int, body: "bytes | memoryview", kind: int) -> "bytes | memoryview | None":
    packet = first & 0x0F
    if kind == SIDE_DATA:
        return None
    if packet in (_SEQUENCE, _FRAMES):
        return b"".join((bytes((_AAC_SOUND, packet)), body[_FORM_BYTES:]))
    return body
