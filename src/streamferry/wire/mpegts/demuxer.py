"""MPEG-TS to tags: the picture and the sound of one program, whatever is lost, moves or changes on the way.

Packets that only continue a PES packet are taken many at a time: the bytes of their heads are looked at as columns. All
else is done for each PES packet. Lost packets cost the access unit that they were of, and never the session.

Specification: ISO/IEC 13818-1, 2.4.3.2 (packets), 2.4.3.4 (adaptation field), 2.4.3.6 (PES packets).
"""

import re
from collections.abc import Callable
from functools import cache
from struct import Struct

from streamferry.media.tag import Tag
from streamferry.wire.mpegts.pictures import MAX_PICTURE_BYTES, Pictures, units_of
from streamferry.wire.mpegts.sounds import Sounds
from streamferry.wire.mpegts.stamps import unwrapped
from streamferry.wire.mpegts.tables import Program, SectionReader, Stream, program_of, programs_of

PACKET_BYTES = 188
_SYNC = 0x47
# Bytes from one packet to the next: as they are, with a time stamp before each (M2TS), with Reed-Solomon bytes after.
_STRIDES = (188, 192, 204)
# So many packets in a row tell where packets begin.
_SURE = 4
_PAT_PID, _NULL_PID = 0, 0x1FFF
_READ_VIDEO, _READ_AUDIO = ("h264", "hevc"), ("aac", "latm", "mpeg")
# A program is chosen when all are known, or after so many bytes.
_PATIENCE_BYTES, _MAX_PROGRAMS = 1 << 20, 64
_WITHOUT_HEADER = frozenset((0xBC, 0xBE, 0xBF, 0xF0, 0xF1, 0xF2, 0xF8, 0xFF))

_HEAD_BYTES, _PAYLOAD_BYTES = 4, 184
#: Most packets that are taken at once; the last byte of heads that follow one another, which have payload alone.
_MOST_AT_ONCE = 64
_CONTINUED = bytes(0x10 | counter & 15 for counter in range(16 + _MOST_AT_ONCE))


@cache
def _payloads(stride: int, count: int) -> Callable[[bytes, int], tuple[bytes, ...]]:
    """What takes the payloads of so many packets."""
    return Struct((f"{_HEAD_BYTES}x{_PAYLOAD_BYTES}s{stride - PACKET_BYTES}x") * count).unpack_from


# By the byte: what finds how often it is repeated.
_RUN_OF = [re.compile(re.escape(bytes((byte,))) + b"+").match for byte in range(256)]


class _Pid:
    """What comes with one PID: a table, or an elementary stream."""

    __slots__ = ("counter", "is_damaged", "left", "pieces", "program", "reader", "sections", "size", "stream", "table")

    def __init__(self, stream: Stream | None = None, *, program: int | None = None) -> None:
        self.stream = stream
        self.program = program
        self.sections = SectionReader() if stream is None else None
        #: The payload of its last packet, if a table begins in it.
        self.table = b""
        self.reader: Pictures | Sounds | None = None
        self.counter = -1
        self.pieces: list[bytes] = []
        #: Bytes of the PES packet that have come, and how many there are, 0 if its head does not tell.
        self.size = self.left = 0
        self.is_damaged = True


