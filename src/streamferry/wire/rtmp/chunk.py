"""RTMP chunk streams: messages cut into interleaved chunks. Not what messages mean: see ``message`` and ``session``.

Specification: Adobe RTMP 1.0, section 5.3 (chunk format) and 5.4 (the two control messages that steer it, Set Chunk
Size and Abort, which are applied here and not passed on).

Theory of operation of the reader. A chunk is a basic header (header type, chunk stream id), a message header whose
length depends on the type, an extended stamp if the 24-bit field is 0xFFFFFF, and payload up to the chunk size.
The reader remembers, for each chunk stream, the header its next chunk builds on and the message under way:

    state of a chunk stream   chunk of type 0, 1, 2          chunk of type 3
    no message under way      starts a message               starts a message with the last header and delta
    message under way         protocol error                 continues it

A message that lies in one chunk is passed on as a view; the payload of a longer one is gathered in a bytearray, so
nothing refers to the scanned buffer when ``scan`` returns, except the views passed on. A player's reader leaves a
message alone instead until all its chunks are there, if nothing lies between them and they are few: what is left then
begins with a whole message, and a loop that takes whole messages may go on there (``relay.fast_path``).
"""

from struct import Struct

from streamferry.media.errors import RemoteProtocolError
from streamferry.reasons import Code

#: (type id, 32-bit absolute stamp in ms, message stream id, payload).
Message = tuple[int, int, int, "bytes | memoryview"]

#: Chunk size of both directions until a Set Chunk Size (5.4.1).
DEFAULT_CHUNK_SIZE = 128
#: Largest message taken: the same rule as for FLV tags (``flv.MAX_TAG_BYTES``).
MAX_MESSAGE_BYTES = 8 << 20
#: Announced bytes of all messages under way at once: two of the largest, as audio and video interleave.
MAX_PENDING_BYTES = 2 * MAX_MESSAGE_BYTES
#: Chunk streams a peer may use. Real ones use five or six.
MAX_CHUNK_STREAMS = 64
#: Chunk stream of protocol control messages (5.4).
CONTROL_CHUNK_STREAM = 2

#: In the field of a stamp or a delta: the real one follows the header, in 32 bits (5.3.1.3).
EXTENDED = 0xFFFFFF
_WRAP_MASK = 0xFFFFFFFF
_SET_CHUNK_SIZE = 1
_ABORT = 2
_MESSAGE_HEADER_BYTES = (11, 7, 3, 0)

_read_three_words = Struct(">III").unpack_from
_read_word = Struct(">I").unpack_from
_pack_header = Struct(">III").pack
_pack_extended_header = Struct(">IIII").pack
_pack_word = Struct(">I").pack


class ChunkStream:
    """What the next chunk of a chunk stream builds on."""

    __slots__ = ("delta_ms", "extended", "gathered", "message_stream_id", "size", "stamp_ms", "type_id")

    def __init__(self) -> None:
        self.stamp_ms = 0
        self.delta_ms = 0
        self.size = 0
        self.type_id = 0
        self.message_stream_id = 0
        #: The extended stamp field of the last header as it came, or empty.
        self.extended = b""
        #: Payload of the message under way, or None.
        self.gathered: bytearray | None = None


