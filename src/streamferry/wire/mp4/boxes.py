"""Boxes of MP4, read from bytes that are all there. A reader that trusts nothing: what does not fit ends it.

Specification: ISO/IEC 14496-12, 4.2.
"""

from collections.abc import Iterator


def boxes(view: memoryview) -> Iterator[tuple[bytes, memoryview]]:
    """Name and content of each box."""
    at = 0
    while at + 8 <= len(view):
        size, head = int.from_bytes(view[at : at + 4]), 8
        if size == 1:
            size, head = int.from_bytes(view[at + 8 : at + 16]), 16
        elif size == 0:
            size = len(view) - at
        if size < head or at + size > len(view):
            return
        yield bytes(view[at + 4 : at + 8]), view[at + head : at + size]
        at += size


def find(view: memoryview, *path: bytes) -> memoryview:
    """The content of the first box at that path; empty if there is none."""
    for wanted in path:
        view = next((box for name, box in boxes(view) if name == wanted), memoryview(b""))
    return view


def clock_hz(header: memoryview) -> int:
    """Units a second of a mvhd or mdhd, 0 if it does not say."""
    at = 20 if bytes(header[:1]) == b"\1" else 12
    return int.from_bytes(header[at : at + 4])


def scheme_of(name: bytes, entry: memoryview) -> str:
    """How a sample entry says that it is encrypted (8.12), empty if it is not."""
    if name in (b"drms", b"drmi"):
        return "FairPlay"
    if name not in (b"encv", b"enca"):
        return ""
    data = bytes(entry)
    at = data.find(b"schm")
    scheme = data[at + 8 : at + 12] if at >= 0 else b""
    return scheme.decode() if scheme.isalnum() else "cenc"
