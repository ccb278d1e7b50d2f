"""Publish sessions over loopback TCP, closed at the end of the test."""

from collections.abc import AsyncIterator, Callable

import pytest

from scripted.publishing import FarEnd, publishing
from streamferry.push import RtmpSession


@pytest.fixture
async def publish() -> AsyncIterator[Callable[..., tuple[RtmpSession, FarEnd]]]:
    """``publish(buffer_bytes)`` makes a session and its far end."""
    made: list[tuple[RtmpSession, FarEnd]] = []

    def make(buffer_bytes: int | None = None) -> tuple[RtmpSession, FarEnd]:
        made.append(publishing(buffer_bytes))
        return made[-1]

    yield make
    for session, far in made:
        session.abort()
        far.sock.close()
