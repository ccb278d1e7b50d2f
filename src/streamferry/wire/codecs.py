"""Codecs of tags as MP4 has them: headers become sample entries and RFC 6381 names, bodies give their samples.

H.264 and HEVC, AAC and Opus, in FLV's own form and in that of Enhanced RTMP; other codecs are refused by name. Pictures
and sound are not looked into, but for the size of the picture, which an MP4 header has to tell.

Specifications: ISO/IEC 14496-12 and -15 (sample entries), 14496-1 7.2.6 (esds), 14496-3 1.6.2 (AAC), Encapsulation of
Opus in ISO base media; FLV annex E.4.2 and E.4.3; Enhanced RTMP v2.
"""

from dataclasses import dataclass
from struct import pack

from streamferry.wire.aac import SAMPLE_RATES
from streamferry.wire.bits import BitReader, unescape

_AVC, _HEVC, _AAC, _EX_AUDIO = 7, 12, 10, 9
# Object types of AAC: the rate of the first header field is that of half of what is heard.
_SBR, _PARAMETRIC_STEREO = 5, 29
_VIDEO_NAMES = {2: "Sorenson H.263", 3: "Screen Video", 4: "VP6", 5: "VP6 with alpha", 6: "Screen Video 2", 13: "AV1"}
_AUDIO_NAMES = {0: "PCM", 1: "ADPCM", 2: "MP3", 3: "PCM", 7: "G.711", 8: "G.711", 11: "Speex", 14: "MP3"}
_NELLYMOSER = (4, 5, 6)
_FOURCC_NAMES = {"av01": "AV1", "vp08": "VP8", "vp09": "VP9", "vvc1": "VVC", "ac-3": "AC-3", "ec-3": "E-AC-3"}
_HIGH_PROFILES = frozenset((100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135))
_HEVC_SPS = 33
_CHROMA = ("gray", "yuv420p", "yuv422p", "yuv444p")
# Headers have some hundred bytes. A picture's size lies in the first hundred of a parameter set.
_MAX_CONFIG_BYTES = 16 << 10
_SPS_BYTES = 1 << 10
# H.264 7.4.2.1.1: num_ref_frames_in_pic_order_cnt_cycle.
_MAX_ORDER_CYCLE = 255
# H.264 table E-1: the aspect stands behind it.
_EXTENDED_ASPECT = 255


class UnsupportedCodec(ValueError):
    """A codec that this module does not put into MP4; the message is its name."""


@dataclass(frozen=True, slots=True)
class TrackForm:
    """``codecs`` as a MIME type has it, the sample entry box, and the size of the picture, 0 for sound."""

    codecs: str
    entry: bytes
    width: int = 0
    height: int = 0


def box(name: bytes, *parts: bytes) -> bytes:
    """One box of ISO/IEC 14496-12."""
    content = b"".join(parts)
    return pack(">I", 8 + len(content)) + name + content


def parse_video_header(body: bytes) -> TrackForm:
    """Form of a video track by its sequence header. Raises UnsupportedCodec, ValueError for one that is damaged."""
    codec = _video_codec(body)
    config = _bounded(body[5:])
    try:
        if codec == _AVC:
            width, height = _avc_size(config)
            codecs, name, box_name = f"avc1.{config[1:4].hex().upper()}", b"avc1", b"avcC"
        else:
            width, height = _hevc_size(config)
            codecs, name, box_name = _hevc_codecs(config), b"hvc1", b"hvcC"
    except IndexError:
        raise ValueError("the header of the picture's codec ends too soon") from None
    # Reserved and data reference, reserved, size, 72 dpi twice, reserved, one frame a sample, no name, depth, -1.
    fixed = pack(">6xH16xHHIIIH32xHh", 1, width, height, 0x480000, 0x480000, 0, 1, 24, -1)
    return TrackForm(codecs, box(name, fixed, box(box_name, config)), width, height)


def parse_audio_header(body: bytes) -> TrackForm:
    """Form of an audio track by its sequence header. Raises as ``parse_video_header`` does."""
    if _audio_codec(body) == "Opus":
        return _opus_form(body[5:])
    config = _aac_config(body)
    object_type, rate_hz, channels = _read_aac(BitReader(config))
    decoder = b"\x40\x15" + bytes(11) + _descriptor(5, config)
    es = _descriptor(3, b"\0\0\0" + _descriptor(4, decoder) + _descriptor(6, b"\2"))
    # Channel configuration 7 means 8; 0 means that the stream itself tells.
    entry = box(b"mp4a", _audio_fields({0: 2, 7: 8}.get(channels, channels), rate_hz), box(b"esds", bytes(4), es))
    return TrackForm(f"mp4a.40.{object_type}", entry)


