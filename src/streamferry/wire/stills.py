"""A keyframe of H.264 as a stream of its own, of which a decoder gives the picture at once.

Decoders hold pictures back as long as the sequence's parameter set says that others may come before them (H.264 E.2.1,
max_num_reorder_frames). One that is shown a keyframe of this stream and then one of that would always be late by some.
So the set loses its VUI, in which that stands, and the keyframe those sets that it brings itself.
"""

from streamferry.wire.bits import BitWriter, escape, unescape
from streamferry.wire.codecs import read_avc_set
from streamferry.wire.parameter_sets import SequenceHeader

_H264 = 7
_SEQUENCE_SET, _PICTURE_SET, _SUPPLEMENT = 7, 8, 6
_LEFT_OUT = (_SEQUENCE_SET, _PICTURE_SET, _SUPPLEMENT)
_ENHANCED = 0x80


def still(header: bytes, picture: bytes) -> tuple[bytes, bytes] | None:
    """Sequence header and keyframe as bodies of FLV tags, from those of a stream.

    None for another codec, and for what is damaged.
    """
    known = SequenceHeader.parse(header)
    if known is None or known.codec != _H264:
        return None
    try:
        sets = [_without_vui(one) for one in known.with_sets_of(picture).sets]
        units = _slices(picture, known.record[4] % 4 + 1)
    except (ValueError, IndexError):
        return None
    sequence = [one for one in sets if one[0] & 0x1F == _SEQUENCE_SET]
    others = [one for one in sets if one[0] & 0x1F == _PICTURE_SET]
    if not sequence or not others or not units:
        return None
    record = b"\1" + sequence[0][1:4] + b"\xff" + bytes((0xE0 | len(sequence),)) + _listed(sequence)
    record += bytes((len(others),)) + _listed(others)
    return b"\x17\0\0\0\0" + record, b"\x17\1\0\0\0" + units


def _without_vui(unit: bytes) -> bytes:
    if unit[0] & 0x1F != _SEQUENCE_SET:
        return unit
    kept = read_avc_set(unit).rest.position
    raw = unescape(unit)[1:]
    bits = BitWriter()
    bits.put(kept, int.from_bytes(raw) >> len(raw) * 8 - kept)
    # No VUI; and the bit that ends a set.
    bits.put(2, 0b01)
    return unit[:1] + escape(bits.to_bytes())


def _slices(picture: bytes, size_bytes: int) -> bytes:
    """The units of a keyframe's body that are neither sets nor words, each after its length in 4 bytes."""
    at = (8 if picture[0] & 0x0F == 1 else 5) if picture[0] & _ENHANCED else 5
    kept = bytearray()
    while at < len(picture):
        begin = at + size_bytes
        at = begin + int.from_bytes(picture[at:begin])
        if begin >= at or at > len(picture):
            break
        if picture[begin] & 0x1F not in _LEFT_OUT:
            kept += (at - begin).to_bytes(4) + picture[begin:at]
    return bytes(kept)


def _listed(units: list[bytes]) -> bytes:
    return b"".join(len(one).to_bytes(2) + one for one in units)
