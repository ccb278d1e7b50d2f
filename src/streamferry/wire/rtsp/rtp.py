"""RTP: the packets of one track in their order.

Over TCP they come in order, and one that is missing will not come. Over UDP they are held until the one before comes,
but for a bounded count of packets.

Specification: RFC 3550, 5.1 (fixed header), 5.3.1 (extension), A.1 (sequence numbers), A.3 and A.8 (loss and jitter).
"""

from struct import Struct

#: Of the fixed head: its first two bytes, the number, the stamp, who sends.
read_head = Struct(">BBHII").unpack_from
HEAD_BYTES = 12
#: The first byte of a head that has nothing but itself.
PLAIN = 0x80
#: A number that is further away begins a new count.
_MAX_LEAP = 3000
#: Packets that are held for one that is missing: 0.2 s of 2 Mbps.
HELD_PACKETS = 48

#: (marker, stamp, payload, whether packets before it are missing)
Packet = tuple[bool, int, bytes, bool]


class RtpReceiver:
    """Of one track, whose payload type is known. ``put`` takes packets as they come."""

    def __init__(self, payload_type: int, rate_hz: int, *, is_ordered: bool) -> None:
        """``is_ordered``: whether they come over TCP."""
        self.payload_type = payload_type
        self._rate_hz = rate_hz
        #: Packets that wait for one before them; None if they come in order.
        self.held: dict[int, Packet] | None = None if is_ordered else {}
        self._is_broken = False
        #: Who sends; None before the first packet. It changes when a camera starts anew: see ``has_restarted``.
        self.source: int | None = None
        #: Set when another source sends; whoever looks clears it.
        self.has_restarted = False
        #: Packets that never came.
        self.lost = 0
        #: The number before the first, and that of the last packet in order, both with turns.
        self.first = 0
        self.highest = 0
        self.jitter = 0.0
        self._transit: float | None = None
        self._jitter_stamp = -1

    def put(self, data: bytes, now: float, out: list[Packet]) -> None:
        """Append the packets that are in order now. ``now``: when it came, in s. What is no packet is passed over."""
        size = len(data)
        if size < HEAD_BYTES:
            return
        first, second, number, stamp, source = read_head(data)
        if first >> 6 != 2 or second & 0x7F != self.payload_type:
            return
        begin, end = HEAD_BYTES, size
        if first & 0x3F:
            begin += (first & 15) * 4
            if first & 0x10:
                if begin + 4 > size:
                    return
                begin += 4 + 4 * (data[begin + 2] << 8 | data[begin + 3])
            if first & 0x20:
                end -= data[-1]
            if begin > end:
                return
        if source != self.source:
            if self.source is not None:
                self.has_restarted = True
            self.source = source
            self._begin_count(number)
        expected = self.highest + 1 & 0xFFFF
        if number == expected and not self.held:
            self.highest += 1
            if stamp != self._jitter_stamp:
                self.note_stamp(stamp, now)
            out.append((second > 127, stamp, data[begin:end], self._is_broken))
            self._is_broken = False
            return
        ahead = (number - expected + 0x8000 & 0xFFFF) - 0x8000
        if not -_MAX_LEAP < ahead < _MAX_LEAP:
            self._release(out)
            self._begin_count(number)
            self._is_broken, ahead = True, 0
        if ahead < 0:
            # A duplicate, or too late. Some servers send all with the same number.
            if self.held is None and ahead == -1 and self.highest - self.first == 1:
                out.append((second > 127, stamp, data[begin:end], False))
            return
        if stamp != self._jitter_stamp:
            self.note_stamp(stamp, now)
        packet = (second > 127, stamp, data[begin:end], False)
        if self.held is None:
            self.lost += ahead
            self.highest += ahead + 1
            out.append((*packet[:3], self._is_broken or ahead > 0))
            self._is_broken = False
            return
        self.held.setdefault(number, packet)
        self._put_held(out)
        while len(self.held) > HELD_PACKETS:
            self._pass_gap()
            self._put_held(out)

    def is_steady(self, stamp: int | None) -> bool:
        """Whether nothing is missing or waits, and the last packet that came had this stamp."""
        return not self.held and not self._is_broken and stamp == self._jitter_stamp

    def takes_next(self, first: int, second: int, number: int, stamp: int, source: int, now: float) -> bool:
        """Whether a packet with this head is the next one and has nothing else around its payload; then it has it.

        Else it is for ``put``.
        """
        if (
            first != PLAIN
            or second & 0x7F != self.payload_type
            or number != self.highest + 1 & 0xFFFF
            or source != self.source
            or self.held
            or self._is_broken
        ):
            return False
        self.highest += 1
        if stamp != self._jitter_stamp:
            self.note_stamp(stamp, now)
        return True

    def _begin_count(self, number: int) -> None:
        self.first = self.highest = number - 1
        self.lost = 0
        self._transit = None
        if self.held:
            self.held.clear()

    def _put_held(self, out: list[Packet]) -> None:
        held = self.held
        while held and (packet := held.pop(self.highest + 1 & 0xFFFF, None)) is not None:
            out.append((*packet[:3], self._is_broken))
            self._is_broken = False
            self.highest += 1

    def _pass_gap(self) -> None:
        """Give up what is missing before the first that is held."""
        assert self.held
        ahead = min((number - self.highest - 1) & 0xFFFF for number in self.held)
        self.lost += ahead
        self.highest += ahead
        self._is_broken = True

    def _release(self, out: list[Packet]) -> None:
        while self.held:
            self._pass_gap()
            self._put_held(out)

    def note_stamp(self, stamp: int, now: float) -> None:
        """Of the first packet of each stamp: those that follow it are late by their size alone."""
        self._jitter_stamp = stamp
        transit = now - stamp / self._rate_hz
        if self._transit is not None:
            step = abs(transit - self._transit)
            if step < 60.0:
                self.jitter += (step - self.jitter) / 16
        self._transit = transit
