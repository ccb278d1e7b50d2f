"""The client side of an RTMP session: connect, then publish one stream or play one stream.

Theory of operation. The session is fed bytes and asked for bytes; it never waits. Its stages:

    stage        leaves on                                    having sent
    CONNECTING   _result of connect                           handshake, connect
    CREATING     _result of createStream                      publish: Set Chunk Size, releaseStream, FCPublish
                                                              play: Window Ack Size; both: createStream
    STARTING     onStatus Publish.Start or Play.Start         publish, or play and Set Buffer Length
    RUNNING      end of the stream, a refusal                 media
    OVER         never

releaseStream and FCPublish are optional and servers answer, refuse or ignore them: their answers are not checked.
A server that sends media without Play.Start counts as having accepted.

Specification: Adobe RTMP 1.0, section 7.2; Enhanced RTMP v2, "Enhancing NetConnection connect Command".
"""

from collections.abc import Iterable
from enum import Enum, auto

from streamferry.media.errors import RemoteProtocolError
from streamferry.media.peer_options import NO_OPTIONS, PeerOptions
from streamferry.media.stamps import SessionClock
from streamferry.media.tag import AUDIO, METADATA, START, VIDEO, LaidTag, Tag
from streamferry.media.url import MediaUrl
from streamferry.reasons import Code
from streamferry.wire.amf0 import Amf0Value
from streamferry.wire.rtmp.auth import is_challenge, login_answer
from streamferry.wire.rtmp.chunk import append_message
from streamferry.wire.rtmp.connect import connect_fields
from streamferry.wire.rtmp.framed import Framed
from streamferry.wire.rtmp.handshake import client_answer, client_hello
from streamferry.wire.rtmp.message import (
    CHUNK_STREAM_OF_TAG,
    ChunkStreamId,
    Command,
    MessageType,
    UserControl,
    as_number,
    as_set_data_frame,
    bounded_early,
    codecs_of,
    parse_command,
    parse_status,
    serialize_set_buffer_length,
    tags_of_message,
)
from streamferry.wire.rtmp.peer import WINDOW_ACK_BYTES, Peer
from streamferry.wire.rtmp.place import Place, redirect_of
from streamferry.wire.rtmp.session_events import (
    AuthenticationRequired,
    ClientEvent,
    PlayAccepted,
    PublishAccepted,
    Redirected,
    Rejected,
    StreamEnded,
)
from streamferry.wire.rtmp.shown import secrets_of, shown

# Of a message that comes: 1 MiB with the chunks of nginx-rtmp, 32 KiB with the smallest in use.
_LEFT_CHUNKS = 256
# Transaction ids of the calls whose answers matter.
_CONNECT, _CREATE_STREAM, _START = 1, 4, 5
# "Live, or recorded if there is none", which ActionScript players write as -2 seconds in ms.
_PLAY_LIVE_OR_RECORDED = -2000
_BUFFER_LENGTH_MS = 3000
#: Messages without media at a time: each may cost an answer, 20 us, and all streams of a process wait for that.
# Servers send some a second, captions included.
MAX_TALK = 2_000

# Enhanced RTMP v2, "Reconnect Request": a server that leaves says where to go on.
_RECONNECT = "NetConnection.Connect.ReconnectRequest"
_ENDINGS = frozenset(
    (
        "NetConnection.Connect.Closed",
        "NetStream.Play.Complete",
        "NetStream.Play.Stop",
        "NetStream.Play.UnpublishNotify",
        "NetStream.Unpublish.Success",
    )
)


class Purpose(Enum):
    """What a client connects for."""

    PUBLISH = auto()
    PLAY = auto()


class _Stage(Enum):
    CONNECTING = auto()
    CREATING = auto()
    STARTING = auto()
    RUNNING = auto()
    OVER = auto()


