"""The one path ``/`` of the API: reads a request, proves it, finds its action, and wraps the answer.

In this order: Action and Version are present, the signature is valid, the action exists, the rate allows it, the body
is valid. A body is read after its signature is proved; the head is enough for that if it contains the body's hash, as
most SDKs send it. Only a few unproved bodies may be large at a time. Peers that fail to prove anything are slowed down.
"""

import asyncio
import hashlib
import json
import logging
import time
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cache, partial
from typing import Any, NoReturn

from fastapi import APIRouter
from starlette.requests import ClientDisconnect, Request
from starlette.responses import RedirectResponse, Response

from streamferry.control.actions import Actions
from streamferry.control.address_rules import address_rules
from streamferry.control.clock import Clock, SystemClock
from streamferry.control.shared_calls import SharedCalls
from streamferry.control.token_buckets import TokenBuckets
from streamferry.net.peers import NoPlace, Places, peer_of
from streamferry.store import TROUBLE, describe_trouble
from streamferry.store.records import KeyPair
from streamferry.tasks.actor import Actor, ActorKind, acting_as
from streamferry.tasks.checks import AddressRules
from streamferry.tasks.errors import ActionError
from streamferry.tasks.signed_calls import SignedCall
from streamferry.web.compat.api_errors import ApiError, ErrorCode, translate_action_error
from streamferry.web.compat.envelope import Envelope
from streamferry.web.compat.guesses import StreamGuesses
from streamferry.web.compat.operations import OPERATIONS, VERSION, Context, Operation
from streamferry.web.compat.replays import names_of, perform_once
from streamferry.web.compat.schemas import Usage, read_body
from streamferry.web.compat.signature import DEFAULT_EXPIRES_S, Claim, SignedRequest, read_claim, read_query, verify
from streamferry.web.compat.sts import StsToken
from streamferry.web.rate_limits import FAILURES_AT_ONCE, FAILURES_S, Kind, RateLimiter, Rates

_log = logging.getLogger("streamferry.api")

#: A larger body needs one of a few places while it is unproved; PHP's SDK sends a watermark this way.
_UNPROVED_BYTES = 64 * 1024
_UNPROVED_PLACES, _UNPROVED_OF_PEER = 8, 2
#: Least bytes per second, after some seconds, of a body that has a place, so that slow senders do not keep it.
_UNPROVED_BYTES_S, _UNPROVED_GRACE_S = 16 * 1024, 3.0


@dataclass(frozen=True, slots=True)
class ApiSettings:
    """``public_hosts``: names that clients sign as Host behind a proxy. A watermark of 2 MB is 2.8 MB of base64.

    ``home``: where a browser is redirected that opens ``/`` without an action; empty: nowhere. ``shared_calls``: what
    other services tell, if there may be some.
    """

    public_hosts: tuple[str, ...] = ()
    max_body_bytes: int = 4 * 1024 * 1024
    body_timeout_s: float = 30.0
    rates: Rates = field(default_factory=Rates)
    address_rules: AddressRules = field(default_factory=address_rules)
    home: str = ""
    shared_calls: SharedCalls | None = None


def build_router(actions: Actions, settings: ApiSettings | None = None, clock: Clock | None = None) -> APIRouter:
    """The router of the API, for the application's root."""
    endpoint = _Endpoint(actions, settings or ApiSettings(), clock or SystemClock())
    router = APIRouter()
    for method in ("GET", "POST"):
        router.add_api_route(
            "/",
            endpoint.serve,
            methods=[method],
            response_class=Response,
            operation_id=f"call_by_{method.lower()}",
            summary="Every action of the API, named by the query",
            openapi_extra=_openapi(method),
        )
    return router


@dataclass(frozen=True, slots=True)
class _Proved:
    """A request with a valid signature: its long-term key, and how it is recognised if it comes again."""

    key: KeyPair
    actor: Actor
    claim: Claim
    body: bytes
    names: tuple[str, ...]