class TsDemuxer:
    """Takes bytes in any pieces; memory is bounded by one PES packet for each of two streams."""

    #: How its media is encrypted: not told. The lowest stamp of what is told to come: nothing is.
    encrypted = ""
    pending_ms: int | None = None

    def __init__(self) -> None:
        self._rest = b""
        self._stride = 0
        self._pids: dict[int, _Pid] = {_PAT_PID: _Pid()}
        self._program_pids: dict[int, int] = {}
        self._programs: dict[int, Program] = {}
        self._program: Program | None = None
        self._last_ticks: int | None = None
        self._looked_bytes = 0
        #: Packets that the counters show to be missing.
        self.lost_packets = 0
        #: Bytes passed over in search of a packet.
        self.skipped_bytes = 0
        #: Whether what came last of a track was encrypted.
        self.is_scrambled = False

    @property
    def program(self) -> Program | None:
        """The program that is read, None until it is known."""
        return self._program

    @property
    def is_known(self) -> bool:
        """Whether the program is known."""
        return self._program is not None

    @property
    def has_sound(self) -> bool:
        """Whether the program says that it has sound."""
        return self._program is not None and "audio" in self._program.kinds

    @property
    def unsupported(self) -> str:
        """Name of a track that has to be encoded for FLV: its codec is none that is read. Empty if there is none."""
        program = self._program
        if program is None:
            return ""
        for kind, known in (("video", _READ_VIDEO), ("audio", _READ_AUDIO)):
            tracks = [stream for stream in program.streams if stream.kind == kind]
            if tracks and not any(stream.codec in known for stream in tracks):
                return tracks[0].codec
        for pid in self._pids.values():
            if isinstance(pid.reader, Sounds) and pid.reader.unsupported:
                return pid.reader.unsupported
        return ""

    def begin_segment(self) -> None:
        """The next bytes are the beginning of a segment: packets go on as they did."""

    def feed(self, data: bytes | memoryview, out: list[Tag]) -> None:
        """Append the tags of which all has come now; their bodies are bytes of their own."""
        if self._rest:
            data = self._rest + data
        elif not isinstance(data, bytes):
            data = bytes(data)
        size = len(data)
        if self._program is None:
            self._looked_bytes += size
            if self._looked_bytes > _PATIENCE_BYTES:
                self._choose(is_late=True, out=out)
        at = 0
        while at + (self._stride or PACKET_BYTES) <= size:
            if not self._stride or data[at] != _SYNC:
                found = self._find(data, at)
                self.skipped_bytes += found - at
                at = found
                if not self._stride:
                    break
                continue
            at = self._read_packets(data, at, size, out)
        self._rest = data[at:]

    def finish(self, out: list[Tag]) -> None:
        """Append what is held: no more will come that continues it."""
        for pid in self._pids.values():
            if pid.stream is not None:
                self._end_pes(pid, out)

    def _find(self, data: bytes, at: int) -> int:
        """Where packets begin from ``at`` on; sets the stride, to 0 if that cannot be told yet."""
        self._stride = 0
        size = len(data)
        while (at := data.find(b"\x47", at)) >= 0:
            for stride in _STRIDES:
                places = range(at + stride, min(size, at + _SURE * stride), stride)
                if len(places) == _SURE - 1 and all(data[place] == _SYNC for place in places):
                    self._stride = stride
                    return at
            if at + (_SURE - 1) * _STRIDES[-1] >= size:
                return at
            at += 1
        return size

    def _read_packets(self, data: bytes, at: int, size: int, out: list[Tag]) -> int:
        """Read packets from ``at`` on, up to the first that is none; returns where that is."""
        pids = self._pids
        stride = self._stride
        count = (size - at) // stride
        end = at + count * stride
        if (synced := _RUN_OF[_SYNC](data[at:end:stride], 0, count)) is None:
            return at
        count = synced.end()
        end = at + count * stride
        # The other bytes of all heads.
        first, second, third = data[at + 1 : end : stride], data[at + 2 : end : stride], data[at + 3 : end : stride]
        number = 0
        while number < count:
            high = first[number]
            pid = pids.get((high & 0x1F) << 8 | second[number])
            if pid is None or high & 0x80:
                number += 1
                continue
            if high & 0x40:
                begin = at + number * stride + _HEAD_BYTES
                control = third[number]
                if pid.stream is not None and pid.counter in (control & 15, -1) and control & 0xD0 == 0x10:
                    skipped = data[begin] + 1 if control & 0x20 else 0
                    if skipped < _PAYLOAD_BYTES and not (skipped > 1 and data[begin + 1] & 0x80):
                        # A PES packet begins, and nothing is strange.
                        if pid.pieces:
                            self._end_pes(pid, out)
                        pid.counter = control + 1 & 15
                        self._begin_pes(pid, data[begin + skipped : begin + _PAYLOAD_BYTES])
                        number += 1
                        if pid.left and pid.size >= pid.left:
                            self._end_pes(pid, out)
                        continue
            elif pid.pieces and pid.counter >= 0:
                taken = self._take_run(pid, data, at, number, first, second, third)
                if taken:
                    number += taken
                    if pid.left and pid.size >= pid.left:
                        self._end_pes(pid, out)
                    continue
            begin = at + number * stride + _HEAD_BYTES
            self._read_packet(pid, high, third[number], data[begin : begin + _PAYLOAD_BYTES], out)
            number += 1
        return end

    def _take_run(self, pid: _Pid, data: bytes, at: int, number: int, first: bytes, second: bytes, third: bytes) -> int:
        """Take the packets from this one on that are nothing but more payload of a PES packet; returns how many."""
        same = _RUN_OF[first[number]](first, number, number + _MOST_AT_ONCE)
        same = _RUN_OF[second[number]](second, number, same.end()) if same is not None else None
        if same is None:
            return 0
        end = same.end()
        # The last has stuffing, mostly.
        counter, last = pid.counter, third[end - 1]
        is_stuffed = bool(last & 0x20)
        plain = end - number - is_stuffed
        if third[number : number + plain] != _CONTINUED[counter : counter + plain] or (
            is_stuffed and last != _CONTINUED[counter + plain] | 0x20
        ):
            return 0
        stride = self._stride
        begin = at + number * stride
        if plain:
            pid.pieces += _payloads(stride, plain)(data, begin)
            pid.size += plain * _PAYLOAD_BYTES
        if is_stuffed:
            begin += plain * stride + _HEAD_BYTES
            length = data[begin]
            if (length and data[begin + 1] & 0x80) or length >= _PAYLOAD_BYTES - 1:
                # A discontinuity, or what cannot be.
                is_stuffed = False
            else:
                pid.pieces.append(data[begin + 1 + length : begin + _PAYLOAD_BYTES])
                pid.size += _PAYLOAD_BYTES - 1 - length
        count = plain + is_stuffed
        pid.counter = counter + count & 15
        if pid.size > MAX_PICTURE_BYTES:
            self._damage(pid)
        return count

    def _read_packet(self, pid: _Pid, high: int, control: int, payload: bytes, out: list[Tag]) -> None:
        """``high``, ``control``: the second and the last byte of its head."""
        is_start = bool(high & 0x40)
        if control & 0x20:
            length = payload[0]
            if length and payload[1] & 0x80:
                pid.counter = -1
            payload = payload[1 + length :]
        if not control & 0x10 or not payload:
            return
        counter = control & 15
        if counter != pid.counter and pid.counter >= 0:
            if counter == pid.counter - 1 & 15:
                return  # Sent twice (2.4.3.3).
            self.lost_packets += counter - pid.counter & 15
            self._damage(pid)
        pid.counter = counter + 1 & 15
        if pid.stream is None:
            # Tables come ten times a second, mostly as they were.
            if payload != pid.table:
                self._read_section(pid, payload, is_start, out)
                pid.table = payload if is_start else b""
        elif control & 0xC0:
            self.is_scrambled = True
            self._damage(pid)
        elif is_start:
            self._end_pes(pid, out)
            self._begin_pes(pid, payload)
        elif not pid.is_damaged:
            pid.pieces.append(payload)
            pid.size += len(payload)
            if pid.size > MAX_PICTURE_BYTES:
                self._damage(pid)
        if pid.left and pid.size >= pid.left:
            self._end_pes(pid, out)

    def _damage(self, pid: _Pid) -> None:
        """Bytes of a PES packet are missing: the rest of it is of no use."""
        pid.is_damaged = True
        pid.pieces = []
        pid.size = pid.left = 0
        if pid.sections is not None:
            pid.sections.lose()
            pid.table = b""
        if isinstance(pid.reader, Sounds):
            pid.reader.lose()

    def _begin_pes(self, pid: _Pid, payload: bytes) -> None:
        pid.pieces, pid.size = [payload], len(payload)
        pid.is_damaged = False
        length = int.from_bytes(payload[4:6])
        pid.left = 6 + length if length else 0

    def _end_pes(self, pid: _Pid, out: list[Tag]) -> None:
        pieces, is_damaged = pid.pieces, pid.is_damaged
        if not pieces:
            return
        left = pid.left
        pid.pieces, pid.size, pid.left, pid.is_damaged = [], 0, 0, True
        head = pieces[0]
        if len(head) < 9 or len(head) < 9 + head[8]:
            pieces = [head := b"".join(pieces)]
        if is_damaged or len(head) < 9 or not head.startswith(b"\0\0\1") or head[3] in _WITHOUT_HEADER:
            return
        if head[6] & 0x30 in (0x10, 0x30):
            self.is_scrambled = True
            return
        flags, begin = head[7] >> 6, 9 + head[8]
        if begin > len(head):
            return
        pts = dts = None
        if flags & 2 and begin >= 14:
            # Stamps of 33 bits among marker bits (2.4.3.7), two of them in a row.
            both = int.from_bytes(head[9:19])
            value = both >> 40 if len(head) >= 19 else int.from_bytes(head[9:14])
            stamp = value >> 3 & 0x1C0000000 | value >> 2 & 0x3FFF8000 | value >> 1 & 0x7FFF
            pts = dts = unwrapped(stamp, self._last_ticks)
            if flags == 3 and begin >= 19:
                stamp = both >> 3 & 0x1C0000000 | both >> 2 & 0x3FFF8000 | both >> 1 & 0x7FFF
                dts = unwrapped(stamp, pts)
            self._last_ticks = dts
        pieces[0] = head[begin:]
        payload = b"".join(pieces)
        if left:
            payload = payload[: max(0, left - begin)]
        self.is_scrambled = False
        reader = pid.reader
        if isinstance(reader, Pictures):
            if pts is not None and dts is not None:
                reader.put_units(units_of(payload), pts, dts, out)
        elif reader is not None:
            reader.put(payload, pts, out)

    def _read_section(self, pid: _Pid, payload: bytes, is_start: bool, out: list[Tag]) -> None:
        for section in pid.sections.feed(payload, is_start) if pid.sections is not None else ():
            if pid.program is None:
                self._note_programs(programs_of(section), out)
            elif (program := program_of(section)) is not None and program.number == pid.program:
                self._programs[program.number] = program
                self._choose(is_late=False, out=out)

    def _note_programs(self, found: dict[int, int], out: list[Tag]) -> None:
        self._program_pids = dict(list(found.items())[:_MAX_PROGRAMS])
        self._programs = {number: one for number, one in self._programs.items() if number in found}
        for pid in [pid for pid, one in self._pids.items() if one.program is not None]:
            if pid not in self._program_pids.values():
                del self._pids[pid]
        for number, pid in self._program_pids.items():
            known = self._pids.get(pid)
            if (
                pid != _PAT_PID
                and (known is None or known.program != number)
                and (known is None or known.stream is None)
            ):
                self._pids[pid] = _Pid(program=number)
        if self._program is not None and self._program.number not in found:
            self._program = None
            self._looked_bytes = 0
            self._choose(is_late=False, out=out)

    def _choose(self, *, is_late: bool, out: list[Tag]) -> None:
        """Take the first program with picture and sound, else with picture, else the first; keep to it."""
        if self._program is not None:
            chosen = self._programs.get(self._program.number)
        elif self._programs and (is_late or len(self._programs) == len(self._program_pids)):
            ranked = [self._programs[number] for number in self._program_pids if number in self._programs]
            chosen = max(ranked, key=lambda one: (one.kinds >= {"video", "audio"}, "video" in one.kinds), default=None)
        else:
            return
        if chosen is None or chosen == self._program:
            return
        self._program = chosen
        wanted = {
            stream.pid: stream for stream in (_best(chosen, "video"), _best(chosen, "audio")) if stream is not None
        }
        readers: dict[str, Pictures | Sounds | None] = {}
        for number in [number for number, pid in self._pids.items() if pid.stream is not None]:
            if wanted.get(number) != (stream := self._pids[number].stream) and stream is not None:
                pid = self._pids.pop(number)
                self._end_pes(pid, out)
                readers[stream.codec] = pid.reader
        for number, stream in wanted.items():
            if number not in self._pids or self._pids[number].stream is None:
                pid = self._pids[number] = _Pid(stream)
                # A track that has moved goes on.
                pid.reader = readers.get(stream.codec) or (
                    Pictures(stream.codec) if stream.kind == "video" else Sounds(stream.codec)
                )


def _best(program: Program, kind: str) -> Stream | None:
    known = _READ_VIDEO if kind == "video" else _READ_AUDIO
    return next((stream for stream in program.streams if stream.kind == kind and stream.codec in known), None)
