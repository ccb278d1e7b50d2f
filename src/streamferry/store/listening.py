"""Listens to what PostgreSQL tells of changes (LISTEN), on one connection of its own. Needs the extra ``postgresql``.

Triggers notify the channel: with a worker's id when it got an order, with an empty text when a task is due. Nothing
depends on it: whoever hears nothing asks more often. Behind a pooler nobody listens, because in transaction mode a
session is another client's after each transaction, and would hear what this one asked for.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable

import asyncpg

from streamferry.store.address import PostgresAddress
from streamferry.store.postgresql import Connection, make_connector

_log = logging.getLogger("streamferry.store")

_CHANNEL = "streamferry"
#: A connection that is never asked anything may be dead without a sign.
_CHECK_S = 10.0
#: How long an answer may take before the connection is taken for dead.
_ANSWER_S = 5.0
_AGAIN_S = 1.0
#: The last is that no server takes writes, as in a failover, or that what it says cannot be read.
_TROUBLE = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)


async def listen(address: PostgresAddress, heard: Callable[[str], None], hears: Callable[[bool], None]) -> None:
    """Call ``heard`` for each notification, until cancelled; returns at once behind a pooler.

    ``hears`` is called with True when it begins to listen: what was told before was missed. With False when it cannot.
    """
    connect = make_connector(address, give_up_s=_ANSWER_S)
    while True:
        with contextlib.suppress(*_TROUBLE):
            connection = await connect()
            try:
                if not connection.is_own_session:
                    _log.info("PostgreSQL is behind a pooler, so changes are asked for instead of being told")
                    return
                await _follow(connection, heard, hears)
            finally:
                connection.terminate()
                hears(False)
        await asyncio.sleep(_AGAIN_S)


async def _follow(connection: Connection, heard: Callable[[str], None], hears: Callable[[bool], None]) -> None:
    """Until the connection is lost, which may raise."""
    lost = asyncio.Event()
    connection.add_termination_listener(lambda *_: lost.set())
    await connection.add_listener(_CHANNEL, lambda *told: heard(told[-1]))
    hears(True)
    while not lost.is_set():
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_CHECK_S):
                await lost.wait()
                break
        await connection.fetchval("SELECT 1")
