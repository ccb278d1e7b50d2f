"""The live inlet of a stream of MPEG-TS, over HTTP or in datagrams.

We read it ourselves. What FLV cannot carry goes through ffmpeg: mostly that is known from the program's table, before
anything was handed out, and ffmpeg gets what was received until then; later it takes another session.
"""

import asyncio
import time
from collections.abc import Callable

from streamferry.media.errors import RemoteProtocolError, SourceCorrupt, SourceEnded, SourceUnreachable
from streamferry.media.tag import Tag
from streamferry.media.url import MediaUrl
from streamferry.reasons import Code, Reason
from streamferry.source.ffmpeg_inlet import MPEGTS, OPEN_S, Feed, FfmpegInlet, FfmpegInput, open_ffmpeg
from streamferry.source.hls_reader import NeedsFfmpeg
from streamferry.source.live import MANY_TAGS, SILENCE_S, as_source_error
from streamferry.source.memory import SourceMemory
from streamferry.source.stretch import MOST_BYTES, Stretch
from streamferry.wire.mpegts import TsDemuxer

# A pull that took longer than this goes on at the next visit: so long one source may delay the beat for the others. A
# source that can wait waits then; datagrams of 60 Mbps take 6 ms for each 160 ms of them.
_PATIENT_PULL_S, _DATAGRAM_PULL_S = 0.003, 0.02
# A stream that has told no program in so many bytes has none.
_MAX_LOOK_BYTES = 4 << 20
_LOOK_EVERY_S = 0.02
# A source of which all is encrypted is told to be so after this time, before it counts as silent.
_SCRAMBLED_S = 3.0


async def open_ts(
    url: MediaUrl, feed: Feed, memory: SourceMemory, *, leftover: bytes = b"", can_wait: bool = True
) -> "TsInlet | FfmpegInlet":
    """The inlet of what ``feed`` gives; ``leftover`` is its beginning. Raises SourceError, and closes ``feed`` then.

    ``can_wait``: whether the source sends no more while nothing is received.
    """
    if not memory.needs_ffmpeg:
        inlet = TsInlet(feed, memory, can_wait=can_wait)
        try:
            return await inlet.look(url, leftover)
        except NeedsFfmpeg:
            leftover = bytes(inlet.looked)
        except BaseException:
            feed.close()
            raise
    return await open_ffmpeg(url, FfmpegInput(MPEGTS, feed=feed), memory=memory.children, leftover=leftover)


class TsInlet:
    """A LiveInlet. Bodies do not lie in the scratch buffer."""

    silence_s = SILENCE_S
    is_mute = False

    def __init__(
        self,
        feed: Feed,
        memory: SourceMemory,
        *,
        can_wait: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """See ``open_ts``."""
        self._feed = feed
        self._memory = memory
        self._pull_s = _PATIENT_PULL_S if can_wait else _DATAGRAM_PULL_S
        self._clock = clock
        self.demuxer = TsDemuxer()
        #: What was received until the program was known.
        self.looked = bytearray()
        self._waiting: list[Tag] = []
        # What was received and is still to be read.
        self._unread: bytes | memoryview = b""
        self._stretch = Stretch()
        self._tag_at = clock()

    @property
    def lost_packets(self) -> int:
        """See ``LiveInlet.lost_packets``."""
        return self.demuxer.lost_packets

    async def look(self, url: MediaUrl, leftover: bytes = b"") -> "TsInlet":
        """Wait until it is known what comes. Raises SourceError, NeedsFfmpeg among them."""
        scratch = memoryview(bytearray(MOST_BYTES))
        self._read(memoryview(leftover))
        self.looked += leftover
        try:
            async with asyncio.timeout(OPEN_S):
                while not self.demuxer.is_known:
                    received = self._receive(scratch)
                    if received == 0 or len(self.looked) > _MAX_LOOK_BYTES:
                        raise self._no_media(url)
                    if received is None:
                        await asyncio.sleep(_LOOK_EVERY_S)
                        continue
                    self.looked += scratch[:received]
                    self._read(scratch[:received])
                    await asyncio.sleep(0)
        except TimeoutError:
            raise self._no_media(url) from None
        self._check()
        self.looked.clear()
        self.is_mute = not self.demuxer.has_sound
        self._tag_at = self._clock()
        return self

    def pull(self, scratch: memoryview, out: list[Tag]) -> int:
        """See ``LiveInlet.pull``."""
        began_at = self._clock()
        count = 0
        try:
            while len(self._waiting) < MANY_TAGS:
                if not self._unread:
                    received = self._receive(scratch[:MOST_BYTES])
                    if received == 0:
                        self.demuxer.finish(self._waiting)
                        raise SourceEnded(Code.SOURCE_CLOSED)
                    if received is None:
                        break
                    count += received
                    self._unread = scratch[:received]
                size_bytes = self._stretch.size_bytes
                data, self._unread = self._unread[:size_bytes], self._unread[size_bytes:]
                self._read(data)
                if self._clock() - began_at > self._pull_s:
                    break
        finally:
            if self._unread:
                self._unread = bytes(self._unread)
            if self._waiting:
                self._tag_at = began_at
                out.extend((kind, stamp & 0xFFFFFFFF, body) for kind, stamp, body in self._waiting[:MANY_TAGS])
                del self._waiting[:MANY_TAGS]
        self._check()
        if self.demuxer.is_scrambled and began_at - self._tag_at > _SCRAMBLED_S:
            raise SourceCorrupt(Code.SOURCE_SCRAMBLED)
        return count

    def close(self) -> None:
        """See ``LiveInlet.close``."""
        self._feed.close()

    def _receive(self, view: memoryview) -> int | None:
        try:
            return self._feed.receive_into(view)
        except (OSError, RemoteProtocolError) as error:
            raise as_source_error(error) from error

    def _read(self, data: bytes | memoryview) -> None:
        with self._stretch:
            self.demuxer.feed(data, self._waiting)

    def _check(self) -> None:
        if codec := self.demuxer.unsupported:
            self._memory.needs_ffmpeg = True
            raise NeedsFfmpeg(Code.SOURCE_NEEDS_ENCODING, codec=codec)

    def _no_media(self, url: MediaUrl) -> SourceCorrupt | SourceUnreachable:
        if not self.looked:
            return SourceUnreachable(Code.SOURCE_NO_MEDIA, url=url.redacted, seconds=OPEN_S)
        words = Reason.of(Code.SOURCE_TS_NO_PROGRAM, count=len(self.looked))
        return SourceCorrupt(Code.SOURCE_NOT_MEDIA, url=url.redacted, words=words)
