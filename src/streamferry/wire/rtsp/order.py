"""Decoding times of pictures that come in decoding order and with their showing times alone, as RTP has them.

How many pictures may be decoded before one that is shown before them is told by the sequence parameter set. With that
depth D the decoding time of a picture is the showing time of the one which is shown D pictures earlier in the order of
showing: the smallest of the last D + 1 that has not been given away. These times rise, none is later than its picture's
showing time, no picture waits for another, and a picture that is lost shifts nothing. So the order of the stamps is
taken for the picture order; slices need not be read, and fields and both codecs are alike.

H.264 need not tell D. Then nothing comes out of order if the profile, one reference picture or the type of picture
order says so; else D is what the first pictures show, which are held for that.
``docs/decisions/0073-decoding-times-of-rtp.md`` compares this with the picture order count of slices.

Specification: H.264 E.2.1 (max_num_reorder_frames, and what holds without it), H.265 7.4.3.2.1
(sps_max_num_reorder_pics).
"""

from collections.abc import Callable
from heapq import heappop, heappush
from itertools import pairwise

from streamferry.wire.bits import BitReader, unescape
from streamferry.wire.codecs import read_avc_set, skip_to_hevc_size, skip_to_timing

#: Of both codecs.
MAX_DEPTH = 16
# Held to see an order that is not told, unless they cover that time in less.
_LOOK_PICTURES = 5
_LOOK_TICKS = 36_000
_STEP_TICKS = 3600
# A stamp that is so far from those before belongs to another clock.
_BREAK_TICKS = 900_000
_TICK_MS = 90
_SPS_BYTES = 1 << 10

#: Takes units, the showing time and the decoding time, in ticks of 90 kHz.
Put = Callable[[list[bytes], int, int], None]


class PictureOrder:
    """Of one track, from its first keyframe on."""

    def __init__(self, put: Put, step_ticks: int = _STEP_TICKS) -> None:
        """``put`` gets the pictures in the order in which they come. ``step_ticks``: of a picture, if that is known."""
        self._put = put
        self._step = step_ticks or _STEP_TICKS
        self._depth: int | None = 0
        self._pending: list[int] = []
        self._held: list[tuple[list[bytes], int]] = []
        self._last_dts: int | None = None
        self._last_pts = 0
        self._most_pts = 0
        self._first_pts: int | None = None

    def tell_depth(self, depth: int | None) -> None:
        """What the parameter set says that holds from the next picture on; None: nothing."""
        if depth is None and self._depth is not None and self._last_dts is not None:
            return  # What was seen so far holds.
        self._depth = depth

    def take(self, units: list[bytes], pts: int) -> None:
        """The next picture in decoding order, the first of them a keyframe."""
        if self._first_pts is None:
            self._first_pts = self._most_pts = pts
        elif abs(pts - self._last_pts) > _BREAK_TICKS:
            self.flush()
            self._pending.clear()
            self._last_dts, self._first_pts, self._most_pts = None, pts, pts
        elif pts < self._first_pts:
            return  # Shown before the keyframe that all begins with: what it needs is not there.
        self._last_pts = pts
        if self._depth is not None:
            self._lay(units, pts, self._depth)
            return
        self._held.append((units, pts))
        if len(self._held) >= _LOOK_PICTURES or abs(pts - self._first_pts) >= _LOOK_TICKS:
            self.flush()

    def flush(self) -> None:
        """No more comes for now."""
        if not self._held:
            return
        shown = [pts for _, pts in self._held]
        order = sorted(range(len(shown)), key=shown.__getitem__)
        # A picture that is decoded as number i and shown as number k has i - k before it that are shown after it.
        self._depth = max(0, *(i - k for k, i in enumerate(order)))
        if len(shown) > 1:
            shown.sort()
            self._step = max(1, min(later - earlier for earlier, later in pairwise(shown)))
        held, self._held = self._held, []
        for units, pts in held:
            self._lay(units, pts, self._depth)

    def _lay(self, units: list[bytes], pts: int, depth: int) -> None:
        pending = self._pending
        if not depth and not pending:
            dts = pts
        else:
            heappush(pending, pts)
            dts = pts
            if len(pending) <= depth:
                # Those before the first: there is none to take the time of.
                dts = (self._first_pts or 0) - (depth + 1 - len(pending)) * self._step
            while len(pending) > depth:
                dts = heappop(pending)
        last = self._last_dts
        if last is not None and dts < last + _TICK_MS:
            # The depth that was told or seen is too small. The showing time stays as it is.
            dts = last + _TICK_MS
            if pts < self._most_pts and depth < MAX_DEPTH and pts < dts:
                self._depth = depth + 1
        self._last_dts = dts
        self._most_pts = max(self._most_pts, pts)
        self._put(units, pts, dts)


def avc_depth(unit: bytes) -> int | None:
    """How many pictures may be decoded before one that is shown before them; None: it is not told."""
    try:
        read = read_avc_set(unit)
    except (ValueError, IndexError):
        return None
    # Baseline has no B pictures; with type 2 pictures are shown in the order of decoding (H.264 8.2.1.3).
    if read.profile == 66 or read.order_type == 2 or read.references <= 1:
        return 0
    try:
        return _told_depth(read.rest)
    except ValueError:
        return None


def _told_depth(bits: BitReader) -> int | None:
    """Of the VUI that follows (H.264 E.1.1)."""
    if not skip_to_timing(bits):
        return None
    if bits.read(1):
        bits.skip(65)
    has_rates = False
    for _ in range(2):
        if bits.read(1):
            has_rates = True
            count = bits.read_golomb() + 1
            bits.skip(8)
            for _ in range(min(count, 32)):
                bits.read_golomb()
                bits.read_golomb()
                bits.skip(1)
            bits.skip(20)
    if has_rates:
        bits.skip(1)
    bits.skip(1)
    if not bits.read(1):
        return None
    bits.skip(1)
    for _ in range(4):
        bits.read_golomb()
    return min(bits.read_golomb(), MAX_DEPTH)


def hevc_depth(unit: bytes) -> int | None:
    """The same for H.265, which always tells; None for a set that is damaged."""
    try:
        sequence = unescape(unit[:_SPS_BYTES])
        layers, bits = sequence[2] >> 1 & 7, BitReader(sequence)
        skip_to_hevc_size(bits)
        bits.read_golomb()
        bits.read_golomb()
        if bits.read(1):
            for _ in range(4):
                bits.read_golomb()
        for _ in range(3):
            bits.read_golomb()
        has_all = bits.read(1)
        depth = 0
        for _ in range(layers + 1 if has_all else 1):
            bits.read_golomb()
            depth = bits.read_golomb()
            bits.read_golomb()
        return min(depth, MAX_DEPTH)
    except (ValueError, IndexError):
        return None
