"""The store runs on the loop of production; what is special about the other one has a test of its own."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
import uvloop

from kit.clips import ClipFactory
from kit.http_files import HttpFiles
from loopback.prepare.prepared import PREPARATIONS
from streamferry.prepare.store import PreparedStore


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Each of these tests starts processes: once is enough."""
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture(scope="session", autouse=True)
def _preparations() -> Iterator[None]:
    """Ended with the session, if one of its tests began them."""
    yield
    PREPARATIONS.close()


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[PreparedStore]:
    """An empty cache."""
    async with PreparedStore(tmp_path / "cache") as store:
        yield store


@pytest.fixture
def origin(clips: ClipFactory, tmp_path: Path) -> Iterator[HttpFiles]:
    """A server with a film of its own that a test may change: ``film.mp4``, the clip ``h264_no_bframes``."""
    folder = tmp_path / "origin"
    folder.mkdir()
    shutil.copy(clips("h264_no_bframes"), folder / "film.mp4")
    with HttpFiles(folder) as files:
        yield files
