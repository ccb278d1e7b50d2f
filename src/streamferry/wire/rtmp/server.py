"""The server side of an RTMP session: takes one client that publishes or plays. Not a server: no streams, no sockets.

It serves ``streamferry receive`` and the scripted peers of the tests, and speaks with ffmpeg, librtmp (OBS), SRS,
nginx-rtmp and Flash-like clients. connect, publish and play are put to the driver, which answers each in its order by
``accept`` or ``reject``; all else is answered here.

Specification: Adobe RTMP 1.0, section 7.2.
"""

from collections import deque
from typing import NamedTuple

from streamferry.media.errors import LocalProtocolError
from streamferry.media.tag import Tag
from streamferry.reasons import Code
from streamferry.wire.rtmp.chunk import append_message
from streamferry.wire.rtmp.connect import FOURCCS
from streamferry.wire.rtmp.handshake import server_hello_and_answer
from streamferry.wire.rtmp.message import (
    CHUNK_STREAM_OF_TAG,
    Command,
    MessageType,
    UserControl,
    parse_command,
    tags_of_message,
)
from streamferry.wire.rtmp.peer import WINDOW_ACK_BYTES, Peer
from streamferry.wire.rtmp.session_events import (
    ConnectRequested,
    PlayEnded,
    PlayRequested,
    PublishRequested,
    ServerEvent,
    TagsReceived,
    Unpublished,
)

# Limit type "dynamic" of Set Peer Bandwidth (5.4.5), as all servers send it.
_DYNAMIC = b"\x02"
#: Calls that only want to hear that they arrived.
_COURTESIES = frozenset(("releaseStream", "FCPublish", "FCUnpublish", "FCSubscribe", "getStreamLength", "_checkbw"))


class _Request(NamedTuple):
    name: str
    transaction_id: float
    message_stream_id: int


