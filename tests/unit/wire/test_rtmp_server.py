"""The server side of an RTMP session, seen through our own client; test_captures.py has ffmpeg's."""

import pytest

from streamferry.media.errors import LocalProtocolError, RemoteProtocolError
from streamferry.media.tag import AUDIO, SCRIPT, VIDEO, Tag
from streamferry.wire.flv import serialize_metadata
from streamferry.wire.rtmp.chunk import ChunkReader, Message, append_message
from streamferry.wire.rtmp.message import parse_command, serialize_command
from streamferry.wire.rtmp.session import (
    ConnectRequested,
    PlayAccepted,
    PlayEnded,
    PlayRequested,
    PublishRequested,
    Purpose,
    Rejected,
    ServerSession,
    StreamEnded,
    TagsReceived,
    Unpublished,
)
from unit.wire.pair import Pair


def bytes_of(*tags: Tag, stream_id: int = 1, chunk_size: int = 65536) -> bytes:
    out: list[bytes | memoryview] = []
    for tag_type, stamp_ms, body in tags:
        append_message(out, 4, tag_type, stamp_ms, stream_id, body, chunk_size)
    return b"".join(out)


def call(name: str, transaction_id: float, *values: object, stream_id: int = 0) -> bytes:
    return bytes_of((20, 0, serialize_command(name, transaction_id, *values)), stream_id=stream_id, chunk_size=128)


def shaken() -> ServerSession:
    """A server session after a plain handshake."""
    session = ServerSession(random=b"seed")
    assert session.receive(b"\x03" + bytes(2 * 1536)) == []
    assert len(session.data_to_send()) == 1 + 2 * 1536
    return session


def answers_of(session: ServerSession) -> list[tuple[str, float, list[object]]]:
    data = session.data_to_send()
    messages: list[Message] = []
    ChunkReader().scan(memoryview(data), 0, len(data), messages)
    return [tuple(parse_command(type_id, payload)) for type_id, _, _, payload in messages if type_id == 20]


def test_media_of_a_publisher_comes_as_tags() -> None:
    """In order, with 32-bit stamps, metadata without its ``@setDataFrame``."""
    tags: list[Tag] = [
        (SCRIPT, 0, serialize_metadata({"a": 1})),
        (VIDEO, 0xFFFFFF, bytes(100_000)),
        (AUDIO, 0x80000000, b"a"),
        (VIDEO, 0xFFFFFFFF, b"v"),
    ]
    pair = Pair(Purpose.PUBLISH).run()
    assert pair.server.receive(bytes_of(*tags)) == [TagsReceived(tags)]


def test_tags_keep_their_place_among_the_events() -> None:
    """Media before the end of a stream comes before its event; media after it is not of the stream."""
    pair = Pair(Purpose.PUBLISH).run()
    media = bytes_of((AUDIO, 1, b"a"))
    end = bytes_of((20, 0, serialize_command("deleteStream", 7, None, 1)), stream_id=0)
    assert pair.server.receive(media + end + media) == [TagsReceived([(AUDIO, 1, b"a")]), Unpublished()]


def test_requests_name_application_and_key_but_not_in_their_repr() -> None:
    """A log of events holds no secret."""
    pair = Pair(Purpose.PUBLISH, url="rtmp://example.com/app/s3cr3t?t=1").run()
    connect, publish = pair.server_events
    assert isinstance(connect, ConnectRequested)
    assert (connect.app, connect.tc_url) == ("app", "rtmp://example.com/app")
    assert connect.values["type"] == "nonprivate"
    assert publish == PublishRequested("app", "s3cr3t?t=1")
    assert "s3cr3t" not in repr(pair.server_events)


def test_a_player_is_served() -> None:
    """Tags go to it as they are; the end is told."""
    pair = Pair(Purpose.PLAY).run()
    assert pair.server_events[1:] == [PlayRequested("live", "cam")]
    assert pair.client_events == [PlayAccepted()]
    tags: list[Tag] = [(VIDEO, 0x1000000, bytes(70_000)), (AUDIO, 5, b"a")]
    for tag in tags:
        pair.server.append_tag(*tag)
    pair.server.end_play()
    data = pair.server.data_to_send()
    received: list[Tag] = []
    pair.client.receive(data, tags=received)
    assert received == tags
    assert pair.client.ended == "NetStream.Play.UnpublishNotify"


