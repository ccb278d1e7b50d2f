"""H.264 and HEVC as MPEG-TS has them, with start codes, to tags: with lengths, and the parameter sets as a header.

An access unit is what begins with its delimiter or the first slice of a picture; nearly always a PES packet has one.

Specification: H.264 and H.265 annex B (byte stream), 7.4.1.2.3 and 7.4.2.4.4 (the first unit of a picture); ISO/IEC
14496-15, 5.3.3.1 and 8.3.3.1 (the records of the headers); Enhanced RTMP v2 (HEVC as ``hvc1``).
"""

from streamferry.media.tag import VIDEO, Tag
from streamferry.wire.bits import BitReader, unescape
from streamferry.wire.codecs import may_have_fields
from streamferry.wire.parameter_sets import avc_record, hevc_record

_START = b"\0\0\1"
#: Of one picture: what an FLV tag can hold.
MAX_PICTURE_BYTES = (1 << 24) - (1 << 16)
_MAX_UNITS = 512
# H.264: IDR, SEI, SPS, PPS, delimiter, end of sequence and of stream, filler, SPS extension.
_AVC_IDR, _AVC_SEI, _AVC_SPS, _AVC_PPS = 5, 6, 7, 8
_AVC_LEFT_OUT = frozenset((9, 10, 11, 12))
_AVC_BEFORE_SLICES = frozenset((6, 7, 8, 9, 14, 15, 16, 17, 18))
_RECOVERY_POINT = 6
# HEVC: the same.
_HEVC_KEY = range(16, 24)
_HEVC_SETS = (32, 33, 34)
_HEVC_LEFT_OUT = frozenset((35, 36, 37, 38))
_HEVC_BEFORE_SLICES = frozenset((32, 33, 34, 35, 39, *range(41, 45), *range(48, 56)))
_I_SLICES = frozenset((2, 4, 7, 9))


def units_of(data: bytes) -> list[bytes]:
    """The NAL units of a byte stream, without start codes and the zeros around them; at most ``_MAX_UNITS``."""
    units = data.split(_START, _MAX_UNITS + 1)[1 : _MAX_UNITS + 1]
    return [unit for one in units if (unit := one.rstrip(b"\0"))]


