"""The API over a real store."""

from collections.abc import AsyncIterator

import pytest
from signed_api import FILES, NO_LIMITS, Api, make_api

from streamferry.control.api.routes import ApiSettings
from streamferry.control.checks import SourceRules
from streamferry.control.store import Store
from streamferry.net.folders import Folders


@pytest.fixture
async def api(store: Store) -> AsyncIterator[Api]:
    """The API without rate limits, with one key and one folder of files."""
    one = await make_api(store, ApiSettings(rates=NO_LIMITS, source_rules=SourceRules(Folders.of([FILES]))))
    async with one.client:
        yield one
