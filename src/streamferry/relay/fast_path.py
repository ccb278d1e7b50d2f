"""The fast path: what is simple of a live stream, read, laid and framed in one loop.

A frame is simple if the general path (source, timeline, outlet, session) would change nothing of it but its stamp, and
would send it in this visit:

    destination   an RTMP session that has sent a frame; nothing waits for it, and nobody else looks at what is sent
    feed          nothing adds frames, restamps them or looks at them in this pull: see ``LiveFeed``
    timeline      joined; the first track of sound, or of an open picture, begun in this session
    frame         whole, of a kind that its first bytes tell, in one RTMP chunk, and at most MAX_FRAME_MS after the last
                  frame of its track

The loop ends before the first tag that is not simple and leaves it as it came: the general path goes on from there in
the same visit. What is right is defined there, not here; ``tests/property/relay/test_fast_path.py`` holds both to the
same bytes and the same state after each visit.

FLV has 15 bytes between two bodies, and the header of a whole RTMP message (type 0) has 12: it is written over them, so
that a frame is one piece, and all pieces leave by one gathered write. Past 2^24 ms it has 16 bytes, and between the
messages of an RTMP source is too little room: there header and body are joined.

Why a second path: in the beat code runs cold, so a visit costs what it touches (docs/decisions/0043-the-fast-path.md).
"""

from collections.abc import Callable, Sequence
from struct import Struct

from streamferry.media.stamps import WRAP_MS
from streamferry.media.tag import AUDIO, FRAME, KEYFRAME, START, VIDEO, Tag, kind_of_audio, kind_of_video
from streamferry.push import Outlet
from streamferry.source.flv import FlvReader
from streamferry.source.live import LiveInlet
from streamferry.source.rtmp import RtmpReader
from streamferry.timeline import Timeline
from streamferry.timeline.timeline import PICTURE_PATIENCE_MS
from streamferry.timeline.tracks import MAX_FRAME_MS, Track
from streamferry.wire.rtmp.chunk import EXTENDED, Message
from streamferry.wire.rtmp.framed import Framed
from streamferry.wire.rtmp.message import CHUNK_STREAM_OF_TAG

_AROUND_BODY_BYTES = 15
#: Later than any stamp: a track that stands there has no simple frames.
_CLOSED_MS = 1 << 62

# An FLV tag's type and size, its stamp with the extension byte, and the first two bytes of its body.
_read_tag = Struct(">II3xH").unpack_from
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


#: The session's place for frames; what makes stamps of the source those of the loop, the last of those that is simple,
#: where picture and sound are; where 0 is on the output clock; and the tracks.
_Run = tuple[Framed, int, int, int, int, int, Track, Track]


class FastPath:
    """That of one feed: ``read`` instead of its reader's, in a pull in which all else lets frames pass."""

    __slots__ = ("_outlet", "_timeline", "has_picture", "last")

    def __init__(self, timeline: Timeline, outlet: Outlet) -> None:
        self._timeline = timeline
        self._outlet = outlet
        #: Type and stamp, as it came, of the last frame that was taken; to be set to None before the next pull.
        self.last: tuple[int, int] | None = None
        #: Whether there was a picture among them.
        self.has_picture = False

    def read(self, view: memoryview, start: int, out: list[Tag]) -> None:
        """See ``source.live.Read``; what is simple does not come out, but is sent by the next ``Outlet.offer``."""
        raise NotImplementedError

    def _begin(self) -> _Run | None:
        """Where the loop begins; None if nothing is simple now."""
        outlet, timeline = self._outlet, self._timeline
        session, queue = outlet.session, outlet.queue
        if session is None or queue.tags or queue.needs_start or outlet.needs_tags or outlet.tap is not None:
            return None
        framed = session.framed
        if framed is None or timeline.is_joining:
            return None
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
            return None
        # Of frames from before the session's first one the general path decides which are left out.
        if not video.is_open or video_ms < -1:
            video_ms = _CLOSED_MS
        if audio_ms < -1:
            audio_ms = _CLOSED_MS
        return framed, timeline.shift - zero_ms, until_ms, video_ms, audio_ms, zero_ms, video, audio

    def _end(self, run: _Run, chunk: int, video_ms: int, video_step_ms: int, audio_ms: int, audio_step_ms: int) -> None:
        """Leave what the general path would have left; ``chunk`` tells the track of the last frame."""
        framed, base_ms, _, _, _, zero_ms, video, audio = run
        if video_step_ms:
            video.last_ms, video.frame_ms = video_ms + zero_ms, video_step_ms
        if audio_step_ms:
            audio.last_ms, audio.frame_ms = audio_ms + zero_ms, audio_step_ms
        tag_type, last_ms = (VIDEO, video_ms) if chunk == _VIDEO_CHUNK else (AUDIO, audio_ms)
        framed.last_ms = last_ms + zero_ms
        self._outlet.framed = framed
        self.last = tag_type, last_ms - base_ms
        self.has_picture = video_step_ms > 0


