"""VOD HLS: which variant to play, and the small master playlist ffmpeg is given for it on its standard input.

ffmpeg fetches the media playlist and its segments itself, so keys, maps and byte ranges are its work. It gets the
addresses, which may hold tokens, through a pipe: not in its arguments and not on the disk. Live playlists are refused
here (RFC 8216, section 4.3.3.4: without EXT-X-ENDLIST more segments may come).
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

from streamferry.media.errors import SourceUnsupported
from streamferry.wire.hls import Variant, best_variant, is_finished, playlist_lines

#: Gives text and final address of a playlist.
ReadPlaylist = Callable[[str], tuple[str, str]]

_SEGMENT_LENGTH = re.compile(r"#EXTINF:(\d+\.?\d*)")


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
    lines = playlist_lines(text)
    if (variant := best_variant(lines, base)) is not None:
        text, media_url = read(variant.url)
        variant = Variant(media_url, variant.audio_url)
        lines = playlist_lines(text)
    if not is_finished(lines):
        raise SourceUnsupported("it is a live HLS playlist; only finished ones, with EXT-X-ENDLIST, can be prepared")
    lengths = [float(found[1]) for line in lines if (found := _SEGMENT_LENGTH.match(line))]
    if not lengths:
        raise SourceUnsupported("it is an HLS playlist without segments")
    return Chosen((variant or Variant(base)).as_master(), sum(lengths))
