"""An MP4 whose index is after its media, reordered so that it can be read from front to back while it is fetched.

    ftyp ... | mdat | moov ...    becomes    ftyp ... | moov | mdat

The index gives the offset of each chunk of media; moved in front of the media, it shifts them by its own length. Bytes
in, bytes out: the caller fetches what follows the media first. Files that are not understood are left unchanged.

Specification: ISO/IEC 14496-12, 4.2 (boxes), 8.7.5 (stco, co64).
"""

import sys
from array import array
from collections.abc import Callable
from dataclasses import dataclass

from streamferry.prepare.container import ReadAt

#: The largest index: that of ten hours has about 10 MB.
MAX_TAIL_BYTES = 64 << 20
# The part before the media: a few boxes of some bytes.
_MAX_FRONT_BYTES = 1 << 20
_BOX_HEADER_BYTES = 16
_ON_THE_WAY = frozenset((b"moov", b"trak", b"mdia", b"minf", b"stbl"))
_CHUNK_OFFSETS = {b"stco": "I", b"co64": "Q"}
# Fragmented media, a compressed index or several media boxes are not supported.
_STRANGE = frozenset((b"mvex", b"moof", b"cmov", b"mdat"))


@dataclass(frozen=True, slots=True)
class Order:
    """How to read a file: ``head``, then its bytes from ``begin`` to ``end``."""

    head: bytes = b""
    begin: int = 0
    end: int = sys.maxsize

    def reader(self, read_at: ReadAt) -> ReadAt:
        """Gives bytes of the head; of a file that has none, of the file behind ``read_at``."""
        return (lambda offset, size: self.head[offset : offset + size]) if self.head else read_at


#: From its first byte to its last.
AS_IT_LIES = Order()


def turn(read_at: ReadAt, read_tail: Callable[[int], bytes | None]) -> Order | None:
    """The order in which the file behind ``read_at`` reads from front to back, or None.

    ``read_tail`` returns everything after an offset, or None if that cannot be fetched.
    """
    try:
        begin = 0
        while True:
            size, name, _ = _box(read_at(begin, _BOX_HEADER_BYTES), 0)
            if name == b"mdat":
                break
            begin += size
            if begin > _MAX_FRONT_BYTES:
                return None
        end = begin + size
        tail = read_tail(end)
        if tail is None:
            return None
        moov = bytearray(_find_moov(tail))
        _move(moov, 0, len(moov), range(begin, end))
    except (ValueError, OverflowError, RecursionError):
        return None
    return Order(read_at(0, begin) + moov, begin, end)


def _box(data: "bytes | bytearray", at: int) -> tuple[int, bytes, int]:
    """Size, name and length of the header of the box at a place. Raises ValueError."""
    size, name, header_bytes = int.from_bytes(data[at : at + 4]), bytes(data[at + 4 : at + 8]), 8
    if size == 1:
        size, header_bytes = int.from_bytes(data[at + 8 : at + 16]), 16
    if len(name) < 4 or size < header_bytes:
        raise ValueError("no box, or one without an end")
    return size, name, header_bytes


def _find_moov(tail: bytes) -> bytes:
    """The index among the boxes after the media. Raises ValueError."""
    at, found = 0, b""
    while at < len(tail):
        size, name, _ = _box(tail, at)
        if name in _STRANGE or at + size > len(tail):
            raise ValueError("not only an index")
        if name == b"moov":
            found = tail[at : at + size]
        at += size
    if not found:
        raise ValueError("no index")
    return found


def _move(data: bytearray, at: int, end: int, media: range) -> None:
    """Add the length of ``data`` to each offset of a chunk in the boxes of a part of it.

    Raises ValueError, and OverflowError where there is no room for the sum.
    """
    while at < end:
        size, name, header_bytes = _box(data, at)
        if name in _STRANGE or at + size > end:
            raise ValueError("strange")
        if name in _ON_THE_WAY:
            _move(data, at + header_bytes, at + size, media)
        elif name in _CHUNK_OFFSETS:
            # Version and flags, then the number of offsets.
            start = at + header_bytes + 8
            offsets = array(_CHUNK_OFFSETS[name])
            stop = start + int.from_bytes(data[start - 4 : start]) * offsets.itemsize
            if stop > at + size:
                raise ValueError("cut short")
            offsets.frombytes(data[start:stop])
            _swap(offsets)
            if offsets and not (min(offsets) in media and max(offsets) in media):
                raise ValueError("media elsewhere")
            moved = array(offsets.typecode, (offset + len(data) for offset in offsets))
            _swap(moved)
            data[start:stop] = moved.tobytes()
        at += size


def _swap(offsets: "array[int]") -> None:
    if sys.byteorder == "little":
        offsets.byteswap()
