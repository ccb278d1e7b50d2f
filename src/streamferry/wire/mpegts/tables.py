"""PAT and PMT: which programs there are, and which elementary streams.

Specification: ISO/IEC 13818-1, 2.4.4 (tables), annex A (CRC), table 2-34 (stream types); ETSI TS 101 154, SCTE 128.
"""

from collections.abc import Iterator
from dataclasses import dataclass

_PAT, _PMT = 0, 2
#: Of one section (2.4.4.3, 2.4.4.8), its first three bytes included.
MAX_SECTION_BYTES = 1024
_REGISTRATION, _AC3, _E_AC3, _DTS, _EXTENSION = 0x05, 0x6A, 0x7A, 0x7B, 0x7F

#: What each stream type is. Private data (6) is told by its descriptors.
_TYPES = {
    0x01: ("video", "MPEG-1 video"),
    0x02: ("video", "MPEG-2 video"),
    0x10: ("video", "MPEG-4 part 2"),
    0x1B: ("video", "h264"),
    0x24: ("video", "hevc"),
    0x33: ("video", "VVC"),
    0x42: ("video", "AVS"),
    0xD1: ("video", "Dirac"),
    0xEA: ("video", "VC-1"),
    0x03: ("audio", "mpeg"),
    0x04: ("audio", "mpeg"),
    0x0F: ("audio", "aac"),
    0x11: ("audio", "latm"),
    0x81: ("audio", "AC-3"),
    0x82: ("audio", "DTS"),
    0x83: ("audio", "TrueHD"),
    0x84: ("audio", "E-AC-3"),
    0x85: ("audio", "DTS"),
    0x86: ("data", "SCTE-35"),
    0x87: ("audio", "E-AC-3"),
    0x8A: ("audio", "DTS"),
    0x15: ("data", "ID3"),
    0xDB: ("video", "encrypted H.264"),
    0xCF: ("audio", "encrypted AAC"),
    0xC1: ("audio", "encrypted AC-3"),
}


@dataclass(frozen=True, slots=True)
class Stream:
    """``kind``: video, audio or data; ``codec``: h264, hevc, aac, latm, mpeg, or the name of one that is not read."""

    pid: int
    kind: str
    codec: str


@dataclass(frozen=True, slots=True)
class Program:
    """What a PMT says."""

    number: int
    streams: tuple[Stream, ...]

    @property
    def kinds(self) -> set[str]:
        """Of its streams."""
        return {stream.kind for stream in self.streams}


class SectionReader:
    """Puts the sections of one PID together, and gives those that have changed."""

    __slots__ = ("_data", "_known")

    def __init__(self) -> None:
        self._data = b""
        self._known: dict[bytes, bytes] = {}

    def feed(self, payload: bytes, is_start: bool) -> list[bytes]:
        """Sections that are now complete, intact, and not as before."""
        if is_start:
            begin = 1 + payload[0] if payload else 0
            rest, payload = payload[1:begin], payload[begin:]
            # The end of the section before comes first (2.4.4.2).
            found = [*self._whole(self._data + rest if self._data else b""), *self._whole(payload)]
        elif self._data:
            found = [*self._whole(self._data + payload)]
        else:
            return []
        return found

    def lose(self) -> None:
        """Packets are missing."""
        self._data = b""

    def _whole(self, data: bytes) -> Iterator[bytes]:
        while len(data) >= 3 and data[0] != 0xFF:
            size = 3 + (int.from_bytes(data[1:3]) & 0x0FFF)
            if size > MAX_SECTION_BYTES:
                break
            if size > len(data):
                self._data = data
                return
            section, data = data[:size], data[size:]
            # There are several programs, but one list of them, whatever the stream is called (2.4.4.5).
            name = section[:1] + section[6:7] + (section[3:5] if section[0] == _PMT else b"")
            if self._known.get(name) != section and size >= 12 and crc(section) == 0:
                if len(self._known) > 256:
                    self._known.clear()
                self._known[name] = section
                # The next version, which is not in force yet.
                if section[5] & 1:
                    yield section
        self._data = b""


def programs_of(section: bytes) -> dict[int, int] | None:
    """Program numbers and the PIDs of their PMTs, of a section of the PAT; None if it is none."""
    if section[0] != _PAT:
        return None
    body = section[8:-4]
    pairs = [
        (int.from_bytes(body[at : at + 2]), int.from_bytes(body[at + 2 : at + 4])) for at in range(0, len(body), 4)
    ]
    return {number: pid & 0x1FFF for number, pid in pairs if number}


def program_of(section: bytes) -> Program | None:
    """The program of a PMT's section, None if it is none."""
    if section[0] != _PMT or len(section) < 16:
        return None
    at = 12 + (int.from_bytes(section[10:12]) & 0x0FFF)
    streams = []
    while at + 5 <= len(section) - 4:
        size = int.from_bytes(section[at + 3 : at + 5]) & 0x0FFF
        pid = int.from_bytes(section[at + 1 : at + 3]) & 0x1FFF
        kind, codec = _named(section[at], section[at + 5 : at + 5 + size])
        if kind:
            streams.append(Stream(pid, kind, codec))
        at += 5 + size
    return Program(int.from_bytes(section[3:5]), tuple(streams))


def _named(stream_type: int, descriptors: bytes) -> tuple[str, str]:
    if stream_type != 6:
        return _TYPES.get(stream_type, ("", ""))
    at = 0
    while at + 2 <= len(descriptors):
        tag, content = descriptors[at], descriptors[at + 2 : at + 2 + descriptors[at + 1]]
        if tag == _REGISTRATION:
            named = {b"HEVC": ("video", "hevc"), b"Opus": ("audio", "Opus"), b"AC-3": ("audio", "AC-3")}
            if content[:4] in named:
                return named[content[:4]]
        elif tag in (_AC3, _E_AC3, _DTS):
            return ("audio", {_AC3: "AC-3", _E_AC3: "E-AC-3", _DTS: "DTS"}[tag])
        elif tag == _EXTENSION and content[:1] in (b"\x15", b"\x80"):
            return ("audio", "AC-4" if content[:1] == b"\x15" else "Opus")
        at += 2 + descriptors[at + 1]
    return ("", "")


def _table() -> tuple[int, ...]:
    table = []
    for byte in range(256):
        value = byte << 24
        for _ in range(8):
            value = (value << 1 ^ 0x04C11DB7 if value & 0x80000000 else value << 1) & 0xFFFFFFFF
        table.append(value)
    return tuple(table)


_CRC = _table()


def crc(data: bytes) -> int:
    """CRC-32 of annex A; 0 over a section with its own at the end, if it is intact."""
    value = 0xFFFFFFFF
    for byte in data:
        value = (value << 8 & 0xFFFFFFFF) ^ _CRC[value >> 24 ^ byte]
    return value
