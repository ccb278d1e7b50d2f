"""What an idle service asks of its store costs little: each statement is made and compiled once, and takes one turn."""

import asyncio
import secrets

import aiosqlite
import pytest
import sqlalchemy as sa
from cryptography.fernet import Fernet
from sqlalchemy.sql.compiler import SQLCompiler

from streamferry.control.callbacks.dispatcher import PLACES_OF_FAILING, PLACES_OF_HOST
from streamferry.control.pulse import Pulse
from streamferry.control.scheduler import Scheduler
from streamferry.control.store_ledger import StoreLedger
from streamferry.store import Seal, Store, mailboxes
from streamferry.store.host_places import HostPlaces
from streamferry.store.schema import access_key

#: More than come with the answer to a statement.
MANY = 250
ON_SQLITE = pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)


class Idle:
    """All that asks the store each second, while there is nothing to do."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._pulse = Pulse(store)
        self._scheduler = Scheduler(store)
        self.ledger = StoreLedger(store, "one", capacity=10, is_attached=True)

    async def turn(self) -> None:
        await self._pulse.beat()
        assert self._pulse.trouble is None
        await self._scheduler.run_once()
        async with self._store.glance() as connection:
            assert not await mailboxes.has_due(connection, HostPlaces(PLACES_OF_HOST, PLACES_OF_FAILING))
        await self.ledger.poll(0, 10)
        await self.ledger.report([], 0, None)


@pytest.fixture
async def idle(store: Store) -> Idle:
    one = Idle(store)
    await one.ledger.register()
    await one.turn()
    return one


def counted(monkeypatch: pytest.MonkeyPatch, kind: type, method: str) -> list[object]:
    """Grows with each call of it."""
    calls: list[object] = []
    original = getattr(kind, method)

    def call(self: object, *arguments: object, **options: object) -> object:
        calls.append(self)
        return original(self, *arguments, **options)

    monkeypatch.setattr(kind, method, call)
    return calls


async def test_no_statement_is_made_twice(idle: Idle, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever makes one gives it values: none is made by what has been asked before."""
    made = counted(monkeypatch, sa.BindParameter, "__init__")
    compiled = counted(monkeypatch, SQLCompiler, "__init__")
    await idle.turn()
    assert (made, compiled) == ([], [])


@ON_SQLITE
async def test_a_turn_for_each_statement(idle: Idle, monkeypatch: pytest.MonkeyPatch) -> None:
    """And one for the beginning and one for the end of each write: 10 where there were 61."""
    turns = counted(monkeypatch, aiosqlite.Connection, "_execute")
    await idle.turn()
    assert len(turns) == 2 * 2 + 2 + 1 + 1 + 1 + 1


@ON_SQLITE
async def test_another_store_compiles_nothing_anew(idle: Idle, store_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The processes of the tests open hundreds of them, and a service has a connection of each kind."""
    other = Store(store_url, Seal(Fernet.generate_key().decode()))
    compiled = counted(monkeypatch, SQLCompiler, "__init__")
    await Pulse(other).beat()
    await other.aclose()
    assert compiled == []


@pytest.fixture
async def many(store: Store) -> list[str]:
    """The ids of so many rows, in order."""
    ids = sorted(secrets.token_hex(8) for _ in range(MANY))
    row = {"sealed_secret": b"", "enabled": True, "read_only": False, "created_ms": 0}
    async with store.write() as connection:
        await connection.execute(access_key.insert(), [{"id": one, **row} for one in ids])
    return ids


ALL = sa.select(access_key.c.id).order_by(access_key.c.id)


@pytest.mark.parametrize("limit", [0, 1, 99, 100, 101, 200, MANY])
async def test_all_rows_come(store: Store, many: list[str], limit: int) -> None:
    """At once and as a stream, around the number that comes with the answer."""
    query = ALL.limit(limit)
    async with store.read() as connection:
        assert list((await connection.execute(query)).scalars()) == many[:limit]
        assert [row.id async for row in await connection.stream(query)] == many[:limit]
        assert (await connection.execute(query)).scalar() == next(iter(many[:limit]), None)


@pytest.mark.parametrize("read", [0, 1, 150])
async def test_a_stream_that_nobody_reads_on(store: Store, many: list[str], read: int) -> None:
    """It ends with its transaction, and the connection serves the next."""
    async with store.read() as connection:
        rows = await connection.stream(ALL)
        assert [(await rows.fetchone()).id for _ in range(read)] == many[:read]
        await rows.close()
    async with store.write() as connection:
        assert (await connection.execute(access_key.delete())).rowcount == MANY


async def test_what_is_wrong_is_told_and_rolled_back(store: Store, many: list[str]) -> None:
    """In SQLAlchemy's words; nothing of the transaction stays, and the next one has the connection."""

    async def write() -> None:
        async with store.write() as connection:
            await connection.execute(access_key.delete().where(access_key.c.id != many[0]))
            await connection.execute(access_key.insert(), [{"id": many[0], "sealed_secret": None}])

    with pytest.raises(sa.exc.IntegrityError):
        await write()
    async with store.read() as connection:
        assert len((await connection.execute(ALL)).all()) == MANY


@ON_SQLITE
async def test_a_write_that_was_given_up_while_it_waited(store: Store, many: list[str]) -> None:
    """It leaves no transaction open: neither the one that it waited for nor the next one fails."""
    async with store.write() as connection:
        waiting = asyncio.ensure_future(_delete_all(store))
        # It has its connection, and its BEGIN waits in the connection's thread.
        for _ in range(20):
            await asyncio.sleep(0.01)
        waiting.cancel()
        await connection.execute(access_key.delete().where(access_key.c.id == many[0]))
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await _delete_all(store)
    async with store.read() as connection:
        assert (await connection.execute(ALL)).all() == []


async def _delete_all(store: Store) -> None:
    async with store.write() as connection:
        await connection.execute(access_key.delete())