class ChunkReader:
    """Takes chunks, gives messages."""

    __slots__ = ("chunk_size", "left_chunks", "pending_bytes", "streams")

    def __init__(self, left_chunks: int = 0) -> None:
        """``left_chunks``: most chunks of a message under way that are left."""
        self.chunk_size = DEFAULT_CHUNK_SIZE
        self.left_chunks = left_chunks
        #: By id; and the announced bytes of the messages under way: ``relay.fast_path`` uses them, too.
        self.streams: dict[int, ChunkStream] = {}
        self.pending_bytes = 0

    def scan(self, view: memoryview, start: int, end: int, out: list[Message]) -> int:
        """Append each message completed in ``view[start:end]`` to ``out`` and return the new start.

        Only whole chunks are taken: what follows the new start has to be presented again with more after it.
        The payload is a view of ``view`` if it lay in one chunk.
        Raises RemoteProtocolError for headers the specification does not allow and beyond the limits above.
        """
        streams = self.streams
        append = out.append
        while start < end:
            # Nearly all messages begin with a type 0 or 1 header of a known one-byte chunk stream id, without an
            # extended stamp, and fit in one chunk: those are done here, all else in _take_chunk.
            if end - start >= 12:
                first, second, third = _read_three_words(view, start)
                stream = streams.get(first >> 24 & 0x3F)  # never found for 0 and 1, the escapes to longer ids
                field = first & 0xFFFFFF
                size = second >> 8
                if (
                    first < 0x80000000
                    and stream is not None
                    and stream.gathered is None
                    and field != EXTENDED
                    and size <= self.chunk_size
                    and size <= MAX_MESSAGE_BYTES
                ):
                    type_id = second & 0xFF
                    if first < 0x40000000:
                        body = start + 12
                        following = body + size
                        if following > end:
                            break
                        stream.stamp_ms = field
                        stream.message_stream_id = swap_bytes(third) if third & 0xFFFFFF else third >> 24
                    else:
                        body = start + 8
                        following = body + size
                        if following > end:
                            break
                        stream.stamp_ms = (stream.stamp_ms + field) & _WRAP_MASK
                    stream.delta_ms = field
                    stream.size = size
                    stream.type_id = type_id
                    stream.extended = b""
                    if type_id > _ABORT:
                        append((type_id, stream.stamp_ms, stream.message_stream_id, view[body:following]))
                    else:
                        self._control(type_id, view[body:following])
                    start = following
                    continue
            following = self._take_chunk(view, start, end, out)
            if following == start:
                break
            start = following
        return start

    def resume(self, chunk_stream_id: int, stamp_ms: int) -> None:
        """Continue a chunk stream whose last message, which is not presented, had that stamp."""
        stream = self.streams[chunk_stream_id] = ChunkStream()
        stream.stamp_ms = stamp_ms

    def _take_chunk(self, view: memoryview, start: int, end: int, out: list[Message]) -> int:
        """Take the chunk at ``start`` and those that continue it; gives ``start`` if it is not whole yet."""
        header_type = view[start] >> 6
        chunk_stream_id = view[start] & 0x3F
        body = start + 1
        if chunk_stream_id < 2:
            body += 1 + chunk_stream_id
            if body > end:
                return start
            chunk_stream_id = 64 + int.from_bytes(view[start + 1 : body], "little")
        stream = self.streams.get(chunk_stream_id) or self._open(chunk_stream_id, header_type)
        gathered = stream.gathered
        header = body
        body += _MESSAGE_HEADER_BYTES[header_type]
        if body > end:
            return start

        size = stream.size
        extended = stream.extended
        if header_type == 3:
            field = stream.delta_ms
            if extended:
                # 5.3.1.3 repeats the extended stamp in type 3 chunks; some peers do not (old librtmp, Flash encoders).
                # As SRS does, believe it is there if the bytes are equal to it.
                repeated = bytes(view[body : min(body + 4, end)])
                if repeated == extended:
                    body += 4
                elif extended.startswith(repeated):
                    return start
        else:
            if gathered is not None:
                raise RemoteProtocolError(Code.PROTOCOL_RTMP_NESTED_MESSAGE)
            field = int.from_bytes(view[header : header + 3], "big")
            extended = b""
            if field == EXTENDED:
                extended = bytes(view[body : body + 4])
                body += 4
                if body > end:
                    return start
                field = int.from_bytes(extended, "big")
            if header_type < 2:
                size = int.from_bytes(view[header + 3 : header + 6], "big")
                if size > MAX_MESSAGE_BYTES:
                    raise RemoteProtocolError(
                        Code.PROTOCOL_RTMP_LARGE_MESSAGE, size_bytes=size, max_bytes=MAX_MESSAGE_BYTES
                    )

        chunk_size = self.chunk_size
        if gathered is not None:
            following = body + min(size - len(gathered), chunk_size)
            if following > end:
                return start
            gathered += view[body:following]
        else:
            following = body + min(size, chunk_size)
            if following > end:
                return start
            if self.left_chunks and size > chunk_size and chunk_stream_id < 64:
                continuation = bytes((0xC0 | chunk_stream_id,)) + extended
                if self.is_left(view, body, end, size, continuation):
                    return start
            if header_type == 0:
                stream.stamp_ms = field
                stream.message_stream_id = int.from_bytes(view[header + 7 : header + 11], "little")
            else:
                stream.stamp_ms = (stream.stamp_ms + field) & _WRAP_MASK
            if header_type < 2:
                stream.type_id = view[header + 6]
            # After a type 0 the stamp itself is the delta a type 3 repeats (5.3.1.2.4); ffmpeg and SRS do the same.
            stream.delta_ms = field
            stream.size = size
            stream.extended = extended
            if size <= chunk_size:
                self._finish(stream, view[body:following], out)
                return following
            self.pending_bytes += size
            if self.pending_bytes > MAX_PENDING_BYTES:
                raise RemoteProtocolError(Code.PROTOCOL_RTMP_MANY_LARGE)
            stream.gathered = gathered = bytearray(view[body:following])

        # The chunks that follow on are mostly of the same message: with chunks of 128 bytes this matters.
        if chunk_stream_id < 64 and not extended:
            basic_header = 0xC0 | chunk_stream_id
            missing = size - len(gathered)
            while missing > 0 and following < end and view[following] == basic_header:
                body = following + 1
                take = missing if missing < chunk_size else chunk_size
                if body + take > end:
                    break
                following = body + take
                gathered += view[body:following]
                missing -= take
        if len(gathered) == size:
            stream.gathered = None
            self.pending_bytes -= size
            self._finish(stream, memoryview(gathered), out)
        return following

    def is_left(self, view: memoryview, body: int, end: int, size: int, continuation: bytes) -> bool:
        """Whether a message of several chunks is left: it ends after ``end``, and up to there its chunks are together.

        ``body``: where the payload of the first begins; ``continuation``: what lies before that of the others.
        """
        step = self.chunk_size + len(continuation)
        if body + size + (size - 1) // self.chunk_size * len(continuation) <= end:
            return False
        at = body + self.chunk_size
        if (end - at) // step >= self.left_chunks:
            return False
        while at < end:
            if view[at : at + len(continuation)] != continuation[: end - at]:
                return False
            at += step
        return True

    def _open(self, chunk_stream_id: int, header_type: int) -> ChunkStream:
        # librtmp begins the control chunk stream with a type 1 header (its Set Buffer Length), which can be read
        # as one on top of stamp 0 and message stream 0, the only values control messages have.
        if header_type != 0 and not (header_type == 1 and chunk_stream_id == CONTROL_CHUNK_STREAM):
            raise RemoteProtocolError(Code.PROTOCOL_RTMP_NO_HEADER, chunk_stream_id=chunk_stream_id)
        if len(self.streams) >= MAX_CHUNK_STREAMS:
            raise RemoteProtocolError(Code.PROTOCOL_RTMP_MANY_STREAMS, count=MAX_CHUNK_STREAMS)
        stream = self.streams[chunk_stream_id] = ChunkStream()
        return stream

    def _finish(self, stream: ChunkStream, payload: memoryview, out: list[Message]) -> None:
        if stream.type_id > _ABORT:
            out.append((stream.type_id, stream.stamp_ms, stream.message_stream_id, payload))
        else:
            self._control(stream.type_id, payload)

    def _control(self, type_id: int, payload: memoryview) -> None:
        """Set Chunk Size (5.4.1) and Abort (5.4.2). Type 0 has no meaning and is ignored."""
        if type_id == 0:
            return
        if len(payload) < 4:
            raise RemoteProtocolError(Code.PROTOCOL_RTMP_SHORT_CONTROL)
        value: int = _read_word(payload)[0]
        if type_id == _SET_CHUNK_SIZE:
            if not 1 <= value <= 0x7FFFFFFF:
                raise RemoteProtocolError(Code.PROTOCOL_RTMP_CHUNK_SIZE, size_bytes=value)
            self.chunk_size = value
            return
        stream = self.streams.get(value)
        if stream is not None and stream.gathered is not None:
            self.pending_bytes -= stream.size
            stream.gathered = None