def parse_sound(body: bytes) -> tuple[int, int]:
    """(sampling rate in Hz, channels) of a sound by its sequence header: what is heard, so that of AAC with SBR.

    Channels are 0 if only the frames tell them. Raises as ``parse_video_header`` does.
    """
    if _audio_codec(body) == "Opus":
        if body[5:13] != b"OpusHead" or len(body) < 24:
            raise ValueError("the header of Opus is not one")
        return 48000, body[14]
    bits = BitReader(_aac_config(body))
    object_type, rate_hz, channels = _read_aac(bits)
    if object_type in (_SBR, _PARAMETRIC_STEREO):
        rate_hz = _read_rate(bits)
    return rate_hz, 2 if object_type == _PARAMETRIC_STEREO else {7: 8}.get(channels, channels)


def _aac_config(body: bytes) -> bytes:
    return _bounded(body[2:] if body[0] >> 4 == _AAC else body[5:])


def _read_aac(bits: BitReader) -> tuple[int, int, int]:
    """(object type, sampling rate, channel configuration) of an AudioSpecificConfig (ISO/IEC 14496-3, 1.6.2.1)."""
    object_type = bits.read(5)
    if object_type == 31:
        object_type = 32 + bits.read(6)
    return object_type, _read_rate(bits), bits.read(4)


def _read_rate(bits: BitReader) -> int:
    index = bits.read(4)
    return SAMPLE_RATES[index] if index < len(SAMPLE_RATES) else bits.read(24)


def _bounded(config: bytes) -> bytes:
    if len(config) > _MAX_CONFIG_BYTES:
        raise ValueError(f"the codec's header has {len(config)} bytes")
    return config


def split_video(body: bytes) -> tuple[int, bytes]:
    """(ms from decoding to showing, sample) of a video frame's body. Raises UnsupportedCodec."""
    _video_codec(body)
    if not body[0] & 0x80:
        return int.from_bytes(body[2:5], "big", signed=True), body[5:]
    if body[0] & 0x0F == 3:
        return 0, body[5:]
    return int.from_bytes(body[5:8], "big", signed=True), body[8:]


def split_audio(body: bytes) -> bytes:
    """Sample of an audio frame's body. Raises UnsupportedCodec."""
    _audio_codec(body)
    return body[2:] if body[0] >> 4 == _AAC else body[5:]


def _video_codec(body: bytes) -> int:
    if not body[0] & 0x80:
        codec = body[0] & 0x0F
        if codec not in (_AVC, _HEVC):
            raise UnsupportedCodec(_VIDEO_NAMES.get(codec, f"video codec {codec}"))
        return codec
    codec = {b"avc1": _AVC, b"hvc1": _HEVC}.get(body[1:5], 0)
    if not codec or body[0] & 0x0F not in (0, 1, 3):
        raise UnsupportedCodec(_fourcc_name(body))
    return codec


def _audio_codec(body: bytes) -> str:
    sound_format = body[0] >> 4
    if sound_format == _AAC:
        return "AAC"
    if sound_format != _EX_AUDIO:
        name = "Nellymoser" if sound_format in _NELLYMOSER else f"audio codec {sound_format}"
        raise UnsupportedCodec(_AUDIO_NAMES.get(sound_format, name))
    codec = {b"mp4a": "AAC", b"Opus": "Opus"}.get(body[1:5])
    if codec is None or body[0] & 0x0F not in (0, 1):
        raise UnsupportedCodec(_fourcc_name(body))
    return codec


def _fourcc_name(body: bytes) -> str:
    if body[0] & 0x0F > 4:
        return "Enhanced RTMP with several tracks or extensions"
    name = "".join(chr(c) for c in body[1:5] if 32 < c < 127)
    return _FOURCC_NAMES.get(name, name or "a codec without a name")


def _avc_size(config: bytes) -> tuple[int, int]:
    """(width, height) of an AVCDecoderConfigurationRecord, by its first SPS (H.264 7.3.2.1.1)."""
    if not config[5] & 0x1F:
        raise ValueError("the H.264 header has no parameter set")
    return avc_set_size(config[8 : 8 + int.from_bytes(config[6:8], "big")])


