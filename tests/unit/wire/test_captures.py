"""What real programs sent (tests/vectors) gives what is known to be in it."""

from hashlib import sha256
from hmac import digest as hmac_digest
from pathlib import Path

import pytest

from kit.flv import read_tags
from streamferry.media.tag import SCRIPT, Tag
from streamferry.media.url import MediaUrl
from streamferry.wire.flv import parse_metadata
from streamferry.wire.rtmp.handshake import client_hello
from streamferry.wire.rtmp.session import (
    ClientSession,
    ConnectRequested,
    PlayAccepted,
    PlayRequested,
    PublishAccepted,
    PublishRequested,
    Purpose,
    ServerEvent,
    ServerSession,
    StreamEnded,
    TagsReceived,
    Unpublished,
)

VECTORS = Path(__file__).parents[2] / "vectors"
SEED = b"vector"
# The keys of the digest handshake, spelled out here once more so that the test does not check the code by itself.
KEY_TAIL = bytes.fromhex("f0eec24a8068bee82e00d0d1029e7e576eec5d2d29806fab93b8e636cfeb31ae")
CLIENT_KEY = b"Genuine Adobe Flash Player 001" + KEY_TAIL
SERVER_KEY = b"Genuine Adobe Flash Media Server 001" + KEY_TAIL


def media_of_clip(moved_ms: int = 0) -> list[Tag]:
    tags = read_tags(VECTORS / "clip.flv")
    return [(tag_type, stamp_ms + moved_ms, body) for tag_type, stamp_ms, body in tags if tag_type != SCRIPT]


def served(capture: str) -> tuple[list[ServerEvent], list[Tag]]:
    session = ServerSession(random=SEED, out_chunk_size=128)
    events = session.receive((VECTORS / capture).read_bytes())
    tags = [tag for event in events if isinstance(event, TagsReceived) for tag in event.tags]
    return [event for event in events if not isinstance(event, TagsReceived)], tags


@pytest.mark.parametrize(("capture", "moved_ms"), [("ffmpeg-publish", 0), ("ffmpeg-publish-past-2-24", 16_776_700)])
def test_a_stream_published_by_ffmpeg_arrives_as_it_is_in_the_file(capture: str, moved_ms: int) -> None:
    """Types, stamps and bodies are those of the clip, in 128-byte chunks, with extended stamps and without."""
    events, tags = served(f"{capture}.rtmp")
    connect, publish, unpublished = events
    assert isinstance(connect, ConnectRequested)
    assert connect.app == "live"
    assert publish == PublishRequested("live", "cam")
    assert unpublished == Unpublished()
    # ffmpeg stamps the sequence headers, the first two, with 0 whatever the offset.
    assert [tag for tag in tags if tag[0] != SCRIPT] == media_of_clip()[:2] + media_of_clip(moved_ms)[2:]


def test_metadata_published_by_ffmpeg_is_a_plain_script_tag() -> None:
    """The ``@setDataFrame`` before it is for the server and gone."""
    _, tags = served("ffmpeg-publish.rtmp")
    [metadata] = [body for tag_type, _, body in tags if tag_type == SCRIPT]
    assert bytes(metadata[:13]) == b"\x02\x00\x0aonMetaData"
    assert parse_metadata(metadata)["width"] == 96


def test_ffmpeg_as_a_player_asks_to_play() -> None:
    """The commands ffmpeg sends before and around play do not disturb."""
    events, _ = served("ffmpeg-play.rtmp")
    connect, play = events[:2]
    assert isinstance(connect, ConnectRequested)
    assert play == PlayRequested("live", "cam")


def test_nginx_accepts_our_publish_and_tells_its_end() -> None:
    """The answers of nginx-rtmp lead the client to PublishAccepted on message stream 1, and to the end it confirms."""
    session = ClientSession(MediaUrl.parse("rtmp://127.0.0.1/live/cam"), Purpose.PUBLISH, random=SEED)
    events = session.receive((VECTORS / "nginx-to-publisher.rtmp").read_bytes())
    assert events == [PublishAccepted(), StreamEnded("NetStream.Unpublish.Success")]
    assert session.message_stream_id == 1


def test_a_stream_played_from_nginx_is_what_was_published() -> None:
    """All media of the clip comes, once, over the 2^24 boundary, and the end is told."""
    session = ClientSession(MediaUrl.parse("rtmp://127.0.0.1/live/cam"), Purpose.PLAY, random=SEED)
    tags: list[Tag] = []
    events = session.receive((VECTORS / "nginx-to-player.rtmp").read_bytes(), tags=tags)
    assert events[0] == PlayAccepted()
    assert session.ended == "StreamEOF"
    # nginx sends the sequence headers again in its own order, so the first tags are compared as a set.
    media = [(tag_type, stamp_ms, bytes(body)) for tag_type, stamp_ms, body in tags if tag_type != SCRIPT]
    expected = media_of_clip((1 << 24) - 500)
    assert set(media[:3]) == set(expected[:3])
    assert media[3:] == expected[3:]


def signed_with(packet: bytes, key: bytes, peer_digest: bytes) -> bool:
    return packet[-32:] == hmac_digest(hmac_digest(key, peer_digest, sha256), packet[:-32], sha256)


def digest_in(hello: bytes) -> bytes:
    """The digest of a hello of the first schema."""
    place = sum(hello[8:12]) % 728 + 12
    return hello[place : place + 32]


def test_ffmpeg_answers_the_digest_of_our_server() -> None:
    """ffmpeg, which looks for a digest when it plays, found ours: its C2 is signed with it."""
    capture = (VECTORS / "ffmpeg-play.rtmp").read_bytes()
    session = ServerSession(random=SEED)
    session.receive(capture[:1537])
    server_hello = session.data_to_send()[1:1537]
    assert signed_with(capture[1537:3073], CLIENT_KEY, digest_in(server_hello))


def test_our_server_answers_the_digest_of_ffmpeg() -> None:
    """Our S2 is signed with the digest in ffmpeg's C1, which ffmpeg insists on when it plays."""
    capture = (VECTORS / "ffmpeg-play.rtmp").read_bytes()
    session = ServerSession(random=SEED)
    session.receive(capture[:1537])
    assert signed_with(session.data_to_send()[1537:], SERVER_KEY, digest_in(capture[1:1537]))


def test_nginx_answers_the_digest_of_our_client() -> None:
    """nginx-rtmp found our digest: its S2 is signed with it."""
    capture = (VECTORS / "nginx-to-publisher.rtmp").read_bytes()
    assert signed_with(capture[1537:3073], SERVER_KEY, digest_in(client_hello(SEED)[1:]))
