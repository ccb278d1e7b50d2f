"""Links that sign in once."""

from time import monotonic
from urllib.parse import urlencode

import pytest
from starlette.requests import Request

from streamferry.control.actions import Actions
from streamferry.store import Store
from streamferry.web.dashboard.links import LINK_S, SignInLinks
from streamferry.web.dashboard.session_gate import COOKIE
from streamferry.web.dashboard.session_shelf import SessionShelf
from streamferry.web.dashboard.sessions import Sessions
from streamferry.web.dashboard.sign_in import SignIn


def test_a_link_counts_once_and_for_ten_minutes() -> None:
    """One that was taken, is too old or was never made is nobody's; nothing of a token is kept."""
    links = SignInLinks()
    first, second, third = (links.make("AK", 100.0) for _ in range(3))
    assert first not in repr(vars(links))
    assert (links.take(first, 101.0), links.take(first, 101.0)) == ("AK", None)
    assert links.take(second, 100.0 + LINK_S) is None
    assert links.take(second, 101.0) is None
    assert links.take("", 101.0) is None
    assert links.take("\udcff", 101.0) is None
    assert links.take(third, 99.0 + LINK_S) == "AK"


def test_links_that_nobody_uses_do_not_pile_up() -> None:
    """The oldest goes first."""
    links = SignInLinks()
    made = [links.make("AK", 0.0) for _ in range(20)]
    assert [token for token in made if links.take(token, 1.0)] == made[-8:]


@pytest.mark.parametrize(
    ("host", "headers", "status"),
    [
        ("127.0.0.1", [], 303),
        ("::1", [], 303),
        ("10.0.0.7", [], 401),
        ("testclient", [], 401),
        (None, [], 401),
        ("127.0.0.1", [(b"x-forwarded-for", b"192.0.2.1")], 401),
    ],
)
async def test_a_link_is_good_on_this_machine_only(
    store: Store, host: str | None, headers: list[tuple[bytes, bytes]], status: int
) -> None:
    """Whoever has got hold of it elsewhere, or behind a proxy, gets the form, and no session."""
    actions = Actions(store)
    key = await actions.create_key()
    links, sessions = SignInLinks(), SessionShelf(store, Sessions())
    body = urlencode({"once": links.make(key.access_key_id, monotonic()), "next": "/dashboard/tasks"}).encode()

    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": body, "more_body": False}

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/dashboard/sign-in",
        "headers": headers,
        "query_string": b"",
        "scheme": "http",
        "server": ("127.0.0.1", 80),
        "client": None if host is None else (host, 1),
    }
    answer = await SignIn(actions, sessions, links).sign_in(Request(scope, receive))
    assert answer.status_code == status
    assert (COOKIE in answer.headers.get("set-cookie", "")) == (status == 303)
