"""Tracks of a tag, and what Enhanced RTMP v2 wraps into one: multitrack packets, and ModEx around any packet.

    ModEx        video and audio 7      size, data, then its type and the packet type of what follows; may be repeated
    multitrack   video 6, audio 5       form and inner packet type, FourCC, then of each track: id, size, payload
                                          form 0: one track, which has no size; form 2: a FourCC of each track's own

A *track* is a tag type and a track id. A tag that is not a multitrack packet belongs to track 0. Nothing here raises
for what a peer sent: a packet whose lengths do not fit is of kind OTHER and has no tracks.

Specification: Enhanced RTMP v2 (veovera.org), "ExVideoTagHeader", "ExAudioTagHeader".
"""

from typing import NamedTuple

from streamferry.media.tag import (
    AUDIO,
    EX_AUDIO_FORMAT,
    EX_AUDIO_MULTITRACK,
    EX_MOD_EX,
    EX_VIDEO_HEADER,
    EX_VIDEO_MULTITRACK,
    NESTED,
    OTHER,
    VIDEO,
    kind_of_audio,
    kind_of_script,
    kind_of_video,
)

#: Tracks of one type that are told apart, in a packet and in a stream. Encoders send up to six sounds and some eight
#: pictures; each track costs memory for its headers, and the id allows 256.
MAX_TRACKS = 16
#: Parameter sets have some hundred bytes; what is larger than this is no header, and would have to be kept.
MAX_HEADER_BYTES = 64 << 10
# The specification knows one kind of ModEx. What nests deeper only keeps its reader busy.
_MAX_NESTED = 8
_ONE_TRACK, _MANY_CODECS = 0, 2
# What ``codec_of`` gives for these, and for what names no codec.
_H264, _AAC = (b"\x07", b"avc1", b""), (b"\x0a", b"mp4a", b"")
_FOURCC_BYTES = 4
# Codecs that FLV 10.1, or Chinese networks after it, have by number, and Enhanced RTMP by name.
_LEGACY_FOURCCS = {(VIDEO, 12): "hvc1", (VIDEO, 13): "av01", (AUDIO, 2): ".mp3", (AUDIO, 14): ".mp3"}
# The end of an AudioSpecificConfig: syncExtensionType, SBR, and that it is not present (ISO/IEC 14496-3, 1.6.2.1).
_NO_SBR = b"\x56\xe5\x00"

#: What a header replaces: tag type, track id, packet type (0 where there is none). Metadata has (SCRIPT, 0, 0).
HeaderKey = tuple[int, int, int]


class TrackPart(NamedTuple):
    """What a packet holds of one track; the payload may be a view."""

    track_id: int
    fourcc: bytes
    payload: "bytes | memoryview"


class Packet(NamedTuple):
    """A NESTED body, unwrapped. ``first`` is the first byte that each part would have as a tag of its own."""

    kind: int
    first: int
    parts: list[TrackPart]
    is_multitrack: bool = False

    def alone(self, part: TrackPart) -> bytes:
        """One track as a body without any wrapping, which belongs to track 0 wherever it is read."""
        return b"".join((bytes((self.first,)), part.fourcc, part.payload))

    def one_track(self, tag_type: int, part: TrackPart) -> bytes:
        """One track as a multitrack body that holds no other."""
        multitrack = EX_VIDEO_MULTITRACK if tag_type == VIDEO else EX_AUDIO_MULTITRACK
        head = (self.first & 0xF0 | multitrack, _ONE_TRACK << 4 | self.first & 0x0F)
        return b"".join((bytes(head), part.fourcc, bytes((part.track_id,)), part.payload))


_DAMAGED = Packet(OTHER, 0, [])


def tag_kind(tag_type: int, body: "bytes | memoryview") -> int:
    """Kind of any tag: that of what lies inside, if it is NESTED. See :class:`~streamferry.media.tag.TagKind`."""
    kind = _outer_kind(tag_type, body)
    return unwrap(tag_type, body).kind if kind == NESTED else kind


def _outer_kind(tag_type: int, body: "bytes | memoryview") -> int:
    if tag_type == VIDEO:
        return kind_of_video(body)
    return kind_of_audio(body) if tag_type == AUDIO else kind_of_script(body)


def unwrap(tag_type: int, body: "bytes | memoryview") -> Packet:
    """What a NESTED body holds; at most MAX_TRACKS tracks, each once."""
    multitrack = EX_VIDEO_MULTITRACK if tag_type == VIDEO else EX_AUDIO_MULTITRACK
    flags, packet_type, at = body[0] & 0xF0, body[0] & 0x0F, 1
    try:
        for _ in range(_MAX_NESTED):
            if packet_type != EX_MOD_EX:
                break
            size = body[at] + 1
            at += 1
            if size == 256:
                size = int.from_bytes(body[at : at + 2], "big") + 1
                at += 2
            packet_type = body[at + size] & 0x0F
            at += size + 1
        kind = _outer_kind(tag_type, bytes((flags | packet_type,)))
        form: int | None = None
        if kind == NESTED and packet_type == multitrack:
            form, packet_type = body[at] >> 4, body[at] & 0x0F
            at += 1
            kind = _outer_kind(tag_type, bytes((flags | packet_type,)))
    except IndexError:
        return _DAMAGED
    if kind in (NESTED, OTHER):
        return _DAMAGED
    parts = _read_parts(body, at, form)
    return Packet(kind, flags | packet_type, parts, form is not None) if parts else _DAMAGED


