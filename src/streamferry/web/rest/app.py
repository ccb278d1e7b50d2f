"""The application of REST: routes behind the gate, its own document and page, and uniform refusals."""

import re
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute

from streamferry import __version__
from streamferry.control.actions import Actions
from streamferry.control.callbacks.delivery_actions import Callbacks
from streamferry.control.clock import Clock, SystemClock
from streamferry.reasons import said_field
from streamferry.store import Store
from streamferry.tasks.errors import ActionError
from streamferry.web.probing import Probing
from streamferry.web.reads import Reads
from streamferry.web.rest.docs import POLICY, write_page
from streamferry.web.rest.event_stream import Follower
from streamferry.web.rest.library_routes import add_library_routes
from streamferry.web.rest.parts import RestParts, RestSettings
from streamferry.web.rest.rest_errors import STATUSES, Refusal, RestError, translate
from streamferry.web.rest.routes import add_routes
from streamferry.web.rest.schedule_routes import add_schedule_routes
from streamferry.web.rest.token_gate import Gate
from streamferry.web.rest.tokens import Tokens
from streamferry.web.schedules import Schedules
from streamferry.web.writes import Writes

PREFIX = "/api/v1"
#: By its name: FastAPI would rebuild the model for each status of each route, half of the time REST takes to start.
_REFUSAL = {"content": {"application/json": {"schema": {"$ref": f"#/components/schemas/{Refusal.__name__}"}}}}


def build_rest(actions: Actions, store: Store, settings: RestSettings, clock: Clock | None = None) -> FastAPI:
    """The application, to be mounted at ``PREFIX``."""
    tokens = Tokens(actions, store.seal, clock or SystemClock())
    reads = Reads(actions, settings.read_cache, settings.samples)
    app = FastAPI(
        title="streamferry",
        version=__version__,
        summary="Tasks, what they are doing, and what happened to them.",
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
        separate_input_output_schemas=False,
        # Not by a router that the application includes: FastAPI works each of its routes out again.
        routes=_ROUTES,
    )
    app.state.parts = RestParts(
        reads=reads,
        writes=Writes(actions, settings.address_rules),
        callbacks=Callbacks(store),
        schedules=Schedules(actions),
        probing=Probing(settings.address_rules, settings.prober),
        tokens=tokens,
        follower=Follower(reads, settings.stopping),
        settings=settings,
    )
    app.add_middleware(Gate, tokens=tokens, rates=settings.rates, shared_calls=settings.shared_calls)
    app.add_exception_handler(ActionError, _answer_action_error)
    app.add_exception_handler(RestError, _answer_rest_error)
    app.add_exception_handler(RequestValidationError, _answer_invalid)
    app.add_exception_handler(HTTPException, _answer_http_error)

    @app.get("/openapi.json", include_in_schema=False)
    async def openapi() -> dict[str, Any]:
        return {**app.openapi(), "servers": [{"url": PREFIX}]}

    @app.get("/docs", include_in_schema=False)
    async def docs() -> Response:
        return HTMLResponse(write_page(app.openapi(), PREFIX), headers={"content-security-policy": POLICY})

    return app


def _make_routes() -> list[BaseRoute]:
    router = APIRouter(responses={status: {"description": words, **_REFUSAL} for status, words in STATUSES.items()})
    add_routes(router)
    add_library_routes(router)
    add_schedule_routes(router)
    return router.routes


#: Those of every application of this process.
_ROUTES = _make_routes()


async def _answer_action_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, ActionError)
    return translate(error).response()


async def _answer_rest_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, RestError)
    return error.response()


#: Replacements for messages of pydantic that are not for users.
_WORDS = {"missing": "is required", "extra_forbidden": "there is no such field"}

#: How pydantic tells the forms that a field may have apart, within the names of fields.
_FORM = re.compile(r"constrained-[a-z]+|[A-Z][a-z]+Body|literal\[.*\]|datetime")


async def _answer_invalid(_: Request, error: Exception) -> Response:
    """The first invalid field, without repeating its value."""
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    place, *parts = (part for part in first["loc"] if not _FORM.fullmatch(str(part)))
    name = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in parts).lstrip(".")
    if first["type"] == "json_invalid" or (place == "body" and not parts):
        return RestError(422, "invalid_body", "the body must be a JSON object").response()
    words = _WORDS.get(first["type"]) or str(first["msg"]).removeprefix("Input ").removeprefix("Value error, ")
    return RestError(422, "invalid_field", f"{said_field(name)}: {words}", name).response()


async def _answer_http_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    codes = {404: "no_such_path", 405: "method_not_allowed", 408: "timeout", 413: "too_large"}
    answer = RestError(error.status_code, codes.get(error.status_code, "bad_request"), str(error.detail)).response()
    answer.headers.update(error.headers or {})
    return answer
