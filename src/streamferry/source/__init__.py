"""Where media comes from. A source gives tags as received; the timeline puts them on one clock.

A source never retries: when it ends or fails it raises a SourceError, and the relay's run decides.
"""

from collections.abc import Awaitable, Callable
from typing import Unpack

from streamferry.media.errors import SourceUnsupported
from streamferry.media.url import MediaUrl
from streamferry.net.dial import DialOptions
from streamferry.reasons import Code
from streamferry.source.ffmpeg_inlet import FfmpegMemory
from streamferry.source.http import open_http
from streamferry.source.live import LiveInlet
from streamferry.source.memory import SourceMemory
from streamferry.source.rtmp import open_rtmp
from streamferry.source.rtsp import open_rtsp
from streamferry.source.streams import open_srt
from streamferry.source.udp import open_udp

__all__ = ["FfmpegMemory", "LiveInlet", "SourceMemory", "open_live"]

_OPENERS: dict[str, Callable[..., Awaitable[LiveInlet]]] = {
    "rtmp": open_rtmp,
    "rtmps": open_rtmp,
    "rtsp": open_rtsp,
    "rtsps": open_rtsp,
    "srt": open_srt,
    "udp": open_udp,
}


async def open_live(
    url: MediaUrl,
    memory: SourceMemory | None = None,
    **network: Unpack[DialOptions],
) -> LiveInlet:
    """Open a live source by the scheme of its address. Raises SourceError.

    ``memory``: shared by all sessions of one source, so that each continues where the previous one ended.
    """
    memory = SourceMemory() if memory is None else memory
    if url.scheme in ("http", "https"):
        return await open_http(url, memory=memory, **network)
    opener = _OPENERS.get(url.scheme)
    if opener is None:
        raise SourceUnsupported(Code.SOURCE_BAD_SCHEME, scheme=url.scheme)
    return await opener(url, memory, **network)
