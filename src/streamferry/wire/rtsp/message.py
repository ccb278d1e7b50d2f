"""RTSP messages and the packets interleaved with them, as bytes and values.

Over one connection come responses, requests of the server, and packets of RTP and RTCP: ``$``, a channel, a length of
16 bits. Cameras are careless: lines end with a line feed alone, CSeq is missing, and bytes that belong to nothing lie
between two packets. Those are passed over, up to a bound.

Specification: RFC 2326, 4 to 7 (messages), 10.12 (interleaved packets), 12 (header fields).
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from struct import Struct

from streamferry.media.errors import RemoteProtocolError
from streamferry.reasons import Code

#: Of the lines before a body; and of a body: descriptions have some hundred bytes a track.
MAX_HEAD_BYTES = 16 << 10
MAX_BODY_BYTES = 64 << 10
#: Bytes in a row that belong to no message.
MAX_STRANGE_BYTES = 1 << 18
_MAX_FIELDS = 100
#: What a packet begins with; a channel and a size follow.
PACKET = 0x24
PACKET_HEAD_BYTES = 4
_RESPONSE = b"RTSP/"
#: What servers may ask of a client.
_METHODS = (
    *(b"OPTIONS", b"ANNOUNCE", b"GET_PARAMETER", b"SET_PARAMETER", b"REDIRECT", b"TEARDOWN", b"PLAY_NOTIFY"),
    *(b"DESCRIBE", b"SETUP", b"PLAY", b"PAUSE", b"RECORD"),
)
_pack_head = Struct(">BBH").pack
# The longest of what a message begins with, and a blank.
_LOOK_BYTES = 16
# What may begin where bytes that belong to nothing end, beside packets; and the line ends between messages.
_BEGINS = rb"RTSP/|(?:" + b"|".join(_METHODS) + rb") "
_ANY_CHANNEL = rb"\x00-\xff"
_line_ends = re.compile(rb"[\r\n]*").match


@dataclass(slots=True)
class Message:
    """A response if it has a ``status``, else a request. ``fields``: by names in lower case; the same name in lines."""

    status: int = 0
    phrase: str = ""
    method: str = ""
    url: str = ""
    fields: dict[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def sequence(self) -> int | None:
        """The number of the request; None if it is missing or no number."""
        text = self.fields.get("cseq", "")
        return int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else None


#: What a reader gives: a message, or the channel of a packet and its bytes.
Piece = Message | tuple[int, bytes]
#: Takes the packets that lie in bytes from a place on, as far as they are whole and it knows their channels. Returns
#: where something else is.
TakePackets = Callable[[bytes, int], int]


def serialize_request(method: str, url: str, fields: Mapping[str, str]) -> bytes:
    """A request without a body. ``url`` and ``fields`` hold no line ends."""
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"{method} {url} RTSP/1.0\r\n{head}\r\n".encode()


def serialize_response(request: Message, status: int, phrase: str, fields: Mapping[str, str]) -> bytes:
    """The response to a request of the server."""
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    sequence = request.sequence
    number = f"CSeq: {sequence}\r\n" if sequence is not None else ""
    return f"RTSP/1.0 {status} {phrase}\r\n{number}{head}\r\n".encode()


def interleaved_head(channel: int, size: int) -> bytes:
    """What comes before a packet of so many bytes between messages."""
    return _pack_head(PACKET, channel, size)


def interleaved(channel: int, packet: bytes) -> bytes:
    """A packet as it is sent between messages."""
    return interleaved_head(channel, len(packet)) + packet


class MessageReader:
    """Takes bytes in any pieces. ``feed`` raises RemoteProtocolError for what is no RTSP."""

    def __init__(self) -> None:
        self._rest = b""
        self._strange = 0
        #: The message whose body is still to come, and how many bytes it has.
        self._message: Message | None = None
        self._body_bytes = 0
        self.channels = frozenset()
        #: Bytes passed over.
        self.skipped_bytes = 0

    @property
    def channels(self) -> frozenset[int]:
        """Those that packets come in; others are taken for bytes that belong to nothing. Empty: any."""
        return self._channels

    @channels.setter
    def channels(self, channels: frozenset[int]) -> None:
        self._channels = channels
        told = b"".join(b"\\x%02x" % one for one in sorted(channels)) or _ANY_CHANNEL
        self._find_begin = re.compile(rb"\$(?:[" + told + rb"]|\Z)|" + _BEGINS).search

    def feed(self, received: bytes | memoryview, out: list[Piece], take: TakePackets | None = None) -> None:
        """Append what has come as a whole now, except packets that ``take`` takes."""
        data = b"".join((self._rest, received))
        at, size, channels = 0, len(data), self._channels
        while at < size:
            if self._message is None and data[at] == PACKET:
                if take is not None and (following := take(data, at)) > at:
                    at, self._strange = following, 0
                    continue
                begin = at + PACKET_HEAD_BYTES
                if begin > size:
                    break
                channel = data[at + 1]
                if not channels or channel in channels:
                    end = begin + (data[at + 2] << 8 | data[at + 3])
                    if end > size:
                        break
                    out.append((channel, data[begin:end]))
                    at, self._strange = end, 0
                    continue
            following = self._read_message(data, at, out)
            if following < 0:
                break
            at = following
        self._rest = data[at:]

    def _read_message(self, data: bytes, at: int, out: list[Piece]) -> int:
        """Where to go on; -1: more has to come."""
        message = self._message
        if message is None:
            if data[at] in b"\r\n":
                found = _line_ends(data, at)
                return self._pass_by(at, found.end() if found is not None else at + 1)
            if not _begins_message(data, at):
                return self._skip(data, at)
            end, head_bytes = _end_of_head(data, at)
            if end < 0:
                if len(data) - at > MAX_HEAD_BYTES:
                    raise RemoteProtocolError(Code.PROTOCOL_RTSP_LARGE, max_bytes=MAX_HEAD_BYTES)
                return -1
            message = _parse_head(data[at : at + head_bytes])
            length = message.fields.get("content-length", "0").strip()
            self._body_bytes = int(length) if length.isascii() and length.isdecimal() and len(length) < 9 else 0
            if self._body_bytes > MAX_BODY_BYTES:
                raise RemoteProtocolError(Code.PROTOCOL_RTSP_LARGE, max_bytes=MAX_BODY_BYTES)
            self._message = message
            if self._body_bytes:
                return end
            at = end
        if at + self._body_bytes > len(data):
            return -1
        end = at + self._body_bytes
        message.body = data[at:end]
        out.append(message)
        self._message, self._strange = None, 0
        return end

    def _skip(self, data: bytes, at: int) -> int:
        """The next place where something may begin; -1 if what is there may be cut off."""
        found = self._find_begin(data, at + 1)
        end = found.start() if found is not None else len(data)
        # What begins a message may be cut off.
        for following in range(max(at + 1, len(data) - _LOOK_BYTES), end):
            if _begins_message(data, following):
                end = following
                break
        self.skipped_bytes += end - at
        return self._pass_by(at, end)

    def _pass_by(self, at: int, following: int) -> int:
        self._strange += following - at
        if self._strange > MAX_STRANGE_BYTES:
            raise RemoteProtocolError(Code.PROTOCOL_NOT_RTSP)
        return following


def _begins_message(data: bytes, at: int) -> bool:
    """Whether a message begins there, as far as it has come."""
    if not 65 <= data[at] <= 90:
        return False
    begin = data[at : at + _LOOK_BYTES]
    if begin.startswith(_RESPONSE) or _RESPONSE.startswith(begin):
        return True
    word, blank, _ = begin.partition(b" ")
    return word in _METHODS if blank else any(method.startswith(word) for method in _METHODS)


def _end_of_head(data: bytes, at: int) -> tuple[int, int]:
    """Where the body begins, and the bytes of the lines before the empty one; -1 if that has not come."""
    found = (-1, 0)
    limit = at + MAX_HEAD_BYTES
    for end in (b"\r\n\r\n", b"\n\n", b"\n\r\n"):
        if (place := data.find(end, at, limit)) >= 0:
            # Another one is of interest if it ends earlier.
            found, limit = (place + len(end), place - at), place + len(end) - 1
    return found


def _parse_head(head: bytes) -> Message:
    first, *lines = head.decode("utf-8", "replace").replace("\r", "").split("\n")
    message = Message()
    words = first.split(" ", 2)
    if first.startswith("RTSP/"):
        if len(words) < 2 or not (words[1].isascii() and words[1].isdecimal() and len(words[1]) == 3):
            raise RemoteProtocolError(Code.PROTOCOL_NOT_RTSP)
        message.status, message.phrase = int(words[1]), words[2].strip() if len(words) > 2 else ""
    else:
        message.method, message.url = words[0], words[1] if len(words) > 1 else ""
    if len(lines) > _MAX_FIELDS:
        raise RemoteProtocolError(Code.PROTOCOL_RTSP_LARGE, max_bytes=MAX_HEAD_BYTES)
    name = ""
    for line in lines:
        if line[:1] in (" ", "\t") and name:
            message.fields[name] += " " + line.strip()
            continue
        name, _, value = line.partition(":")
        name, value = name.strip().lower(), value.strip()
        message.fields[name] = f"{message.fields[name]}\n{value}" if name in message.fields else value
    return message