def swap_bytes(word: int) -> int:
    """The other byte order of a word."""
    return int.from_bytes(_pack_word(word), "little")


def continuation(chunk_stream_id: int, stamp_ms: int) -> bytes:
    """Header of each further chunk of a message that began with a type 0 header and this stamp, 32 bits at most."""
    head = bytes((0xC0 | chunk_stream_id,))
    return head if stamp_ms < EXTENDED else head + _pack_word(stamp_ms)


def append_message(
    out: "list[bytes | memoryview]",
    chunk_stream_id: int,
    type_id: int,
    stamp_ms: int,
    message_stream_id: int,
    body: "bytes | memoryview",
    chunk_size: int,
) -> None:
    """Append a message cut into chunks, ready for a gathered write: headers, and ``body`` itself or views of it.

    ``chunk_stream_id`` is 2 to 63, ``chunk_size`` what was last announced to the peer; the stamp is taken modulo 2^32.
    The header is always of type 0, with the absolute stamp: 4 to 8 bytes more than a delta, no state, and a reader
    that lost count is right again.
    """
    size = len(body)
    stream_word = message_stream_id << 24 if message_stream_id < 256 else swap_bytes(message_stream_id)
    if not 0 <= stamp_ms < EXTENDED:
        stamp_ms &= _WRAP_MASK
    if stamp_ms < EXTENDED:
        out.append(_pack_header(chunk_stream_id << 24 | stamp_ms, size << 8 | type_id, stream_word))
    else:
        first = chunk_stream_id << 24 | EXTENDED
        out.append(_pack_extended_header(first, size << 8 | type_id, stream_word, stamp_ms))
    if size <= chunk_size:
        out.append(body)
    else:
        append_chunks(out, chunk_stream_id, stamp_ms, body, chunk_size)


def append_chunks(
    out: "list[bytes | memoryview]", chunk_stream_id: int, stamp_ms: int, body: "bytes | memoryview", chunk_size: int
) -> None:
    """Append what follows the type 0 header of a message: views of a body that is longer than a chunk.

    See ``append_message``; the stamp is one of 32 bits.
    """
    head, view = continuation(chunk_stream_id, stamp_ms), memoryview(body)
    out.append(view[:chunk_size])
    for position in range(chunk_size, len(view), chunk_size):
        out.append(head)
        out.append(view[position : position + chunk_size])
