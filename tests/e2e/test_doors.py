"""Every door of the running service, tried by somebody without credentials, and by another site's page."""

import contextlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import unquote

import httpx
import pytest
from typer.testing import CliRunner

from kit.service_program import ServiceProgram
from kit.waiting import wait_for
from streamferry.cli.commands import app

PLANTED = "planted-5f3c"
SETTINGS = {
    "STREAMFERRY_ACCESS_KEY_ID": "AKDOORS",
    "STREAMFERRY_SECRET_ACCESS_KEY": f"{PLANTED}-secret",
    "STREAMFERRY_UPLOAD_MB": "1",
}
#: Prints method and path of every route of the application that ``serve`` would put behind its port.
LIST_ROUTES = """
import asyncio, os, pathlib, sys
from streamferry.config import load_settings
from streamferry.service import assembly

def walk(routes, prefix):
    for route in routes:
        path = prefix + getattr(route, "path", "")
        for method in getattr(route, "methods", None) or ():
            print(method, path)
        inner = getattr(route, "original_router", None) or getattr(route, "app", None)
        walk(getattr(inner, "routes", ()), path)

def show(app, *_):
    walk(app.routes, "")
    sys.stdout.flush()
    os._exit(0)

assembly._Server = show
settings = load_settings(data_dir=pathlib.Path(sys.argv[1]), port=0)
asyncio.run(assembly.serve(settings, asyncio.Event(), lambda _: None))
"""
#: What answers a stranger, and with what. Everything else must refuse, with 401 or 403.
OPEN = {
    "GET /healthz": 200,
    "GET /readyz": 200,
    # Unless the settings have a token for it.
    "GET /metrics": 200,
    "GET /openapi.json": 200,
    "HEAD /openapi.json": 200,
    "GET /api/v1/openapi.json": 200,
    "GET /api/v1/docs": 200,
    "POST /api/v1/tokens": 422,
    "GET /dashboard/sign-in": 200,
    "GET /favicon.ico": 308,
    # Style and script of the form; here of a name that is none.
    "GET /dashboard/static/{path:path}": 404,
    # The compatible API, with an error of its own that says what is missing.
    "GET /": 400,
    "POST /": 400,
}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProgram]:
    """One for all tests of this module. At the end it may not have shown a traceback, nor a planted secret."""
    home = tmp_path_factory.mktemp("doors")
    service = ServiceProgram(home, environment=SETTINGS)
    try:
        yield service.wait_ready()
    finally:
        service.stop()
    assert "Traceback" not in service.errors
    assert PLANTED not in service.errors + service.output


@pytest.fixture
def stranger(service: ServiceProgram) -> Iterator[httpx.Client]:
    """Somebody without credentials, whose page is of the service."""
    headers = {"origin": service.url.rstrip("/")}
    with httpx.Client(base_url=service.url, headers=headers, trust_env=False, timeout=10) as client:
        yield client


@pytest.fixture
def member(stranger: httpx.Client) -> httpx.Client:
    """Somebody who is signed in."""
    form = {"access_key_id": "AKDOORS", "secret": f"{PLANTED}-secret"}
    assert stranger.post("/dashboard/sign-in", data=form).status_code == 303
    assert stranger.get("/dashboard/library").status_code == 200
    return stranger


def test_every_route_refuses_strangers(stranger: httpx.Client, tmp_path: Path) -> None:
    """But for a list of them: a route that is added has to be in it, or to ask who calls."""
    listed = subprocess.run(
        [sys.executable, "-c", LIST_ROUTES, tmp_path / "data"], capture_output=True, text=True, timeout=60, check=True
    )
    routes = sorted(set(listed.stdout.splitlines()))
    assert len(routes) > 50
    answered = {}
    for route in routes:
        method, path = route.split(" ", 1)
        answer = stranger.request(method, re.sub(r"\{[^}]*\}", "0" * 32, path))
        answered[route] = answer.status_code
    found = {route: status for route, status in answered.items() if status not in (401, 403)}
    assert found == OPEN


@pytest.mark.parametrize("query", ["transport=websocket", "transport=polling"])
@pytest.mark.parametrize("origin", ["", "http://evil.example"])
def test_the_pages_socket_refuses(member: httpx.Client, service: ServiceProgram, query: str, origin: str) -> None:
    """Strangers; and pages of other sites, though the browser sends them the cookie of somebody who is signed in."""
    upgrade = {
        "connection": "Upgrade",
        "upgrade": "websocket",
        "sec-websocket-version": "13",
        "sec-websocket-key": "AAAAAAAAAAAAAAAAAAAAAA==",
    }
    headers = upgrade if "websocket" in query else {}
    path = f"/dashboard/_nicegui_ws/socket.io/?EIO=4&{query}"
    if origin:
        # Cookies are sent; reading by polling is for the browser to keep apart, writing is not.
        method = "GET" if headers else "POST"
        assert member.request(method, path, headers={**headers, "origin": origin}).status_code == 403
    else:
        with httpx.Client(base_url=service.url, trust_env=False) as stranger:
            assert stranger.get(path, headers={**headers, "origin": service.url.rstrip("/")}).status_code in (401, 403)


def test_changes_by_another_sites_page_are_refused(member: httpx.Client) -> None:
    """Whatever it makes the browser send with the cookie."""
    evil = {"origin": "http://evil.example"}
    assert member.put("/dashboard/library/files/clip.flv", content=b"FLV", headers=evil).status_code == 403
    assert member.post("/dashboard/sign-out", headers=evil).status_code == 403
    assert member.get("/dashboard/library").status_code == 200


