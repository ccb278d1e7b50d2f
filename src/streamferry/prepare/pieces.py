"""Pieces of another machine's preparation, as they come from a bucket: nothing of them is believed unread.

The relay process believes its preparation process, so what is passed on to it is put together here from what it may
be. Others may have put there anything: another version of this program, a disk that rots, a stranger with the keys.
"""

import json
from array import array
from collections.abc import Sequence
from typing import Any

from streamferry.media.errors import RemoteProtocolError
from streamferry.media.tag import SCRIPT
from streamferry.prepare.cache import Summary
from streamferry.prepare.form import Form
from streamferry.prepare.home import PIECE_HEAD
from streamferry.prepare.journal import Message
from streamferry.wire.flv import parse_metadata
from streamferry.wire.rtmp.chunk_file import TRACKS, Index, read_headers

#: What reading them may raise.
UNREADABLE = (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError, RemoteProtocolError)
_MOST = 1 << 62
_STEP_BYTES = 16


class PieceReader:
    """Reads the pieces of one preparation in their order. All it raises is ``UNREADABLE``."""

    def __init__(self) -> None:
        self.media_bytes = self.steps_bytes = 0
        #: Players may start.
        self.is_ready = False
        self._head = bytearray()
        self._first_offset = self._end = self._steps = 0
        self._has_headers = False
        #: The last byte of the media that the index names.
        self._furthest = 0

    def read(self, piece: bytes) -> tuple[memoryview, memoryview, list[Message]]:
        """Media and steps of the index, to be appended, and what to say of them; ``ready`` is without its inode."""
        data = memoryview(piece)
        if len(data) < PIECE_HEAD.size:
            raise ValueError
        words, media_bytes, steps_bytes = PIECE_HEAD.unpack_from(data)
        at = PIECE_HEAD.size + words
        if len(data) != at + media_bytes + steps_bytes or steps_bytes % _STEP_BYTES:
            raise ValueError
        media, steps = data[at : at + media_bytes], data[at + media_bytes :]
        if not self._has_headers:
            self._head += media
        self.media_bytes += media_bytes
        self.steps_bytes += steps_bytes
        self._furthest = max(self._furthest, *array("Q", bytes(steps))[1::2], 0)
        lines = bytes(data[PIECE_HEAD.size : at]).splitlines()
        return media, steps, [said for line in lines if (said := self._checked(json.loads(line)))]

    def check_whole(self, summary: Summary, index: Index) -> None:
        """The end of it: raises if it is not of what was read."""
        Form.from_json(_form(summary.form.to_json()))
        numbers = (summary.end_offset, summary.duration_ms, summary.claimed_ms, summary.dropped_tags)
        for number in (*numbers, *(one for end in summary.ends.values() for one in end)):
            _number(number)
        furthest = max(self._furthest, *index.place_offsets, *index.step_offsets)
        if (
            self.media_bytes != summary.end_offset
            or furthest > summary.end_offset
            or not summary.ends.keys() <= {*TRACKS}
        ):
            raise ValueError
        if not isinstance(summary.ended_early, bool) or not isinstance(summary.changes_headers, bool):
            raise TypeError

    def _checked(self, message: Any) -> Message:
        if not message.keys() <= {"claimed_ms", "ready", "end", "media_ms", "index"}:
            raise ValueError
        said: Message = {name: _number(message[name]) for name in ("claimed_ms", "media_ms") if name in message}
        if "ready" in message:
            said["ready"] = self._ready(message["ready"])
        if "index" in message:
            said["end"] = self._end = _number(message["end"], self._end, self.media_bytes)
            said["index"] = self._index(message["index"])
            self._check_headers()
        return said

    def _ready(self, ready: Any) -> Message:
        if self.is_ready or not {*ready["tracks"]} <= {*TRACKS}:
            raise ValueError
        self.is_ready = True
        self._first_offset = _number(ready["first_offset"])
        return {"first_offset": self._first_offset, "tracks": list(ready["tracks"]), "form": _form(ready["form"])}

    def _index(self, more: Any) -> Message:
        self._steps = _number(more["steps"], self._steps, self.steps_bytes)
        if not isinstance(more["changes"], bool) or self._steps % _STEP_BYTES:
            raise ValueError
        places = _pairs(more["places"])
        self._furthest = max(self._furthest, *(offset for _, offset in places), 0)
        firsts = {str(track): _pairs(more["firsts"][str(track)]) for track in TRACKS}
        return {"steps": self._steps, "places": places, "firsts": firsts, "changes": more["changes"]}

    def _check_headers(self) -> None:
        """What players begin with, which the relay process reads at once."""
        if self._has_headers:
            return
        if not self.is_ready or not self._first_offset <= self._end:
            raise ValueError
        headers = read_headers(memoryview(bytes(self._head)), self._first_offset)
        if not headers:
            raise ValueError
        for tag_type, _, body in headers:
            if tag_type == SCRIPT:
                parse_metadata(body)
        self._has_headers = True
        self._head.clear()


def _number(value: Any, least: int = 0, most: int = _MOST) -> int:
    if type(value) is not int or not least <= value <= most:
        raise ValueError
    return value


def _pairs(values: Sequence[Any]) -> list[tuple[int, int]]:
    """Stamps and offsets."""
    return [(_number(stamp_ms), _number(offset)) for stamp_ms, offset in values]


def _form(data: Any) -> dict[str, Any]:
    for kind, length in (("video", 5), ("audio", 3)):
        if (track := data[kind]) is not None:
            codec, *numbers = track
            if not isinstance(codec, str) or len(numbers) != length - 1 or not all(_number(one, 1) for one in numbers):
                raise ValueError
    return Form.from_json(data).to_json()
