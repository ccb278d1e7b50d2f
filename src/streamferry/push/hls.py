"""HLS by HTTP PUT: MPEG-TS of an ffmpeg child, cut at keyframes and uploaded from this process, so that no child knows
the address.

A session begins with an empty playlist, which the server has to take: that is what "accepted" means here. Then each
segment is uploaded, followed by the playlist that names it. Segments no longer in the playlist are deleted, where the
server allows it. Numbers begin with the Unix time, so that they are higher than those of all earlier sessions; within a
process they are, whatever the clock does.

Acknowledged is what the child has read, less the segments that the server has not taken yet: media that waits for its
segment to end waits for us and not for the server. Specification: RFC 8216, 4.3 and 6.2.
"""

import asyncio
import time
from collections import OrderedDict, deque
from contextlib import suppress
from dataclasses import replace
from typing import Unpack

from streamferry.media.errors import (
    DestinationError,
    DestinationUnreachable,
    MediaError,
    PublishRejected,
    RemoteProtocolError,
)
from streamferry.media.url import MediaUrl
from streamferry.net.dial import DialOptions
from streamferry.net.upload import remove, upload
from streamferry.push.mpegts import RemuxSession
from streamferry.push.peer_errors import as_destination_errors
from streamferry.wire.hls import ListedSegment, serialize_playlist
from streamferry.wire.ts import TARGET_S, TsSegment, TsSegmenter, target_s

#: How many segments the playlist names, and how many more stay on the server for players that are late.
LISTED, KEPT_BESIDES = 6, 6
#: Segments that may wait for a slow server; beyond that media waits and is dropped as for any destination.
MAX_WAITING = 2
#: How long the end may take: the last segment and the final playlist. Less than ``relay`` allows.
CLOSE_S = 4.0
#: A request that is refused in the midst of a session is made once more, after this long.
AGAIN_S = 0.5

_READ_BYTES = 256 << 10
_POLL_S = 0.02

# The next number of each address, of the last ones that were pushed to.
_MAX_REMEMBERED = 1000
_next_numbers: "OrderedDict[MediaUrl, int]" = OrderedDict()


class HlsFolder:
    """The playlist of an address and the segments beside it. Its methods raise DestinationError."""

    def __init__(self, url: MediaUrl, network: DialOptions) -> None:
        self._url = url
        self._network = network
        self._next_number = max(int(time.time()), _next_numbers.get(url, 0))
        # Of the first segment; of a playlist that names none nobody has played anything.
        self._target_s: int | None = None
        self._has_taken = False
        self._listed: deque[ListedSegment] = deque()
        self._unlisted: deque[ListedSegment] = deque()

    async def tell(self, *, is_ended: bool = False) -> None:
        """Upload the playlist."""
        first_number = self._next_number - len(self._listed)
        text = serialize_playlist(self._listed, first_number, self._target_s or TARGET_S, is_ended=is_ended)
        await self._put(self._url, text.encode(), "application/vnd.apple.mpegurl")

    async def add(self, segment: TsSegment) -> None:
        """Upload a segment and the playlist with it, and delete what is too old."""
        name = segment_name(self._url, self._next_number)
        await self._put(_beside(self._url, name), segment.data, "video/mp2t")
        self._next_number += 1
        _next_numbers[self._url] = self._next_number
        _next_numbers.move_to_end(self._url)
        if len(_next_numbers) > _MAX_REMEMBERED:
            _next_numbers.popitem(last=False)
        if self._target_s is None:
            self._target_s = target_s(segment.duration_s)
        self._listed.append(ListedSegment(name, segment.duration_s))
        if len(self._listed) > LISTED:
            self._unlisted.append(self._listed.popleft())
        await self.tell()
        if len(self._unlisted) > KEPT_BESIDES:
            # It does no harm if a server keeps old segments; one that is gone is noticed with the next segment.
            with suppress(MediaError):
                await remove(_beside(self._url, self._unlisted.popleft().name), **self._network)

    async def _put(self, url: MediaUrl, body: bytes, content_type: str) -> None:
        try:
            await self._upload(url, body, content_type)
        except PublishRejected as refused:
            # Servers are known that refuse one request of many. What has never been taken is told at once.
            if not self._has_taken or refused.retry_after_s:
                raise
            await asyncio.sleep(AGAIN_S)
            await self._upload(url, body, content_type)
        self._has_taken = True

    async def _upload(self, url: MediaUrl, body: bytes, content_type: str) -> None:
        try:
            with as_destination_errors():
                await upload(url, body, content_type, **self._network)
        except RemoteProtocolError as error:
            raise DestinationUnreachable(error.why) from None


