"""RTMP chunk streams, read and written."""

import pytest

from streamferry.media.errors import RemoteProtocolError
from streamferry.wire.rtmp.chunk import (
    DEFAULT_CHUNK_SIZE,
    MAX_CHUNK_STREAMS,
    MAX_MESSAGE_BYTES,
    MAX_PENDING_BYTES,
    ChunkReader,
    Message,
    append_message,
)

AUDIO, VIDEO = 8, 9


def scanned(reader: ChunkReader, data: bytes) -> tuple[list[Message], int]:
    messages: list[Message] = []
    start = reader.scan(memoryview(data), 0, len(data), messages)
    return messages, start


def read(*chunks: str) -> list[Message]:
    """The messages of chunks in hexadecimal, all of which must be taken."""
    data = bytes.fromhex("".join(chunks))
    messages, start = scanned(ChunkReader(), data)
    assert start == len(data)
    return messages


def sent(*message: int, body: bytes, chunk_size: int = DEFAULT_CHUNK_SIZE) -> bytes:
    out: list[bytes | memoryview] = []
    append_message(out, *message, body, chunk_size)
    return b"".join(out)


def set_chunk_size(size: int) -> bytes:
    return sent(2, 1, 0, 0, body=size.to_bytes(4, "big"))


def test_the_four_header_types() -> None:
    """Each takes from the one before what it leaves out (specification, 5.3.1.2 and the example of 5.3.2.1)."""
    assert read(
        "04 0003e8 000001 08 01000000 aa",
        "44 000014 000002 09 bbbb",
        "84 000014 cccc",
        "c4 dddd",
    ) == [
        (AUDIO, 1000, 1, b"\xaa"),
        (VIDEO, 1020, 1, b"\xbb\xbb"),
        (VIDEO, 1040, 1, b"\xcc\xcc"),
        (VIDEO, 1060, 1, b"\xdd\xdd"),
    ]


def test_a_type_3_message_after_a_type_0_adds_the_stamp_itself() -> None:
    """5.3.1.2.4: the delta is then the stamp of the type 0 chunk, as ffmpeg writes it."""
    assert [stamp_ms for _, stamp_ms, _, _ in read("04 000017 000001 08 01000000 aa", "c4 bb")] == [23, 46]


def test_the_message_stream_id_is_little_endian() -> None:
    """The one field of RTMP that is."""
    [message] = read("04 000000 000001 08 01020300 aa")
    assert message[2] == 0x00030201
    [_, message] = read("04 000000 000000 08 00000000", "04 000000 000001 08 01020304 aa")
    assert message[2] == 0x04030201


@pytest.mark.parametrize("basic_header", ["02", "3f", "00 00", "00 ff", "01 0000", "01 ff00", "01 0001", "01 ffff"])
def test_chunk_stream_ids_of_one_two_and_three_bytes(basic_header: str) -> None:
    """A message is read whatever form the id has, and so is what continues it."""
    continuation = f"{int(basic_header[:2], 16) | 0xC0:02x}{basic_header[2:]}"
    body = bytes(range(200))
    messages = read(f"{basic_header} 000000 0000c8 09 01000000", body[:128].hex(), continuation, body[128:].hex())
    assert messages == [(VIDEO, 0, 1, body)]


def test_one_chunk_stream_id_may_be_written_in_two_forms() -> None:
    """Id 64 + 0 in the three-byte form continues 64 in the two-byte form."""
    assert len(read("00 00 000000 000001 09 01000000 aa", "41 0000 000001 000001 08 bb")) == 2


def test_messages_interleave() -> None:
    """Chunks of several chunk streams mix; messages come in the order they are completed."""
    audio, video = bytes(130), bytes(range(150))
    assert read(
        "06 000001 000096 09 01000000" + video[:128].hex(),
        "04 000002 000082 08 01000000" + audio[:128].hex(),
        "c6" + video[128:].hex(),
        "c4" + audio[128:].hex(),
    ) == [(VIDEO, 1, 1, video), (AUDIO, 2, 1, audio)]


@pytest.mark.parametrize("stamp_ms", [0xFFFFFF, 0x1000000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF])
def test_an_extended_stamp_is_repeated_in_each_chunk(stamp_ms: int) -> None:
    """Both when writing and when reading (5.3.1.3)."""
    body = bytes(range(256)) * 2
    data = sent(6, VIDEO, stamp_ms, 1, body=body)
    assert data == (
        bytes.fromhex(f"06 ffffff 000200 09 01000000 {stamp_ms:08x}")
        + bytes.fromhex(f"c6 {stamp_ms:08x}").join(body[place : place + 128] for place in range(0, 512, 128))
    )
    assert scanned(ChunkReader(), data) == ([(VIDEO, stamp_ms, 1, body)], len(data))


