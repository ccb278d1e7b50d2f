"""One media playlist of a live HLS source, followed: it is read again when due, and its segments are asked for in time.

The next segment is asked for while the one before it still comes, so that a server may be slow to begin. What comes is
received by the beat, no faster than it is needed: TCP holds back the rest.
"""

import asyncio
from collections.abc import Coroutine
from typing import Unpack

from streamferry.media.errors import MediaError, PeerError, PeerRejected, PeerUnreachable, RemoteProtocolError
from streamferry.media.peer_options import NO_OPTIONS
from streamferry.media.url import MediaUrl
from streamferry.net.dial import DialOptions, step
from streamferry.net.http import HttpBody, HttpStream, open_get
from streamferry.net.kept import KeptConnections
from streamferry.reasons import Code, InvalidValue, Reason
from streamferry.source.answer import not_a_stream, sent_secrets
from streamferry.source.hls_follower import HlsFollower, Next
from streamferry.source.hls_segment import SegmentOpener, SegmentTransfer
from streamferry.wire.hls import MAX_PLAYLIST_BYTES, Playlist
from streamferry.wire.hls_segments import Segment, SegmentParser

# A request that fails is made once more after this many seconds, if it may be a whim of the server.
_AGAIN_S = 0.5
# A playlist that cannot be had for so long, when all that it listed was played, and so many segments in a row are no
# whim: another session may do better.
_PLAYLIST_PATIENCE_S = 4.0
_MOST_FAILURES = 3
# Parsed in some 5 ms.
_LINES_AT_ONCE = 2_000
_EXPIRED = frozenset((401, 403, 410))


class Rendition:
    """Follows a playlist until ``close``."""

    def __init__(
        self, address: MediaUrl, follower: HlsFollower, source: MediaUrl, **network: Unpack[DialOptions]
    ) -> None:
        """``follower`` has taken the playlist at ``address``; ``source``: the one given by the user.

        Needs a running event loop.
        """
        self.follower = follower
        # Why no more segments are asked for, and why the playlist cannot be had at present.
        self._failure: MediaError | None = None
        self._list_failure: MediaError | None = None
        self._address = address
        self._source = source
        self._clock = asyncio.get_running_loop().time
        self._network = network
        self._kept = KeptConnections(self._clock)
        self._opener = SegmentOpener(source, self._kept, **network)
        self._ready: SegmentTransfer | None = None
        # Whether a segment has been asked for and is not there yet.
        self._asking = False
        self._is_wanted = asyncio.Event()
        self._is_wanted.set()
        self._is_listed = asyncio.Event()
        self._tasks = [asyncio.create_task(self._guard(work())) for work in (self._read_again, self._ask_ahead)]

    @property
    def error(self) -> MediaError | None:
        """Why no more can be had; what has come until then is to be played first."""
        return self._failure or self._list_failure

    @property
    def is_over(self) -> bool:
        """Whether nothing more will come."""
        if self._ready is not None or self._asking:
            return False
        return self._tasks[1].done() or (self._list_failure is not None and self.follower.ahead_s <= 0)

    @property
    def ahead_s(self) -> float:
        """How much media is listed or asked for, and not yet taken, in seconds."""
        ready = self._ready
        return self.follower.ahead_s + (ready.seconds if ready is not None else 0.0)

    def want(self) -> None:
        """Ask for the next segment, if it has not been asked for."""
        if self._ready is None:
            self._is_wanted.set()

    def take(self) -> SegmentTransfer | None:
        """The next segment, if its server has answered."""
        found, self._ready = self._ready, None
        if found is None:
            self._is_wanted.set()
        return found

    def fail(self, error: MediaError) -> None:
        """No more is to be asked for: ``error`` says why."""
        self._failure = self._failure or error
        self._tasks[1].cancel()
        self._put_back()

    def close(self) -> None:
        """End it. Closing again does nothing."""
        for task in self._tasks:
            task.cancel()
        self._put_back()
        self._kept.close()

    def _put_back(self) -> None:
        """What was asked for is left to the next session."""
        if self._ready is not None:
            self._ready.close()
        if self._asking or self._ready is not None:
            self._asking, self._ready = False, None
            self.follower.put_back()

    async def _guard(self, work: Coroutine[None, None, None]) -> None:
        try:
            await work
        except MediaError as error:
            if self._failure is None:
                self._failure = error
        finally:
            self._is_listed.set()

    async def _read_again(self) -> None:
        failed_since: float | None = None
        while not self.follower.is_finished:
            await asyncio.sleep(max(0.0, self.follower.reload_at - self._clock()))
            asked_at = self._clock()
            try:
                playlist, _ = await read_playlist(
                    self._address, given_for=self._source, kept=self._kept, **self._network
                )
                self.follower.take(playlist, asked_at, await listed(playlist))
                failed_since = self._list_failure = None
            except (PeerError, RemoteProtocolError, InvalidValue) as error:
                now = self._clock()
                failed_since = asked_at if failed_since is None else failed_since
                if now - failed_since > _PLAYLIST_PATIENCE_S:
                    # The end only if it is not back before all that was listed has been played.
                    self._list_failure = RemoteProtocolError(error.why) if isinstance(error, InvalidValue) else error
                self.follower.reload_at = now + max(_AGAIN_S, self.follower.usual_s / 2)
            self._is_listed.set()

    async def _ask_ahead(self) -> None:
        failures = 0
        while True:
            await self._is_wanted.wait()
            self._is_wanted.clear()
            if self._ready is not None:
                continue
            while (found := self.follower.next()) is None:
                if self._tasks[0].done():
                    return
                self._is_listed.clear()
                await self._is_listed.wait()
            try:
                self._asking = True
                self._ready = await self._ask(found)
                self._asking, failures = False, 0
            except (PeerError, RemoteProtocolError) as error:
                failures += 1
                if failures == _MOST_FAILURES or self._is_expired(error, found.segment.number):
                    self._asking = False
                    self.follower.put_back()
                    raise
                self.follower.lose_all(found)
                self._asking = False
                self._is_wanted.set()

    def _is_expired(self, error: MediaError, number: int) -> bool:
        """Whether it is the right to segments that has ended: a new session has a new one, and begins with this.

        If it is refused there too, only this segment is.
        """
        if not isinstance(error, PeerRejected) or error.status not in _EXPIRED or self.follower.refused == number:
            return False
        self.follower.refused = number
        return True

    async def _ask(self, found: Next) -> SegmentTransfer:
        try:
            return await self._opener.open(self._address, found)
        except PeerRejected as error:
            if error.status < 500:
                raise
        except PeerUnreachable:
            pass
        await asyncio.sleep(_AGAIN_S)
        return await self._opener.open(self._address, found)


