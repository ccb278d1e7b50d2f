"""PostgreSQL that goes away under a call that has begun: a read is asked again, a write is not."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
import sqlalchemy as sa

from streamferry.control.actions import Actions
from streamferry.control.callbacks import Callbacks
from streamferry.store import TROUBLE, Store, migrate
from streamferry.store.database import CONNECTIONS

pytestmark = pytest.mark.parametrize("store_url", ["postgresql"], indirect=True)
TABLES = "access_key, task, task_group, event, audit, worker, delivery"


async def _end_blocked(store: Store) -> None:
    """As a server that is shut down does to the session that waits for a lock."""
    end = sa.text("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE NOT granted")
    async with asyncio.timeout(30):
        while True:
            async with store.read() as connection:
                if (await connection.execute(end)).first() is not None:
                    return


READS: dict[str, Callable[[Store], Awaitable[object]]] = {
    "keys": lambda store: Actions(store).list_keys(),
    "key": lambda store: Actions(store).find_key("AK"),
    "tasks": lambda store: Actions(store).list_tasks(),
    "counts": lambda store: Actions(store).count_tasks(),
    "groups": lambda store: Actions(store).list_groups(),
    "events": lambda store: Actions(store).list_feed(),
    "audit": lambda store: Actions(store).list_audit(),
    "workers": lambda store: Actions(store).list_workers(),
    "callbacks": lambda store: Callbacks(store).list_deliveries(),
}


@pytest.mark.parametrize("ask", READS.values(), ids=READS)
async def test_a_read_in_flight_is_asked_again(store: Store, ask: Callable[[Store], Awaitable[object]]) -> None:
    """Once: who reads through a restart notices nothing, and a server that goes on dying is told."""
    expected = await ask(store)
    for deaths in (1, 2):
        async with store.write() as connection:
            await connection.execute(sa.text(f"LOCK TABLE {TABLES} IN ACCESS EXCLUSIVE MODE"))
            reading = asyncio.ensure_future(ask(store))
            for _ in range(deaths):
                await _end_blocked(store)
            if deaths == 2:
                with pytest.raises(TROUBLE):
                    await reading
        if deaths == 1:
            assert await reading == expected


async def test_a_write_in_flight_is_not_done_again(store: Store) -> None:
    """Nobody knows whether it was done: who asked for it decides."""
    actions = Actions(store)
    async with store.write() as connection:
        await connection.execute(sa.text(f"LOCK TABLE {TABLES} IN ACCESS EXCLUSIVE MODE"))
        writing = asyncio.ensure_future(actions.create_key())
        await _end_blocked(store)
        with pytest.raises(TROUBLE):
            await writing
    assert await actions.list_keys() == []


async def test_a_store_keeps_ten_connections(store: Store) -> None:
    """However many ask at once, and after the one beside them on which the schema was changed: operators count them."""
    await migrate(store)
    actions = Actions(store)
    await asyncio.gather(*(actions.list_keys() for _ in range(40)))
    async with store.read() as connection:
        mine = sa.text("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()")
        # A session that was told to go needs a moment.
        async with asyncio.timeout(30):
            while (kept := (await connection.execute(mine)).scalar_one()) > CONNECTIONS:
                await connection.execute(sa.text("SELECT pg_stat_clear_snapshot(), pg_sleep(0.05)"))
    assert kept <= CONNECTIONS == 10
