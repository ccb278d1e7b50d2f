"""PostgreSQL that is stuck: what waits for it fails, as for a store that is away, and does not wait for ever."""

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import TypeVar

import pytest
import sqlalchemy as sa
from cryptography.fernet import Fernet

from kit import postgresql
from streamferry.control.actions import Actions
from streamferry.control.store_ledger import StoreLedger
from streamferry.store import TROUBLE, Seal, Store, address, database, migrate
from streamferry.worker import StoreUnavailable

LIMIT_S = 1.0
T = TypeVar("T")


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
    async with asyncio.timeout(30), asyncio.TaskGroup() as group, store.write() as connection:
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
    async with asyncio.timeout(30):
        assert await again(actions.list_keys) == []
    await store.aclose()


async def test_a_store_on_a_server_that_hangs_is_closed_at_once(impatient: None, server: postgresql.PostgreSql) -> None:
    """Each connection of the pool waited for the server's word, one after the other: a minute and a half for four."""
    store = Store(server.database(), Seal(Fernet.generate_key().decode()))
    await migrate(store)
    await asyncio.gather(*(Actions(store).list_keys() for _ in range(6)))
    pids = server.pids
    try:
        tell(pids, signal.SIGSTOP)
        async with asyncio.timeout(2 * LIMIT_S + 2):
            await store.aclose()
    finally:
        tell(pids, signal.SIGCONT)


async def test_a_host_that_swallows_connections_is_not_asked_first_for_ever(server: postgresql.PostgreSql) -> None:
    """As one that is off: who has less time than a connection may take comes to the next one, too."""
    url = server.database()
    async with contextlib.AsyncExitStack() as stack:
        whole = Store(url, Seal(Fernet.generate_key().decode()))
        stack.push_async_callback(whole.aclose)
        await migrate(whole)
        hole = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        place = url.partition("@")[2].partition("/")[0]
        hosts = f"127.0.0.1:{hole.getsockname()[1]},{place}"
        hurried = Store(url.replace(place, hosts), whole.seal, answer_s=2.0)
        stack.push_async_callback(hurried.aclose)
        with pytest.raises(TROUBLE):
            await Actions(hurried).list_keys()
        async with asyncio.timeout(30):
            assert await again(Actions(hurried).list_keys) == []


async def again(ask: Callable[[], Awaitable[T]]) -> T:
    """Until it is answered: on a busy machine that may take a few tries."""
    while True:
        with contextlib.suppress(*TROUBLE):
            return await ask()


def tell(pids: list[int], word: signal.Signals) -> None:
    """Send it to those that are still there: some of the server's come and go."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, word)
