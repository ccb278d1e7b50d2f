"""RTMP messages: commands, user control, data, aggregates."""

import pytest

from streamferry.media.errors import RemoteProtocolError
from streamferry.media.tag import AUDIO, SCRIPT, VIDEO
from streamferry.wire.amf0 import serialize_amf0
from streamferry.wire.flv import serialize_metadata, serialize_tag
from streamferry.wire.rtmp.message import (
    MessageType,
    UserControl,
    parse_command,
    parse_status,
    parse_user_control,
    serialize_command,
    serialize_set_buffer_length,
    serialize_user_control,
    split_aggregate,
    tags_of_message,
)


def test_a_command_is_read_as_it_was_written() -> None:
    """Name, transaction id, and the values behind them."""
    command = parse_command(MessageType.COMMAND, serialize_command("publish", 5, None, "key", "live"))
    assert command == ("publish", 5.0, [None, "key", "live"])
    assert command.text(1) == "key"
    assert command.text(0) == command.text(9) == ""
    assert command.fields(0) == {}


def test_an_amf3_command_is_amf0_behind_a_zero_byte() -> None:
    """Flash clients with objectEncoding 3 send type 17."""
    payload = serialize_command("connect", 1, {"app": "live"})
    assert parse_command(MessageType.COMMAND_AMF3, b"\x00" + payload).fields(0) == {"app": "live"}


def test_the_information_of_an_answer_is_found_wherever_it_stands() -> None:
    """Servers put it first or second; an object without a code or description is not it."""
    payload = serialize_command("_error", 1, {"fmsVer": "x"}, {"level": "error", "code": "c"})
    assert parse_command(MessageType.COMMAND, payload).information["code"] == "c"


@pytest.mark.parametrize("payload", [b"", serialize_amf0(1.0), b"\x02\x00\x05ab"])
def test_a_command_without_a_name_is_refused(payload: bytes) -> None:
    """The first value is the name, as text."""
    with pytest.raises(RemoteProtocolError):
        parse_command(MessageType.COMMAND, payload)


def test_a_command_without_transaction_id_has_0() -> None:
    """Some servers leave it out of onStatus."""
    assert parse_command(MessageType.COMMAND, serialize_amf0("onBWDone"))[:2] == ("onBWDone", 0.0)


def test_user_control_events() -> None:
    """Two bytes of type, four of argument; events of odd length have what is there."""
    assert serialize_user_control(UserControl.PING_REQUEST, 7) == bytes.fromhex("0006 00000007")
    assert parse_user_control(bytes.fromhex("0006 00000007")) == (6, 7)
    assert parse_user_control(bytes.fromhex("001a")) == (26, 0)
    assert serialize_set_buffer_length(1, 3000) == bytes.fromhex("0003 00000001 00000bb8")
    with pytest.raises(RemoteProtocolError):
        parse_user_control(b"\x00")


def test_an_aggregate_is_split_and_its_stamps_moved() -> None:
    """The first tag gets the stamp of the message, the others keep their distance to it (7.1.6)."""
    payload = serialize_tag(AUDIO, 1000, b"a") + serialize_tag(VIDEO, 1040, b"v")
    assert split_aggregate(50, payload) == [(AUDIO, 50, b"a"), (VIDEO, 90, b"v")]
    assert split_aggregate(0xFFFFFFFF, payload)[1][1] == 39
    assert split_aggregate(5, b"") == []


def test_a_cut_aggregate_loses_what_is_cut() -> None:
    """It was no stream at all from a server that cuts them, or puts tags of other types in."""
    whole = serialize_tag(AUDIO, 0, b"abc")
    assert [bytes(body) for _, _, body in split_aggregate(0, whole + whole[:-1])] == [b"abc"]
    assert [bytes(body) for _, _, body in split_aggregate(0, serialize_tag(15, 0, b"amf3") + whole)] == [b"abc"]


def test_an_aggregate_of_no_server_is_refused() -> None:
    """What fits into the 64 KiB that servers put together is taken; a flood of tiny tags is not even read."""
    tag = serialize_tag(AUDIO, 0, b"")
    assert len(split_aggregate(0, tag * ((64 << 10) // len(tag)))) == 4369
    with pytest.raises(RemoteProtocolError, match="an RTMP aggregate message has more than 5000 tags"):
        split_aggregate(0, tag * 500_000)


def test_media_messages_are_tags() -> None:
    """Audio and video as they are, enhanced headers and the Chinese HEVC codec id untouched."""
    assert tags_of_message(8, 5, b"\x90Opus") == [(AUDIO, 5, b"\x90Opus")]
    for body in (b"\x90hvc1", b"\x1c\x01\x00\x00\x00"):
        assert tags_of_message(9, 5, body) == [(VIDEO, 5, body)]
    assert tags_of_message(MessageType.AGGREGATE, 5, serialize_tag(VIDEO, 0, b"v")) == [(VIDEO, 5, b"v")]


def test_data_messages_become_script_tags() -> None:
    """Without ``@setDataFrame``, and without the zero byte of their AMF3 type."""
    metadata = serialize_metadata({"width": 1})
    for type_id, payload in (
        (18, metadata),
        (18, serialize_amf0("@setDataFrame") + metadata),
        (15, b"\x00" + metadata),
    ):
        assert tags_of_message(type_id, 5, payload) == [(SCRIPT, 5, metadata)]


@pytest.mark.parametrize(
    "payload",
    [
        serialize_amf0("|RtmpSampleAccess", True, True),
        serialize_amf0("onStatus", {"code": "NetStream.Data.Start"}),
        serialize_amf0(5),
        b"\x02\xff",
        b"",
    ],
)
def test_data_that_is_not_for_the_stream_is_left_out(payload: bytes) -> None:
    """What a server tells its players, and what cannot be read."""
    assert tags_of_message(18, 5, payload) == []


def test_other_messages_have_no_tags() -> None:
    """Shared objects, acknowledgements and unknown types."""
    for type_id in (0, 3, 16, 19, 99):
        assert tags_of_message(type_id, 5, b"abc") == []


def test_the_status_in_a_data_message() -> None:
    """onPlayStatus is how a server tells that a recording is over."""
    payload = serialize_amf0("onPlayStatus", {"code": "NetStream.Play.Complete"})
    assert parse_status(18, payload) == {"code": "NetStream.Play.Complete"}
    assert parse_status(18, serialize_metadata({"code": "x"})) == {}
    assert parse_status(9, payload) == {}