def avc_set_size(unit: bytes) -> tuple[int, int]:
    """(width, height) by a sequence parameter set. Raises ValueError, IndexError for one that is damaged."""
    read = read_avc_set(unit)
    return read.width, read.height


def pixel_format(body: bytes) -> str:
    """How pixels are kept, as ffmpeg names it, by the sequence header of H.264 or HEVC: ``yuv420p``, ``yuv422p10le``.

    Raises UnsupportedCodec, ValueError or IndexError for one that is damaged.
    """
    codec, config = _video_codec(body), _bounded(body[5:])
    if codec == _AVC:
        read = read_avc_set(config[8 : 8 + int.from_bytes(config[6:8], "big")])
        chroma, depth = read.chroma, read.depth
    else:
        chroma, depth = config[16] & 3, 8 + (config[17] & 7)
    return _CHROMA[chroma & 3] + (f"{depth}le" if depth > 8 else "")


def avc_frame_rate(body: bytes) -> float:
    """Pictures a second of H.264 by its sequence header, 0 if it does not say, or says that they are not even.

    Raises ValueError, IndexError for one that is damaged.
    """
    config = _bounded(body[5:])
    bits = read_avc_set(config[8 : 8 + int.from_bytes(config[6:8], "big")]).rest
    if not skip_to_timing(bits) or not bits.read(1):
        return 0.0
    tick, scale, is_fixed = bits.read(32), bits.read(32), bits.read(1)
    return scale / tick / 2 if is_fixed and tick else 0.0


def skip_to_timing(bits: BitReader) -> bool:
    """Pass over the beginning of the VUI (H.264 E.1.1), up to timing_info_present_flag; False if there is no VUI."""
    if not bits.read(1):
        return False
    # Aspect, overscan, kind of signal, place of chroma.
    if bits.read(1) and bits.read(8) == _EXTENDED_ASPECT:
        bits.skip(32)
    if bits.read(1):
        bits.skip(1)
    if bits.read(1):
        bits.skip(4)
        if bits.read(1):
            bits.skip(24)
    if bits.read(1):
        bits.read_golomb()
        bits.read_golomb()
    return True


def may_have_fields(unit: bytes) -> bool:
    """Whether pictures of such a sequence may be fields, by its parameter set. Raises as ``avc_set_size``."""
    return not read_avc_set(unit).is_progressive


@dataclass(frozen=True, slots=True)
class AvcSet:
    """A sequence parameter set of H.264, as far as it is read; ``rest`` begins with vui_parameters_present_flag."""

    width: int
    height: int
    is_progressive: bool
    profile: int
    #: pic_order_cnt_type and max_num_ref_frames.
    order_type: int
    references: int
    #: chroma_format_idc, and bits of a sample of luma.
    chroma: int
    depth: int
    rest: BitReader


def read_avc_set(unit: bytes) -> AvcSet:
    """H.264 7.3.2.1.1. Raises as ``avc_set_size``."""
    bits = BitReader(unescape(unit[:_SPS_BYTES])[1:])
    profile = bits.read(8)
    bits.skip(16)
    bits.read_golomb()
    chroma, depth = 1, 8
    if profile in _HIGH_PROFILES:
        chroma = bits.read_golomb()
        if chroma == 3:
            bits.skip(1)
        depth += bits.read_golomb()
        bits.read_golomb()
        bits.skip(1)
        if bits.read(1):
            for index in range(12 if chroma == 3 else 8):
                if bits.read(1):
                    _skip_scaling_list(bits, 16 if index < 6 else 64)
    bits.read_golomb()
    order = bits.read_golomb()
    if order == 0:
        bits.read_golomb()
    elif order == 1:
        bits.skip(1)
        bits.read_golomb()
        bits.read_golomb()
        cycle = bits.read_golomb()
        if cycle > _MAX_ORDER_CYCLE:
            raise ValueError("the H.264 header tells an impossible order of pictures")
        for _ in range(cycle):
            bits.read_golomb()
    references = bits.read_golomb()
    bits.skip(1)
    width = (bits.read_golomb() + 1) * 16
    height = (bits.read_golomb() + 1) * 16
    is_progressive = bits.read(1)
    if not is_progressive:
        height *= 2
        bits.skip(1)
    bits.skip(1)
    if bits.read(1):
        left, right, top, bottom = (bits.read_golomb() for _ in range(4))
        width -= (left + right) * (2 if chroma in (1, 2) else 1)
        height -= (top + bottom) * (2 if chroma == 1 else 1) * (2 - is_progressive)
    return AvcSet(*_checked(width, height), bool(is_progressive), profile, order, references, chroma, depth, bits)


