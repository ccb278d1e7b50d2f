"""Live HTTP-FLV: a GET whose body is an endless FLV file. Not for FLV files, which are prepared first.

Specification: Adobe Video File Format 10.1, annex E, as a body of RFC 9112, mostly chunked.
"""

import ssl

from streamferry.media.errors import RemoteProtocolError, SourceUnsupported
from streamferry.media.tag import Tag
from streamferry.media.url import MediaUrl
from streamferry.net.connection import Connection
from streamferry.net.dial import AllowAddress, Deadlines
from streamferry.net.http import ChunkedDecoder, HttpStream, open_get
from streamferry.source.live import ConnectionInlet, ReceiveInto, as_source_errors
from streamferry.wire.flv import FLV_HEADER_BYTES, parse_flv_header, scan_tags


class HttpFlvInlet(ConnectionInlet):
    """The LiveInlet of an HTTP-FLV stream."""

    def __init__(self, stream: HttpStream) -> None:
        receive_into: ReceiveInto = stream.connection.recv_into
        leftover = stream.leftover
        if stream.chunked:
            body = _ChunkedBody(stream.connection)
            receive_into = body.receive_into
            leftover = body.decode(leftover)
        super().__init__(stream.connection, receive_into, _FlvScanner().scan, leftover)
        #: False when the head told a length: then it is a file.
        self.looks_live = stream.content_length is None


async def open_http_flv(
    url: MediaUrl,
    *,
    deadlines: Deadlines,
    tls: ssl.SSLContext | None = None,
    allow: AllowAddress | None = None,
) -> HttpFlvInlet:
    """Ask for the stream and give its inlet once the head of the answer is there. Raises SourceError."""
    with as_source_errors():
        stream = await open_get(url, deadlines=deadlines, tls=tls, allow=allow)
        try:
            return HttpFlvInlet(stream)
        except RemoteProtocolError:
            stream.connection.close()
            raise


class _FlvScanner:
    """Checks the file header, then scans tags."""

    def __init__(self) -> None:
        self._in_header = True

    def scan(self, view: memoryview, start: int, end: int, out: list[Tag]) -> int:
        if self._in_header:
            if end - start < FLV_HEADER_BYTES and b"FLV".startswith(bytes(view[start : min(start + 3, end)])):
                return start
            try:
                parse_flv_header(view[start:end])
            except RemoteProtocolError as error:
                raise SourceUnsupported("the source answered with something that is not FLV") from error
            self._in_header = False
            start += FLV_HEADER_BYTES
        return scan_tags(view, start, end, out)


class _ChunkedBody:
    """Receives the payload of a chunked body."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._decoder = ChunkedDecoder()

    def receive_into(self, view: memoryview) -> int | None:
        if self._decoder.ended:
            return 0
        received = self._connection.recv_into(view)
        if not received:
            return received
        return self._decoder.decode(view, 0, received) or None

    def decode(self, data: bytes) -> bytes:
        """Payload in bytes that came before the first ``receive_into``. Raises RemoteProtocolError."""
        buffer = bytearray(data)
        return bytes(buffer[: self._decoder.decode(memoryview(buffer), 0, len(buffer))])
