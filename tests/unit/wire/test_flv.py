"""FLV header, tags and metadata."""

import pytest

from streamferry.media.errors import RemoteProtocolError
from streamferry.media.tag import AUDIO, SCRIPT, VIDEO, Tag
from streamferry.wire.amf0 import serialize_amf0
from streamferry.wire.flv import (
    FLV_HEADER_BYTES,
    MAX_TAG_BYTES,
    parse_flv_header,
    parse_metadata,
    scan_tags,
    serialize_flv_header,
    serialize_metadata,
    serialize_tag,
)


def scanned(data: bytes, **limits: int) -> tuple[list[Tag], int]:
    tags: list[Tag] = []
    start = scan_tags(memoryview(data), 0, len(data), tags, **limits)
    return tags, start


def test_the_bytes_of_a_tag_are_those_of_the_specification() -> None:
    """Type, size, low 24 bits of the stamp, high 8 bits, stream id 0, body, size of all that."""
    assert serialize_tag(VIDEO, 0x12345678, b"ab") == bytes.fromhex("09 000002 345678 12 000000 6162 0000000d")


@pytest.mark.parametrize("stamp_ms", [0, 0xFFFFFF, 0x1000000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF])
def test_stamps_are_whole_32_bits(stamp_ms: int) -> None:
    """The extension byte holds the high 8 bits, also above 2^31."""
    assert scanned(serialize_tag(AUDIO, stamp_ms, b"x")) == ([(AUDIO, stamp_ms, b"x")], 16)


def test_a_stamp_past_2_32_wraps() -> None:
    """The output clock counts on; the field does not."""
    assert scanned(serialize_tag(AUDIO, (1 << 32) + 7, b""))[0] == [(AUDIO, 7, b"")]


def test_the_tags_of_a_scan_are_views() -> None:
    """No body is copied."""
    data = bytearray(serialize_tag(AUDIO, 0, b"old"))
    tags: list[Tag] = []
    with memoryview(data) as view:
        scan_tags(view, 0, len(data), tags)
        data[11:14] = b"new"
        body = tags.pop()[2]
        assert bytes(body) == b"new"
        assert isinstance(body, memoryview)
        body.release()


def test_a_tag_is_whole_only_with_the_size_behind_it() -> None:
    """One missing byte and the tag waits, with the start left at its header."""
    first, second = serialize_tag(AUDIO, 1, b"abc"), serialize_tag(VIDEO, 2, b"defg")
    for missing in range(1, len(second) + 1):
        tags, start = scanned((first + second)[:-missing])
        assert len(tags) == 1
        assert start == len(first)


def test_a_scan_keeps_to_its_bounds() -> None:
    """Bytes before ``start`` and from ``end`` on are not looked at."""
    tag = serialize_tag(AUDIO, 1, b"abc")
    tags: list[Tag] = []
    assert scan_tags(memoryview(b"\xff" + tag + tag), 1, 1 + len(tag) + 5, tags) == 1 + len(tag)
    assert tags == [(AUDIO, 1, b"abc")]


def test_a_scan_stops_before_the_first_tag_that_is_not_due() -> None:
    """``until_ms`` itself is due; what is later stays, even if an earlier stamp follows it."""
    data = b"".join(serialize_tag(AUDIO, stamp_ms, b"") for stamp_ms in (10, 20, 30, 15))
    tags, start = scanned(data, until_ms=20)
    assert [stamp_ms for _, stamp_ms, _ in tags] == [10, 20]
    assert start == 30


@pytest.mark.parametrize(
    ("header", "sentence"),
    [
        ("0f 000000 000000 00 000000 00000000", "unknown type 15"),
        ("29 000000 000000 00 000000 00000000", "encrypted"),
        (f"09 {MAX_TAG_BYTES + 1:06x} 000000 00 000000 00000000", "more than"),
    ],
)
def test_a_tag_that_cannot_be_carried_is_refused(header: str, sentence: str) -> None:
    """Unknown, encrypted and enormous tags are refused from the header, before the body is there."""
    with pytest.raises(RemoteProtocolError, match=sentence):
        scanned(bytes.fromhex(header))


