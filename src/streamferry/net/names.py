"""Names: from a host name to its addresses, so that one that nobody answers for keeps no other waiting.

The C library's resolver blocks, for 10 s and more where a name server does not answer. Event loops have few threads for
it, uvloop two (libuv lends slow work half of its four), and a lookup that was given up stays in their queue. A handful
of relays that try again and again would keep all others of the process from connecting. So each name has a thread of
its own while it is looked up, and who asks for the same name meanwhile waits for the same answer.
"""

import asyncio
import socket
import threading
import time
from contextlib import suppress
from typing import Any

#: As of ``socket.getaddrinfo``.
Found = list[tuple[Any, Any, int, str, tuple[Any, ...]]]

#: A lookup that has taken longer is not waited for: the name server may be back.
SHARED_S = 5.0

#: While a name server has answered within this long, for whatever name, it is a name's own fault if it is not resolved.
ANSWERED_S = 60.0
_ANSWERS = (socket.EAI_NONAME, socket.EAI_NODATA)

_answered_at = float("-inf")
# By event loop, host and port: the answer to come, and when it was asked for.
_asked: dict[tuple[asyncio.AbstractEventLoop, str, int], tuple["asyncio.Future[Found]", float]] = {}


async def look_up(host: str, port: int) -> Found:
    """The places of a host for streams. Raises OSError; UnicodeError for what can be no name."""
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
    """Whether a lookup ended with this because the name servers of this machine do not answer: for any name."""
    is_unanswered = isinstance(error, TimeoutError) or (
        isinstance(error, socket.gaierror) and error.errno == socket.EAI_AGAIN
    )
    return is_unanswered and time.monotonic() - _answered_at >= ANSWERED_S


def _ask(key: tuple[asyncio.AbstractEventLoop, str, int], answer: "asyncio.Future[Found]") -> None:
    """The thread of one lookup. It may outlive who asked, and the event loop."""
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
        answer.exception()  # Known, also if nobody waits for it any more.
