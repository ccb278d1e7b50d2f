"""The live inlet of an HLS source: segments as they come to tags on one clock, at their own pace.

A source may have its sound in a playlist of its own. Both have stamps of one clock (RFC 8216, 3); between two breaks of
it (EXT-X-DISCONTINUITY, a server that was started anew) they are shifted alike.
"""

import asyncio
from collections.abc import Callable, Sequence

from streamferry.media.errors import SourceEnded, SourceUnsupported
from streamferry.media.tag import Tag
from streamferry.reasons import Code
from streamferry.source.hls_held import Held, as_tags, due_of
from streamferry.source.hls_reader import (
    RENDITION_PATIENCE_S,
    Clock,
    NeedsFfmpeg,
    RenditionReader,
)
from streamferry.source.hls_rendition import Rendition
from streamferry.source.live import MANY_TAGS, as_source_errors
from streamferry.source.pace import Pace
from streamferry.source.stretch import MOST_BYTES

# How much of the time that it did not hold the others back is added to what a rendition may.
_PATIENCE_RETURNS = 0.05
# What is due later than this comes after a gap.
_GAP_MS = 400
_LOOK_EVERY_S = 0.02


class HlsInlet:
    """The LiveInlet of live HLS."""

    def __init__(
        self,
        renditions: Sequence[Rendition],
        *,
        silence_s: float,
    ) -> None:
        """``renditions``: the one with the picture, and that of its sound if it has one of its own."""
        self.silence_s = silence_s
        self.is_mute = False
        #: Is called when it is found that only ffmpeg reads the source.
        self.needs_ffmpeg: Callable[[], None] = lambda: None
        laid = Clock()
        self._readers = [RenditionReader(rendition, laid) for rendition in renditions]
        self._lost_before = self._lost_segments
        self._clock = asyncio.get_running_loop().time
        self._pace = Pace()
        self._has_begun = False
        self._slow_at = 0.0

    @property
    def lost_packets(self) -> int:
        """See ``LiveInlet.lost_packets``: segments that could not be had, or not whole."""
        return self._lost_segments - self._lost_before

    @property
    def _lost_segments(self) -> int:
        return sum(reader.rendition.follower.lost_segments for reader in self._readers)

    async def look(self) -> None:
        """Wait until it is known what comes. Raises SourceError, NeedsFfmpeg among them."""
        scratch = memoryview(bytearray(MOST_BYTES))
        while not all(reader.is_known for reader in self._readers):
            now = self._clock()
            for reader in self._readers:
                reader.fill(scratch, 0, now)
                if reader.is_over and not reader.is_known:
                    raise_end(reader.rendition)
            await asyncio.sleep(_LOOK_EVERY_S)
        self.is_mute = not any(reader.has_sound for reader in self._readers)
        self._check()

    def pull(self, scratch: memoryview, out: list[Tag]) -> int:
        """See :meth:`LiveInlet.pull`. Bodies do not lie in ``scratch``."""
        now, readers, pace = self._clock(), self._readers, self._pace
        count, waiting, first_ms = 0, [], None
        for reader in readers:
            count += reader.fill(scratch, pace.due_ms, now)
            next_ms = reader.held.first_ms
            if next_ms is not None:
                waiting.append(reader)
                first_ms = next_ms if first_ms is None else min(first_ms, next_ms)
            elif reader.is_over:
                raise_end(reader.rendition)
        if first_ms is None:
            return count
        if not self._has_begun:
            self._has_begun = True
            self._slow_at = now
            pace.begin(first_ms, now)
        slow = self._slow(now) if len(readers) > 1 else []
        waited_for = slow or waiting
        last_ms = min(reader.come_until_ms for reader in waited_for)
        due_ms = pace.advance(now, last_ms, readers[0].excess_segments)
        if not slow and first_ms > due_ms + _GAP_MS:
            pace.begin(first_ms, now)
            due_ms = first_ms
        self._give(due_ms, out)
        if count:
            self._check()
        return count

    def close(self) -> None:
        """See :meth:`LiveInlet.close`."""
        for reader in self._readers:
            reader.close()

    def _slow(self, now: float) -> list[RenditionReader]:
        """Those that hold the others back: for a while, and for longer only after they have not for long."""
        step_s, self._slow_at = now - self._slow_at, now
        slow = [reader for reader in self._readers if reader.held.first_ms is None and reader.patience_s > 0]
        for reader in self._readers:
            if reader in slow:
                reader.patience_s -= step_s
            else:
                reader.patience_s = min(reader.patience_s + step_s * _PATIENCE_RETURNS, RENDITION_PATIENCE_S)
        return slow

    def _give(self, due_ms: float, out: list[Tag]) -> None:
        """Hand out what is due, in the order of its stamps: multiplexers send sound later than its picture."""
        found: list[Held] = []
        for reader in self._readers:
            if due := reader.held.take(due_ms, MANY_TAGS):
                reader.given_ms = max(reader.given_ms, due[-1][0])
                found += due
        if len(self._readers) > 1:
            found.sort(key=due_of)
        out += as_tags(found)

    def _check(self) -> None:
        for reader in self._readers:
            if scheme := reader.encrypted:
                raise SourceUnsupported(Code.PLAYLIST_ENCRYPTED, kind=scheme)
            if codec := reader.unsupported:
                self.needs_ffmpeg()
                raise NeedsFfmpeg(Code.SOURCE_NEEDS_ENCODING, codec=codec)


def raise_end(rendition: Rendition) -> None:
    """Raise why a rendition is over."""
    if rendition.error is None:
        raise SourceEnded(Code.SOURCE_CLOSED)
    with as_source_errors():
        raise rendition.error
