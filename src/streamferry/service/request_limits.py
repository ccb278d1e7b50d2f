"""ASGI middleware: limits of every request, for all front ends, and of concurrent requests per peer.

It runs before routing, so a path that does not exist costs no more than one that does. A refusal has the form of the
front end that was called: the compatible API's envelope, REST's, or a line of text on the dashboard.
Specification: RFC 9110 and RFC 9112.
"""

import logging
import re
from collections.abc import Iterator

from starlette.types import ASGIApp, Receive, Scope, Send

from streamferry.net.peers import LOOPBACK, Network, NoPlace, Places, is_within, peer_of
from streamferry.service.refusals import answer_in_form
from streamferry.web.compat.api_errors import ApiError, ErrorCode
from streamferry.web.compat.signature import MAX_QUERY_BYTES

_log = logging.getLogger("streamferry.service")

#: A browser sends some 20, a proxy or two add 10.
MAX_HEADERS = 100
#: For all front ends; the compatible API takes fewer.
MAX_QUERY_NAMES = 200
_MAX_PATH_BYTES = 2048
#: RFC 3986, section 3.2.2, and a port. Addresses are built from it, so an odd one would make odd addresses.
_HOST = re.compile(rb"(?:\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9._~-]{1,253})?(?::[0-9]{1,5})?")


class RequestLimits:
    """See the module. ``places``: concurrent requests of each peer, web sockets included."""

    def __init__(self, app: ASGIApp, places: Places, trusted: tuple[Network, ...] = ()) -> None:
        self._app = app
        self._places = places
        self._trusted = trusted
        self._has_hinted = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse, or pass on."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        for refusal in _refusals(scope):
            await _refuse(scope, receive, send, refusal)
            return
        client = scope.get("client")
        address = client[0] if client else ""
        peer = peer_of(address)
        if not self._has_hinted and self._is_unnamed_proxy(scope):
            self._has_hinted = True
            _log.warning(
                "X-Forwarded-For comes from %s, on this machine, and is not believed: if that is a proxy in front, "
                "name it in trusted_proxies (STREAMFERRY_TRUSTED_PROXIES=127.0.0.1,::1); until then all behind it are "
                "one peer",
                address,
            )
        try:
            self._places.take(peer)
        except NoPlace:
            await _refuse(scope, receive, send, ApiError(ErrorCode.TOO_MANY_CONNECTIONS))
            return
        try:
            await self._app(scope, receive, send)
        finally:
            self._places.give_back(peer)

    def _is_unnamed_proxy(self, scope: Scope) -> bool:
        """Whether it came through a proxy on this machine that ``trusted_proxies`` does not name."""
        address = scope["client"][0] if scope.get("client") else ""
        return (
            any(name == b"x-forwarded-for" for name, _ in scope["headers"])
            and is_within(address, LOOPBACK)
            and not is_within(address, self._trusted)
        )


def _refusals(scope: Scope) -> Iterator[ApiError]:
    headers: list[tuple[bytes, bytes]] = scope["headers"]
    if len(headers) > MAX_HEADERS:
        yield ApiError(ErrorCode.HEADERS_TOO_LARGE, MAX_HEADERS)
    if len(scope["query_string"]) > MAX_QUERY_BYTES or len(scope.get("raw_path") or b"") > _MAX_PATH_BYTES:
        yield ApiError(ErrorCode.QUERY_TOO_LONG, MAX_QUERY_BYTES)
    if scope["query_string"].count(b"&") >= MAX_QUERY_NAMES:
        yield ApiError(ErrorCode.BAD_REQUEST, f"The query has more than {MAX_QUERY_NAMES} parameters.")
    names = {name for name, _ in headers}
    if {b"content-length", b"transfer-encoding"} <= names:
        # Two servers in a row may see two requests in it: RFC 9112, section 6.1.
        yield ApiError(ErrorCode.BAD_REQUEST, "Content-Length and Transfer-Encoding exclude each other.")
    if not all(_HOST.fullmatch(value) for name, value in headers if name == b"host"):
        yield ApiError(ErrorCode.BAD_REQUEST, "Host must be a name or an address, with a port or without.")


async def _refuse(scope: Scope, receive: Receive, send: Send, error: ApiError) -> None:
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": 1008})
        return
    answer = answer_in_form(scope["path"], error)
    # Nothing else on this connection can be trusted, or is worth its place.
    answer.headers["connection"] = "close"
    await answer(scope, receive, send)