def _skip_scaling_list(bits: BitReader, size: int) -> None:
    last = following = 8
    for _ in range(size):
        if following:
            following = (last + bits.read_signed_golomb()) % 256
        last = following or last


def _hevc_size(config: bytes) -> tuple[int, int]:
    """(width, height) of an HEVCDecoderConfigurationRecord, by its first SPS (H.265 7.3.2.2.1)."""
    return hevc_set_size(_hevc_sps(config))


def skip_to_hevc_size(bits: BitReader) -> int:
    """Read a sequence parameter set of H.265, unescaped, up to its width; returns chroma_format_idc."""
    bits.skip(16 + 4)
    layers = bits.read(3)
    bits.skip(1 + 96)
    told = [(bits.read(1), bits.read(1)) for _ in range(layers)]
    if layers:
        bits.skip(2 * (8 - layers))
    for has_profile, has_level in told:
        bits.skip(88 * has_profile + 8 * has_level)
    bits.read_golomb()
    chroma = bits.read_golomb()
    if chroma == 3:
        bits.skip(1)
    return chroma


def hevc_set_size(unit: bytes) -> tuple[int, int]:
    """The same for HEVC."""
    bits = BitReader(unescape(unit[:_SPS_BYTES]))
    chroma = skip_to_hevc_size(bits)
    width, height = bits.read_golomb(), bits.read_golomb()
    if bits.read(1):
        left, right, top, bottom = (bits.read_golomb() for _ in range(4))
        width -= (left + right) * (2 if chroma in (1, 2) else 1)
        height -= (top + bottom) * (2 if chroma == 1 else 1)
    return _checked(width, height)


def _hevc_sps(config: bytes) -> bytes:
    at = 23
    for _ in range(config[22]):
        nal_type = config[at] & 0x3F
        at += 3
        for _ in range(int.from_bytes(config[at - 2 : at], "big")):
            size = int.from_bytes(config[at : at + 2], "big")
            if nal_type == _HEVC_SPS:
                return config[at + 2 : at + 2 + size]
            at += 2 + size
            if at > len(config):
                raise ValueError("the HEVC header ends too soon")
    raise ValueError("the HEVC header has no parameter set")


def _hevc_codecs(config: bytes) -> str:
    """Name of a HEVC stream (ISO/IEC 14496-15 E.3)."""
    space, tier, profile = config[1] >> 6, config[1] >> 5 & 1, config[1] & 0x1F
    compatible = int(f"{int.from_bytes(config[2:6], 'big'):032b}"[::-1], 2)
    constraints = "".join(f".{byte:X}" for byte in config[6:12].rstrip(b"\0"))
    return f"hvc1.{['', 'A', 'B', 'C'][space]}{profile}.{compatible:X}.{'LH'[tier]}{config[12]}{constraints}"


def _checked(width: int, height: int) -> tuple[int, int]:
    if not (0 < width < 1 << 16 and 0 < height < 1 << 16):
        raise ValueError("the codec's header tells an impossible size of the picture")
    return width, height


def _opus_form(head: bytes) -> TrackForm:
    """By an OpusHead of RFC 7845 5.1, whose numbers MP4 has the other way round."""
    if head[:8] != b"OpusHead" or len(head) < 19:
        raise ValueError("the header of Opus is not one")
    skip, rate_hz, gain = head[10:12][::-1], head[12:16][::-1], head[16:18][::-1]
    channels = head[9]
    specific = box(b"dOps", b"\0", head[9:10], skip, rate_hz, gain, head[18:])
    return TrackForm("opus", box(b"Opus", _audio_fields(channels, 48000), specific))


def _audio_fields(channels: int, rate_hz: int) -> bytes:
    # The field has 16 bits for the rate; what is faster is told by the codec's own header.
    return pack(">6xH8xHH4xHH", 1, channels, 16, rate_hz if rate_hz < 1 << 16 else 0, 0)


def _descriptor(tag: int, content: bytes) -> bytes:
    """A descriptor of ISO/IEC 14496-1, its size in four bytes of seven bits."""
    size = len(content)
    return bytes((tag, size >> 21 | 0x80, size >> 14 & 0x7F | 0x80, size >> 7 & 0x7F | 0x80, size & 0x7F)) + content
