"""The fast path: what is simple of a live stream, received, read, laid, framed and sent by one call.

A frame is simple if the general path (source, timeline, outlet, session) would change nothing of it but its stamp, and
would send it in this visit:

    destination   an RTMP session that has sent a frame; nothing waits for it, and nobody else looks at what is sent
    feed          nothing adds frames, restamps them or looks at them in this pull: see ``LiveFeed``
    timeline      joined; the first track of sound, or of an open picture, begun in this session
    frame         whole, of a kind that its first bytes tell, in one RTMP chunk, and at most MAX_FRAME_MS after the last
                  frame of its track; of an RTMP source: nothing lies between its chunks

The loop ends before the first tag that is not simple and leaves it as it came: the general path goes on from there in
the same visit. What is right is defined there, not here; ``tests/property/relay/test_fast_path.py`` holds both to the
same bytes and the same state after each visit.

Bytes leave where they came to, by one gathered write. FLV has 15 bytes between two bodies, and the header of a whole
RTMP message (type 0) has 12: it is written over them, so that a frame is one piece. The messages of an RTMP source have
room for it if their own header is as long; then all up to the next cut is one piece, and cuts are where a body has
another chunk: the headers of those are left out. Where there is too little room the header is a piece of its own: past
2^24 ms it has 16 bytes.

Why a second path: in the beat code runs cold, so a visit costs what it touches (docs/decisions/0043-the-fast-path.md).
"""

from collections.abc import Callable
from struct import Struct

from streamferry.media.errors import RemoteProtocolError, SourceEnded
from streamferry.media.stamps import WRAP_MS
from streamferry.media.tag import AUDIO, FRAME, KEYFRAME, START, VIDEO, Tag, kind_of_audio, kind_of_video
from streamferry.push import Outlet
from streamferry.reasons import Code
from streamferry.relay.drift import Drift
from streamferry.source.flv import FlvReader
from streamferry.source.live import (
    MAX_PULL_BYTES,
    MIN_PULL_BYTES,
    SLOW_PULL_S,
    ConnectionInlet,
    LiveInlet,
    as_source_error,
)
from streamferry.source.rtmp import RtmpReader
from streamferry.timeline import Timeline
from streamferry.timeline.timeline import PICTURE_PATIENCE_MS
from streamferry.timeline.tracks import MAX_FRAME_MS
from streamferry.wire.flv import MAX_TAG_BYTES
from streamferry.wire.rtmp.chunk import EXTENDED, MAX_MESSAGE_BYTES, swap_bytes
from streamferry.wire.rtmp.framed import Framed
from streamferry.wire.rtmp.message import CHUNK_STREAM_OF_TAG

_AROUND_BODY_BYTES = 15
#: Later than any stamp: a track that stands there has no simple frames.
_CLOSED_MS = 1 << 62
#: What a visit brings after so much media is not simple: of a flood of tiny frames, each 1 ms after the last, only so
#: many are taken.
_VISIT_MS = 2_000
#: Where in the scratch buffer the bytes of a visit begin.
_BEGIN = MAX_PULL_BYTES
_STAMP_MASK = 0xFFFFFFFF

# An FLV tag's type and size, its stamp with the extension byte, and the first two bytes of its body.
_read_tag = Struct(">II3xH").unpack_from
# The header of an RTMP message, and what follows it: an extended stamp, or the beginning of the body.
_read_chunk = Struct(">IIII").unpack_from
_read_look = Struct(">H").unpack_from
# The header of a type 0 chunk, and the same with an extended stamp.
_HEADER = Struct(">III")
_write_header = _HEADER.pack_into
_pack_header = _HEADER.pack
_pack_extended_header = Struct(">IIII").pack
_VIDEO_CHUNK = CHUNK_STREAM_OF_TAG[VIDEO] << 24
_AUDIO_CHUNK = CHUNK_STREAM_OF_TAG[AUDIO] << 24


def _frames(kind_of: Callable[[bytes], int]) -> bytes:
    """Whether a body is a frame, by its first two bytes as one number. The second tells by being 0, 1, or neither."""
    table = bytearray()
    for first in range(256):
        zero, one, other = (kind_of(bytes((first, second))) in (FRAME, KEYFRAME) for second in (0, 1, 2))
        table += bytes((zero, one)) + bytes((other,)) * 254
    return bytes(table)


PICTURES = _frames(kind_of_video)
SOUNDS = _frames(kind_of_audio)

#: What a loop has taken: where what it left begins, or -1; how many frames, and the type of the last; where picture and
#: sound are, and the length of the last frame of each, 0 if there was none.
_Taken = tuple[int, int, int, int, int, int, int]


