"""Deciding by a look whether an address is live or a file, for users who do not say."""

from streamferry.media.errors import MediaError
from streamferry.media.url import MediaUrl
from streamferry.net.dial import step
from streamferry.net.http import HttpBody, HttpStream, open_get
from streamferry.relay.network import Network
from streamferry.wire.hls import best_variant, is_finished, playlist_lines

_MAX_PLAYLIST_BYTES = 8 << 20
_LIVE_ONLY = frozenset(("rtmp", "rtmps", "rtsp", "rtsps", "srt", "udp"))


async def looks_live(url: MediaUrl, network: Network) -> bool:
    """True for RTMP, RTSP, SRT and UDP; for FLV and MPEG-TS of no stated length over HTTP; for HLS without an end.

    Other addresses are taken for files. A server that cannot be asked decides nothing: the name of the address does,
    and the relay will meet and report the same trouble.
    """
    if url.scheme in _LIVE_ONLY:
        return True
    if url.scheme not in ("http", "https"):
        return False
    try:
        stream = await open_get(url, **network.options)
        try:
            if "mpegurl" in stream.content_type or stream.final_url.path.endswith((".m3u8", ".m3u")):
                return await _is_live_playlist(stream, network)
        finally:
            stream.connection.close()
    except (MediaError, ValueError):
        return url.path.endswith(".flv")
    names_live = any(kind in stream.content_type for kind in ("flv", "mp2t")) or url.path.endswith(".flv")
    return stream.content_length is None and names_live


async def _is_live_playlist(stream: HttpStream, network: Network) -> bool:
    """Whether an HLS playlist has no end, of a master the one that would be played. Raises MediaError, ValueError."""
    lines = await _read_playlist(stream, network)
    variant = best_variant(lines, stream.final_url.reveal())
    if variant is not None:
        media = await open_get(MediaUrl.parse(variant.url), **network.options)
        try:
            lines = await _read_playlist(media, network)
        finally:
            media.connection.close()
    return not is_finished(lines)


async def _read_playlist(stream: HttpStream, network: Network) -> list[str]:
    async with step("reading a playlist", network.deadlines.response):
        text = await HttpBody(stream).read_all(_MAX_PLAYLIST_BYTES)
    return playlist_lines(text.decode("utf-8", "replace"))
