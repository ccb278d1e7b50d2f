"""The page for an address or a task that is not there: in the frame, with status 404 and a way back."""

from http import HTTPStatus

import nicegui
from nicegui import Client, ui
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from streamferry.web.dashboard.frame import Page, Visitor, frame, visitor
from streamferry.web.dashboard.session_gate import session_of
from streamferry.web.dashboard.widgets import empty

_PLACE = ("/tasks", "nav.tasks")


def register() -> None:
    """Answer for the page framework, which has a page of its own: in one language, without a way back."""
    nicegui.app.exception_handlers[404] = _answer


async def _answer(request: Request, _: Exception) -> Response:
    """A person who is signed in gets a page; strangers, scripts, pictures and the like a word."""
    if (
        session_of(request.scope) is None
        or request.method != "GET"
        or "text/html" not in request.headers.get("accept", "")
    ):
        return PlainTextResponse("there is nothing at this address", HTTPStatus.NOT_FOUND)
    with Client(Page(""), request=request):
        return show(visitor(), "gone.page")


def show(who: Visitor, words: str) -> Response:
    """Build the page that is being made now as that; ``words``: key of what is not there."""
    path, label = _PLACE
    with frame(who, who.t("gone.title"), place=path, back=(path, who.t(label))):
        empty("search_off", who.t(words), who.t("gone.hint"))
    client = ui.context.client
    assert client.request is not None
    return client.build_response(client.request, HTTPStatus.NOT_FOUND)
