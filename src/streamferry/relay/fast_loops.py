"""The loops of the fast path, one for each form in which a source sends; see ``relay.fast_path``."""

from struct import Struct

from streamferry.media.errors import SourceError
from streamferry.media.tag import AUDIO, VIDEO, Tag
from streamferry.push import Outlet
from streamferry.relay.drift import Drift
from streamferry.relay.fast_path import (
    AUDIO_CHUNK,
    BEGIN,
    MIN_BODY_BYTES,
    PICTURES,
    SOUNDS,
    VIDEO_CHUNK,
    ByteFastPath,
    FastPath,
    Taken,
    pack_extended_header,
    pack_header,
    write_header,
)
from streamferry.source.flv import FlvReader
from streamferry.source.live import MAX_PULL_BYTES, ConnectionInlet, LiveInlet
from streamferry.source.rtmp import RtmpReader
from streamferry.timeline import Timeline
from streamferry.timeline.tracks import MAX_FRAME_MS
from streamferry.wire.flv import MAX_TAG_BYTES
from streamferry.wire.rtmp.chunk import EXTENDED, MAX_MESSAGE_BYTES, append_chunks, continuation, swap_bytes
from streamferry.wire.rtmp.framed import Framed

_AROUND_BODY_BYTES, _HEADER_BYTES = 15, 11
_STAMP_MASK = 0xFFFFFFFF

# An FLV tag's type and size, its stamp with the extension byte, and the first two bytes of its body.
_read_tag = Struct(">II3xH").unpack_from
# The header of an RTMP message, and what follows it: an extended stamp, or the beginning of the body.
_read_chunk = Struct(">IIII").unpack_from
_read_look = Struct(">H").unpack_from


class FlvFastPath(ByteFastPath[FlvReader]):
    """For a source that sends FLV."""

    __slots__ = ()

    def _take(
        self, framed: Framed, end: int, base_ms: int, until_ms: int, video_ms: int, audio_ms: int, looks: bool
    ) -> Taken:
        """See ``FastPath``."""
        reader, view = self._reader, self._scratch
        unread = reader.unread
        start = BEGIN - len(unread)
        if start < 1:
            return BEGIN, 0, 0, video_ms, 0, audio_ms, 0
        if unread:
            view[start:BEGIN] = unread
        chunk_size, stream_word, append = framed.chunk_size, framed.stream_word, framed.pieces.append
        count = tag_type = last_type = video_step_ms = audio_step_ms = 0
        # Whether the loop ends at a tag of which there is enough for the general path.
        is_whole = True
        while start + _AROUND_BODY_BYTES <= end:
            type_and_size, stamp_word, look = _read_tag(view, start)
            size = type_and_size & 0xFFFFFF
            tag_type = type_and_size >> 24
            following = start + _AROUND_BODY_BYTES + size
            if following > end:
                # Of whatever kind: it is not whole yet.
                is_whole = tag_type not in (VIDEO, AUDIO) or size > MAX_TAG_BYTES
                break
            ms = (stamp_word >> 8) + base_ms
            if stamp_word & 0xFF:
                ms += (stamp_word & 0xFF) << 24
            if ms > until_ms or size < MIN_BODY_BYTES:
                break
            if tag_type == VIDEO:
                step_ms = ms - video_ms
                if not 0 < step_ms <= MAX_FRAME_MS or not PICTURES[look]:
                    break
                video_ms, video_step_ms, chunk = ms, step_ms, VIDEO_CHUNK
            elif tag_type == AUDIO:
                step_ms = ms - audio_ms
                if not 0 < step_ms <= MAX_FRAME_MS or not SOUNDS[look]:
                    break
                audio_ms, audio_step_ms, chunk = ms, step_ms, AUDIO_CHUNK
            else:
                break
            if ms < EXTENDED:
                piece = start - 1
                write_header(view, piece, chunk | ms, size << 8 | tag_type, stream_word)
            else:
                piece = start + _HEADER_BYTES
                append(pack_extended_header(chunk | EXTENDED, size << 8 | tag_type, stream_word, ms))
            if size > chunk_size:
                head = continuation(chunk >> 24, ms)
                for at in range(start + _HEADER_BYTES + chunk_size, following - 4, chunk_size):
                    append(view[piece:at])
                    append(head)
                    piece = at
            append(view[piece : following - 4])
            if looks:
                self.passed.append((tag_type, ms - base_ms, b""))
            last_type = tag_type
            count += 1
            start = following
        else:
            is_whole = False
        reader.unread = b""
        if not is_whole:
            if start < end:
                reader.unread = bytes(view[start:end])
            start = -1
        return start, count, last_type, video_ms, video_step_ms, audio_ms, audio_step_ms


