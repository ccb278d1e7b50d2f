"""A segment of live HLS while it comes, and how one is asked for: its bytes as received, decrypted.

Specification: RFC 8216, 4.3.2.2 (byte ranges); what is encrypted: ``wire.aes_cbc``.
"""

from typing import Unpack

from streamferry.media.errors import PeerRejected, RemoteProtocolError
from streamferry.media.url import MediaUrl
from streamferry.net.dial import DialOptions, step
from streamferry.net.http import WEB_SCHEMES, HttpBody, HttpStream, open_get
from streamferry.net.kept import KeptConnections
from streamferry.reasons import Code, Reason
from streamferry.source.hls_follower import Next
from streamferry.wire.aes_cbc import BLOCK_BYTES, Decryption
from streamferry.wire.hls import joined
from streamferry.wire.hls_segments import Key, Piece

#: Headers and keys that are named again and again are asked for once.
_KEPT = 64
_MAX_HEADER_BYTES = 1 << 20


class SegmentTransfer:
    """The bytes of one segment, taken by plain calls as they come."""

    def __init__(self, found: Next, header: bytes, stream: HttpStream, decryption: Decryption | None) -> None:
        """``header``: what the playlist says that a player needs before it."""
        self.found = found
        self.header = header
        self.seconds = found.segment.seconds
        self.peer = stream.connection.peer
        self._body = HttpBody(stream)
        self._leftover = self._body.leftover
        self._decryption = decryption
        # Bytes of it that are still to come, None if that is not known.
        sizes = [size for size in (found.segment.media.size_bytes, stream.content_length) if size is not None]
        self._left = min(sizes, default=None)

    def become(self, found: Next) -> None:
        """It was asked for before it was listed: this is how it is listed."""
        self.found, self.seconds = found, found.segment.seconds

    def receive(self, view: memoryview) -> bytes | memoryview | None:
        """What has come, maybe in ``view``; empty at the end of the segment, None if nothing is there now.

        Raises OSError and RemoteProtocolError.
        """
        if self._left == 0:
            return self._end()
        if self._leftover:
            data: bytes | memoryview = self._leftover
            self._leftover = b""
        else:
            received = self._body.receive_into(view)
            if received is None:
                return None
            if not received:
                if self._left:
                    raise ConnectionError("the end of the segment is missing")
                return self._end()
            data = view[:received]
        if self._left is not None:
            # A server may send more than was asked for.
            data = data[: self._left]
            self._left -= len(data)
        if self._decryption is None:
            return data
        return self._decryption.update(bytes(data)) or None

    def close(self) -> None:
        """Release its connection. Closing again does nothing."""
        self._body.release()

    def _end(self) -> bytes:
        return b"" if self._decryption is None else self._decryption.end()


class SegmentOpener:
    """Asks for the segments of one playlist."""

    def __init__(self, source: MediaUrl, kept: KeptConnections, **network: Unpack[DialOptions]) -> None:
        """``source``: the address for which the headers of the options were given."""
        self._source = source
        self._kept = kept
        self._network = network
        self._known: dict[tuple[str, int, int | None], bytes] = {}

    async def open(self, base: MediaUrl, found: Next) -> SegmentTransfer:
        """Ask for a segment that the playlist at ``base`` names. Raises PeerError and RemoteProtocolError."""
        segment = found.segment
        header = b""
        if segment.header is not None:
            header = await self._small(base, segment.header, _MAX_HEADER_BYTES)
        decryption = await self._decryption(base, segment.media.key)
        stream = await self._get(base, segment.media)
        return SegmentTransfer(found, header, stream, decryption)

    async def _decryption(self, base: MediaUrl, key: Key | None) -> Decryption | None:
        if key is None:
            return None
        secret = await self._small(base, Piece(key.uri), BLOCK_BYTES)
        if len(secret) != BLOCK_BYTES:
            raise RemoteProtocolError(Code.PLAYLIST_BAD_KEY, url=base.redacted, size_bytes=BLOCK_BYTES)
        return Decryption(secret, key.iv)

    async def _small(self, base: MediaUrl, piece: Piece, max_bytes: int) -> bytes:
        """The whole of a header or a key."""
        name = (piece.uri, piece.begin, piece.size_bytes)
        if (known := self._known.get(name)) is not None:
            return known
        decryption = await self._decryption(base, piece.key)
        stream = await self._get(base, piece)
        body = HttpBody(stream)
        try:
            reading = Reason.of(Code.STEP_MEDIA, peer=stream.connection.peer)
            async with step(reading, self._network["deadlines"].response):
                data = await body.read_all(max_bytes)
        finally:
            body.release()
        data = data[: piece.size_bytes]
        if decryption is not None:
            data = decryption.update(data) + decryption.end()
        if len(self._known) >= _KEPT:
            self._known.clear()
        self._known[name] = data
        return data

    async def _get(self, base: MediaUrl, piece: Piece) -> HttpStream:
        byte_range = None if piece.size_bytes is None else (piece.begin, piece.begin + piece.size_bytes)
        stream = await open_get(named_by(base, piece.uri), self._source, byte_range, self._kept, **self._network)
        if piece.begin and not stream.is_partial:
            stream.connection.close()
            raise PeerRejected(Code.PLAYLIST_PART_MISSING, url=base.redacted)
        return stream


def named_by(base: MediaUrl, reference: str) -> MediaUrl:
    """The address that a playlist at ``base`` means by ``reference``. Raises PeerRejected if it may not be opened."""
    try:
        url = MediaUrl.parse(joined(base.reveal(), reference))
    except ValueError:
        raise PeerRejected(Code.SOURCE_HLS_BAD_ADDRESS, url=base.redacted) from None
    if url.scheme not in WEB_SCHEMES:
        raise PeerRejected(Code.SOURCE_HLS_OFF_WEB, url=base.redacted)
    return url
