"""The tracks that an init segment (moov) of fragmented MP4 tells, and what their frames are in FLV.

Specification: ISO/IEC 14496-12, 8.3 (tracks), 8.5.2 (sample entries), 8.6.6 (edit lists), 8.8.3 (defaults); 14496-14,
5.6 and 14496-1, 7.2.6 (esds); 14496-15, 5.3.3 and 8.3.3 (records of H.264 and HEVC); Enhanced RTMP v2 (HEVC).
"""

from dataclasses import dataclass, field
from itertools import islice

from streamferry.wire.mp4.boxes import boxes, clock_hz, find, scheme_of

_MAX_TRACKS = 32
_MAX_FORMS = 16
_MAX_EDITS = 64
_MAX_CONFIG_BYTES = 16 << 10
_KINDS = {b"vide": "video", b"soun": "audio"}
# What comes before the boxes of an entry: of a picture, and of sound by its version (the last two are QuickTime's).
_VISUAL_BYTES, _SOUND_BYTES = 78, {0: 28, 1: 44, 2: 64}
_AVC, _HEVC = (b"avc1", b"avc3"), (b"hvc1", b"hev1")
# Object types of esds (14496-1, table 5, and the MP4 registration authority).
_AAC_OBJECTS, _MP3_OBJECTS = (0x40, 0x66, 0x67, 0x68), (0x69, 0x6B)
_OBJECT_NAMES = {0xA5: "AC-3", 0xA6: "E-AC-3", 0xA9: "DTS", 0xAD: "Opus"}
_ENTRY_NAMES = {
    b"ac-3": "AC-3",
    b"ec-3": "E-AC-3",
    b"ac-4": "AC-4",
    b"Opus": "Opus",
    b"fLaC": "FLAC",
    b"alac": "ALAC",
    b"dtsc": "DTS",
    b"mlpa": "TrueHD",
    b"av01": "AV1",
    b"vp08": "VP8",
    b"vp09": "VP9",
    b"vvc1": "VVC",
    b"dvh1": "Dolby Vision",
    b"dvhe": "Dolby Vision",
    b"mp4v": "MPEG-4 part 2",
    b"jpeg": "JPEG",
}
# AudioSpecificConfig: xHE-AAC has an object type of its own (14496-3, table 1.17), which FLV's readers do not know.
_XHE_AAC, _ESCAPED = 42, 31
# FLV E.4.2.1: SoundRate of MP3.
_FLV_RATES = {44100: 3, 22050: 2, 11025: 1}


@dataclass(frozen=True, slots=True)
class Form:
    """One sample entry. ``codec``: h264, hevc, aac, mpeg, or the name of one that is not read.

    ``header``: body of the sequence header, empty for what has none. ``first``: what a frame's body begins with; of a
    picture the codec alone.
    """

    codec: str
    header: bytes = b""
    first: bytes = b""

    @property
    def is_read(self) -> bool:
        """Whether frames of it become tags."""
        return bool(self.first)


@dataclass(slots=True)
class Track:
    """``offset``: what the edit list takes from stamps, in ticks of ``hz``; the rest is what fragments leave unsaid."""

    number: int
    kind: str
    hz: int
    offset: int
    forms: tuple[Form, ...]
    #: How it is encrypted, empty if it is not.
    scheme: str
    defaults: tuple[int, int, int, int] = (1, 0, 0, 0)
    #: Where the next fragment begins that does not say it, and by how much pictures are shown before they are decoded.
    next_dts: int = field(default=0, compare=False)
    lead: int = field(default=0, compare=False)

    @property
    def form(self) -> Form:
        """The first of its forms that is read, else the first."""
        return next((form for form in self.forms if form.is_read), self.forms[0])


def tracks_of(moov: memoryview) -> list[Track]:
    """Those of picture and sound; ``moov`` is the content of the box."""
    movie_hz = clock_hz(find(moov, b"mvhd"))
    defaults: dict[int, tuple[int, int, int, int]] = {}
    for name, trex in islice(boxes(find(moov, b"mvex")), 2 * _MAX_TRACKS):
        if name == b"trex" and len(trex) >= 24:
            number, index, duration, size, flags = (int.from_bytes(trex[at : at + 4]) for at in range(4, 24, 4))
            defaults[number] = (index, duration, size, flags)
    found = []
    for trak in islice((box for name, box in boxes(moov) if name == b"trak"), _MAX_TRACKS):
        if (track := _track(trak, movie_hz)) is not None:
            track.defaults = defaults.get(track.number, track.defaults)
            found.append(track)
    return found


def is_fragmented(moov: memoryview) -> bool:
    """Whether its media is in fragments, and not listed in the index itself."""
    return bool(len(find(moov, b"mvex"))) or not any(
        int.from_bytes(find(trak, b"mdia", b"minf", b"stbl", b"stts")[4:8])
        for name, trak in boxes(moov)
        if name == b"trak"
    )


