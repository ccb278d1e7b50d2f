"""The client side of an RTMP session."""

import pytest

from streamferry.media.errors import RemoteProtocolError
from streamferry.media.tag import AUDIO, SCRIPT, SEQUENCE_HEADER, VIDEO, Tag, kind_of_video
from streamferry.media.url import MediaUrl
from streamferry.wire.amf0 import serialize_amf0
from streamferry.wire.flv import serialize_metadata, serialize_tag
from streamferry.wire.rtmp.chunk import ChunkReader, Message, append_message
from streamferry.wire.rtmp.message import MessageType, parse_command, serialize_command
from streamferry.wire.rtmp.session import (
    AuthenticationRequired,
    ClientSession,
    PlayAccepted,
    PublishAccepted,
    Purpose,
    Rejected,
    StreamEnded,
    Unpublished,
)
from unit.wire.pair import Pair

HANDSHAKE_BYTES = 1 + 2 * 1536


def message(type_id: int, payload: bytes, *, stream_id: int = 0, stamp_ms: int = 0, chunk_size: int = 1 << 20) -> bytes:
    out: list[bytes | memoryview] = []
    append_message(out, 3, type_id, stamp_ms, stream_id, payload, chunk_size)
    return b"".join(out)


def command(name: str, transaction_id: float, *values: object) -> bytes:
    return message(MessageType.COMMAND, serialize_command(name, transaction_id, *values), chunk_size=128)


def on_status(level: str, code: str) -> bytes:
    return command("onStatus", 0, None, {"level": level, "code": code, "description": "words"})


def sent_by(session: ClientSession, reader: ChunkReader) -> list[Message]:
    data = session.data_to_send()
    messages: list[Message] = []
    assert reader.scan(memoryview(data), 0, len(data), messages) == len(data)
    return messages


def commands_of(messages: list[Message]) -> list[tuple[str, list[object]]]:
    parsed = [parse_command(type_id, payload) for type_id, _, _, payload in messages if type_id == 20]
    return [(name, values) for name, _, values in parsed]


def shaken(purpose: Purpose, **arguments: str) -> ClientSession:
    """A session after a handshake with a plain server."""
    url = MediaUrl.parse(arguments.pop("url", "rtmp://example.com/live/cam"))
    session = ClientSession(url, purpose, random=b"seed", **arguments)
    assert session.receive(b"\x03" + bytes(HANDSHAKE_BYTES - 1)) == []
    assert session.data_to_send()[HANDSHAKE_BYTES:]
    return session


def starting(purpose: Purpose, **arguments: str) -> ClientSession:
    """A session that has sent publish or play."""
    session = shaken(purpose, **arguments)
    session.receive(command("_result", 1, {}, {"code": "NetConnection.Connect.Success"}))
    session.receive(command("_result", 4, None, 1))
    session.data_to_send()
    return session


def playing() -> ClientSession:
    session = starting(Purpose.PLAY)
    assert session.receive(on_status("status", "NetStream.Play.Start")) == [PlayAccepted()]
    return session


def media_of(session: ClientSession, data: bytes) -> list[Tag]:
    tags: list[Tag] = []
    session.receive(data, tags=tags)
    return tags


def test_publish_and_unpublish() -> None:
    """The whole way through our own server side, with a clean end."""
    pair = Pair(Purpose.PUBLISH).run()
    assert pair.client_events == [PublishAccepted()]
    assert pair.client.message_stream_id == 1
    pair.client.unpublish()
    assert pair.run().server_events[-1] == Unpublished()
    pair.client.unpublish()
    assert pair.client.data_to_send() == b""


def test_the_publisher_sends_the_commands_of_an_encoder_in_its_order() -> None:
    """connect with the codecs, the large chunk size, releaseStream, FCPublish, createStream, then publish live."""
    reader = ChunkReader()
    session = ClientSession(MediaUrl.parse("rtmp://example.com/live/cam?t=1"), Purpose.PUBLISH, random=b"seed")
    session.receive(b"\x03" + bytes(HANDSHAKE_BYTES - 1))
    data = session.data_to_send()[HANDSHAKE_BYTES:]
    messages: list[Message] = []
    reader.scan(memoryview(data), 0, len(data), messages)
    [(name, [fields])] = commands_of(messages)
    assert name == "connect"
    assert (fields["app"], fields["tcUrl"]) == ("live", "rtmp://example.com/live")
    assert "hvc1" in fields["fourCcList"]
    session.receive(command("_result", 1, {}, {}))
    assert commands_of(sent_by(session, reader)) == [
        ("releaseStream", [None, "cam?t=1"]),
        ("FCPublish", [None, "cam?t=1"]),
        ("createStream", [None]),
    ]
    assert reader.chunk_size == session.out_chunk_size == 65536
    session.receive(command("_result", 4, None, 3))
    [(type_id, _, stream_id, payload)] = sent_by(session, reader)
    assert stream_id == 3
    assert parse_command(type_id, payload).values == [None, "cam?t=1", "live"]


