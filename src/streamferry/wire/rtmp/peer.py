"""What both ends of an RTMP session do alike: handshake bytes, chunk streams, acknowledgements, pings.

Not which commands are sent and what they mean: see ``client`` and ``server``.
Specification: Adobe RTMP 1.0, sections 5.2, 5.4 and 6.2.
"""

from streamferry.wire.leftover import put_before
from streamferry.wire.rtmp.chunk import DEFAULT_CHUNK_SIZE, ChunkReader, Message, append_message
from streamferry.wire.rtmp.handshake import HELLO_BYTES, PACKET_BYTES, check_version
from streamferry.wire.rtmp.message import (
    ChunkStreamId,
    MessageType,
    UserControl,
    parse_user_control,
    serialize_command,
    serialize_user_control,
)

#: Bytes after which the peer is to acknowledge, as librtmp and most servers announce.
WINDOW_ACK_BYTES = 2_500_000
_NEVER_BYTES = 1 << 62


class Peer:
    """Bytes in and out of one RTMP connection. Subclasses give it meaning."""

    def __init__(self, out_chunk_size: int, window_ack_bytes: int) -> None:
        #: Chunk size for sending once the session is set up.
        self.out_chunk_size = out_chunk_size
        self._chunk_size_in_force = DEFAULT_CHUNK_SIZE
        #: What reads the peer's chunks, how many bytes it has taken, and those that it has left. ``relay.fast_path``
        #: takes part.
        self.reader = ChunkReader()
        self.scanned_bytes = 0
        self.unread = b""
        # Sizes of the packets of the handshake that are awaited. Not what to do with them: bound methods would make the
        # session a cycle, and sessions that fail are many.
        self._handshake = [HELLO_BYTES, PACKET_BYTES]
        self._unsent: list[bytes | memoryview] = []
        self._acknowledged_bytes = 0
        self._set_window(window_ack_bytes)

    def data_to_send(self) -> bytes:
        """All that is to be sent and has not been given before."""
        data = b"".join(self._unsent)
        self._unsent.clear()
        return data

    def _receive_messages(self, data: "bytes | memoryview", start: int = 0) -> list[Message]:
        """Take ``data[start:]``: do the handshake, then give the messages that it completes.

        What is left over is kept, and put before the next bytes: see ``put_before`` for what ``start`` is good for.
        """
        messages: list[Message] = []
        view, start = put_before(self.unread, data if isinstance(data, memoryview) else memoryview(data), start)
        if self._handshake:
            start = self._shake_hands(view, start)
        end = start
        if not self._handshake:
            end = self.reader.scan(view, start, len(view), messages)
        self.unread = bytes(view[end:])
        self.scanned_bytes += end - start
        if self.scanned_bytes >= self.ack_due_bytes:
            self._acknowledged_bytes = self.scanned_bytes
            self._set_window(self._window_ack_bytes)
            self._send_control(MessageType.ACKNOWLEDGEMENT, self.scanned_bytes & 0xFFFFFFFF)
        return messages

    def _set_window(self, window_ack_bytes: int) -> None:
        """An acknowledgement (5.4.3) is due at each half of it, as ffmpeg does: a peer that counts its handshake bytes,
        too, never waits for us. 0: never.
        """
        self._window_ack_bytes = window_ack_bytes
        half = (window_ack_bytes + 1) // 2
        #: At how many bytes scanned the next is due.
        self.ack_due_bytes = self._acknowledged_bytes + half if half else _NEVER_BYTES

    def _shake_hands(self, view: memoryview, start: int) -> int:
        """Take the packets of the handshake that are whole; gives where they end."""
        if start < len(view) and len(self._handshake) == 2:
            check_version(view[start])
        while self._handshake and len(view) - start >= self._handshake[0]:
            size = self._handshake.pop(0)
            packet = bytes(view[start : start + size])
            start += size
            if self._handshake:
                self._answer_hello(packet)
            else:
                self._end_handshake(packet)
        return start

    def _answer_hello(self, hello: bytes) -> None:
        raise NotImplementedError

    def _end_handshake(self, packet: bytes) -> None:
        raise NotImplementedError

    def _handle_window_ack_size(self, payload: "bytes | memoryview") -> None:
        self._set_window(int.from_bytes(payload[:4], "big"))

    def _handle_user_control(self, payload: "bytes | memoryview") -> int:
        """Answer a ping; gives the event type."""
        event, argument = parse_user_control(payload)
        if event == UserControl.PING_REQUEST:
            self._send_user_control(UserControl.PING_RESPONSE, argument)
        return event

    def _send(self, chunk_stream_id: int, type_id: int, message_stream_id: int, payload: bytes) -> None:
        size = self._chunk_size_in_force
        append_message(self._unsent, chunk_stream_id, type_id, 0, message_stream_id, payload, size)

    def _send_control(self, type_id: int, value: int, more: bytes = b"") -> None:
        self._send(ChunkStreamId.CONTROL, type_id, 0, value.to_bytes(4, "big") + more)

    def _send_chunk_size(self) -> None:
        self._send_control(MessageType.SET_CHUNK_SIZE, self.out_chunk_size)
        self._chunk_size_in_force = self.out_chunk_size

    def _send_user_control(self, event: int, argument: int) -> None:
        self._send(ChunkStreamId.CONTROL, MessageType.USER_CONTROL, 0, serialize_user_control(event, argument))

    def _send_command(self, message_stream_id: int, name: str, transaction_id: float, *values: object) -> None:
        chunk_stream_id = ChunkStreamId.STREAM_COMMAND if message_stream_id else ChunkStreamId.COMMAND
        payload = serialize_command(name, transaction_id, *values)
        self._send(chunk_stream_id, MessageType.COMMAND, message_stream_id, payload)
