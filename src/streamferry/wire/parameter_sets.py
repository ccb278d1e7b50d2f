"""Parameter sets of H.264 and HEVC: those of a sequence header, those in a picture, and the header that has them all.

Files with avc3 or hev1, and segments cut by some servers, have them in the pictures only; their header is empty, which
gateways and hardware decoders do not take. A picture may also bring other ones than the header: they hold from there.

Specification: ISO/IEC 14496-15, 5.3.3.1 (avcC), 8.3.3.1 (hvcC); H.264 7.3.1, HEVC 7.3.1.2 (NAL unit types).
"""

from collections.abc import Iterator
from dataclasses import dataclass

from streamferry.wire.bits import BitReader, unescape
from streamferry.wire.codecs import skip_to_hevc_size

_AVC, _HEVC = 7, 12
_AVC_SETS = (7, 8)
_HEVC_SETS = (32, 33, 34)
_ENHANCED = 0x80
_HVCC_HEAD_BYTES = 22
# A header counts those of a sequence with 5 bits, and the bytes of each with 16.
_MAX_SETS = 31
_MAX_SET_BYTES = 0xFFFF
# A header without sets, for units with lengths of 4 bytes.
_BLANK_AVC, _BLANK_HEVC = b"\1\0\0\0\xff\xe0\0", b"\1" + bytes(20) + b"\3\0"
# Packet types of Enhanced RTMP with a picture.
_ENHANCED_PICTURES = (1, 3)


@dataclass(frozen=True, slots=True)
class SequenceHeader:
    """The sequence header of a picture track: ``prefix`` is what comes before the record in its tag."""

    codec: int
    prefix: bytes
    record: bytes
    sets: tuple[bytes, ...]

    @classmethod
    def parse(cls, body: bytes) -> "SequenceHeader | None":
        """Of a tag's body; None for other codecs, and for one that is damaged."""
        codec = _codec_of(body)
        record = body[5:]
        if codec is None or len(record) < (6 if codec == _AVC else _HVCC_HEAD_BYTES + 1):
            return None
        try:
            sets = tuple(_of_avc(record) if codec == _AVC else _of_hevc(record))
        except IndexError:
            return None
        return cls(codec, body[:5], record, sets)

    @classmethod
    def of_picture(cls, body: "bytes | memoryview") -> "SequenceHeader | None":
        """By the sets that a picture brings; None if it does not bring one of each kind, or is of another codec."""
        codec = _codec_of(body)
        if codec is None or (body[0] & _ENHANCED and body[0] & 0x0F not in _ENHANCED_PICTURES):
            return None
        prefix = b"\x90" + body[1:5] if body[0] & _ENHANCED else bytes((0x10 | codec, 0, 0, 0, 0))
        blank = cls(codec, prefix, _BLANK_AVC if codec == _AVC else _BLANK_HEVC, ())
        sets = tuple(dict.fromkeys(blank._in_picture(body)))
        if not cls(codec, prefix, b"", sets).has_all:
            return None
        try:
            return cls(codec, prefix, avc_record(sets) if codec == _AVC else hevc_record(sets), sets)
        except (ValueError, IndexError):
            return None

    @property
    def has_all(self) -> bool:
        """Whether a decoder can begin with it."""
        kinds = {self._kind(one) for one in self.sets}
        return kinds.issuperset(_AVC_SETS if self.codec == _AVC else _HEVC_SETS)

    def with_sets_of(self, body: "bytes | memoryview") -> "SequenceHeader":
        """The header from a picture on: with the sets that it brings, and those kinds that it does not."""
        found = tuple(self._in_picture(body))
        if not found or set(found) <= set(self.sets):
            return self
        kinds = {self._kind(one) for one in found}
        kept = tuple(one for one in self.sets if self._kind(one) not in kinds)
        sets = tuple(dict.fromkeys((*kept, *found)))
        record = self._avc_record(sets) if self.codec == _AVC else self._hevc_record(sets)
        return SequenceHeader(self.codec, self.prefix, record, sets)

    @property
    def body(self) -> bytes:
        """Of its tag."""
        return self.prefix + self.record

    def _kind(self, unit: bytes) -> int:
        return unit[0] & 0x1F if self.codec == _AVC else unit[0] >> 1 & 0x3F

    def _in_picture(self, body: "bytes | memoryview") -> Iterator[bytes]:
        """The sets that stand before the first slice of a picture."""
        wanted, first_slices = (_AVC_SETS, range(1, 6)) if self.codec == _AVC else (_HEVC_SETS, range(32))
        size_bytes = (self.record[4] if self.codec == _AVC else self.record[21]) % 4 + 1
        # FrameX of Enhanced RTMP has no composition time.
        at = 8 if body[0] & _ENHANCED and body[0] & 0x0F == 1 else 5
        for _ in range(_MAX_SETS):
            begin = at + size_bytes
            end = begin + int.from_bytes(body[at:begin])
            if begin >= len(body) or end > len(body) or end == begin:
                return
            kind = body[begin] & 0x1F if self.codec == _AVC else body[begin] >> 1 & 0x3F
            if kind in wanted:
                if end - begin <= _MAX_SET_BYTES:
                    yield bytes(body[begin:end])
            elif kind in first_slices:
                return
            at = end

    def _avc_record(self, sets: tuple[bytes, ...]) -> bytes:
        sequence = [one for one in sets if self._kind(one) == 7]
        picture = [one for one in sets if self._kind(one) == 8]
        # Profile, its constraints and level are the first bytes of the set.
        shape = sequence[0][1:4] if sequence else self.record[1:4]
        head = bytes((1,)) + shape + bytes((0xFC | self.record[4] & 3, 0xE0 | len(sequence)))
        return head + _listed(sequence) + bytes((len(picture),)) + _listed(picture)

    def _hevc_record(self, sets: tuple[bytes, ...]) -> bytes:
        arrays = b""
        for kind in _HEVC_SETS:
            units = [one for one in sets if self._kind(one) == kind]
            arrays += bytes((0x80 | kind,)) + len(units).to_bytes(2) + _listed(units)
        return self.record[:_HVCC_HEAD_BYTES] + bytes((len(_HEVC_SETS),)) + arrays