class Pictures:
    """The picture of one elementary stream. ``put`` takes the payload of PES packets, which are whole."""

    def __init__(self, codec: str) -> None:
        self._is_avc = codec == "h264"
        #: By kind and number: parameter sets in force, and those that a header told.
        self._sets: dict[tuple[int, int], bytes] = {}
        self._told: tuple[bytes, ...] = ()
        self._has_begun = False
        # Two pictures in a packet may be two fields: one frame of two access units.
        self._may_have_fields = False
        self._step_ticks = 3600
        self._dts: int | None = None

    def put(self, data: bytes, pts: int, dts: int, out: list[Tag]) -> None:
        """Stamps in ticks of 90 kHz, which do not wrap."""
        self.put_units(units_of(data), pts, dts, out)

    def put_units(self, units: list[bytes], pts: int, dts: int, out: list[Tag]) -> None:
        """The same of what has no start codes. Parameter sets alone make no tag; they hold from then on."""
        if self._dts is not None and 0 < dts - self._dts < 90_000:
            self._step_ticks = dts - self._dts
        pictures = [units] if len(units) == 1 and len(units[0]) > 2 else self._divide(units)
        for number, picture in enumerate(pictures):
            shift = number * self._step_ticks
            self._dts = dts + shift
            self._put_picture(picture, pts + shift, dts + shift, out)

    def _divide(self, units: list[bytes]) -> list[list[bytes]]:
        """Units of each picture. What comes before the first picture's beginning belongs to none."""
        is_avc = self._is_avc
        before, left_out = (_AVC_BEFORE_SLICES, _AVC_LEFT_OUT) if is_avc else (_HEVC_BEFORE_SLICES, _HEVC_LEFT_OUT)
        pictures: list[list[bytes]] = []
        current: list[bytes] = []
        has_slice = False
        for unit in units:
            if len(unit) < (2 if is_avc else 3):
                continue
            kind = unit[0] & 0x1F if is_avc else unit[0] >> 1 & 0x3F
            is_slice = 1 <= kind <= 5 if is_avc else kind < 32
            # first_mb_in_slice is 0, and first_slice_segment_in_pic_flag is 1, if this bit is set.
            if (
                has_slice
                and (kind in before or (is_slice and unit[1 if is_avc else 2] & 0x80))
                and not (is_avc and is_slice and self._may_have_fields and not self._is_other_frame(current, unit))
            ):
                pictures.append(current)
                current, has_slice = [], False
            has_slice |= is_slice
            if kind not in left_out:
                current.append(unit)
        if current:
            pictures.append(current)
        return pictures

    @staticmethod
    def _is_other_frame(current: list[bytes], unit: bytes) -> bool:
        """Whether a slice begins another frame than the one before it: a third field does."""
        return sum(1 for one in current if 1 <= one[0] & 0x1F <= 5 and one[1] & 0x80) >= 2

    def _put_picture(self, units: list[bytes], pts: int, dts: int, out: list[Tag]) -> None:
        body: list[bytes] = [b""]
        fresh: dict[tuple[int, int], bytes] = {}
        is_key = has_slice = has_recovery = False
        for unit in units:
            if self._is_avc:
                kind = unit[0] & 0x1F
                if kind in (_AVC_SPS, _AVC_PPS):
                    fresh[kind, _set_number(unit, kind)] = unit
                    continue
                if 1 <= kind <= 5:
                    if not has_slice:
                        is_key = kind == _AVC_IDR or (
                            (has_recovery or any(name[0] == _AVC_SPS for name in fresh)) and is_i_slice(unit)
                        )
                    has_slice = True
                elif kind == _AVC_SEI:
                    has_recovery = has_recovery or tells_recovery(unit)
            else:
                kind = unit[0] >> 1 & 0x3F
                if kind in _HEVC_SETS:
                    fresh[kind, _set_number(unit, kind)] = unit
                    continue
                if kind < 32:
                    if not has_slice:
                        is_key = kind in _HEVC_KEY
                    has_slice = True
            body += (len(unit).to_bytes(4), unit)
        if fresh and any(self._sets.get(name) != unit for name, unit in fresh.items()):
            if not is_key and any(self._sets.get(name, unit) != unit for name, unit in fresh.items()):
                # They hold from this picture on, and no header may come here.
                body[1:1] = [part for unit in fresh.values() for part in (len(unit).to_bytes(4), unit)]
            if len(self._sets) > 64:
                self._sets.clear()
            self._sets.update(fresh)
            if self._is_avc:
                self._may_have_fields = any(
                    kind == _AVC_SPS and _has_fields(one) for (kind, _), one in self._sets.items()
                )
        if not has_slice:
            return
        dts_ms, ahead_ms = dts // 90, pts // 90 - dts // 90
        if is_key:
            self._put_header(dts_ms, out)
        if not self._has_begun or not -(1 << 23) <= ahead_ms < 1 << 23:
            return
        ahead = (ahead_ms & 0xFFFFFF).to_bytes(3)
        if self._is_avc:
            body[0] = (b"\x17\x01" if is_key else b"\x27\x01") + ahead
        else:
            body[0] = (b"\x91hvc1" if is_key else b"\xa1hvc1") + ahead
        data = b"".join(body)
        if len(data) <= MAX_PICTURE_BYTES:
            out.append((VIDEO, dts_ms & 0xFFFFFFFF, data))

    def _put_header(self, dts_ms: int, out: list[Tag]) -> None:
        """The header, if it is the first or another than before, and if there are the sets for it."""
        sets = tuple(unit for _, unit in sorted(self._sets.items()))
        if sets == self._told:
            return
        kinds = {kind for kind, _ in self._sets}
        if not kinds.issuperset((_AVC_SPS, _AVC_PPS) if self._is_avc else _HEVC_SETS):
            return
        try:
            body = b"\x17\0\0\0\0" + avc_record(sets) if self._is_avc else b"\x90hvc1" + hevc_record(sets)
        except (ValueError, IndexError):
            return
        self._told, self._has_begun = sets, True
        out.append((VIDEO, dts_ms & 0xFFFFFFFF, body))


def _set_number(unit: bytes, kind: int) -> int:
    """The number of a parameter set, by which slices name it; 0 if it is damaged."""
    try:
        if kind == _AVC_SPS:
            return BitReader(unit[4:24]).read_golomb()
        if kind == _AVC_PPS:
            return BitReader(unit[1:24]).read_golomb()
        if kind == _HEVC_SETS[0]:
            return unit[2] >> 4
        if kind == _HEVC_SETS[2]:
            return BitReader(unit[2:24]).read_golomb()
    except (ValueError, IndexError):
        pass
    return 0


def _has_fields(unit: bytes) -> bool:
    try:
        return may_have_fields(unit)
    except (ValueError, IndexError):
        return False


def is_i_slice(unit: bytes) -> bool:
    """Whether an H.264 slice, of which the first bytes are enough, is of a picture that needs no other."""
    try:
        bits = BitReader(unescape(unit[:16])[1:])
        bits.read_golomb()
        return bits.read_golomb() in _I_SLICES
    except ValueError:
        return False


def tells_recovery(unit: bytes) -> bool:
    """Whether an H.264 SEI has a recovery point (D.1.8)."""
    at = 1
    while at + 2 < len(unit):
        kind = size = 0
        while at < len(unit) and unit[at] == 0xFF:
            kind, at = kind + 255, at + 1
        if at + 1 >= len(unit):
            return False
        kind, at = kind + unit[at], at + 1
        while at < len(unit) and unit[at] == 0xFF:
            size, at = size + 255, at + 1
        if at >= len(unit):
            return False
        size, at = size + unit[at], at + 1
        if kind == _RECOVERY_POINT:
            return True
        at += size
    return False
