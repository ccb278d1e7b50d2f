"""The SDK against a small HTTP server: what it sends, and how it reads answers."""

import inspect
import json
import socket
import ssl
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import trustme

from streamferry.client import (
    ActionNotFound,
    ApiError,
    AsyncLiveService,
    AuthenticationFailed,
    InvalidParam,
    LiveService,
    NewTask,
    NoAnswer,
    PermissionDenied,
    RateLimited,
    ServerError,
)

OK = {"ResponseMetadata": {"RequestId": "r"}, "Result": {"TaskId": "1"}}


class Peer(HTTPServer):
    """Gives ``status`` and ``answer``, and keeps what came."""

    status = 200
    answer: bytes = json.dumps(OK).encode()

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.requests: list[tuple[str, dict[str, Any], dict[str, str], bytes]] = []

    scheme = "http"

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: Peer

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        query = {key: values[0] for key, values in parse_qs(urlsplit(self.path).query).items()}
        self.server.requests.append((self.command, query, dict(self.headers.items()), body))
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(len(self.server.answer)))
        self.end_headers()
        self.wfile.write(self.server.answer)

    do_GET = do_POST

    def log_message(self, *_: object) -> None:
        """Nothing on the terminal."""


@pytest.fixture
def peer() -> Iterator[Peer]:
    """A running one."""
    with Peer() as server:
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def service(peer: Peer) -> Iterator[LiveService]:
    """The SDK, pointed at the peer."""
    with LiveService(peer.url, "AK", "SK") as one:
        yield one


def public(kind: type) -> set[str]:
    """Names of what a user may call."""
    return {name for name, _ in inspect.getmembers(kind, callable) if not name.startswith("_")}


def test_both_services_have_the_same_methods() -> None:
    """But for how their connections are given back."""
    assert public(LiveService) - {"close"} == public(AsyncLiveService) - {"aclose"}
    for name in public(LiveService) - {"close"}:
        assert inspect.signature(getattr(LiveService, name)).parameters == (
            inspect.signature(getattr(AsyncLiveService, name)).parameters
        )


METHODS = [name for name, _ in inspect.getmembers(LiveService, inspect.isfunction) if "pull_to_push" in name]


@pytest.mark.parametrize("name", METHODS)
async def test_every_method_calls_the_action_of_its_name(peer: Peer, service: LiveService, name: str) -> None:
    """Both services, all 15; the lists by GET as the official SDK does."""
    action = "".join(part.capitalize() for part in name.split("_"))
    assert getattr(service, name)({"Title": "新 *"}) == OK
    async with AsyncLiveService(peer.url, "AK", "SK") as other:
        assert await getattr(other, name)({"Title": "新 *"}) == OK
    for method, query, headers, body in peer.requests:
        assert (query["Action"], query["Version"]) == (action, "2023-01-01")
        assert headers["authorization"].startswith("HMAC-SHA256 Credential=AK/")
        given = query if method == "GET" else json.loads(body)
        assert given["Title"] == "新 *"
    assert {request[0] for request in peer.requests} == {"GET" if action == "ListPullToPushTask" else "POST"}
    assert len(METHODS) == 15


def test_a_model_is_as_good_as_a_dict(peer: Peer, service: LiveService) -> None:
    """The same body goes out."""
    service.create_pull_to_push_task(NewTask(type=0, start_time=1, end_time=2, src_addr="http://s/a"))
    service.create_pull_to_push_task({"Type": 0, "StartTime": 1, "EndTime": 2, "SrcAddr": "http://s/a"})
    first, second = (json.loads(request[3]) for request in peer.requests)
    assert first == second


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (400, "InvalidParam", InvalidParam),
        (400, "InvalidParam.BindError", InvalidParam),
        (400, "InvalidTimestamp", AuthenticationFailed),
        (401, "SignatureDoesNotMatch", AuthenticationFailed),
        (403, "AccessDenied", PermissionDenied),
        (404, "InvalidActionOrVersion", ActionNotFound),
        (429, "AccountFlowLimitExceeded", RateLimited),
        (500, "InternalError", ServerError),
        (200, "CommonErr", ApiError),
    ],
)
def test_errors_have_types_and_fields(
    peer: Peer, service: LiveService, status: int, code: str, kind: type[ApiError]
) -> None:
    """Also one under status 200."""
    error = {"CodeN": 5, "Code": code, "Message": "words"}
    peer.status, peer.answer = status, json.dumps({"ResponseMetadata": {"RequestId": "r", "Error": error}}).encode()
    with pytest.raises(kind) as caught:
        service.stop_pull_to_push_task({"TaskId": "1"})
    assert type(caught.value) is kind
    found = caught.value
    assert (found.status, found.code, found.code_n, found.message, found.request_id) == (status, code, 5, "words", "r")


