"""The store runs on the loop of production; what is special about the other one has a test of its own."""

import asyncio
from collections.abc import Callable, Iterator

import pytest
import uvloop

from loopback.prepare.prepared import PREPARATIONS


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Each of these tests starts processes: once is enough."""
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture(scope="session", autouse=True)
def _preparations() -> Iterator[None]:
    """Ended with the session, if one of its tests began them."""
    yield
    PREPARATIONS.close()
