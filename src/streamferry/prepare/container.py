"""How ffmpeg may read a file, from its first bytes: through a pipe, front to back, or only as a whole file.

Not a validator: ffmpeg decides what is media. MP4 is walked by its top-level boxes (ISO/IEC 14496-12, 4.2): with
``moov`` before ``mdat`` it reads front to back.
"""

from collections.abc import Callable
from enum import Enum

from streamferry.wire.hls import GZIP_MAGIC, uncompressed
from streamferry.wire.segment_kind import FIRST_BOXES

#: Gives up to ``size`` bytes at ``offset``, waiting for them; fewer only where the file ends.
ReadAt = Callable[[int, int], bytes]

_SNIFF_SIZE = 400
_TS_PACKETS = (188, 192)
_BOX_HEADER_SIZE = 16
#: No file is longer; the system takes no offset of 2^63.
MAX_FILE_BYTES = 1 << 60


class Container(Enum):
    """Kind of file; the value is the ffmpeg demuxer to name, so that a file cannot choose a stranger one."""

    FLV = "flv"
    TS = "mpegts"
    MATROSKA = "matroska"
    MP4 = "mov"
    MP4_MOOV_LAST = "mov "
    HLS = "hls"
    UNKNOWN = ""

    @property
    def demuxer(self) -> str:
        """Name of ffmpeg's demuxer, empty for ffmpeg to find out."""
        return self.value.strip()

    @property
    def reads_front_to_back(self) -> bool:
        """True when a pipe is enough."""
        return self in (Container.FLV, Container.TS, Container.MATROSKA, Container.MP4)


def look(read_at: ReadAt) -> Container:
    """Kind of the file behind ``read_at``."""
    head = read_at(0, _SNIFF_SIZE)
    if head.startswith(b"FLV\x01"):
        return Container.FLV
    if head.startswith(b"\x1aE\xdf\xa3"):
        return Container.MATROSKA
    text = uncompressed(head, _SNIFF_SIZE) if head.startswith(GZIP_MAGIC) else head
    if text.removeprefix(b"\xef\xbb\xbf").startswith(b"#EXTM3U"):
        return Container.HLS
    for packet in _TS_PACKETS:
        at = packet - 188
        if len(head) > at + packet and head[at] == 0x47 and head[at + packet] == 0x47:
            return Container.TS
    if head[4:8] in FIRST_BOXES:
        return _walk_boxes(read_at)
    return Container.UNKNOWN


def _walk_boxes(read_at: ReadAt) -> Container:
    offset = 0
    while True:
        header = read_at(offset, _BOX_HEADER_SIZE)
        if len(header) < 8:
            return Container.MP4_MOOV_LAST
        size, name = int.from_bytes(header[:4]), header[4:8]
        if name == b"moov":
            return Container.MP4
        if name == b"mdat":
            return Container.MP4_MOOV_LAST
        if size == 1:
            size = int.from_bytes(header[8:16])
        if size < 8:
            return Container.MP4_MOOV_LAST
        offset += size
        if offset > MAX_FILE_BYTES:
            return Container.MP4_MOOV_LAST
