"""One media playlist of a live HLS source, followed: it is read again when due, and its segments are asked for in time.

The next segment is asked for while the one before it still comes, so that a server may be slow to begin. What comes is
received by the beat, no faster than it is needed: TCP holds back the rest. Of low-latency playlists the next version
and the part that it will list are asked for before they are there, one request for each, and their server answers then.
"""

import asyncio
from collections.abc import Coroutine
from dataclasses import replace
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
        # What has been asked for and is not there yet; the part that was asked for before it was listed.
        self._asked: Next | None = None
        self._hinted: tuple[Segment, asyncio.Task[SegmentTransfer]] | None = None
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
        if self._ready is not None or self._asked is not None:
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

    def redo(self, number: int) -> None:
        """Not all of a part of this segment came: the segment is taken whole, before what comes after it."""
        self._tasks[1].cancel()
        unplayed = self._take_back()
        self._drop_hinted()
        self.follower.fail_part(number, unplayed)
        self._tasks[1] = asyncio.create_task(self._guard(self._ask_ahead()))
        self._is_wanted.set()

    def close(self) -> None:
        """End it. Closing again does nothing."""
        for task in self._tasks:
            task.cancel()
        self._put_back()
        self._drop_hinted()
        self._kept.close()

    def _put_back(self) -> None:
        """What was asked for is left to the next session."""
        if self._take_back() is not None:
            self.follower.put_back()

    def _take_back(self) -> Next | None:
        """What was asked for, if it was not taken."""
        asked, self._asked = self._asked, None
        if self._ready is not None:
            asked = self._ready.found
            self._ready.close()
            self._ready = None
        return asked

    def _drop_hinted(self) -> None:
        if self._hinted is not None:
            _, task = self._hinted
            self._hinted = None
            task.add_done_callback(_close_unused)
            task.cancel()

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
        follower = self.follower
        while not follower.is_finished:
            await asyncio.sleep(max(0.0, follower.reload_at - self._clock()))
            asked_at = self._clock()
            query = follower.parts.query
            try:
                await self._read(query, asked_at)
                failed_since = self._list_failure = None
            except (PeerError, RemoteProtocolError, InvalidValue, TimeoutError) as error:
                now = self._clock()
                if isinstance(error, TimeoutError) or query:
                    # It is asked for what there is, before it counts as away.
                    follower.parts.note_wait(is_good=False)
                    follower.reload_at = now
                    continue
                failed_since = asked_at if failed_since is None else failed_since
                if now - failed_since > _PLAYLIST_PATIENCE_S:
                    # The end only if it is not back before all that was listed has been played.
                    self._list_failure = RemoteProtocolError(error.why) if isinstance(error, InvalidValue) else error
                follower.reload_at = now + max(_AGAIN_S, follower.usual_s / 2)
            self._is_listed.set()

    async def _read(self, query: str, asked_at: float) -> None:
        """``query``: what makes the server wait until there is more. Raises TimeoutError if it waits too long."""
        parts, address = self.follower.parts, self._address
        end = parts.end
        if query:
            address = replace(address, query="&".join(filter(None, (address.query, query))))
        async with asyncio.timeout(parts.wait_s if query else None):
            playlist, _ = await read_playlist(address, given_for=self._source, kept=self._kept, **self._network)
        self.follower.take(playlist, asked_at, await listed(playlist, with_parts=parts.is_wanted))
        if query:
            # Caches are seen that go on giving what they have under this address.
            parts.note_wait(is_good=parts.end > end)
        else:
            parts.note_plain()

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
                self._ask_for_hint()
                self._is_listed.clear()
                await self._is_listed.wait()
            self._asked = found
            try:
                self._ready = await self._ask(found)
                self._asked, failures = None, 0
            except (PeerError, RemoteProtocolError, TimeoutError) as error:
                self._asked = None
                self._is_wanted.set()
                if found.segment.part is not None or isinstance(error, TimeoutError):
                    self.follower.fail_part(found.segment.number, found)
                    continue
                failures += 1
                if failures == _MOST_FAILURES or self._is_expired(error, found.segment.number):
                    self.follower.put_back()
                    raise
                self.follower.lose_all(found)

    def _is_expired(self, error: MediaError, number: int) -> bool:
        """Whether it is the right to segments that has ended: a new session has a new one, and begins with this.

        If it is refused there too, only this segment is.
        """
        if not isinstance(error, PeerRejected) or error.status not in _EXPIRED or self.follower.refused == number:
            return False
        self.follower.refused = number
        return True

    def _ask_for_hint(self) -> None:
        """Ask for the part that comes next, once: its server answers when it is there."""
        hint = self.follower.hint
        if self._hinted is None and hint is not None:
            self._hinted = hint, asyncio.create_task(self._open_hint(hint))

    async def _open_hint(self, hint: Segment) -> SegmentTransfer:
        async with asyncio.timeout(self.follower.parts.wait_s):
            return await self._opener.open(self._address, Next(hint, is_break=False, lost_s=0.0))

    async def _take_hinted(self, found: Next) -> SegmentTransfer | None:
        """The answer to a hint, if it is that for ``found``."""
        if self._hinted is None:
            return None
        (hint, task), is_good = self._hinted, False
        try:
            if _asked_as(hint) == _asked_as(found.segment):
                transfer = await asyncio.shield(task)
                self._hinted, is_good = None, True
                transfer.become(found)
                return transfer
        except (PeerError, RemoteProtocolError, TimeoutError):
            pass
        finally:
            self._drop_hinted()
            self.follower.parts.note_hint(is_good=is_good)
        return None

    async def _ask(self, found: Next) -> SegmentTransfer:
        if (hinted := await self._take_hinted(found)) is not None:
            return hinted
        if found.segment.part is not None:
            async with asyncio.timeout(self.follower.parts.wait_s):
                return await self._opener.open(self._address, found)
        try:
            return await self._opener.open(self._address, found)
        except PeerRejected as error:
            if error.status < 500:
                raise
        except PeerUnreachable:
            pass
        await asyncio.sleep(_AGAIN_S)
        return await self._opener.open(self._address, found)


def _asked_as(part: Segment) -> tuple[object, ...]:
    return part.number, part.part, part.media, part.header


def _close_unused(task: "asyncio.Task[SegmentTransfer]") -> None:
    """Of a hint that nobody waits for any more."""
    if not task.cancelled() and task.exception() is None:
        task.result().close()


async def listed(playlist: Playlist, *, with_parts: bool = False) -> SegmentParser:
    """What a playlist lists. A day of segments takes half a second to parse: others get their turn meanwhile.

    Raises ValueError, with a sentence that repeats nothing of it, for a playlist that cannot be followed.
    """
    parser = SegmentParser(playlist, with_parts=with_parts)
    for number, line in enumerate(playlist.lines, start=1):
        parser.feed(line)
        if not number % _LINES_AT_ONCE:
            await asyncio.sleep(0)
    return parser


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
        # Mostly all of it has come with the head.
        data = body.leftover
        if not body.is_whole:
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
