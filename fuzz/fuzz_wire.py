"""Fuzz target over all that parses what a peer sent. With atheris installed: ``python fuzz/fuzz_wire.py [corpus]``.

The first byte of an input chooses the parser. Anything but the allowed exceptions is a finding, and so are results that
depend on how the input was split. ``tests/property/wire/test_wire_fuzz.py`` runs the same target without atheris.
"""

import sys
from collections.abc import Callable
from urllib.parse import urljoin
from zlib import crc32

from streamferry.media.errors import RemoteProtocolError
from streamferry.media.tag import LaidTag, Tag
from streamferry.media.url import MediaUrl
from streamferry.source.hls_follower import HlsFollower
from streamferry.timeline import Timeline
from streamferry.wire.amf0 import parse_amf0
from streamferry.wire.flv import FLV_HEADER_BYTES, parse_flv_header, parse_metadata, scan_tags
from streamferry.wire.fmp4 import Fragmenter, end_of_fragment
from streamferry.wire.hls import Playlist, scheme_of
from streamferry.wire.mp4 import Mp4Demuxer
from streamferry.wire.mpegts import TsDemuxer
from streamferry.wire.packed_audio import PackedAudio
from streamferry.wire.rtmp.chunk import ChunkReader, Message
from streamferry.wire.rtmp.message import MessageType, parse_command, parse_status, tags_of_message
from streamferry.wire.rtmp.session import ClientSession, Purpose, ServerSession
from streamferry.wire.rtsp.auth import Authenticator, parse_challenges
from streamferry.wire.rtsp.message import MessageReader, Piece, interleaved
from streamferry.wire.rtsp.playing import Playing
from streamferry.wire.rtsp.sdp import parse_description
from streamferry.wire.rtsp.tracks import PictureTrack, SoundTrack, chosen, parameter_sets

#: What a parser may raise for what a peer sent.
ALLOWED = (RemoteProtocolError,)

_CAMERA = parse_description(
    b"m=video 0 RTP/AVP 96\na=rtpmap:96 H264/90000\n"
    b"a=fmtp:96 sprop-parameter-sets=Z0LADdoFBn58BEAAAAMAQAAADIPFCqg=,aM48gA==\n"
    b"m=audio 0 RTP/AVP 97\na=rtpmap:97 mpeg4-generic/48000/2\na=fmtp:97 mode=AAC-hbr;config=1190;sizelength=13;"
    b"indexlength=3;indexdeltalength=3\n"
)
_URL = MediaUrl.parse("rtmp://user:password@example.com/live/cam?token=secret")


def read_amf0(data: bytes) -> None:
    """Commands, statuses, data and metadata."""
    parse_metadata(data)
    for parse in (parse_amf0, lambda body: parse_command(20, body), lambda body: parse_status(18, body)):
        try:
            parse(data)
        except ALLOWED:
            continue


def read_messages(data: bytes) -> None:
    """Messages of every type that carries tags."""
    for type_id in MessageType:
        try:
            tags_of_message(type_id, 0, data)
        except ALLOWED:
            continue