class _Endpoint:
    def __init__(self, actions: Actions, settings: ApiSettings, clock: Clock) -> None:
        self._actions = actions
        self._settings = settings
        self._clock = clock
        self._context = Context(actions, settings.address_rules)
        self._limiter = RateLimiter(settings.rates, settings.shared_calls, "api")
        self._failures = TokenBuckets(FAILURES_S, FAILURES_AT_ONCE)
        self._unproved = Places(_UNPROVED_PLACES, _UNPROVED_OF_PEER)
        self._guesses = StreamGuesses(actions)

    async def serve(self, request: Request) -> Response:
        """Answer one request; every error is reported in the envelope."""
        now = self._clock.now()
        envelope = Envelope.begin(now)
        if self._settings.home and _is_browser(request):
            return RedirectResponse(self._settings.home, 303, {"vary": "accept", "cache-control": "no-store"})
        try:
            return envelope.success(await self._perform(request, envelope, now))
        except ApiError as error:
            return envelope.failure(error)
        except ActionError as error:
            return envelope.failure(translate_action_error(error))
        except ClientDisconnect:
            return Response(status_code=400)
        except TROUBLE as error:
            _log.error("request %s: the store cannot be asked: %s", envelope.request_id, describe_trouble(error))
            return envelope.failure(ApiError(ErrorCode.UNAVAILABLE))
        except Exception:
            _log.exception("request %s (%s) failed", envelope.request_id, envelope.action[:128])
            return envelope.failure(ApiError(ErrorCode.INTERNAL_ERROR))

    async def _perform(self, request: Request, envelope: Envelope, now: datetime) -> dict[str, Any] | None:
        query = read_query(request.scope["query_string"])
        envelope.action, envelope.version = query.get("Action", ""), query.get("Version", "")
        for name, value in (("Action", envelope.action), ("Version", envelope.version)):
            if not value:
                raise ApiError(ErrorCode.MISSING_PARAMETER, name)
        proved = await self._authenticate(request, envelope, now)
        operation = _find_operation(envelope.action, envelope.version, request.method)
        if operation.kind is Kind.WRITE:
            if proved.key.read_only:
                _deny(envelope.action)
            # No change needs a longer validity, and for this long a captured copy could be replayed.
            proved.claim.check_time(now, DEFAULT_EXPIRES_S)
        if not self._limiter.take(proved.key.access_key_id, operation.kind, time.monotonic()):
            raise ApiError(ErrorCode.FLOW_LIMIT)
        values = _read_json(proved.body)
        if operation.has_query:
            values = {**query, **values}
        body = read_body(operation.body, values)

        async def run() -> dict[str, Any] | None:
            return await operation.run(self._context, body)

        with acting_as(proved.actor):
            if operation.kind is Kind.WRITE:
                valid_s = proved.claim.valid_s(now, DEFAULT_EXPIRES_S)
                call = SignedCall(proved.names, operation.is_creation, valid_s)
                # Replayed copies must not use up the key's allowance.
                give_back = partial(self._limiter.give_back, proved.key.access_key_id, operation.kind)
                return await perform_once(self._actions, call, run, give_back)
            if isinstance(body, Usage) and (body.App or body.Stream):
                return await self._guesses.perform(envelope.action, body, proved.key, run)
            return await run()

    async def _authenticate(self, request: Request, envelope: Envelope, now: datetime) -> "_Proved":
        peer = peer_of(request.client.host if request.client else "")
        if not self._failures.has_token(peer, time.monotonic()):
            raise ApiError(ErrorCode.FLOW_LIMIT)
        try:
            return await self._prove(request, peer, envelope, now)
        except ApiError:
            self._failures.take(peer, time.monotonic())
            raise

    async def _prove(self, request: Request, peer: str, envelope: Envelope, now: datetime) -> "_Proved":
        head = SignedRequest(
            request.method, request.scope["query_string"], request.headers.raw, path=request.scope["path"]
        )
        claim = read_claim(head)
        envelope.region = claim.region[:64]
        claim.check_time(now)
        token = StsToken.parse(claim.security_token) if claim.security_token else None
        key = await self._find_key(token.long_term_key_id if token else claim.access_key_id)
        secret = token.open_secret(key.secret, claim.access_key_id, now) if token else key.secret
        body = await self._receive(request, peer, head, claim, secret)
        if token is not None and not token.allows(envelope.action):
            _deny(envelope.action)
        actor = Actor(
            ActorKind.KEY, key.access_key_id, envelope.request_id, request.client.host if request.client else None
        )
        return _Proved(key, actor, claim, body, names_of(envelope.action, head, claim, body))

    async def _find_key(self, access_key_id: str) -> KeyPair:
        key = await self._actions.find_key(access_key_id)
        if key is None:
            raise ApiError(ErrorCode.INVALID_ACCESS_KEY, access_key_id[:128])
        return key

    async def _receive(self, request: Request, peer: str, head: SignedRequest, claim: Claim, secret: str) -> bytes:
        """The body of a request, after head and body are proved."""
        told = head.told_sha256()
        if told is not None:
            verify(claim, replace(head, body_sha256=told), secret, self._settings.public_hosts)
            body = await self._read_body(request, self._settings.max_body_bytes)
        else:
            body = await self._read_unproved(request, peer, claim)
        received = replace(head, body_sha256=hashlib.sha256(body).hexdigest())
        if told is None:
            verify(claim, received, secret, self._settings.public_hosts)
        else:
            received.check_told()
        return body

    async def _read_unproved(self, request: Request, peer: str, claim: Claim) -> bytes:
        # A pre-signed query cannot sign a body.
        limit = self._settings.max_body_bytes if claim.signed_queries is None else 0
        if _announced(request) <= _UNPROVED_BYTES and "transfer-encoding" not in request.headers:
            return await self._read_body(request, min(limit, _UNPROVED_BYTES))
        try:
            with self._unproved.place(peer):
                return await self._read_body(request, limit, least_rate=_UNPROVED_BYTES_S)
        except NoPlace:
            raise ApiError(ErrorCode.FLOW_LIMIT) from None

    async def _read_body(self, request: Request, limit: int, *, least_rate: int | None = None) -> bytes:
        """Read the body. ``least_rate``: bytes per second that have to arrive, after a grace period."""
        if _announced(request) > limit:
            raise ApiError(ErrorCode.BODY_TOO_LARGE, limit)
        pieces, size = [], 0
        begun_at, time_s = asyncio.get_running_loop().time(), self._settings.body_timeout_s
        if least_rate is not None:
            time_s = min(time_s, _UNPROVED_GRACE_S)
        try:
            async with asyncio.timeout(time_s) as timer:
                async for piece in request.stream():
                    size += len(piece)
                    if size > limit:
                        raise ApiError(ErrorCode.BODY_TOO_LARGE, limit)
                    pieces.append(piece)
                    if least_rate is not None:
                        time_s = min(self._settings.body_timeout_s, _UNPROVED_GRACE_S + size / least_rate)
                        timer.reschedule(begun_at + time_s)
        except TimeoutError:
            raise ApiError(ErrorCode.BODY_TIMEOUT, f"{time_s:.3g}") from None
        return b"".join(pieces)


