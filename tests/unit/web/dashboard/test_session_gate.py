"""The gate: who gets in, and from where."""

import time
from collections.abc import Awaitable, Callable

import httpx
import pytest
import sqlalchemy as sa
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.types import Message, Receive, Scope, Send

from streamferry.web.dashboard.session_gate import COOKIE, Gate, session_of
from streamferry.web.dashboard.sessions import Session, Sessions

SESSIONS = Sessions()
TOKEN = SESSIONS.begin("AK1", can_write=True, now=time.monotonic())


def _of(sessions: Sessions) -> Callable[[str], Awaitable[Session | None]]:
    async def find(token: str) -> Session | None:
        return sessions.find(token, time.monotonic())

    return find


async def _answer(request: Request) -> PlainTextResponse:
    session = session_of(request.scope)
    return PlainTextResponse(session.access_key_id if session else "nobody")


@pytest.fixture
def browser() -> httpx.AsyncClient:
    """Someone in front of the gate, without a session."""
    inside = Starlette(routes=[Route("/dashboard/{path:path}", _answer, methods=["GET", "POST"])])
    gated = Gate(inside, _of(SESSIONS), ["stream.example", "ported.example:8443", "https.example:443"])
    return httpx.AsyncClient(transport=httpx.ASGITransport(app=gated), base_url="http://here:8080")


async def test_without_a_session_a_page_leads_to_the_form(browser: httpx.AsyncClient) -> None:
    """Which leads back afterwards; what is no page is refused."""
    page = await browser.get("/dashboard/tasks?state=all", headers={"Accept": "text/html"})
    assert page.status_code == 303
    assert page.headers["location"] == "/dashboard/sign-in?next=/dashboard/tasks%3Fstate%3Dall"
    assert (await browser.get("/dashboard/_nicegui/x.js")).status_code == 401


@pytest.mark.parametrize("path", ["/dashboard/sign-in", "/dashboard/static/dashboard.css"])
async def test_the_form_is_open(browser: httpx.AsyncClient, path: str) -> None:
    """With all that it is made of."""
    assert (await browser.get(path)).text == "nobody"


async def test_with_a_session_the_page_knows_who_it_is_for(browser: httpx.AsyncClient) -> None:
    """And nothing that another site could frame, or a shared cache could keep, is sent."""
    answer = await browser.get("/dashboard/tasks", headers={"Cookie": f"{COOKIE}={TOKEN}"})
    assert answer.text == "AK1"
    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
    assert answer.headers["cache-control"] == "no-store"


async def test_no_script_runs_that_stands_in_markup(browser: httpx.AsyncClient) -> None:
    """Each answer has a nonce of its own for the scripts that are ours; the page that signs in has none to name."""
    policies = set()
    for path in ("tasks", "tasks", "sign-in"):
        answer = await browser.get(f"/dashboard/{path}", headers={"Cookie": f"{COOKIE}={TOKEN}"})
        policy = dict(part.strip().split(" ", 1) for part in answer.headers["content-security-policy"].split(";"))
        assert "'unsafe-inline'" not in policy["script-src"]
        assert (policy["script-src-attr"], policy["default-src"], policy["object-src"]) == ("'none'",) * 3
        policies.add(policy["script-src"])
    assert len(policies) == 3
    assert "'self'" in policies


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "http://here:8080"}, 200),
        ({"Origin": "https://stream.example"}, 200),
        ({"Origin": "https://Stream.example"}, 200),
        ({"Origin": "https://ported.example:8443"}, 200),
        ({"Origin": "https://https.example"}, 200),
        ({"Origin": "http://https.example"}, 403),
        ({"Origin": "https://stream.example:8443"}, 403),
        ({"Origin": "https://ported.example"}, 403),
        ({"Origin": "https://ported.example:8444"}, 403),
        ({"Origin": "https://stream.example.evil.example"}, 403),
        ({"Origin": "https://stream.example@evil.example"}, 403),
        ({"Origin": "https://stream.example:x"}, 403),
        ({"Origin": "https://[stream.example"}, 403),
        ({"Origin": ""}, 403),
        ({"Sec-Fetch-Site": "same-origin"}, 200),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "http://here:8081"}, 403),
        ({"Origin": "null"}, 403),
        ({}, 403),
    ],
)
async def test_changes_come_from_our_own_pages(
    browser: httpx.AsyncClient, headers: dict[str, str], status: int
) -> None:
    """A cookie is not enough: other sites can make a browser send it."""
    answer = await browser.post("/dashboard/tasks", headers={"Cookie": f"{COOKIE}={TOKEN}", **headers})
    assert answer.status_code == status


@pytest.mark.parametrize(
    ("error", "status"),
    [(sa.exc.OperationalError("SELECT key", {}, Exception("no table")), 503), (KeyError("key"), 500)],
)
async def test_a_page_showed_what_went_wrong_inside(error: Exception, status: int) -> None:
    """A sentence is shown; the statement, which may tell of the store, is not."""

    async def fail(scope: Scope, receive: Receive, send: Send) -> None:
        raise error

    transport = httpx.ASGITransport(app=Gate(fail, _of(SESSIONS)))
    async with httpx.AsyncClient(transport=transport, base_url="http://here:8080") as browser:
        answer = await browser.get("/dashboard/tasks", headers={"Cookie": f"{COOKIE}={TOKEN}"})
    assert answer.status_code == status
    assert "key" not in answer.text
    assert "table" not in answer.text
    assert answer.headers["cache-control"] == "no-store"


async def test_a_stream_outlived_its_session() -> None:
    """What streams to a browser, a preview above all, ends with the session that asked for it."""
    sessions = Sessions()
    token = sessions.begin("AK1", can_write=True, now=time.monotonic())
    sent: list[Message] = []

    async def stream(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"before", "more_body": True})
        sessions.end(token)
        for _ in range(2):
            await send({"type": "http.response.body", "body": b"behind", "more_body": True})

    async def send(message: Message) -> None:
        sent.append(message)

    await Gate(stream, _of(sessions))(_scope("http", token), _nothing, send)
    assert [(one.get("body"), one.get("more_body")) for one in sent[1:]] == [(b"before", True), (b"", False)]


async def test_a_page_outlived_its_session() -> None:
    """What it says through its socket is not heard any more, and the socket is closed."""
    sessions = Sessions()
    token = sessions.begin("AK1", can_write=True, now=time.monotonic())
    heard: list[Message] = []
    sent: list[Message] = []

    async def listen(scope: Scope, receive: Receive, send: Send) -> None:
        heard.append(await receive())
        sessions.end(token)
        heard.append(await receive())

    async def receive() -> Message:
        return {"type": "websocket.receive", "text": "click"}

    async def send(message: Message) -> None:
        sent.append(message)

    await Gate(listen, _of(sessions))(_scope("websocket", token), receive, send)
    assert [one["type"] for one in heard] == ["websocket.receive", "websocket.disconnect"]
    assert [one["type"] for one in sent] == ["websocket.close"]


def _scope(kind: str, token: str) -> Scope:
    names = {"host": "here", "origin": "http://here", "cookie": f"{COOKIE}={token}"}
    headers = [(name.encode(), value.encode()) for name, value in names.items()]
    return {"type": kind, "method": "GET", "path": "/dashboard/x", "query_string": b"", "headers": headers}


async def _nothing() -> Message:
    return {"type": "http.disconnect"}
