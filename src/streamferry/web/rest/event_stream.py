"""Events as they happen, as server-sent events: each follower reads the store once a second.

The ids are the events' own and increase, so a browser that reconnects with ``Last-Event-ID`` misses none.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator

from streamferry.net.peers import NoPlace, Places
from streamferry.tasks.actor import current_actor
from streamferry.web.reads import Reads
from streamferry.web.rest.rest_errors import RestError

#: How often the store is read (one indexed read), and the most that an event is delayed.
LOOK_EVERY_S = 0.5
#: How often a line is sent anyway, so that proxies and clients can tell a quiet stream from a dead one.
_BEAT_EVERY_S = 10.0
#: Each costs two reads a second. One key cannot take them all from the others.
_MAX_FOLLOWERS, _MAX_OF_KEY = 256, 32
_AT_ONCE = 200


class Follower:
    """Followers end when the service stops."""

    def __init__(self, reads: Reads, stopping: asyncio.Event) -> None:
        self._reads = reads
        self._stopping = stopping
        self._places = Places(_MAX_FOLLOWERS, _MAX_OF_KEY)

    async def follow(self, task_id: str | None, after: int | None) -> AsyncIterator[str]:
        """Lines of the stream after ``after``; None: from now on. Raises RestError when too many follow."""
        key = current_actor().name
        with self._place(key):
            begin = await self._reads.last_event() if after is None else after
        return self._lines(key, task_id, begin)

    @contextlib.contextmanager
    def _place(self, key: str) -> Iterator[None]:
        try:
            with self._places.place(key):
                yield
        except NoPlace:
            raise RestError(429, "too_many", "too many follow the events with this key", retry_after_s=5) from None

    async def _lines(self, key: str, task_id: str | None, after: int) -> AsyncIterator[str]:
        with contextlib.suppress(NoPlace), self._places.place(key):
            # Send a first line at once, with the cursor: a client that breaks off before any event can resume, too.
            yield f"retry: 2000\nid: {after}\n\n"
            quiet_s = 0.0
            while not self._stopping.is_set():
                page = await self._reads.events(task_id, after=after, limit=_AT_ONCE)
                for one in page.events:
                    yield f"id: {one.id}\nevent: task\ndata: {one.model_dump_json()}\n\n"
                after = page.next_after
                if page.events:
                    quiet_s = 0.0
                    continue
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(LOOK_EVERY_S):
                        await self._stopping.wait()
                quiet_s += LOOK_EVERY_S
                if quiet_s >= _BEAT_EVERY_S:
                    quiet_s = 0.0
                    yield ": still here\n\n"
