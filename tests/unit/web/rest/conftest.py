"""REST over a real store."""

from collections.abc import AsyncIterator

import pytest
from rest_api import Rest, make_rest

from streamferry.store import Store


@pytest.fixture
async def rest(store: Store) -> AsyncIterator[Rest]:
    """REST without rate limits, with a key that may write and one that may not."""
    async with make_rest(store) as one:
        yield one
