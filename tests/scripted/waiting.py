"""Waiting inside an event loop: by looking often, with a deadline, never by sleeping a fixed time."""

import asyncio
import time
from collections.abc import Callable
from typing import TypeVar

from kit.waiting import PATIENCE_S, pause_s

T = TypeVar("T")
_LOOK_EVERY_S, _LONGEST_PAUSE_S = 0.005, 0.02


async def until(what: str, look: Callable[[], T], seconds: float = PATIENCE_S) -> T:
    """Call ``look`` until it gives something true and return that. AssertionError names ``what`` after the deadline."""
    began = time.monotonic()
    while not (seen := look()):
        waited_s = time.monotonic() - began
        assert waited_s < seconds, f"waited {seconds} s in vain for {what}"
        await asyncio.sleep(pause_s(waited_s, _LOOK_EVERY_S, _LONGEST_PAUSE_S))
    return seen
