"""FileSender: the stretches of prepared files as their session takes them, and as previews do.

RTMP takes them as they lie, by one write; a join costs a type 0 header on the first message of each track. SRT and HLS
destinations, and previews, get the same stretch as tags, read through the chunk reader.
"""

from streamferry.media.enhanced import same_meaning, tag_kind
from streamferry.media.stamps import WRAP_MS
from streamferry.media.starts import Starts
from streamferry.media.tag import KEYFRAME, VIDEO, LaidTag, Tag
from streamferry.push import ChunkSession, Outlet, Session
from streamferry.source.prepared import PreparedReader
from streamferry.wire.rtmp.chunk_file import STEP_MS


class FileSender:
    """Sends what a reader gives, in one session after another, pass after pass."""

    __slots__ = (
        "_chunks",
        "_headers",
        "_headers_due",
        "_near_wrap_ms",
        "_outlet",
        "_over_wrap",
        "_shift",
        "_start_ms",
    )

    def __init__(self, outlet: Outlet) -> None:
        self._outlet = outlet
        # What takes the session's chunks; None: it takes tags.
        self._chunks: ChunkSession | None = None
        # Of the present pass.
        self._shift = 0
        self._start_ms = 0
        # The headers in force; and those due before the present pass begins, if any.
        self._headers: list[Tag] = []
        self._headers_due: list[Tag] = []
        # From which stamp of the pass on the session's stamps may be at 2^32 ms; and which tracks were sent since.
        self._near_wrap_ms = WRAP_MS
        self._over_wrap: set[int] = set()

    @property
    def headers(self) -> list[LaidTag]:
        """Metadata and sequence headers of what plays."""
        return self._lay_headers(self._headers)

    def begin_session(self) -> None:
        """The outlet has a session."""
        session = self._outlet.session
        self._chunks = session.chunks if session is not None else None
        self._headers = []

    def begin_pass(self, reader: PreparedReader, shift: int) -> None:
        """What is sent next is of this reader; ``shift`` is added to its stamps for the output clock."""
        self._shift = shift
        self._start_ms = reader.start_dts_ms + shift
        headers = reader.file.headers
        if [tag[0] for tag in headers] != [tag[0] for tag in self._headers] or not all(
            same_meaning(tag[0], bytes(tag[2]), bytes(known[2]))
            for tag, known in zip(headers, self._headers, strict=True)
        ):
            self._headers = self._headers_due = headers
        if self._chunks is not None:
            self._chunks.begin_at(self._start_ms)
            done_ms = (self._start_ms - self._chunks.zero_ms) % WRAP_MS
            self._near_wrap_ms = reader.start_dts_ms + WRAP_MS - done_ms - STEP_MS
            self._over_wrap.clear()

    def end_pass(self, reader: PreparedReader) -> None:
        """The pass has ended."""
        if reader.file.changes_headers:
            self._headers = []

    def send(self, session: Session, reader: PreparedReader, start: int, end: int) -> None:
        """Send what the reader gave from ``start`` to ``end``, in its file's bytes. Raises DestinationError."""
        chunks, tap = self._chunks, self._outlet.tap
        is_plain = not reader.unsent_tracks and reader.reached_ms < self._near_wrap_ms
        if is_plain and tap is None and chunks is not None:  # The hot path.
            chunks.write_file(reader.file, start, end)
            return
        headers, self._headers_due = self._headers_due, []
        if chunks is None or tap is not None:
            laid = self._lay(headers, reader, start)
            if chunks is None:
                session.write(laid)
            if tap is not None:
                tap(laid)
        if chunks is None:
            return
        if is_plain:
            chunks.write_file(reader.file, start, end)
            return
        if headers:
            chunks.write_tags(self._lay_headers(headers))
        pieces = reader.pieces(start, self._shift - chunks.zero_ms, chunks.message_stream_id)
        if reader.reached_ms < self._near_wrap_ms:
            chunks.write_pieces(pieces)
        else:
            self._send_over_wrap(chunks, reader, start)

    def _send_over_wrap(self, chunks: ChunkSession, reader: PreparedReader, start: int) -> None:
        """Stamps of the session reach 2^32 ms: each message tells its stamp until each track has begun anew.

        Servers that add up deltas (node-media-server 2.7) go on counting otherwise, and write what no player can read.
        """
        laid = self._lay([], reader, start)
        chunks.write_tags(laid)
        wrap_ms = self._near_wrap_ms + STEP_MS + self._shift
        self._over_wrap |= {tag[0] for tag in laid if tag[1] >= wrap_ms}
        if self._over_wrap >= reader.file.tracks:
            self._over_wrap.clear()
            self._near_wrap_ms += WRAP_MS

    def _lay_headers(self, headers: list[Tag]) -> list[LaidTag]:
        return [(tag_type, self._start_ms, body, tag_kind(tag_type, body)) for tag_type, _, body in headers]

    def _lay(self, headers: list[Tag], reader: PreparedReader, start: int) -> list[LaidTag]:
        """Headers, and what was given from ``start`` on, as tags on the output clock."""
        laid, tags = self._lay_headers(headers), list[Tag]()
        reader.tags(start, tags)
        starts, shift = Starts(), self._shift
        starts.begin(has_picture=VIDEO in reader.file.tracks)
        for tag_type, stamp_ms, body in tags:
            kind = tag_kind(tag_type, body)
            if kind <= KEYFRAME:
                kind = starts.mark_picture(kind) if tag_type == VIDEO else starts.sound
            laid.append((tag_type, stamp_ms + shift, body, kind))
        return laid
