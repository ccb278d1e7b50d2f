"""H.264 and HEVC as MPEG-TS has them, with start codes, to tags: with lengths, and the parameter sets as a header.

An access unit is what begins with its delimiter or the first slice of a picture; nearly always a PES packet has one.

Specification: H.264 and H.265 annex B (byte stream), 7.4.1.2.3 and 7.4.2.4.4 (the first unit of a picture); ISO/IEC
14496-15, 5.3.3.1 and 8.3.3.1 (the records of the headers); Enhanced RTMP v2 (HEVC as ``hvc1``).
"""

from streamferry.media.tag import VIDEO, Tag
from streamferry.wire.bits import BitReader, unescape
from streamferry.wire.codecs import may_have_fields
from streamferry.wire.parameter_sets import avc_record, hevc_record

#: Of one picture: what an FLV tag can hold.
MAX_PICTURE_BYTES = (1 << 24) - (1 << 16)
_MAX_UNITS = 512
# What a NAL unit is for: a slice, one of a picture that needs no other, a parameter set; what comes before the first
# slice of a picture, and is kept or left out (delimiters); what is left out wherever it comes (ends, filler).
_OTHER, _SLICE, _KEY_SLICE, _SET, _BEFORE, _DELIMITER, _LEFT_OUT = range(7)
_AVC_SEI, _AVC_SPS, _AVC_PPS = 6, 7, 8
_RECOVERY_POINT = 6
_HEVC_KEY = range(16, 24)
_HEVC_SETS = (32, 33, 34)


def _avc_role(kind: int) -> int:
    if kind in (6, 14, 15, 16, 17, 18):
        return _BEFORE
    known = {5: _KEY_SLICE, _AVC_SPS: _SET, _AVC_PPS: _SET, 9: _DELIMITER, 10: _LEFT_OUT, 11: _LEFT_OUT, 12: _LEFT_OUT}
    return known.get(kind, _SLICE if 1 <= kind < 5 else _OTHER)


def _hevc_role(kind: int) -> int:
    if kind < 32:
        return _KEY_SLICE if kind in _HEVC_KEY else _SLICE
    if kind in (39, *range(41, 45), *range(48, 56)):
        return _BEFORE
    known = {36: _LEFT_OUT, 37: _LEFT_OUT, 38: _LEFT_OUT, 35: _DELIMITER}
    return _SET if kind in _HEVC_SETS else known.get(kind, _OTHER)


# By the first byte of a unit.
_AVC_ROLES = bytes(_avc_role(byte & 0x1F) for byte in range(256))
_HEVC_ROLES = bytes(_hevc_role(byte >> 1 & 0x3F) for byte in range(256))
_I_SLICES = frozenset((2, 4, 7, 9))


def units_of(data: bytes) -> list[bytes]:
    """The NAL units of a byte stream, without start codes, with the zeros after them; at most ``_MAX_UNITS``."""
    return data.split(b"\0\0\1", _MAX_UNITS + 1)[1 : _MAX_UNITS + 1]


class Pictures:
    """The picture of one elementary stream. ``put_units`` takes what comes at once."""

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

    def put_units(self, units: list[bytes], pts: int, dts: int, out: list[Tag]) -> None:
        """The units of a PES packet; zeros after them are left out. Stamps in ticks of 90 kHz, which do not wrap.

        Parameter sets alone make no tag; they hold from then on.
        """
        if self._dts is not None and 0 < dts - self._dts < 90_000:
            self._step_ticks = dts - self._dts
        is_avc = self._is_avc
        roles, least = (_AVC_ROLES, 2) if is_avc else (_HEVC_ROLES, 3)
        body: list[bytes] = [b""]
        fresh: dict[tuple[int, int], bytes] = {}
        # How many slices of it may be the first of a picture.
        begun = 0
        is_key = has_slice = False
        for unit in units:
            if unit and not unit[-1]:
                unit = unit.rstrip(b"\0")
            if len(unit) < least:
                continue
            role = roles[unit[0]]
            if has_slice:
                if _SLICE <= role <= _KEY_SLICE:
                    # A second field is of the same frame, a third of another.
                    ends = unit[least - 1] > 127 and not (is_avc and self._may_have_fields and begun < 2)
                else:
                    ends = _SET <= role <= _DELIMITER
                if ends:
                    self._put_picture(body, fresh, is_key, has_slice, pts, dts, out)
                    pts, dts = pts + self._step_ticks, dts + self._step_ticks
                    body, fresh, begun, is_key, has_slice = [b""], {}, 0, False, False
            if role >= _DELIMITER:
                continue
            if _SLICE <= role <= _KEY_SLICE:
                # first_mb_in_slice is 0, and first_slice_segment_in_pic_flag is 1, if this bit is set.
                begun += unit[least - 1] > 127
                if not has_slice:
                    has_slice = True
                    is_key = role == _KEY_SLICE or (is_avc and is_i_slice(unit) and _is_entry(body, fresh))
            elif role == _SET:
                kind = unit[0] & 0x1F if is_avc else unit[0] >> 1 & 0x3F
                name = kind, _set_number(unit, kind)
                fresh[name] = unit
                if kind == _AVC_SPS and is_avc and self._sets.get(name) != unit:
                    # The picture after it may be the first of fields.
                    self._may_have_fields = self._may_have_fields or _has_fields(unit)
                continue
            body += (len(unit).to_bytes(4), unit)
        if fresh or len(body) > 1:
            self._put_picture(body, fresh, is_key, has_slice, pts, dts, out)

    def _put_picture(
        self,
        body: list[bytes],
        fresh: dict[tuple[int, int], bytes],
        is_key: bool,
        has_slice: bool,
        pts: int,
        dts: int,
        out: list[Tag],
    ) -> None:
        """``body``: its units, each after its length; the first piece is for the head. ``fresh``: parameter sets."""
        self._dts = dts
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
        dts_ms = dts // 90
        ahead_ms = pts // 90 - dts_ms
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


def _is_entry(body: list[bytes], fresh: dict[tuple[int, int], bytes]) -> bool:
    """Whether what comes before an H.264 slice says that one can begin with it."""
    if any(kind == _AVC_SPS for kind, _ in fresh):
        return True
    return any(unit[0] & 0x1F == _AVC_SEI and tells_recovery(unit) for unit in body[2::2])


def is_i_slice(unit: bytes) -> bool:
    """Whether an H.264 slice, of which the first bytes are enough, is of a picture that needs no other."""
    if len(unit) > 1 and unit[1] > 127:
        return unit[1] in _I_SLICE_BEGINS
    return _says_i_slice(unit)


def _says_i_slice(unit: bytes) -> bool:
    try:
        bits = BitReader(unescape(unit[:16])[1:])
        bits.read_golomb()
        return bits.read_golomb() in _I_SLICES
    except ValueError:
        return False


# What follows the head of the first slice of a picture: a bit for the number 0, and in seven more the kind of slice.
_I_SLICE_BEGINS = frozenset(byte for byte in range(128, 256) if _says_i_slice(bytes((0x41, byte))))


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