class RtmpFastPath(ByteFastPath[RtmpReader]):
    """For a source that sends RTMP."""

    __slots__ = ()

    def _take(
        self, framed: Framed, end: int, base_ms: int, until_ms: int, video_ms: int, audio_ms: int, looks: bool
    ) -> Taken:
        """See ``FastPath``. Messages begin with a type 0 or type 1 header, and their chunks are together."""
        view, session = self._scratch, self._reader.session
        reader, unread = session.reader, session.unread
        start = BEGIN - len(unread)
        if start < 0 or reader.pending_bytes or self._reader.unsent:
            return BEGIN, 0, 0, video_ms, 0, audio_ms, 0
        if unread:
            view[start:BEGIN] = unread
            session.unread = b""
        find, source_chunk_size = reader.streams.get, reader.chunk_size
        chunk_size, stream_word, append = framed.chunk_size, framed.stream_word, framed.pieces.append
        count = last_type = video_step_ms = audio_step_ms = 0
        # What of the buffer goes out as it lies, up to where the loop is.
        piece = begin = start
        # Whether the loop ends at a message of which there is enough for the general path.
        is_whole = True
        while start < end:
            if start + 16 > end:
                break
            first, second, third, fourth = _read_chunk(view, start)
            stream = find(first >> 24 & 0x3F)
            if stream is None or first >= 0x80000000:
                break
            field, size, type_id = first & 0xFFFFFF, second >> 8, second & 0xFF
            extended = b""
            if first >= 0x40000000:
                if field == EXTENDED:
                    break
                body, look = start + 8, third >> 16
                stamp_ms = (stream.stamp_ms + field) & _STAMP_MASK
            elif field == EXTENDED:
                if start + 18 > end:
                    break
                body, look, stamp_ms = start + 16, _read_look(view, start + 16)[0], fourth
                field, extended = fourth, bytes(view[start + 12 : start + 16])
            else:
                body, look, stamp_ms = start + 12, fourth >> 16, field
            following = body + size
            if size > source_chunk_size:
                step = source_chunk_size + (5 if extended else 1)
                following += (size - 1) // source_chunk_size * (step - source_chunk_size)
                basic_header = 0xC0 | first >> 24 & 0x3F
                if following > end:
                    left = bytes((basic_header,)) + extended
                    is_whole = size > MAX_MESSAGE_BYTES or not reader.is_left(view, body, end, size, left)
                    break
                at = body + source_chunk_size
                while at < following:
                    if view[at] != basic_header or (extended and view[at + 1 : at + 5] != extended):
                        break
                    at += step
                if at < following:
                    break
            elif following > end:
                is_whole = size > MAX_MESSAGE_BYTES
                break
            ms = stamp_ms + base_ms
            if ms > until_ms or size < MIN_BODY_BYTES:
                break
            if type_id == VIDEO:
                step_ms = ms - video_ms
                if not 0 < step_ms <= MAX_FRAME_MS or not PICTURES[look]:
                    break
                chunk, video_ms, video_step_ms = VIDEO_CHUNK, ms, step_ms
            elif type_id == AUDIO:
                step_ms = ms - audio_ms
                if not 0 < step_ms <= MAX_FRAME_MS or not SOUNDS[look]:
                    break
                chunk, audio_ms, audio_step_ms = AUDIO_CHUNK, ms, step_ms
            else:
                break
            if ms < EXTENDED and body - start >= 12:
                if body - start > 12:
                    append(view[piece:start])
                    piece = body - 12
                write_header(view, body - 12, chunk | ms, size << 8 | type_id, stream_word)
            else:
                append(view[piece:start])
                piece = body
                if ms < EXTENDED:
                    append(pack_header(chunk | ms, size << 8 | type_id, stream_word))
                else:
                    append(pack_extended_header(chunk | EXTENDED, size << 8 | type_id, stream_word, ms))
            if size > chunk_size:
                head, between = continuation(chunk >> 24, ms), 5 if extended else 1
                ends = {*range(source_chunk_size, size, source_chunk_size), *range(chunk_size, size, chunk_size)}
                for taken in sorted(ends):
                    at = body + taken + (taken - 1) // source_chunk_size * between
                    append(view[piece:at])
                    if taken % chunk_size == 0:
                        append(head)
                    piece = at if taken % source_chunk_size else at + between
            elif size > source_chunk_size:
                for at in range(body + source_chunk_size, following, step):
                    append(view[piece:at])
                    piece = at + step - source_chunk_size
            stream.stamp_ms, stream.delta_ms, stream.extended = stamp_ms, field, extended
            stream.size, stream.type_id = size, type_id
            if first < 0x40000000:
                stream.message_stream_id = third >> 24 if not third & 0xFFFFFF else swap_bytes(third)
            if looks:
                self.passed.append((type_id, stamp_ms, b""))
            last_type = type_id
            count += 1
            start = following
        else:
            is_whole = False
        if count:
            append(view[piece:start])
            session.scanned_bytes += start - begin
        if not is_whole and session.scanned_bytes < session.ack_due_bytes:
            if start < end:
                session.unread = bytes(view[start:end])
            start = -1
        return start, count, last_type, video_ms, video_step_ms, audio_ms, audio_step_ms


