"""Waiting inside an event loop: by looking often, with a deadline, never by sleeping a fixed time."""

import asyncio
import time
from collections.abc import Callable
from typing import TypeVar

from kit.waiting import PATIENCE_S

T = TypeVar("T")
_LOOK_EVERY_S = 0.005


async def until(what: str, look: Callable[[], T], seconds: float = PATIENCE_S) -> T:
    """Call ``look`` until it gives something true and return that. AssertionError names ``what`` after the deadline."""
    deadline = time.monotonic() + seconds
    while not (seen := look()):
        assert time.monotonic() < deadline, f"waited {seconds} s in vain for {what}"
        await asyncio.sleep(_LOOK_EVERY_S)
    return seen
