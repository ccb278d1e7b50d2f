"""MPEG-TS to tags: the picture and the sound of one program, whatever is lost, moves or changes on the way.

Packets that only continue a PES packet are taken many at a time: the bytes of their heads are looked at as columns. All
else is done for each PES packet. Lost packets cost the access unit that they were of, and never the session.

Specification: ISO/IEC 13818-1, 2.4.3.2 (packets), 2.4.3.4 (adaptation field), 2.4.3.6 (PES packets).
"""

import re
from collections.abc import Callable
from typing import cast

from streamferry.media.tag import Tag
from streamferry.wire.mpegts.packets import PAYLOAD_BYTES, Packetizer, Packets
from streamferry.wire.mpegts.pictures import MAX_PICTURE_BYTES, Pictures, units_of
from streamferry.wire.mpegts.sounds import Sounds
from streamferry.wire.mpegts.stamps import HALF_TURN, MASK, unwrapped
from streamferry.wire.mpegts.tables import Program, SectionReader, Stream, program_of, programs_of

_PAT_PID, _NULL_PID = 0, 0x1FFF
_READ_VIDEO, _READ_AUDIO = ("h264", "hevc"), ("aac", "latm", "mpeg")
# A program is chosen when all are known, or after so many bytes.
_PATIENCE_BYTES, _MAX_PROGRAMS = 1 << 20, 64
_WITHOUT_HEADER = frozenset((0xBC, 0xBE, 0xBF, 0xF0, 0xF1, 0xF2, 0xF8, 0xFF))
# What of the head of a PES packet is read: up to its stamps.
_PES_HEAD_BYTES, _PES_SIZE_BYTES = 19, 6

#: Most packets that are taken at once; the last byte of heads that follow one another, which have payload alone.
_MOST_AT_ONCE = 512
_CONTINUED = bytes(0x10 | counter & 15 for counter in range(16 + _MOST_AT_ONCE))


def _run_of(kind: bytes) -> Callable[[bytes, int, int], re.Match[bytes]]:
    """What finds how often such a byte is repeated there, which may be 0 times."""
    return cast("Callable[[bytes, int, int], re.Match[bytes]]", re.compile(kind + b"*").match)


_RUN_OF = [_run_of(re.escape(bytes((byte,)))) for byte in range(256)]
_plain_run = _run_of(rb"[\x10-\x1f]")


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
        #: What has come of a PES packet: views of what is read now, and bytes of what was read before.
        self.pieces: list[bytes | memoryview] = []
        #: Bytes of the PES packet that have come, and how many there are, 0 if its head does not tell.
        self.size = self.left = 0
        self.is_damaged = True

    def begin(self, payload: memoryview, first_bytes: int) -> None:
        """A PES packet begins; ``first_bytes``: how much of its payload is of the packet that it begins in."""
        self.pieces, self.size, self.is_damaged = [payload], len(payload), False
        length = int.from_bytes(payload[4:6]) if first_bytes >= _PES_SIZE_BYTES else 0
        self.left = _PES_SIZE_BYTES + length if length else 0

    def keep(self) -> None:
        """What is read now will be gone."""
        pieces = self.pieces
        at = len(pieces) - 1
        while at >= 0 and not isinstance(pieces[at], bytes):
            pieces[at] = bytes(pieces[at])
            at -= 1


