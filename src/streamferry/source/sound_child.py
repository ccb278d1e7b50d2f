"""The child of ffmpeg that encodes the sound of a source, and nothing else, to AAC: its pipes, without waiting."""

from collections.abc import Iterator, Sequence

from streamferry.media.errors import SourceReaderFailed
from streamferry.media.url import MediaUrl
from streamferry.net.child import ChildError
from streamferry.net.ffmpeg import Ffmpeg
from streamferry.reasons import Code

#: Input arguments: it reads and writes at once what there is.
AT_ONCE = ("-probesize", "32", "-analyzeduration", "0")
RATE_HZ = 48_000
#: Output arguments.
TO_AAC = ("-c:a", "aac", "-b:a", "128k", "-ac", "2", "-ar", str(RATE_HZ))


class SoundChild:
    """``url``: of the source, whose secrets are removed from what ffmpeg says."""

    def __init__(self, arguments: Sequence[str], url: MediaUrl) -> None:
        """Start it. Raises SourceReaderFailed."""
        try:
            self._child = Ffmpeg(arguments, url, takes_stdin=True)
        except ChildError as error:
            raise SourceReaderFailed(error.why) from error

    def send(self, unsent: bytearray, most_bytes: int) -> None:
        """Remove from ``unsent`` what it takes now. Raises SourceReaderFailed if more than ``most_bytes`` are left."""
        try:
            del unsent[: self._child.send([bytes(unsent)])]
        except OSError:  # It has ended; its status follows.
            unsent.clear()
        # It does not compute fast enough.
        if len(unsent) > most_bytes:
            raise SourceReaderFailed(Code.SOURCE_BROKE_OFF, words="the sound cannot be encoded in time")

    def receive(self, room: memoryview) -> Iterator[memoryview]:
        """What it has written, piece by piece, each in ``room``. Raises SourceReaderFailed when it has ended."""
        while received := self._child.receive_into(room):
            yield room[:received]
        if received == 0:
            raise SourceReaderFailed(Code.SOURCE_BROKE_OFF, words=self._child.complaint)

    def close(self) -> None:
        """End it."""
        self._child.close()