def test_a_peer_that_does_not_repeat_extended_stamps_is_understood() -> None:
    """The four bytes are payload if they are not the stamp."""
    body = bytes(range(1, 201))
    assert read(f"06 ffffff 0000c8 09 01000000 01000000 {body[:128].hex()} c6 {body[128:].hex()}") == [
        (VIDEO, 0x1000000, 1, body)
    ]


def test_a_doubtful_extended_stamp_waits_for_its_fourth_byte() -> None:
    """As long as what came could be the stamp, nothing is decided."""
    reader = ChunkReader()
    start = bytes.fromhex("06 ffffff 0000ff 09 01000000 01000000") + bytes(128)
    scanned(reader, start)
    for rest in ("c6", "c6 01", "c6 0100", "c6 010000"):
        assert scanned(reader, bytes.fromhex(rest)) == ([], 0)
    assert scanned(reader, bytes.fromhex("c6 01000000") + bytes(127))[0] == [(VIDEO, 0x1000000, 1, bytes(255))]


def test_an_extended_delta() -> None:
    """A delta of 0xFFFFFF or more has the extended field too; the sum wraps at 2^32."""
    assert [
        stamp_ms
        for _, stamp_ms, _, _ in read(
            "04 ffffff 000001 08 01000000 ffffffff aa", "84 ffffff 01000000 bb", "c4 01000000 cc", "84 000001 dd"
        )
    ] == [0xFFFFFFFF, 0x00FFFFFF, 0x01FFFFFF, 0x02000000]


def test_stamps_wrap_by_small_deltas() -> None:
    """The last millisecond before 2^32 plus two is one."""
    assert [
        stamp_ms for _, stamp_ms, _, _ in read("04 ffffff 000001 08 01000000 ffffffff aa", "44 000002 000001 08 bb")
    ] == [0xFFFFFFFF, 1]


@pytest.mark.parametrize("stamp_ms", [-1, 1 << 32, (1 << 32) + 0xFFFFFF, (1 << 33) + 5])
def test_stamps_are_written_modulo_2_32(stamp_ms: int) -> None:
    """The output clock counts on, and may stand before 0; the field wraps."""
    [message] = scanned(ChunkReader(), sent(4, AUDIO, stamp_ms, 1, body=b"a"))[0]
    assert message[1] == stamp_ms % (1 << 32)


def test_set_chunk_size_applies_at_once_and_is_not_passed_on() -> None:
    """The next chunk already has the new size."""
    body = bytes(5000)
    data = set_chunk_size(4096) + sent(6, VIDEO, 0, 1, body=body, chunk_size=4096)
    assert scanned(ChunkReader(), data) == ([(VIDEO, 0, 1, body)], len(data))


def test_set_chunk_size_between_the_chunks_of_a_message() -> None:
    """Sizes count from where the control message stood."""
    body = bytes(range(250))
    data = sent(6, VIDEO, 0, 1, body=body)
    data = data[:140] + set_chunk_size(1000) + b"\xc6" + body[128:]
    assert scanned(ChunkReader(), data) == ([(VIDEO, 0, 1, body)], len(data))


@pytest.mark.parametrize("size", [0, 0x80000000])
def test_an_impossible_chunk_size_is_refused(size: int) -> None:
    """5.4.1: at least 1, at most 2^31 - 1."""
    with pytest.raises(RemoteProtocolError, match="chunk size"):
        scanned(ChunkReader(), set_chunk_size(size))


def test_the_largest_chunk_size_reserves_nothing() -> None:
    """A message is then one chunk, as large as its header says."""
    reader = ChunkReader()
    assert scanned(reader, set_chunk_size(0x7FFFFFFF) + sent(6, VIDEO, 0, 1, body=b"x" * 9, chunk_size=10**6))[0]


def test_abort_drops_the_message_under_way() -> None:
    """5.4.2: what had come is forgotten, and the chunk stream can begin anew."""
    first = sent(6, VIDEO, 0, 1, body=bytes(300))[:140]
    data = first + sent(2, 2, 0, 0, body=(6).to_bytes(4, "big")) + sent(6, VIDEO, 5, 1, body=b"new")
    assert scanned(ChunkReader(), data)[0] == [(VIDEO, 5, 1, b"new")]


def test_abort_of_nothing_is_ignored() -> None:
    """A chunk stream that is unknown or has no message under way."""
    assert read("02 000000 000004 02 00000000 00000009", "02 000000 000004 02 00000000 00000002") == []


def test_a_short_control_message_is_refused() -> None:
    """Set Chunk Size and Abort have four bytes."""
    with pytest.raises(RemoteProtocolError, match="too short"):
        read("02 000000 000003 01 00000000 000001")


@pytest.mark.parametrize("first_byte", ["46", "86", "c6", "82"])
def test_a_chunk_stream_begins_with_a_full_header(first_byte: str) -> None:
    """There is nothing yet that a shorter header could build on."""
    with pytest.raises(RemoteProtocolError, match="without a full header"):
        read(f"{first_byte} 000000 000001 09 aa 0000000000")


