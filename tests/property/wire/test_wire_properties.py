"""What holds for all bytes and all places they can be split at: FLV, chunk streams, AMF0 and sessions."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from streamferry.media.errors import RemoteProtocolError
from streamferry.media.tag import Tag
from streamferry.media.url import MediaUrl
from streamferry.wire.amf0 import EcmaArray, parse_amf0, serialize_amf0
from streamferry.wire.flv import parse_metadata, scan_tags, serialize_tag
from streamferry.wire.rtmp.chunk import ChunkReader, Message, append_message
from streamferry.wire.rtmp.session import (
    ClientEvent,
    ClientSession,
    ConnectRequested,
    PlayRequested,
    PublishRequested,
    Purpose,
    ServerSession,
    TagsReceived,
)

VECTORS = Path(__file__).parents[2] / "vectors"

# Stamps everywhere, and often where a field ends or a sign turns.
edges = st.sampled_from([0, 1 << 24, 1 << 31, 1 << 32]).flatmap(
    lambda edge: st.integers(max(edge - 50, 0), min(edge + 50, 0xFFFFFFFF))
)
stamps = edges | st.integers(0, 0xFFFFFFFF)
bodies = st.binary(max_size=40) | st.integers(0, 700).map(lambda size: bytes(i & 0xFF for i in range(size)))
tags = st.tuples(st.sampled_from([8, 9, 18]), stamps, bodies)
chunk_sizes = st.sampled_from([1, 2, 63, 128, 129, 4096, 65536])


def pieces_of(data: bytes, cuts: list[int]) -> list[bytes]:
    """``data`` cut at the given places, taken modulo its length."""
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[start:end] for start, end in pairwise(places)]


cut_lists = st.lists(st.integers(0, 1 << 20), max_size=12)


def scanned_in_pieces(scan, pieces: list[bytes]) -> tuple[list, bytes]:
    """What a scanner gives if each piece comes in a buffer that is overwritten afterwards, as a relay's beat does."""
    given: list = []
    left = b""
    for piece in pieces:
        buffer = bytearray(left + piece)
        out: list = []
        start = scan(memoryview(buffer), 0, len(buffer), out)
        given += [(*head, bytes(body)) for *head, body in out]
        left = bytes(buffer[start:])
        buffer[:] = b"\xee" * len(buffer)
    return given, left


@given(st.lists(tags, max_size=8), cut_lists)
def test_flv_tags_survive_any_split(sent: list[Tag], cuts: list[int]) -> None:
    """Written and scanned, whatever the pieces."""
    body = b"".join(serialize_tag(*tag) for tag in sent)
    assert scanned_in_pieces(scan_tags, pieces_of(body, cuts)) == (sent, b"")


messages = st.tuples(
    st.integers(2, 63), st.integers(7, 22), st.integers(-(1 << 33), 1 << 33), st.integers(0, 0xFFFFFFFF), bodies
)


@given(st.lists(messages, max_size=8), chunk_sizes, cut_lists)
def test_messages_survive_any_split(sent: list[tuple], chunk_size: int, cuts: list[int]) -> None:
    """Written by append_message and read back, whatever the chunk size and the pieces; stamps modulo 2^32."""
    out: list[bytes | memoryview] = []
    append_message(out, 2, 1, 0, 0, chunk_size.to_bytes(4, "big"), 128)
    for chunk_stream_id, type_id, stamp_ms, stream_id, body in sent:
        append_message(out, chunk_stream_id, type_id, stamp_ms, stream_id, body, chunk_size)
    given, left = scanned_in_pieces(ChunkReader().scan, pieces_of(b"".join(out), cuts))
    expected = [(type_id, stamp_ms % (1 << 32), stream_id, body) for _, type_id, stamp_ms, stream_id, body in sent]
    assert (given, left) == (expected, b"")


odd_chunk_sizes = st.sampled_from([1, 16, 128, 1000])


def control(type_id: int, value: int, chunk_size: int = 128) -> bytes:
    """Set Chunk Size or Abort, in chunks of the size that is in force."""
    body = value.to_bytes(4, "big")
    chunks = (body[at : at + chunk_size] for at in range(0, 4, chunk_size))
    return bytes.fromhex("02 000000 000004") + bytes((type_id,)) + bytes(4) + b"\xc2".join(chunks)


