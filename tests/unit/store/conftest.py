"""For tests of what is early or late in the store."""

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from sqlalchemy.ext.compiler import compiles

from streamferry.store import database, postgresql, sqlite
from streamferry.tasks.times import to_ms


@pytest.fixture
def standing_clock() -> Iterator[None]:
    """The store's clock stands, however long the test takes: time passes by columns that the test moves."""
    now_ms = to_ms(datetime.now(UTC))
    ways = {"sqlite": database._now_on_sqlite, "postgresql": database._now_on_postgresql}
    for dialect in ways:
        compiles(database._DatabaseNow, dialect)(lambda *_, **__: f"CAST({now_ms} AS BIGINT)")
    _forget_compiled()
    yield
    for dialect, way in ways.items():
        compiles(database._DatabaseNow, dialect)(way)
    _forget_compiled()


def _forget_compiled() -> None:
    """Statements that were compiled with the other clock."""
    for engines in (sqlite, postgresql):
        engines._COMPILED.clear()