class FastPath:
    """That of one feed. What it counts is the feed's; none of what it uses knows of it."""

    __slots__ = (
        "_drift",
        "_inlet",
        "_outlet",
        "_room",
        "_scratch",
        "_timeline",
        "bytes_in",
        "media_at",
        "passed",
        "picture_at",
        "rest",
        "rest_end",
    )

    def __init__(
        self, inlet: ConnectionInlet, timeline: Timeline, outlet: Outlet, drift: Drift | None, scratch: memoryview
    ) -> None:
        self._inlet = inlet
        self._timeline = timeline
        self._outlet = outlet
        self._drift = drift
        self._scratch = scratch
        self._room = scratch[_BEGIN:]
        #: Bytes received, and when media and a picture last came.
        self.bytes_in = 0
        self.media_at = self.picture_at = float("-inf")
        #: Where in the scratch buffer the bytes begin that were received and have to be read by the inlet, in this
        #: visit, or -1; and where they end.
        self.rest = -1
        self.rest_end = 0
        #: Frames of this visit without bodies: all, if drift looks at it, else the last if there is a rest.
        self.passed: list[Tag] = []

    def visit(self, now: float) -> bool:
        """Move what is simple. Gives whether that was all; else the general path does the visit, from ``rest`` on.

        Raises SourceError and DestinationError.
        """
        inlet, timeline, outlet, drift = self._inlet, self._timeline, self._outlet, self._drift
        session, queue = outlet.session, outlet.queue
        if (
            session is None
            or (framed := session.framed) is None
            or timeline.is_joining
            or (drift is not None and drift.is_correcting)
            or inlet.room_bytes != MAX_PULL_BYTES
            or outlet.tap is not None
            or outlet.needs_tags
            or queue.needs_start
            or queue.tags
        ):
            return False
        zero_ms = framed.zero_ms
        video, audio = timeline.tracks.video, timeline.tracks.audio
        video_ms, audio_ms = video.last_ms - zero_ms, audio.last_ms - zero_ms
        framed.sound = timeline.starts.sound
        # Sound goes on alone only so long before the timeline takes the picture for lost.
        until_ms = WRAP_MS if framed.sound == START else timeline.lead.last_ms - zero_ms + PICTURE_PATIENCE_MS
        if until_ms >= WRAP_MS:
            # All in the same stretch of 2^32 ms that a stamp of the session can tell.
            stretch_ms = max(video_ms, audio_ms) // WRAP_MS * WRAP_MS
            zero_ms += stretch_ms
            video_ms, audio_ms = video_ms - stretch_ms, audio_ms - stretch_ms
            until_ms = min(until_ms - stretch_ms, WRAP_MS - 1)
        if audio_ms > until_ms:
            return False
        until_ms = min(until_ms, max(video_ms, audio_ms) + _VISIT_MS)
        # Of frames from before the session's first one the general path decides which are left out.
        if not video.is_open or video_ms < -1:
            video_ms = _CLOSED_MS
        if audio_ms < -1:
            audio_ms = _CLOSED_MS

        began_at = inlet.clock()
        try:
            received = inlet.receive_into(self._room)
        except (OSError, RemoteProtocolError) as error:
            raise as_source_error(error) from error
        if not received:
            if received is None:
                return False
            raise SourceEnded(Code.SOURCE_CLOSED)
        self.bytes_in += received
        self.rest_end = end = _BEGIN + received
        base_ms = timeline.shift - zero_ms
        looks = drift is not None and drift.rest <= 0
        if self.passed:
            self.passed = []
        rest, count, last_type, video_ms, video_step_ms, audio_ms, audio_step_ms = self._take(
            framed, end, base_ms, until_ms, video_ms, audio_ms, looks
        )
        self.rest = rest
        if count:
            last_ms = video_ms if last_type == VIDEO else audio_ms
            framed.count = count
            framed.last_ms = last_ms + zero_ms
            self.media_at = now
            if video_step_ms:
                self.picture_at = now
                video.last_ms, video.frame_ms = video_ms + zero_ms, video_step_ms
            if audio_step_ms:
                audio.last_ms, audio.frame_ms = audio_ms + zero_ms, audio_step_ms
            if rest >= 0:
                outlet.framed = framed
                self.passed = self.passed or [(last_type, last_ms - base_ms, b"")]
            else:
                if drift is not None:
                    drift.rest -= 1
                    if drift.rest <= 0:
                        drift.look_at(self.passed or ((last_type, last_ms - base_ms, b""),))
                taken = session.write([])
                if taken == count:
                    outlet.media_time_ms = framed.last_ms
                    framed.pieces.clear()
                else:
                    outlet.note_framed(framed, taken, [])
        if received >= MIN_PULL_BYTES and inlet.clock() - began_at > SLOW_PULL_S:
            inlet.room_bytes //= 2
        return rest < 0

    def read_rest(self, out: list[Tag]) -> None:
        """Read what ``visit`` has left. Raises SourceError."""
        rest, self.rest = self.rest, -1
        self._inlet.read(self._scratch[: self.rest_end], rest, out)

    def _take(
        self, framed: Framed, end: int, base_ms: int, until_ms: int, video_ms: int, audio_ms: int, looks: bool
    ) -> _Taken:
        """Put simple frames into ``framed``.

        ``end``: of what was received; ``base_ms``: what makes stamps of the source those of the session; ``until_ms``:
        the last of those that is simple; then where picture and sound are; ``looks``: note what has ``passed``.
        """
        raise NotImplementedError


