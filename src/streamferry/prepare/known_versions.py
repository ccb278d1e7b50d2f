"""What a list knows of its files at their origins, so that they are not asked at each loop.

A clip of five seconds in a loop asked twelve times a minute, and stopped at each loop where its origin was silent. Now
the origin is asked again when what is known is RECHECK_S old, and waited for ANSWER_S then. What another list knows is
nothing to this one: a file that was replaced is there for whoever begins after that.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable

from streamferry.media.errors import SourceError
from streamferry.prepare.errors import SourceGone
from streamferry.prepare.file_version import Version

RECHECK_S = 30.0
ANSWER_S = 2.0
# Lists have 30 items, and may be edited.
_MOST = 100


class KnownVersions:
    """Of one list, by address."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._known: dict[str, tuple[Version, float]] = {}

    async def find(self, address: str, ask: Callable[[], Awaitable[Version]]) -> Version:
        """The version of a file, by what is known or by asking. Raises SourceError."""
        known, asked_at = self._known.get(address, (None, 0.0))
        if known is None:
            version = await ask()
        elif self._clock() - asked_at < RECHECK_S:
            return known
        else:
            try:
                async with asyncio.timeout(ANSWER_S):
                    version = await ask()
            except SourceGone:
                self.forget(address)
                raise
            except (SourceError, TimeoutError):
                version = known
        if len(self._known) >= _MOST:
            self._known.clear()
        self._known[address] = version, self._clock()
        return version

    def forget(self, address: str) -> None:
        """It is not so any more: ask before the next use."""
        self._known.pop(address, None)