@pytest.mark.parametrize("purpose", Purpose)
def test_each_request_can_be_rejected(purpose: Purpose) -> None:
    """connect by _error, publish and play by onStatus; the client hears the code and the words."""
    for accepted in (0, 1):
        pair = Pair(purpose, accepts=False).run()
        for _ in range(accepted):
            pair.server.accept()
            pair.run()
        pair.server.reject("Some.Code", "no")
        assert pair.run().client_events == [Rejected("Some.Code", "no")]


def test_a_publish_can_be_ended_later() -> None:
    """By a status of level error."""
    pair = Pair(Purpose.PUBLISH).run()
    pair.server.send_status("error", "NetStream.Publish.BadName", "kicked")
    assert pair.run().client_events[-1] == StreamEnded("NetStream.Publish.BadName")


def test_a_rejected_publisher_gives_no_media() -> None:
    """What it sends all the same is dropped."""
    pair = Pair(Purpose.PUBLISH, accepts=False).run()
    pair.server.accept()
    pair.run()
    pair.server.reject("NetStream.Publish.BadName", "no")
    assert pair.server.receive(bytes_of((AUDIO, 1, b"a"))) == []


def test_answering_nothing_is_our_error() -> None:
    """There must be a request, a stream, a player."""
    session = shaken()
    for act in (
        session.accept,
        lambda: session.reject("a", "b"),
        lambda: session.send_status("error", "a", "b"),
        lambda: session.append_tag(AUDIO, 0, b""),
    ):
        with pytest.raises(LocalProtocolError):
            act()


def test_courtesies_are_answered_and_unknown_calls_are_not() -> None:
    """Encoders wait for some of them; a call that is not known does no harm."""
    session = shaken()
    session.receive(call("releaseStream", 2, None, "k") + call("FCPublish", 3, None, "k") + call("whatever", 4, None))
    session.receive(call("createStream", 5, None) + call("createStream", 6, None) + call("FCUnpublish", 0, None, "k"))
    assert answers_of(session) == [
        ("_result", 2.0, [None, None]),
        ("_result", 3.0, [None, None]),
        ("_result", 5.0, [None, 1.0]),
        ("_result", 6.0, [None, 2.0]),
    ]


def test_a_client_may_not_wait_for_answers() -> None:
    """Requests that come together are answered in their order, and media before the answer is kept."""
    session = shaken()
    events = session.receive(
        call("connect", 1, {"app": "live"})
        + call("createStream", 2, None)
        + call("publish", 3, None, "k", "live", stream_id=1)
        + bytes_of((AUDIO, 1, b"a"), chunk_size=128)
    )
    assert [type(event) for event in events] == [ConnectRequested, PublishRequested, TagsReceived]
    session.accept()
    session.accept()
    with pytest.raises(LocalProtocolError):
        session.accept()


def test_a_client_that_is_gone_before_the_answer_does_no_harm() -> None:
    """publish or play and deleteStream in one read: the events say so, and answering is still allowed."""
    for name, ended in (("publish", Unpublished()), ("play", PlayEnded())):
        session = shaken()
        session.receive(call("connect", 1, {"app": "live"}))
        session.accept()
        events = session.receive(call(name, 3, None, "k", stream_id=1) + call("deleteStream", 0, None, 1))
        assert events[1:] == [ended]
        session.accept()


def test_a_player_that_leaves_is_told() -> None:
    """closeStream and deleteStream end the play, once."""
    pair = Pair(Purpose.PLAY).run()
    end = bytes_of((20, 0, serialize_command("closeStream", 0, None)), stream_id=1, chunk_size=128)
    assert pair.server.receive(end + end) == [PlayEnded()]


def test_received_bytes_are_acknowledged() -> None:
    """Publishers may count on it, with the window of librtmp by default."""
    pair = Pair(Purpose.PUBLISH).run()
    pair.server.receive(bytes_of((VIDEO, 0, bytes(1_300_000))))
    data = pair.server.data_to_send()
    messages: list[Message] = []
    ChunkReader().scan(memoryview(data), 0, len(data), messages)
    [(type_id, _, _, payload)] = messages
    assert type_id == 3
    assert int.from_bytes(payload, "big") > 1_300_000


def test_garbage_is_refused() -> None:
    """In place of the handshake and behind it."""
    with pytest.raises(RemoteProtocolError):
        ServerSession(random=b"").receive(b"GET / HTTP/1.1\r\n")
    with pytest.raises(RemoteProtocolError):
        shaken().receive(b"\xff" * 64)
