"""Live RTMP and RTMPS: a stream played from a server. See ``net.rtmp`` for how it is opened.

Specification: Adobe RTMP 1.0, section 7.2.2.1 (play).
"""

from typing import Unpack

from streamferry.media.errors import SourceEnded, SourceUnreachable, SourceUnsupported
from streamferry.media.tag import Tag
from streamferry.media.url import MediaUrl
from streamferry.net.dial import DialOptions
from streamferry.net.rtmp import RtmpLink, open_play
from streamferry.reasons import Code, InvalidValue
from streamferry.source.flv_sound import FlvInlet
from streamferry.source.live import as_source_errors
from streamferry.source.memory import SourceMemory
from streamferry.source.sound_child import SoundStarts

# Limit of acknowledgements and pongs that a source has not taken, 20 bytes each: beyond it, it has not read for ages.
_MAX_UNSENT_BYTES = 64 << 10


class RtmpInlet(FlvInlet):
    """The LiveInlet of an RTMP stream."""

    def __init__(self, url: MediaUrl, link: RtmpLink, starts: SoundStarts) -> None:
        reader = RtmpReader(link)
        super().__init__(url, starts, link.connection, reader.receive_into, reader)


async def open_rtmp(url: MediaUrl, memory: SourceMemory, **network: Unpack[DialOptions]) -> RtmpInlet:
    """Connect and play; returns the inlet once the server has accepted. Raises SourceError."""
    try:
        _ = url.app_and_key
    except InvalidValue as error:
        raise SourceUnsupported(error.why) from error
    with as_source_errors():
        return RtmpInlet(url, await open_play(url, **network), memory.sound_starts)


class RtmpReader:
    """Receives and parses chunks, and sends the session's replies."""

    def __init__(self, link: RtmpLink) -> None:
        self._receive_into = link.connection.recv_into
        self._send = link.connection.send
        #: The session, and what the source has not taken of its replies.
        self.session = link.session
        self.unsent = b""

    def receive_into(self, view: memoryview) -> int | None:
        """As ``Connection.recv_into``. Raises SourceEnded when the server has said so."""
        if self.session.ended is not None:
            raise SourceEnded(Code.SOURCE_ENDED_STREAM, words=self.session.ended)
        self.session.talk = 0
        return self._receive_into(view)

    def read(self, view: memoryview, start: int, out: list[Tag]) -> None:
        """See ``source.live.Reader``."""
        self.session.receive(view, start, out)
        data = self.session.data_to_send()
        if data or self.unsent:
            unsent = self.unsent + data
            self.unsent = unsent[self._send([unsent]) :]
            if len(self.unsent) > _MAX_UNSENT_BYTES:
                raise SourceUnreachable(Code.SOURCE_DEAF)