@pytest.mark.parametrize(
    "name",
    [
        "..%2f..%2fstore.db",
        "..%2Fx.flv",
        "%2e%2e%2fx.flv",
        "..%5cx.flv",
        "/etc/x.flv",
        ".hidden.flv",
        "a%00.flv",
        "x" * 250,
    ],
)
def test_an_upload_stays_in_its_folder(member: httpx.Client, service: ServiceProgram, name: str) -> None:
    """A name that leads elsewhere is refused, and nothing is written."""
    before = sorted(service.data.rglob("*"))
    assert member.put(f"/dashboard/library/files/{name}", content=b"FLV").status_code in (404, 422)
    assert sorted(service.data.rglob("*")) == before


def test_an_upload_keeps_its_name(member: httpx.Client, service: ServiceProgram) -> None:
    """Files that were downloaded are seen to have escapes in their names: they are part of it, and lead nowhere."""
    for name in ("Summer%2520film.flv", "%252e%252e%252fx.flv"):
        assert member.put(f"/dashboard/library/files/{name}", content=b"FLV").status_code == 201
        place = service.data / "library" / unquote(name)
        assert place.read_bytes() == b"FLV"
        place.unlink()


def test_an_upload_is_bounded_however_it_is_framed(member: httpx.Client, service: ServiceProgram) -> None:
    """Announced or not, and what came of it is gone."""
    megabyte = b"\0" * 1_000_000

    def pieces() -> Iterator[bytes]:
        yield from (megabyte, megabyte)

    for content in (megabyte * 2, pieces()):
        assert member.put("/dashboard/library/files/large.flv", content=content).status_code == 422
    assert list((service.data / "library").iterdir()) == []


@pytest.mark.parametrize(
    "path",
    ["static/..%2f..%2f..%2fsessions.py", "static/%2e%2e/%2e%2e/sessions.py", "static//etc/passwd", "static/..%2fx"],
)
def test_assets_lead_nowhere_else(stranger: httpx.Client, path: str) -> None:
    """The folder of what the form is made of is open to all, and nothing beside it."""
    assert stranger.get(f"/dashboard/{path}").status_code in (401, 404)


def test_a_failed_sign_in_never_repeats_the_secret(stranger: httpx.Client) -> None:
    """Neither in the page nor in the log, which is looked at in the end. Who guesses on is made to wait, and told."""
    for attempt in range(6):
        form = {"access_key_id": "AKNOBODY", "secret": f"{PLANTED}-{attempt}", "next": "//evil.example/"}
        answer = stranger.post("/dashboard/sign-in", data=form)
        assert answer.status_code in (401, 429)
        assert PLANTED not in answer.text
        assert "evil.example" not in answer.text
        assert 'role="alert"' in answer.text
    assert answer.status_code == 429
    assert "Try again in" in answer.text


def test_a_disabled_key_opens_nothing_any_more(service: ServiceProgram, stranger: httpx.Client) -> None:
    """Within seconds: its token, its streams of events and its session on the dashboard.

    Who follows events by the command is told so, and not left to wait for ever.
    """
    pair = json.loads(key_command(service, "create", "--json"))
    access_key_id, secret = pair["access_key_id"], pair["secret_access_key"]
    member = stranger
    form = {"access_key_id": access_key_id, "secret": secret}
    assert member.post("/dashboard/sign-in", data=form).status_code == 303
    token = member.post("/api/v1/tokens", json=pair).json()["token"]
    bearer = {"authorization": f"Bearer {token}"}
    environment = {"VOLC_ACCESSKEY": access_key_id, "VOLC_SECRETKEY": secret, "STREAMFERRY_URL": service.url}
    command = [sys.executable, "-m", "streamferry", "task", "events", "--follow", "--after", "0"]
    follower = subprocess.Popen(
        command, env={**os.environ, **environment}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    now = datetime.now(UTC)
    task = {
        "kind": "live",
        "sources": [{"url": "rtmp://live.example/app/stream"}],
        "destination": f"rtmp://push.example/app/{PLANTED}",
        "start_at": (now + timedelta(hours=1)).isoformat(),
        "end_at": (now + timedelta(hours=2)).isoformat(),
    }
    assert member.post("/api/v1/tasks", json=task, headers=bearer).status_code == 201
    with (
        follower,
        contextlib.ExitStack() as stack,
        member.stream("GET", "/api/v1/events/stream", headers=bearer, timeout=30) as events,
    ):
        stack.callback(follower.kill)
        assert follower.stdout is not None
        assert follower.stderr is not None
        assert "created" in follower.stdout.readline()
        lines = events.iter_lines()
        assert next(lines).startswith("retry")
        key_command(service, "disable", access_key_id)
        assert member.get("/api/v1/overview", headers=bearer).status_code == 401
        wait_for("the session to end", lambda: member.get("/dashboard/library").status_code == 401)
        # A quiet stream says that it is still there each 10 s.
        assert json.dumps(list(lines)).count("data:") == 0
        assert follower.wait(30) == 2
        assert "the key is disabled" in follower.stderr.read()


def key_command(service: ServiceProgram, *words: str) -> str:
    """What ``streamferry key`` prints."""
    command = ["key", *words, "--data-dir", str(service.data), "--store", service.store_url]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    return done.stdout
