"""Sound as MPEG-TS and HLS have it, to tags: AAC in ADTS and LATM, and MPEG audio layer III.

Frames may lie across PES packets; the stamp of a packet is that of the first frame which begins in it (ISO/IEC 13818-1,
2.4.3.7). Of the others it follows from how long frames are.

Specification: ISO/IEC 14496-3, 1.A.2 (ADTS), 1.7.3 (LATM and LOAS), 1.6.2 (AudioSpecificConfig); ISO/IEC 11172-3.
"""

import re
from functools import lru_cache

from streamferry.media.tag import AUDIO, Tag
from streamferry.wire.bits import BitReader, BitWriter
from streamferry.wire.codecs import UnsupportedCodec

_RATES = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350)
_TICKS = 90_000
_EXPLICIT_RATE = 15
# Types of audio objects (ISO/IEC 14496-3, 1.5.1.1): SBR, and those with which AAC is HE-AAC.
_SBR = 5
_HIGH_EFFICIENCY = (_SBR, 29)
# Of 11 bits, before SBR and PS (1.6.2.1).
_SYNC_EXTENSION, _PS_EXTENSION = 0x2B7, 0x548
# How frames of each codec begin.
_SYNC = {
    "aac": re.compile(rb"\xff(?:[\xf0\xf1\xf8\xf9]|\Z)").search,
    "latm": re.compile(rb"\x56(?:[\xe0-\xff]|\Z)").search,
    "mpeg": re.compile(rb"\xff(?:[\xe2-\xe7\xf2-\xf7\xfa-\xff]|\Z)").search,
}
#: Of one PES packet: a second of sound has 40 KB at most.
_MAX_PUT_BYTES = 1 << 17
# So many frames in a row say what one may say that is damaged.
_SURE = 3
#: Of what waits for the rest of a frame: ADTS counts with 13 bits, LOAS too.
_MAX_HELD_BYTES = 1 << 14
_MPEG1_RATES, _MPEG_RATES = (44100, 48000, 32000), {3: 1, 2: 2, 0: 4}
_LAYER3_KBPS = {
    True: (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    False: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
# FLV E.4.2.1: SoundRate of MP3.
_FLV_RATES = {44100: 3, 22050: 2, 11025: 1}


class Sounds:
    """The sound of one elementary stream: ``put`` takes the payload of PES packets. ``codec``: aac, latm or mpeg."""

    def __init__(self, codec: str) -> None:
        self._codec = codec
        self._held = b""
        #: Stamp of the next frame in ticks, with fractions.
        self._next: float | None = None
        self._config = b""
        self._latm: LatmConfig | None = None
        #: Name of what FLV cannot carry, once it is known to be in there.
        self.unsupported = ""
        self._strange = 0

    def _tell(self, name: str) -> None:
        """A frame says that it is something that FLV cannot carry."""
        self._strange += 1
        if self._strange >= _SURE:
            self.unsupported = name

    def lose(self) -> None:
        """Bytes are missing: what is held has no end."""
        self._held = b""

    def put(self, data: bytes, pts: int | None, out: list[Tag]) -> None:
        """Stamps in ticks of 90 kHz, which do not wrap; without one it goes on after the frame before."""
        # Size, samples, rate, tag body and configuration of the frame that begins there; size 0: there is none.
        is_aac = self._codec == "aac"
        frame_at = self._adts if is_aac else self._loas if self._codec == "latm" else self._mpeg
        held = len(self._held)
        data = self._held + data[:_MAX_PUT_BYTES]
        # A frame that began in the packet before has its stamp from there.
        at, begun = 0, pts
        while at + 7 <= len(data):
            size, samples, rate_hz, frame, config = frame_at(data, at)
            if size <= 0:
                following = self._sync(data, at + 1)
                if following < 0:
                    at = len(data) - 1 if not size else at
                    break
                at = following
                continue
            if at + size > len(data):
                break
            if at >= held and begun is not None:
                self._next, begun = float(begun), None
            if self._next is None:
                at += size
                continue
            stamp = round(self._next) // 90 & 0xFFFFFFFF
            if config and config != self._config:
                self._config = config
                if self._codec != "mpeg":
                    out.append((AUDIO, stamp, b"\xaf\0" + config))
            if frame:
                out.append((AUDIO, stamp, frame))
            self._next += samples * _TICKS / rate_hz
            at += size
            if is_aac and begun is None:
                at = self._adts_run(data, at - size, at, self._next, out)
        self._held = data[at:][-_MAX_HELD_BYTES:]
        if begun is not None and pts is not None and at >= held:
            self._next = float(pts)

    def _sync(self, data: bytes, at: int) -> int:
        found = _SYNC[self._codec](data, at)
        return found.start() if found is not None else -1

    def _adts(self, data: bytes, at: int) -> tuple[int, int, int, bytes, bytes]:
        head = int.from_bytes(data[at : at + 7])
        size = head >> 13 & 0x1FFF
        begin, rate_hz, config = _adts_form(head >> 30)
        if size <= begin or not begin:
            return 0, 0, 0, b"", b""
        if not head >> 30 & 7:
            self._tell("AAC whose channels are told in its frames")
        return size, 1024 * ((head & 3) + 1), rate_hz, b"\xaf\1" + data[at + begin : at + size], config

    def _adts_run(self, data: bytes, last: int, at: int, ticks: float, out: list[Tag]) -> int:
        """Append the frames from ``at`` on that have the form of the last one; returns where the next begins."""
        fixed = int.from_bytes(data[last : last + 4]) >> 6
        begin, rate_hz, _ = _adts_form(fixed)
        most = len(data) - 7 if fixed & 7 else 0
        step = 1024 * _TICKS / rate_hz
        while at <= most:
            head = int.from_bytes(data[at : at + 7])
            end = at + (head >> 13 & 0x1FFF)
            if head >> 30 != fixed or end <= at + begin or end > most + 7:
                break
            out.append((AUDIO, round(ticks) // 90 & 0xFFFFFFFF, b"\xaf\1" + data[at + begin : end]))
            ticks += step * ((head & 3) + 1)
            at = end
        self._next = ticks
        return at

    def _mpeg(self, data: bytes, at: int) -> tuple[int, int, int, bytes, bytes]:
        head = int.from_bytes(data[at : at + 4])
        version, layer, bits, rate = head >> 19 & 3, head >> 17 & 3, head >> 12 & 15, head >> 10 & 3
        if head >> 21 != 0x7FF or version == 1 or not layer or bits in (0, 15) or rate == 3:
            return 0, 0, 0, b"", b""
        rate_hz = _MPEG1_RATES[rate] // _MPEG_RATES[version]
        if layer != 1:
            self._tell("MP2" if layer == 2 else "MPEG audio layer I")
            return 0, 0, 0, b"", b""
        if rate_hz not in _FLV_RATES:
            self._tell(f"MP3 with {rate_hz} Hz")
        samples = 1152 if version == 3 else 576
        size = samples // 8 * _LAYER3_KBPS[version == 3][bits] * 1000 // rate_hz + (head >> 9 & 1)
        is_mono = head >> 6 & 3 == 3
        first = 0x22 | _FLV_RATES.get(rate_hz, 3) << 2 | (0 if is_mono else 1)
        return size, samples, rate_hz, bytes((first,)) + data[at : at + size], b""

    def _loas(self, data: bytes, at: int) -> tuple[int, int, int, bytes, bytes]:
        head = int.from_bytes(data[at : at + 3])
        if head >> 13 != 0x2B7:
            return 0, 0, 0, b"", b""
        size = 3 + (head & 0x1FFF)
        if at + size > len(data):
            return size, 0, 1, b"", b""
        try:
            bits = BitReader(data[at + 3 : at + size])
            if not bits.read(1):
                self._latm = LatmConfig.read(bits)
            if self._latm is None:
                return size, 0, 1, b"", b""
            frame = self._latm.frame(bits)
        except UnsupportedCodec as error:
            self._tell(str(error))
            return size, 0, 1, b"", b""
        except ValueError:
            return 0, 0, 0, b"", b""
        return size, 1024, self._latm.rate_hz, b"\xaf\1" + frame, self._latm.config


@lru_cache(64)
def _adts_form(fixed: int) -> tuple[int, int, bytes]:
    """What the first 26 bits of an ADTS frame say, which all frames share: size of its head, 0 if it is none, rate, and
    AudioSpecificConfig."""
    rate = fixed >> 4 & 15
    if fixed >> 14 != 0xFFF or fixed >> 11 & 3 or rate >= len(_RATES):
        return 0, 0, b""
    # Object type, rate, channels.
    config = ((fixed >> 8 & 3) + 1 << 11 | rate << 7 | (fixed & 7) << 3).to_bytes(2)
    return 7 if fixed >> 10 & 1 else 9, _RATES[rate], config


class LatmConfig:
    """A StreamMuxConfig (1.7.3.2.3) of one program with one layer."""

    def __init__(self, config: bytes, rate_hz: int) -> None:
        self.config = config
        self.rate_hz = rate_hz

    @classmethod
    def read(cls, bits: BitReader) -> "LatmConfig":
        """Raises ValueError for what is damaged, UnsupportedCodec with the name of what is not read."""
        version = bits.read(1)
        if version and bits.read(1):
            raise UnsupportedCodec("LATM version A")
        if version:
            _latm_value(bits)
        same_time, frames, programs = bits.read(1), bits.read(6), bits.read(4)
        layers = bits.read(3)
        if not same_time or frames or programs or layers:
            raise UnsupportedCodec("LATM with several layers")
        size = _latm_value(bits) if version else None
        kind, rate, channels = bits.read(5), bits.read(4), bits.read(4)
        config = BitWriter()
        for width, value in ((5, kind), (4, rate), (4, channels)):
            config.put(width, value)
        has_rate = rate < len(_RATES)
        if kind in _HIGH_EFFICIENCY:
            # The rate is that of the core, of which a frame has 1024 samples; then that of what is made of it.
            full_rate, kind = bits.read(4), bits.read(5)
            config.put(4, full_rate)
            config.put(5, kind)
            has_rate = has_rate and full_rate < len(_RATES)
        if kind not in (1, 2, 3, 4) or not channels or not has_rate:
            raise UnsupportedCodec("LATM with another kind of AAC than LC and HE")
        bits.skip(3)  # Length of frames, core coder, extension.
        config.put(3, 0)
        if size is not None:
            bits.skip(max(0, size - config.bits))
        if _frame_length_type(bits, may_extend=size is None):
            raise UnsupportedCodec("LATM with frames of a fixed length")
        bits.skip(8)
        if bits.read(1):
            if version:
                _latm_value(bits)
            else:
                while bits.read(1):
                    bits.skip(8)
                bits.skip(8)
        if bits.read(1):
            bits.skip(8)
        return cls(config.to_bytes(), _RATES[rate])

    def frame(self, bits: BitReader) -> bytes:
        """The AAC frame of one element (1.7.3.2.1)."""
        size = 0
        while (more := bits.read(8)) == 255:
            size += 255
        size += more
        return bits.read(8 * size).to_bytes(size)


def _frame_length_type(bits: BitReader, *, may_extend: bool) -> int:
    """The next three bits (1.7.3.2.3), after what may stand before them.

    An older decoder knows nothing of SBR and PS: they may be told behind the configuration (1.6.5), where its length is
    not. GStreamer's rtpmp4apay tells so that there are none. What tells it begins as no type of AAC's does.
    """
    kind = bits.read(3)
    if may_extend and kind == _SYNC_EXTENSION >> 8 and bits.read(8) == _SYNC_EXTENSION & 0xFF:
        if bits.read(5) == _SBR and bits.read(1):
            bits.skip(24 if bits.read(4) == _EXPLICIT_RATE else 0)
        kind = bits.read(3)
        if kind == _PS_EXTENSION >> 8 and bits.read(8) == _PS_EXTENSION & 0xFF:
            bits.skip(1)
            kind = bits.read(3)
    return kind


def _latm_value(bits: BitReader) -> int:
    return bits.read(8 * (bits.read(2) + 1))
