"""What an HLS media playlist lists: segments, with the byte ranges, keys and headers they need. References as written.

Specification: RFC 8216, sections 4.3.2 (segments) and 5.2 (initialization vectors); RFC 8216bis, 4.4.3.7 and 4.4.3.8
(how parts are offered), 4.4.4.7 (gaps), 4.4.4.9 (parts), 4.4.5.2 (delta updates) and 4.4.5.3 (hints).
"""

import re
from dataclasses import dataclass, field

from streamferry.reasons import Code, InvalidValue
from streamferry.wire.hls import Playlist, attributes

#: 27 hours of segments of 1 s, a week of 6 s.
MAX_SEGMENTS = 100_000

_DURATION = re.compile(r"#EXTINF:(\d{1,9}(?:\.\d{0,9})?)")
_SKIPPED = re.compile(r"#EXT-X-SKIP:(?:.*,)?SKIPPED-SEGMENTS=(\d{1,9})")
_OF_PARTS = ("#EXT-X-PART", "#EXT-X-SERVER-CONTROL:", "#EXT-X-PRELOAD-HINT:")
_RANGE = re.compile(r"(\d{1,18})(?:@(\d{1,18}))?")
_IV = re.compile(r"0[xX]([0-9A-Fa-f]{1,32})")
_IDENTITY = ("", "identity")
_SECONDS = re.compile(r"\d{1,9}(?:\.\d{0,20})?")
# A playlist lists the parts of its last three target durations (4.4.4.9): three segments of 10 s in parts of 50 ms have
# 600. One that lists more, or shorter parts, is played by whole segments.
_MOST_PARTS = 1_000
_LEAST_PART_S, _MOST_PART_S = 0.02, 10.0
# Without its server's word a session begins so many part targets before the end; it has to be two at least (4.4.3.8).
_HOLD_BACK_PARTS, _LEAST_HOLD_BACK_PARTS = 3, 2
_MOST_HOLD_BACK_S = 60.0


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

    ``part``: which part of the segment this is, None if it is the whole; ``is_start``: whether it can be played without
    what comes before it. ``parts``: those of a whole segment that are listed.
    """

    media: Piece
    seconds: float
    header: Piece | None = None
    is_break: bool = False
    number: int = 0
    breaks: int = 0
    is_gap: bool = False
    part: int | None = None
    is_start: bool = True
    parts: tuple["Segment", ...] = ()


@dataclass(slots=True)
class PartsOffer:
    """How a server offers parts. ``target_s``: no part is longer, 0 if there are none; ``hold_back_s``: how far before
    the end of the playlist a session begins; ``blocks``: whether a playlist can be asked for that is not there yet.

    ``open_parts``: of the segment that is not complete; ``hint``: the part after them, which may be asked for already.
    """

    target_s: float = 0.0
    hold_back_s: float = 0.0
    blocks: bool = False
    open_parts: list[Segment] = field(default_factory=list)
    hint: Segment | None = None


def parse_segments(playlist: Playlist) -> list[Segment]:
    """All segments of a media playlist. Raises ValueError with a sentence that repeats nothing of it."""
    return parsed(playlist).segments


def parsed(playlist: Playlist, *, with_parts: bool = False) -> "SegmentParser":
    """All that a media playlist lists. Raises as ``parse_segments``."""
    parser = SegmentParser(playlist, with_parts=with_parts)
    for line in playlist.lines:
        parser.feed(line)
    return parser


class SegmentParser:
    """The same, line by line."""

    def __init__(self, playlist: Playlist, *, with_parts: bool = False) -> None:
        self.segments: list[Segment] = []
        self._with_parts = with_parts
        self._offer = PartsOffer()
        self._count_of_parts = 0
        self._last_of_parts = ("", 0)
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
        if not line.startswith("#"):
            if self._seconds is not None:
                self._end_segment(line, self._seconds)
        elif found := _DURATION.match(line):
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
        elif self._with_parts and line.startswith(_OF_PARTS):
            self._feed_offer(line)

    def _end_segment(self, uri: str, seconds: float) -> None:
        self._choose_key()
        if len(self.segments) == MAX_SEGMENTS:
            raise InvalidValue(Code.PLAYLIST_TOO_MANY_SEGMENTS, count=MAX_SEGMENTS)
        piece = self._piece(uri, self._range, follows=True)
        self.segments.append(
            Segment(
                *(piece, seconds, self._header, self._is_break),
                number=self._number,
                breaks=self._breaks,
                is_gap=self._is_gap,
                parts=tuple(self._offer.open_parts),
            )
        )
        self._offer.open_parts.clear()
        self._seconds, self._range, self._is_break, self._is_gap = None, None, False, False
        self._number += 1

    @property
    def offer(self) -> PartsOffer:
        """How parts are offered, when all lines have been fed. What cannot be read in it is no offer at all."""
        if not self._with_parts or not self._offer.target_s:
            return PartsOffer()
        least_s = self._offer.target_s * _LEAST_HOLD_BACK_PARTS
        if self._offer.hold_back_s < least_s:
            self._offer.hold_back_s = self._offer.target_s * _HOLD_BACK_PARTS
        return self._offer

    def _feed_offer(self, line: str) -> None:
        named, offer = attributes(line), self._offer
        try:
            if line.startswith("#EXT-X-PART-INF:"):
                offer.target_s = _seconds(named.get("PART-TARGET", ""), _MOST_PART_S)
            elif line.startswith("#EXT-X-SERVER-CONTROL:"):
                offer.blocks = named.get("CAN-BLOCK-RELOAD") == "YES"
                if told := named.get("PART-HOLD-BACK"):
                    offer.hold_back_s = _seconds(told, _MOST_HOLD_BACK_S)
            elif line.startswith("#EXT-X-PART:"):
                self._count_of_parts += 1
                offer.open_parts.append(self._part(named))
            elif named.get("TYPE") == "PART":
                offer.hint = self._hint(named)
        except ValueError:
            self._with_parts = False
        if self._count_of_parts > _MOST_PARTS or self._key is not None:
            # RFC 8216bis does not say whether the encryption of a part begins anew.
            self._with_parts = False

    def _part(self, named: dict[str, str]) -> Segment:
        """Raises ValueError."""
        self._choose_key()
        number, seconds = len(self._offer.open_parts), _seconds(named.get("DURATION", ""), _MOST_PART_S)
        piece = Piece(named["URI"]) if named.get("URI") else None
        if piece is None:
            raise ValueError
        if (text := named.get("BYTERANGE")) is not None:
            found = _RANGE.fullmatch(text)
            if found is None:
                raise ValueError
            uri, end = self._last_of_parts
            begin = int(found[2]) if found[2] else end if uri == piece.uri else 0
            piece = Piece(piece.uri, begin, int(found[1]))
            self._last_of_parts = (piece.uri, begin + int(found[1]))
        return Segment(
            *(piece, seconds, self._header, self._is_break and not number),
            number=self._number,
            breaks=self._breaks,
            is_gap=named.get("GAP") == "YES",
            part=number,
            is_start=not number or named.get("INDEPENDENT") == "YES",
        )

    def _hint(self, named: dict[str, str]) -> Segment | None:
        """None for one of which the end is not told, but which has a beginning: it may hold many parts."""
        begin, size = named.get("BYTERANGE-START", "0"), named.get("BYTERANGE-LENGTH")
        if not named.get("URI") or _RANGE.fullmatch(begin) is None or (size and _RANGE.fullmatch(size) is None):
            raise ValueError
        if size is None and int(begin):
            return None
        return Segment(
            Piece(named["URI"], int(begin), int(size) if size else None),
            self._offer.target_s,
            self._header,
            number=self._number,
            part=len(self._offer.open_parts),
        )

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


def _seconds(text: str, most: float) -> float:
    """Of a part. Raises ValueError for what is none."""
    if _SECONDS.fullmatch(text) is None or not _LEAST_PART_S <= float(text) <= most:
        raise ValueError
    return float(text)
