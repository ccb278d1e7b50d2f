"""H.264 and H.265 out of RTP: packets to the NAL units of one access unit after another.

An access unit ends where the stamp changes. The marker says so a picture earlier; but cameras are seen that set it on
each slice, or on the parameter sets. So it is believed once it has stood at the ends of some units and nowhere else.
What is damaged by loss is left out: a unit of which a part is missing, and the picture it belongs to.

Specification: RFC 6184, 5.4 to 5.8 (single units, STAP, MTAP, FU); RFC 7798, 4.4 (single units, AP, FU), 4.1 (DONL).
"""

from collections.abc import Callable

#: Of one access unit: what an FLV tag holds.
MAX_PICTURE_BYTES = (1 << 24) - (1 << 16)
_MAX_UNITS = 512
#: What a piece costs beside its bytes: there may be millions of one byte, or of none.
PIECE_BYTES = 48
#: So many units end with a marker before it is believed.
_SURE = 4
_STAP_A, _STAP_B, _MTAP16, _MTAP24, _FU_A, _FU_B = range(24, 30)
_AP, _FU, _PACI = 48, 49, 50

#: Takes the units of an access unit, its stamp, and when the first of its packets came.
Take = Callable[[list[bytes], int, float], None]


class UnitReader:
    """Of one track. ``take`` gets each access unit of which all has come."""

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

    def add_piece(self, piece: bytes, *, is_last: bool, is_marked: bool) -> None:
        """The next piece of ``fragment``, of the present stamp and with nothing missing before it: as ``put``."""
        if self._has_room(len(piece)):
            self.fragment.append(piece)
            if is_last:
                self._end_fragment()
        if is_marked:
            self.has_marker = True
            if self._markers >= _SURE:
                self._end()

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

    def _begin_fragment(self, head: bytes) -> None:
        self._end_fragment()
        self.fragment.append(head)

    def _add_fragment(self, payload: bytes, begin: int, is_last: bool) -> None:
        if not self.fragment:
            self._is_damaged = True
        else:
            self.add_piece(payload[begin:], is_last=is_last, is_marked=False)

    def _end_fragment(self) -> None:
        """Also where the sender did not say that it was the last: nothing is known to be missing."""
        if self.fragment and len(self._units) < _MAX_UNITS:
            self._units.append(b"".join(self.fragment))
        self.fragment.clear()

    def _add(self, unit: bytes) -> None:
        if unit and len(self._units) < _MAX_UNITS and self._has_room(len(unit)):
            self._units.append(unit)

    def _has_room(self, size: int) -> bool:
        self.left_bytes -= size + PIECE_BYTES
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

    def _has_head(self, units: list[bytes]) -> bool:
        """Whether the first slice is that of a picture's beginning."""
        raise NotImplementedError


class AvcUnits(UnitReader):
    """H.264."""

    def _read(self, payload: bytes) -> None:
        if len(payload) < 2:
            return
        kind = payload[0] & 31
        if kind in (_FU_A, _FU_B):
            head = payload[1]
            if head & 0x80:
                self._begin_fragment(bytes((payload[0] & 0xE0 | head & 31,)))
            self._add_fragment(payload, 2 if kind == _FU_A else 4, bool(head & 0x40))
        elif 1 <= kind <= 23:
            self._add(payload)
        elif kind == _STAP_A:
            self._add_several(payload, 1, 0)
        elif kind == _STAP_B:
            self._add_several(payload, 3, 0)
        elif kind in (_MTAP16, _MTAP24):
            self.unsupported = "H.264 with interleaved units (MTAP)"

    def _has_head(self, units: list[bytes]) -> bool:
        for unit in units:
            if 1 <= unit[0] & 31 <= 5:
                # first_mb_in_slice is 0 if this bit is set.
                return len(unit) > 1 and bool(unit[1] & 0x80)
        return False


class HevcUnits(UnitReader):
    """H.265. ``has_order``: each unit has its number in decoding order before it (sprop-max-don-diff above 0)."""

    def __init__(self, take: Take, *, has_order: bool = False) -> None:
        super().__init__(take)
        self._order_bytes = 2 if has_order else 0

    def _read(self, payload: bytes) -> None:
        if len(payload) < 4:
            return
        kind = payload[0] >> 1 & 63
        if kind == _FU:
            head = payload[2]
            begin = 3
            if head & 0x80:
                begin += self._order_bytes
                self._begin_fragment(bytes((payload[0] & 0x81 | (head & 63) << 1, payload[1])))
            self._add_fragment(payload, begin, bool(head & 0x40))
        elif kind == _AP:
            self._add_several(payload, 2 + self._order_bytes, 1 if self._order_bytes else 0)
        elif kind < _AP:
            begin = 2 + self._order_bytes
            self._add(payload[:2] + payload[begin:] if self._order_bytes else payload)
        elif kind == _PACI:
            self.unsupported = "H.265 in PACI packets"

    def _has_head(self, units: list[bytes]) -> bool:
        for unit in units:
            if unit[0] >> 1 & 63 < 32:
                return len(unit) > 2 and bool(unit[2] & 0x80)
        return False
