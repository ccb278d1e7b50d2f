"""The fast path: what is simple of a live stream, received, read, laid, framed and sent by one call.

A frame is simple if the general path (source, timeline, outlet, session) would change nothing of it but its stamp, and
would send it in this visit:

    destination   an RTMP session that has sent a frame; nothing waits for it, and nobody else looks at what is sent
    feed          nothing adds frames, restamps them or looks at them in this pull: see ``LiveFeed``
    timeline      joined, with one clock; the first track of sound or of picture, open and begun in this session
    frame         whole, of a kind that its first bytes tell and not to be encoded, and at most MAX_FRAME_MS after the
                  last of its track in the visit before; of an RTMP source: nothing lies between its chunks

The loop ends before the first tag that is not simple and leaves it as it came: the general path goes on from there in
the same visit. What is right is defined there, not here; ``tests/property/relay/test_fast_path.py`` holds both to the
same bytes and the same state after each visit.

What an inlet gives as tags (HLS, MPEG-TS, RTSP) gets a header before each body. Bytes of FLV and RTMP
leave where they came to, by one gathered write. FLV has 15 bytes between two bodies, and the header of a whole
RTMP message (type 0) has 12: it is written over them, so that a frame is one piece. The messages of an RTMP source have
room for it if their own header is as long; then all up to the next cut is one piece, and cuts are where a body has
another chunk: the headers of those are left out. Where there is too little room the header is a piece of its own: past
2^24 ms it has 16 bytes.

Why a second path: in the beat code runs cold, so a visit costs what it touches (docs/decisions/0043-the-fast-path.md).
"""

from collections.abc import Callable
from struct import Struct
from typing import Generic, TypeVar

from streamferry.media.errors import RemoteProtocolError, SourceEnded
from streamferry.media.stamps import WRAP_MS
from streamferry.media.tag import (
    AUDIO,
    ENCODED_SOUNDS,
    FRAME,
    KEYFRAME,
    OTHER,
    START,
    VIDEO,
    Tag,
    kind_of_audio,
    kind_of_video,
)
from streamferry.push import Outlet
from streamferry.reasons import Code
from streamferry.relay.drift import Drift
from streamferry.source.flv import FlvReader
from streamferry.source.live import (
    MAX_PULL_BYTES,
    ConnectionInlet,
    as_source_error,
)
from streamferry.source.rtmp import RtmpReader
from streamferry.timeline import Timeline
from streamferry.timeline.timeline import PICTURE_PATIENCE_MS
from streamferry.wire.rtmp.framed import Framed
from streamferry.wire.rtmp.message import CHUNK_STREAM_OF_TAG

R = TypeVar("R", FlvReader, RtmpReader)

#: Later than any stamp: a track that stands there has no simple frames.
_CLOSED_MS = 1 << 62
#: A shorter body may be one without payload, which is no frame.
MIN_BODY_BYTES = 6
#: Where in the scratch buffer the bytes of a visit begin.
BEGIN = MAX_PULL_BYTES

# The header of a type 0 chunk, and the same with an extended stamp.
_HEADER = Struct(">III")
write_header = _HEADER.pack_into
pack_header = _HEADER.pack
pack_extended_header = Struct(">IIII").pack
VIDEO_CHUNK = CHUNK_STREAM_OF_TAG[VIDEO] << 24
AUDIO_CHUNK = CHUNK_STREAM_OF_TAG[AUDIO] << 24


def _frames(kind_of: Callable[[bytes], int]) -> bytes:
    """Whether a body of ``MIN_BODY_BYTES`` or more is a frame, by its first two bytes as one number.

    The second tells by being 0, 1, or neither.
    """
    table = bytearray()
    for first in range(256):
        zero, one, other = (kind_of(bytes((first, second, 0, 0, 0, 0))) in (FRAME, KEYFRAME) for second in (0, 1, 2))
        table += bytes((zero, one)) + bytes((other,)) * 254
    return bytes(table)


PICTURES = _frames(kind_of_video)
SOUNDS = _frames(lambda body: OTHER if body[0] >> 4 in ENCODED_SOUNDS else kind_of_audio(body))

#: What a loop has taken: where what it left begins, or -1; how many frames, and the type of the last; where picture and
#: sound are, and the length of the last frame of each, 0 if there was none.
Taken = tuple[int, int, int, int, int, int, int]