def read_flv(data: bytes) -> None:
    """A stream, whole and in two parts."""
    assert _outcome(_flv_tags, data) == _outcome(_flv_tags, data, len(data) // 2)


def read_mp4(data: bytes) -> None:
    """Segments, whole and in two parts; nothing is made of them that was not there."""
    whole = _mp4_tags([data])
    assert whole == _mp4_tags([data[: len(data) // 2], data[len(data) // 2 :]])
    assert sum(size for _, _, size, _ in whole) <= 2 * len(data)


def read_ts(data: bytes) -> None:
    """A transport stream, whole and in two parts; nothing is made of it that was not there."""
    whole = _ts_tags([data])
    assert whole == _ts_tags([data[: len(data) // 2], data[len(data) // 2 :]])
    # A header is made of parameter sets, and what stands before a frame of one byte is longer than that.
    assert sum(size for _, _, size, _ in whole) <= 6 * len(data)


def read_packed_audio(data: bytes) -> None:
    """Sound without a container, whole and in two parts."""
    whole = _sounds([data])
    assert whole == _sounds([data[: len(data) // 2], data[len(data) // 2 :]])
    assert sum(size for _, _, size, _ in whole) <= 2 * len(data)


def read_playlist(data: bytes) -> None:
    """A playlist, then a part of it as its next version, as what follows one reads them: by segments and by parts."""
    for wants_parts in (False, True):
        follower = HlsFollower()
        follower.parts.is_wanted = wants_parts
        for asked_at, text in ((0.0, data), (9.0, data[: len(data) * 3 // 4])):
            try:
                playlist = Playlist.parse(text)
                for reference in playlist.references():
                    scheme_of(reference)
                    urljoin("http://h/live/list.m3u8", reference)
                playlist.variants("http://h/live/list.m3u8")
                follower.take(playlist, asked_at)
            except ValueError:
                continue
            least_s = 0.1 if follower.parts.are_used else 0.5
            assert asked_at + least_s <= follower.reload_at <= asked_at + 60
            for _ in range(3):
                found = follower.next()
                assert found is None or found.lost_s >= 0
            if found is not None and found.segment.part is not None:
                follower.fail_part(found.segment.number, found)
            assert wants_parts or not follower.parts.query


def read_rtp(data: bytes) -> None:
    """Packets of a picture and of sound as they come in datagrams: lost, late and damaged. A byte each for its channel,
    two for its size."""
    (playing, one_by_one), at, now = (_camera(is_ordered=False) for _ in range(2)), 0, 0.0
    while at + 3 <= len(data) and not playing.unsupported:
        size = int.from_bytes(data[at + 1 : at + 3])
        channel, packet = data[at] & 3, data[at + 3 : at + 3 + size]
        playing.read_packets(interleaved(channel, packet), now)
        one_by_one.take(channel, packet, now)
        at, now = at + 3 + size, now + 0.01
    assert playing.tags == one_by_one.tags
    assert playing.reports(now) == one_by_one.reports(now)
    assert sum(len(body) for _, _, body in playing.tags) <= 6 * len(data) + 1024


def read_chunks(data: bytes) -> None:
    """Chunk streams, whole and in two parts."""
    assert _outcome(_messages, data) == _outcome(_messages, data, len(data) // 2)


def read_as_server(data: bytes) -> None:
    """A connection from a client, handshake included."""
    session = ServerSession(random=b"fuzz")
    session.receive(data)
    session.data_to_send()


def read_as_client(data: bytes) -> None:
    """A connection to a server, for publishing and for playing, then for its media."""
    for purpose in Purpose:
        session = ClientSession(_URL, purpose, random=b"fuzz")
        try:
            events = session.receive(data)
            assert "secret" not in repr(events)
            session.receive(data, tags=[])
        except ALLOWED:
            continue


def read_as_preview(data: bytes) -> None:
    """Tracks, headers and frames, laid and shown: what is damaged is a ValueError of a codec, never anything else."""
    tags: list[Tag] = []
    scan_tags(memoryview(data), 0, len(data), tags)
    timeline = Timeline()
    timeline.begin_live()
    fragmenter = Fragmenter()
    for index, (tag_type, _, body) in enumerate(tags):
        laid: list[LaidTag] = []
        timeline.lay([(tag_type, index * 20, body)], laid)
        try:
            pieces = fragmenter.put(laid)
        except ValueError:
            continue
        assert all(piece.mime or end_of_fragment(piece.data) == len(piece.data) for piece in pieces)
    assert all(len(body) <= len(data) for _, _, body, _ in timeline.headers)


def read_rtsp(data: bytes) -> None:
    """What a camera sends, whole and in two parts: messages, and packets of a picture and of sound."""
    outcome = _outcome(_tags_of_pieces, data)
    for cut in (0, len(data) // 2):
        assert _outcome(_tags_where_they_lie, data, cut) == outcome
    for media in chosen(parse_description(data).media):
        parameter_sets(media)
    for challenge in parse_challenges(data.decode("utf-8", "replace")):
        Authenticator(challenge, "user", "password", "0").authorization("PLAY", "rtsp://h/")


TARGETS: tuple[Callable[[bytes], None], ...] = (
    read_amf0,
    read_messages,
    read_flv,
    read_chunks,
    read_as_server,
    read_as_client,
    read_as_preview,
    read_rtsp,
    read_mp4,
    read_ts,
    read_playlist,
    read_packed_audio,
    read_rtp,
)


def fuzz_one_input(data: bytes) -> None:
    """One input. Raises what is a finding."""
    if data:
        try:
            TARGETS[data[0] % len(TARGETS)](data[1:])
        except ALLOWED:
            return


def _outcome(read: Callable[[list[bytes]], list[tuple[int, ...]]], data: bytes, cut: int = 0) -> object:
    try:
        return read([data[:cut], data[cut:]])
    except ALLOWED as error:
        return str(error)


def _flv_tags(pieces: list[bytes]) -> list[Tag]:
    tags: list[Tag] = []
    left = b""
    start = FLV_HEADER_BYTES
    for piece in pieces:
        left += piece
        if len(left) >= FLV_HEADER_BYTES:
            parse_flv_header(left)
            start = scan_tags(memoryview(left), start, len(left), tags)
    return [(tag_type, stamp_ms, bytes(body)) for tag_type, stamp_ms, body in tags]


def _camera(*, is_ordered: bool) -> Playing:
    playing = Playing(1)
    for number, media in enumerate(chosen(_CAMERA.media)):
        make = PictureTrack if media.kind == "video" else SoundTrack
        playing.add(make(media, playing.tags, is_ordered=is_ordered), 2 * number)
    return playing


def _tags_of_pieces(pieces: list[bytes]) -> list[tuple[int, ...]]:
    """What a camera sends, packet by packet."""
    reader, playing = MessageReader(), _camera(is_ordered=True)
    reader.channels = playing.channels
    found: list[Piece] = []
    for piece in pieces:
        reader.feed(piece, found)
    for one in found:
        if isinstance(one, tuple) and not playing.unsupported:
            playing.take(*one, 0.0)
    return [(kind, stamp, len(body), crc32(body)) for kind, stamp, body in playing.tags]


def _tags_where_they_lie(pieces: list[bytes]) -> list[tuple[int, ...]]:
    """The same, as a session reads it."""
    reader, playing = MessageReader(), _camera(is_ordered=True)
    reader.channels = playing.channels
    for piece in pieces:
        playing.read(reader, piece, 0.0)
        if playing.unsupported:
            break
    return [(kind, stamp, len(body), crc32(body)) for kind, stamp, body in playing.tags]


def _mp4_tags(pieces: list[bytes]) -> list[tuple[int, int, int, int]]:
    demuxer, tags = Mp4Demuxer(), list[Tag]()
    for piece in pieces:
        demuxer.feed(piece, tags)
    return [(kind, stamp, len(body), crc32(body)) for kind, stamp, body in tags]


def _ts_tags(pieces: list[bytes]) -> list[tuple[int, int, int, int]]:
    demuxer, tags = TsDemuxer(), list[Tag]()
    for piece in pieces:
        demuxer.feed(piece, tags)
    demuxer.finish(tags)
    return [(kind, stamp, len(body), crc32(body)) for kind, stamp, body in tags]


def _sounds(pieces: list[bytes]) -> list[tuple[int, int, int, int]]:
    demuxer, tags = PackedAudio(), list[Tag]()
    demuxer.begin_segment()
    for piece in pieces:
        demuxer.feed(piece, tags)
    return [(kind, stamp, len(body), crc32(body)) for kind, stamp, body in tags]


def _messages(pieces: list[bytes]) -> list[Message]:
    reader = ChunkReader()
    messages: list[Message] = []
    left = b""
    for piece in pieces:
        left += piece
        left = left[reader.scan(memoryview(left), 0, len(left), messages) :]
    return [(type_id, stamp_ms, stream_id, bytes(payload)) for type_id, stamp_ms, stream_id, payload in messages]


if __name__ == "__main__":
    import atheris

    atheris.instrument_all()
    atheris.Setup(sys.argv, fuzz_one_input)
    atheris.Fuzz()
