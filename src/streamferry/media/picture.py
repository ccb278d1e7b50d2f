"""Inspects a watermark picture by its bytes: PNG or JPEG, its size, and whether it is complete. Nothing is decoded.

Not a decoder: ffmpeg reads the pixels when the watermark is laid. PNG: W3C PNG 3rd edition, sections 5.2-5.3 and
11.2.1; JPEG: ITU-T T.81, annex B.
"""

import zlib
from dataclasses import dataclass

from streamferry.reasons import Code, InvalidValue

MIN_PICTURE_BYTES = 100
MAX_PICTURE_BYTES = 2 * 1024 * 1024
MAX_PICTURE_SIDE = 1080

_PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
_JPEG_MAGIC = b"\xff\xd8\xff"
# T.81 table B.1: the frame headers, which hold the size. C4, C8 and CC lie among them and are something else.
_FRAME_HEADERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_START_OF_SCAN = 0xDA
_END_OF_IMAGE = b"\xff\xd9"


@dataclass(frozen=True, slots=True)
class Picture:
    """``media_type`` is image/png or image/jpeg; width and height in pixels."""

    media_type: str
    width: int
    height: int


def inspect_picture(data: bytes) -> Picture:
    """Type and size. Raises ValueError, with a message for the user, if it is not a complete PNG or JPEG file."""
    if data.startswith(_PNG_MAGIC):
        return Picture("image/png", *_png_size(data))
    if data.startswith(_JPEG_MAGIC):
        return Picture("image/jpeg", *_jpeg_size(data))
    raise InvalidValue(Code.PICTURE_UNKNOWN)


def _png_size(data: bytes) -> tuple[int, int]:
    size = (0, 0)
    at = len(_PNG_MAGIC)
    while at + 12 <= len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        kind = data[at + 4 : at + 8]
        end = at + 8 + length
        if end + 4 > len(data):
            break
        if zlib.crc32(data[at + 4 : end]) != int.from_bytes(data[end : end + 4], "big"):
            raise InvalidValue(Code.PICTURE_PNG_DAMAGED)
        if at == len(_PNG_MAGIC):
            if kind != b"IHDR" or length != 13:
                raise InvalidValue(Code.PICTURE_PNG_NO_HEADER)
            size = (int.from_bytes(data[at + 8 : at + 12], "big"), int.from_bytes(data[at + 12 : at + 16], "big"))
        if kind == b"IEND":
            return size
        at = end + 4
    raise InvalidValue(Code.PICTURE_PNG_CUT_SHORT)


def _jpeg_size(data: bytes) -> tuple[int, int]:
    size: tuple[int, int] | None = None
    at = 2
    while at + 4 <= len(data):
        if data[at] != 0xFF:
            raise InvalidValue(Code.PICTURE_JPEG_DAMAGED)
        marker = data[at + 1]
        if marker == 0xFF:  # a fill byte, B.1.1.2
            at += 1
            continue
        length = int.from_bytes(data[at + 2 : at + 4], "big")
        if marker in _FRAME_HEADERS and at + 9 <= len(data):
            size = (int.from_bytes(data[at + 7 : at + 9], "big"), int.from_bytes(data[at + 5 : at + 7], "big"))
        if marker == _START_OF_SCAN:
            if size is None or data.find(_END_OF_IMAGE, at) < 0:
                break
            return size
        at += 2 + max(length, 2)
    raise InvalidValue(Code.PICTURE_JPEG_CUT_SHORT)
