"""Numbers of all tasks, shared by all open pages: counting reads every task in the store."""

import asyncio
import time
from collections.abc import Sequence

from streamferry.store.records import TaskCount
from streamferry.web.event_views import Overview
from streamferry.web.reads import Reads

_NUMBERS_S = 2.0
#: How many different searches are cached; each belongs to an open page.
_SEARCHES = 50


class Numbers:
    """Counts once for all pages that need the same numbers at about the same time."""

    def __init__(self, reads: Reads) -> None:
        self._reads = reads
        self._lock = asyncio.Lock()
        self._counted: tuple[float, Overview] | None = None
        self._of: dict[tuple[str, tuple[str, ...]], tuple[float, list[TaskCount]]] = {}

    async def counts(self, *, title: str = "", groups: Sequence[str] = ()) -> list[TaskCount]:
        """How many tasks of this title and these groups are in which status and state; two seconds old at most."""
        key = (title, tuple(groups))
        async with self._lock:
            counted = self._of.get(key)
            if counted is None or time.monotonic() - counted[0] > _NUMBERS_S:
                self._of.pop(key, None)
                while len(self._of) >= _SEARCHES:
                    del self._of[next(iter(self._of))]
                counted = self._of[key] = (time.monotonic(), await self._reads.counts(title=title, groups=groups))
            return counted[1]

    async def overview(self) -> Overview:
        """Two seconds old at most."""
        async with self._lock:
            if self._counted is None or time.monotonic() - self._counted[0] > _NUMBERS_S:
                self._counted = (time.monotonic(), await self._reads.overview())
            return self._counted[1]
