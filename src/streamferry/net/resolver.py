"""Resolver: from a host name to its addresses, so that a name without an answer does not delay other names.

The C library's resolver blocks, for 10 s and more where a name server does not answer. Event loops have few threads for
it, uvloop two (libuv gives slow work half of its four), and a lookup that was given up stays in their queue. A handful
of relays that keep retrying would keep all others of the process from connecting. So each lookup has its own thread,
and further requests for the same name wait for the same answer.
"""

import asyncio
import socket
import threading
import time
from contextlib import suppress
from typing import Any

#: As of ``socket.getaddrinfo``.
Found = list[tuple[Any, Any, int, str, tuple[Any, ...]]]

#: A lookup that has taken longer is abandoned for a new one: the name server may be back.
SHARED_S = 5.0

#: If a name server has answered within this time, for any name, a name that is not resolved is at fault itself.
ANSWERED_S = 60.0
_ANSWERS = (socket.EAI_NONAME, socket.EAI_NODATA)

_answered_at = float("-inf")
# By event loop, host and port: the pending answer, and when the lookup began.
_asked: dict[tuple[asyncio.AbstractEventLoop, str, int], tuple["asyncio.Future[Found]", float]] = {}


async def look_up(host: str, port: int) -> Found:
    """The stream endpoints of a host. Raises OSError; UnicodeError if it cannot be a name."""
    with suppress(socket.gaierror):
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    loop = asyncio.get_running_loop()
    key = (loop, host, port)
    answer, asked_at = _asked.get(key, (None, 0.0))
    if answer is None or loop.time() - asked_at >= SHARED_S:
        answer = loop.create_future()
        _asked[key] = (answer, loop.time())
        threading.Thread(target=_ask, args=(key, answer), name="lookup", daemon=True).start()
    return await asyncio.shield(answer)


def is_silent(error: BaseException) -> bool:
    """Whether a lookup failed with this error because the machine's name servers answer for no name at all."""
    is_unanswered = isinstance(error, TimeoutError) or (
        isinstance(error, socket.gaierror) and error.errno == socket.EAI_AGAIN
    )
    return is_unanswered and time.monotonic() - _answered_at >= ANSWERED_S


def _ask(key: tuple[asyncio.AbstractEventLoop, str, int], answer: "asyncio.Future[Found]") -> None:
    """The thread of one lookup. It may outlive its caller and the event loop."""
    global _answered_at
    loop, host, port = key
    found: Found | OSError | UnicodeError
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        _answered_at = time.monotonic()
    except (OSError, UnicodeError) as error:
        found = error
        if isinstance(error, socket.gaierror) and error.errno in _ANSWERS:
            _answered_at = time.monotonic()
    with suppress(RuntimeError):  # The loop is closed.
        loop.call_soon_threadsafe(_settle, key, answer, found)


def _settle(
    key: tuple[asyncio.AbstractEventLoop, str, int],
    answer: "asyncio.Future[Found]",
    found: Found | OSError | UnicodeError,
) -> None:
    if _asked.get(key, (None,))[0] is answer:
        del _asked[key]
    if isinstance(found, list):
        answer.set_result(found)
    else:
        answer.set_exception(found)
        answer.exception()  # Retrieve the exception, even if nobody waits any more.
