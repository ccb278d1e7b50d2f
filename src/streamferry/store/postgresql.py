"""Connections to PostgreSQL that survive a restart, a failover and a pooler. Needs the extra ``postgresql``.

A pooler in transaction mode (PgBouncer) gives each transaction a different session, so no state may be kept in it:
limits are set per transaction, in the message that begins it, and locks end with it. Statements are parsed and planned
once a session only where that is safe, which is found out for each connection (see ``Connection.prepare``).
"""

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlencode

import asyncpg
import sqlalchemy as sa
from asyncpg.exceptions import ClientConfigurationError, PostgresError, TargetServerAttributeNotMatched
from sqlalchemy.dialects import registry
from sqlalchemy.dialects.postgresql.asyncpg import PGDialect_asyncpg
from sqlalchemy.dialects.postgresql.base import ischema_names
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.util import LRUCache

from streamferry.store.address import PostgresAddress
from streamferry.store.schema import Xid8

# It logs a traceback for each connection that could not be closed cleanly: after an outage that is every one.
logging.getLogger("sqlalchemy.pool").setLevel(logging.CRITICAL)

# So that it is recognised when the schema is read from a database.
ischema_names["xid8"] = Xid8

#: How long a server may take to close a connection. This lets it end what still runs for the connection.
CLOSE_S = 1.0
#: A connection is replaced after this long, so that a name that now resolves elsewhere is looked up again.
_RECYCLE_S = 300
#: SQLSTATEs of a wrong server, or one that is stopping or starting: no connection to it is worth keeping.
#: 08: connection exception. 25006: read only, as a primary that became a standby. 57P01 to 57P03: shut down, crashed,
#: starting. 26000, 42P05: a pooler that was set to keep statements does so no longer.
_GONE = ("08", "25006", "57P01", "57P02", "57P03", "26000", "42P05")
#: The statements of all stores of this process, compiled.
_COMPILED: LRUCache[Any, Any] = LRUCache(1000)


def make_engine(
    address: PostgresAddress,
    *,
    connections: int,
    lock_s: float | None,
    statement_s: float | None,
    give_up_s: float | None,
) -> AsyncEngine:
    """The engine. ``give_up_s``: limit for a server that does not answer at all. None: no limit."""
    engine = create_async_engine(
        "postgresql+streamferry://",
        async_creator=_Connector(address, _limits(lock_s, statement_s), give_up_s),
        hide_parameters=True,
        pool_size=connections,
        max_overflow=0,
        pool_timeout=give_up_s or 3600,
        pool_recycle=_RECYCLE_S,
    )
    engine.sync_engine.update_execution_options(compiled_cache=_COMPILED)
    sa.event.listen(engine.sync_engine, "checkout", _require_open)
    sa.event.listen(engine.sync_engine, "handle_error", _judge_error)
    return engine


def make_connector(address: PostgresAddress, *, give_up_s: float) -> Callable[[], Awaitable["Connection"]]:
    """Makes connections without limits that belong to no pool."""
    return _Connector(address, "", give_up_s)


def _limits(lock_s: float | None, statement_s: float | None) -> str:
    limits = {"lock_timeout": lock_s, "statement_timeout": statement_s}
    return "".join(f" SET LOCAL {name} = {limit * 1000:.0f};" for name, limit in limits.items() if limit is not None)


class Dialect(PGDialect_asyncpg):
    """Equal to any other, so that what was compiled for one engine serves all."""

    supports_statement_cache = True

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self)

    def __hash__(self) -> int:
        return hash(type(self))


registry.register("postgresql.streamferry", __name__, Dialect.__name__)