class FastPath:
    """That of one feed. What it counts is the feed's; none of what it uses knows of it."""

    __slots__ = (
        "_drift",
        "_outlet",
        "_scratch",
        "_timeline",
        "bytes_in",
        "media_at",
        "passed",
        "picture_at",
        "rest",
    )

    def __init__(
        self,
        timeline: Timeline,
        outlet: Outlet,
        drift: Drift | None,
        scratch: memoryview,
    ) -> None:
        self._timeline = timeline
        self._outlet = outlet
        self._drift = drift
        self._scratch = scratch
        #: Bytes received, and when media and a picture last came.
        self.bytes_in = 0
        self.media_at = self.picture_at = float("-inf")
        #: Where in what was received the general path is to go on in this visit, or -1.
        self.rest = -1
        #: Frames of this visit without bodies: all, if drift looks at it, else the last if there is a rest.
        self.passed: list[Tag] = []

    def visit(self, now: float) -> bool:
        """Move what is simple. Gives whether that was all; else the general path does the visit, from ``rest`` on.

        Raises SourceError and DestinationError.
        """
        timeline, outlet, drift = self._timeline, self._outlet, self._drift
        session, queue = outlet.session, outlet.queue
        if (
            session is None
            or (framed := session.framed) is None
            or timeline.is_joining
            or (drift is not None and drift.is_correcting)
            or outlet.tap is not None
            or outlet.needs_tags
            or queue.needs_start
            or queue.tags
        ):
            return False
        zero_ms = framed.zero_ms
        video, audio = timeline.tracks.video, timeline.tracks.audio
        if video.shift != audio.shift:
            return False
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
        # Of frames from before the session's first one the general path decides which are left out.
        if not video.is_open or video_ms < -1:
            video_ms = _CLOSED_MS
        if audio_ms < -1 or not audio.is_open:
            audio_ms = _CLOSED_MS

        received = self._receive()
        if received is None:
            return False
        self.bytes_in += received
        base_ms = video.shift - zero_ms
        looks = drift is not None and drift.rest <= 0
        if self.passed:
            self.passed = []
        rest, count, last_type, video_ms, video_step_ms, audio_ms, audio_step_ms = self._take(
            framed, BEGIN + received, base_ms, until_ms, video_ms, audio_ms, looks
        )
        self.rest = rest
        if outlet.fan is not None:
            outlet.fan(framed, count, (video_ms if last_type == VIDEO else audio_ms) + zero_ms, rest >= 0)
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
        return rest < 0

    def read_rest(self, out: list[Tag]) -> None:
        """Append the tags of what ``visit`` has left. Raises SourceError."""
        raise NotImplementedError

    def _receive(self) -> int | None:
        """Receive once: how many bytes came, None if nothing did. Raises SourceError."""
        raise NotImplementedError

    def _take(
        self, framed: Framed, end: int, base_ms: int, until_ms: int, video_ms: int, audio_ms: int, looks: bool
    ) -> Taken:
        """Put simple frames into ``framed``.

        ``end``: of the bytes received; ``base_ms``: what makes stamps of the source those of the session; ``until_ms``:
        the last of those that is simple; then where picture and sound are; ``looks``: note what has ``passed``.
        """
        raise NotImplementedError


class ByteFastPath(FastPath, Generic[R]):
    """For a source whose bytes are read as they lie."""

    __slots__ = ("_inlet", "_reader", "_rest_end", "_room")

    def __init__(
        self,
        inlet: ConnectionInlet,
        reader: R,
        timeline: Timeline,
        outlet: Outlet,
        drift: Drift | None,
        scratch: memoryview,
    ) -> None:
        """``reader``: of the inlet; what it knows is read and kept."""
        super().__init__(timeline, outlet, drift, scratch)
        self._inlet = inlet
        self._reader: R = reader
        self._room = scratch[BEGIN:]
        # Where what was received ends in the scratch buffer.
        self._rest_end = 0

    def read_rest(self, out: list[Tag]) -> None:
        """See ``FastPath``."""
        rest, self.rest = self.rest, -1
        self._inlet.read(self._scratch[: self._rest_end], rest, out)

    def _receive(self) -> int | None:
        """See ``FastPath``. Where the general path has found that less is to be received it goes on with that."""
        inlet = self._inlet
        if inlet.room_bytes != MAX_PULL_BYTES:
            return None
        receive_into = inlet.receive_into
        try:
            received = receive_into(self._room)
        except (OSError, RemoteProtocolError) as error:
            raise as_source_error(error) from error
        if received:
            self._rest_end = BEGIN + received
        elif received is not None:
            raise SourceEnded(Code.SOURCE_CLOSED)
        return received
