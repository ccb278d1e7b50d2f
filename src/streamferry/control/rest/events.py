"""Events as they happen, as server-sent events: each follower looks into the store once a second.

The id of each is the event's own, which rises, so a browser that comes back with ``Last-Event-ID`` misses none.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from streamferry.control.rest.faults import RestError
from streamferry.control.rest.reads import Reads

#: A look costs one indexed read. What happened is told at most this late.
LOOK_EVERY_S = 0.5
#: A line now and then, so that proxies and clients can tell a quiet stream from a dead one.
_BEAT_EVERY_S = 10.0
_MAX_FOLLOWERS = 64
_AT_ONCE = 200


class Follower:
    """Followers end when the service stops."""

    def __init__(self, reads: Reads, stopping: asyncio.Event) -> None:
        self._reads = reads
        self._stopping = stopping
        self._count = 0

    async def follow(self, task_id: str | None, after: int | None) -> AsyncIterator[str]:
        """Lines of the stream behind ``after``, None: from now on. Raises RestError when too many follow."""
        if self._count >= _MAX_FOLLOWERS:
            raise RestError(429, "too_many", "too many follow the events of this service", retry_after_s=5)
        begin = await self._reads.last_event() if after is None else after
        return self._lines(task_id, begin)

    async def _lines(self, task_id: str | None, after: int) -> AsyncIterator[str]:
        self._count += 1
        try:
            # The first line goes out at once, with the cursor: who breaks off before any event can resume, too.
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
        finally:
            self._count -= 1