class _Connector:
    """Connects to the first server that answers and is of the required kind, beginning with the last good one."""

    def __init__(self, address: PostgresAddress, limits: str, give_up_s: float | None) -> None:
        self._address = address
        self._give_up_s = give_up_s
        self._first = 0
        #: Whether a server has not even closed a connection in time, and none has answered since.
        self.is_silent = False
        self._class: type[asyncpg.Connection] = type("Connection", (Connection,), {"limits": limits, "connector": self})

    async def __call__(self, *_: object, **__: object) -> "Connection":
        hosts: tuple[tuple[str, int] | None, ...] = self._address.hosts or (None,)
        trouble: Exception | None = None
        for turn in range(len(hosts)):
            number = (self._first + turn) % len(hosts)
            try:
                connection = await self._connect(hosts[number])
            except ClientConfigurationError:
                raise
            except (OSError, PostgresError, TargetServerAttributeNotMatched) as error:
                # That a server was not of the required kind says less than that another did not answer.
                if trouble is None or isinstance(trouble, TargetServerAttributeNotMatched):
                    trouble = error
            except asyncio.CancelledError:
                # A timeout at this one leaves time for the next.
                self._first = number + 1
                raise
            else:
                self._first = number
                self.is_silent = False
                return connection
        assert trouble is not None
        raise trouble

    async def _connect(self, host: tuple[str, int] | None) -> "Connection":
        address = self._address
        where = {} if host is None else {"host": host[0], "port": host[1]}
        connection: Connection = await asyncpg.connect(
            "postgresql://?" + urlencode(address.tls) if address.tls else None,
            **where,
            user=address.user,
            password=address.password,
            passfile=address.passfile,
            database=address.database,
            timeout=address.connect_s,
            command_timeout=self._give_up_s,
            statement_cache_size=0,
            target_session_attrs=address.target,
            server_settings={"application_name": address.application_name},
            connection_class=self._class,
        )
        try:
            async with asyncio.timeout(address.connect_s):
                await connection.find_session()
        except BaseException:
            connection.terminate()
            raise
        return connection


class Connection(asyncpg.Connection):  # type: ignore[misc]  # the driver has no types
    """Sets its limits in the message that begins each transaction. Closing it takes a bounded time."""

    limits = ""
    connector: _Connector
    #: Whether no pooler is between: what a session was told lasts as long as the connection.
    is_own_session = False
    #: Whether a statement that has a name is found again by the next transaction.
    keeps_names = False
    _names = 0

    async def find_session(self) -> None:
        """Find out whether names may be given: in a session of one's own, or through a pooler that keeps them.

        A pooler announces a process id that it made up, by which its clients cancel. From 1.21 on PgBouncer can keep
        statements (``max_prepared_statements``), and the session knows them by other names than the client.
        """
        self.is_own_session = await self.fetchval("SELECT pg_backend_pid()") == self.get_server_pid()
        self.keeps_names = self.is_own_session
        if self.is_own_session:
            return
        async with self.transaction():
            name = f"streamferry_{secrets.token_hex(8)}"
            probe = await self.prepare("SELECT FROM pg_prepared_statements WHERE name = $1", name=name)
            self.keeps_names = not await probe.fetch(name)
            del probe
            # This closes it, in the transaction and so in the session that has it.
            await self.fetchval("SELECT 1")

    async def prepare(self, query: str, *, name: str | None = None, **options: Any) -> Any:
        """See asyncpg. SQLAlchemy prepares every statement and keeps the last hundred, so with a name the server plans
        each once. A statement without a name is gone with the next one, and is parsed and planned each time."""
        if not name and self.keeps_names:
            self._names += 1
            name = f"streamferry_{self._names}"
        return await super().prepare(query, name=name or "", **options)

    async def close(self, *, timeout: float | None = None) -> None:
        """See asyncpg. Once a server was silent, the other connections of the pool are dropped without waiting."""
        if self.connector.is_silent:
            self.terminate()
            return
        try:
            await super().close(timeout=CLOSE_S)
        except TimeoutError:
            self.connector.is_silent = True

    async def execute(self, query: str, *args: Any, **options: Any) -> str:
        """See asyncpg. Its transactions begin with this call, with BEGIN as the first word."""
        begins = query.startswith("BEGIN") and not args
        return str(await super().execute(query + self.limits if begins else query, *args, **options))

    async def set_type_codec(self, *_: object, **__: object) -> None:
        """Not used: there is no JSON column, and through a pooler each lookup of a type costs a session."""


def _require_open(connection: Any, *_: object) -> None:
    """Raise if the server has closed it, so that it is replaced before use."""
    if connection.driver_connection.is_closed():
        raise sa.exc.DisconnectionError


def _judge_error(context: sa.engine.ExceptionContext) -> None:
    """After an error of the server, not of a statement, no connection of the pool is used again."""
    error = context.original_exception
    state = getattr(error, "sqlstate", None) or ""
    if context.is_disconnect or state.startswith(_GONE) or isinstance(error, OSError):
        context.is_disconnect = True
        context.invalidate_pool_on_disconnect = True