def test_the_header_is_written_as_the_specification_says() -> None:
    """Signature, version 1, flags, offset 9, and the first PreviousTagSize."""
    assert serialize_flv_header(True, True) == bytes.fromhex("464c56 01 05 00000009 00000000")
    assert serialize_flv_header(True, False)[4] == 4
    assert serialize_flv_header(False, True)[4] == 1
    assert len(serialize_flv_header(False, False)) == FLV_HEADER_BYTES


def test_odd_flags_in_the_header_are_tolerated() -> None:
    """Encoders guess the flags before they know."""
    parse_flv_header(bytes.fromhex("464c56 01 ff 00000009 00000000"))


@pytest.mark.parametrize(
    ("header", "sentence"),
    [
        ("3c68746d6c3e3c626f64793e0a", "is not FLV"),
        ("464c56 01 05 0000000a 00000000", "unexpected length of 10"),
        ("464c56 01", "ended inside"),
    ],
)
def test_what_is_not_flv_is_refused(header: str, sentence: str) -> None:
    """An error page in place of a stream is told as such."""
    with pytest.raises(RemoteProtocolError, match=sentence):
        parse_flv_header(bytes.fromhex(header))


def test_metadata_is_read_with_and_without_set_data_frame() -> None:
    """Encoders send it with, servers and files without."""
    values = {"width": 1280.0, "encoder": "x"}
    assert parse_metadata(serialize_metadata(values)) == values
    assert parse_metadata(serialize_amf0("@setDataFrame") + serialize_metadata(values)) == values
    assert parse_metadata(serialize_amf0("onMetaData", values)) == values


def test_bytes_behind_the_metadata_do_not_harm() -> None:
    """Some muxers pad the script tag."""
    assert parse_metadata(serialize_metadata({"a": 1}) + b"\xff\xff") == {"a": 1.0}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff",
        serialize_amf0("onCuePoint", {"a": 1}),
        serialize_amf0("onMetaData"),
        serialize_amf0("onMetaData", 5),
    ],
)
def test_other_scripts_have_no_metadata(body: bytes) -> None:
    """Nothing odd raises: metadata is advice."""
    assert parse_metadata(body) == {}


def test_metadata_is_written_as_an_ecma_array() -> None:
    """Players and servers expect marker 8 there."""
    assert serialize_metadata({"a": 1})[:14] == b"\x02\x00\x0aonMetaData\x08"
    assert scanned(serialize_tag(SCRIPT, 0, serialize_metadata({})))[0][0][0] == SCRIPT


def test_tags_of_other_types_are_passed_by() -> None:
    """Data in AMF3 (15), as some servers send; a tag that ends where it says is one."""
    tags: list[Tag] = []
    data = serialize_tag(VIDEO, 0, b"one") + serialize_tag(15, 5, b"amf3") + serialize_tag(AUDIO, 9, b"two")
    for end in range(len(data) + 1):
        tags.clear()
        start = scan_tags(memoryview(data), 0, end, tags)
        scan_tags(memoryview(data), start, len(data), tags)
        assert [bytes(body) for _, _, body in tags] == [b"one", b"two"]


def test_a_second_file_header_is_passed_by() -> None:
    """Of files that a server puts one behind the other."""
    tags: list[Tag] = []
    data = serialize_tag(VIDEO, 0, b"one") + serialize_flv_header(True, True) + serialize_tag(VIDEO, 0, b"two")
    assert scan_tags(memoryview(data), 0, len(data), tags) == len(data)
    assert [bytes(body) for _, _, body in tags] == [b"one", b"two"]


def test_what_only_looks_like_a_tag_ends_the_stream() -> None:
    """Its size and what follows do not agree."""
    with pytest.raises(RemoteProtocolError):
        scan_tags(memoryview(b"\x0f\0\0\x04" + bytes(40)), 0, 44, [])
