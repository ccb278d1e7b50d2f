"""Reads a publisher's chunks as a careless server does: it adds deltas up and knows no end of 32 bits.

node-media-server 2.7 is one. A stamp that is told (type 0) is taken as it is; one that deltas lead beyond 2^32 ms is an
error here, because players of such a server get nothing more.
"""

from streamferry.media.stamps import WRAP_MS

_HEADER_BYTES = (11, 7, 3, 0)
_EXTENDED = 0xFFFFFF


class CarelessReader:
    """Feed it what comes after the publish was accepted, split anywhere; it knows chunk stream ids of one byte."""

    def __init__(self, chunk_size: int) -> None:
        self._unread = bytearray()
        self._chunk_size = chunk_size
        #: By chunk stream: stamp, delta, size, type, whether stamps are extended, bytes still missing.
        self._streams: dict[int, list[int]] = {}
        #: Messages of media read so far.
        self.media = 0

    def feed(self, data: bytes) -> None:
        """Read what is whole. AssertionError for a stamp that deltas lead beyond 2^32."""
        self._unread += data
        at = 0
        while (following := self._read_chunk(at)) is not None:
            at = following
        del self._unread[:at]

    def _read_chunk(self, at: int) -> int | None:
        data = self._unread
        if at >= len(data):
            return None
        kind, number = data[at] >> 6, data[at] & 0x3F
        assert number >= 2
        body = at + 1 + _HEADER_BYTES[kind]
        if body + 4 > len(data):
            return None
        header = data[at + 1 : body]
        stamp, delta, size, tag_type, extended, missing = self._streams.get(number, [0] * 6)
        field = int.from_bytes(header[:3], "big") if kind < 3 else delta
        if kind < 3:
            extended = int(field == _EXTENDED)
        if extended:
            field = int.from_bytes(data[body : body + 4], "big")
            body += 4
        if not missing:
            if kind < 2:
                size, tag_type = int.from_bytes(header[3:6], "big"), header[6]
            stamp = field if kind == 0 else stamp + field
            missing = size
        taken = min(missing, self._chunk_size)
        if body + taken > len(data):
            return None
        assert stamp < WRAP_MS, "deltas lead beyond 2^32 ms"
        missing -= taken
        if not missing and tag_type in (8, 9):
            self.media += 1
        self._streams[number] = [stamp, field, size, tag_type, extended, missing]
        return body + taken
