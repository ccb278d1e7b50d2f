"""Store: the database behind everything, SQLite or PostgreSQL, on one code path.

What differs between the two for everybody is here: how a transaction begins, what the clock's expression is, and a lock
for a name. A write on SQLite begins with BEGIN IMMEDIATE, so it never fails half-way because another one was quicker.
"""

import contextlib
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.expression import FunctionElement

from streamferry.control.store.seal import Seal

#: How long a write waits for another process's write before it fails.
BUSY_S = 5.0
# What PostgreSQL may take to be connected to, and for one statement: far more than any of ours needs. It watches over
# locks and statements itself; we watch over one that hangs, or that has vanished from the network, a little longer.
CONNECT_S = 5.0
STATEMENT_S = 20.0
_BEYOND_S = 2.0


class _DatabaseNow(FunctionElement[int]):
    type = sa.BigInteger()
    inherit_cache = True


@compiles(_DatabaseNow, "sqlite")
def _now_on_sqlite(*_: Any, **__: Any) -> str:
    return "CAST(ROUND((julianday('now') - 2440587.5) * 86400000) AS INTEGER)"


@compiles(_DatabaseNow, "postgresql")
def _now_on_postgresql(*_: Any, **__: Any) -> str:
    # Not clock_timestamp(), which may change from row to row, so that no index helps to compare with it.
    return "CAST(EXTRACT(EPOCH FROM statement_timestamp()) * 1000 AS BIGINT)"


class Store:
    """Connections and transactions. The repositories beside this module hold the SQL.

    ``is_durable``: whether SQLite waits for the disk at each commit; a worker's reports need not survive a power cut.
    """

    def __init__(self, url: str, seal: Seal, *, is_durable: bool = True) -> None:
        """Raises ValueError for an address that is of neither database, or a file that cannot be opened."""
        self.seal = seal
        self._url = _driver_url(url)
        limits = _postgresql_limits() if self._url.get_backend_name() == "postgresql" else {}
        self._engine = self._reader = create_async_engine(self._url, hide_parameters=True, connect_args=limits)
        if self._engine.dialect.name == "sqlite":
            _try_file(self._engine.dialect, self._url)
            # Reads wait for no write there; with connections of their own not behind writes that wait either.
            self._reader = create_async_engine(self._url, hide_parameters=True)
            _prepare_sqlite(self._engine.sync_engine, "BEGIN IMMEDIATE", is_durable)
            _prepare_sqlite(self._reader.sync_engine, "BEGIN", is_durable)

    async def aclose(self) -> None:
        """Close all connections."""
        await self._reader.dispose()
        await self._engine.dispose()

    @contextlib.asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncConnection]:
        """One transaction that may write: committed at the end of the block, rolled back if it raises."""
        async with self._engine.begin() as connection:
            yield connection

    @contextlib.asynccontextmanager
    async def write_at_length(self) -> AsyncIterator[AsyncConnection]:
        """The same for what may take its time: a change of the schema waits for others and rewrites tables."""
        if self._engine.dialect.name == "sqlite":
            async with self.write() as connection:
                yield connection
            return
        engine = create_async_engine(
            self._url, hide_parameters=True, poolclass=sa.NullPool, connect_args={"timeout": CONNECT_S}
        )
        async with engine.begin() as connection:
            yield connection

    @contextlib.asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """One transaction that only reads."""
        async with self._reader.begin() as connection:
            yield connection

    @contextlib.asynccontextmanager
    async def snapshot(self) -> AsyncIterator[AsyncConnection]:
        """One transaction that only reads, and sees one moment however long it lasts."""
        reader = self._reader
        if reader.dialect.name == "postgresql":
            reader = reader.execution_options(isolation_level="REPEATABLE READ")
        async with reader.begin() as connection:
            yield connection


def now_ms() -> sa.ColumnElement[int]:
    """The database's clock, as an expression."""
    return sa.type_coerce(_DatabaseNow(), sa.BigInteger)


async def read_now_ms(connection: AsyncConnection) -> int:
    """The database's clock."""
    return int((await connection.execute(sa.select(now_ms()))).scalar_one())


async def lock_name(connection: AsyncConnection, name: str) -> None:
    """Until the end of the transaction, nobody else passes this point with the same name.

    A write on SQLite is alone anyhow. ``name``: hex digits, of which 15 count.
    """
    if connection.dialect.name == "postgresql":
        await connection.execute(sa.select(sa.func.pg_advisory_xact_lock(int(name[:15], 16))))


def sqlite_url(path: Path) -> str:
    """The address of a store in a file."""
    return f"sqlite:///{path}"


def _driver_url(text: str) -> sa.URL:
    """The address with our driver in it, however it was named."""
    try:
        url = make_url(text)
    except sa.exc.ArgumentError:
        raise ValueError("the store's address cannot be read: sqlite:///PATH or postgresql://...") from None
    backend = url.get_backend_name()
    drivers = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+asyncpg", "postgres": "postgresql+asyncpg"}
    if backend not in drivers:
        raise ValueError("the store's address must begin with sqlite:/// or postgresql://")
    if backend == "sqlite" and not url.database:
        raise ValueError("the store's address names no file")
    return url.set(drivername=drivers[backend])


def _try_file(dialect: sa.Dialect, url: sa.URL) -> None:
    # The thread of a connection that the driver could not make outlives the error, and may outlive the event loop, too.
    arguments: Any
    arguments, options = dialect.create_connect_args(url)
    try:
        sqlite3.connect(*arguments, **options).close()
    except sqlite3.OperationalError as error:
        raise ValueError(f"store: cannot be opened: {error}") from None


def _postgresql_limits() -> dict[str, Any]:
    """So that a database that is stuck is an error, and not a wait without end: arguments of the driver."""
    return {
        "timeout": CONNECT_S,
        "command_timeout": STATEMENT_S + _BEYOND_S,
        "server_settings": {
            "lock_timeout": f"{BUSY_S * 1000:.0f}",
            "statement_timeout": f"{STATEMENT_S * 1000:.0f}",
        },
    }


def _prepare_sqlite(engine: sa.Engine, begin_statement: str, is_durable: bool) -> None:
    @sa.event.listens_for(engine, "connect")
    def configure(connection: Any, _: object) -> None:
        # The driver begins no transaction of its own: the event below does.
        connection.isolation_level = None
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA busy_timeout = {BUSY_S * 1000:.0f}")
        cursor.execute("PRAGMA journal_mode = WAL")
        cursor.execute(f"PRAGMA synchronous = {'FULL' if is_durable else 'NORMAL'}")
        # What was deleted is overwritten: a key of a deleted task is not left in a free page.
        cursor.execute("PRAGMA secure_delete = ON")
        cursor.close()

    @sa.event.listens_for(engine, "begin")
    def begin(connection: sa.Connection) -> None:
        connection.exec_driver_sql(begin_statement)