class TsDemuxer:
    """Takes bytes in any pieces; memory is bounded by one PES packet for each of two streams."""

    #: How its media is encrypted: not told. The lowest stamp of what is told to come: nothing is.
    encrypted = ""
    pending_ms: int | None = None

    def __init__(self) -> None:
        self._packetizer = Packetizer()
        self._pids: dict[int, _Pid] = {_PAT_PID: _Pid()}
        self._program_pids: dict[int, int] = {}
        self._programs: dict[int, Program] = {}
        self._program: Program | None = None
        self._unread = ""
        self._last_ticks: int | None = None
        self._looked_bytes = 0
        #: Packets that the counters show to be missing.
        self.lost_packets = 0
        #: Whether what came last of a track was encrypted.
        self.is_scrambled = False

    @property
    def skipped_bytes(self) -> int:
        """Bytes passed over in search of a packet."""
        return self._packetizer.skipped_bytes

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
        if self._unread:
            return self._unread
        return next((pid.reader.unsupported for pid in self._pids.values() if isinstance(pid.reader, Sounds)), "")

    def begin_segment(self) -> None:
        """The next bytes are the beginning of a segment: packets go on as they did."""

    def feed(self, data: bytes | memoryview, out: list[Tag]) -> None:
        """Append the tags of which all has come now; their bodies are bytes of their own."""
        if self._program is None:
            self._looked_bytes += len(data)
            if self._looked_bytes > _PATIENCE_BYTES:
                self._choose(is_late=True, out=out)
        for packets in self._packetizer.cut(data):
            self._read_packets(packets, out)
        for pid in self._pids.values():
            pid.keep()

    def finish(self, out: list[Tag]) -> None:
        """Append what is held: no more will come that continues it."""
        for pid in self._pids.values():
            if pid.stream is not None:
                self._end_pes(pid, out)

    def _read_packets(self, packets: Packets, out: list[Tag]) -> None:
        pids, (first, second, third, payloads) = self._pids, packets
        number, count = 0, len(first)
        while number < count:
            high = first[number]
            pid = pids.get((high & 0x1F) << 8 | second[number])
            if pid is None or high & 0x80:
                number += 1
                continue
            if pid.stream is not None and (taken := self._take_run(pid, number, packets, out)):
                number += taken
            else:
                begin = number * PAYLOAD_BYTES
                self._read_packet(pid, high, third[number], payloads[begin : begin + PAYLOAD_BYTES], out)
                number += 1
            if pid.left and pid.size >= pid.left:
                self._end_pes(pid, out)

    def _take_run(self, pid: _Pid, number: int, packets: Packets, out: list[Tag]) -> int:
        """Take the packets from this one on that are of one PES packet and have nothing strange; returns how many."""
        first, second, third, payloads = packets
        high, low, following, counter = first[number], second[number], number, pid.counter
        begin, is_start = number * PAYLOAD_BYTES, high & 0x40
        if is_start:
            control = third[number]
            if counter not in (control & 15, -1) or control & 0xD0 != 0x10:
                return 0
            if control & 0x20:
                length = payloads[begin]
                if length >= PAYLOAD_BYTES - 1 or (length and payloads[begin + 1] & 0x80):
                    return 0
                begin += 1 + length
            following, counter = number + 1, control + 1 & 15
        elif not pid.pieces or counter < 0 or third[number] != _CONTINUED[counter]:
            return 0
        end = _RUN_OF[high & 0xBF](first, following, following + _MOST_AT_ONCE).end()
        end = _RUN_OF[low](second, following, end).end()
        stop = _plain_run(third, following, end).end()
        told, expected = third[following:stop], _CONTINUED[counter : counter + stop - following]
        if told != expected:
            # Some are missing: those before them are taken.
            pairs = enumerate(zip(told, expected, strict=True))
            end = stop = following + next(at for at, (one, other) in pairs if one != other)
        piece = payloads[begin : stop * PAYLOAD_BYTES]
        if is_start:
            if pid.pieces:
                self._end_pes(pid, out)
            pid.begin(piece, (number + 1) * PAYLOAD_BYTES - begin)
        else:
            pid.pieces.append(piece)
            pid.size += len(piece)
        counter += stop - following
        if stop < end and third[stop] == _CONTINUED[counter & 15] | 0x20:
            # Mostly the last, which is stuffed.
            begin = stop * PAYLOAD_BYTES
            length = payloads[begin]
            if length < PAYLOAD_BYTES - 1 and not (length and payloads[begin + 1] & 0x80):
                stop, counter = stop + 1, counter + 1
                piece = payloads[begin + 1 + length : stop * PAYLOAD_BYTES]
                pid.pieces.append(piece)
                pid.size += len(piece)
        pid.counter = counter & 15
        if pid.size > MAX_PICTURE_BYTES:
            self._damage(pid)
        return stop - number

    def _read_packet(self, pid: _Pid, high: int, control: int, payload: memoryview, out: list[Tag]) -> None:
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
            table = bytes(payload)
            if table != pid.table:
                self._read_section(pid, table, is_start, out)
                pid.table = table if is_start else b""
        elif control & 0xC0:
            self.is_scrambled = True
            self._damage(pid)
        elif is_start:
            self._end_pes(pid, out)
            pid.begin(payload, len(payload))
        elif not pid.is_damaged:
            pid.pieces.append(payload)
            pid.size += len(payload)
            if pid.size > MAX_PICTURE_BYTES:
                self._damage(pid)

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

    def _end_pes(self, pid: _Pid, out: list[Tag]) -> None:
        pieces, is_damaged = pid.pieces, pid.is_damaged
        if not pieces:
            return
        left = pid.left
        pid.pieces, pid.size, pid.left, pid.is_damaged = [], 0, 0, True
        piece = pieces[0]
        if len(piece) < 9 or len(piece) < 9 + piece[8]:
            pieces = [piece := b"".join(pieces)]
        head = bytes(piece[:_PES_HEAD_BYTES])
        if is_damaged or len(head) < 9 or not head.startswith(b"\0\0\1") or head[3] in _WITHOUT_HEADER:
            return
        if head[6] & 0x30 in (0x10, 0x30):
            self.is_scrambled = True
            return
        flags, begin = head[7] >> 6, 9 + head[8]
        if begin > len(piece):
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
                # As ``unwrapped``.
                dts = pts + (stamp - pts + HALF_TURN & MASK) - HALF_TURN
            self._last_ticks = dts
        pieces[0] = piece[begin:]
        self.is_scrambled = False
        reader = pid.reader
        payload = b"".join(pieces)
        if left:
            payload = payload[: max(0, left - begin)]
        if isinstance(reader, Pictures):
            if pts is not None and dts is not None:
                reader.put_units(units_of(payload), pts, dts, out)
        elif reader is not None:
            reader.put(payload, pts, out)

    def _read_section(self, pid: _Pid, payload: bytes, is_start: bool, out: list[Tag]) -> None:
        for section in pid.sections.feed(payload, is_start) if pid.sections is not None else ():
            if pid.program is None:
                if (found := programs_of(section)) is not None:
                    self._note_programs(found, out)
            elif (program := program_of(section)) is not None and program.number == pid.program:
                self._programs[program.number] = program
                self._choose(is_late=False, out=out)

    def _note_programs(self, found: dict[int, int], out: list[Tag]) -> None:
        self._program_pids = dict(list(found.items())[:_MAX_PROGRAMS])
        self._programs = {number: one for number, one in self._programs.items() if number in found}
        for pid in [pid for pid, one in self._pids.items() if one.program is not None]:
            if pid not in self._program_pids.values():
                del self._pids[pid]
        is_gone = self._program is not None and self._program.number not in found
        for number, pid in self._program_pids.items():
            known = self._pids.get(pid)
            if pid == _PAT_PID or (known is not None and known.program == number):
                continue
            if known is None or known.stream is None or is_gone:
                if known is not None:
                    self._end_pes(known, out)
                self._pids[pid] = _Pid(program=number)
        if is_gone:
            self._program, self._unread = None, ""
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
        self._program, self._unread = chosen, _unread(chosen)
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


def _unread(program: Program) -> str:
    """The codec of a kind of which none is read, empty if there is no such kind."""
    for kind in ("video", "audio"):
        if _best(program, kind) is None:
            for stream in program.streams:
                if stream.kind == kind:
                    return stream.codec
    return ""