def test_librtmp_begins_the_control_chunk_stream_with_type_1() -> None:
    """Its Set Buffer Length comes so, on chunk stream 2, and is read."""
    assert read("42 000000 00000a 04 0003 00000001 00000bb8")[0][:3] == (4, 0, 0)


@pytest.mark.parametrize("header", ["06 000000 000001 09 01000000", "46 000000 000001 09", "86 000000"])
def test_a_message_may_not_begin_inside_another(header: str) -> None:
    """Only type 3 continues; anything else is a peer that lost count."""
    with pytest.raises(RemoteProtocolError, match="unfinished"):
        read("06 000000 0000ff 09 01000000" + "00" * 128, header)


def test_a_message_that_is_too_large_is_refused_by_its_header() -> None:
    """Before a byte of it has come."""
    with pytest.raises(RemoteProtocolError, match="larger than"):
        read(f"06 000000 {MAX_MESSAGE_BYTES + 1:06x} 09 01000000")


def test_the_same_limit_holds_when_a_chunk_is_as_large() -> None:
    """A large chunk size does not open the door, on a chunk stream already known either."""
    reader = ChunkReader()
    scanned(reader, set_chunk_size(0x7FFFFFFF) + sent(6, VIDEO, 0, 1, body=b"x"))
    with pytest.raises(RemoteProtocolError, match="larger than"):
        scanned(reader, bytes.fromhex(f"06 000000 {MAX_MESSAGE_BYTES + 1:06x} 09 01000000 aabbcc"))


def test_messages_under_way_are_limited_together() -> None:
    """Announced sizes count: a peer cannot open many large messages and never finish them."""
    header = f"000000 {MAX_MESSAGE_BYTES:06x} 09 01000000" + "00" * 128
    allowed = MAX_PENDING_BYTES // MAX_MESSAGE_BYTES
    reader = ChunkReader()
    for chunk_stream_id in range(3, 3 + allowed):
        scanned(reader, bytes.fromhex(f"{chunk_stream_id:02x} {header}"))
    with pytest.raises(RemoteProtocolError, match="under way"):
        scanned(reader, bytes.fromhex(f"20 {header}"))


def test_finished_and_aborted_messages_do_not_count_as_under_way() -> None:
    """Thousands of large messages one after another, and aborted ones, are fine."""
    reader = ChunkReader()
    large = sent(6, VIDEO, 0, 1, body=bytes(MAX_MESSAGE_BYTES), chunk_size=1 << 20)
    scanned(reader, set_chunk_size(1 << 20))
    abort = sent(2, 2, 0, 0, body=(6).to_bytes(4, "big"))
    for _ in range(4):
        assert len(scanned(reader, large)[0]) == 1
        assert scanned(reader, large[: 12 + (1 << 20)] + abort)[0] == []


def test_the_number_of_chunk_streams_is_limited() -> None:
    """Each costs memory as long as the connection lives."""
    data = b"".join(bytes((0, number)) + bytes(11) for number in range(MAX_CHUNK_STREAMS + 1))
    reader = ChunkReader()
    with pytest.raises(RemoteProtocolError, match="chunk streams"):
        scanned(reader, data)


def test_a_message_in_one_chunk_is_a_view_and_others_outlive_the_buffer() -> None:
    """Views are of the scanned buffer; a message of several chunks, finished in a later scan, is not."""
    reader = ChunkReader()
    buffer = bytearray(sent(4, AUDIO, 0, 1, body=b"one") + sent(6, VIDEO, 0, 1, body=b"x" * 200)[:140])
    messages: list[Message] = []
    reader.scan(memoryview(buffer), 0, len(buffer), messages)
    [(_, _, _, payload)] = messages
    assert isinstance(payload, memoryview)
    buffer[:] = bytes(len(buffer))
    assert bytes(payload) == bytes(3)
    assert scanned(reader, b"\xc6" + b"x" * 72)[0] == [(VIDEO, 0, 1, b"x" * 200)]


def test_an_incomplete_chunk_is_left() -> None:
    """The new start is that of the first chunk that is not whole, at every place a cut can be."""
    whole = sent(4, AUDIO, 0, 1, body=b"abc") + sent(4, AUDIO, 0x1000000, 1, body=b"defg")
    for end in range(15, len(whole)):
        messages, start = scanned(ChunkReader(), whole[:end])
        assert (len(messages), start) == (1, 15)


def test_an_empty_message() -> None:
    """Length 0 is a message."""
    assert read("04 000005 000000 08 01000000", "c4") == [(AUDIO, 5, 1, b""), (AUDIO, 10, 1, b"")]


def test_a_body_is_written_without_copying_it() -> None:
    """The buffers are the body itself, or views of it."""
    body = bytes(200)
    out: list[bytes | memoryview] = []
    append_message(out, 6, VIDEO, 0, 1, body, 200)
    assert out[1] is body
    append_message(out, 6, VIDEO, 0, 1, body, 128)
    assert all(isinstance(part, memoryview) and part.obj is body for part in (out[3], out[5]))
