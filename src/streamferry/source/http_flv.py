"""Live HTTP-FLV: a response body that is an endless FLV file. Not for FLV files, which are prepared first.

Specification: Adobe Video File Format 10.1, annex E, as a body of RFC 9112, mostly chunked.
"""

from collections.abc import Sequence
from functools import partial

from streamferry.media.url import MediaUrl
from streamferry.net.http import HttpBody, HttpStream
from streamferry.source.answer import not_a_stream
from streamferry.source.flv import FlvReader
from streamferry.source.flv_sound import FlvInlet
from streamferry.source.sound_child import SoundStarts


class HttpFlvInlet(FlvInlet):
    """The LiveInlet of an HTTP-FLV stream."""

    def __init__(self, url: MediaUrl, stream: HttpStream, starts: SoundStarts, secrets: Sequence[str] = ()) -> None:
        """``url``: as the user gave it; ``stream``: the answer, taken over; ``secrets``: what else was sent."""
        body = HttpBody(stream)
        reader = FlvReader(body.leftover, refuse=partial(not_a_stream, url, stream.content_type, secrets=secrets))
        super().__init__(url, starts, stream.connection, body.receiver, reader)
