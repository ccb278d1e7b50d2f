"""An FLV stream as a live source gives it: the file header once, then tags."""

from streamferry.media.errors import RemoteProtocolError, SourceUnsupported
from streamferry.media.tag import Tag
from streamferry.wire.flv import FLV_HEADER_BYTES, parse_flv_header, scan_tags


class FlvScanner:
    """Checks the file header, then scans tags; ``scan`` is a ``source.live.Scan``."""

    def __init__(self) -> None:
        self._in_header = True

    def scan(self, view: memoryview, start: int, end: int, out: list[Tag]) -> int:
        """See ``source.live.Scan``. Raises SourceUnsupported if it is no FLV."""
        if self._in_header:
            if end - start < FLV_HEADER_BYTES and b"FLV".startswith(bytes(view[start : min(start + 3, end)])):
                return start
            try:
                parse_flv_header(view[start:end])
            except RemoteProtocolError as error:
                raise SourceUnsupported("the source answered with something that is not FLV") from error
            self._in_header = False
            start += FLV_HEADER_BYTES
        return scan_tags(view, start, end, out)
