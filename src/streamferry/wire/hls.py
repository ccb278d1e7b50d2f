"""HLS playlists: which variant of a master playlist to take, what a media playlist says, how one is written.

Specification: RFC 8216.
"""

import re
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import takewhile
from urllib.parse import quote, urljoin

from streamferry.reasons import Code, InvalidValue

#: A playlist of a day's DVR window in segments of 2 s has 5 MB.
MAX_PLAYLIST_BYTES = 8 << 20
#: What gzip begins with (RFC 1952, 2.3.1).
GZIP_MAGIC = b"\x1f\x8b"
# The largest window, and gzip's head around it (zlib.h, inflateInit2).
_GZIP_WINDOW = 31

# Characters of an address that have a meaning in it.
_SAFE = "%/:?#[]@!$&'()*+,;=~"
# Four for each of the most segments that are read.
_MAX_LINES = 400_000
_ATTRIBUTE = re.compile(r'(?<![A-Z0-9-])([A-Z0-9-]{1,64})=("[^"]*"|[^",]*)')
_TARGET_DURATION = re.compile(r"#EXT-X-TARGETDURATION:(\d{1,9})")
_MEDIA_SEQUENCE = re.compile(r"#EXT-X-MEDIA-SEQUENCE:(\d{1,19})")
_DISCONTINUITY_SEQUENCE = re.compile(r"#EXT-X-DISCONTINUITY-SEQUENCE:(\d{1,19})")
# What makes a player open something; other tags with addresses are for other programs.
_NAMING = ("#EXT-X-KEY:", "#EXT-X-MAP:", "#EXT-X-MEDIA:")
# A codec of an EXT-X-STREAM-INF that FLV has no place for makes a variant the last choice, not an impossible one.
_CARRIED_CODECS = ("avc1", "avc3", "hvc1", "hev1", "mp4a.40")
_SOUND_CODECS = ("mp4a", "ac-3", "ec-3", "ac-4", "opus", "Opus", "flac", "fLaC", "alac", "mp3")
_MAX_VARIANTS = 64


@dataclass(frozen=True, slots=True)
class Variant:
    """Absolute addresses: of a media playlist, and of the one with its sound, None if that is in the variant itself."""

    url: str
    audio_url: str | None = None
    has_picture: bool = True
    #: By the word of its server; 0 without one.
    bits_per_s: int = field(default=0, compare=False)

    def as_master(self) -> str:
        """A master playlist that names just this variant."""
        audio = self.audio_url
        rendition = (
            f'#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="a",DEFAULT=YES,AUTOSELECT=YES,URI="{audio}"\n' if audio else ""
        )
        group = ',AUDIO="a"' if audio else ""
        return f"#EXTM3U\n{rendition}#EXT-X-STREAM-INF:BANDWIDTH=1{group}\n{self.url}\n"


