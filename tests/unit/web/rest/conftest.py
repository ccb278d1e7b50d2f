"""REST over a real store."""

import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from streamferry.store import Store

sys.path.append(str(Path(__file__).parents[1] / "api"))

from rest_api import Rest, make_rest


@pytest.fixture
async def rest(store: Store) -> AsyncIterator[Rest]:
    """REST without rate limits, with a key that may write and one that may not."""
    async with make_rest(store) as one:
        yield one