def _codec_of(body: "bytes | memoryview") -> int | None:
    """Of a tag's body, be it a header or a picture; None for other codecs."""
    if not body:
        return None
    if body[0] & _ENHANCED:
        return {b"avc1": _AVC, b"hvc1": _HEVC}.get(bytes(body[1:5]))
    return body[0] & 0x0F if body[0] & 0x0F in (_AVC, _HEVC) else None


def needs_sets(body: "bytes | memoryview") -> bool:
    """Whether a picture is of a codec whose decoders need parameter sets first."""
    return _codec_of(body) is not None


def _listed(units: list[bytes]) -> bytes:
    return b"".join(len(one).to_bytes(2) + one for one in units)


def _of_avc(record: bytes) -> Iterator[bytes]:
    at, count = 6, record[5] & 0x1F
    for is_last in (False, True):
        for _ in range(count):
            end = at + 2 + int.from_bytes(record[at : at + 2])
            if end > len(record):
                return
            if end > at + 2:
                yield record[at + 2 : end]
            at = end
        if is_last or at >= len(record):
            return
        count, at = record[at], at + 1


def _of_hevc(record: bytes) -> Iterator[bytes]:
    at = _HVCC_HEAD_BYTES + 1
    for _ in range(record[_HVCC_HEAD_BYTES]):
        count, at = int.from_bytes(record[at + 1 : at + 3]), at + 3
        for _ in range(count):
            end = at + 2 + int.from_bytes(record[at : at + 2])
            if end > len(record):
                return
            if end > at + 2 and record[at + 2] >> 1 & 0x3F in _HEVC_SETS:
                yield record[at + 2 : end]
            at = end


def avc_record(sets: tuple[bytes, ...]) -> bytes:
    """The record that has these sets, for lengths of 4 bytes. Raises ValueError and IndexError if they do not fit."""
    sequence = [one for one in sets if one[0] & 0x1F == _AVC_SETS[0]]
    picture = [one for one in sets if one[0] & 0x1F == _AVC_SETS[1]]
    if len(sequence[0]) < 4 or len(sequence) > 31 or len(picture) > 255 or max(map(len, sets)) > 0xFFFF:
        raise ValueError("parameter sets that no header holds")
    head = b"\x01" + sequence[0][1:4] + bytes((0xFF, 0xE0 | len(sequence)))
    return head + _listed(sequence) + bytes((len(picture),)) + _listed(picture)


def hevc_record(sets: tuple[bytes, ...]) -> bytes:
    """With what decoders do not use of it (parallelism, spatial segmentation, frame rate) left unsaid."""
    if max(map(len, sets)) > 0xFFFF:
        raise ValueError("parameter sets that no header holds")
    sequence = unescape(next(one for one in sets if one[0] >> 1 & 0x3F == _HEVC_SETS[1])[:128])
    layers, nested = sequence[2] >> 1 & 7, sequence[2] & 1
    profile_tier_level = sequence[3:15]
    if len(profile_tier_level) < 12:
        raise ValueError("a sequence parameter set that is cut short")
    bits = BitReader(sequence)
    chroma = skip_to_hevc_size(bits)
    bits.read_golomb()
    bits.read_golomb()
    if bits.read(1):
        for _ in range(4):
            bits.read_golomb()
    luma_depth, chroma_depth = bits.read_golomb(), bits.read_golomb()
    head = b"\x01" + profile_tier_level + b"\xf0\x00\xfc"
    head += bytes((0xFC | chroma & 3, 0xF8 | luma_depth & 7, 0xF8 | chroma_depth & 7)) + b"\0\0"
    head += bytes((layers + 1 << 3 & 0x38 | nested << 2 | 3, len(_HEVC_SETS)))
    arrays = b""
    for kind in _HEVC_SETS:
        units = [one for one in sets if one[0] >> 1 & 0x3F == kind]
        arrays += bytes((0x80 | kind,)) + len(units).to_bytes(2) + _listed(units)
    return head + arrays
