"""The store runs on the loop of production; what is special about the other one has a test of its own."""

import asyncio
from collections.abc import Callable

import uvloop


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Each of these tests starts processes: once is enough."""
    return {"uvloop": uvloop.new_event_loop}
