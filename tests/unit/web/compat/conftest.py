"""The API over a real store."""

from collections.abc import AsyncIterator

import pytest
from signed_api import FILES, NO_LIMITS, Api, make_api

from streamferry.control.address_rules import address_rules
from streamferry.net.folders import Folders
from streamferry.store import Store
from streamferry.web.compat.routes import ApiSettings


@pytest.fixture
async def api(store: Store) -> AsyncIterator[Api]:
    """The API without rate limits, with one key and one folder of files."""
    one = await make_api(store, ApiSettings(rates=NO_LIMITS, address_rules=address_rules(Folders.of([FILES]))))
    async with one.client:
        yield one