def _track(trak: memoryview, movie_hz: int) -> Track | None:
    kind = _KINDS.get(bytes(find(trak, b"mdia", b"hdlr")[8:12]))
    hz = clock_hz(find(trak, b"mdia", b"mdhd"))
    entries = list(islice(boxes(find(trak, b"mdia", b"minf", b"stbl", b"stsd")[8:]), _MAX_FORMS))
    if kind is None or not hz or not entries:
        return None
    tkhd = find(trak, b"tkhd")
    at = 20 if bytes(tkhd[:1]) == b"\1" else 12
    read = _picture_form if kind == "video" else _sound_form
    scheme = next((scheme for name, entry in entries if (scheme := scheme_of(name, entry))), "")
    return Track(
        number=int.from_bytes(tkhd[at : at + 4]),
        kind=kind,
        hz=hz,
        offset=_offset(find(trak, b"edts", b"elst"), hz, movie_hz),
        forms=tuple(read(name, entry) for name, entry in entries),
        scheme=scheme,
    )


def _offset(elst: memoryview, track_hz: int, movie_hz: int) -> int:
    """What an edit list takes from stamps: where it begins to show, without the pause before that."""
    is_long, count = bytes(elst[:1]) == b"\1", int.from_bytes(elst[4:8])
    step, half = (20, 8) if is_long else (12, 4)
    pause = 0
    for at in range(8, min(8 + min(count, _MAX_EDITS) * step, len(elst) - step + 1), step):
        begin = int.from_bytes(elst[at + half : at + 2 * half], signed=True)
        if begin >= 0:
            return begin - (pause * track_hz // movie_hz if movie_hz else 0)
        pause += int.from_bytes(elst[at : at + half])
    return 0


def _picture_form(name: bytes, entry: memoryview) -> Form:
    inside = entry[_VISUAL_BYTES:]
    if name in _AVC and 7 <= len(record := bytes(find(inside, b"avcC"))) <= _MAX_CONFIG_BYTES:
        return Form("h264", b"\x17\0\0\0\0" + record, b"\x07")
    if name in _HEVC and 23 <= len(record := bytes(find(inside, b"hvcC"))) <= _MAX_CONFIG_BYTES:
        return Form("hevc", b"\x90hvc1" + record, b"\x81hvc1")
    return Form(_named(name))


def _sound_form(name: bytes, entry: memoryview) -> Form:
    version, channels = int.from_bytes(entry[8:10]), int.from_bytes(entry[16:18])
    rate_hz = int.from_bytes(entry[24:26])
    inside = entry[_SOUND_BYTES.get(version, len(entry)) :]
    if name == b".mp3":
        return _mp3_form(rate_hz, channels)
    if name != b"mp4a":
        return Form(_named(name))
    esds = find(inside, b"esds") or find(inside, b"wave", b"esds")
    object_type, config = _decoder(bytes(esds[4 : 4 + _MAX_CONFIG_BYTES]))
    if object_type in _MP3_OBJECTS:
        return _mp3_form(rate_hz, channels)
    if object_type not in _AAC_OBJECTS or len(config) < 2:
        return Form(_OBJECT_NAMES.get(object_type, "MP4 sound without a description"))
    kind = config[0] >> 3
    if kind == _ESCAPED:
        kind = 32 + (int.from_bytes(config[:2]) >> 5 & 0x3F)
    if kind == _XHE_AAC:
        return Form("xHE-AAC")
    return Form("aac", b"\xaf\0" + config, b"\xaf\1")


def _mp3_form(rate_hz: int, channels: int) -> Form:
    if rate_hz not in _FLV_RATES:
        return Form(f"MP3 with {rate_hz} Hz")
    return Form("mpeg", first=bytes((0x22 | _FLV_RATES[rate_hz] << 2 | (channels > 1),)))


def _named(name: bytes) -> str:
    if name in (b"encv", b"enca", b"drms", b"drmi"):
        return "encrypted media"
    return _ENTRY_NAMES.get(name, "".join(chr(byte) for byte in name if 32 < byte < 127) or "a codec without a name")


def _decoder(data: bytes) -> tuple[int, bytes]:
    """Object type and decoder specific information of an ES descriptor; (0, empty) if it has none."""
    tag, content = _descriptor(data)
    if tag != 3 or len(content) < 3:
        return 0, b""
    flags = content[2]
    at = 3 + (2 if flags & 0x80 else 0)
    if flags & 0x40 and at < len(content):
        at += 1 + content[at]
    at += 2 if flags & 0x20 else 0
    tag, content = _descriptor(content[at:])
    if tag != 4 or len(content) < 13:
        return 0, b""
    tag, config = _descriptor(content[13:])
    return content[0], config if tag == 5 else b""


def _descriptor(data: bytes) -> tuple[int, bytes]:
    """Tag and content of the first descriptor; its size is told in up to four bytes of seven bits."""
    size, at = 0, 1
    for byte in data[1:5]:
        size, at = size << 7 | byte & 0x7F, at + 1
        if not byte & 0x80:
            break
    return (data[0] if data else 0), data[at : at + size]
