"""RTMP messages: types, user control events, commands, aggregates. Not their order: see ``client`` and ``server``.

Specification: Adobe RTMP 1.0, sections 5.4 (protocol control), 6.2 (user control), 7.1 (types) and 7.2 (commands).
"""

from contextlib import suppress
from enum import IntEnum
from math import isfinite
from struct import Struct
from typing import NamedTuple

from streamferry.media.enhanced import tag_kind
from streamferry.media.errors import RemoteProtocolError
from streamferry.media.tag import KEYFRAME, SCRIPT, Tag
from streamferry.reasons import Code
from streamferry.wire.amf0 import Amf0Reader, Amf0Value, parse_amf0, serialize_amf0
from streamferry.wire.flv import AROUND_BODY_BYTES, scan_tags

_U16_U32 = Struct(">HI")
_U16_U32_U32 = Struct(">HII")


class MessageType(IntEnum):
    """Message type ids. Set Chunk Size and Abort never come out of a ChunkReader."""

    SET_CHUNK_SIZE = 1
    ABORT = 2
    ACKNOWLEDGEMENT = 3
    USER_CONTROL = 4
    WINDOW_ACK_SIZE = 5
    SET_PEER_BANDWIDTH = 6
    AUDIO = 8
    VIDEO = 9
    DATA_AMF3 = 15
    COMMAND_AMF3 = 17
    DATA = 18
    COMMAND = 20
    AGGREGATE = 22
    #: "Go on in another session": Facebook's ingest servers, before they stop.
    GO_AWAY = 32


class UserControl(IntEnum):
    """Event types of user control messages."""

    STREAM_BEGIN = 0
    STREAM_EOF = 1
    STREAM_DRY = 2
    SET_BUFFER_LENGTH = 3
    STREAM_IS_RECORDED = 4
    PING_REQUEST = 6
    PING_RESPONSE = 7


class ChunkStreamId(IntEnum):
    """The chunk streams we send on, as ffmpeg and librtmp number them."""

    CONTROL = 2
    COMMAND = 3
    AUDIO = 4
    DATA = 5
    VIDEO = 6
    STREAM_COMMAND = 8


#: Chunk stream for each type of tag.
CHUNK_STREAM_OF_TAG: dict[int, int] = {
    MessageType.AUDIO: int(ChunkStreamId.AUDIO),
    MessageType.VIDEO: int(ChunkStreamId.VIDEO),
    MessageType.DATA: int(ChunkStreamId.DATA),
}


# What publishers put before metadata, for the server.
_SET_DATA_FRAME = serialize_amf0("@setDataFrame")
_LONGEST_DATA_NAME_BYTES = 256
# Tags of an aggregate: servers make them of 64 KiB at most. One of 8 MiB has room for 500,000, for which all streams of
# a process would wait for seconds.
_MAX_AGGREGATE_TAGS = 5_000
#: Commands and statuses are read in the beat: anything larger is not one. Honest ones have some thirty values in 2 KiB.
MAX_COMMAND_BYTES = 16 << 10
MAX_COMMAND_VALUES = 500
# Of media that comes before the acceptance: a group of pictures of 20 Mbps, since an opening may last a minute.
_MAX_EARLY_BYTES = 8 << 20
# Of ids, which have 32 bits.
_MAX_DIGITS = 10
_DATA_FOR_PLAYERS = frozenset(("|RtmpSampleAccess", "onStatus", "onPlayStatus", "@clearDataFrame"))


class Command(NamedTuple):
    """A command message: ``values`` are those after name and transaction id, the first being the command object."""

    name: str
    transaction_id: float
    values: list[Amf0Value]

    def value(self, index: int) -> Amf0Value:
        """The value at ``index``, or None if there are fewer."""
        return self.values[index] if index < len(self.values) else None

    @property
    def information(self) -> dict[str, Amf0Value]:
        """The object that tells how a call went, wherever the server put it, or empty."""
        for value in self.values:
            if isinstance(value, dict) and ("code" in value or "description" in value):
                return value
        return {}

    def text(self, index: int) -> str:
        """The value at ``index`` if it is text, or empty."""
        value = self.value(index)
        return value if isinstance(value, str) else ""

    def fields(self, index: int) -> dict[str, Amf0Value]:
        """The value at ``index`` if it is an object, or empty."""
        value = self.value(index)
        return value if isinstance(value, dict) else {}


