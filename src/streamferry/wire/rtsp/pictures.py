"""H.264 and H.265 out of RTP: packets to the NAL units of one access unit after another.

An access unit ends where the stamp changes. The marker says so a picture earlier; but cameras are seen that set it on
each slice, or on the parameter sets. So it is believed once it has stood at the ends of some units and nowhere else.
What is damaged by loss is left out: a unit of which a part is missing, and the picture it belongs to.

Specification: RFC 6184, 5.4 to 5.8 (single units, STAP, MTAP, FU); RFC 7798, 4.4 (single units, AP, FU), 4.1 (DONL).
"""

from collections.abc import Callable
from struct import Struct

from streamferry.wire.rtsp.message import PACKET, PACKET_HEAD_BYTES
from streamferry.wire.rtsp.rtcp import REPORT_TYPES
from streamferry.wire.rtsp.rtp import HEAD_BYTES, PLAIN, RtpReceiver

#: Of one access unit: what an FLV tag holds.
MAX_PICTURE_BYTES = (1 << 24) - (1 << 16)
_MAX_UNITS = 512
#: What a piece costs beside its bytes: there may be millions of one byte, or of none.
_PIECE_BYTES = 48
#: So many units end with a marker before it is believed.
_SURE = 4
_STAP_A, _STAP_B, _MTAP16, _MTAP24, _FU_A, _FU_B = range(24, 30)
_AP, _FU, _PACI = 48, 49, 50

# An interleaved packet: what it begins with, its place in the order, its stamp and sender, the begin of its payload.
_read_packet = Struct(">IIQI").unpack_from
_LOOK_BYTES, _PAYLOAD_AT = 20, PACKET_HEAD_BYTES + HEAD_BYTES
_MARKER = 1 << 23
# A shorter packet may have no byte of a unit behind the heads of a fragment.
_LEAST_BYTES = 16
# So many times their bytes is what the smallest of those cost.
_MOST_COST = 4

#: Takes the units of an access unit, its stamp, and when the first of its packets came.
Take = Callable[[list[bytes], int, float], None]


