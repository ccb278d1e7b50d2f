"""A keyframe of H.264 or HEVC as a stream of its own, of which a decoder gives the picture at once.

Decoders hold pictures back as long as the sequence's parameter set says that others may come before them (H.264 E.2.1,
max_num_reorder_frames; H.265 7.4.3.2.1, sps_max_num_reorder_pics). One that is shown a keyframe of this stream and then
one of that would always be late by some. So the set of H.264 loses its VUI, in which that stands; that of HEVC says
that nothing is reordered. The keyframe loses those sets that it brings itself.

Streams that refresh their pictures part by part have keyframes that refer to other pictures. By itself such a one would
show parts of what the decoder had before, which may be of another stream: it is none.
"""

from collections.abc import Callable

from streamferry.wire.bits import BitReader, BitWriter, escape, unescape
from streamferry.wire.codecs import read_avc_set, skip_to_hevc_size
from streamferry.wire.parameter_sets import SequenceHeader, avc_record, hevc_record

_H264, _HEVC = 7, 12
#: Types of units that are no slices, but sets and words: H.264 7.4.1, H.265 7.4.2.2.
_H264_SET, _H264_OTHERS = 7, (6, 7, 8)
_H264_SLICES, _H264_IDR = range(1, 5), 5
# Where the first unit of a keyframe is that was made here.
_FIRST_UNIT = 9
_HEVC_SET, _HEVC_SLICES, _HEVC_INTRA = 33, range(32), range(16, 24)
#: Types of H.264 slices that refer to no other picture (7.4.3).
_H264_INTRA = (2, 4, 7, 9)
#: More sets, or units of a keyframe, are not read: cameras that send a slice a packet have some hundred.
_MOST_SETS, _MOST_UNITS = 64, 2_000
#: Of a slice's header the type is in the first bytes.
_SLICE_BYTES = 12
#: The end of a sequence: a keyframe whose leading pictures refer to what came before it begins another one.
_HEVC_END = b"\0\0\0\2\x48\x01"
_ENHANCED = 0x80


def is_hevc(header: bytes) -> bool:
    """Whether a header that ``still`` has made is one of HEVC."""
    return bool(header[0] & _ENHANCED)


def begins_anew(header: bytes, keyframe: bytes) -> bool:
    """Whether a decoder has to forget what it had before, by one that ``still`` has made. It does not for a keyframe of
    H.264 that is no IDR picture, as broadcasters have them: its place in the order may be one before the last."""
    return is_hevc(header) or keyframe[_FIRST_UNIT] & 0x1F == _H264_IDR


def still(header: bytes, picture: bytes) -> tuple[bytes, bytes] | None:
    """Sequence header and keyframe as bodies of FLV tags, from those of a stream.

    None for another codec, for what is damaged, and for a picture that refers to others.
    """
    known = SequenceHeader.parse(header)
    if known is None or len(known.sets) > _MOST_SETS:
        return None
    try:
        sets = known.with_sets_of(picture).sets
        if known.codec == _H264:
            units = _units(picture, known.record[4] % 4 + 1, _is_h264_slice, _refers_in_h264)
            record = avc_record(tuple(_without_vui(one) for one in sets))
        else:
            units = _units(picture, known.record[21] % 4 + 1, _is_hevc_slice, _refers_in_hevc)
            record = hevc_record(tuple(_without_reordering(one) for one in sets))
    except (ValueError, IndexError, StopIteration):
        return None
    if not units or not SequenceHeader(known.codec, b"", record, sets).has_all:
        return None
    if known.codec == _H264:
        return b"\x17\0\0\0\0" + record, b"\x17\1\0\0\0" + units
    return b"\x90hvc1" + record, b"\x93hvc1" + _HEVC_END + units


def _is_h264_slice(unit: bytes) -> bool:
    return unit[0] & 0x1F not in _H264_OTHERS


def _is_hevc_slice(unit: bytes) -> bool:
    return unit[0] >> 1 & 0x3F in _HEVC_SLICES


def _refers_in_h264(unit: bytes) -> bool:
    if unit[0] & 0x1F not in _H264_SLICES:
        return False
    bits = BitReader(unescape(unit[1:]))
    bits.read_golomb()
    return bits.read_golomb() not in _H264_INTRA


def _refers_in_hevc(unit: bytes) -> bool:
    return unit[0] >> 1 & 0x3F not in _HEVC_INTRA


def _without_vui(unit: bytes) -> bytes:
    if unit[0] & 0x1F != _H264_SET:
        return unit
    kept = read_avc_set(unit).rest.position
    raw = unescape(unit)[1:]
    bits = BitWriter()
    bits.put(kept, int.from_bytes(raw) >> len(raw) * 8 - kept)
    # No VUI; and the bit that ends a set.
    bits.put(2, 0b01)
    return unit[:1] + escape(bits.to_bytes())


def _without_reordering(unit: bytes) -> bytes:
    """Of HEVC (H.265 7.3.2.2.1): for each layer in time, how many pictures are kept, reordered, and late."""
    if unit[0] >> 1 & 0x3F != _HEVC_SET:
        return unit
    raw = unescape(unit)
    bits = BitReader(raw)
    skip_to_hevc_size(bits)
    for _ in range(2):
        bits.read_golomb()
    if bits.read(1):
        for _ in range(4):
            bits.read_golomb()
    for _ in range(3):
        bits.read_golomb()
    begin, number = bits.position, int.from_bytes(raw)
    is_told_of_each = bits.read(1)
    layers = (raw[2] >> 1 & 7) + 1 if is_told_of_each else 1
    kept = [bits.read_golomb() for _ in range(3 * layers)][::3]
    left = len(raw) * 8 - bits.position
    plain = BitWriter()
    plain.put(begin, number >> len(raw) * 8 - begin)
    plain.put(1, is_told_of_each)
    for count in kept:
        plain.put(2 * (count + 1).bit_length() - 1, count + 1)
        # Neither reordered nor late: two zeros of ue(v).
        plain.put(2, 0b11)
    plain.put(left, number & (1 << left) - 1)
    return escape(plain.to_bytes())


def _units(
    picture: bytes, size_bytes: int, is_slice: Callable[[bytes], bool], refers: Callable[[bytes], bool]
) -> bytes:
    """The slices of a keyframe's body, each after its length in 4 bytes. Raises ValueError if the first one refers to
    other pictures; of a second field the slices may, to the first."""
    at = (8 if picture[0] & 0x0F == 1 else 5) if picture[0] & _ENHANCED else 5
    kept, units = bytearray(), 0
    while at < len(picture) and units < _MOST_UNITS:
        units += 1
        begin = at + size_bytes
        at = begin + int.from_bytes(picture[at:begin])
        if begin >= at or at > len(picture):
            break
        head = picture[begin : min(at, begin + _SLICE_BYTES)]
        if is_slice(head):
            if not kept and refers(head):
                raise ValueError("a keyframe that refers to other pictures")
            kept += (at - begin).to_bytes(4) + picture[begin:at]
    return bytes(kept)
