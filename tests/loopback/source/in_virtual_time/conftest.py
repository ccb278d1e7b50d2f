"""All here is scripted, and runs in virtual time."""

import asyncio
from collections.abc import Callable

from kit.virtual_time import VirtualTimeLoop


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """One loop for all."""
    return {"virtual time": VirtualTimeLoop}
