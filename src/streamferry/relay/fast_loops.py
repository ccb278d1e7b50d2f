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
from streamferry.source.live import ConnectionInlet, LiveInlet
from streamferry.source.rtmp import RtmpReader
from streamferry.timeline import Timeline
from streamferry.timeline.tracks import MAX_FRAME_MS
from streamferry.wire.flv import AROUND_BODY_BYTES, MAX_TAG_BYTES
from streamferry.wire.rtmp.chunk import EXTENDED, MAX_MESSAGE_BYTES, append_chunks, continuation, swap_bytes
from streamferry.wire.rtmp.framed import Framed

_STAMP_MASK = 0xFFFFFFFF
# What comes in so many pieces takes milliseconds, and less is received at the next visit.
_MANY_PIECES = 4_000

# An FLV tag from one byte before it, where the header of a message begins: its type and size, its stamp with the
# extension byte, and the first two bytes of its body.
_read_tag = Struct(">xII3xH").unpack_from
# Sound and picture as such a word, without the size.
_SOUND, _PICTURE = AUDIO << 24, VIDEO << 24
# The header of an RTMP message, and what follows it: an extended stamp, or the beginning of the body.
_read_chunk = Struct(">IIII").unpack_from
_read_look = Struct(">H").unpack_from


def _is_to_come(view: memoryview, start: int, end: int) -> bool:
    """Whether the tag that begins there is one to wait for, and has not come in full."""
    size = int.from_bytes(view[start + 1 : start + 4])
    return view[start] in (AUDIO, VIDEO) and size <= MAX_TAG_BYTES and start + AROUND_BODY_BYTES + size > end


class FlvFastPath(ByteFastPath[FlvReader]):
    """For a source that sends FLV."""

    __slots__ = ()

    def _take(
        self, framed: Framed, end: int, base_ms: int, until_ms: int, video_ms: int, audio_ms: int, looks: bool
    ) -> Taken:
        """See ``FastPath``."""
        reader, view = self._reader, self._scratch
        unread = reader.unread
        # Where the header of the next message goes: one byte before the tag, up to its body.
        at = BEGIN - len(unread) - 1
        if at < 0:
            return BEGIN, 0, 0, video_ms, 0, audio_ms, 0
        if unread:
            view[at + 1 : BEGIN] = unread
        pieces, chunk_size, stream_word = framed.pieces, framed.chunk_size, framed.stream_word
        append = pieces.append
        video_until_ms, audio_until_ms = min(until_ms, video_ms + MAX_FRAME_MS), min(until_ms, audio_ms + MAX_FRAME_MS)
        video_before_ms, audio_before_ms = video_ms, audio_ms
        # What the last tag was that was taken, and how many pieces are no message of their own.
        tag_type = further = 0
        last_at, last_tail = end - AROUND_BODY_BYTES - 1, end - 4
        while at <= last_at:
            type_and_size, stamp_word, look = _read_tag(view, at)
            ms = (stamp_word >> 8) + base_ms
            if stamp_word & 0xFF:
                ms += (stamp_word & 0xFF) << 24
            if type_and_size < _PICTURE:
                size = type_and_size - _SOUND
                tail = at + size + 12
                if (
                    tail > last_tail
                    or size < MIN_BODY_BYTES
                    or ms <= audio_ms
                    or ms > audio_until_ms
                    or not SOUNDS[look]
                ):
                    break
                audio_before_ms = audio_ms
                audio_ms = ms
                tag_type, chunk = AUDIO, AUDIO_CHUNK
            else:
                size = type_and_size - _PICTURE
                tail = at + size + 12
                if (
                    tail > last_tail
                    or size < MIN_BODY_BYTES
                    or ms <= video_ms
                    or ms > video_until_ms
                    or not PICTURES[look]
                ):
                    break
                video_before_ms = video_ms
                video_ms = ms
                tag_type, chunk = VIDEO, VIDEO_CHUNK
            piece = at
            if ms < EXTENDED:
                write_header(view, at, chunk + ms, size * 256 + tag_type, stream_word)
            else:
                piece += 12
                append(pack_extended_header(chunk | EXTENDED, size << 8 | tag_type, stream_word, ms))
                further += 1
            if size > chunk_size:
                head = continuation(chunk >> 24, ms)
                for cut in range(at + 12 + chunk_size, tail, chunk_size):
                    append(view[piece:cut])
                    append(head)
                    piece = cut
                    further += 2
            append(view[piece:tail])
            if looks:
                self.passed.append((tag_type, ms - base_ms, b""))
            at = tail + 3
        start = at + 1
        reader.unread = b""
        if start + AROUND_BODY_BYTES > end or _is_to_come(view, start, end):
            if start < end:
                reader.unread = bytes(view[start:end])
            start = -1
        video_step_ms, audio_step_ms = video_ms - video_before_ms, audio_ms - audio_before_ms
        return start, len(pieces) - further, tag_type, video_ms, video_step_ms, audio_ms, audio_step_ms


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
        video_until_ms, audio_until_ms = min(until_ms, video_ms + MAX_FRAME_MS), min(until_ms, audio_ms + MAX_FRAME_MS)
        video_before_ms, audio_before_ms = video_ms, audio_ms
        count = last_type = 0
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
            if size < MIN_BODY_BYTES:
                break
            if type_id == AUDIO:
                if ms <= audio_ms or ms > audio_until_ms or not SOUNDS[look]:
                    break
                audio_before_ms, audio_ms, chunk = audio_ms, ms, AUDIO_CHUNK
            elif type_id == VIDEO:
                if ms <= video_ms or ms > video_until_ms or not PICTURES[look]:
                    break
                video_before_ms, video_ms, chunk = video_ms, ms, VIDEO_CHUNK
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
        if len(framed.pieces) > _MANY_PIECES:
            self._inlet.room_bytes //= 2
        video_step_ms, audio_step_ms = video_ms - video_before_ms, audio_ms - audio_before_ms
        return start, count, last_type, video_ms, video_step_ms, audio_ms, audio_step_ms


class TagFastPath(FastPath):
    """For a source whose inlet gives tags."""

    __slots__ = ("_broke", "_inlet", "_tags")

    def __init__(
        self, inlet: LiveInlet, timeline: Timeline, outlet: Outlet, drift: Drift | None, scratch: memoryview
    ) -> None:
        super().__init__(timeline, outlet, drift, scratch)
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
        video_until_ms, audio_until_ms = min(until_ms, video_ms + MAX_FRAME_MS), min(until_ms, audio_ms + MAX_FRAME_MS)
        video_before_ms, audio_before_ms = video_ms, audio_ms
        count = last_type = 0
        for tag_type, stamp_ms, body in tags:
            ms, size = stamp_ms + base_ms, len(body)
            if size < MIN_BODY_BYTES:
                break
            look = body[0] << 8 | body[1]
            if tag_type == AUDIO:
                if ms <= audio_ms or ms > audio_until_ms or not SOUNDS[look]:
                    break
                audio_before_ms, audio_ms, chunk = audio_ms, ms, AUDIO_CHUNK
            elif tag_type == VIDEO:
                if ms <= video_ms or ms > video_until_ms or not PICTURES[look]:
                    break
                video_before_ms, video_ms, chunk = video_ms, ms, VIDEO_CHUNK
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
        video_step_ms, audio_step_ms = video_ms - video_before_ms, audio_ms - audio_before_ms
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
