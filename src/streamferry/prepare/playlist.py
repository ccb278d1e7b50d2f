"""VOD HLS: which variant to play, and the small master playlist ffmpeg is given for it on its standard input.

ffmpeg fetches the media playlist and its segments itself, so keys, maps and byte ranges are its work. It gets the
addresses, which may hold tokens, through a pipe: not in its arguments and not on the disk. Live playlists are refused
here (RFC 8216, section 4.3.3.4: without EXT-X-ENDLIST more segments may come).
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urljoin

from streamferry.media.errors import SourceUnsupported

#: Gives text and final address of a playlist.
ReadPlaylist = Callable[[str], tuple[str, str]]

_ATTRIBUTE = re.compile(r'([A-Z0-9-]+)=("[^"]*"|[^",]*)')
_SEGMENT_LENGTH = re.compile(r"#EXTINF:(\d+\.?\d*)")
# A codec of an EXT-X-STREAM-INF that FLV has no place for makes a variant the last choice, not an impossible one.
_CARRIED_CODECS = ("avc1", "avc3", "hvc1", "hev1", "mp4a.40")


@dataclass(frozen=True, slots=True)
class _Variant:
    url: str
    bandwidth: int
    carried: bool
    audio_group: str


def _attributes(line: str) -> dict[str, str]:
    return {name: value.strip('"') for name, value in _ATTRIBUTE.findall(line.partition(":")[2])}


def _variants(lines: list[str], base: str) -> list[_Variant]:
    variants = []
    for line, following in zip(lines, [*lines[1:], ""], strict=True):
        if line.startswith("#EXT-X-STREAM-INF:") and following and not following.startswith("#"):
            attributes = _attributes(line)
            bandwidth = attributes.get("BANDWIDTH", "")
            codecs = [codec.strip() for codec in attributes.get("CODECS", "").split(",") if codec.strip()]
            variants.append(
                _Variant(
                    url=urljoin(base, following),
                    bandwidth=int(bandwidth) if bandwidth.isdecimal() else 0,
                    carried=all(codec.startswith(_CARRIED_CODECS) for codec in codecs),
                    audio_group=attributes.get("AUDIO", ""),
                )
            )
    return variants


def _audio_rendition(lines: list[str], base: str, group: str) -> str | None:
    """Address of the default rendition of an audio group, None if the sound is in the variant itself."""
    chosen: str | None = None
    for line in lines:
        if not line.startswith("#EXT-X-MEDIA:"):
            continue
        attributes = _attributes(line)
        if attributes.get("TYPE") != "AUDIO" or attributes.get("GROUP-ID") != group:
            continue
        if "URI" in attributes and (chosen is None or attributes.get("DEFAULT") == "YES"):
            chosen = urljoin(base, attributes["URI"])
    return chosen


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.removeprefix("\ufeff").splitlines() if line.strip()]


@dataclass(frozen=True, slots=True)
class Chosen:
    """``text``: a master playlist of absolute addresses that names just one variant; ``seconds``: all its segments."""

    text: str
    seconds: float


def choose_variant(address: str, read: ReadPlaylist) -> Chosen:
    """The best variant of the finished HLS at ``address``: the highest bandwidth whose codecs FLV can carry.

    Raises SourceUnsupported for a live playlist and for one without segments, and what ``read`` raises.
    """
    text, base = read(address)
    lines = _lines(text)
    variant, audio = base, None
    if variants := _variants(lines, base):
        best = max(variants, key=lambda v: (v.carried, v.bandwidth))
        if best.audio_group:
            audio = _audio_rendition(lines, base, best.audio_group)
        text, variant = read(best.url)
        lines = _lines(text)
    if "#EXT-X-ENDLIST" not in lines:
        raise SourceUnsupported("it is a live HLS playlist; only finished ones, with EXT-X-ENDLIST, can be prepared")
    lengths = [float(found[1]) for line in lines if (found := _SEGMENT_LENGTH.match(line))]
    if not lengths:
        raise SourceUnsupported("it is an HLS playlist without segments")
    rendition = (
        f'#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="a",DEFAULT=YES,AUTOSELECT=YES,URI="{audio}"\n' if audio else ""
    )
    group = ',AUDIO="a"' if audio else ""
    return Chosen(f"#EXTM3U\n{rendition}#EXT-X-STREAM-INF:BANDWIDTH=1{group}\n{variant}\n", sum(lengths))