class _Unhurried:
    """What takes care itself that no pull of it takes long."""

    room_bytes = MAX_PULL_BYTES

    @staticmethod
    def clock() -> float:
        """None is needed."""
        return 0.0


_UNHURRIED = _Unhurried()


class TagFastPath(FastPath):
    """For a source whose inlet gives tags."""

    __slots__ = ("_broke", "_inlet", "_tags")

    def __init__(
        self, inlet: LiveInlet, timeline: Timeline, outlet: Outlet, drift: Drift | None, scratch: memoryview
    ) -> None:
        super().__init__(_UNHURRIED, timeline, outlet, drift, scratch)
        self._inlet = inlet
        # What the pull of this visit gave and was not taken, and how it ended.
        self._tags: list[Tag] = []
        self._broke: SourceError | None = None

    def read_rest(self, out: list[Tag]) -> None:
        """See ``FastPath``."""
        self.rest = -1
        out += self._tags
        self._tags = []
        broke, self._broke = self._broke, None
        if broke is not None:
            raise broke

    def _receive(self) -> int | None:
        """See ``FastPath``. Complete tags that came before a source broke count too."""
        self._tags = []
        try:
            return self._inlet.pull(self._scratch, self._tags)
        except SourceError as error:
            self._broke = error
            return 0

    def _take(
        self, framed: Framed, end: int, base_ms: int, until_ms: int, video_ms: int, audio_ms: int, looks: bool
    ) -> Taken:
        """See ``FastPath``."""
        tags, chunk_size, stream_word, append = self._tags, framed.chunk_size, framed.stream_word, framed.pieces.append
        count = last_type = video_step_ms = audio_step_ms = 0
        for tag_type, stamp_ms, body in tags:
            ms, size = stamp_ms + base_ms, len(body)
            if ms > until_ms or size < MIN_BODY_BYTES:
                break
            look = body[0] << 8 | body[1]
            if tag_type == VIDEO:
                step_ms = ms - video_ms
                if not 0 < step_ms <= MAX_FRAME_MS or not PICTURES[look]:
                    break
                video_ms, video_step_ms, chunk = ms, step_ms, VIDEO_CHUNK
            elif tag_type == AUDIO:
                step_ms = ms - audio_ms
                if not 0 < step_ms <= MAX_FRAME_MS or not SOUNDS[look]:
                    break
                audio_ms, audio_step_ms, chunk = ms, step_ms, AUDIO_CHUNK
            else:
                break
            if ms < EXTENDED:
                append(pack_header(chunk | ms, size << 8 | tag_type, stream_word))
            else:
                append(pack_extended_header(chunk | EXTENDED, size << 8 | tag_type, stream_word, ms))
            if size <= chunk_size:
                append(body)
            else:
                append_chunks(framed.pieces, chunk >> 24, ms, body, chunk_size)
            if looks:
                self.passed.append((tag_type, stamp_ms, b""))
            last_type = tag_type
            count += 1
        self._tags = tags[count:]
        rest = 0 if self._tags or not tags or self._broke is not None else -1
        return rest, count, last_type, video_ms, video_step_ms, audio_ms, audio_step_ms


AnyFastPath = FlvFastPath | RtmpFastPath | TagFastPath


def fast_path(
    inlet: LiveInlet, timeline: Timeline, outlet: Outlet, drift: Drift | None, scratch: memoryview
) -> AnyFastPath | None:
    """The one for what ``inlet`` gives; None if there is none."""
    if isinstance(inlet, ConnectionInlet):
        if isinstance(inlet.reader, FlvReader):
            return FlvFastPath(inlet, inlet.reader, timeline, outlet, drift, scratch)
        if isinstance(inlet.reader, RtmpReader):
            return RtmpFastPath(inlet, inlet.reader, timeline, outlet, drift, scratch)
        return None
    return TagFastPath(inlet, timeline, outlet, drift, scratch)
