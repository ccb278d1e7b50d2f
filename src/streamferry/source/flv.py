"""An FLV stream from a live source: the file header once, then tags."""

from streamferry.media.errors import RemoteProtocolError, SourceUnsupported
from streamferry.media.tag import Tag
from streamferry.reasons import Code
from streamferry.wire.flv import FLV_HEADER_BYTES, parse_flv_header, scan_tags
from streamferry.wire.leftover import put_before


class FlvReader:
    """Checks the file header, then reads tags; a ``source.live.Reader``."""

    def __init__(self, leftover: bytes = b"") -> None:
        """``leftover``: the beginning of the stream, if some was already received."""
        #: Bytes of a tag, or of the header, whose end has not come yet.
        self.unread = leftover
        self.is_in_header = True

    def read(self, view: memoryview, start: int, out: list[Tag]) -> None:
        """See ``source.live.Reader``. Raises SourceUnsupported if it is not FLV."""
        view, start = put_before(self.unread, view, start)
        start = (self._read_start if self.is_in_header else scan_tags)(view, start, len(view), out)
        self.unread = bytes(view[start:])

    def _read_start(self, view: memoryview, start: int, end: int, out: list[Tag]) -> int:
        head = view[start : start + FLV_HEADER_BYTES]
        if len(head) < FLV_HEADER_BYTES and b"FLV".startswith(bytes(head[:3])):
            return start
        try:
            parse_flv_header(head)
        except RemoteProtocolError as error:
            raise SourceUnsupported(Code.SOURCE_NOT_FLV) from error
        self.is_in_header = False
        return scan_tags(view, start + FLV_HEADER_BYTES, end, out)
