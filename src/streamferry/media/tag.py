"""The FLV tag, the unit every source gives and every destination takes, and what one look at its body tells.

A tag is a plain tuple, because a relay handles about 80 a second and a dataclass costs ten times as much to make
(measured on CPython 3.11: tuple display 30 ns, slots dataclass 250 ns, frozen 1,000 ns).

Specification: Adobe Video File Format 10.1, annex E (FLV); Enhanced RTMP v2 (veovera.org) for the extended headers.
"""

from enum import IntEnum

#: What a source gives: (tag type, 32-bit stamp in ms as it came, body).
#: The body may be a view of a buffer that is reused at the next beat: copy it with ``bytes()`` to keep it.
Tag = tuple[int, int, "bytes | memoryview"]

#: What the timeline gives: (tag type, DTS on the output clock in ms, body, kind).
LaidTag = tuple[int, int, "bytes | memoryview", int]

#: What a tag that is kept takes in memory besides its body (measured: 170 bytes): of tiny bodies it is nearly all.
KEPT_TAG_BYTES = 200

#: FLV tag types; RTMP message types have the same numbers (FLV E.4.1, RTMP 7.1).
AUDIO, VIDEO, SCRIPT = 8, 9, 18


class TagKind(IntEnum):
    """What a tag is good for. Frames are those up to KEYFRAME."""

    #: A frame at which a viewer with the headers can begin. A tag alone does not tell: see ``media.starts``.
    START = 0
    FRAME = 1
    #: A picture that needs no other.
    KEYFRAME = 2
    #: What a decoder needs before the first frame of a track.
    SEQUENCE_HEADER = 3
    #: What a viewer should know of a track and can do without: colours of HDR, places of loudspeakers.
    SIDE_DATA = 4
    METADATA = 5
    #: Nothing to be seen or heard: a command, an end of sequence, what is reserved or damaged.
    OTHER = 6
    #: An Enhanced RTMP packet around others, of which one byte does not tell the kind: see ``media.enhanced``.
    NESTED = 7


# Plain integers: comparing enum members costs three times as much.
START, FRAME, KEYFRAME, SEQUENCE_HEADER, SIDE_DATA, METADATA, OTHER, NESTED = (int(kind) for kind in TagKind)

# Bit 7 of a video tag's first byte: an Enhanced RTMP header follows (packet type in the low nibble, then a FourCC).
EX_VIDEO_HEADER = 0x80
#: Sound format 9 of an audio tag: an Enhanced RTMP v2 audio header follows.
EX_AUDIO_FORMAT = 9
#: Sound formats that platforms and players refuse, and ffmpeg reads: samples (0, 3), ADPCM (1), Nellymoser (4 to 6),
#: G.711 (7, 8) and Speex (11).
ENCODED_SOUNDS = frozenset((0, 1, 3, 4, 5, 6, 7, 8, 11))
#: Packet types of Enhanced RTMP around other packets. ModEx has the same number for both.
EX_VIDEO_MULTITRACK, EX_AUDIO_MULTITRACK, EX_MOD_EX = 6, 5, 7
#: Enhanced packet type of HDR colours (video) and of the places of loudspeakers (audio).
EX_SIDE_DATA = 4
# Enhanced packet types: 0 SequenceStart, 5 (video) MPEG-2 TS SequenceStart; 1 CodedFrames, 3 (video) CodedFramesX.
_EX_VIDEO_SEQUENCE = frozenset((0, 5))
_EX_VIDEO_FRAMES = frozenset((1, 3))
# Legacy codec ids whose second byte is a packet type, 0 being the sequence header:
# 7 AVC; 12 HEVC and 13 AV1 as used by Chinese CDNs before Enhanced RTMP.
_PACKETIZED_VIDEO = frozenset((7, 12, 13))
_AAC = 10
# What comes before the payload of those, and of AAC (FLV E.4.2.2, E.4.3.2). Without payload it is nothing: ffmpeg's
# muxer begins a stream of ADTS with an empty header, and players would go on with it.
_PICTURE_HEAD_BYTES, _SOUND_HEAD_BYTES = 5, 2
_METADATA_LOOK_BYTES = 16 << 10
# Frame types: 1 keyframe, 5 a command to the player (start or end of seek), which has no packet type (FLV E.4.3.1).
_KEY_PICTURE, _COMMAND = 1, 5


