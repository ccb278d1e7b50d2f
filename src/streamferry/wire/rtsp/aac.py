"""AAC out of RTP: packets to access units.

Specification: RFC 3640, 3.2 and 3.3 (access units behind their headers; AAC-lbr, AAC-hbr), RFC 6416, 5 and 6
(MP4A-LATM), RFC 2250, 3.5 (MPEG audio); ISO/IEC 14496-3, 1.6.2.1 (AudioSpecificConfig).
"""

from streamferry.wire.aac import FRAME_SAMPLES, SAMPLE_RATES
from streamferry.wire.bits import BitReader
from streamferry.wire.codecs import UnsupportedCodec
from streamferry.wire.mpegts.sounds import LatmConfig

# Of a packet: an access unit of AAC has at most 768 bytes a channel, and a packet holds a second at most.
_MAX_UNITS = 64
#: Of an access unit that lies in several packets.
MAX_UNIT_BYTES = 1 << 16
_MAX_CONFIG_BYTES = 64
_EXPLICIT_RATE = 15
_LEFT_OUT_BYTES = 2


def read_config(text: str) -> bytes:
    """The AudioSpecificConfig of a description, in hexadecimal. Raises UnsupportedCodec."""
    try:
        config = bytes.fromhex(text)
    except ValueError:
        config = b""
    if not 2 <= len(config) <= _MAX_CONFIG_BYTES:
        raise UnsupportedCodec("AAC without a readable configuration")
    return config


def core_rate_hz(config: bytes) -> int:
    """Sampling rate of the core of a configuration: a frame has 1024 samples at that. Raises UnsupportedCodec."""
    try:
        bits = BitReader(config)
        if bits.read(5) == 31:
            bits.skip(6)
        index = bits.read(4)
        rate_hz = bits.read(24) if index == _EXPLICIT_RATE else SAMPLE_RATES[index]
    except (ValueError, IndexError):
        rate_hz = 0
    if not rate_hz:
        raise UnsupportedCodec("AAC without a readable configuration")
    return rate_hz


#: (stamp on the clock of the packets, access unit)
Unit = tuple[int, bytes]


