"""Reads the bits of H.264, HEVC and AAC headers, and writes those of AAC; the most significant bit first."""

import re

# Two zeros, if what follows would make a start code of them, or look like one that was kept out.
_START_CODES = re.compile(rb"\0\0(?=[\0-\3])")
# ue(v) of H.264 9.1 goes up to 2^32 - 2.
_MAX_GOLOMB_ZEROS = 32


class BitReader:
    """Reads a header, in time that grows with the bits that are read. Past its end it raises ValueError."""

    __slots__ = ("_at", "_data", "_end")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0
        self._end = len(data) * 8

    @property
    def position(self) -> int:
        """How many bits were read."""
        return self._at

    def read(self, bits: int) -> int:
        """The next ``bits`` as an unsigned number."""
        at, self._at = self._at, self._at + bits
        if self._at > self._end:
            raise ValueError("a codec's header ends too soon")
        end = self._at + 7 >> 3
        return int.from_bytes(self._data[at >> 3 : end], "big") >> end * 8 - self._at & (1 << bits) - 1

    def skip(self, bits: int) -> None:
        """Pass over ``bits``."""
        self.read(bits)

    def read_golomb(self) -> int:
        """An unsigned Exp-Golomb number, ue(v) of H.264 9.1."""
        zeros = 0
        while not self.read(1):
            zeros += 1
            if zeros > _MAX_GOLOMB_ZEROS:
                raise ValueError("a codec's header holds a number that cannot be")
        return (1 << zeros) - 1 + self.read(zeros)

    def read_signed_golomb(self) -> int:
        """A signed one, se(v) of H.264 9.1.1."""
        number = self.read_golomb()
        return (number + 1) // 2 if number & 1 else -(number // 2)


class BitWriter:
    """Writes a header."""

    __slots__ = ("_number", "bits")

    def __init__(self) -> None:
        self._number = 0
        #: How many were put.
        self.bits = 0

    def put(self, bits: int, value: int) -> None:
        """``value`` as an unsigned number of so many bits."""
        self._number = self._number << bits | value
        self.bits += bits

    def to_bytes(self) -> bytes:
        """What was put, with zeros up to a whole byte."""
        missing = -self.bits % 8
        return (self._number << missing).to_bytes((self.bits + missing) // 8, "big")


def unescape(nal: bytes) -> bytes:
    """A NAL unit without the bytes that keep start codes out of it (H.264 7.4.1)."""
    return nal.replace(b"\0\0\3", b"\0\0")


def escape(unit: bytes) -> bytes:
    """The reverse of ``unescape``."""
    return _START_CODES.sub(b"\0\0\3", unit)