@pytest.mark.parametrize("answer", [b"", b"<html>", b"[]", b"{}", b'{"ResponseMetadata": []}'])
def test_what_is_no_answer_of_the_api(peer: Peer, service: LiveService, answer: bytes) -> None:
    """A proxy's page, say."""
    peer.answer = answer
    with pytest.raises(NoAnswer, match="200"):
        service.list_pull_to_push_task()


async def test_nobody_there(peer: Peer) -> None:
    """A refused connection, for both services."""
    with LiveService("http://127.0.0.1:1", "AK", "SK") as service, pytest.raises(NoAnswer):
        service.list_pull_to_push_task({"Page": 1})
    async with AsyncLiveService("http://127.0.0.1:1", "AK", "SK") as other:
        with pytest.raises(NoAnswer):
            await other.list_pull_to_push_task({"Page": 1})


def test_the_host_and_scheme_may_be_set_as_in_the_official_sdk(peer: Peer) -> None:
    """A bare host means https; set_scheme changes it; other schemes are refused."""
    with LiveService(peer.url.removeprefix("http://"), "AK", "SK", timeout_s=5) as service:
        with pytest.raises(NoAnswer):
            service.list_pull_to_push_task({"Page": 1})
        service.set_scheme("http")
        assert service.list_pull_to_push_task({"Page": 1}) == OK
        with pytest.raises(ValueError, match="scheme"):
            service.set_host("ftp://h")
        with pytest.raises(ValueError, match="malformed"):
            service.set_host("http://h:port")


@pytest.fixture
def authority() -> trustme.CA:
    """An authority that nobody trusts by himself."""
    return trustme.CA()


@pytest.fixture
def ca_file(authority: trustme.CA, tmp_path: Path) -> Path:
    """Its certificate."""
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    return tmp_path / "ca.pem"


@pytest.fixture
def safe_peer(peer: Peer, authority: trustme.CA) -> Peer:
    """The peer over https."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    peer.socket = context.wrap_socket(peer.socket, server_side=True)
    peer.scheme = "https"
    return peer


async def test_https_with_an_authority_of_ones_own(safe_peer: Peer, ca_file: Path) -> None:
    """Given as a file, for both services; another authority's certificate is no answer."""
    with LiveService(safe_peer.url, "AK", "SK", ca_file=ca_file) as service:
        assert service.list_pull_to_push_task() == OK
    async with AsyncLiveService(safe_peer.url, "AK", "SK", ca_file=str(ca_file)) as other:
        assert await other.list_pull_to_push_task() == OK
    with LiveService(safe_peer.url, "AK", "SK") as service, pytest.raises(NoAnswer, match="certificate"):
        service.list_pull_to_push_task()
    with pytest.raises(OSError, match="No such file"):
        LiveService(safe_peer.url, "AK", "SK", ca_file=ca_file.with_name("none.pem"))


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_the_authority_may_come_from_the_variables_of_the_official_sdk(
    safe_peer: Peer, ca_file: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    """So that a deployment that has set them need set nothing else."""
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(variable, str(ca_file))
    with LiveService(safe_peer.url, "AK", "SK") as service:
        assert service.list_pull_to_push_task() == OK


async def test_waits_are_bounded() -> None:
    """A server that takes the request and says nothing: for both services, by parameter and by the official setter."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with LiveService(url, "AK", "SK") as service:
            service.set_connection_timeout(5)
            service.set_socket_timeout(0.05)
            with pytest.raises(NoAnswer):
                service.list_pull_to_push_task()
        async with AsyncLiveService(url, "AK", "SK", timeout_s=0.05) as other:
            with pytest.raises(NoAnswer):
                await other.list_pull_to_push_task()
