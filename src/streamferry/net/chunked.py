"""The decoder of a chunked body. h11 spends 20-30 us on a chunk, and a live stream has one for every frame or two.

Specification: RFC 9112, 7.1.
"""

import re

from streamferry.media.errors import RemoteProtocolError
from streamferry.reasons import Code

# RFC 9112 sets no limit for a chunk's extensions; no media server in use sends any.
_MAX_CHUNK_HEAD_BYTES = 256


class ChunkedDecoder:
    """Takes the heads of the chunks out of a chunked body, in place. Keeps its state between calls.

    Extensions are skipped; what follows the last chunk is ignored.
    """

    __slots__ = ("_head", "_left", "ended", "is_followed")

    def __init__(self) -> None:
        #: Payload of the present chunk that is still to come, in bytes.
        self._left = 0
        # The beginning of a head, kept until its end comes. A head begins with the line end of the chunk before it;
        # the first one is given a line end to be like the rest.
        self._head = b"\r\n"
        #: True once the last chunk, the one of size 0, has come.
        self.ended = False
        #: Whether more than a line end came with the last chunk: trailers, or what nobody asked for.
        self.is_followed = False

    def decode(self, view: memoryview, start: int, end: int) -> int:
        """Decode ``view[start:end]``; its payload then is ``view[start:returned]``.

        Raises RemoteProtocolError on bytes that are no chunk.
        """
        left = self._left
        if left >= end - start:
            self._left = left - (end - start)
            return end
        if self.ended:
            return start
        data = self._head + bytes(view[start:end])
        pieces = [data[:left]]
        at = left
        size = len(data)
        while at < size:
            head = _CHUNK_HEAD(data, at)
            if head is None:
                break
            begin = head.end()
            length = int(head[1], 16)
            if not length:
                self.ended = True
                self.is_followed = bool(data[begin:].strip(b"\r\n"))
                break
            at = begin + length
            pieces.append(data[begin:at])
        self._left = max(at - size, 0)
        self._head = b"" if self.ended else data[at:]
        if self._head and (len(self._head) >= _MAX_CHUNK_HEAD_BYTES or not _CHUNK_HEAD_BEGUN(self._head)):
            raise RemoteProtocolError(Code.PROTOCOL_BAD_CHUNK)
        payload = b"".join(pieces)
        view[start : start + len(payload)] = payload
        return start + len(payload)


# RFC 9112, 7.1: chunk-size in hexadecimal, optional extensions, line end; before it the line end of the last chunk.
_CHUNK_HEAD = re.compile(rb"\r\n([0-9A-Fa-f]{1,8})[ \t]*(?:;[^\r\n]*)?\r\n").match
_CHUNK_HEAD_BEGUN = re.compile(rb"\r(?:\n(?:[0-9A-Fa-f]{1,8}(?:[ \t]*(?:;[^\r\n]*)?\r?)?)?)?\Z").match
