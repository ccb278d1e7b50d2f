"""An FLV stream from a live source: the file header once, then tags."""

from streamferry.media.errors import RemoteProtocolError, SourceUnsupported
from streamferry.media.tag import Tag
from streamferry.reasons import Code
from streamferry.wire.flv import FLV_HEADER_BYTES, parse_flv_header, scan_tags
from streamferry.wire.leftover import put_before


class FlvReader:
    """Checks the file header, then reads tags; ``read`` is a ``source.live.Read``."""

    def __init__(self, leftover: bytes = b"") -> None:
        """``leftover``: the beginning of the stream, if some was already received."""
        self._unread = leftover
        self._in_header = True

    def read(self, view: memoryview, start: int, out: list[Tag]) -> None:
        """See ``source.live.Read``. Raises SourceUnsupported if it is not FLV."""
        view, start = put_before(self._unread, view, start)
        start = (self._read_start if self._in_header else scan_tags)(view, start, len(view), out)
        self._unread = bytes(view[start:])

    def _read_start(self, view: memoryview, start: int, end: int, out: list[Tag]) -> int:
        head = view[start : start + FLV_HEADER_BYTES]
        if len(head) < FLV_HEADER_BYTES and b"FLV".startswith(bytes(head[:3])):
            return start
        try:
            parse_flv_header(head)
        except RemoteProtocolError as error:
            raise SourceUnsupported(Code.SOURCE_NOT_FLV) from error
        self._in_header = False
        return scan_tags(view, start + FLV_HEADER_BYTES, end, out)
