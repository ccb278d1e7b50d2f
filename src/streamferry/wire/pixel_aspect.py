"""The shape of the pixels of H.264, by its sequence header (H.264 E.1.1, table E-1)."""

from fractions import Fraction

from streamferry.wire.codecs import read_avc_set

_EXTENDED = 255
_ASPECTS = (
    *((1, 1), (12, 11), (10, 11), (16, 11), (40, 33), (24, 11), (20, 11), (32, 11), (80, 33), (18, 11), (15, 11)),
    *((64, 33), (160, 99), (4, 3), (3, 2), (2, 1)),
)


def avc_pixel_aspect(body: bytes) -> Fraction:
    """Width of a pixel by its height; 1 where the header does not say, or says nothing that could be.

    Raises ValueError, IndexError for a header that is damaged.
    """
    bits = read_avc_set(body[13 : 13 + int.from_bytes(body[11:13], "big")]).rest
    if not bits.read(1) or not bits.read(1):
        return Fraction(1)
    number = bits.read(8)
    if number == _EXTENDED:
        width, height = bits.read(16), bits.read(16)
        return Fraction(width, height) if width and height else Fraction(1)
    return Fraction(*_ASPECTS[number - 1]) if 1 <= number <= len(_ASPECTS) else Fraction(1)