class ServerSession(Peer):
    """One connection from a client. ``random`` is a seed of any length for the handshake."""

    def __init__(self, *, random: bytes, out_chunk_size: int = 65536) -> None:
        super().__init__(out_chunk_size, WINDOW_ACK_BYTES)
        self._random = random
        self._requests: deque[_Request] = deque()
        self._app = ""
        self._streams_created = 0
        self._publishing_on: int | None = None
        self._playing_on: int | None = None
        self._events: list[ServerEvent] = []
        self._tags: list[Tag] = []

    def receive(self, data: bytes) -> list[ServerEvent]:
        """Take bytes from the client, split anywhere, from the first of the connection on.

        Raises RemoteProtocolError.
        """
        for type_id, stamp_ms, message_stream_id, payload in self._receive_messages(data):
            if type_id == MessageType.COMMAND or type_id == MessageType.COMMAND_AMF3:
                self._handle_command(parse_command(type_id, payload), message_stream_id)
            elif type_id == MessageType.USER_CONTROL:
                self._handle_user_control(payload)
            elif type_id == MessageType.WINDOW_ACK_SIZE:
                self._handle_window_ack_size(payload)
            elif self._publishing_on is not None:
                self._tags += tags_of_message(type_id, stamp_ms, payload)
        self._flush_tags()
        events, self._events = self._events, []
        return events

    def accept(self) -> None:
        """Grant the oldest request that is not answered. Raises LocalProtocolError if there is none."""
        name, transaction_id, message_stream_id = self._next_request()
        if name == "connect":
            self._send_control(MessageType.WINDOW_ACK_SIZE, WINDOW_ACK_BYTES)
            self._send_control(MessageType.SET_PEER_BANDWIDTH, WINDOW_ACK_BYTES, _DYNAMIC)
            self._send_chunk_size()
            properties = {"fmsVer": "FMS/3,0,1,123", "capabilities": 31, "fourCcList": list(FOURCCS)}
            status = _status("status", "NetConnection.Connect.Success", "Connection succeeded.")
            self._send_command(0, "_result", transaction_id, properties, status | {"objectEncoding": 0})
            return
        # To the request's own stream, which the client may have closed by now.
        self._send_user_control(UserControl.STREAM_BEGIN, message_stream_id)
        if name == "publish":
            self._send_status(message_stream_id, "status", "NetStream.Publish.Start", "Publishing.")
        else:
            self._send_status(message_stream_id, "status", "NetStream.Play.Reset", "Playing and resetting.")
            self._send_status(message_stream_id, "status", "NetStream.Play.Start", "Playing.")

    def reject(self, code: str, description: str) -> None:
        """Refuse the oldest request that is not answered. Raises LocalProtocolError if there is none."""
        name, transaction_id, message_stream_id = self._next_request()
        if name == "connect":
            self._send_command(0, "_error", transaction_id, None, _status("error", code, description))
            return
        if name == "publish":
            self._publishing_on = None
        else:
            self._playing_on = None
        self._send_status(message_stream_id, "error", code, description)

    def send_status(self, level: str, code: str, description: str) -> None:
        """Tell the publisher or player something about its stream; level ``error`` ends it."""
        message_stream_id = self._publishing_on if self._publishing_on is not None else self._playing_on
        if message_stream_id is None:
            raise LocalProtocolError(Code.PROTOCOL_RTMP_NO_STREAM)
        self._send_status(message_stream_id, level, code, description)

    def append_tag(self, tag_type: int, stamp_ms: int, body: "bytes | memoryview") -> None:
        """Queue a tag for the player. The body must stay as it is until ``data_to_send``."""
        if self._playing_on is None:
            raise LocalProtocolError(Code.PROTOCOL_RTMP_NO_PLAYER)
        chunk_stream_id = CHUNK_STREAM_OF_TAG[tag_type]
        size = self._chunk_size_in_force
        append_message(self._unsent, chunk_stream_id, tag_type, stamp_ms, self._playing_on, body, size)

    def end_play(self) -> None:
        """Tell the player that the stream it plays is no longer published."""
        self.send_status("status", "NetStream.Play.UnpublishNotify", "The stream is no longer published.")
        self._send_user_control(UserControl.STREAM_EOF, self._playing_on or 0)

    def _end_handshake(self, packet: bytes) -> None:
        """The client's echo of our packet tells nothing (5.2.4)."""

    def _answer_hello(self, hello: bytes) -> None:
        self._unsent.append(server_hello_and_answer(hello, self._random))

    def _next_request(self) -> _Request:
        if not self._requests:
            raise LocalProtocolError(Code.PROTOCOL_RTMP_NOTHING_ASKED)
        return self._requests.popleft()

    def _send_status(self, message_stream_id: int, level: str, code: str, description: str) -> None:
        self._send_command(message_stream_id, "onStatus", 0, None, _status(level, code, description))

    def _flush_tags(self) -> None:
        if self._tags:
            self._events.append(TagsReceived(self._tags))
            self._tags = []

    def _handle_command(self, command: Command, message_stream_id: int) -> None:
        self._flush_tags()
        name, transaction_id = command.name, command.transaction_id
        if name == "connect":
            fields = command.fields(0)
            self._app = _text(fields.get("app"))
            self._requests.append(_Request(name, transaction_id, 0))
            self._events.append(ConnectRequested(self._app, _text(fields.get("tcUrl")), fields))
        elif name == "createStream":
            self._streams_created += 1
            self._send_command(0, "_result", transaction_id, None, self._streams_created)
        elif name == "publish":
            self._publishing_on = message_stream_id
            self._requests.append(_Request(name, transaction_id, message_stream_id))
            self._events.append(PublishRequested(self._app, command.text(1)))
        elif name == "play":
            self._playing_on = message_stream_id
            self._requests.append(_Request(name, transaction_id, message_stream_id))
            self._events.append(PlayRequested(self._app, command.text(1)))
        elif name in _COURTESIES and transaction_id:
            self._send_command(0, "_result", transaction_id, None, 0 if name == "getStreamLength" else None)
        if name in ("FCUnpublish", "deleteStream", "closeStream"):
            self._close_stream()

    def _close_stream(self) -> None:
        if self._publishing_on is not None:
            self._publishing_on = None
            self._events.append(Unpublished())
        if self._playing_on is not None:
            self._playing_on = None
            self._events.append(PlayEnded())


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _status(level: str, code: str, description: str) -> dict[str, object]:
    return {"level": level, "code": code, "description": description}
