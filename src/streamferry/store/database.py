"""Store: the database behind everything, SQLite or PostgreSQL, on one code path.

The differences between the two are here: how a transaction begins, the expression for the clock, and a lock for a name.
A write on SQLite begins with BEGIN IMMEDIATE, so it never fails half-way because another one was quicker.
"""

import asyncio
import contextlib
import importlib.util
import os
import sqlite3
from collections.abc import AsyncIterator
from importlib import import_module
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.expression import FunctionElement

from streamferry.store.address import SCHEMES, parse_postgresql
from streamferry.store.seal import Seal

#: How long a write waits for another process's write before it fails.
BUSY_S = 5.0
# How long PostgreSQL may take for one statement: far more than ours need. It limits locks and statements itself;
# our own limit, a little longer, is for a server that hangs or has vanished, and for the whole transaction, so that
# callers always get an answer.
STATEMENT_S = 10.0
_BEYOND_S = 2.0
#: Most connections to PostgreSQL that one process keeps.
CONNECTIONS = 10


class _DatabaseNow(FunctionElement[int]):
    type = sa.BigInteger()
    inherit_cache = True


@compiles(_DatabaseNow, "sqlite")
def _now_on_sqlite(*_: Any, **__: Any) -> str:
    return "CAST(ROUND((julianday('now') - 2440587.5) * 86400000) AS INTEGER)"


@compiles(_DatabaseNow, "postgresql")
def _now_on_postgresql(*_: Any, **__: Any) -> str:
    # Not clock_timestamp(): it may change from row to row, so comparisons with it cannot use an index.
    return "CAST(EXTRACT(EPOCH FROM statement_timestamp()) * 1000 AS BIGINT)"