@st.composite
def chunked_streams(draw: st.DrawFn) -> tuple[bytes, list[Message]]:
    """Bytes of a peer that uses every header type it may, interleaves at will, and the messages that are in them.

    It changes its chunk size and aborts messages in the midst of others. A model of the writing side of section 5.3,
    made without the code under test.
    """
    chunk_size = draw(odd_chunk_sizes)
    data = bytearray(control(1, chunk_size))
    repeats_extended = draw(st.booleans())
    ids = draw(st.lists(st.sampled_from([3, 4, 63, 64, 319, 320, 65599]), min_size=1, max_size=3, unique=True))
    last: dict[int, dict[str, int]] = {}
    under_way: dict[int, tuple[Message, bytes, bytes]] = {}
    finished: list[Message] = []
    to_start = draw(st.integers(1, 8))
    while to_start or under_way:
        happens = draw(st.sampled_from(["", "", "", "another size", "abort"]))
        if happens == "another size":
            before, chunk_size = chunk_size, draw(odd_chunk_sizes)
            data += control(1, chunk_size, before)
        elif happens == "abort" and under_way:
            number = draw(st.sampled_from(list(under_way)))
            del under_way[number]
            data += control(2, number, chunk_size)
            continue
        startable = [number for number in ids if number not in under_way] if to_start else []
        number = draw(st.sampled_from(startable + list(under_way)))
        if number in under_way:
            message, rest, extended = under_way.pop(number)
            data += basic_header(3, number) + (extended if repeats_extended else b"")
        else:
            to_start -= 1
            message, header, extended = draw(message_start(last, number))
            rest = bytes(message[3])
            data += header
        data += rest[:chunk_size]
        if len(rest) > chunk_size:
            under_way[number] = (message, rest[chunk_size:], extended)
        else:
            finished.append(message)
    return bytes(data), finished


@st.composite
def message_start(draw: st.DrawFn, last: dict[int, dict[str, int]], number: int) -> tuple[Message, bytes, bytes]:
    """A message, its first chunk's headers, and its extended stamp field."""
    before = last.get(number)
    header_type = draw(st.integers(0, 3)) if before else 0
    if header_type == 0 or not before:
        before = {"stream": draw(st.integers(0, 0xFFFFFFFF)), "stamp": 0}
        field = draw(stamps)
    elif header_type < 3:
        field = draw(stamps)
    else:
        field = before["field"]
    state = dict(before, field=field, stamp=(before["stamp"] + field) & 0xFFFFFFFF)
    if header_type < 2:
        state |= {"size": draw(st.integers(0, 300)), "type": draw(st.integers(7, 22))}
    last[number] = state
    short = min(field, 0xFFFFFF).to_bytes(3, "big")
    fields = [short, state["size"].to_bytes(3, "big") + bytes((state["type"],)), state["stream"].to_bytes(4, "little")]
    extended = field.to_bytes(4, "big") if field >= 0xFFFFFF else b""
    header = basic_header(header_type, number) + b"".join(fields[: 3 - header_type]) + extended
    # No byte that the extended stamp begins with: a peer that does not repeat it leaves no doubt then.
    letters = bytes(letter for letter in range(0x41, 0x5B) if bytes((letter,)) != extended[:1])
    body = bytes(letters[place % len(letters)] for place in range(state["size"]))
    return (state["type"], state["stamp"], state["stream"], body), header, extended


def basic_header(header_type: int, number: int) -> bytes:
    if number < 64:
        return bytes((header_type << 6 | number,))
    if number < 320:
        return bytes((header_type << 6, number - 64))
    return bytes((header_type << 6 | 1,)) + (number - 64).to_bytes(2, "little")


@given(chunked_streams(), cut_lists)
def test_every_header_type_and_interleaving_survives_any_split(stream: tuple[bytes, list], cuts: list[int]) -> None:
    """Deltas, omitted fields, extended stamps repeated or not, all id forms, chunks of several streams mixed."""
    data, expected = stream
    assert scanned_in_pieces(ChunkReader().scan, pieces_of(data, cuts)) == (expected, b"")


