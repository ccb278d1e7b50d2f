"""Where in an MPEG-TS or FLV file another stretch begins: a recording behind another one, a change of format.

Readers take the first headers for those of the whole file, and what begins anew is squeezed into steps of 1 ms. So such
a file is read as several. Fed with its bytes from the beginning, in pieces split anywhere.

    MPEG-TS   the size of the picture (SPS), or rate, channels or profile of AAC (ADTS) change; or all tracks have
              other numbers, or one another kind. It begins at the program table before that
    FLV       a track's stamps fall back by more than a second, or another file header follows

Specification: ISO/IEC 13818-1, 2.4.3 and 2.4.4 (packets, PES, tables); ISO/IEC 14496-3, 1.A.2.2 (ADTS); FLV annex E.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

from streamferry.media.tag import AUDIO, SCRIPT, SEQUENCE_HEADER, VIDEO, kind_of_audio, kind_of_video
from streamferry.wire.codecs import avc_set_size, hevc_set_size
from streamferry.wire.flv import serialize_flv_header

TS_PACKET_BYTES = 188
_LONG_PACKET_BYTES = 192
_SYNC = 0x47
# Second byte of a packet in which a table or a PES packet begins (payload_unit_start_indicator).
_STARTS = re.compile(rb"[\x40-\x7f\xc0-\xff]")
_ADTS, _AVC, _HEVC = 0x0F, 0x1B, 0x24
_AVC_SET = re.compile(rb"\x00\x00\x01[\x07\x27\x47\x67]")
_HEVC_SET = re.compile(rb"\x00\x00\x01[\x42\x43]")
_CODES = re.compile(rb"\x00\x00[\x00\x01]")
# Tables come each 0.5 s at the latest; so much is held back for one that may turn out to begin a stretch.
_MAX_HELD_BYTES = 2 << 20
# Parameter sets come before the picture, and sometimes after what an encoder says of itself.
_PICTURE_HEAD_BYTES = 4096
_MAX_AHEAD_BYTES = 128 << 10

_RESTART_MS = 1000
_TAG_HEAD_BYTES = 11
_MAX_HEADER_BYTES = 64 << 10
_MAX_NEW_HEADERS_BYTES = 256 << 10


class Stretches:
    """Base. ``begin`` is where the present stretch begins, ``cut`` where the next does, once that is known.

    All before ``safe`` belongs to the present one. ``prefix`` has to be read before the bytes from ``cut`` on. This
    class itself finds none.
    """

    def __init__(self, begin: int) -> None:
        self.begin = self.safe = begin
        self.cut: int | None = None
        self.prefix = b""

    def feed(self, data: bytes) -> None:
        """The next bytes of the file."""
        self.safe += len(data)


@dataclass(slots=True)
class _Table:
    """A program table since the sound was last seen as it was: what follows may be the next stretch already."""

    at: int
    #: Its packets do not continue those before: two files were put together here.
    is_splice: bool
    #: A picture that needs no other follows.
    is_entry: bool = False


class TsStretches(Stretches):
    """Of a transport stream, with packets of 188 bytes or, with a time in front of each, 192."""

    def __init__(self, begin: int) -> None:
        super().__init__(begin)
        self._step = 0
        self._rest = b""
        self._at = begin
        self._tables = [_Table(begin, is_splice=False)]
        self._counter = -1
        self._map_pid = -1
        self._tracks: dict[int, int] = {}
        self._forms: dict[int, object] = {}
        # Of sound, another form seen once: what does not begin with a frame may look like the head of one.
        self._doubtful: dict[int, object] = {}
        # Whether there is a track with a picture, and whether one was there before the present tracks.
        self._has_picture = self._had_picture = False

    def feed(self, data: bytes) -> None:
        data = self._rest + data
        if not self._step:
            if len(data) <= 2 * _LONG_PACKET_BYTES:
                self._rest = data
                return
            is_long = data[4] == data[4 + _LONG_PACKET_BYTES] == _SYNC and data[TS_PACKET_BYTES] != _SYNC
            self._step = _LONG_PACKET_BYTES if is_long else TS_PACKET_BYTES
        end = len(data) - len(data) % self._step
        first = self._step - TS_PACKET_BYTES
        view = memoryview(data)
        for found in _STARTS.finditer(data[first + 1 : end : self._step]):
            place = found.start() * self._step
            if data[place + first] != _SYNC:
                continue
            is_new = self._looks_new(view[place:end], self._at + place)
            if is_new is None:
                # It goes on in the next piece.
                end = place
                break
            if is_new:
                self.cut = self._choose()
            if self.cut is not None:
                return
        self._rest, self._at = data[end:], self._at + end
        while len(self._tables) > 1 and self._at - self._tables[0].at > _MAX_HELD_BYTES:
            del self._tables[0]
        # Where tables are rare, or there is only the first, what comes so long after one is not held back for it.
        self.safe = max(self.safe, self._tables[0].at, self._at - _MAX_HELD_BYTES)

    def _choose(self) -> int | None:
        """Where the next stretch begins, now that something of it was seen; None without a table to begin it with."""
        tables = [one for one in self._tables if one.at > self.begin and one.at >= self.safe]
        chosen = [one for one in tables if one.is_splice] or [one for one in tables if one.is_entry] or tables
        return chosen[0].at if chosen else None

    def _looks_new(self, packets: memoryview, at: int) -> bool | None:
        """The packet at the front, in which something begins; None if more of what follows has to be known."""
        packet = bytes(packets[self._step - TS_PACKET_BYTES : self._step])
        pid = _pid(packet)
        content = _content(packet)
        if pid == 0:
            is_splice = self._counter >= 0 and packet[3] & 15 != (self._counter + 1) & 15
            self._counter = packet[3] & 15
            # The first one, before any map of tracks, begins the present stretch.
            if self._tracks:
                if not any(kind in self._tracks.values() for kind in (_ADTS, _AVC, _HEVC)):
                    # Nothing of it is looked at, but for the numbers of its tracks.
                    self._tables.clear()
                self._tables.append(_Table(at, is_splice))
            section = content[1 + content[0] :] if content else b""
            # Behind the head of 8 bytes: number of a program, and the PID of its map; 0 is the network's.
            programs = (section[place : place + 4] for place in range(8, len(section) - 3, 4))
            self._map_pid = next((_pid(one[1:]) for one in programs if any(one[:2])), self._map_pid)
            return False
        if pid == self._map_pid:
            return self._has_other_tracks(content)
        kind = self._tracks.get(pid)
        if kind is None or content[:3] != b"\0\0\1" or len(content) <= 9:
            return False
        if kind != _ADTS:
            self._has_picture = True
            is_entry = bool(packet[3] & 0x20 and packet[4] and packet[5] & 0x40)
            self._tables[-1].is_entry = self._tables[-1].is_entry or is_entry
            if is_entry and (content := self._gather(packets, pid)) == b"":
                return None
        form = _form_of(kind, content[9 + content[8] :])
        if form is None:
            return False
        if self._forms.setdefault(pid, form) != form:
            if kind == _ADTS and self._doubtful.get(pid) != form:
                self._doubtful[pid] = form
                return False
            self._forms[pid] = form
            # Sound that came before the picture: the form of the file is that of its picture.
            return self._had_picture or not self._has_picture
        self._doubtful.pop(pid, None)
        if kind == _ADTS or _ADTS not in self._tracks.values():
            self._had_picture = self._has_picture
            del self._tables[:-1]
        return False

    def _gather(self, packets: memoryview, pid: int) -> bytes:
        """The first part of a PES packet; empty if more of it may come than is there."""
        content = b""
        for place in range(self._step - TS_PACKET_BYTES, len(packets) - TS_PACKET_BYTES + 1, self._step):
            packet = bytes(packets[place : place + TS_PACKET_BYTES])
            if _pid(packet) != pid:
                continue
            if content and packet[1] & 0x40:
                return content
            content += _content(packet)
            if len(content) >= _PICTURE_HEAD_BYTES:
                return content
        return content if len(packets) >= _MAX_AHEAD_BYTES else b""

    def _has_other_tracks(self, content: bytes) -> bool:
        section = content[1 + content[0] :] if content else b""
        end = min(len(section), 3 + (int.from_bytes(section[1:3]) & 0xFFF)) - 4
        place = 12 + (int.from_bytes(section[10:12]) & 0xFFF)
        tracks: dict[int, int] = {}
        while place + 5 <= end:
            tracks[_pid(section[place:])] = section[place]
            place += 5 + (int.from_bytes(section[place + 3 : place + 5]) & 0xFFF)
        known = self._tracks.items() & tracks.items()
        # All are others, or a number that was one's is another's: added and missing ones are left to ffmpeg.
        is_new = bool(self._tracks and tracks) and (
            not known or any(self._tracks.get(pid, kind) != kind for pid, kind in tracks.items())
        )
        self._tracks |= tracks
        if is_new:
            # Its program table stands right before it.
            del self._tables[:-1]
        return is_new and self._tables[-1].at > self.begin


def _pid(data: bytes) -> int:
    """The number of 13 bits in the second and third byte, of a packet and of an entry of a table."""
    return (data[1] & 0x1F) << 8 | data[2]


def _content(packet: bytes) -> bytes:
    begin = 4 + (1 + packet[4] if packet[3] & 0x20 else 0)
    return packet[begin:] if packet[3] & 0x10 else b""


def _form_of(kind: int, media: bytes) -> object:
    """What the beginning of a PES packet says of its track; None if it does not say."""
    if kind == _ADTS:
        if len(media) < 4 or media[0] != 0xFF or media[1] & 0xF6 != 0xF0:
            return None
        # Profile, rate and channels.
        return media[2] & 0xFD, media[3] & 0xC0
    pattern, size_of = (_AVC_SET, avc_set_size) if kind == _AVC else (_HEVC_SET, hevc_set_size)
    if kind not in (_AVC, _HEVC) or (found := pattern.search(media)) is None:
        return None
    end = _CODES.search(media, found.end())
    return _size(media[found.end() - 1 : end.start() if end else len(media)], size_of)


def _size(unit: bytes, size_of: Callable[[bytes], tuple[int, int]]) -> object:
    try:
        return size_of(unit)
    except (ValueError, IndexError):
        return None


class FlvStretches(Stretches):
    """Of an FLV file; ``begin`` is 0, or where a further stretch begins."""

    def __init__(self, begin: int) -> None:
        super().__init__(begin)
        self._data = bytearray()
        self._at = begin
        # Up to where bodies are of no interest.
        self._next = begin
        self._is_lost = False
        self._is_first = True
        self._last_ms: dict[int, int] = {}
        self._headers: dict[int, bytes] = {}
        # Headers since the last frame, and where they begin: they belong to what follows them.
        self._new_headers: dict[int, bytes] = {}
        self._new_at = begin

    def feed(self, data: bytes) -> None:
        self._data += data
        while not self._is_lost and self.cut is None and self._take_tag():
            pass
        skipped = min(max(0, self._next - self._at), len(self._data))
        del self._data[:skipped]
        self._at += skipped
        if self._is_lost:
            self._data.clear()
        self.safe = self._new_at if self._new_headers else self._next

    def _take_tag(self) -> bool:
        """One tag, if its head is there, and its body where that may be a header."""
        place = self._next - self._at
        head = bytes(self._data[place : place + _TAG_HEAD_BYTES]) if place < len(self._data) else b""
        if len(head) < _TAG_HEAD_BYTES:
            return False
        if head[:4] == b"FLV\x01":
            if not self._is_first:
                self.cut = self._next
                return False
            self._is_first = False
            self._next += int.from_bytes(head[5:9]) + 4
            return True
        self._is_first = False
        tag_type, size = head[0], int.from_bytes(head[1:4])
        if tag_type not in (AUDIO, VIDEO, SCRIPT):
            # Damaged, or encrypted: what follows is not looked into.
            self._is_lost = True
            self._settle()
            self._next = 1 << 62
            return False
        whole = _TAG_HEAD_BYTES + size + 4
        may_be_header = tag_type != SCRIPT and size <= _MAX_HEADER_BYTES
        if may_be_header and place + whole > len(self._data):
            return False
        body = bytes(self._data[place + _TAG_HEAD_BYTES : place + _TAG_HEAD_BYTES + size]) if may_be_header else b""
        kind = kind_of_video(body) if tag_type == VIDEO else kind_of_audio(body)
        is_header = may_be_header and kind == SEQUENCE_HEADER
        stamp_ms = int.from_bytes(head[4:7]) | head[7] << 24
        if is_header:
            # Its stamp says nothing: some servers give it 0, some the time at which the recording began.
            if not self._new_headers or self._next - self._new_at > _MAX_NEW_HEADERS_BYTES:
                self._settle()
                self._new_at = self._next
            self._new_headers[tag_type] = bytes(self._data[place : place + whole])
        elif tag_type != SCRIPT:
            if stamp_ms < self._last_ms.get(tag_type, 0) - _RESTART_MS:
                self.cut = self._new_at if self._new_headers else self._next
                kept = (header for kind, header in self._headers.items() if kind not in self._new_headers)
                self.prefix = serialize_flv_header(True, True) + b"".join(kept)
                return False
            self._settle()
            self._last_ms[tag_type] = max(stamp_ms, self._last_ms.get(tag_type, 0))
        self._next += whole
        return True

    def _settle(self) -> None:
        """The headers are of the present stretch."""
        self._headers |= self._new_headers
        self._new_headers.clear()
