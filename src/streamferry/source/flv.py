"""An FLV stream from a live source: the file header once, then tags."""

from collections.abc import Callable

from streamferry.media.errors import RemoteProtocolError, SourceError
from streamferry.media.tag import Tag
from streamferry.wire.flv import FLV_HEADER_BYTES, parse_flv_header, scan_tags
from streamferry.wire.leftover import put_before


class FlvReader:
    """Checks the file header, then reads tags; a ``source.live.Reader``."""

    __slots__ = (
        "_refuse",
        "is_in_header",
        "unread",
    )

    def __init__(self, leftover: bytes = b"", *, refuse: Callable[[bytes], SourceError] | None = None) -> None:
        """``leftover``: the beginning of the stream, if some was already received.

        ``refuse``: makes the error for what begins like this and is not FLV; else it is a RemoteProtocolError.
        """
        self._refuse = refuse
        #: Bytes of a tag, or of the header, whose end has not come yet.
        self.unread = leftover
        self.is_in_header = True

    def read(self, view: memoryview, start: int, out: list[Tag]) -> None:
        """See ``source.live.Reader``. Raises the error of ``refuse`` if it is not FLV."""
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
            if self._refuse is None:
                raise
            raise self._refuse(bytes(view[start:end])) from error
        self.is_in_header, self._refuse = False, None
        return scan_tags(view, start + FLV_HEADER_BYTES, end, out)
