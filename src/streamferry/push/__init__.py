"""Publish: one session to a destination, the bounded queue in front of it, and its liveness."""

import ssl
from collections.abc import Callable

from streamferry.media.url import MediaUrl
from streamferry.net.dial import Deadlines
from streamferry.push.outlet import Outlet, Session
from streamferry.push.session import PublishSession, open_publish_session
from streamferry.push.srt import open_srt_session

__all__ = ["Outlet", "PublishSession", "Session", "open_publish_session", "open_session"]


async def open_session(
    url: MediaUrl,
    *,
    deadlines: Deadlines,
    tls: ssl.SSLContext | None = None,
    allow: Callable[[str], bool] | None = None,
) -> Session:
    """Open a session by the scheme of the address: SRT, or RTMP(S). Raises DestinationError."""
    opener = open_srt_session if url.scheme == "srt" else open_publish_session
    return await opener(url, deadlines=deadlines, tls=tls, allow=allow)
