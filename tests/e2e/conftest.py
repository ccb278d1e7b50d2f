"""The relay under test, as a process."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from kit import postgresql
from kit.relay_program import Finished, RelayProgram, run_to_end
from streamferry.store import sqlite_url


@pytest.fixture(params=["sqlite", "postgresql"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A store that is not there yet, of each database."""
    if request.param == "sqlite":
        return sqlite_url(tmp_path / "store.db")
    server: postgresql.PostgreSql = request.getfixturevalue("postgresql_server")
    return server.database()


@pytest.fixture
def relay(tmp_path: Path) -> Iterator[Callable[..., RelayProgram]]:
    """``relay(*arguments)`` starts ``streamferry relay``. At the end none may have shown a traceback or leaked."""
    started: list[RelayProgram] = []

    def start(*arguments: object, **options: object) -> RelayProgram:
        started.append(RelayProgram(tmp_path / f"relay-{len(started)}", *arguments, **options))
        return started[-1]

    yield start
    for one in started:
        one.interrupt()
    for one in started:
        assert "Traceback" not in one.errors
        assert "ResourceWarning" not in one.errors


@pytest.fixture
def relay_to_end(tmp_path: Path) -> Callable[..., Finished]:
    """``relay_to_end(*arguments)`` runs ``streamferry relay`` until it has ended, and gives what it printed.

    For tests of what arrives; those of a running relay and of its process start one by ``relay``.
    """
    return partial(run_to_end, tmp_path / "relay")
