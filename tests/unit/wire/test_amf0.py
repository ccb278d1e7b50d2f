"""AMF0 values, read and written."""

from datetime import UTC, datetime

import pytest

from streamferry.media.errors import LocalProtocolError, RemoteProtocolError
from streamferry.wire.amf0 import MAX_DEPTH, MAX_VALUES, EcmaArray, parse_amf0, serialize_amf0


@pytest.mark.parametrize(
    ("data", "value"),
    [
        ("00 4000000000000000", 2.0),
        ("01 01", True),
        ("02 0003 616263", "abc"),
        ("03 0001 61 05 000009", {"a": None}),
        ("05", None),
        ("06", None),
        ("08 00000001 0001 61 0101 000009", {"a": True}),
        ("0a 00000002 05 0100", [None, False]),
        ("0b 0000000000000000 0000", datetime(1970, 1, 1, tzinfo=UTC)),
        ("0c 00000001 61", "a"),
        ("0d", None),
        ("0f 00000001 61", "a"),
        ("10 0003 4c6f67 0001 61 05 000009", {"a": None}),
    ],
)
def test_each_type_is_read(data: str, value: object) -> None:
    """Every type a media peer may send has a Python value."""
    assert parse_amf0(bytes.fromhex(data)) == [value]


@pytest.mark.parametrize(
    ("value", "data"),
    [
        (1, "00 3ff0000000000000"),
        (True, "01 01"),
        ("a", "02 0001 61"),
        (None, "05"),
        ({"a": "b"}, "03 0001 61 02 0001 62 000009"),
        (EcmaArray(a="b"), "08 00000001 0001 61 02 0001 62 000009"),
        (["a"], "0a 00000001 02 0001 61"),
    ],
)
def test_each_type_is_written(value: object, data: str) -> None:
    """The bytes are those of the specification."""
    assert serialize_amf0(value) == bytes.fromhex(data)


def test_text_of_65536_bytes_becomes_a_long_string() -> None:
    """The length that fits in 16 bits is a string, one more a long string."""
    assert serialize_amf0("a" * 65535)[0] == 0x02
    assert serialize_amf0("a" * 65536)[0] == 0x0C
    assert parse_amf0(serialize_amf0("a" * 65536)) == ["a" * 65536]


def test_an_ecma_array_without_end_marker_is_read_if_all_its_values_are_there() -> None:
    """Some encoders leave the marker out at the end of onMetaData."""
    whole = serialize_amf0(EcmaArray(a=1, b=2))
    assert parse_amf0(whole[:-3]) == [{"a": 1.0, "b": 2.0}]
    with pytest.raises(RemoteProtocolError):
        parse_amf0(serialize_amf0(EcmaArray(a=1, b=2), None)[:-13])


def test_an_empty_name_is_a_name() -> None:
    """Only an empty name followed by the end marker ends an object."""
    assert parse_amf0(serialize_amf0({"": 1, "a": 2})) == [{"": 1.0, "a": 2.0}]


def test_text_that_is_not_utf8_does_not_end_the_stream() -> None:
    """GBK from a Chinese encoder is read with replacement characters."""
    assert parse_amf0(bytes.fromhex("02 0002 d6d0")) == ["\ufffd\ufffd"]


def test_a_date_out_of_range_is_no_date() -> None:
    """Infinity, not-a-number and the year 300000 are read as None."""
    for number in ("7ff0000000000000", "7ff8000000000000", "4341c37937e08000"):
        assert parse_amf0(bytes.fromhex(f"0b {number} 0000")) == [None]


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ("11 0a", "AMF3"),
        ("07 0000", "reference"),
        ("0e", "unknown type"),
        ("ff", "unknown type"),
        ("00 40", "ends before"),
        ("02 0005 61", "ends before"),
        ("03 0001 61 05", "ends before"),
        ("0a 7fffffff 05", "more values than"),
    ],
)
def test_what_cannot_be_read_is_refused_in_words(data: str, sentence: str) -> None:
    """Truncated, unsupported and impossible values are the peer's protocol errors."""
    with pytest.raises(RemoteProtocolError, match=sentence):
        parse_amf0(bytes.fromhex(data))


def test_nesting_is_limited() -> None:
    """A message cannot exhaust the stack."""
    parse_amf0(bytes.fromhex("0a00000001") * MAX_DEPTH + b"\x05")
    with pytest.raises(RemoteProtocolError, match="nested"):
        parse_amf0(bytes.fromhex("0a00000001") * (MAX_DEPTH + 1) + b"\x05")


def test_the_number_of_values_is_limited() -> None:
    """A message of one-byte values cannot make millions of objects out of them."""
    assert len(parse_amf0(b"\x05" * 1000)) == 1000
    with pytest.raises(RemoteProtocolError, match="more than"):
        parse_amf0(b"\x0a" + (MAX_VALUES + 1).to_bytes(4, "big") + b"\x05" * (MAX_VALUES + 1))


@pytest.mark.parametrize("value", [object(), b"bytes", 10**400, {"a" * 65536: 1}])
def test_what_amf0_cannot_hold_is_our_error(value: object) -> None:
    """A value without a type, or too large for it, is a bug of the caller."""
    with pytest.raises(LocalProtocolError):
        serialize_amf0(value)