async def listed(playlist: Playlist) -> list[Segment]:
    """The segments of a playlist. A day of them takes half a second to parse: others get their turn meanwhile.

    Raises ValueError, with a sentence that repeats nothing of it, for a playlist that cannot be followed.
    """
    parser = SegmentParser(playlist)
    for number, line in enumerate(playlist.lines, start=1):
        parser.feed(line)
        if not number % _LINES_AT_ONCE:
            await asyncio.sleep(0)
    return parser.segments


async def read_playlist(
    url: MediaUrl,
    stream: HttpStream | None = None,
    given_for: MediaUrl | None = None,
    kept: KeptConnections | None = None,
    **network: Unpack[DialOptions],
) -> tuple[Playlist, MediaUrl]:
    """The playlist at ``url``, and where redirects led; ``stream``: the answer to a GET of it, taken over.

    ``given_for``, ``kept``: see ``net.http.open_get``.

    Raises PeerError and RemoteProtocolError.
    """
    if stream is None:
        stream = await open_get(url, given_for, kept=kept, **network)
    body = HttpBody(stream)
    try:
        async with step(Reason.of(Code.STEP_PLAYLIST, peer=stream.connection.peer), network["deadlines"].response):
            data = await body.read_all(MAX_PLAYLIST_BYTES)
    finally:
        body.release()
    if not data:
        raise PeerUnreachable(Code.SOURCE_HLS_EMPTY, peer=stream.connection.peer)
    try:
        return Playlist.parse(data), stream.final_url
    except InvalidValue:
        options = network.get("options", NO_OPTIONS)
        secrets = [*sent_secrets(options, url), *sent_secrets(options, stream.final_url)]
        raise RemoteProtocolError(not_a_stream(given_for or url, stream.content_type, data, secrets).why) from None