def _read_parts(body: "bytes | memoryview", at: int, form: int | None) -> list[TrackPart]:
    """The tracks from ``at`` on; ``form`` is the multitrack type, None for a packet of one. Empty: damaged."""
    fourcc = b""
    if form != _MANY_CODECS:
        fourcc = bytes(body[at : at + _FOURCC_BYTES])
        at += _FOURCC_BYTES
        if len(fourcc) < _FOURCC_BYTES:
            return []
    if form is None:
        return [TrackPart(0, fourcc, body[at:])]
    if form > _MANY_CODECS:
        return []
    parts: dict[int, TrackPart] = {}
    end = len(body)
    while at < end:
        if form == _MANY_CODECS:
            fourcc = bytes(body[at : at + _FOURCC_BYTES])
            at += _FOURCC_BYTES
        if at >= end or len(parts) >= MAX_TRACKS:
            return []
        track_id = body[at]
        at += 1
        size = end - at
        if form != _ONE_TRACK:
            size = int.from_bytes(body[at : at + 3], "big")
            at += 3
        if at + size > end or track_id in parts:
            return []
        parts[track_id] = TrackPart(track_id, fourcc, body[at : at + size])
        at += size
    return list(parts.values())


def headers_in(tag_type: int, body: "bytes | memoryview") -> dict[HeaderKey, bytes]:
    """The headers, or side data, of a tag of such a kind, by what each replaces: bodies of one track, without ModEx.

    None of a tag that is too large, or does not even name its codec.
    """
    if len(body) > MAX_HEADER_BYTES:
        return {}
    first = body[0]
    if _outer_kind(tag_type, body) == NESTED:
        packet = unwrap(tag_type, body)
        return {
            (tag_type, part.track_id, packet.first & 0x0F): (
                packet.one_track(tag_type, part) if packet.is_multitrack else packet.alone(part)
            )
            for part in packet.parts
        }
    is_enhanced = first & EX_VIDEO_HEADER if tag_type == VIDEO else first >> 4 == EX_AUDIO_FORMAT
    if is_enhanced and len(body) <= _FOURCC_BYTES:
        return {}
    return {(tag_type, 0, first & 0x0F if is_enhanced else 0): bytes(body)}


def codec_of(tag_type: int, body: "bytes | memoryview") -> bytes:
    """What names the codec of a header or frame: the FourCC, or the legacy number in one byte. Empty if damaged."""
    if not body:
        return b""
    if _outer_kind(tag_type, body) == NESTED:
        packet = unwrap(tag_type, body)
        return packet.parts[0].fourcc if packet.parts else b""
    first = body[0]
    if tag_type == VIDEO:
        return bytes(body[1:5]) if first & EX_VIDEO_HEADER else bytes((first & 0x0F,))
    return bytes(body[1:5]) if first >> 4 == EX_AUDIO_FORMAT else bytes((first >> 4,))


def is_h264_or_aac(tag_type: int, body: "bytes | memoryview") -> bool:
    """Whether a tag is H.264 or AAC, or nothing that names a codec."""
    if tag_type == VIDEO:
        return codec_of(tag_type, body) in _H264
    return tag_type != AUDIO or codec_of(tag_type, body) in _AAC


def fourcc_of(tag_type: int, body: "bytes | memoryview") -> str:
    """The FourCC by which servers list the codec of a header or frame; empty for H.264, AAC and what names none.

    What has no FourCC, as G.711, gets a name that no server lists.
    """
    if tag_type not in (VIDEO, AUDIO) or is_h264_or_aac(tag_type, body):
        return ""
    codec = codec_of(tag_type, body)
    if len(codec) == _FOURCC_BYTES:
        name = codec.decode("latin-1")
        return name if name.isascii() and name.isprintable() else codec.hex()
    return _LEGACY_FOURCCS.get((tag_type, codec[0]), f"flv {tag_type} {codec[0]}")


def same_meaning(tag_type: int, header: bytes, other: bytes) -> bool:
    """Whether two sequence headers say the same: encoders spell that there is no SBR in AAC, or leave it out."""
    if header == other:
        return True
    return tag_type == AUDIO and header.removesuffix(_NO_SBR) == other.removesuffix(_NO_SBR)


class FirstTracks:
    """Of each type the track with the lowest id, for those who know one picture and one sound: browsers, MPEG-TS."""

    def __init__(self) -> None:
        self._ids: dict[int, int] = {}

    def take(self, tag_type: int, body: "bytes | memoryview") -> "bytes | memoryview | None":
        """The tag's body without any wrapping; None if it holds nothing of the first track."""
        if _outer_kind(tag_type, body) != NESTED:
            self._ids[tag_type] = 0
            return body
        packet = unwrap(tag_type, body)
        if not packet.parts:
            return None
        part = min(packet.parts)
        if part.track_id > self._ids.setdefault(tag_type, part.track_id):
            return None
        self._ids[tag_type] = part.track_id
        return packet.alone(part)
