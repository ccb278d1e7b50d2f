"""The gate: an ASGI layer around the whole dashboard. It answers nothing without a session, and no other site.

Against forged requests: the cookie is SameSite, and whatever may change something, the web socket above all, must come
from a page of ours (Origin).
"""

import logging
import secrets
import time
from collections.abc import Awaitable, Callable, Collection
from urllib.parse import quote, urlsplit

from nicegui import __version__ as nicegui_version
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect, cookie_parser
from starlette.responses import PlainTextResponse, RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from streamferry.store import TROUBLE, describe_trouble
from streamferry.web.dashboard.sessions import Session

_log = logging.getLogger("streamferry.dashboard")

#: Where the dashboard lies on the service.
BASE = "/dashboard"
COOKIE = "streamferry_session"
SIGN_IN = f"{BASE}/sign-in"
_OPEN_FILES = f"{BASE}/static/"
# The page framework's files have its version in the path; ours are revalidated, and mostly not sent again.
_KEPT = {f"{BASE}/_nicegui/{nicegui_version}/": "public, max-age=31536000, immutable", _OPEN_FILES: "no-cache"}
#: Where a page finds the nonce of its scripts.
NONCE = "script_nonce"
_SAFE = frozenset(("GET", "HEAD", "OPTIONS"))
_POLICY_VIOLATION = 1008
#: Largest message on a page's socket: a form with 30 addresses of 1,000 characters, many times over.
MAX_SOCKET_BYTES = 256 * 1024
#: Messages of one page: this many a second, and at once. Dragging a slider makes 30 a second; typing makes ten.
_MESSAGES_S, _MESSAGES_AT_ONCE = 50.0, 500.0
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}
# Nothing comes from another host. Scripts: files of ours, and those in a page that have the nonce of its answer; none
# in an attribute. The page framework compiles its templates in the browser, hence unsafe-eval on its pages, and writes
# style sheets there. What is shown of strangers is text, and a picture at most.
_POLICY = (
    "default-src 'none'; script-src 'self'{scripts}; script-src-attr 'none'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; media-src 'self' blob:; connect-src 'self'; font-src 'self' data:; object-src 'none'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)


#: Files for the library, which bounds them itself; of anything else there is a picture of 2 MB in a form at most.
_LARGE = f"{BASE}/library/files/"
_MAX_BODY_BYTES = 4 * 1024 * 1024


class _TooLarge(Exception):
    """A body that is larger than any page sends."""


class Gate:
    """See the module. ``public_hosts``: further names under which browsers reach the service."""

    def __init__(
        self, app: ASGIApp, find: Callable[[str], Awaitable[Session | None]], public_hosts: Collection[str] = ()
    ) -> None:
        """``find``: the session of a token."""
        self._app = app
        self._find = find
        self._public_hosts = frozenset(name.lower() for name in public_hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, refuse, or pass on with ``request.state.session`` set."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        path: str = scope["path"]
        is_change = scope["type"] == "websocket" or scope["method"] not in _SAFE
        if is_change and not is_same_origin(headers, self._public_hosts):
            await _refuse(scope, receive, send, 403)
            return
        try:
            session = await self._find(session_token(headers))
        except TROUBLE as error:
            _log.error("the store cannot be asked: %s", describe_trouble(error))
            session = None
        if session is None and path != SIGN_IN and not path.startswith(_OPEN_FILES):
            await _send_to_sign_in(scope, receive, send)
            return
        scope.setdefault("state", {})["session"] = session
        if scope["type"] == "http":
            bounded = receive if path.startswith(_LARGE) else _bounded(receive)
            scope["state"][NONCE] = nonce = secrets.token_urlsafe(16)
            scripts = "" if path == SIGN_IN else f" 'nonce-{nonce}' 'unsafe-eval'"
            policy = _POLICY.format(scripts=scripts)
            await self._answer(scope, bounded, _Sealed(send, path, session, policy))
        else:
            await self._app(scope, _attended(receive, send, session), send)

    async def _answer(self, scope: Scope, receive: Receive, send: "_Sealed") -> None:
        """Handle every error of a page here: the page framework would show it, including statements of the store."""
        try:
            await self._app(scope, receive, send)
        except ClientDisconnect:
            return
        except _TooLarge:
            answer = PlainTextResponse(f"the body is larger than {_MAX_BODY_BYTES} bytes", 413)
        except TROUBLE as error:
            _log.error("the store cannot be asked: %s", describe_trouble(error))
            answer = PlainTextResponse("the store cannot be asked now: load the page again in a moment", 503)
        except Exception:
            _log.exception("%s %s failed", scope["method"], scope["path"][:128])
            answer = PlainTextResponse("the service has an internal error, which its log tells more about", 500)
        else:
            return
        # An answer that has begun can only break off.
        if not send.has_begun:
            await answer(scope, receive, send)


class _Sealed:
    """Adds the common headers, and ends a streamed response when its session ends."""

    def __init__(self, send: Send, path: str, session: Session | None, policy: str) -> None:
        self._send = send
        self._path = path
        self._session = session
        self._policy = policy
        self._streams = self._is_cut = self.has_begun = False

    async def __call__(self, message: Message) -> None:
        if self._is_cut:
            return
        if message["type"] == "http.response.start":
            self.has_begun = True
            headers = MutableHeaders(scope=message)
            for name, value in _HEADERS.items():
                headers.setdefault(name, value)
            headers["Content-Security-Policy"] = self._policy
            headers["Cache-Control"] = next(
                (words for path, words in _KEPT.items() if self._path.startswith(path) and message["status"] < 400),
                "no-store",
            )
            self._streams = "content-length" not in headers
        elif self._streams and message.get("more_body") and not _is_welcome(self._session):
            self._is_cut = True
            message = {**message, "body": b"", "more_body": False}
        await self._send(message)


def _bounded(receive: Receive) -> Receive:
    size = 0

    async def bounded() -> Message:
        nonlocal size
        message = await receive()
        size += len(message.get("body", b""))
        if size > _MAX_BODY_BYTES:
            raise _TooLarge
        return message

    return bounded


def _attended(receive: Receive, send: Send, session: Session | None) -> Receive:
    """Pass on what a page sends through its socket until the session is over; every open page sends something soon.

    A page that sends more than a person can do is cut off.
    """
    allowed, then = _MESSAGES_AT_ONCE, time.monotonic()

    async def attended() -> Message:
        nonlocal allowed, then
        message = await receive()
        if message["type"] == "websocket.disconnect":
            return message
        now = time.monotonic()
        allowed, then = min(_MESSAGES_AT_ONCE, allowed + (now - then) * _MESSAGES_S) - 1, now
        if _is_welcome(session) and allowed >= 0:
            return message
        await send({"type": "websocket.close", "code": _POLICY_VIOLATION})
        return {"type": "websocket.disconnect", "code": _POLICY_VIOLATION}

    return attended


def _is_welcome(session: Session | None) -> bool:
    """Whether to pass it on: without a session only what is open to all."""
    return session is None or session.is_live(time.monotonic())


def session_token(headers: Headers) -> str:
    """The token in the cookie, or an empty text."""
    return cookie_parser(headers.get("cookie", "")).get(COOKIE, "")


def session_of(scope: Scope) -> Session | None:
    """The session that the gate has found."""
    found: Session | None = scope.get("state", {}).get("session")
    return found


def is_same_origin(headers: Headers, public_hosts: Collection[str] = ()) -> bool:
    """Whether a request comes from a page of this service. Every browser sends the origin, for sockets and for changes.

    ``public_hosts``: in lower case, with a port where it is not that of http or https.
    """
    origin = headers.get("origin")
    if origin is None:
        return headers.get("sec-fetch-site") == "same-origin"
    try:
        parts = urlsplit(origin)
        port = parts.port
    except ValueError:
        return False
    # An origin leaves out the port of its scheme; a name in the settings may have it, as clients sign it.
    name = parts.netloc.lower()
    default = {"http": 80, "https": 443}.get(parts.scheme)
    names = {name} if port is not None else {name, f"{name}:{default}"}
    return bool(name) and (name == headers.get("host", "").lower() or not names.isdisjoint(public_hosts))


async def _send_to_sign_in(scope: Scope, receive: Receive, send: Send) -> None:
    accepts = Headers(scope=scope).get("accept", "")
    if scope["type"] == "http" and scope["method"] == "GET" and "text/html" in accepts:
        query = f"?{scope['query_string'].decode('latin-1')}" if scope["query_string"] else ""
        await RedirectResponse(f"{SIGN_IN}?next={quote(scope['path'] + query)}", 303)(scope, receive, send)
    else:
        await _refuse(scope, receive, send, 401)


async def _refuse(scope: Scope, receive: Receive, send: Send, status: int) -> None:
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": _POLICY_VIOLATION})
    else:
        await PlainTextResponse("sign in first" if status == 401 else "not from here", status)(scope, receive, send)
