"""Live RTMP and RTMPS: a stream played from a server. See ``net.rtmp`` for how it is opened.

Specification: Adobe RTMP 1.0, section 7.2.2.1 (play).
"""

import ssl

from streamferry.media.errors import SourceEnded, SourceUnreachable
from streamferry.media.tag import Tag
from streamferry.media.url import MediaUrl
from streamferry.net.dial import AllowAddress, Deadlines
from streamferry.net.rtmp import RtmpLink, open_play
from streamferry.source.live import ConnectionInlet, as_source_errors

# Acknowledgements and pongs that a source has not taken. They are 20 bytes each: it has not read for a very long time.
_MAX_UNSENT_BYTES = 64 << 10


class RtmpInlet(ConnectionInlet):
    """The LiveInlet of an RTMP stream."""

    def __init__(self, link: RtmpLink) -> None:
        super().__init__(link.connection, link.connection.recv_into, _RtmpScanner(link).scan, link.leftover)


async def open_rtmp(
    url: MediaUrl,
    *,
    deadlines: Deadlines,
    tls: ssl.SSLContext | None = None,
    allow: AllowAddress | None = None,
) -> RtmpInlet:
    """Connect and play; gives the inlet once the server has accepted.

    Raises SourceError; ValueError if ``url`` has no application or key.
    """
    with as_source_errors():
        return RtmpInlet(await open_play(url, deadlines=deadlines, tls=tls, allow=allow))


class _RtmpScanner:
    """Scans chunks, and sends what the session has to say meanwhile."""

    def __init__(self, link: RtmpLink) -> None:
        self._connection = link.connection
        self._session = link.session
        self._unsent = b""

    def scan(self, view: memoryview, start: int, end: int, out: list[Tag]) -> int:
        session = self._session
        start = session.scan(view, start, end, out)
        data = session.data_to_send()
        if data or self._unsent:
            self._send(data)
        if session.ended is not None:
            raise SourceEnded(f"the source ended the stream: {session.ended}")
        return start

    def _send(self, data: bytes) -> None:
        unsent = self._unsent + data
        self._unsent = unsent[self._connection.send([unsent]) :]
        if len(self._unsent) > _MAX_UNSENT_BYTES:
            raise SourceUnreachable("the source sends but no longer reads")
