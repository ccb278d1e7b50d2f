"""Refusals that belong to no single front end, in the form of the one that was called: unknown paths, wrong methods and
requests that are too large. Also the headers that every answer has.
"""

from datetime import UTC, datetime

from fastapi import FastAPI, Request
from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from streamferry.web.compat.api_errors import ApiError, ErrorCode
from streamferry.web.compat.envelope import Envelope
from streamferry.web.dashboard.session_gate import BASE
from streamferry.web.rest.app import PREFIX
from streamferry.web.rest.rest_errors import RestError

#: The codes of REST.
_REST_CODES = {400: "bad_request", 404: "no_such_path", 405: "method_not_allowed", 429: "too_many"}


def answer_in_form(path: str, error: ApiError) -> Response:
    """The refusal in the form of the front end that the path belongs to."""
    if path == PREFIX or path.startswith(f"{PREFIX}/"):
        wait_s = 1 if error.status == 429 else None
        code = _REST_CODES.get(error.status, "too_large")
        return RestError(error.status, code, str(error), retry_after_s=wait_s).response()
    if path.startswith(f"{BASE}/"):
        return PlainTextResponse(f"{error}\n", error.status)
    return Envelope.begin(datetime.now(UTC)).failure(error)


def add_refusals(app: FastAPI) -> None:
    """Put the router's refusals of a path or a method into the compatible API's envelope."""

    async def answer(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        if error.status_code == 404:
            told = ApiError(ErrorCode.NO_SUCH_PATH)
        elif error.status_code == 405:
            told = ApiError(ErrorCode.METHOD_NOT_ALLOWED, request.method[:16])
        else:
            told = ApiError(ErrorCode.BAD_REQUEST, error.detail)
        refusal = answer_in_form(request.scope["path"], told)
        refusal.headers.update(error.headers or {})
        return refusal

    app.add_exception_handler(HTTPException, answer)


#: For every answer that does not set them itself: it is data, not to be framed and not to be executed.
_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"),
    (b"cross-origin-resource-policy", b"same-origin"),
)


class SecurityHeaders:
    """ASGI middleware: headers that keep browsers from guessing content types, framing or running an answer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Add those that the answer does not have."""

        async def adding(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = {name.lower() for name, _ in message.get("headers", ())}
                more = [pair for pair in _HEADERS if pair[0] not in given]
                message = {**message, "headers": [*message.get("headers", ()), *more]}
            await send(message)

        await self._app(scope, receive, adding)
