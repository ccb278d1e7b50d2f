"""Live HTTP-FLV: a response body that is an endless FLV file. Not for FLV files, which are prepared first.

Specification: Adobe Video File Format 10.1, annex E, as a body of RFC 9112, mostly chunked.
"""

from streamferry.net.http import HttpBody, HttpStream
from streamferry.source.flv import FlvReader
from streamferry.source.live import ConnectionInlet


class HttpFlvInlet(ConnectionInlet):
    """The LiveInlet of an HTTP-FLV stream."""

    def __init__(self, stream: HttpStream, body: HttpBody) -> None:
        """``body``: the response body; bytes already read are in its ``leftover``."""
        super().__init__(stream.connection, body.receiver, FlvReader(body.leftover))
