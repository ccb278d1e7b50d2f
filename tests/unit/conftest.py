"""Stores, migrated and empty, one for each test that asks.

Tests of ``store`` and ``service`` run on both databases. Elsewhere those marked ``both_databases`` do: they send
PostgreSQL a statement that no other test does, or several transactions at once. The rest runs on SQLite.
"""

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from kit import postgresql
from kit.emptied import EmptiedDatabases
from streamferry.store import Seal, Store, migrate, sqlite_url

SEAL_KEY = Fernet.generate_key().decode()


_migrated: dict[str, str] = {}


async def _migrate(url: str) -> str:
    store = Store(url, Seal(SEAL_KEY))
    await migrate(store)
    await store.aclose()
    return url


@pytest.fixture(scope="session")
def emptied_databases() -> list[EmptiedDatabases]:
    """Those of the session's server, once there are any."""
    return []


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give a test its databases, unless it or its module names them."""
    marks = metafunc.definition.iter_markers("parametrize")
    is_named = hasattr(metafunc.module, "store_url") or any(mark.args[0] == "store_url" for mark in marks)
    if "store_url" in metafunc.fixturenames and not is_named:
        room = metafunc.definition.path.relative_to(Path(__file__).parent).parts[0]
        is_both = room in ("store", "service") or metafunc.definition.get_closest_marker("both_databases")
        databases = ["sqlite", "postgresql"] if is_both else ["sqlite"]
        metafunc.parametrize("store_url", databases, indirect=True)


@pytest.fixture
async def store_url(
    request: pytest.FixtureRequest, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[str]:
    """The address of a migrated, empty store that only this test uses; migrating is done once a session."""
    if request.param == "sqlite":
        if "sqlite" not in _migrated:
            _migrated["sqlite"] = str(tmp_path_factory.mktemp("sqlite") / "template.db")
            await _migrate(sqlite_url(Path(_migrated["sqlite"])))
        shutil.copy(_migrated["sqlite"], tmp_path / "store.db")
        yield sqlite_url(tmp_path / "store.db")
        return
    databases: list[EmptiedDatabases] = request.getfixturevalue("emptied_databases")
    if not databases:
        server: postgresql.PostgreSql = request.getfixturevalue("postgresql_server")
        databases.append(EmptiedDatabases(server, await _migrate(server.database())))
    url = await databases[0].take()
    yield url
    await databases[0].give_back(url)


@pytest.fixture
async def store(store_url: str) -> AsyncIterator[Store]:
    """A store of this test's own."""
    one = Store(store_url, Seal(SEAL_KEY))
    yield one
    await one.aclose()