def parse_command(type_id: int, payload: "bytes | memoryview") -> Command:
    """A COMMAND or COMMAND_AMF3 message. The latter is AMF0 after a zero byte. Raises RemoteProtocolError.

    Servers call players with arguments that we have no use for, AMF3 among them: what follows one that cannot be read
    is left out.
    """
    body = payload if type_id == MessageType.COMMAND else _amf0_of_amf3(payload)
    if len(body) > MAX_COMMAND_BYTES:
        raise _large_command(body)
    reader = Amf0Reader(body, MAX_COMMAND_VALUES)
    values: list[Amf0Value] = []
    with suppress(RemoteProtocolError):
        while not reader.at_end:
            values.append(reader.read())
    if not values or not isinstance(values[0], str):
        raise RemoteProtocolError(Code.PROTOCOL_RTMP_NO_NAME)
    transaction_id = as_number(values[1]) if len(values) > 1 else None
    return Command(values[0], transaction_id or 0.0, values[2:])


def as_number(value: Amf0Value) -> float | None:
    """A number, also where a server writes it as text; None for anything else."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= _MAX_DIGITS:
        return float(value)
    return value if isinstance(value, float) else None


def _parse_bounded(body: "bytes | memoryview") -> list[Amf0Value]:
    if len(body) > MAX_COMMAND_BYTES:
        raise _large_command(body)
    return parse_amf0(body, MAX_COMMAND_VALUES)


def _large_command(body: "bytes | memoryview") -> RemoteProtocolError:
    return RemoteProtocolError(Code.PROTOCOL_RTMP_LARGE_COMMAND, size_bytes=len(body), max_bytes=MAX_COMMAND_BYTES)


def _amf0_of_amf3(payload: "bytes | memoryview") -> "bytes | memoryview":
    """The AMF0 part of a message of an AMF3 type: such messages begin with a zero byte and go on in AMF0."""
    return payload[1:] if payload and payload[0] == 0 else payload


def parse_status(type_id: int, payload: "bytes | memoryview") -> dict[str, Amf0Value]:
    """The information object of a data message named ``onStatus`` or ``onPlayStatus``; empty for any other message.

    Raises RemoteProtocolError if it is malformed.
    """
    body = _data_body(type_id, payload)
    if _data_name(body) not in ("onStatus", "onPlayStatus"):
        return {}
    return next((value for value in _parse_bounded(body) if isinstance(value, dict)), {})


def serialize_command(name: str, transaction_id: float, *values: Amf0Value) -> bytes:
    """Payload of a COMMAND message; the first of ``values`` is the command object, often None."""
    return serialize_amf0(name, transaction_id, *values)


def as_set_data_frame(body: "bytes | memoryview") -> "bytes | memoryview":
    """An ``onMetaData`` script body as a publisher sends it; one that says so already stays as it is."""
    return body if body[: len(_SET_DATA_FRAME)] == _SET_DATA_FRAME else _SET_DATA_FRAME + bytes(body)


def parse_user_control(payload: "bytes | memoryview") -> tuple[int, int]:
    """Event type and its first 4-byte argument, 0 if it has none. Raises RemoteProtocolError if too short."""
    if len(payload) < 2:
        raise RemoteProtocolError(Code.PROTOCOL_RTMP_SHORT_USER_CONTROL)
    return int.from_bytes(payload[:2], "big"), int.from_bytes(payload[2:6], "big")


def serialize_user_control(event: int, argument: int) -> bytes:
    """A user control event with one argument."""
    return _U16_U32.pack(event, argument)


def serialize_set_buffer_length(message_stream_id: int, length_ms: int) -> bytes:
    """The one user control event with two arguments."""
    return _U16_U32_U32.pack(UserControl.SET_BUFFER_LENGTH, message_stream_id, length_ms)


def tags_of_message(type_id: int, stamp_ms: int, payload: "bytes | memoryview") -> list[Tag]:
    """The tags a message carries: one for audio, video and data, several for an aggregate, none for all others.

    Data becomes a SCRIPT tag's body: without ``@setDataFrame``, which is for the server, and without the leading zero
    of its AMF3 type. Data that only servers and players have a use for, or that cannot be read, is left out.
    Raises RemoteProtocolError for an aggregate that is cut.
    """
    if type_id == MessageType.AUDIO or type_id == MessageType.VIDEO:
        return [(type_id, stamp_ms, payload)]
    if type_id == MessageType.DATA or type_id == MessageType.DATA_AMF3:
        body = _data_body(type_id, payload)
        name = _data_name(body)
        if name == "@setDataFrame":
            body = body[len(_SET_DATA_FRAME) :]
            name = _data_name(body)
        return [(SCRIPT, stamp_ms, body)] if name and name not in _DATA_FOR_PLAYERS else []
    if type_id == MessageType.AGGREGATE:
        tags = split_aggregate(stamp_ms, payload)
        return [tag for inner in tags for tag in tags_of_message(*inner)]
    return []


def bounded_early(tags: list[Tag]) -> list[Tag]:
    """What is kept of media that came before anybody asked for it: all; or headers, if that is large; or nothing."""
    for keeps_headers in (True, False):
        if sum(len(body) for _, _, body in tags) <= _MAX_EARLY_BYTES:
            break
        tags = [
            (tag_type, stamp_ms, bytes(body))
            for tag_type, stamp_ms, body in tags
            if keeps_headers and tag_kind(tag_type, body) > KEYFRAME
        ]
    return tags


def _data_body(type_id: int, payload: "bytes | memoryview") -> "bytes | memoryview":
    """The AMF0 values of a DATA or DATA_AMF3 message, nothing for another."""
    if type_id == MessageType.DATA:
        return payload
    return _amf0_of_amf3(payload) if type_id == MessageType.DATA_AMF3 else b""


def _data_name(body: "bytes | memoryview") -> str:
    """The name a data message begins with, or empty if it has none."""
    try:
        name = Amf0Reader(body[:_LONGEST_DATA_NAME_BYTES]).read()
    except RemoteProtocolError:
        return ""
    return name if isinstance(name, str) else ""


def split_aggregate(stamp_ms: int, payload: "bytes | memoryview") -> list[Tag]:
    """Tags of an AGGREGATE message (7.1.6), whose layout is that of FLV tags.

    Their stamps are moved so that the first has the message's. Raises RemoteProtocolError for what is no tag, and if
    there are more than any server puts together.
    """
    tags: list[Tag] = []
    at = count = 0
    while at < len(payload):
        count += 1
        if count > _MAX_AGGREGATE_TAGS:
            raise RemoteProtocolError(Code.PROTOCOL_RTMP_LARGE_AGGREGATE, count=_MAX_AGGREGATE_TAGS)
        at += AROUND_BODY_BYTES + int.from_bytes(payload[at + 1 : at + 4], "big")
    # The last one may be cut short: it is left out.
    scan_tags(memoryview(payload), 0, len(payload), tags)
    if not tags:
        return []
    moved_ms = stamp_ms - tags[0][1]
    return [(tag_type, (tag_stamp_ms + moved_ms) & 0xFFFFFFFF, body) for tag_type, tag_stamp_ms, body in tags]


# FourCcInfoMask of Enhanced RTMP v2: CanDecode and CanForward; CanEncode (2) says nothing of what is taken.
_CAN_TAKE = 0x01 | 0x04


def codecs_of(connected: Command) -> frozenset[str]:
    """What the answer to connect lists (Enhanced RTMP v2, "Enhancing NetConnection connect Command"): as a list, or as
    an object with what can be done with each.
    """
    found = set[str]()
    for value in connected.values:
        if isinstance(value, dict):
            for name in ("fourCcList", "videoFourCcInfoMap", "audioFourCcInfoMap"):
                listed = value.get(name)
                if isinstance(listed, list):
                    found |= {one for one in listed if isinstance(one, str)}
                elif isinstance(listed, dict):
                    found |= {one for one, can in listed.items() if _can_take(can)}
    return frozenset(found)


def _can_take(can: Amf0Value) -> bool:
    """What is no FourCcInfoMask says yes, unless it says no."""
    if isinstance(can, float):
        return isfinite(can) and bool(int(can) & _CAN_TAKE)
    return can is not False
