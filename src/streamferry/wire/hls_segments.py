"""What an HLS media playlist lists: segments, with the byte ranges, keys and headers they need. References as written.

Specification: RFC 8216, sections 4.3.2 (segments) and 5.2 (initialization vectors); RFC 8216bis, 4.4.4.7 (gaps) and
4.4.5.2 (delta updates).
"""

import re
from dataclasses import dataclass

from streamferry.reasons import Code, InvalidValue
from streamferry.wire.hls import Playlist, attributes

#: 27 hours of segments of 1 s, a week of 6 s.
MAX_SEGMENTS = 100_000

_DURATION = re.compile(r"#EXTINF:(\d{1,9}(?:\.\d{0,9})?)")
_SKIPPED = re.compile(r"#EXT-X-SKIP:(?:.*,)?SKIPPED-SEGMENTS=(\d{1,9})")
_RANGE = re.compile(r"(\d{1,18})(?:@(\d{1,18}))?")
_IV = re.compile(r"0[xX]([0-9A-Fa-f]{1,32})")
_IDENTITY = ("", "identity")


@dataclass(frozen=True, slots=True)
class Key:
    """AES-128 in CBC mode with PKCS7 padding: where the 16 bytes of the key are, and the vector to begin with."""

    uri: str
    iv: bytes


@dataclass(frozen=True, slots=True)
class Piece:
    """Bytes from ``begin`` on, ``size_bytes`` of them or all; exactly these are encrypted."""

    uri: str
    begin: int = 0
    size_bytes: int | None = None
    key: Key | None = None


@dataclass(frozen=True, slots=True)
class Segment:
    """``header``: what a player needs before the first segment that has it. ``is_break``: stamps restart here.

    ``number``: its media sequence number. ``breaks``: its discontinuity sequence number, which counts the breaks
    before it since the stream began. ``is_gap``: it is listed, but not there.
    """

    media: Piece
    seconds: float
    header: Piece | None = None
    is_break: bool = False
    number: int = 0
    breaks: int = 0
    is_gap: bool = False


def parse_segments(playlist: Playlist) -> list[Segment]:
    """All segments of a media playlist. Raises ValueError with a sentence that repeats nothing of it."""
    parser = SegmentParser(playlist)
    for line in playlist.lines:
        parser.feed(line)
    return parser.segments


class SegmentParser:
    """The same, line by line."""

    def __init__(self, playlist: Playlist) -> None:
        self.segments: list[Segment] = []
        self._number = playlist.media_sequence
        self._breaks = playlist.discontinuity_sequence
        self._seconds: float | None = None
        self._range: str | None = None
        self._is_break = False
        self._is_gap = False
        self._header: Piece | None = None
        self._key: dict[str, str] | None = None
        # Of the keys offered for the segments that follow, one has to be of the kind that everybody knows.
        self._offered: list[dict[str, str]] = []
        # Where the last range ended, and in what.
        self._last = ("", 0)

    def feed(self, line: str) -> None:
        """The next line. Raises as ``parse_segments``."""
        if found := _DURATION.match(line):
            self._seconds = float(found[1])
        elif line.startswith("#EXT-X-BYTERANGE:"):
            self._range = line.partition(":")[2]
        elif line.startswith("#EXT-X-DISCONTINUITY") and not line.startswith("#EXT-X-DISCONTINUITY-"):
            self._is_break = True
            self._breaks += 1
        elif line.startswith("#EXT-X-GAP"):
            self._is_gap = True
        elif found := _SKIPPED.match(line):
            # A delta update: those are in the playlist before it.
            self._number += int(found[1])
        elif line.startswith("#EXT-X-KEY:"):
            self._offered.append(attributes(line))
        elif line.startswith("#EXT-X-MAP:"):
            named = attributes(line)
            self._choose_key()
            self._header = self._piece(named.get("URI", ""), named.get("BYTERANGE"), follows=False)
        elif not line.startswith("#") and self._seconds is not None:
            self._choose_key()
            if len(self.segments) == MAX_SEGMENTS:
                raise InvalidValue(Code.PLAYLIST_TOO_MANY_SEGMENTS, count=MAX_SEGMENTS)
            piece = self._piece(line, self._range, follows=True)
            self.segments.append(
                Segment(
                    *(piece, self._seconds, self._header, self._is_break),
                    number=self._number,
                    breaks=self._breaks,
                    is_gap=self._is_gap,
                )
            )
            self._seconds, self._range, self._is_break, self._is_gap = None, None, False, False
            self._number += 1

    def _choose_key(self) -> None:
        if not self._offered:
            return
        known = [one for one in self._offered if one.get("METHOD") in ("NONE", "AES-128")]
        known = [one for one in known if one["METHOD"] == "NONE" or one.get("KEYFORMAT", "") in _IDENTITY]
        if not known:
            named = self._offered[0]
            kind = "a DRM system" if named.get("METHOD") == "AES-128" else named.get("METHOD", "")[:40]
            raise InvalidValue(Code.PLAYLIST_ENCRYPTED, kind=kind)
        self._key = known[0] if known[0]["METHOD"] == "AES-128" else None
        self._offered.clear()

    def _piece(self, uri: str, text: str | None, *, follows: bool) -> Piece:
        key = None
        if self._key is not None:
            found = _IV.fullmatch(self._key.get("IV", ""))
            key = Key(self._key.get("URI", ""), (int(found[1], 16) if found else self._number).to_bytes(16))
        if text is None:
            return Piece(uri, key=key)
        found = _RANGE.fullmatch(text)
        if found is None:
            raise InvalidValue(Code.PLAYLIST_BAD_RANGE)
        size_bytes, begin = int(found[1]), int(found[2] or 0)
        if follows:
            if found[2] is None and self._last[0] == uri:
                begin = self._last[1]
            self._last = (uri, begin + size_bytes)
        return Piece(uri, begin, size_bytes, key)
