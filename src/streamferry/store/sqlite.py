"""Connections to SQLite: a thread for each, and as few turns from the event loop to it as possible.

aiosqlite takes four turns for a statement: it makes a cursor, executes, fetches and closes. Each costs more than what
SQLite does for our statements, and an idle service has thirty of them each second.
"""

import sqlite3
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

import aiosqlite
import sqlalchemy as sa
from sqlalchemy.dialects import registry
from sqlalchemy.dialects.sqlite.aiosqlite import SQLiteDialect_aiosqlite
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.util import LRUCache

#: How long a write waits for another process's write before it fails.
BUSY_S = 5.0
#: Rows that come in the turn that executes.
_FIRST_ROWS = 100
#: Options of an engine whose statements need no transaction: each is one by itself, and takes one turn, not three.
ALONE = {"is_alone": True}
#: The statements of all stores of this process, compiled.
_COMPILED: LRUCache[Any, Any] = LRUCache(1000)


def make_engine(url: sa.URL, begin_statement: str, *, is_durable: bool) -> AsyncEngine:
    """The engine for a file. ``is_durable``: each commit waits for the disk."""
    engine = create_async_engine(url, hide_parameters=True, connect_args={"async_creator_fn": _connect})
    engine.sync_engine.update_execution_options(compiled_cache=_COMPILED)

    @sa.event.listens_for(engine.sync_engine, "connect")
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

    @sa.event.listens_for(engine.sync_engine, "begin")
    def begin(connection: sa.Connection) -> None:
        if not connection.get_execution_options().keys() & ALONE.keys():
            connection.exec_driver_sql(begin_statement)

    return engine


def sqlite_url(path: Path) -> str:
    """The address of a store in a file."""
    return f"sqlite:///{path}"


def sqlite_file(url: str) -> Path | None:
    """The file of such an address; None for another database. Raises ValueError."""
    return Path(str(parse_url(url).database)) if url.partition(":")[0].partition("+")[0] == "sqlite" else None


def parse_url(text: str) -> sa.URL:
    """The address with our driver in it, however it was named. Raises ValueError."""
    try:
        url = make_url(text)
    except sa.exc.ArgumentError:
        raise ValueError("the store's address cannot be read: sqlite:///PATH or postgresql://...") from None
    if not url.database:
        raise ValueError("the store's address names no file")
    return url.set(drivername="sqlite+streamferry")


def try_file(engine: AsyncEngine) -> None:
    """Open and close the file. Raises ValueError if that cannot be done.

    The thread of a connection that the driver could not make outlives the error, and may outlive the event loop, too.
    """
    arguments: Any
    arguments, options = engine.dialect.create_connect_args(engine.url)
    try:
        sqlite3.connect(*arguments, **options).close()
    except sqlite3.OperationalError as error:
        raise ValueError(f"store: cannot be opened: {error}") from None


def _connect(*arguments: Any, **options: Any) -> aiosqlite.Connection:
    connection = _Connection(partial(sqlite3.connect, *arguments, **options), _FIRST_ROWS)
    # As SQLAlchemy does with those that it makes: a connection that nobody closed does not keep a process.
    connection._thread.daemon = True
    return connection


class Dialect(SQLiteDialect_aiosqlite):
    """Equal to any other, so that what was compiled for one engine serves all."""

    supports_statement_cache = True

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self)

    def __hash__(self) -> int:
        return hash(type(self))


registry.register("sqlite.streamferry", __name__, Dialect.__name__)


class _Connection(aiosqlite.Connection):
    """Makes cursors that take one turn a statement."""

    def cursor(self) -> Any:
        """See aiosqlite. It is made by the statement."""
        return _Cursor(self)

    async def take(self, function: Callable[..., object], *arguments: object) -> None:
        """Call it in the connection's thread."""
        await self._execute(function, *arguments)  # type: ignore[no-untyped-call]

    async def commit(self) -> None:
        """See aiosqlite. A statement that was alone is committed."""
        if self.in_transaction:
            await super().commit()

    async def rollback(self) -> None:
        """See aiosqlite. Each connection is rolled back as it returns to the pool, where nothing is left to be."""
        if self.in_transaction:
            await super().rollback()


class _Cursor(aiosqlite.Cursor):
    """The first rows come with the answer to the statement; if these are all, fetching and closing take no turn."""

    _conn: _Connection
    _cursor: sqlite3.Cursor

    def __init__(self, connection: _Connection) -> None:
        self.iter_chunk_size = _FIRST_ROWS
        self._conn = connection
        self._rows: list[Any] = []
        # Whether SQLite has more rows.
        self._has_more = False

    async def execute(self, sql: str, parameters: Iterable[Any] | None = None) -> "_Cursor":
        """See aiosqlite."""
        await self._conn.take(self._do, sqlite3.Cursor.execute, sql, parameters or ())
        return self

    async def executemany(self, sql: str, parameters: Iterable[Iterable[Any]]) -> "_Cursor":
        """See aiosqlite."""
        await self._conn.take(self._do, sqlite3.Cursor.executemany, sql, parameters)
        return self

    def _do(self, execute: Any, sql: str, parameters: Any) -> None:
        """In the connection's thread."""
        cursor = self._cursor = self._conn._conn.cursor()
        try:
            execute(cursor, sql, parameters)
            self._rows = cursor.fetchmany(_FIRST_ROWS) if cursor.description else []
            self._has_more = len(self._rows) == _FIRST_ROWS
        finally:
            if not self._has_more:
                cursor.close()

    async def fetchone(self) -> Any:
        """See aiosqlite."""
        rows = await self.fetchmany(1)
        return rows[0] if rows else None

    async def fetchmany(self, size: int | None = None) -> list[Any]:
        """See aiosqlite."""
        if not self._rows and self._has_more:
            self._rows = list(await super().fetchmany(_FIRST_ROWS))
            self._has_more = len(self._rows) == _FIRST_ROWS
        size = size or self.iter_chunk_size
        given, self._rows = self._rows[:size], self._rows[size:]
        return given

    async def fetchall(self) -> list[Any]:
        """See aiosqlite."""
        rows, self._rows = self._rows, []
        if self._has_more:
            self._has_more = False
            rows += await super().fetchall()
            await super().close()
        return rows

    async def close(self) -> None:
        """See aiosqlite."""
        if self._has_more:
            self._has_more = False
            await super().close()