class HlsSession(RemuxSession):
    """A session with the surface of ``RtmpSession``."""

    def __init__(self, folder: HlsFolder, url: MediaUrl) -> None:
        """``folder`` has already uploaded its playlist. Raises DestinationSenderFailed."""
        super().__init__(url)
        self._folder = folder
        self._segmenter = TsSegmenter()
        self._scratch = memoryview(bytearray(_READ_BYTES))
        #: Whole segments, the first of which is being uploaded.
        self._waiting: deque[TsSegment] = deque()
        self._has_segment = asyncio.Event()
        self._failure: DestinationError | None = None
        self._acked_bytes = 0
        self._child.on_readable(self._pump)
        self._uploader = asyncio.create_task(self._upload(), name="hls uploader")

    @property
    def acked_bytes(self) -> int:
        """See the module's docstring; in bytes of FLV, like ``sent_bytes``."""
        waiting_bytes = self._unread_bytes() + sum(len(segment.data) for segment in self._waiting)
        self._acked_bytes = max(self._acked_bytes, self.sent_bytes - waiting_bytes)
        return self._acked_bytes

    @property
    def is_blocked(self) -> bool:
        """Whether the child would not take all that was written last, or the server is behind."""
        return super().is_blocked or len(self._waiting) > MAX_WAITING

    def flush(self) -> bool:
        """See ``RemuxSession.flush``."""
        return super().flush() and not self.is_blocked

    def check(self) -> None:
        """See ``RemuxSession.check``."""
        if self._failure is not None:
            raise self._failure
        super().check()

    def _pump(self) -> None:
        """Called by the event loop when the child has written."""
        while received := self._child.receive_into(self._scratch):
            self._take(self._segmenter.feed(bytes(self._scratch[:received])))
        if self._child.has_closed_output:
            self._child.on_readable(None)

    def _take(self, segments: list[TsSegment]) -> None:
        if segments:
            self._waiting += segments
            self._has_segment.set()

    async def _upload(self) -> None:
        while True:
            while self._waiting:
                try:
                    await self._folder.add(self._waiting[0])
                except DestinationError as error:
                    self._failure = error
                    return
                self._waiting.popleft()
            self._has_segment.clear()
            await self._has_segment.wait()

    async def aclose(self, *, goes_on: bool = False) -> None:
        """Upload what the child still has and a playlist that says that it was the last; bounded in time.

        The last of this session only, where the broadcast ``goes_on``: then players wait for more.
        """
        with suppress(TimeoutError, DestinationError):
            async with asyncio.timeout(CLOSE_S):
                while not super().flush():  # noqa: ASYNC110 - bounded by the deadline
                    await asyncio.sleep(_POLL_S)
                self._child.finish_sending()
                await asyncio.wait((self._child.ended,))
                self._pump()
                self._take(self._segmenter.finish())
                while self._waiting and self._failure is None:  # noqa: ASYNC110 - the same
                    await asyncio.sleep(_POLL_S)
                if self._failure is None and not goes_on:
                    await self._folder.tell(is_ended=True)
        self.abort()

    def abort(self) -> None:
        """Close at once: the server is gone or stuck."""
        self._uploader.cancel()
        self._child.on_readable(None)
        self._child.close()


def segment_name(url: MediaUrl, number: int) -> str:
    """The playlist's own name with a number, ending in ``.ts``."""
    stem = (url.query if url.query.endswith(".m3u8") else url.path).removesuffix(".m3u8")
    return f"{stem[_name_at(stem) :]}-{number}.ts"


def _beside(url: MediaUrl, name: str) -> MediaUrl:
    """The address with another name instead of the playlist's: at the end of the query, or of the path."""
    if url.query.endswith(".m3u8"):
        return replace(url, query=url.query[: _name_at(url.query)] + name)
    return replace(url, path=url.path[: _name_at(url.path)] + name)


def _name_at(text: str) -> int:
    return max(text.rfind(mark) for mark in "/=&") + 1


async def open_hls_session(url: MediaUrl, **network: Unpack[DialOptions]) -> HlsSession:
    """Upload an empty playlist. Raises DestinationError."""
    folder = HlsFolder(url, network)
    await folder.tell()
    return HlsSession(folder, url)
