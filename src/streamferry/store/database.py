"""Store: the database behind everything, SQLite or PostgreSQL, on one code path.

The differences between the two are here: how a transaction begins, the expression for the clock, and a lock for a name.
A write on SQLite begins with BEGIN IMMEDIATE, so it never fails half-way because another one was quicker.
"""

import asyncio
import contextlib
import importlib.util
import os
from collections.abc import AsyncIterator, Callable
from importlib import import_module
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.expression import FunctionElement

from streamferry.store import sqlite
from streamferry.store.address import SCHEMES, PostgresAddress, parse_postgresql
from streamferry.store.seal import Seal
from streamferry.store.sqlite import BUSY_S

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
        # Of PostgreSQL, for one more connection.
        self._address: PostgresAddress | None = None
        scheme = url.partition(":")[0]
        if scheme in SCHEMES:
            self._address = parse_postgresql(url)
            longest_s = STATEMENT_S + _BEYOND_S
            self._answer_s = longest_s if answer_s is None else min(answer_s, longest_s)
            self._engine = self._light = self._reader = _postgresql_engine(self._address, connections)
            # A change of the schema waits for others and rewrites tables.
            self._patient = _postgresql_engine(self._address, 1, is_patient=True)
            self._glancer = self._reader.execution_options(isolation_level="AUTOCOMMIT")
        elif scheme.partition("+")[0] == "sqlite":
            file_url = sqlite.parse_url(url)
            self._light = self._engine = sqlite.make_engine(file_url, "BEGIN IMMEDIATE", is_durable=False)
            sqlite.try_file(self._light)
            # Reads there do not wait for writes; with separate connections, nor do they queue after waiting writes.
            self._reader = sqlite.make_engine(file_url, "BEGIN", is_durable=False)
            if is_durable:
                self._engine = sqlite.make_engine(file_url, "BEGIN IMMEDIATE", is_durable=True)
            self._patient = self._engine
            self._glancer = self._reader.execution_options(**sqlite.ALONE)
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
    async def glance(self) -> AsyncIterator[AsyncConnection]:
        """Statements that only read, each by itself: for who asks again and again, and mostly hears of nothing new.

        It costs a third of a transaction of one statement.
        """
        async with asyncio.timeout(self._answer_s), self._glancer.connect() as connection:
            yield connection

    @contextlib.asynccontextmanager
    async def snapshot(self) -> AsyncIterator[AsyncConnection]:
        """One transaction that only reads, and sees one moment, however long it takes."""
        reader = self._reader
        if reader.dialect.name == "postgresql":
            reader = reader.execution_options(isolation_level="REPEATABLE READ")
        async with reader.begin() as connection:
            yield connection

    async def listen(self, heard: Callable[[str], None], hears: Callable[[bool], None]) -> None:
        """Be told of changes until cancelled, see ``listening``; returns at once where nobody tells."""
        if self._address is not None:
            from streamferry.store.listening import listen

            await listen(self._address, heard, hears)


def now_ms() -> sa.ColumnElement[int]:
    """The database's clock, as an expression."""
    return sa.type_coerce(_DatabaseNow(), sa.BigInteger)


# A statement that runs each second is made once: making it costs as much as running it.
_NOW = sa.select(now_ms())


async def read_now_ms(connection: AsyncConnection) -> int:
    """The database's clock."""
    return int((await connection.execute(_NOW)).scalar_one())


async def lock_name(connection: AsyncConnection, name: str) -> None:
    """Until the end of the transaction, nobody else passes this point with the same name.

    SQLite has only one writer at a time anyway. ``name``: hex digits, of which 15 count.
    """
    if connection.dialect.name == "postgresql":
        await connection.execute(sa.select(sa.func.pg_advisory_xact_lock(int(name[:15], 16))))


def insert_into(dialect: str, table: sa.Table) -> Any:
    """An INSERT of a dialect, which supports ON CONFLICT; the other database's is not imported."""
    return import_module(f"sqlalchemy.dialects.{dialect}").insert(table)


def _postgresql_engine(address: PostgresAddress, connections: int, *, is_patient: bool = False) -> AsyncEngine:
    """The engine, with limits, so that a stuck database is an error and not an endless wait; or without."""
    if importlib.util.find_spec("asyncpg") is None:
        raise ValueError("store: PostgreSQL needs the extra: pip install 'streamferry[postgresql]'")
    from streamferry.store.postgresql import make_engine

    if is_patient:
        return make_engine(address, connections=connections, lock_s=None, statement_s=None, give_up_s=None)
    return make_engine(
        address, connections=connections, lock_s=BUSY_S, statement_s=STATEMENT_S, give_up_s=STATEMENT_S + _BEYOND_S
    )
