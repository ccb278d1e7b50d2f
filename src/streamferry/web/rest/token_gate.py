"""The gate in front of every route of REST: who calls, what they may do, how much and how often.

ASGI middleware, so that a new route cannot be forgotten: without a token nothing is open but ``OPEN``, and a read-only
key passes with GET and HEAD only. A body is bounded in bytes and in time before anybody reads it.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from urllib.parse import parse_qs

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from streamferry.control.shared_calls import SharedCalls
from streamferry.control.token_buckets import TokenBuckets
from streamferry.net.peers import peer_of
from streamferry.store import TROUBLE, describe_to_strangers, describe_trouble
from streamferry.tasks.actor import Actor, ActorKind, acting_as, new_request_id
from streamferry.web.rate_limits import FAILURES_AT_ONCE, FAILURES_S, Kind, RateLimiter, Rates
from streamferry.web.rest.rest_errors import RestError
from streamferry.web.rest.tokens import Caller, Tokens

_log = logging.getLogger("streamferry.rest")

#: Method and path under the mount that need no token.
OPEN = frozenset((("POST", "/tokens"), ("GET", "/openapi.json"), ("GET", "/docs")))
#: Calendars give a token in the address.
_CALENDAR = ("GET", "/calendar.ics")
#: What a read-only key may not read: the audit stream.
_OF_WRITERS = frozenset(("/audit",))
_READS = ("GET", "HEAD")
#: As the compatible API's: a watermark of 2 MB is 2.8 MB of base64.
MAX_BODY_BYTES = 4 * 1024 * 1024
#: Largest body without a token: an access key pair.
MAX_OPEN_BODY_BYTES = 8 * 1024
BODY_TIMEOUT_S = 30.0
#: Events and previews are sent for as long as somebody reads: the token is checked again this often.
PROVE_EVERY_S = 5.0


class Gate:
    """See the module. Whatever a route raises is answered here, in REST's form and without a secret."""

    def __init__(self, app: ASGIApp, tokens: Tokens, rates: Rates, shared_calls: SharedCalls | None = None) -> None:
        self._app = app
        self._tokens = tokens
        self._limiter = RateLimiter(rates, shared_calls, "rest")
        self._failures = TokenBuckets(FAILURES_S, FAILURES_AT_ONCE)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        request_id = new_request_id()
        send = _naming(send, request_id)
        answering = _Answer(send, lambda: self._require_caller(scope))
        peer = scope["client"][0] if scope.get("client") else None
        try:
            caller = await self._admit(scope)
            kind, name = (ActorKind.KEY, caller.access_key_id) if caller else (ActorKind.NOBODY, "")
            with acting_as(Actor(kind, name, request_id, peer)):
                body = receive if _is_upload(scope) else _bounded(receive, _body_limit(scope))
                await self._app(scope, body, answering)
        except RestError as error:
            answer = error
        except TROUBLE as error:
            _log.error("the store cannot be asked: %s", describe_trouble(error))
            why = describe_to_strangers(error)
            answer = RestError(503, "store_unavailable", f"the store cannot be asked now: {why}", retry_after_s=1)
        except Exception:
            _log.exception("request %s (%s %s) failed", request_id, scope["method"], scope["path"][:128])
            answer = RestError(500, "internal", "the service has an internal error, which its log tells more about")
        else:
            return
        # An answer that has begun can only break off.
        if not answering.has_begun:
            await answer.response()(scope, receive, send)

    async def _admit(self, scope: Scope) -> Caller | None:
        """The caller; None where no token is needed. Raises RestError if the call is not allowed."""
        method = scope["method"]
        if (method, _path(scope)) in OPEN:
            return None
        caller = await self._require_caller(scope)
        if caller.read_only and (method not in _READS or _path(scope) in _OF_WRITERS):
            raise RestError(403, "read_only", "the key may only read, and not everything")
        kind = Kind.LIST if method in _READS else Kind.WRITE
        if not self._limiter.take(caller.access_key_id, kind, time.monotonic()):
            raise RestError(429, "too_many", "too many calls: wait a second", retry_after_s=1)
        return caller

    async def _require_caller(self, scope: Scope) -> Caller:
        """The owner of the token. Raises RestError."""
        headers = dict(scope["headers"])
        kind, _, token = headers.get(b"authorization", b"").decode("latin-1").partition(" ")
        prove = self._tokens.prove
        if not token and (scope["method"], _path(scope)) == _CALENDAR:
            kind, prove = "bearer", self._tokens.prove_calendar
            token = next(iter(parse_qs(scope["query_string"].decode("latin-1")).get("token", ())), "")
        if kind.lower() != "bearer" or not token:
            raise RestError(401, "no_token", "needs a token: Authorization: Bearer TOKEN, made by POST /api/v1/tokens")
        peer, now = peer_of(scope["client"][0] if scope.get("client") else ""), time.monotonic()
        if not self._failures.has_token(peer, now):
            raise RestError(429, "too_many", "too many tokens that prove nothing: wait a second", retry_after_s=1)
        try:
            return await prove(token.strip())
        except RestError:
            self._failures.take(peer, now)
            raise


def _naming(send: Send, request_id: str) -> Send:
    """Adds the request's id to every answer, by which the log, the events and the audit stream name it."""

    async def naming(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", ()), (b"x-request-id", request_id.encode())]}
        await send(message)

    return naming


class _Answer:
    """Sends, and ends a streamed answer when its caller's token is no longer valid."""

    def __init__(self, send: Send, require_caller: Callable[[], Awaitable[Caller]]) -> None:
        self.has_begun = False
        self._send = send
        self._require_caller = require_caller
        self._is_cut = False
        self._proved_at = time.monotonic()

    async def __call__(self, message: Message) -> None:
        if self._is_cut:
            return
        self.has_begun = True
        if message.get("more_body") and time.monotonic() - self._proved_at >= PROVE_EVERY_S:
            self._proved_at = time.monotonic()
            try:
                await self._require_caller()
            except RestError:
                self._is_cut = True
                message = {**message, "body": b"", "more_body": False}
            except TROUBLE:
                pass  # Checked again next time.
        await self._send(message)


def _path(scope: Scope) -> str:
    """Below the mount."""
    path: str = scope["path"].removeprefix(scope.get("root_path", ""))
    return path


def _is_upload(scope: Scope) -> bool:
    """Whether it is an upload to the library, which has its own limit."""
    return scope["method"] == "PUT" and _path(scope).startswith("/library/")


def _body_limit(scope: Scope) -> int:
    return MAX_OPEN_BODY_BYTES if (scope["method"], _path(scope)) in OPEN else MAX_BODY_BYTES


def _bounded(receive: Receive, limit: int) -> Receive:
    size, deadline = 0, time.monotonic() + BODY_TIMEOUT_S
    is_read = False

    async def bounded() -> Message:
        nonlocal size, is_read
        if is_read:
            return await receive()
        try:
            async with asyncio.timeout(deadline - time.monotonic()):
                message = await receive()
        except TimeoutError:
            raise HTTPException(408, f"the body did not arrive within {BODY_TIMEOUT_S:g} s") from None
        size += len(message.get("body", b""))
        if size > limit:
            raise HTTPException(413, f"the body is larger than {limit} bytes")
        is_read = not message.get("more_body", False)
        return message

    return bounded
