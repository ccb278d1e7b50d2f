"""Frames that are messages of a publish session already: framed while they were laid, to be sent as they are.

Made by ``ClientSession``, filled by ``relay.fast_path``, sent by ``push``. Each is one message whose first chunk is of
type 0: what ``ClientSession.send_tags`` makes of the same frame.
"""

from streamferry.media.stamps import signed_delta_ms
from streamferry.media.tag import FRAME, KEYFRAME, START, VIDEO, LaidTag, kind_of_video
from streamferry.wire.rtmp.chunk import EXTENDED, append_message, swap_bytes
from streamferry.wire.rtmp.message import CHUNK_STREAM_OF_TAG


class Framed:
    """Frames that follow one another, for one session."""

    __slots__ = ("chunk_size", "count", "last_ms", "pieces", "sound", "stream_word", "zero_ms")

    def __init__(self, zero_ms: int, chunk_size: int, message_stream_id: int) -> None:
        #: Where the stamps of the session are 0, on the output clock, and how much of a body is one chunk.
        self.zero_ms = zero_ms
        self.chunk_size = chunk_size
        #: The message stream id as the last word of a header, where it is little-endian.
        self.stream_word = int.from_bytes(message_stream_id.to_bytes(4, "little"), "big")
        #: Their bytes, cut anywhere, as views of the beat's buffer, or bytes. Cleared once they are sent or queued.
        self.pieces: list[bytes | memoryview] = []
        #: How many there are.
        self.count = 0
        #: DTS of the last of them on the output clock, and the mark of all sound in it.
        self.last_ms = 0
        self.sound = FRAME

    def frame(self, tags: list[LaidTag]) -> bytes:
        """These frames as messages of its session; empty if one is from before it."""
        pieces: list[bytes | memoryview] = []
        zero_ms, chunk_size, message_stream_id = self.zero_ms, self.chunk_size, swap_bytes(self.stream_word)
        for tag_type, dts_ms, body, _ in tags:
            if dts_ms < zero_ms:
                return b""
            chunk_stream_id = CHUNK_STREAM_OF_TAG[tag_type]
            append_message(pieces, chunk_stream_id, tag_type, dts_ms - zero_ms, message_stream_id, body, chunk_size)
        return b"".join(pieces)

    def messages(self) -> "list[bytes | memoryview]":
        """One for each, when not all were taken."""
        data, at = memoryview(b"".join(self.pieces)), 0
        messages: list[bytes | memoryview] = []
        while at < len(data):
            header_bytes, size = 12, int.from_bytes(data[at + 4 : at + 7], "big")
            further_bytes = (size - 1) // self.chunk_size
            if int.from_bytes(data[at + 1 : at + 4], "big") == EXTENDED:
                header_bytes, further_bytes = 16, 5 * further_bytes
            end = at + header_bytes + size + further_bytes
            messages.append(data[at:end])
            at = end
        return messages

    def tags(self) -> list[LaidTag]:
        """The tags that they are made of, when they have to wait."""
        tags: list[LaidTag] = []
        for message in self.messages():
            stamp_ms, body, head_bytes = int.from_bytes(message[1:4], "big"), message[12:], 1
            if stamp_ms == EXTENDED:
                stamp_ms, body, head_bytes = int.from_bytes(message[12:16], "big"), message[16:], 5
            if len(body) > self.chunk_size:
                step = self.chunk_size + head_bytes
                body = b"".join(body[at : at + self.chunk_size] for at in range(0, len(body), step))
            # Stamps are modulo 2^32, and no frame is half of that away from the last, before or after it.
            dts_ms = self.last_ms + signed_delta_ms(stamp_ms, self.last_ms - self.zero_ms)
            if message[7] != VIDEO:
                kind = self.sound
            else:
                kind = START if kind_of_video(body) == KEYFRAME else FRAME
            tags.append((message[7], dts_ms, body, kind))
        return tags