class ClientSession(Peer):
    """One connection to a server, for one stream.

    ``random`` is a seed of any length for the handshake and for authentication; ``auth`` comes from
    AuthenticationRequired of a session before, ``place`` from a redirect; ``options`` has parameters of
    connect. Some servers want ``connect`` otherwise:
    without the list of codecs, or not from an encoder of Flash's kind. Raises ValueError if ``url`` has no application
    or key.
    """

    def __init__(
        self,
        url: MediaUrl,
        purpose: Purpose,
        *,
        random: bytes,
        auth: str | None = None,
        options: PeerOptions = NO_OPTIONS,
        place: Place | None = None,
        lists_codecs: bool = True,
        is_encoder: bool = True,
        out_chunk_size: int = 65536,
    ) -> None:
        super().__init__(out_chunk_size, 0)
        if purpose is Purpose.PLAY:
            self.reader.left_chunks = _LEFT_CHUNKS
        self._url = url
        self._key = url.app_and_key[1]
        self._place = place or Place.of(url)
        self._purpose = purpose
        self._random = random
        self._auth = auth
        #: As they were given.
        self.options = options
        self._lists_codecs = lists_codecs
        self._is_encoder = is_encoder
        self._stage = _Stage.CONNECTING
        self._clock = SessionClock()
        self._is_playing = False
        # Media that came before anybody asked for it.
        self._early_tags: list[Tag] = []
        self._events: list[ClientEvent] = []
        #: Message stream to send media on, once accepted.
        self.message_stream_id = 0
        #: Messages without media of what came at once; who gives ``tags`` sets it to 0 before what comes next.
        self.talk = 0
        #: FourCCs that the server says it takes, in its answer to connect; empty if it lists none. "*": all.
        self.peer_codecs: frozenset[str] = frozenset()
        #: Acknowledgements that have come. What they say is not looked at: servers repeat, wrap and invent numbers.
        self.acknowledgements = 0
        #: Why the accepted stream ended, or None.
        self.ended: str | None = None
        #: Where the server asks the publisher to go on in another session; the same place, if it names none. None: it
        #: does not ask. Before it has accepted this one it may not (Enhanced RTMP v2), and is not heard.
        self.moves_to: Place | None = None
        self._unsent.append(client_hello(random))

    def receive(
        self,
        data: "bytes | memoryview",
        start: int = 0,
        tags: list[Tag] | None = None,
    ) -> list[ClientEvent]:
        """Take the next bytes from the server, ``data[start:]``, split anywhere, from the first of the connection on.

        Media of a player is appended to ``tags``, with what came to calls without them. Bodies may be views of
        ``data``; one whose end has not come is kept inside, and ``data[:start]`` is written over to put it before its
        end (``wire.leftover``). After each call send what ``data_to_send`` gives. Raises RemoteProtocolError.
        """
        if tags is None:
            tags = self._early_tags
            self.talk = 0
        elif self._early_tags:
            tags += self._early_tags
            self._early_tags.clear()
        is_playing = self._is_playing
        for type_id, stamp_ms, _, payload in self._receive_messages(data, start):
            if is_playing and (type_id == VIDEO or type_id == AUDIO):  # noqa: SIM109 (40 ns less than `in`)
                tags.append((type_id, stamp_ms, payload))
            else:
                self.talk += 1
                if self.talk > MAX_TALK:
                    raise RemoteProtocolError(Code.PROTOCOL_RTMP_MUCH_TALK, count=MAX_TALK)
                self._handle_message(type_id, stamp_ms, payload, tags)
        if tags is self._early_tags:
            self._early_tags = bounded_early(tags)
        if not self._events:
            return []
        events, self._events = self._events, []
        return events

    def send_tags(self, tags: Iterable[LaidTag]) -> "tuple[list[bytes | memoryview], list[int]]":
        """The stream's next tags as pieces for one gathered write, and for each tag how many pieces end it.

        For a publisher, after PublishAccepted. Stamps count from the first frame of the session (``SessionClock``);
        frames from before it make no pieces. Bodies are passed on as they are.
        """
        pieces: list[bytes | memoryview] = []
        ends: list[int] = []
        clock, message_stream_id, chunk_size = self._clock, self.message_stream_id, self._chunk_size_in_force
        zero_ms = clock.zero_ms
        for tag_type, dts_ms, body, kind in tags:
            stamp_ms = dts_ms - zero_ms
            if stamp_ms < 0:
                if clock.leaves_out(dts_ms, kind):
                    ends.append(len(pieces))
                    continue
                zero_ms = clock.zero_ms
                stamp_ms = 0
            if kind == METADATA:
                body = as_set_data_frame(body)
            append_message(
                pieces, CHUNK_STREAM_OF_TAG[tag_type], tag_type, stamp_ms, message_stream_id, body, chunk_size
            )
            ends.append(len(pieces))
        return pieces, ends

    @property
    def url(self) -> MediaUrl:
        """The address of the stream."""
        return self._url

    @property
    def is_connecting(self) -> bool:
        """Whether ``connect`` was asked and not answered yet."""
        return self._stage is _Stage.CONNECTING and not self._handshake

    @property
    def has_begun(self) -> bool:
        """Whether media of the published stream was sent, or where it begins was said."""
        return self._clock.has_begun

    @property
    def zero_ms(self) -> int:
        """Where on the output clock the stamps of the published stream are 0; beyond all before it has begun."""
        return self._clock.zero_ms

    def begin_at(self, dts_ms: int) -> None:
        """Let the published stream begin there, unless it has begun."""
        self._clock.leaves_out(dts_ms, START)

    def framed(self) -> Framed | None:
        """For frames that somebody else frames as ``send_tags`` would; None before the session's first frame."""
        clock = self._clock
        if not clock.has_begun:
            return None
        return Framed(clock.zero_ms, self._chunk_size_in_force, self.message_stream_id)

    def unpublish(self) -> None:
        """Queue the end of the stream, so that the server knows it was meant. Does nothing if none is published."""
        if self._stage is _Stage.RUNNING and self._purpose is Purpose.PUBLISH:
            self._stage = _Stage.OVER
            self._send_command(0, "FCUnpublish", 6, None, self._key)
            self._send_command(0, "deleteStream", 7, None, self.message_stream_id)

    def _answer_hello(self, hello: bytes) -> None:
        self._unsent.append(client_answer(hello, self._random))

    def _end_handshake(self, packet: bytes) -> None:
        fields = connect_fields(
            self._url,
            self._place,
            is_publisher=self._purpose is Purpose.PUBLISH,
            auth=self._auth or "",
            options=self.options,
            lists_codecs=self._lists_codecs,
            is_encoder=self._is_encoder,
        )
        self._send_command(0, "connect", _CONNECT, fields)

    def _handle_message(self, type_id: int, stamp_ms: int, payload: "bytes | memoryview", out: list[Tag]) -> None:
        playing = self._purpose is Purpose.PLAY
        if type_id in (VIDEO, AUDIO):
            if playing:
                if self._stage is _Stage.STARTING:
                    self._accepted(PlayAccepted())
                out.append((type_id, stamp_ms, payload))
        elif type_id in (MessageType.COMMAND, MessageType.COMMAND_AMF3):
            self._handle_command(parse_command(type_id, payload))
        elif type_id == MessageType.USER_CONTROL:
            if self._handle_user_control(payload) == UserControl.STREAM_EOF and playing:
                self._end("StreamEOF")
        elif type_id == MessageType.WINDOW_ACK_SIZE:
            self._handle_window_ack_size(payload)
        elif type_id == MessageType.ACKNOWLEDGEMENT:
            self.acknowledgements += 1
        elif type_id == MessageType.GO_AWAY:
            self._ask_to_move("")
        elif playing:
            status = parse_status(type_id, payload)
            if status:
                self._handle_status(status)
            else:
                out += tags_of_message(type_id, stamp_ms, payload)

    def _handle_command(self, command: Command) -> None:
        name, transaction_id = command.name, command.transaction_id
        if name == "_result" and self._stage is _Stage.CONNECTING and transaction_id == _CONNECT:
            self._create_stream(command)
        elif name == "_result" and self._stage is _Stage.CREATING and transaction_id == _CREATE_STREAM:
            self._start(command)
        elif name == "_error" and transaction_id in (_CONNECT, _CREATE_STREAM, _START):
            self._refused(command.information)
        elif name == "onStatus":
            self._handle_status(command.information)
        elif name == "close":
            self._end("close")

    def _create_stream(self, connected: Command) -> None:
        self._stage = _Stage.CREATING
        self.peer_codecs = codecs_of(connected)
        if self._purpose is Purpose.PUBLISH:
            self._send_chunk_size()
            self._send_command(0, "releaseStream", 2, None, self._key)
            self._send_command(0, "FCPublish", 3, None, self._key)
        self._send_control(MessageType.WINDOW_ACK_SIZE, WINDOW_ACK_BYTES)
        self._send_command(0, "createStream", _CREATE_STREAM, None)

    def _start(self, created: Command) -> None:
        stream_id = as_number(created.value(1))
        if stream_id is None or not 0 <= stream_id <= 0xFFFFFFFF:
            raise RemoteProtocolError(Code.PROTOCOL_RTMP_NO_STREAM_ID)
        self.message_stream_id = int(stream_id)
        self._stage = _Stage.STARTING
        if self._purpose is Purpose.PUBLISH:
            self._send_command(self.message_stream_id, "publish", _START, None, self._key, "live")
            return
        self._send_command(self.message_stream_id, "play", _START, None, self._key, _PLAY_LIVE_OR_RECORDED)
        length = serialize_set_buffer_length(self.message_stream_id, _BUFFER_LENGTH_MS)
        self._send(ChunkStreamId.CONTROL, MessageType.USER_CONTROL, 0, length)

    def _handle_status(self, status: dict[str, Amf0Value]) -> None:
        code = status.get("code")
        failed = status.get("level") == "error"
        if code == _RECONNECT:
            place = status.get("tcUrl")
            self._ask_to_move(place if isinstance(place, str) else "")
        elif self._stage is _Stage.RUNNING:
            if failed or code in _ENDINGS:
                self._end(self._shown(code))
        elif failed:
            self._refused(status)
        elif self._stage is _Stage.STARTING:
            if self._purpose is Purpose.PUBLISH and code == "NetStream.Publish.Start":
                self._accepted(PublishAccepted())
            elif self._purpose is Purpose.PLAY and code == "NetStream.Play.Start":
                self._accepted(PlayAccepted())

    def _ask_to_move(self, place: str) -> None:
        if self._stage is _Stage.RUNNING and self._purpose is Purpose.PUBLISH:
            self.moves_to = self._place.follow(place, self._key) or self._place

    def _accepted(self, event: ClientEvent) -> None:
        self._stage = _Stage.RUNNING
        self._is_playing = self._purpose is Purpose.PLAY
        self._events.append(event)

    def _end(self, reason: str) -> None:
        if self._stage is _Stage.RUNNING:
            self._stage = _Stage.OVER
            self.ended = reason
            self._events.append(StreamEnded(reason))

    def _refused(self, status: dict[str, Amf0Value]) -> None:
        stage = self._stage
        if stage in (_Stage.RUNNING, _Stage.OVER):
            return
        self._stage = _Stage.OVER
        description = status.get("description")
        wants_login = isinstance(description, str) and is_challenge(description)
        if stage is _Stage.CONNECTING and (redirect := redirect_of(status)) is not None:
            self._events.append(Redirected(redirect))
        elif wants_login and (answer := self._login(str(description))) is not None:
            self._events.append(AuthenticationRequired(answer))
        else:
            code = self._shown(status.get("code"))
            self._events.append(Rejected(code, self._shown(description), wants_login))

    def _login(self, challenge: str) -> str | None:
        return login_answer(challenge, self._url, self._place.app, given=self._auth or "", random=self._random)

    def _shown(self, text: Amf0Value) -> str:
        """Text of the server as it may be shown: on one line, not endless, without the secrets it may repeat."""
        more = self.options.secrets
        return shown(text, secrets_of(self._url, self._key, self._auth or "", self._place.app, more))
