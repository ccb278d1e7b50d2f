"""Publish: one session to a destination, the bounded queue in front of it, and its liveness."""

from collections.abc import Awaitable, Callable
from typing import Unpack

from streamferry.media.url import MediaUrl
from streamferry.net.dial import DialOptions
from streamferry.push.hls import open_hls_session
from streamferry.push.outlet import Outlet
from streamferry.push.rtmp import RtmpSession, open_rtmp_session
from streamferry.push.session import ChunkSession, Session
from streamferry.push.srt import open_srt_session

__all__ = ["ChunkSession", "Outlet", "RtmpSession", "Session", "open_rtmp_session", "open_session"]

_OPENERS: dict[str, Callable[..., Awaitable[Session]]] = {
    "srt": open_srt_session,
    "http": open_hls_session,
    "https": open_hls_session,
}


async def open_session(url: MediaUrl, needs: frozenset[str] = frozenset(), **network: Unpack[DialOptions]) -> Session:
    """Open a session by the scheme of the address: RTMP(S), SRT, or HLS over HTTP(S). Raises DestinationError.

    ``needs``: FourCCs that an RTMP server has to list, or PublishLacksCodecs is raised; the others list nothing.
    """
    opener = _OPENERS.get(url.scheme)
    return await (open_rtmp_session(url, needs, **network) if opener is None else opener(url, **network))