class UnitReader:
    """Of one track. ``take`` gets each access unit of which all has come."""

    # Of the first 4 bytes of a payload: a mask of what tells a fragment; it in the midst of a unit, its begin, its end.
    _fragment_codes = (0, 0, 0, 0)
    # Bytes of the heads of a fragment.
    _fragment_head_bytes = 0
    # By the first byte of a payload: whether it is one unit as it lies.
    _is_unit = bytes(256)

    def __init__(self, take: Take) -> None:
        self._take = take
        self._units: list[bytes] = []
        #: What may still come of the present access unit.
        self.left_bytes = MAX_PICTURE_BYTES
        #: Of the present access unit, and the pieces of a unit that lies in several packets, as far as they have come.
        self.stamp: int | None = None
        self.fragment: list[bytes] = []
        self._came_at = 0.0
        self._is_damaged = self._lacks_head = False
        #: How often the marker was right since it was last wrong.
        self._markers = 0
        #: Whether the last packet of the present access unit had it.
        self.has_marker = False
        #: What cannot be read: interleaved units. Empty if there is none.
        self.unsupported = ""
        #: Access units that were left out.
        self.damaged = 0

    def put(self, is_marked: bool, stamp: int, payload: bytes, is_broken: bool, now: float) -> None:
        """The next packet of the track in its order. ``is_broken``: packets before it are missing."""
        if is_broken:
            if self.fragment or (self._units and not self.has_marker):
                self._is_damaged = True
            self.fragment.clear()
        if stamp != self.stamp:
            if self._units or self.fragment or self._is_damaged:
                self._end()
            self.stamp, self.has_marker, self._came_at = stamp, False, now
            # The rest of a picture whose beginning was lost looks like one.
            self._lacks_head = is_broken
        elif is_broken:
            self._is_damaged = True
        elif self.has_marker:
            # It did not end there.
            self._markers, self.has_marker = 0, False
        self._read(payload)
        if is_marked:
            self.has_marker = True
            if self._markers >= _SURE:
                self._end()

    def take_run(self, receiver: RtpReceiver, data: bytes, at: int, now: float) -> int:
        """Take what is simple of the interleaved packets that lie in ``data`` from ``at`` on, as ``put`` takes each.

        Simple are the next packets of the track with whole units or parts of one, where access units end with a marker.
        Returns where something else is.
        """
        size, left = len(data), self.left_bytes
        if not receiver.is_steady(self.stamp) or left < _MOST_COST * (size - at):
            return at
        mask, part_code, begin_code, end_code = self._fragment_codes
        units, fragment, is_over, came_at = self._units, self.fragment, self.has_marker, self._came_at
        is_sure = self._markers >= _SURE and not self._is_damaged and not self._lacks_head
        part_at = _PAYLOAD_AT + self._fragment_head_bytes
        channel, source = PACKET << 24 | data[at + 1] << 16, receiver.source or 0
        mine = (self.stamp or 0) << 32 | source
        # What a packet is of that goes on with a unit.
        goes_on = mine if fragment and not is_over else -1
        first = PLAIN << 24 | receiver.payload_type << 16 | receiver.highest + 1 & 0xFFFF
        # Reports have the second bytes of some types with the marker (RFC 5761).
        marker = 0 if receiver.payload_type | 0x80 in REPORT_TYPES else _MARKER
        # What the present access unit has taken of ``left`` lies from here on, in packets from this one on.
        expected, begun_at, begun = first, at, first
        for expected in range(first, (first | 0xFFFF) + 1):
            if at + _LOOK_BYTES > size:
                break
            begin, order, whose, kind = _read_packet(data, at)
            length = begin - channel
            end = at + PACKET_HEAD_BYTES + length
            if not _LEAST_BYTES <= length < 0x10000 or end > size:
                break
            kind &= mask
            if whose == goes_on and order == expected and kind == part_code:
                fragment.append(data[at + part_at : end])
                at = end
                continue
            if not is_sure or (order != expected and order != expected + marker) or len(units) >= _MAX_UNITS:
                break
            if whose != mine:
                if not is_over or whose & 0xFFFFFFFF != source:
                    break
                mine, is_over, came_at = whose, False, now
                receiver.note_stamp(whose >> 32, now)
            elif is_over:
                break
            if kind == begin_code and goes_on < 0 and order == expected:
                fragment += self._head_of_unit(data, at + _PAYLOAD_AT), data[at + part_at : end]
                goes_on = mine
            elif kind == end_code and goes_on >= 0:
                fragment.append(data[at + part_at : end])
                units.append(b"".join(fragment))
                fragment.clear()
                goes_on = -1
            elif goes_on < 0 and self._is_unit[data[at + _PAYLOAD_AT]]:
                units.append(data[at + _PAYLOAD_AT : end])
            else:
                break
            at = end
            if order != expected:
                self._markers += 1
                is_over = True
                self._take(units, mine >> 32, came_at)
                units, left, begun_at, begun = [], MAX_PICTURE_BYTES, at, expected + 1
        else:
            expected += 1
        receiver.highest += expected - first
        self._units, self.stamp, self.has_marker, self._came_at = units, mine >> 32, is_over, came_at
        # Units that are whole cost a little less.
        self.left_bytes = left - (at - begun_at) - (expected - begun) * (_PIECE_BYTES - part_at)
        return at

    def flush(self) -> None:
        """No more comes of this access unit."""
        if self._units or self.fragment:
            self._end()

    def _end(self) -> None:
        self._end_fragment()
        units, self._units, self.left_bytes = self._units, [], MAX_PICTURE_BYTES
        if self.has_marker:
            self._markers += 1
        is_whole = not self._is_damaged and (not self._lacks_head or self._has_head(units))
        self._is_damaged = self._lacks_head = False
        if not is_whole:
            self.damaged += 1
        elif units and self.stamp is not None:
            self._take(units, self.stamp, self._came_at)

    def _read_fragment(self, payload: bytes, begin: int, head: int) -> None:
        """``begin``: where the part of the unit is; ``head``: the byte that says which part."""
        if head & 0x80:
            self._end_fragment()
            self.fragment.append(self._head_of_unit(payload, 0))
        if not self.fragment:
            self._is_damaged = True
        elif self._has_room(len(payload) - begin):
            self.fragment.append(payload[begin:])
            if head & 0x40:
                self._end_fragment()

    def _end_fragment(self) -> None:
        """Also where the sender did not say that it was the last: nothing is known to be missing."""
        if self.fragment and len(self._units) < _MAX_UNITS:
            self._units.append(b"".join(self.fragment))
        self.fragment.clear()

    def _add(self, unit: bytes) -> None:
        if unit and len(self._units) < _MAX_UNITS and self._has_room(len(unit)):
            self._units.append(unit)

    def _has_room(self, size: int) -> bool:
        self.left_bytes -= size + _PIECE_BYTES
        if self.left_bytes < 0:
            self._is_damaged = True
            self._units.clear()
            self.fragment.clear()
            return False
        return True

    def _add_several(self, payload: bytes, at: int, between: int) -> None:
        """Units with their sizes before them; ``between``: bytes to pass over before each size but the first."""
        while at + 2 < len(payload):
            end = at + 2 + (payload[at] << 8 | payload[at + 1])
            if end > len(payload):
                self._is_damaged = True
                return
            self._add(payload[at + 2 : end])
            at = end + between

    def _read(self, payload: bytes) -> None:
        raise NotImplementedError

    def _head_of_unit(self, data: bytes, at: int) -> bytes:
        """Of the unit of which the fragment at a place of ``data`` is the first."""
        raise NotImplementedError

    def _has_head(self, units: list[bytes]) -> bool:
        """Whether the first slice is that of a picture's beginning."""
        raise NotImplementedError


