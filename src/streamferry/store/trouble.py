"""Describes a store that cannot be reached: without statement, value or address, so that there is no secret in it."""

import functools
import os
import re
import sqlite3
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, ParamSpec, TypeVar

import sqlalchemy as sa

from streamferry.store.seal import SealBroken

_P = ParamSpec("_P")
_T = TypeVar("_T")

#: Everything a store raises when it is unavailable, full, locked, refuses or hangs. Errors in statements too: a
#: schema or a seal key that is changed under a running program must not end it.
TROUBLE = (sa.exc.DBAPIError, sa.exc.TimeoutError, OSError, SealBroken)

# Classes of SQLSTATE (PostgreSQL's documentation, appendix A) whose messages are about the server, its limits and its
# rights. Those of other classes may repeat a value of the statement.
_TOLD = ("08", "0A", "25", "28", "3D", "42501", "53", "54", "55", "57", "58", "XX")
# What unauthenticated clients are told for each class, or one code: the server's messages name roles and databases.
_TO_STRANGERS = {
    "25006": "it takes no writes now, as a standby does",
    "08": "the connection to it was lost",
    "28": "it does not let the service in",
    "3D": "it does not let the service in",
    "42501": "it does not let the service in",
    "53": "it is short of connections, memory or disk",
    "55": "it is locked, or takes no connections",
    "57": "it is shut down, starts, or took too long",
}
_SQLITE_FULL = "database or disk is full"


def asks_again(ask: Callable[_P, Awaitable[_T]]) -> Callable[_P, Coroutine[Any, Any, _T]]:
    """For functions that only read: repeat once on a new connection, if the first one was lost during the call.

    So readers do not notice a restart or a failover of PostgreSQL. Not for writes: they may already have been done.
    """

    @functools.wraps(ask)
    async def asking(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        try:
            return await ask(*args, **kwargs)
        except sa.exc.DBAPIError as error:
            # A server that did not answer in time has had its time.
            if not error.connection_invalidated or isinstance(error.orig, TimeoutError):
                raise
        return await ask(*args, **kwargs)

    return asking


def describe_trouble(error: BaseException) -> str:
    """One of ``TROUBLE`` as a sentence."""
    cause = getattr(error, "orig", None) or error
    if isinstance(cause, SealBroken):
        return str(cause)
    if isinstance(cause, sqlite3.Error):
        return _of_sqlite(cause)
    if isinstance(error, sa.exc.TimeoutError):
        return "all its connections are in use"
    state = getattr(cause, "sqlstate", None)
    if state:
        return _of_postgresql(state, str(cause))
    if isinstance(cause, TimeoutError):
        return "it does not answer"
    if isinstance(cause, OSError):
        return _of_system(cause)
    if "connection is closed" in str(cause) or "connection was closed" in str(cause):
        return "the connection was lost"
    return type(cause).__name__


def describe_to_strangers(error: BaseException) -> str:
    """The same for clients without a proved key: proving one needs the store."""
    cause = getattr(error, "orig", None) or error
    if isinstance(cause, SealBroken):
        return "it is sealed under another key than the service has"
    state = getattr(cause, "sqlstate", None)
    if not state:
        return describe_trouble(error)
    words = next((words for begin, words in _TO_STRANGERS.items() if state.startswith(begin)), "")
    return f"{words} (SQLSTATE {state})" if words else f"SQLSTATE {state}"


def is_full(error: BaseException) -> bool:
    """Whether the disk of a SQLite store is full."""
    cause = getattr(error, "orig", None) or error
    return isinstance(cause, sqlite3.Error) and _SQLITE_FULL in str(cause)


def _of_sqlite(cause: sqlite3.Error) -> str:
    words = str(cause)
    if _SQLITE_FULL in words:
        return "the disk of the store is full"
    if "locked" in words:
        return "another process keeps the store locked"
    return words


def _of_postgresql(state: str, message: str) -> str:
    # The adapter puts the class of the driver's error in front of its message.
    message = re.sub(r"^<class '[^']*'>: ", "", message).partition("\n")[0]
    if state == "25006":
        return "this PostgreSQL takes no writes now, as a standby does (SQLSTATE 25006)"
    return f"{message} (SQLSTATE {state})" if state.startswith(_TOLD) else f"SQLSTATE {state}"


def _of_system(error: OSError) -> str:
    # The event loop puts the address into strerror; errors of getaddrinfo are negative.
    number = error.errno or 0
    if number > 0:
        return os.strerror(number)
    # The driver's own error, for a server or a forwarder that closes without an answer.
    return error.strerror or ("the connection was lost" if isinstance(error, ConnectionError) else type(error).__name__)
