"""One served API for all contract tests of a module."""

from collections.abc import Iterator

import pytest
from served import Served, serve


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """An API on the loopback without rate limits."""
    with serve(tmp_path_factory.mktemp("served")) as one:
        yield one
