"""Turns: what many relays do in the same moment, a few at a time, with the beat in between.

Tasks share a StartTime or an EndTime by the hundred, and all that a process has ends with it. To begin or to end costs
a relay about a millisecond, and the event loop does all that is ready before it looks at its timers again: 500 at once
would hold up the streams of all others for half a second.
"""

import asyncio
from collections import deque
from collections.abc import Callable

#: How many get their turn before the beat can be next.
AT_ONCE = 8


class Turns:
    """Those of a process. Create it inside a running event loop."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[Callable[[], object]] = deque()
        self._is_due = False

    def take(self, step: Callable[[], object]) -> None:
        """Have the event loop call ``step`` when its turn comes, which is soon unless many wait."""
        self._waiting.append(step)
        if not self._is_due:
            self._is_due = True
            self._loop.call_soon(self._give)

    async def wait(self) -> None:
        """Wait for a turn."""
        came = asyncio.Event()
        self.take(came.set)
        await came.wait()

    def _give(self) -> None:
        for _ in range(min(AT_ONCE, len(self._waiting))):
            self._loop.call_soon(self._waiting.popleft())
        self._is_due = bool(self._waiting)
        if self._is_due:
            self._loop.call_soon(self._give)
