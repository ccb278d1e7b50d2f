"""Several things at once until the first of them ends: both ways of a tunnel, or what is awaited and its rival."""

import asyncio
from collections.abc import Coroutine
from typing import Any


async def until_first_ended(*running: Coroutine[Any, Any, object]) -> None:
    """Run all until one has ended; the others are cancelled, and have ended afterwards. No error is raised."""
    tasks = [asyncio.ensure_future(one) for one in running]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for one in tasks:
            one.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
