"""A live source over HTTP or HTTPS: one GET, whose answer decides whether it is FLV, MPEG-TS or HLS.

Decided by the content type or the ending of the address where those name MPEG-TS or HLS, else by the first bytes.
"""

from typing import Unpack

from streamferry.media.peer_options import NO_OPTIONS
from streamferry.media.url import MediaUrl
from streamferry.net.dial import DialOptions, step
from streamferry.net.http import HttpBody, HttpStream, first_payload, open_get
from streamferry.reasons import Code, Reason
from streamferry.source.answer import LOOK_BYTES, is_playlist, not_a_stream, sent_secrets
from streamferry.source.hls import open_hls
from streamferry.source.http_flv import HttpFlvInlet
from streamferry.source.live import LiveInlet, as_source_errors
from streamferry.source.memory import SourceMemory
from streamferry.source.ts import open_ts
from streamferry.wire.hls import names_playlist

#: ISO 13818-1, 2.4.3.2: each packet begins with it.
_TS_SYNC_BYTE = b"\x47"
_FLV = b"FLV"
_TS_NAMES = (".ts", ".m2ts", ".mts", ".mpegts")


async def open_http(
    url: MediaUrl,
    memory: SourceMemory | None = None,
    **network: Unpack[DialOptions],
) -> LiveInlet:
    """Request the stream and return its inlet; see ``open_live``. Raises SourceError."""
    memory = SourceMemory() if memory is None else memory
    with as_source_errors():
        stream = await open_get(url, **network)
        try:
            if names_playlist(stream.content_type, stream.final_url.path):
                return await open_hls(url, stream, memory=memory, **network)
            secrets = sent_secrets(network.get("options", NO_OPTIONS), stream.final_url)
            if "flv" in stream.content_type:
                return HttpFlvInlet(url, stream, memory.sound_starts, secrets)
            if not _is_named_ts(stream):
                async with step(Reason.of(Code.STEP_MEDIA, peer=stream.connection.peer), network["deadlines"].response):
                    begin = await first_payload(stream, LOOK_BYTES)
                if is_playlist(begin):
                    return await open_hls(url, stream, memory=memory, **network)
                if begin.startswith(_FLV):
                    return HttpFlvInlet(url, stream, memory.sound_starts, secrets)
                if not begin.startswith(_TS_SYNC_BYTE):
                    raise not_a_stream(url, stream.content_type, begin, secrets)
            body = HttpBody(stream)
            return await open_ts(url, _HttpFeed(stream, body), memory, leftover=body.leftover)
        except BaseException:
            stream.connection.close()
            raise


def _is_named_ts(stream: HttpStream) -> bool:
    return "mp2t" in stream.content_type or stream.final_url.path.endswith(_TS_NAMES)


class _HttpFeed:
    """The body of an answer as a feed."""

    def __init__(self, stream: HttpStream, body: HttpBody) -> None:
        self.receive_into = body.receive_into
        self.close = stream.connection.close