def _announced(request: Request) -> int:
    """The announced length of the body in bytes; 0 for a chunked one."""
    length = request.headers.get("content-length", "")
    return int(length) if length.isdecimal() else 0


def _is_browser(request: Request) -> bool:
    """Whether a person opened the address: no action, no signature, and a page is accepted."""
    return (
        request.method == "GET"
        and not request.scope["query_string"]
        and "authorization" not in request.headers
        and "text/html" in request.headers.get("accept", "")
    )


def _deny(action: str) -> NoReturn:
    raise ApiError(ErrorCode.ACCESS_DENIED, f"live:{action[:128]}", "*")


def _find_operation(action: str, version: str, method: str) -> Operation:
    operation = OPERATIONS.get(action)
    if operation is None or version != VERSION or method not in operation.methods:
        raise ApiError(ErrorCode.INVALID_ACTION, action[:128], version[:128])
    return operation


def _read_json(body: bytes) -> dict[str, Any]:
    """The body as a JSON object; an empty one is an object without fields."""
    if not body.strip():
        return {}
    try:
        values = json.loads(body, parse_constant=_refuse_constant)
        if not isinstance(values, dict):
            raise ApiError(ErrorCode.BIND_ERROR, "the body must be a JSON object")
        _check_texts(values)
    except (ValueError, RecursionError):
        raise ApiError(ErrorCode.BIND_ERROR, "the body is not valid JSON") from None
    return values


def _refuse_constant(name: str) -> float:
    raise ValueError(name)


def _check_texts(value: object) -> None:
    """Refuse texts that a store or a peer cannot take: a lone surrogate or a NUL. Raises ValueError."""
    if isinstance(value, str):
        value.encode()
        if "\0" in value:
            raise ValueError("NUL")
    elif isinstance(value, list):
        for one in value:
            _check_texts(one)
    elif isinstance(value, dict):
        for one in (*value, *value.values()):
            _check_texts(one)


@cache
def _openapi(method: str) -> dict[str, Any]:
    """One path carries all actions: their names and bodies, for the OpenAPI document."""
    operations = {name: one for name, one in OPERATIONS.items() if method in one.methods}
    names = {"Action": list(operations), "Version": [VERSION]}
    document: dict[str, Any] = {
        "parameters": [
            {"name": name, "in": "query", "required": True, "schema": {"type": "string", "enum": values}}
            for name, values in names.items()
        ]
    }
    if method == "POST":
        bodies = dict.fromkeys(one.body for one in operations.values())
        schemas = [{**body.model_json_schema(), "title": body.__name__} for body in bodies]
        document["requestBody"] = {"content": {"application/json": {"schema": {"anyOf": schemas}}}}
    return document
