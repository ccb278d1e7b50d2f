"""Where media comes from. Each source gives tags as they came; laying them on one clock is the timeline's work.

It never retries: when a source ends or fails it says so with a SourceError, and a relay's run decides.
"""

import ssl

from streamferry.media.errors import SourceUnsupported
from streamferry.media.url import MediaUrl
from streamferry.net.dial import AllowAddress, Deadlines
from streamferry.source.http_flv import open_http_flv
from streamferry.source.live import LiveInlet
from streamferry.source.rtmp import open_rtmp

__all__ = ["LiveInlet", "open_live"]


async def open_live(
    url: MediaUrl,
    *,
    deadlines: Deadlines,
    tls: ssl.SSLContext | None = None,
    allow: AllowAddress | None = None,
) -> LiveInlet:
    """Open a live source by the scheme of its address: RTMP(S), or HTTP(S) for HTTP-FLV. Raises SourceError."""
    if url.is_rtmp:
        return await open_rtmp(url, deadlines=deadlines, tls=tls, allow=allow)
    if url.scheme in ("http", "https"):
        return await open_http_flv(url, deadlines=deadlines, tls=tls, allow=allow)
    raise SourceUnsupported(f"a live source has an rtmp, rtmps, http or https address, not {url.scheme}")