@dataclass(frozen=True, slots=True)
class Playlist:
    """A master or a media playlist: its lines, without the empty ones."""

    lines: list[str]

    @classmethod
    def parse(cls, data: bytes) -> "Playlist":
        """Raises ValueError if it is not a playlist (section 4.3.1.1), with a sentence that repeats nothing of it.

        It may be compressed: some servers send that to clients that did not ask for it, and not all of them say so.
        """
        if data[:2] == GZIP_MAGIC:
            data = uncompressed(data, MAX_PLAYLIST_BYTES)
        if data.count(b"\n") > _MAX_LINES:
            raise InvalidValue(Code.PROTOCOL_NOT_HLS)
        text = data.decode("utf-8", "replace").removeprefix("\ufeff")
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        if lines[:1] != ["#EXTM3U"]:
            raise InvalidValue(Code.PROTOCOL_NOT_HLS)
        return cls(lines)

    def best_variant(self, base: str) -> Variant | None:
        """The first of ``variants``; None if this is no master playlist."""
        return next(iter(self.variants(base)), None)

    def variants(self, base: str) -> "list[Variant]":
        """What a master playlist offers, the best first; empty if this is none.

        Those with a picture come before those without, those whose codecs FLV can carry before others, then the one
        with the highest bandwidth. ``base``: address of the playlist, to which the ones in it are relative.
        """
        found: list[tuple[bool, bool, int, str, str]] = []
        for line, following in zip(self.lines, [*self.lines[1:], ""], strict=True):
            if line.startswith("#EXT-X-STREAM-INF:") and following and not following.startswith("#"):
                named = attributes(line)
                bandwidth = named.get("BANDWIDTH", "")
                codecs = [codec.strip() for codec in named.get("CODECS", "").split(",") if codec.strip()]
                carried = all(codec.startswith(_CARRIED_CODECS) for codec in codecs)
                has_picture = "RESOLUTION" in named or not all(codec.startswith(_SOUND_CODECS) for codec in codecs)
                rate = int(bandwidth[:18]) if bandwidth.isdecimal() else 0
                url = urljoin(base, following)
                found.append((has_picture or not codecs, carried, rate, url, named.get("AUDIO", "")))
        found.sort(key=lambda variant: variant[:3], reverse=True)
        return [
            Variant(
                url, self._audio_rendition(base, group) if group else None, has_picture=has_picture, bits_per_s=rate
            )
            for has_picture, _, rate, url, group in found[:_MAX_VARIANTS]
        ]

    @property
    def is_finished(self) -> bool:
        """Whether no more segments will come (section 4.3.3.4)."""
        return "#EXT-X-ENDLIST" in self.lines

    @property
    def target_duration(self) -> int:
        """The length in seconds that no segment exceeds (section 4.3.3.1); 0 if it is not given."""
        return _told(_TARGET_DURATION, self.lines)

    @property
    def media_sequence(self) -> int:
        """The number of the first segment (section 4.3.3.2)."""
        return _told(_MEDIA_SEQUENCE, self._head)

    @property
    def discontinuity_sequence(self) -> int:
        """How many breaks there were before the first segment (section 4.3.3.3)."""
        return _told(_DISCONTINUITY_SEQUENCE, self._head)

    def references(self) -> Iterator[str]:
        """All that a player of the playlist would open, as it is written there."""
        for line in self.lines:
            if not line.startswith("#"):
                yield line
            elif line.startswith(_NAMING) and (reference := attributes(line).get("URI")):
                yield reference

    def segment_addresses(self, base: str) -> list[str]:
        """Absolute addresses of the segments of a media playlist, to whose address ``base`` they are relative."""
        return [urljoin(base, line) for line in self.lines if not line.startswith("#")]

    @property
    def _head(self) -> Iterator[str]:
        """What stands before the first segment, as these tags have to (sections 4.3.3.2 and 4.3.3.3)."""
        return takewhile(lambda line: line.startswith("#"), self.lines)

    def _audio_rendition(self, base: str, group: str) -> str | None:
        """Address of the default rendition of an audio group, None if the sound is in the variant itself."""
        chosen: str | None = None
        for line in self.lines:
            if not line.startswith("#EXT-X-MEDIA:"):
                continue
            named = attributes(line)
            if named.get("TYPE") != "AUDIO" or named.get("GROUP-ID") != group:
                continue
            if "URI" in named and (chosen is None or named.get("DEFAULT") == "YES"):
                chosen = urljoin(base, named["URI"])
        return chosen


def _told(tag: re.Pattern[str], lines: Iterable[str]) -> int:
    return next((int(found[1]) for line in lines if (found := tag.match(line))), 0)


def uncompressed(data: bytes, max_bytes: int) -> bytes:
    """The first bytes of what is inside gzip (RFC 1952), at most so many; what is damaged ends there."""
    try:
        return zlib.decompressobj(_GZIP_WINDOW).decompress(data, max_bytes)
    except zlib.error:
        return b""


def names_playlist(content_type: str, path: str) -> bool:
    """Whether what a server calls an answer, or the end of its address, says that it is a playlist (section 4)."""
    return "mpegurl" in content_type or path.lower().endswith((".m3u8", ".m3u"))


def attributes(line: str) -> dict[str, str]:
    """The attribute list of a tag (section 4.2), quoted strings without their quotes."""
    return {name: value.strip('"') for name, value in _ATTRIBUTE.findall(line.partition(":")[2])}


def joined(base: str, reference: str) -> str:
    """The address that a playlist at ``base`` means; spaces and the like become what a browser makes of them.

    Raises ValueError for what is no address.
    """
    return quote(urljoin(base, reference), safe=_SAFE)


def scheme_of(reference: str) -> str:
    """What comes before a colon, in lower case; empty for what is relative (RFC 3986, 4.2: no colon before a slash).

    Also where it is no scheme of the RFC's: ffmpeg has some with commas in them.
    """
    return reference.partition(":")[0].lower() if ":" in reference.partition("/")[0] else ""


@dataclass(frozen=True, slots=True)
class ListedSegment:
    """A segment as a playlist names it."""

    name: str
    duration_s: float


def serialize_playlist(segments: Iterable[ListedSegment], first_number: int, target_s: int, *, is_ended: bool) -> str:
    """A live media playlist; ``first_number`` is that of its first segment (RFC 8216, 4.3.3.2).

    ``target_s``: no segment of the stream is longer, after rounding; must not change (4.3.3.1, 6.2.1).
    """
    lines = [
        *("#EXTM3U", "#EXT-X-VERSION:3"),
        *(f"#EXT-X-TARGETDURATION:{target_s}", f"#EXT-X-MEDIA-SEQUENCE:{first_number}"),
        *(line for segment in segments for line in (f"#EXTINF:{segment.duration_s:.3f},", segment.name)),
        *(["#EXT-X-ENDLIST"] if is_ended else []),
    ]
    return "\n".join(lines) + "\n"