def test_the_player_asks_for_live_or_recorded() -> None:
    """start -2000, then the buffer length."""
    session = shaken(Purpose.PLAY)
    session.receive(command("_result", 1, {}, {}) + command("_result", 4, None, 1))
    window, create, play, buffer_length = sent_by(session, ChunkReader())
    assert window[0] == MessageType.WINDOW_ACK_SIZE
    assert commands_of([create, play]) == [("createStream", [None]), ("play", [None, "cam", -2000.0])]
    assert bytes(buffer_length[3]) == bytes.fromhex("0003 00000001 00000bb8")


def test_answers_to_courtesies_are_not_looked_at() -> None:
    """A server may refuse releaseStream and FCPublish, or be silent about them."""
    session = shaken(Purpose.PUBLISH)
    session.receive(command("_result", 1, {}, {}))
    failed = {"level": "error", "code": "NetConnection.Call.Failed", "description": "no such call"}
    assert session.receive(command("_error", 2, None, failed) + command("_error", 3, None, failed)) == []
    session.receive(command("_result", 4, None, 1))
    assert session.receive(on_status("status", "NetStream.Publish.Start")) == [PublishAccepted()]


def test_each_refusal_is_told_with_its_code() -> None:
    """Of connect, of createStream, of publish by _error or onStatus, of play."""
    failed = {"level": "error", "code": "The.Code", "description": "words"}
    refusals = [
        (shaken(Purpose.PUBLISH), command("_error", 1, None, failed)),
        (starting(Purpose.PUBLISH), command("_error", 5, None, failed)),
        (starting(Purpose.PUBLISH), on_status("error", "The.Code")),
        (starting(Purpose.PLAY), on_status("error", "The.Code")),
    ]
    for session, data in refusals:
        assert session.receive(data) == [Rejected("The.Code", "words")]
        assert session.receive(data) == []


def test_a_refusal_does_not_repeat_the_key() -> None:
    """Servers put the stream name into their words; it is cut out, with the query, and control characters too."""
    session = starting(Purpose.PUBLISH, url="rtmp://user:pass%20word@example.com/live/s3cr3t?token=t0k3n%2F")
    words = "stream live/s3cr3t?token=t0k3n%2F busy\r\n(s3cr3t t0k3n%2F t0k3n/ pass%20word pass word)" + "x" * 1000
    [rejected] = session.receive(command("onStatus", 0, None, {"level": "error", "code": "C", "description": words}))
    assert isinstance(rejected, Rejected)
    assert rejected.description.startswith("stream live/*** busy  (*** *** *** *** ***)xxx")
    assert len(rejected.description) == 300


def test_the_end_of_a_publish_by_the_server_is_told_once() -> None:
    """An error status after the start, whatever follows it."""
    session = starting(Purpose.PUBLISH)
    session.receive(on_status("status", "NetStream.Publish.Start"))
    ended = on_status("error", "NetStream.Publish.BadName")
    assert session.receive(ended + ended) == [StreamEnded("NetStream.Publish.BadName")]
    assert session.ended == "NetStream.Publish.BadName"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (on_status("status", "NetStream.Play.UnpublishNotify"), "NetStream.Play.UnpublishNotify"),
        (on_status("status", "NetStream.Play.Stop"), "NetStream.Play.Stop"),
        (on_status("error", "NetStream.Play.Failed"), "NetStream.Play.Failed"),
        (message(18, serialize_amf0("onPlayStatus", {"code": "NetStream.Play.Complete"})), "NetStream.Play.Complete"),
        (message(4, bytes.fromhex("0001 00000001")), "StreamEOF"),
        (command("close", 0, None), "close"),
    ],
)
def test_the_end_of_a_play_is_told(data: bytes, reason: str) -> None:
    """Each way a server says it."""
    session = playing()
    session.receive(message(1, (1 << 20).to_bytes(4, "big")))
    assert media_of(session, data) == []
    assert session.ended == reason
    session = playing()
    assert session.receive(message(1, (1 << 20).to_bytes(4, "big")) + data) == [StreamEnded(reason)]