class FlvFastPath(FastPath):
    """For a source that sends FLV."""

    __slots__ = ("_reader",)

    def __init__(self, reader: FlvReader, timeline: Timeline, outlet: Outlet) -> None:
        super().__init__(timeline, outlet)
        self._reader = reader

    def read(self, view: memoryview, start: int, out: list[Tag]) -> None:
        """See ``FastPath``."""
        reader = self._reader
        begin = start - len(reader.unread)
        if begin < 1 or reader.is_in_header or (run := self._begin()) is None:
            reader.read(view, start, out)
            return
        if begin < start:
            view[begin:start] = reader.unread
            start = begin
        framed, base_ms, until_ms, video_ms, audio_ms = run[:5]
        chunk_size, stream_word, append = framed.chunk_size, framed.stream_word, framed.pieces.append
        chunk = video_step_ms = audio_step_ms = 0
        end = len(view)
        is_simple = True
        while start + _AROUND_BODY_BYTES <= end:
            type_and_size, stamp_word, look = _read_tag(view, start)
            size = type_and_size & 0xFFFFFF
            tag_type = type_and_size >> 24
            following = start + _AROUND_BODY_BYTES + size
            ms = (stamp_word >> 8 | (stamp_word & 0xFF) << 24) + base_ms
            is_simple = False
            if ms > until_ms or not 2 <= size <= chunk_size:
                break
            if tag_type == VIDEO:
                step_ms = ms - video_ms
                if not 0 < step_ms <= MAX_FRAME_MS or not PICTURES[look]:
                    break
                is_simple = True
                if following > end:
                    break
                video_ms, video_step_ms, chunk = ms, step_ms, _VIDEO_CHUNK
            elif tag_type == AUDIO:
                step_ms = ms - audio_ms
                if not 0 < step_ms <= MAX_FRAME_MS or not SOUNDS[look]:
                    break
                is_simple = True
                if following > end:
                    break
                audio_ms, audio_step_ms, chunk = ms, step_ms, _AUDIO_CHUNK
            else:
                break
            if ms < EXTENDED:
                _write_header(view, start - 1, chunk | ms, size << 8 | tag_type, stream_word)
                append(view[start - 1 : following - 4])
            else:
                header = _pack_extended_header(chunk | EXTENDED, size << 8 | tag_type, stream_word, ms)
                append(header + view[start + 11 : following - 4])
            start = following
        if chunk:
            self._end(run, chunk, video_ms, video_step_ms, audio_ms, audio_step_ms)
        reader.unread = b""
        if is_simple:  # But not whole yet, if there is anything.
            reader.unread = bytes(view[start:])
        else:
            reader.read(view, start, out)


class RtmpFastPath(FastPath):
    """For a source that sends RTMP, with chunks that hold whole messages."""

    __slots__ = ("_reader",)

    def __init__(self, reader: RtmpReader, timeline: Timeline, outlet: Outlet) -> None:
        super().__init__(timeline, outlet)
        self._reader = reader

    def read(self, view: memoryview, start: int, out: list[Tag]) -> None:
        """See ``FastPath``."""
        self._reader.read(view, start, out, self._take)

    def _take(self, messages: Sequence[Message]) -> int:
        """Take simple messages; gives how many of the first ones."""
        if (run := self._begin()) is None:
            return 0
        framed, base_ms, until_ms, video_ms, audio_ms = run[:5]
        chunk_size, stream_word, append = framed.chunk_size, framed.stream_word, framed.pieces.append
        chunk = video_step_ms = audio_step_ms = taken = 0
        for type_id, stamp_ms, _, body in messages:
            size = len(body)
            ms = stamp_ms + base_ms
            if ms > until_ms or not 2 <= size <= chunk_size:
                break
            if type_id == VIDEO:
                step_ms = ms - video_ms
                if not 0 < step_ms <= MAX_FRAME_MS or not PICTURES[body[0] << 8 | body[1]]:
                    break
                video_ms, video_step_ms, chunk = ms, step_ms, _VIDEO_CHUNK
            elif type_id == AUDIO:
                step_ms = ms - audio_ms
                if not 0 < step_ms <= MAX_FRAME_MS or not SOUNDS[body[0] << 8 | body[1]]:
                    break
                audio_ms, audio_step_ms, chunk = ms, step_ms, _AUDIO_CHUNK
            else:
                break
            if ms < EXTENDED:
                append(_pack_header(chunk | ms, size << 8 | type_id, stream_word) + body)
            else:
                append(_pack_extended_header(chunk | EXTENDED, size << 8 | type_id, stream_word, ms) + body)
            taken += 1
        if chunk:
            self._end(run, chunk, video_ms, video_step_ms, audio_ms, audio_step_ms)
        return taken


def fast_path(inlet: LiveInlet, timeline: Timeline, outlet: Outlet) -> FastPath | None:
    """The one for what ``inlet`` gives; None if there is none."""
    reader = inlet.reader
    if isinstance(reader, FlvReader):
        return FlvFastPath(reader, timeline, outlet)
    if isinstance(reader, RtmpReader):
        return RtmpFastPath(reader, timeline, outlet)
    return None
