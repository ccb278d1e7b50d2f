"""AMF0, the value format of RTMP commands and FLV script tags. Not AMF3: a value that switches to it is refused.

Specification: Adobe, Action Message Format AMF 0 (2007), section 2. Markers in parentheses there are the numbers here.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from enum import IntEnum
from struct import Struct
from typing import Any

from streamferry.media.errors import LocalProtocolError, RemoteProtocolError
from streamferry.reasons import Code

#: What AMF0 values become: None (null, undefined, unsupported), bool, float, str, aware UTC datetime (date),
#: list (strict array), dict (object, typed object), :class:`EcmaArray`. Ints are accepted when serializing.
Amf0Value = Any

#: Objects in objects. Commands nest three deep, metadata with a keyframe index two.
MAX_DEPTH = 16
#: Values in one message. The largest honest one is a keyframe index: 36 hours at one each 2 s, two arrays.
MAX_VALUES = 1 << 17

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_U16 = Struct(">H")
_U32 = Struct(">I")
_NUMBER = Struct(">d")
_DATE = Struct(">dh")


class EcmaArray(dict[str, Amf0Value]):
    """A dict that is serialized as an ECMA array, as ``onMetaData`` wants it. Parsing gives it too."""


class Marker(IntEnum):
    """Type markers (AMF0 section 2.1)."""

    NUMBER = 0x00
    BOOLEAN = 0x01
    STRING = 0x02
    OBJECT = 0x03
    MOVIECLIP = 0x04
    NULL = 0x05
    UNDEFINED = 0x06
    REFERENCE = 0x07
    ECMA_ARRAY = 0x08
    OBJECT_END = 0x09
    STRICT_ARRAY = 0x0A
    DATE = 0x0B
    LONG_STRING = 0x0C
    UNSUPPORTED = 0x0D
    RECORDSET = 0x0E
    XML_DOCUMENT = 0x0F
    TYPED_OBJECT = 0x10
    AVMPLUS_OBJECT = 0x11


class Amf0Reader:
    """Reads values one by one, for bodies that may have something else after the values that matter."""

    __slots__ = ("_data", "_end", "_max_values", "_position", "_values_left")

    def __init__(self, data: "bytes | memoryview", max_values: int = MAX_VALUES) -> None:
        self._data = bytes(data)
        self._position = 0
        self._end = len(data)
        self._max_values = self._values_left = max_values

    @property
    def at_end(self) -> bool:
        """True when every byte has been read."""
        return self._position >= self._end

    def read(self) -> Amf0Value:
        """The next value. Raises RemoteProtocolError if there is none, or it is malformed, refused or too large."""
        return self._value(0)

    def _take(self, size: int) -> int:
        """Position of the next ``size`` bytes, which become read."""
        position = self._position
        if size > self._end - position:
            raise RemoteProtocolError(Code.PROTOCOL_AMF_CUT_SHORT)
        self._position = position + size
        return position

    def _value(self, depth: int) -> Amf0Value:
        if depth > MAX_DEPTH:
            raise RemoteProtocolError(Code.PROTOCOL_AMF_TOO_DEEP, depth=MAX_DEPTH)
        if self._values_left == 0:
            raise RemoteProtocolError(Code.PROTOCOL_AMF_TOO_MANY, count=self._max_values)
        self._values_left -= 1
        marker = self._data[self._take(1)]
        match marker:
            case Marker.NUMBER:
                return _NUMBER.unpack_from(self._data, self._take(8))[0]
            case Marker.BOOLEAN:
                return self._data[self._take(1)] != 0
            case Marker.STRING:
                return self._string()
            case Marker.OBJECT:
                return self._pairs({}, depth)
            case Marker.NULL | Marker.UNDEFINED | Marker.UNSUPPORTED:
                return None
            case Marker.ECMA_ARRAY:
                # The count is a hint that encoders leave at 0: the end marker rules. Some leave that out at the end
                # of the message, which is only believed when the announced count has been read.
                count: int = _U32.unpack_from(self._data, self._take(4))[0]
                return self._pairs(EcmaArray(), depth, count)
            case Marker.STRICT_ARRAY:
                return self._strict_array(depth)
            case Marker.DATE:
                return self._date()
            case Marker.LONG_STRING | Marker.XML_DOCUMENT:
                return self._text(_U32.unpack_from(self._data, self._take(4))[0])
            case Marker.TYPED_OBJECT:
                self._string()  # the class name, which no media peer gives a meaning
                return self._pairs({}, depth)
            case Marker.AVMPLUS_OBJECT:
                raise RemoteProtocolError(Code.PROTOCOL_AMF3)
            case Marker.REFERENCE:
                raise RemoteProtocolError(Code.PROTOCOL_AMF_REFERENCE)
            case _:
                raise RemoteProtocolError(Code.PROTOCOL_AMF_UNKNOWN_TYPE, marker=marker)

    def _string(self) -> str:
        return self._text(_U16.unpack_from(self._data, self._take(2))[0])

    def _text(self, size: int) -> str:
        position = self._take(size)
        # Encoders put local encodings (GBK) into metadata: a wrong letter must not end a stream.
        return self._data[position : position + size].decode("utf-8", "replace")

    def _pairs(
        self, values: dict[str, Amf0Value], depth: int, end_may_miss_after: int | None = None
    ) -> dict[str, Amf0Value]:
        read = 0
        while not (self.at_end and read == end_may_miss_after):
            name = self._string()
            if not name and self._data[self._position : self._position + 1] == b"\x09":
                self._position += 1
                break
            values[name] = self._value(depth + 1)
            read += 1
        return values

    def _strict_array(self, depth: int) -> list[Amf0Value]:
        count: int = _U32.unpack_from(self._data, self._take(4))[0]
        if count > self._end - self._position:
            raise RemoteProtocolError(Code.PROTOCOL_AMF_ARRAY_LIES)
        return [self._value(depth + 1) for _ in range(count)]

    def _date(self) -> datetime | None:
        since_epoch_ms, _time_zone = _DATE.unpack_from(self._data, self._take(10))
        try:
            return _EPOCH + timedelta(milliseconds=since_epoch_ms)
        except (OverflowError, ValueError):  # beyond year 9999, or not a number
            return None


def parse_amf0(data: "bytes | memoryview", max_values: int = MAX_VALUES) -> list[Amf0Value]:
    """All values to the end of ``data``.

    Raises RemoteProtocolError for truncated, unknown, AMF3 and reference values, beyond MAX_DEPTH and ``max_values``.
    A date outside the years 1 to 9999 is None; text that is not UTF-8 has U+FFFD in place of the wrong bytes.
    """
    reader = Amf0Reader(data, max_values)
    values = []
    while not reader.at_end:
        values.append(reader.read())
    return values


def serialize_amf0(*values: Amf0Value) -> bytes:
    """The values one after another. Raises LocalProtocolError for a type or size AMF0 does not have."""
    out = bytearray()
    for value in values:
        _append(out, value)
    return bytes(out)


def _append(out: bytearray, value: Amf0Value) -> None:
    match value:
        case None:
            out.append(Marker.NULL)
        case bool():
            out += bytes((Marker.BOOLEAN, value))
        case int() | float():
            try:
                out += bytes((Marker.NUMBER,)) + _NUMBER.pack(float(value))
            except OverflowError:
                raise LocalProtocolError(Code.PROTOCOL_AMF_LARGE_NUMBER) from None
        case str():
            text = value.encode("utf-8", "replace")
            if len(text) <= 0xFFFF:
                out += bytes((Marker.STRING,)) + _U16.pack(len(text)) + text
            else:
                out += bytes((Marker.LONG_STRING,)) + _U32.pack(len(text)) + text
        case EcmaArray():
            out += bytes((Marker.ECMA_ARRAY,)) + _U32.pack(len(value))
            _append_pairs(out, value)
        case dict():
            out.append(Marker.OBJECT)
            _append_pairs(out, value)
        case list() | tuple():
            out += bytes((Marker.STRICT_ARRAY,)) + _U32.pack(len(value))
            for item in value:
                _append(out, item)
        case datetime():
            since_epoch_ms = (value - _EPOCH) / timedelta(milliseconds=1)
            out += bytes((Marker.DATE,)) + _DATE.pack(since_epoch_ms, 0)
        case _:
            raise LocalProtocolError(Code.PROTOCOL_AMF_NO_TYPE, type=type(value).__name__)


def _append_pairs(out: bytearray, values: Mapping[str, Amf0Value]) -> None:
    for name, value in values.items():
        text = name.encode("utf-8", "replace")
        if len(text) > 0xFFFF:
            raise LocalProtocolError(Code.PROTOCOL_AMF_LONG_NAME)
        out += _U16.pack(len(text)) + text
        _append(out, value)
    out += b"\x00\x00\x09"
