"""Packets of MPEG-TS among bytes: as many at a time as follow one another, their heads as columns.

A head is one of the 47 words of 32 bits that a packet has. Those of all packets are taken by one slice and deleted by
another; then payloads lie side by side. What is done for each packet is done in C.

Specification: ISO/IEC 13818-1, 2.4.3.2.
"""

from array import array
from collections.abc import Iterator
from typing import NamedTuple

PACKET_BYTES, PAYLOAD_BYTES = 188, 184
_SYNC = b"\x47"
# Bytes from one packet to the next: as they are, with a time stamp before each (M2TS), with Reed-Solomon bytes after.
_STRIDES = (188, 192, 204)
# So many packets in a row tell where packets begin.
_SURE = 4
# Taken at once; where bytes that are no packets were found, few, and twice as many each time after.
_MOST_PACKETS, _FEW_PACKETS = 1 << 16, 16
# Of a packet, and what is 4 bytes in an array.
_WORDS, _WORD, _WORD_BYTES = 47, "I", 4


class Packets(NamedTuple):
    """Some that follow one another: the last three bytes of each head, and the payloads with nothing between them."""

    first: bytes
    second: bytes
    third: bytes
    payloads: memoryview


class Packetizer:
    """Takes bytes in any pieces. What it keeps is less than a packet, or than what tells where packets begin."""

    __slots__ = ("_rest", "_stride", "skipped_bytes")

    def __init__(self) -> None:
        self._rest = b""
        self._stride = 0
        #: Bytes passed over in search of a packet.
        self.skipped_bytes = 0

    def cut(self, data: bytes | memoryview) -> Iterator[Packets]:
        """The packets that are whole now; all of them have to be taken."""
        # The packet that has begun gets its end; all others stay where they are.
        begun, at = self._rest, self._stride - len(self._rest)
        if begun.startswith(_SYNC) and 0 < at <= len(data):
            begun += data[:at]
        else:
            data, begun, at = (begun + data if begun else data), b"", 0
        size, most = len(data), _MOST_PACKETS
        while True:
            stride = self._stride
            count = min((size - at) // stride, most) if stride else 0
            if total := count + bool(begun):
                synced, packets = _columns(begun, data[at : at + count * stride], stride)
                if synced:
                    yield packets
                at += (synced - bool(begun)) * stride
                begun = b""
                if synced == total:
                    most *= 2
                    continue
            if size - at < (stride or PACKET_BYTES):
                break
            data = bytes(data)
            found = self._find(data, at)
            self.skipped_bytes += found - at
            at, most = found, _FEW_PACKETS
            if not self._stride:
                break
        self._rest = bytes(data[at:])

    def _find(self, data: bytes, at: int) -> int:
        """Where packets begin from ``at`` on; sets the stride, to 0 if that cannot be told yet."""
        self._stride = 0
        size = len(data)
        while (at := data.find(_SYNC, at)) >= 0:
            for stride in _STRIDES:
                if data[at : min(size, at + _SURE * stride) : stride] == _SURE * _SYNC:
                    self._stride = stride
                    return at
            if at + (_SURE - 1) * _STRIDES[-1] >= size:
                return at
            at += 1
        return size


def _columns(begun: bytes, data: bytes | memoryview, stride: int) -> tuple[int, Packets]:
    """The packets up to the first that is none, and how many there are."""
    words = array(_WORD, begun)
    words.frombytes(data)
    # What is not of the packet, if there is such.
    for place in range(stride // _WORD_BYTES - 1, _WORDS - 1, -1):
        del words[place :: place + 1]
    heads = words[::_WORDS].tobytes()
    del words[::_WORDS]
    syncs, payloads = heads[::4], memoryview(words).cast("B")
    count = len(syncs)
    if syncs != _SYNC * count:
        count -= len(syncs.lstrip(_SYNC))
        heads, payloads = heads[: 4 * count], payloads[: count * PAYLOAD_BYTES]
    return count, Packets(heads[1::4], heads[2::4], heads[3::4], payloads)