def test_what_is_not_an_end_goes_on() -> None:
    """Reset, publish notify, data start, buffer events, unknown commands and messages."""
    session = playing()
    for data in (
        on_status("status", "NetStream.Play.Reset"),
        on_status("status", "NetStream.Play.PublishNotify"),
        message(18, serialize_amf0("onStatus", {"code": "NetStream.Data.Start"})),
        message(4, bytes.fromhex("001f 00000001")),
        command("onBWDone", 0, None),
        message(19, b"shared object"),
    ):
        assert media_of(session, data) == []
    assert session.ended is None


def test_media_without_play_start_counts_as_accepted() -> None:
    """Some servers send media at once; none of it is lost."""
    session = starting(Purpose.PLAY)
    assert session.receive(message(VIDEO, b"v", stream_id=1, stamp_ms=5)) == [PlayAccepted()]
    assert media_of(session, b"") == [(VIDEO, 5, b"v")]


@pytest.mark.parametrize(("header_bytes", "is_kept"), [(100, True), (300_000, False)])
def test_media_before_the_acceptance_was_kept_without_a_bound(header_bytes: int, is_kept: bool) -> None:
    """A server that plays before it answers, for as long as an opening may last."""
    session = shaken(Purpose.PLAY)
    session.receive(message(MessageType.SET_CHUNK_SIZE, (1 << 20).to_bytes(4, "big")))
    for number in range(32):
        session.receive(message(VIDEO, b"\x17\0\0\0\0" + bytes(header_bytes), stamp_ms=number))
        session.receive(message(VIDEO, b"\x17\1\0\0\0" + bytes(1_000_000), stamp_ms=number))
    tags = media_of(session, b"")
    assert sum(len(body) for _, _, body in tags) <= 9 << 20
    headers = [tag for tag in tags if kind_of_video(tag[2]) == SEQUENCE_HEADER]
    assert (len(headers) == 32) == is_kept


def test_a_call_with_an_argument_of_amf3_ended_the_session() -> None:
    """One that is of no interest: what can be read of it is, and the stream goes on."""
    session = playing()
    body = serialize_command("onBWDone", 0, None) + b"\x11\x09\x01"
    session.receive(message(MessageType.COMMAND, body) + message(MessageType.COMMAND, body[:-6] + b"\x07\0"))
    assert media_of(session, message(VIDEO, b"v", stream_id=1, stamp_ms=5)) == [(VIDEO, 5, b"v")]
    assert session.ended is None
    assert parse_command(MessageType.COMMAND, body) == ("onBWDone", 0.0, [None])
    with pytest.raises(RemoteProtocolError):
        parse_command(MessageType.COMMAND, b"\x11\x09\x01")


def test_no_byte_is_lost_between_the_acceptance_and_the_media() -> None:
    """Tags that came with Play.Start come with the first that are asked for, the chunk that was cut is put together."""
    media = b"".join(message(AUDIO, b"abcd", stream_id=1, stamp_ms=stamp_ms) for stamp_ms in range(5))
    for cut in range(len(media) + 1):
        session = starting(Purpose.PLAY)
        assert session.receive(on_status("status", "NetStream.Play.Start") + media[:cut]) == [PlayAccepted()]
        assert [stamp_ms for _, stamp_ms, _ in media_of(session, media[cut:])] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("room", [0, 3, 64])
def test_what_is_left_over_goes_before_the_next_bytes(room: int) -> None:
    """Into the room of the caller's buffer where that is enough, elsewhere where not: the same tags for every cut."""
    session = playing()
    media = b"".join(message(AUDIO, bytes(20), stream_id=1, stamp_ms=stamp_ms) for stamp_ms in range(3))
    for cut in range(len(media) + 1):
        stamps: list[int] = []
        for piece in (media[:cut], media[cut:]):
            buffer = bytearray(room) + piece
            tags: list[Tag] = []
            session.receive(memoryview(buffer), room, tags)
            assert all(bytes(body) == bytes(20) for _, _, body in tags)
            stamps += [stamp_ms for _, stamp_ms, _ in tags]
            buffer[room:] = b"\xff" * len(piece)
        assert stamps == [0, 1, 2]