def _video_kind(first: int) -> int:
    """Kind by the first byte of a video tag; negative: the second byte tells, and a frame is of this kind."""
    is_enhanced = bool(first & EX_VIDEO_HEADER)
    frame_type, low = first >> 4 & (7 if is_enhanced else 15), first & 0x0F
    frame = KEYFRAME if frame_type == _KEY_PICTURE else FRAME if frame_type < _COMMAND else OTHER
    if not is_enhanced:
        return -frame if low in _PACKETIZED_VIDEO and frame_type != _COMMAND else frame
    if low == EX_SIDE_DATA:
        return SIDE_DATA  # Whatever the frame type says, which is to be ignored.
    if low == EX_MOD_EX:
        return NESTED
    if frame_type == _COMMAND:
        return OTHER
    if low == EX_VIDEO_MULTITRACK:
        return NESTED
    if low in _EX_VIDEO_SEQUENCE:
        return SEQUENCE_HEADER
    return frame if low in _EX_VIDEO_FRAMES else OTHER


def _audio_kind(first: int) -> int:
    """The same for an audio tag."""
    sound_format, packet = first >> 4, first & 0x0F
    if sound_format == _AAC:
        return -FRAME
    if sound_format != EX_AUDIO_FORMAT:
        return FRAME
    kinds = {0: SEQUENCE_HEADER, 1: FRAME, EX_SIDE_DATA: SIDE_DATA, EX_AUDIO_MULTITRACK: NESTED, EX_MOD_EX: NESTED}
    return kinds.get(packet, OTHER)


_VIDEO_KINDS = tuple(_video_kind(first) for first in range(256))
_AUDIO_KINDS = tuple(_audio_kind(first) for first in range(256))


def kind_of_video(body: "bytes | memoryview") -> int:
    """Kind of a video tag's body, NESTED among them. An empty body is OTHER."""
    if not body:
        return OTHER
    kind = _VIDEO_KINDS[body[0]]
    if kind > 0:
        return kind
    if len(body) < 2:
        return OTHER
    packet = body[1]
    if packet > 1 or len(body) <= _PICTURE_HEAD_BYTES:
        return OTHER
    return -kind if packet else SEQUENCE_HEADER


def kind_of_audio(body: "bytes | memoryview") -> int:
    """Kind of an audio tag's body: SEQUENCE_HEADER, SIDE_DATA, FRAME, NESTED, or OTHER when it carries no sound."""
    if not body:
        return OTHER
    kind = _AUDIO_KINDS[body[0]]
    if kind > 0:
        return kind
    if len(body) <= _SOUND_HEAD_BYTES:
        return OTHER
    return FRAME if body[1] else SEQUENCE_HEADER


def kind_of_script(body: "bytes | memoryview") -> int:
    """METADATA for onMetaData, with or without ``@setDataFrame`` before it; OTHER for cue points and the like."""
    return METADATA if b"\x02\x00\x0aonMetaData" in bytes(body[:40]) else OTHER


def metadata_tells_picture(body: "bytes | memoryview") -> bool:
    """Whether an ``onMetaData`` body names a picture, by what it begins with: it is asked in the beat.

    Keyframe indexes, which recorders append and which take 150 ms to parse, are not looked into.
    """
    head = bytes(body[:_METADATA_LOOK_BYTES])
    for name in (b"\x00\x0cvideocodecid", b"\x00\x05width"):
        value = head.partition(name)[2][:9]
        if value[:1] == b"\x00" and any(value[1:]):  # A number that is not 0.
            return True
        if value[:1] == b"\x02" and any(value[1:3]):  # A text that is not empty.
            return True
    return False
