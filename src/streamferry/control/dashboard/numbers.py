"""All tasks in numbers, for every page that is open: counting them takes a look at each task of the store."""

import asyncio
import time

from streamferry.control.rest.reads import Reads
from streamferry.control.rest.views import Overview

_NUMBERS_S = 2.0


class Numbers:
    """Counted once for all who ask at about the same time."""

    def __init__(self, reads: Reads) -> None:
        self._reads = reads
        self._lock = asyncio.Lock()
        self._counted: tuple[float, Overview] | None = None

    async def overview(self) -> Overview:
        """Two seconds old at most."""
        async with self._lock:
            if self._counted is None or time.monotonic() - self._counted[0] > _NUMBERS_S:
                self._counted = (time.monotonic(), await self._reads.overview())
            return self._counted[1]