def test_media_of_every_kind_becomes_tags() -> None:
    """Audio, video, metadata and aggregates; a message that is cut comes when it is whole."""
    session = playing()
    metadata = serialize_metadata({"a": 1})
    whole = (
        message(AUDIO, b"a", stamp_ms=0xFFFFFFFF)
        + message(18, metadata)
        + message(22, serialize_tag(VIDEO, 7, b"v") + serialize_tag(AUDIO, 9, b"w"), stamp_ms=100)
    )
    later = message(VIDEO, b"later")
    expected = [(AUDIO, 0xFFFFFFFF, b"a"), (SCRIPT, 0, metadata), (VIDEO, 100, b"v"), (AUDIO, 102, b"w")]
    assert media_of(session, whole + later[:-1]) == expected
    assert media_of(session, later[-1:]) == [(VIDEO, 0, b"later")]


def test_a_ping_is_answered() -> None:
    """With its time stamp, whether media is asked for or not."""
    session = playing()
    ping = message(4, bytes.fromhex("0006 01020304"))
    for take in (session.receive, lambda data: media_of(session, data)):
        take(ping)
        [(type_id, _, _, payload)] = sent_by(session, ChunkReader())
        assert (type_id, bytes(payload)) == (4, bytes.fromhex("0007 01020304"))


def acknowledged(session: ClientSession) -> int:
    [(type_id, _, _, payload)] = sent_by(session, ChunkReader())
    assert type_id == MessageType.ACKNOWLEDGEMENT
    return int.from_bytes(payload, "big")


def test_a_flood_of_pings_is_not_answered() -> None:
    """All streams of a process wait for it: what no server sends at once ends the session, in words."""
    ping = message(4, bytes.fromhex("0006 01020304"))
    pair = Pair(Purpose.PLAY).run()
    pair.client.receive(ping * 2_000)
    assert len(pair.client.data_to_send()) == 2_000 * len(ping)
    with pytest.raises(RemoteProtocolError, match="more than 2000 RTMP messages without media"):
        pair.client.receive(ping * 60_000)


def test_a_flood_of_pings_is_one_in_however_many_pieces_it_is_read() -> None:
    """A player reads what came at once in stretches, and sets the count to 0 only before what comes next."""
    ping = message(4, bytes.fromhex("0006 01020304"))
    client, tags = Pair(Purpose.PLAY).run().client, list[Tag]()
    for _ in range(3):
        client.talk = 0
        client.receive(ping * 2_000, 0, tags)
    client.talk = 0
    client.receive(ping * 1_500, 0, tags)
    with pytest.raises(RemoteProtocolError, match="more than 2000 RTMP messages without media"):
        client.receive(ping * 1_500, 0, tags)


@pytest.mark.parametrize(
    "numbers",
    [
        pytest.param([131_325] * 5, id="the same each time (D-18)"),
        pytest.param([9_000, 6_000, 0], id="falling"),
        pytest.param([0xEFFFFF00, 0xF0000000, 0x100], id="wrapping at 0xF0000000"),
        pytest.param([0xFFFFFFFF, 1 << 31, 7], id="more than was sent"),
    ],
)
def test_whatever_a_server_acknowledges_the_publish_goes_on(numbers: list[int]) -> None:
    """They are counted as a sign of life; what they say moves nothing and ends nothing."""
    session = shaken(Purpose.PUBLISH)
    before = session.acknowledgements
    for number in numbers:
        assert session.receive(message(MessageType.ACKNOWLEDGEMENT, number.to_bytes(4, "big"))) == []
    assert session.acknowledgements == before + len(numbers)
    assert session.ended is None
    assert session.data_to_send() == b""


def test_received_bytes_are_acknowledged_once_the_server_asks() -> None:
    """At half the window at the latest, with the bytes received so far."""
    session = playing()
    media = message(AUDIO, bytes(100))
    media_of(session, media * 20)
    assert session.data_to_send() == b""
    media_of(session, message(5, (1000).to_bytes(4, "big")) + media)
    media_of(session, media)
    first = acknowledged(session)
    media_of(session, media * 4)
    assert session.data_to_send() == b""
    media_of(session, media)
    assert acknowledged(session) - first == 5 * len(media)


def test_media_sent_to_a_publisher_is_ignored() -> None:
    """It has no meaning there and does not pile up."""
    session = starting(Purpose.PUBLISH)
    assert session.receive(message(VIDEO, b"v")) == []
    assert media_of(session, b"") == []