class AacUnits:
    """Access units behind their headers (mpeg4-generic)."""

    def __init__(self, parameters: dict[str, str], rate_hz: int) -> None:
        """``parameters``: of the format. Raises UnsupportedCodec."""
        if not parameters.get("mode", "AAC-hbr").lower().startswith("aac"):
            raise UnsupportedCodec("MPEG-4 that is not AAC")
        self.config = read_config(parameters.get("config", ""))
        self._size_bits = _number(parameters, "sizelength", 13)
        self._index_bits = _number(parameters, "indexlength", 3)
        self._delta_bits = _number(parameters, "indexdeltalength", 3)
        # AAC-hbr: 16 bits for each.
        self._is_usual = (self._size_bits, self._index_bits, self._delta_bits) == (13, 3, 3)
        #: Bits of a header after those: composition and decoding time, whether it is a random access point.
        more = ("ctsdeltalength", "dtsdeltalength", "randomaccessindication", "streamstateindication")
        if any(_number(parameters, name, 0) for name in more):
            raise UnsupportedCodec("AAC with times in its headers (RFC 3640, CTSDeltaLength)")
        self._auxiliary_bits = _number(parameters, "auxiliarydatasizelength", 0)
        if not 1 <= self._size_bits <= 32 or self._index_bits > 32 or self._delta_bits > 32:
            raise UnsupportedCodec("AAC with headers of an unusual form")
        told = _number(parameters, "constantduration", 0)
        self._step = told or round(FRAME_SAMPLES * rate_hz / core_rate_hz(self.config))
        self._fragment = b""
        self._fragment_bytes = 0
        self._stamp = 0

    def put(self, is_marked: bool, stamp: int, payload: bytes, is_broken: bool, out: list[Unit]) -> None:
        """The next packet in its order."""
        if is_broken or (self._fragment and stamp != self._stamp):
            self._fragment = b""
        if len(payload) < 2:
            return
        head_bits = payload[0] << 8 | payload[1]
        begin = 2 + (head_bits + 7 >> 3)
        try:
            sizes = self._sizes(payload[2:begin], head_bits)
            if self._auxiliary_bits:
                auxiliary = BitReader(payload[begin : begin + 8])
                begin += self._auxiliary_bits + auxiliary.read(self._auxiliary_bits) + 7 >> 3
        except ValueError:
            return
        data = payload[begin:]
        if len(sizes) == 1 and sizes[0] > len(data):
            # A part of an access unit; each says the size of the whole.
            if sizes[0] <= MAX_UNIT_BYTES and (not self._fragment or sizes[0] == self._fragment_bytes):
                self._fragment, self._fragment_bytes, self._stamp = self._fragment + data, sizes[0], stamp
                if len(self._fragment) == sizes[0]:
                    out.append((stamp, self._fragment))
                    self._fragment = b""
                elif len(self._fragment) > sizes[0] or is_marked:
                    self._fragment = b""
            return
        self._fragment = b""
        at = 0
        for number, size in enumerate(sizes):
            if at + size > len(data):
                return
            if size:
                out.append((stamp + number * self._step, data[at : at + size]))
            at += size

    def _sizes(self, head: bytes, left: int) -> list[int]:
        sizes: list[int] = []
        if self._is_usual:
            for at in range(0, min(left // 8, len(head) - 1, 2 * _MAX_UNITS), 2):
                word = head[at] << 8 | head[at + 1]
                if word & 7:
                    raise ValueError("interleaved")
                sizes.append(word >> 3)
            return sizes
        bits = BitReader(head)
        index_bits = self._index_bits
        while left >= self._size_bits + index_bits and len(sizes) < _MAX_UNITS:
            sizes.append(bits.read(self._size_bits))
            # Interleaved units are for players that miss packets; no camera sends them.
            if bits.read(index_bits) and index_bits:
                raise ValueError("interleaved")
            left -= self._size_bits + index_bits
            index_bits = self._delta_bits
        return sizes


class LatmUnits:
    """AAC in LATM (MP4A-LATM): one audioMuxElement in a packet, or in several up to the marker."""

    def __init__(self, parameters: dict[str, str], rate_hz: int) -> None:
        """``parameters``: of the format. Raises UnsupportedCodec."""
        self._is_in_band = parameters.get("cpresent", "1") != "0"
        self._latm: LatmConfig | None = None
        if config := parameters.get("config", ""):
            try:
                # GStreamer's rtpmp4apay leaves out the end, of which all may be 0.
                self._latm = LatmConfig.read(BitReader(read_config(config) + bytes(_LEFT_OUT_BYTES)))
            except UnsupportedCodec:
                raise
            except ValueError as error:
                raise UnsupportedCodec("LATM with an unreadable configuration") from error
        elif not self._is_in_band:
            raise UnsupportedCodec("LATM without a configuration")
        self._held: list[bytes] = []
        self._bytes = 0
        self._is_damaged = False

    @property
    def config(self) -> bytes:
        """AudioSpecificConfig, empty until it is known."""
        return self._latm.config if self._latm is not None else b""

    def put(self, is_marked: bool, stamp: int, payload: bytes, is_broken: bool, out: list[Unit]) -> None:
        """The next packet in its order. Raises UnsupportedCodec for a configuration in it that is not read."""
        if is_broken:
            self._is_damaged = bool(self._held)
            self._held.clear()
        self._held.append(payload)
        self._bytes += len(payload)
        if self._bytes > MAX_UNIT_BYTES:
            self._is_damaged = True
            self._held.clear()
        if not is_marked:
            return
        element, self._held, self._bytes = b"".join(self._held), [], 0
        is_damaged, self._is_damaged = self._is_damaged, False
        if is_damaged:
            return
        try:
            bits = BitReader(element)
            if self._is_in_band and not bits.read(1):
                self._latm = LatmConfig.read(bits)
            if self._latm is not None and (unit := self._latm.frame(bits)):
                out.append((stamp, unit))
        except UnsupportedCodec:
            raise
        except ValueError:
            return


def _number(parameters: dict[str, str], name: str, default: int) -> int:
    text = parameters.get(name, "")
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 6 else default