class AvcUnits(UnitReader):
    """H.264."""

    _fragment_codes = 0x1FC00000, _FU_A << 24, _FU_A << 24 | 0x800000, _FU_A << 24 | 0x400000
    _fragment_head_bytes = 2
    _is_unit = bytes(1 <= byte & 31 <= 23 for byte in range(256))

    def _read(self, payload: bytes) -> None:
        if len(payload) < 2:
            return
        kind = payload[0] & 31
        if kind in (_FU_A, _FU_B):
            self._read_fragment(payload, 2 if kind == _FU_A else 4, payload[1])
        elif 1 <= kind <= 23:
            self._add(payload)
        elif kind == _STAP_A:
            self._add_several(payload, 1, 0)
        elif kind == _STAP_B:
            self._add_several(payload, 3, 0)
        elif kind in (_MTAP16, _MTAP24):
            self.unsupported = "H.264 with interleaved units (MTAP)"

    def _head_of_unit(self, data: bytes, at: int) -> bytes:
        return bytes((data[at] & 0xE0 | data[at + 1] & 31,))

    def _has_head(self, units: list[bytes]) -> bool:
        for unit in units:
            if 1 <= unit[0] & 31 <= 5:
                # first_mb_in_slice is 0 if this bit is set.
                return len(unit) > 1 and bool(unit[1] & 0x80)
        return False


class HevcUnits(UnitReader):
    """H.265. ``has_order``: each unit has its number in decoding order before it (sprop-max-don-diff above 0)."""

    _fragment_codes = 0x7E00C000, _FU << 25, _FU << 25 | 0x8000, _FU << 25 | 0x4000
    _fragment_head_bytes = 3
    _is_unit = bytes(byte >> 1 & 63 < _AP for byte in range(256))

    def __init__(self, take: Take, *, has_order: bool = False) -> None:
        super().__init__(take)
        self._order_bytes = 2 if has_order else 0
        if has_order:
            # Where a unit begins there is more than its heads.
            mask, part_code, _, end_code = self._fragment_codes
            self._fragment_codes, self._is_unit = (mask, part_code, -1, end_code), bytes(256)

    def _read(self, payload: bytes) -> None:
        if len(payload) < 4:
            return
        kind = payload[0] >> 1 & 63
        if kind == _FU:
            begin = 3 + self._order_bytes if payload[2] & 0x80 else 3
            self._read_fragment(payload, begin, payload[2])
        elif kind == _AP:
            self._add_several(payload, 2 + self._order_bytes, 1 if self._order_bytes else 0)
        elif kind < _AP:
            begin = 2 + self._order_bytes
            self._add(payload[:2] + payload[begin:] if self._order_bytes else payload)
        elif kind == _PACI:
            self.unsupported = "H.265 in PACI packets"

    def _head_of_unit(self, data: bytes, at: int) -> bytes:
        return bytes((data[at] & 0x81 | (data[at + 2] & 63) << 1, data[at + 1]))

    def _has_head(self, units: list[bytes]) -> bool:
        for unit in units:
            if unit[0] >> 1 & 63 < 32:
                return len(unit) > 2 and bool(unit[2] & 0x80)
        return False
