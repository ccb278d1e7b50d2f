"""The page for an address or a task that does not exist: in the frame, with status 404 and a link back."""

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
    """Replace the page framework's own page, which has one language and no link back."""
    nicegui.app.exception_handlers[404] = _answer


async def _answer(request: Request, _: Exception) -> Response:
    """A signed-in person gets a page; anything else a line of text."""
    if (
        session_of(request.scope) is None
        or request.method != "GET"
        or "text/html" not in request.headers.get("accept", "")
    ):
        return PlainTextResponse("there is nothing at this address", HTTPStatus.NOT_FOUND)
    with Client(Page(""), request=request):
        return show(visitor(), "gone.page")


def show(who: Visitor, words: str) -> Response:
    """Turn the page that is being built into this one; ``words``: text key of what does not exist."""
    path, label = _PLACE
    with frame(who, who.t("gone.title"), place=path, back=(path, who.t(label))):
        empty("search_off", who.t(words), who.t("gone.hint"))
    client = ui.context.client
    assert client.request is not None
    return client.build_response(client.request, HTTPStatus.NOT_FOUND)
