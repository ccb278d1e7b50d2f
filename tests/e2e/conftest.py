"""The relay under test, as a process; a browser."""

import contextlib
import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from kit import postgresql
from kit.browser import SharedBrowser, Tab
from kit.relay_program import Finished, RelayProgram, run_to_end
from streamferry.store import sqlite_url

_BROWSER = pytest.StashKey[SharedBrowser]()


@pytest.fixture(scope="session")
def _browsing(pytestconfig: pytest.Config) -> Iterator[SharedBrowser]:
    shared = pytestconfig.stash[_BROWSER] = SharedBrowser()
    yield shared
    shared.close()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> Iterator[None]:
    """Where the next test needs no browser, it ends: it keeps the event loop of the thread."""
    yield
    shared = item.config.stash.get(_BROWSER, None)
    if shared is not None and (nextitem is None or "_browsing" not in getattr(nextitem, "fixturenames", ())):
        shared.close()


@pytest.fixture
def open_tab(_browsing: SharedBrowser) -> Iterator[Callable[..., Tab]]:
    """``open_tab(address of a service)`` gives a tab; at the end no script may have failed, and nothing may have been
    asked of others, unless it ``is_hostile``. For the rest see ``SharedBrowser.tab``."""
    with contextlib.ExitStack() as stack:
        opened: list[Tab] = []

        def start(base: str, *, is_hostile: bool = False, **options: Any) -> Tab:
            tab = stack.enter_context(_browsing.tab(base, **options))
            if not is_hostile:
                opened.append(tab)
            return tab

        yield start
        for one in opened:
            # For the report of a test that has failed.
            print(f"{one.page.url} had no whole answer of: {one.unanswered}")
        for one in opened:
            assert one.problems == []
            ours = re.escape(one.base.partition("://")[2])
            hosts = re.compile(rf"(https?|wss?)://{ours}|(data|blob):")
            assert [url for url in one.asked if not hosts.match(url)] == []


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
