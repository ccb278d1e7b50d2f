"""Detects whether an address is live or a file, for users who do not say."""

from streamferry.media.errors import MediaError
from streamferry.media.peer_options import NO_OPTIONS, PeerOptions
from streamferry.media.url import MediaUrl
from streamferry.net.http import open_get
from streamferry.relay.network import Network
from streamferry.source.hls import read_media_playlist
from streamferry.wire.hls import names_playlist

_LIVE_ONLY = frozenset(("rtmp", "rtmps", "rtsp", "rtsps", "srt", "udp"))


async def looks_live(url: MediaUrl, network: Network, options: PeerOptions = NO_OPTIONS) -> bool:
    """True for RTMP, RTSP, SRT and UDP; for FLV and MPEG-TS of no stated length over HTTP; for HLS without an end.

    Other addresses are taken as files. If the server cannot be reached, the name in the address decides, and the relay
    will meet and report the same problem.
    """
    if url.scheme in _LIVE_ONLY:
        return True
    if url.scheme not in ("http", "https"):
        return False
    dialling = network.options(options)
    try:
        stream = await open_get(url, **dialling)
        try:
            if names_playlist(stream.content_type, stream.final_url.path):
                playlist, _ = await read_media_playlist(url, stream, **dialling)
                return not playlist.is_finished
        finally:
            stream.connection.close()
    except (MediaError, ValueError):
        return url.path.endswith(".flv")
    names_live = any(kind in stream.content_type for kind in ("flv", "mp2t")) or url.path.endswith(".flv")
    return stream.content_length is None and names_live
