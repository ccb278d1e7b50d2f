"""Bits: what H.264, HEVC and AAC headers are read with, most significant bit first."""


class BitReader:
    """Reads a header. Past its end it raises ValueError."""

    __slots__ = ("_at", "_end", "_value")

    def __init__(self, data: "bytes | memoryview") -> None:
        self._value = int.from_bytes(data, "big")
        self._end = self._at = len(data) * 8

    def read(self, bits: int) -> int:
        """The next ``bits`` as an unsigned number."""
        self._at -= bits
        if self._at < 0:
            raise ValueError("a codec's header ends too soon")
        return self._value >> self._at & (1 << bits) - 1

    def skip(self, bits: int) -> None:
        """Pass over ``bits``."""
        self.read(bits)

    def read_golomb(self) -> int:
        """An unsigned Exp-Golomb number, ue(v) of H.264 9.1."""
        zeros = 0
        while not self.read(1):
            zeros += 1
        return (1 << zeros) - 1 + self.read(zeros)

    def read_signed_golomb(self) -> int:
        """A signed one, se(v) of H.264 9.1.1."""
        number = self.read_golomb()
        return (number + 1) // 2 if number & 1 else -(number // 2)


def unescape(nal: bytes) -> bytes:
    """A NAL unit without the bytes that keep start codes out of it (H.264 7.4.1)."""
    return nal.replace(b"\0\0\3", b"\0\0")
