"""What ffmpeg does not tell of a file, from its first bytes and its index: encryption, several forms, edit lists."""

from dataclasses import dataclass, field

from streamferry.media.errors import SourceUnsupported
from streamferry.prepare.container import MAX_FILE_BYTES, Container, ReadAt
from streamferry.reasons import Code
from streamferry.wire.flv import FLV_HEADER_BYTES
from streamferry.wire.matroska import is_encrypted
from streamferry.wire.mp4_index import parse_index

#: The largest index that is looked into: that of ten hours has about 10 MB.
_MAX_INDEX_BYTES = 64 << 20
_MAX_BOXES = 1000
_HEAD_BYTES = 256
_OTHERS = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n", "PNG"),
    (b"GIF8", "GIF"),
    (b"BM", "BMP"),
    (b"%PDF", "PDF"),
    (b"PK\x03\x04", "ZIP"),
    (b"Rar!", "RAR"),
)
_WEB_PAGES = (b"<!doctype html", b"<html")
# The tracks of Matroska come before its media: most often in the first bytes, sometimes after fonts.
_MATROSKA_HEAD_BYTES = (4 << 10, 64 << 10, 1 << 20)
# Some tables of MPEG-TS are never scrambled; of 90 packets most are media.
_TS_HEAD_BYTES = 16 << 10
_TS_PACKET_BYTES = 188
# FLV E.4.1: a tag with this bit has a filter in front of its body, which is encryption.
_FLV_FILTER = 0x20


@dataclass(frozen=True, slots=True)
class Inspection:
    """``encryption``: its name, empty if there is none.

    ``other``: what it is if it is no media: a picture, a web page. ``is_empty``: it has not a byte.
    ``hidden_s``: how much of each track (``video``, ``audio``) an edit list hides from viewers and a copy would send.
    ``varies``: tracks with more than one form.
    """

    encryption: str = ""
    hidden_s: dict[str, float] = field(default_factory=dict)
    varies: frozenset[str] = frozenset()
    other: str = ""
    is_empty: bool = False

    def check(self) -> None:
        """Raise SourceUnsupported for what is no media, and for media that nobody can decode without a key."""
        if self.is_empty:
            raise SourceUnsupported(Code.FILE_IS_EMPTY)
        if self.other:
            raise SourceUnsupported(Code.FILE_IS_OTHER, kind=self.other)
        if self.encryption:
            raise SourceUnsupported(Code.FILE_ENCRYPTED, scheme=self.encryption)


def inspect(kind: Container, read_at: ReadAt) -> Inspection:
    """Look into the file behind ``read_at``."""
    match kind:
        case Container.MP4 | Container.MP4_MOOV_LAST:
            return _inspect_index(_read_index(read_at))
        case Container.MATROSKA:
            known = (is_encrypted(read_at(0, size)) for size in _MATROSKA_HEAD_BYTES)
            found = next((one for one in known if one is not None), False)
            return Inspection("Matroska ContentEncryption" if found else "")
        case Container.TS:
            return Inspection("MPEG-TS scrambling" if _is_scrambled(read_at(0, _TS_HEAD_BYTES)) else "")
        case Container.FLV:
            first = read_at(FLV_HEADER_BYTES, 1)
            return Inspection("FLV filter" if first and first[0] & _FLV_FILTER else "")
        case Container.UNKNOWN:
            head = read_at(0, _HEAD_BYTES)
            return Inspection(other=_other_kind(head), is_empty=not head)
    return Inspection()


def _other_kind(head: bytes) -> str:
    """What it is by its first bytes, if people put such files into lists; empty if that cannot be told."""
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return "WebP"
    if head.lstrip().lower().startswith(_WEB_PAGES):
        return "HTML"
    return next((name for start, name in _OTHERS if head.startswith(start)), "")


def encryption_of(head: bytes) -> str:
    """How the header of fragmented MP4 says that its media is encrypted; empty if it does not."""
    return _inspect_index(_read_index(lambda offset, size: head[offset : offset + size])).encryption


def _inspect_index(moov: bytes) -> Inspection:
    tracks = parse_index(moov)
    hidden_s: dict[str, float] = {}
    for track in tracks:
        # Of several of a kind the first is almost always the one that is played.
        hidden_s.setdefault(track.kind, track.hidden_s)
    return Inspection(
        encryption=next((f"MP4, {track.scheme}" for track in tracks if track.scheme), ""),
        hidden_s={kind: seconds for kind, seconds in hidden_s.items() if seconds},
        varies=frozenset(track.kind for track in tracks if len(set(track.forms)) > 1),
    )


def _read_index(read_at: ReadAt) -> bytes:
    """The first ``moov``; empty if there is none, or it is too large."""
    at = 0
    for _ in range(_MAX_BOXES):
        head = read_at(at, 16)
        size, name = int.from_bytes(head[:4]), head[4:8]
        if size == 1:
            size = int.from_bytes(head[8:16])
        if len(head) < 8 or size < 8:
            break
        if name == b"moov":
            return read_at(at, size) if size <= _MAX_INDEX_BYTES else b""
        at += size
        if at > MAX_FILE_BYTES:
            break
    return b""


def _is_scrambled(head: bytes) -> bool:
    """Whether most packets of MPEG-TS with media say so (ISO/IEC 13818-1, 2.4.3.2: transport_scrambling_control)."""
    # The time in front of a packet of 192 bytes may begin with a sync byte, too.
    begin = next((at for at in (0, 4) if head[at :: _TS_PACKET_BYTES + at][:2] == b"GG"), 0)
    step = _TS_PACKET_BYTES + begin
    heads = head[begin + 3 :: step]
    return 2 * sum(byte >= 0x40 for byte in heads) > len(heads)
