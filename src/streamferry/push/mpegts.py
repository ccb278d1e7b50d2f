"""Sessions that need MPEG-TS: laid tags go as FLV into the pipe of an ffmpeg child, which gives MPEG-TS.

The child knows no address and opens none. Subclasses decide where its output goes. Media is copied, not encoded.
The child only writes tracks that it has seen when it begins to write: a track that appears later ends the session, and
the next session begins with its header. So does the end of 32-bit stamps: after it ffmpeg guesses those of all frames.
"""

from streamferry.media.enhanced import FirstTracks
from streamferry.media.errors import DestinationSenderFailed
from streamferry.media.stamps import WRAP_MS, SessionClock
from streamferry.media.tag import AUDIO, SCRIPT, SEQUENCE_HEADER, VIDEO, LaidTag
from streamferry.media.url import MediaUrl
from streamferry.net.child import ChildError
from streamferry.net.ffmpeg import Ffmpeg
from streamferry.reasons import Code
from streamferry.wire.flv import serialize_flv_header, serialize_tag
from streamferry.wire.rtmp.framed import Framed

# The headers come first and are enough: longer probing would only delay the first pictures.
_COMMAND = (
    *("-probesize", "1000000", "-analyzeduration", "500000", "-fpsprobesize", "0", "-f", "flv", "-i", "pipe:0"),
    *("-map", "0", "-c", "copy", "-muxdelay", "0", "-muxpreload", "0", "-max_interleave_delta", "1000000"),
    *("-f", "mpegts", "-flush_packets", "1", "pipe:1"),
)

# The child has not seen a track that appears later than this. It probes half a second.
_LOOK_MS = 1000


class RemuxSession:
    """The FLV side of a session; see ``push.rtmp`` for each method."""

    def __init__(self, url: MediaUrl) -> None:
        """Start ffmpeg. Raises DestinationSenderFailed."""
        try:
            self._child = Ffmpeg(_COMMAND, url, takes_stdin=True)
        except ChildError as error:
            raise DestinationSenderFailed(error.why) from error
        self._pending = b""
        self._clock = SessionClock()
        self._has_header = False
        self._tracks: set[int] = set()
        self._first_tracks = FirstTracks()
        #: ffmpeg takes FLV.
        self.framed: Framed | None = None
        #: Bytes of FLV given to the child since the session began.
        self.sent_bytes = 0

    @property
    def move_asked(self) -> None:
        """See ``Session``: the protocols that carry MPEG-TS have no word for that."""
        return None

    def lead_next(self) -> str:
        """See ``Session``."""
        return ""

    @property
    def is_blocked(self) -> bool:
        """Whether the child did not take everything that was last written."""
        return bool(self._pending)

    @property
    def forms(self) -> None:
        """ffmpeg reads any."""
        return None

    @property
    def link(self) -> None:
        """Of SRT and of many short uploads the kernel knows nothing."""
        return None

    @property
    def chunks(self) -> None:
        """It takes tags: ffmpeg reads FLV."""
        return None

    def drop_late(self, unsent_bytes: int) -> None:
        """The pipe to the child is small as it is: 64 KiB."""

    def check(self) -> None:
        """Raise the DestinationError with which the session ended, if it did."""
        if self._child.ended.done():
            raise DestinationSenderFailed(Code.DESTINATION_FFMPEG_ENDED, words=self._child.complaint)

    def write(self, tags: list[LaidTag]) -> int:
        """Send tags; return how many are on their way. Raises DestinationError."""
        self.check()
        if not self.flush():
            return 0
        pieces: list[bytes] = []
        if not self._has_header and tags:
            types = {tag[0] for tag in tags}
            pieces.append(serialize_flv_header(AUDIO in types, VIDEO in types))
            self._has_header = True
        clock = self._clock
        if tags and tags[-1][1] - clock.zero_ms >= WRAP_MS:
            raise DestinationSenderFailed(Code.DESTINATION_SESSION_TOO_LONG)
        for tag_type, dts_ms, laid_body, kind in tags:
            body = self._first_tracks.take(tag_type, laid_body)
            if body is None:
                continue
            if kind <= SEQUENCE_HEADER and tag_type not in self._tracks:
                if dts_ms - clock.zero_ms > _LOOK_MS:
                    raise DestinationSenderFailed(Code.DESTINATION_NEW_TRACK)
                self._tracks.add(tag_type)
            stamp_ms = dts_ms - clock.zero_ms
            if stamp_ms < 0:
                if clock.leaves_out(dts_ms, kind):
                    continue
                stamp_ms = 0
            if tag_type != SCRIPT:  # MPEG-TS has no place for it.
                pieces.append(serialize_tag(tag_type, stamp_ms, body))
        self._pending = b"".join(pieces)
        self.flush()
        return len(tags)

    def flush(self) -> bool:
        """Send what the child did not take before; True when nothing is left over."""
        if self._pending:
            try:
                taken = self._child.send([self._pending])
            except OSError:  # It has exited; ``check`` says why once it is reaped.
                taken = 0
            self.sent_bytes += taken
            self._pending = self._pending[taken:]
        return not self._pending

    def _unread_bytes(self) -> int:
        """What the child has not read yet."""
        try:
            return self._child.unread_bytes()
        except OSError:
            return 0
