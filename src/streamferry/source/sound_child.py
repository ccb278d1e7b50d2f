"""The child of ffmpeg that encodes the sound of a source, and nothing else, to AAC: its pipes, without waiting."""

import time
from collections.abc import Callable, Iterator, Sequence

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

#: Encoders of one source that start at once, and how long after that each further one takes: a source whose clock
#: leaps all the time, or that ends each second, must not start programs all the time.
STARTS, START_EVERY_S = 5, 5.0


class SoundStarts:
    """Which encoders of a source may start, over all its sessions. Sound that may not be encoded is left out."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        # When all of STARTS are free again.
        self._free_at = float("-inf")

    def take(self) -> bool:
        """Whether one may start now; then it is counted."""
        now = self._clock()
        free_at = max(self._free_at, now) + START_EVERY_S
        if free_at > now + STARTS * START_EVERY_S:
            return False
        self._free_at = free_at
        return True


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
