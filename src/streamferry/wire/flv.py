"""FLV: the file header, tags read and written, and the ``onMetaData`` script. Not what is inside media bodies.

Specification: Adobe Video File Format 10.1, annex E. A tag is an 11-byte header (type, 24-bit body size, 24-bit stamp
and its extension byte as the high 8 bits, stream id), the body, and the size of both as 4 bytes.
"""

from struct import Struct

from streamferry.media.errors import RemoteProtocolError
from streamferry.media.tag import AUDIO, SCRIPT, VIDEO, Tag
from streamferry.reasons import Code
from streamferry.wire.amf0 import Amf0Reader, Amf0Value, EcmaArray, parse_amf0, serialize_amf0

#: File header and the PreviousTagSize0 after it.
FLV_HEADER_BYTES = 13
#: A stamp no tag reaches: ``scan_tags`` without a limit.
NEVER_MS = 1 << 32
#: Largest body taken. The field allows 16 MiB; the largest keyframes of 4K at 50 Mbps are about 2 MiB.
MAX_TAG_BYTES = 8 << 20

_TAG_HEADER_BYTES = 11
#: A tag without its body: header and trailing size.
AROUND_BODY_BYTES = _TAG_HEADER_BYTES + 4
_HAS_AUDIO, _HAS_VIDEO = 4, 1
_FILTER_BIT = 0x20
_TAG_TYPES = frozenset((AUDIO, VIDEO, SCRIPT))

# A tag of a type that is not known is waited for if it is no larger.
_MAX_FOREIGN_BYTES = 64 << 10

# Captions and cue points have some hundred bytes. They are read in the beat: this many values take 0.1 ms.
_MAX_SCRIPT_BYTES, _MAX_SCRIPT_VALUES = 16 << 10, 128

_read_two_words = Struct(">II").unpack_from
_HEADER = Struct(">3sBBI")
# Type and size in one word, stamp and extension byte in the next, then the 24-bit stream id, always 0.
_pack_tag_header = Struct(">II3x").pack
_pack_word = Struct(">I").pack


def scan_tags(view: memoryview, start: int, end: int, out: list[Tag], until_ms: int = NEVER_MS) -> int:
    """Append each tag that lies whole in ``view[start:end]`` to ``out``, its body as a view, and return the new start.

    Stops before the first tag stamped later than ``until_ms``. What follows the new start has to be presented again.
    Tags of other types are passed by, and so is a second file header, as of files put one behind the other.
    Raises RemoteProtocolError for what is no tag, an encrypted tag, or a body over MAX_TAG_BYTES.
    """
    append = out.append
    last_header = end - AROUND_BODY_BYTES
    while start <= last_header:
        type_and_size, stamp_and_extension = _read_two_words(view, start)
        body_bytes = type_and_size & 0xFFFFFF
        tag_type = type_and_size >> 24
        if tag_type not in _TAG_TYPES or body_bytes > MAX_TAG_BYTES:
            following = _after_foreign(view, start, end, tag_type, body_bytes)
            if following == start:
                break
            start = following
            continue
        following = start + AROUND_BODY_BYTES + body_bytes
        if following > end:
            break
        stamp_ms = stamp_and_extension >> 8 | (stamp_and_extension & 0xFF) << 24
        if stamp_ms > until_ms:
            break
        append((tag_type, stamp_ms, view[start + _TAG_HEADER_BYTES : following - 4]))
        start = following
    return start


def _after_foreign(view: memoryview, start: int, end: int, tag_type: int, body_bytes: int) -> int:
    """Where a tag of another type ends, or a file header; ``start`` if that has not come yet."""
    if bytes(view[start : start + 4]) == b"FLV\1" and end - start >= FLV_HEADER_BYTES:
        parse_flv_header(view[start : start + FLV_HEADER_BYTES])
        return start + FLV_HEADER_BYTES
    if tag_type in _TAG_TYPES or tag_type & _FILTER_BIT or body_bytes > _MAX_FOREIGN_BYTES:
        raise _bad_tag(tag_type, body_bytes)
    following = start + AROUND_BODY_BYTES + body_bytes
    if following > end:
        return start
    # What follows a tag is its size: of anything else these bytes do not agree.
    if int.from_bytes(view[following - 4 : following]) != _TAG_HEADER_BYTES + body_bytes:
        raise _bad_tag(tag_type, body_bytes)
    return following