class Store:
    """Connections and transactions. The SQL is in the other modules of this package.

    ``is_durable``: whether SQLite waits for the disk at each commit; a worker's reports need not survive a power cut.
    What PostgreSQL does not answer in time raises TimeoutError.
    """

    def __init__(
        self,
        url: str,
        seal: Seal,
        *,
        is_durable: bool = True,
        connections: int = CONNECTIONS,
        answer_s: float | None = None,
    ) -> None:
        """``connections``: most connections to PostgreSQL. ``answer_s``: how long a transaction there may take.

        Raises ValueError for an address that is of neither database, or a file that cannot be opened.
        """
        self.seal = seal
        # A write to SQLite waits for no network, and its thread cannot be stopped.
        self._answer_s: float | None = None
        scheme = url.partition(":")[0]
        if scheme in SCHEMES:
            longest_s = STATEMENT_S + _BEYOND_S
            self._answer_s = longest_s if answer_s is None else min(answer_s, longest_s)
            self._engine = self._light = self._reader = _postgresql_engine(url, connections)
            # A change of the schema waits for others and rewrites tables.
            self._patient = _postgresql_engine(url, 1, is_patient=True)
        elif scheme.partition("+")[0] == "sqlite":
            file_url = _sqlite_url(url)
            self._light = create_async_engine(file_url, hide_parameters=True)
            _try_file(self._light.dialect, file_url)
            # Reads there do not wait for writes; with separate connections, nor do they queue after waiting writes.
            self._reader = create_async_engine(file_url, hide_parameters=True)
            _prepare_sqlite(self._light.sync_engine, "BEGIN IMMEDIATE", is_durable=False)
            _prepare_sqlite(self._reader.sync_engine, "BEGIN", is_durable=False)
            self._engine = self._light
            if is_durable:
                self._engine = create_async_engine(file_url, hide_parameters=True)
                _prepare_sqlite(self._engine.sync_engine, "BEGIN IMMEDIATE", is_durable=True)
            self._patient = self._engine
        else:
            raise ValueError("the store's address must begin with sqlite:/// or postgresql://")

    @property
    def is_file(self) -> bool:
        """Whether it is a SQLite file, which only processes of this machine can reach."""
        return self._engine.dialect.name == "sqlite"

    def log_bytes(self) -> int | None:
        """The size of a SQLite store's write-ahead log; None for another database, and for one that has none."""
        if self.is_file:
            with contextlib.suppress(OSError):
                return os.stat(f"{self._engine.url.database}-wal").st_size
        return None

    async def aclose(self) -> None:
        """Close all connections."""
        for engine in {self._reader, self._engine, self._light, self._patient}:
            await engine.dispose()

    @contextlib.asynccontextmanager
    async def write(self, *, is_durable: bool = True) -> AsyncIterator[AsyncConnection]:
        """One transaction that may write: committed at the end of the block, rolled back if it raises.

        ``is_durable`` False: it need not survive a power cut, and SQLite does not wait for the disk.
        """
        engine = self._engine if is_durable else self._light
        async with asyncio.timeout(self._answer_s), engine.begin() as connection:
            yield connection

    @contextlib.asynccontextmanager
    async def write_at_length(self) -> AsyncIterator[AsyncConnection]:
        """The same for long operations: a change of the schema waits for others and rewrites tables, and a backup takes
        as long as it takes."""
        try:
            async with self._patient.begin() as connection:
                yield connection
        finally:
            if self._patient is not self._engine:
                # In addition to the pool: it is needed only at a start.
                await self._patient.dispose()

    @contextlib.asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """One transaction that only reads."""
        async with asyncio.timeout(self._answer_s), self._reader.begin() as connection:
            yield connection

    @contextlib.asynccontextmanager
    async def snapshot(self) -> AsyncIterator[AsyncConnection]:
        """One transaction that only reads, and sees one moment, however long it takes."""
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

    SQLite has only one writer at a time anyway. ``name``: hex digits, of which 15 count.
    """
    if connection.dialect.name == "postgresql":
        await connection.execute(sa.select(sa.func.pg_advisory_xact_lock(int(name[:15], 16))))


def insert_into(connection: AsyncConnection, table: sa.Table) -> Any:
    """An INSERT of the database's dialect, which supports ON CONFLICT; the other database's is not imported."""
    return import_module(f"sqlalchemy.dialects.{connection.dialect.name}").insert(table)


def sqlite_url(path: Path) -> str:
    """The address of a store in a file."""
    return f"sqlite:///{path}"


def sqlite_file(url: str) -> Path | None:
    """The file of such an address; None for another database. Raises ValueError."""
    return Path(str(_sqlite_url(url).database)) if url.partition(":")[0].partition("+")[0] == "sqlite" else None


def _sqlite_url(text: str) -> sa.URL:
    """The address with our driver in it, however it was named."""
    try:
        url = make_url(text)
    except sa.exc.ArgumentError:
        raise ValueError("the store's address cannot be read: sqlite:///PATH or postgresql://...") from None
    if not url.database:
        raise ValueError("the store's address names no file")
    return url.set(drivername="sqlite+aiosqlite")


def _postgresql_engine(url: str, connections: int, *, is_patient: bool = False) -> AsyncEngine:
    """The engine, with limits, so that a stuck database is an error and not an endless wait; or without."""
    address = parse_postgresql(url)
    if importlib.util.find_spec("asyncpg") is None:
        raise ValueError("store: PostgreSQL needs the extra: pip install 'streamferry[postgresql]'")
    from streamferry.store.postgresql import make_engine

    if is_patient:
        return make_engine(address, connections=connections, lock_s=None, statement_s=None, give_up_s=None)
    return make_engine(
        address, connections=connections, lock_s=BUSY_S, statement_s=STATEMENT_S, give_up_s=STATEMENT_S + _BEYOND_S
    )


def _try_file(dialect: sa.Dialect, url: sa.URL) -> None:
    # The thread of a connection that the driver could not make outlives the error, and may outlive the event loop, too.
    arguments: Any
    arguments, options = dialect.create_connect_args(url)
    try:
        sqlite3.connect(*arguments, **options).close()
    except sqlite3.OperationalError as error:
        raise ValueError(f"store: cannot be opened: {error}") from None


def _prepare_sqlite(engine: sa.Engine, begin_statement: str, *, is_durable: bool) -> None:
    @sa.event.listens_for(engine, "connect")
    def configure(connection: Any, _: object) -> None:
        # The driver begins no transaction of its own: the event below does.
        connection.isolation_level = None
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA busy_timeout = {BUSY_S * 1000:.0f}")
        cursor.execute("PRAGMA journal_mode = WAL")
        cursor.execute(f"PRAGMA synchronous = {'FULL' if is_durable else 'NORMAL'}")
        # Overwrite what is deleted: the key of a deleted task must not stay in a free page.
        cursor.execute("PRAGMA secure_delete = ON")
        cursor.close()

    @sa.event.listens_for(engine, "begin")
    def begin(connection: sa.Connection) -> None:
        connection.exec_driver_sql(begin_statement)