class FlvFastPath(FastPath):
    """For a source that sends FLV."""

    __slots__ = ("_reader",)

    def __init__(
        self,
        inlet: ConnectionInlet,
        reader: FlvReader,
        timeline: Timeline,
        outlet: Outlet,
        drift: Drift | None,
        scratch: memoryview,
    ) -> None:
        super().__init__(inlet, timeline, outlet, drift, scratch)
        self._reader = reader

    def _take(
        self, framed: Framed, end: int, base_ms: int, until_ms: int, video_ms: int, audio_ms: int, looks: bool
    ) -> _Taken:
        """See ``FastPath``."""
        reader, view = self._reader, self._scratch
        unread = reader.unread
        start = _BEGIN - len(unread)
        if start < 1:
            return _BEGIN, 0, 0, video_ms, 0, audio_ms, 0
        if unread:
            view[start:_BEGIN] = unread
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
            if ms > until_ms or not 2 <= size <= chunk_size:
                break
            if tag_type == VIDEO:
                step_ms = ms - video_ms
                if not 0 < step_ms <= MAX_FRAME_MS or not PICTURES[look]:
                    break
                video_ms, video_step_ms, chunk = ms, step_ms, _VIDEO_CHUNK
            elif tag_type == AUDIO:
                step_ms = ms - audio_ms
                if not 0 < step_ms <= MAX_FRAME_MS or not SOUNDS[look]:
                    break
                audio_ms, audio_step_ms, chunk = ms, step_ms, _AUDIO_CHUNK
            else:
                break
            if ms < EXTENDED:
                _write_header(view, start - 1, chunk | ms, size << 8 | tag_type, stream_word)
                append(view[start - 1 : following - 4])
            else:
                append(_pack_extended_header(chunk | EXTENDED, size << 8 | tag_type, stream_word, ms))
                append(view[start + 11 : following - 4])
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


class RtmpFastPath(FastPath):
    """For a source that sends RTMP."""

    __slots__ = ("_reader",)

    def __init__(
        self,
        inlet: ConnectionInlet,
        reader: RtmpReader,
        timeline: Timeline,
        outlet: Outlet,
        drift: Drift | None,
        scratch: memoryview,
    ) -> None:
        super().__init__(inlet, timeline, outlet, drift, scratch)
        self._reader = reader

    def _take(
        self, framed: Framed, end: int, base_ms: int, until_ms: int, video_ms: int, audio_ms: int, looks: bool
    ) -> _Taken:
        """See ``FastPath``. Messages begin with a type 0 or type 1 header, and their chunks are together."""
        view, session = self._scratch, self._reader.session
        reader, unread = session.reader, session.unread
        start = _BEGIN - len(unread)
        if start < 0 or reader.pending_bytes or self._reader.unsent:
            return _BEGIN, 0, 0, video_ms, 0, audio_ms, 0
        if unread:
            view[start:_BEGIN] = unread
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
                    continuation = bytes((basic_header,)) + extended
                    is_whole = size > MAX_MESSAGE_BYTES or not reader.is_left(view, body, end, size, continuation)
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
            if ms > until_ms or not 2 <= size <= chunk_size:
                break
            if type_id == VIDEO:
                step_ms = ms - video_ms
                if not 0 < step_ms <= MAX_FRAME_MS or not PICTURES[look]:
                    break
                chunk, video_ms, video_step_ms = _VIDEO_CHUNK, ms, step_ms
            elif type_id == AUDIO:
                step_ms = ms - audio_ms
                if not 0 < step_ms <= MAX_FRAME_MS or not SOUNDS[look]:
                    break
                chunk, audio_ms, audio_step_ms = _AUDIO_CHUNK, ms, step_ms
            else:
                break
            if ms < EXTENDED and body - start >= 12:
                if body - start > 12:
                    append(view[piece:start])
                    piece = body - 12
                _write_header(view, body - 12, chunk | ms, size << 8 | type_id, stream_word)
            else:
                append(view[piece:start])
                piece = body
                if ms < EXTENDED:
                    append(_pack_header(chunk | ms, size << 8 | type_id, stream_word))
                else:
                    append(_pack_extended_header(chunk | EXTENDED, size << 8 | type_id, stream_word, ms))
            if size > source_chunk_size:
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


def fast_path(
    inlet: LiveInlet, timeline: Timeline, outlet: Outlet, drift: Drift | None, scratch: memoryview
) -> FastPath | None:
    """The one for what ``inlet`` gives; None if there is none."""
    if isinstance(inlet, ConnectionInlet):
        if isinstance(inlet.reader, FlvReader):
            return FlvFastPath(inlet, inlet.reader, timeline, outlet, drift, scratch)
        if isinstance(inlet.reader, RtmpReader):
            return RtmpFastPath(inlet, inlet.reader, timeline, outlet, drift, scratch)
    return None