@given(st.binary(max_size=300), cut_lists)
def test_garbage_is_read_alike_whole_and_in_pieces(garbage: bytes, cuts: list[int]) -> None:
    """The same messages and the same refusal; nothing but RemoteProtocolError is raised."""

    def outcome(pieces: list[bytes]) -> tuple[list, bytes] | str:
        try:
            return scanned_in_pieces(ChunkReader().scan, pieces)
        except RemoteProtocolError as error:
            return str(error)

    assert outcome(pieces_of(garbage, cuts)) == outcome([garbage])


dates = st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30)).map(
    lambda moment: moment.replace(microsecond=moment.microsecond // 1000 * 1000, tzinfo=UTC)
)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
values = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | texts | dates,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(texts, inner, max_size=4)
        | st.dictionaries(texts, inner, max_size=4).map(EcmaArray)
    ),
    max_leaves=12,
)


@given(st.lists(values, max_size=4))
def test_amf0_values_survive(sent: list[object]) -> None:
    """Written and read back, they are equal, the kind of array included."""
    read = parse_amf0(serialize_amf0(*sent))
    assert _rounded(read) == _rounded(sent)
    assert [type(value) for value in read] == [type(value) for value in sent]


def _rounded(value: object) -> object:
    """Dates to the millisecond: a double far from 1970 holds no more."""
    if isinstance(value, datetime):
        return (value + timedelta(microseconds=500)).replace(microsecond=0)
    if isinstance(value, list):
        return [_rounded(item) for item in value]
    if isinstance(value, dict):
        return {name: _rounded(item) for name, item in value.items()}
    return value


@given(st.binary(max_size=200))
def test_amf0_of_garbage_is_refused_in_one_way_only(garbage: bytes) -> None:
    """Values or RemoteProtocolError; metadata never raises."""
    assert isinstance(parse_metadata(garbage), dict)
    try:
        parse_amf0(garbage)
    except RemoteProtocolError:
        return


def served(pieces: list[bytes]) -> tuple[list, list[Tag]]:
    session = ServerSession(random=b"vector", out_chunk_size=128)
    events, received = [], []
    for piece in pieces:
        for event in session.receive(piece):
            if isinstance(event, TagsReceived):
                received += event.tags
                continue
            events.append((event, len(received)))
            if isinstance(event, ConnectRequested | PublishRequested | PlayRequested):
                session.accept()
    return events, received


FFMPEG_PUBLISHES = (VECTORS / "ffmpeg-publish-past-2-24.rtmp").read_bytes()
WHOLE_PUBLISH = served([FFMPEG_PUBLISHES])


@settings(max_examples=40)
@given(cut_lists)
def test_a_server_session_is_the_same_for_any_split(cuts: list[int]) -> None:
    """Events, their place among the tags, and the tags."""
    assert served(pieces_of(FFMPEG_PUBLISHES, cuts)) == WHOLE_PUBLISH


def played(pieces: list[bytes], hand_over_at: int) -> tuple[list[ClientEvent], list[Tag], str | None]:
    """Asks for events up to the hand-over, and for media of a buffer that is overwritten after it, as a relay does."""
    session = ClientSession(MediaUrl.parse("rtmp://127.0.0.1/live/cam"), Purpose.PLAY, random=b"vector")
    events: list[ClientEvent] = []
    remaining = list(pieces)
    while remaining and (not events or len(remaining) > hand_over_at):
        events += session.receive(remaining.pop(0))
    received: list[Tag] = []
    for piece in [b"", *remaining]:
        buffer = bytearray(40) + piece
        tags: list[Tag] = []
        session.receive(memoryview(buffer), 40, tags)
        received += [(tag_type, stamp_ms, bytes(body)) for tag_type, stamp_ms, body in tags]
        buffer[:] = b"\xff" * len(buffer)
    return events, received, session.ended


NGINX_IS_PLAYED = (VECTORS / "nginx-to-player.rtmp").read_bytes()
WHOLE_PLAY = played([NGINX_IS_PLAYED], 0)


@settings(max_examples=40)
@given(cut_lists, st.integers(0, 12))
def test_a_player_session_is_the_same_for_any_split_and_hand_over(cuts: list[int], hand_over_at: int) -> None:
    """Whatever part came before media was asked for: the same tags, and the same end."""
    events, received, ended = played(pieces_of(NGINX_IS_PLAYED, cuts), hand_over_at)
    assert events[0] == WHOLE_PLAY[0][0]
    assert received == WHOLE_PLAY[1]
    assert ended == WHOLE_PLAY[2] == "StreamEOF"
