"""PostgreSQL that is stuck: what waits for it fails, as for a store that is away, and does not wait for ever."""

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Iterator

import pytest
import sqlalchemy as sa
from cryptography.fernet import Fernet

from kit import postgresql
from streamferry.control.actions import Actions
from streamferry.control.store_ledger import StoreLedger
from streamferry.store import TROUBLE, Seal, Store, address, database, migrate
from streamferry.worker import StoreUnavailable

LIMIT_S = 1.0


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Limits of a second, for tests of what happens and not of when."""
    for module, name in ((database, "BUSY_S"), (database, "STATEMENT_S"), (address, "CONNECT_S")):
        monkeypatch.setattr(module, name, LIMIT_S)


@pytest.fixture
async def hurried(impatient: None, store_url: str) -> AsyncIterator[Store]:
    """A migrated store with those limits."""
    one = Store(store_url, Seal(Fernet.generate_key().decode()))
    yield one
    await one.aclose()


@pytest.mark.parametrize("store_url", ["postgresql"], indirect=True)
async def test_a_lock_that_is_never_given_back(hurried: Store, store: Store) -> None:
    """As of a client that stands still in the midst of a transaction: a write fails, and is done once it is gone."""
    ledger = StoreLedger(hurried, "one", capacity=10)
    async with store.write() as connection:
        await connection.execute(sa.text("LOCK TABLE worker IN EXCLUSIVE MODE"))
        async with asyncio.timeout(LIMIT_S + 2):
            with pytest.raises(StoreUnavailable):
                await ledger.register()
    await ledger.register()


@pytest.mark.parametrize("store_url", ["postgresql"], indirect=True)
async def test_a_change_of_the_schema_waits(hurried: Store, store: Store) -> None:
    """However long others take: the second service of two that start at once must not fail for it."""
    async with asyncio.timeout(20), asyncio.TaskGroup() as group, store.write() as connection:
        await connection.execute(sa.text("LOCK TABLE alembic_version IN ACCESS EXCLUSIVE MODE"))
        migrating = group.create_task(migrate(hurried))
        done, _ = await asyncio.wait((migrating,), timeout=2 * LIMIT_S)
        assert not done


@pytest.fixture
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[postgresql.PostgreSql]:
    """One of this test's own, to be stopped in the midst."""
    with postgresql.running() as one:
        yield one


async def test_a_server_that_hangs(impatient: None, server: postgresql.PostgreSql) -> None:
    """All its processes stand still, as on a disk that does not answer: calls fail in time; awake, it serves again."""
    store = Store(server.database(), Seal(Fernet.generate_key().decode()))
    await migrate(store)
    actions = Actions(store)
    assert await actions.list_keys() == []
    pids = server.pids
    try:
        tell(pids, signal.SIGSTOP)
        for _ in range(2):
            async with asyncio.timeout(3 * LIMIT_S + 4):
                with pytest.raises(TROUBLE):
                    await actions.list_keys()
    finally:
        tell(pids, signal.SIGCONT)
    keys = None
    async with asyncio.timeout(10):
        while keys is None:
            # With limits of a second it may fail again while all processes wake.
            with contextlib.suppress(*TROUBLE):
                keys = await actions.list_keys()
    assert keys == []
    await store.aclose()


def tell(pids: list[int], word: signal.Signals) -> None:
    """Send it to those that are still there: some of the server's come and go."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, word)
