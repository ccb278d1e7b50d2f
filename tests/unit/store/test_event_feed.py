"""The event feed of PostgreSQL misses no event, however often the server's transaction ids have gone round."""

from collections.abc import AsyncIterator, Iterator

import pytest
from cryptography.fernet import Fernet
from task_samples import make_spec

from kit import postgresql
from streamferry.control.actions import Actions
from streamferry.media.url import MediaUrl
from streamferry.store import Seal, Store, events, migrate
from streamferry.store.events import NewEvent


@pytest.fixture(scope="module")
def wrapped() -> Iterator[postgresql.PostgreSql]:
    """A server whose transaction ids have gone round."""
    with postgresql.running() as server:
        server.stop()
        server.wrap_transaction_ids()
        server.start()
        yield server


@pytest.fixture
async def store(wrapped: postgresql.PostgreSql) -> AsyncIterator[Store]:
    """On that server."""
    one = Store(wrapped.database(), Seal(Fernet.generate_key().decode()))
    await migrate(one)
    yield one
    await one.aclose()


async def test_the_feed_lost_events_after_a_wrap(store: Store) -> None:
    """One with a smaller id that is committed later comes first all the same: the other waits for it."""
    actions = Actions(store)
    slow, fast = [
        await actions.create_task(make_spec(destination=MediaUrl.parse(f"rtmp://push.example/live/{name}")))
        for name in ("slow", "fast")
    ]
    last = await actions.last_event()
    assert last > 0
    async with store.write() as open_one:
        await events.append(open_one, [NewEvent(slow, "slow", 1)])
        async with store.write() as connection:
            await events.append(connection, [NewEvent(fast, "fast", 2)])
        assert await actions.list_feed(after=last) == []
        assert await actions.last_event() == last
    assert [one.kind for one in await actions.list_feed(after=last)] == ["slow", "fast"]


async def test_events_from_before_their_transaction_was_kept_are_there(store: Store) -> None:
    """The column came with a migration; so are those that a backup brought."""
    actions = Actions(store)
    await actions.create_task(make_spec())
    async with store.write() as connection:
        await connection.exec_driver_sql("UPDATE event SET xid = NULL")
    assert [one.kind for one in await actions.list_feed()] == ["created"]
