"""An event loop without waiting: its time goes on as soon as nothing is left to do until then.

For what is scripted in one process. What another process, a thread or a socket does takes no time on its clock.
"""

import asyncio
import selectors
from typing import Any


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """A timer is due exactly at its time, however busy the machine is; seconds take no time."""

    def __init__(self) -> None:
        self._now = 0.0
        super().__init__(_Impatient(self))

    def time(self) -> float:
        """Seconds since it was made."""
        return self._now

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self._now += seconds


class _Impatient(selectors.DefaultSelector):
    """Does not wait for the next timer."""

    def __init__(self, loop: VirtualTimeLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> Any:
        """What is ready. If that is nothing, the time has passed for which it would have waited."""
        found = super().select(None if timeout is None else 0)
        if timeout and not found:
            self._loop.advance(timeout)
        return found