def test_a_server_that_speaks_something_else_is_known_by_its_first_byte() -> None:
    """An HTTP server's short answer is not waited out."""
    session = ClientSession(MediaUrl.parse("rtmp://example.com/live/cam"), Purpose.PUBLISH, random=b"seed")
    with pytest.raises(RemoteProtocolError, match="does not speak RTMP"):
        session.receive(b"HTTP/1.1 400 Bad Request\r\n")


@pytest.mark.parametrize("stream_id", [None, "one", "-1", "1e3", "٣", "9" * 400, -1, float("nan"), 1e20])
def test_an_answer_to_create_stream_without_an_id_is_refused(stream_id: object) -> None:
    """There is nothing to publish on."""
    session = shaken(Purpose.PUBLISH)
    session.receive(command("_result", 1, {}, {}))
    with pytest.raises(RemoteProtocolError, match="createStream"):
        session.receive(command("_result", 4, None, stream_id))


def test_an_address_without_a_key_is_refused_at_once() -> None:
    """Before any byte is sent."""
    with pytest.raises(ValueError, match="stream key"):
        ClientSession(MediaUrl.parse("rtmp://example.com/live"), Purpose.PUBLISH, random=b"seed")


CHALLENGES = (
    "[ AccessManager.Reject ] : [ code=403 need auth; authmod=adobe ] : ",
    "[ AccessManager.Reject ] : [ authmod=adobe ] : ?reason=needauth&user=me&salt=s&challenge=c&opaque=o",
)


def challenged(challenge: str, auth: str | None, url: str = "rtmp://me:p%40ss@example.com/live/cam") -> Pair:
    pair = Pair(Purpose.PUBLISH, url=url, auth=auth, accepts=False).run()
    pair.server.reject("NetConnection.Connect.Rejected", challenge)
    return pair.run()


def test_authentication_takes_two_rounds() -> None:
    """The session says what the next one has to be given; the server sees it in app and tcUrl."""
    [first] = challenged(CHALLENGES[0], None).client_events
    assert first == AuthenticationRequired("?authmod=adobe&user=me")
    pair = challenged(CHALLENGES[1], first.auth)
    assert pair.server_events[0].app == "live?authmod=adobe&user=me"
    assert pair.server_events[0].tc_url == "rtmp://example.com/live?authmod=adobe&user=me"
    [second] = pair.client_events
    assert isinstance(second, AuthenticationRequired)
    assert "&response=" in second.auth
    assert "&opaque=o" in second.auth
    assert "me" not in repr(second)


def test_authentication_does_not_go_round_for_ever() -> None:
    """A server that asks again for what it was given has refused; so it has if credentials are missing or wrong."""
    answered = "?authmod=adobe&user=me&challenge=1&response=r&opaque=o"
    refusals = [
        challenged(CHALLENGES[0], "?authmod=adobe&user=me"),
        challenged(CHALLENGES[1], answered),
        challenged(CHALLENGES[0], answered),
        challenged(CHALLENGES[0], None, url="rtmp://example.com/live/cam"),
        challenged("[ authmod=adobe ] : ?reason=authfailed&opaque=o", answered),
    ]
    for pair in refusals:
        [event] = pair.client_events
        assert isinstance(event, Rejected)
        assert event.code == "NetConnection.Connect.Rejected"


@pytest.mark.parametrize(
    ("url", "app", "key"),
    [
        ("rtmp://h/live/key?token=a/b", "live", "key?token=a/b"),
        ("rtmp://h/app/instance/key", "app/instance", "key"),
        ("rtmp://h/live-bvc/?streamname=a&key=b", "live-bvc", "?streamname=a&key=b"),
        ("rtmp://h/live?vhost=x/key", "live?vhost=x", "key"),
        ("rtmp://h/live/ke#y", "live", "ke#y"),
        ("rtmp://h/live/ke#y?token=a", "live", "ke#y?token=a"),
        ("rtmp://h/live/key?token=a#b", "live", "key?token=a#b"),
    ],
)
def test_application_and_key_are_split_as_encoders_split_them(url: str, app: str, key: str) -> None:
    """Queries on the key, keys that are a query alone (Bilibili), queries on the application (vhost), no fragments."""
    connect, publish = Pair(Purpose.PUBLISH, url=url).run().server_events
    assert (connect.app, publish.key) == (app, key)
    assert connect.tc_url == f"rtmp://h/{app}"