def _bad_tag(tag_type: int, body_bytes: int) -> RemoteProtocolError:
    if tag_type & _FILTER_BIT:
        return RemoteProtocolError(Code.PROTOCOL_FLV_ENCRYPTED)
    if tag_type not in _TAG_TYPES:
        return RemoteProtocolError(Code.PROTOCOL_FLV_UNKNOWN_TAG, type=tag_type)
    return RemoteProtocolError(Code.PROTOCOL_FLV_LARGE_TAG, size_bytes=body_bytes, max_bytes=MAX_TAG_BYTES)


def parse_flv_header(data: "bytes | memoryview") -> None:
    """Check the first FLV_HEADER_BYTES of a stream. The audio and video flags are not believed: encoders guess them.

    Raises RemoteProtocolError if the stream is not FLV.
    """
    if len(data) < FLV_HEADER_BYTES:
        raise RemoteProtocolError(Code.PROTOCOL_FLV_HEADER_CUT_SHORT)
    signature, _version, _flags, data_offset = _HEADER.unpack_from(data)
    if signature != b"FLV":
        raise RemoteProtocolError(Code.PROTOCOL_NOT_FLV)
    if data_offset != _HEADER.size:
        raise RemoteProtocolError(Code.PROTOCOL_FLV_BAD_HEADER, size_bytes=data_offset)


def serialize_flv_header(has_audio: bool, has_video: bool) -> bytes:
    """File header and PreviousTagSize0, FLV_HEADER_BYTES in all."""
    flags = (_HAS_AUDIO if has_audio else 0) | (_HAS_VIDEO if has_video else 0)
    return _HEADER.pack(b"FLV", 1, flags, _HEADER.size) + _pack_word(0)


def serialize_tag(tag_type: int, stamp_ms: int, body: "bytes | memoryview") -> bytes:
    """One tag with its trailing size. The stamp is taken modulo 2^32."""
    body_bytes = len(body)
    stamp_and_extension = (stamp_ms & 0xFFFFFF) << 8 | stamp_ms >> 24 & 0xFF
    header = _pack_tag_header(tag_type << 24 | body_bytes, stamp_and_extension)
    return b"".join((header, body, _pack_word(_TAG_HEADER_BYTES + body_bytes)))


def parse_metadata(body: "bytes | memoryview") -> dict[str, Amf0Value]:
    """Values of an ``onMetaData`` script body, with or without ``@setDataFrame`` before it.

    Empty for any other script and for bytes that cannot be read: metadata is advice, never a reason to end a stream.
    """
    reader = Amf0Reader(body)
    try:
        name = reader.read()
        if name == "@setDataFrame":
            name = reader.read()
        values = reader.read() if name == "onMetaData" else None
    except RemoteProtocolError:
        return {}
    return dict(values) if isinstance(values, dict) else {}


def is_script(body: "bytes | memoryview") -> bool:
    """Whether a script tag's body is a name and values that can be read, and is small: servers close for others."""
    if len(body) > _MAX_SCRIPT_BYTES:
        return False
    try:
        name, *_ = parse_amf0(body, _MAX_SCRIPT_VALUES)
    except (RemoteProtocolError, ValueError):
        return False
    return isinstance(name, str) and name != ""


def serialize_metadata(values: dict[str, Amf0Value]) -> bytes:
    """An ``onMetaData`` script body, as a tag or an RTMP data message carries it."""
    return serialize_amf0("onMetaData", EcmaArray(values))
