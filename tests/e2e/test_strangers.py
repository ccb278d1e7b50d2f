"""Strangers at the port of a running service: what they can take of it without a secret, over real sockets."""

import contextlib
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from urllib.parse import urlsplit

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin

from kit.raw_http import RawAnswer, RawConnection, ask, head
from kit.service_program import ServiceProgram
from kit.waiting import wait_for
from streamferry.client import Credentials
from streamferry.client.signing import canonical_query, sign_request
from streamferry.web.dashboard.session_gate import MAX_SOCKET_BYTES

KEY_ID, SECRET = "AKSTRANGERS", "planted-77ab-secret"
OF_PEER = 12
STRANGER, OTHER, PROXY = "127.0.0.2", "127.0.0.3", "127.0.0.4"
# Of one test only: connections of others that have just ended may still count against their peer.
SLOW = "127.0.0.5"
Address = tuple[str, int]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProgram]:
    """One for all tests of this module. None of them may make it show a traceback or the secret."""
    settings = {
        "STREAMFERRY_ACCESS_KEY_ID": KEY_ID,
        "STREAMFERRY_SECRET_ACCESS_KEY": SECRET,
        "STREAMFERRY_MAX_CONNECTIONS_PER_PEER": str(OF_PEER),
        "STREAMFERRY_TRUSTED_PROXIES": PROXY,
    }
    with ServiceProgram(tmp_path_factory.mktemp("strangers"), environment=settings) as service:
        yield service.wait_ready()
        assert service.health == 200
        assert "Traceback" not in service.errors
        assert SECRET not in service.errors


@pytest.fixture(scope="module")
def address(service: ServiceProgram) -> Address:
    """Host and port."""
    parts = urlsplit(service.url)
    assert parts.hostname is not None
    assert parts.port is not None
    return parts.hostname, parts.port


def signed(
    action: str,
    body: bytes,
    *headers: str,
    secret: str = SECRET,
    told: bool = True,
    length: int | None = None,
) -> bytes:
    """The head of a call of the compatible API. ``told``: whether it has the body's hash, as all SDKs but PHP's."""
    query = {"Action": action, "Version": "2023-01-01"}
    signature = sign_request(
        Credentials(KEY_ID, secret),
        method="POST",
        host="here",
        query=query,
        body=body,
        region="cn-north-1",
        now=datetime.now(UTC),
    )
    if not told:
        signature.pop("x-content-sha256")
    size = len(body) if length is None else length
    lines = [f"{name}: {value}" for name, value in signature.items()]
    return head(f"POST /?{canonical_query(query)}", *lines, *headers, f"content-length: {size}")


def authorization(signed_headers: str) -> str:
    now = datetime.now(UTC)
    return (
        f"x-date: {now:%Y%m%dT%H%M%SZ}\r\nauthorization: HMAC-SHA256 Credential={KEY_ID}/{now:%Y%m%d}/r/live/request, "
        f"SignedHeaders={signed_headers}, Signature={'0' * 64}"
    )


LIST = "GET /?Action=ListPullToPushTask&Version=2023-01-01"


def hostile_heads() -> dict[str, tuple[bytes, int]]:
    """Name -> head, and the status of its answer. Signatures are of now."""
    return {
        "fourteen thousand names": (head(LIST, authorization("a;" * 14_000)), 400),
        "fourteen thousand names, five thousand headers": (
            head(LIST, authorization("a;" * 14_000), *["a:"] * 5_000),
            431,
        ),
        "two hundred headers": (head(LIST, *[f"h{one}: x" for one in range(200)]), 431),
        "four thousand parameters": (head(LIST + "&a=1" * 4_000), 400),
        "a query of 30 KB": (head(LIST + "&Title=" + "x" * 30_000), 414),
        "a path of 30 KB": (head("GET /" + "x" * 30_000), 414),
        "one name a hundred times": (head(LIST + "&Size=1" * 60), 400),
        "a date of 50 KB": (head(LIST, f"x-date: {'2' * 50_000}", authorization("host").split("\r\n")[1]), 400),
        "a credential of 50 KB": (head(LIST, authorization("host").replace(KEY_ID, "A" * 50_000)), 401),
        "two framings": (head("POST /", "content-length: 5", "transfer-encoding: chunked") + b"0\r\n\r\n", 400),
        "two lengths": (head("POST /", "content-length: 5", "content-length: 6") + b"hello!", 400),
        "a host that is none": (head(LIST, host="[::"), 400),
        "a host with a path": (head(LIST, host="a/b"), 400),
        "a host with a user": (head(LIST, host="a@b"), 400),
        "no host": (b"GET / HTTP/1.1\r\nconnection: close\r\n\r\n", 400),
        "no HTTP": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
        "a star": (head("OPTIONS *"), 404),
        "another server": (head("GET http://evil.example/x"), 404),
        "a tunnel": (head("CONNECT evil.example:443"), 404),
    }


@pytest.mark.parametrize("name", hostile_heads())
def test_a_hostile_head_is_refused_in_the_apis_own_form(address: Address, name: str) -> None:
    """With a status and a sentence, and nobody else waits for it."""
    data, status = hostile_heads()[name]
    answer = ask(address, data, STRANGER)
    assert answer.status == status
    assert len(answer.body) < 1_000
    if answer.headers["content-type"].startswith("application/json"):
        error = answer.json["ResponseMetadata"]["Error"]
        assert error["CodeN"] > 0
        assert error["Message"]
    else:
        # What is no HTTP at all has reached no front.
        assert name in ("two lengths", "no host", "no HTTP")


def test_behind_two_framings_nothing_more_is_read(address: Address) -> None:
    """A second request that is hidden in the body is answered by nobody."""
    with RawConnection(address, STRANGER) as connection:
        hidden = b"GET /healthz HTTP/1.1\r\nhost: here\r\n\r\n"
        start = b"POST /metrics HTTP/1.1\r\nhost: here\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n"
        connection.send(start + b"0\r\n\r\n" + hidden)
        assert connection.read().count(b"HTTP/1.1 ") == 1


def test_requests_in_a_row_are_answered_in_a_row(address: Address) -> None:
    """Pipelining, as proxies may do it."""
    with RawConnection(address, STRANGER) as connection:
        one = b"GET /healthz HTTP/1.1\r\nhost: here\r\n\r\n"
        connection.send(one * 2 + head("GET /healthz"))
        assert connection.read().count(b"HTTP/1.1 200 ") == 3


@pytest.mark.parametrize("framing", ["length", "chunks"])
@pytest.mark.parametrize("path", ["/api/v1/tokens", "/dashboard/sign-in"])
def test_open_paths_filled_the_memory(address: Address, path: str, framing: str) -> None:
    """8 KiB is what an access key pair needs; more is refused while it comes."""
    how = "content-length: 4000000" if framing == "length" else "transfer-encoding: chunked"
    start = head(f"POST {path}", how, "content-type: application/json", "origin: http://here")
    piece = b"x" * 8_000 if framing == "length" else b"1F40\r\n" + b"x" * 8_000 + b"\r\n"
    with RawConnection(address, STRANGER) as connection:
        connection.send(start)
        for _ in range(2):
            connection.send(piece)
        answer = connection.read_answer()
    assert answer.status == (413 if "tokens" in path else 401)
    if "tokens" in path:
        assert answer.json["error"]["code"] == "too_large"


def test_a_token_of_a_thousand_brackets(address: Address) -> None:
    """Nested without end: refused in words."""
    body = b"[" * 8_000
    data = head("POST /api/v1/tokens", f"content-length: {len(body)}", "content-type: application/json") + body
    answer = ask(address, data, STRANGER)
    assert answer.status in (400, 422)
    assert answer.json["error"]["message"]


def test_a_body_is_not_awaited_from_who_has_not_signed_it(address: Address) -> None:
    """The head tells the body's hash: a wrong secret is found out before a byte of 4 MB has come."""
    answer = ask(address, signed("CreatePullToPushTask", b"{}", secret="another", length=4_000_000), STRANGER)
    assert answer.json["ResponseMetadata"]["Error"]["Code"] == "SignatureDoesNotMatch"


def test_unproved_bodies_are_large_in_a_few_places_only(address: Address) -> None:
    """PHP's SDK signs the body without telling its hash, so it has to be read first; of one peer twice at a time."""
    body = b" " * 3_000_000
    start = signed("CreatePullToPushTask", b"{}", told=False, length=len(body))
    asking = signed("CreatePullToPushTask", b"{}", "expect: 100-continue", told=False, length=len(body))
    with RawConnection(address, SLOW) as first, RawConnection(address, SLOW) as second:
        for connection in (first, second):
            connection.send(asking)
            assert connection.read_answer().status == 100  # its body is awaited: it has a place
            # So much is ahead of the least rate by a minute.
            connection.send(body[:1_000_000])
        answer = ask(address, asking, SLOW)
        assert (answer.status, answer.headers["retry-after"]) == (429, "1")
        # Another peer has places of its own: its body is read, and then the signature is judged.
        assert ask(address, start + body, OTHER).status == 401


def test_a_place_for_an_unproved_body_is_not_held_by_a_drip(address: Address) -> None:
    """Who sends next to nothing loses it after seconds: eight such kept everybody else from sending theirs."""
    with RawConnection(address, OTHER) as connection:
        connection.send(signed("CreatePullToPushTask", b"{}", told=False, length=3_000_000) + b" " * 100)
        answer = connection.read_answer()
    assert (answer.status, code_of(answer)) == (408, "InvalidParam.BodyTimeout")
    assert "within 3.01 s" in answer.json["ResponseMetadata"]["Error"]["Message"]


def hold(stack: contextlib.ExitStack, address: Address, count: int, data: bytes = b"", peer: str = STRANGER) -> None:
    """Connections that stay open, with part of a request on each."""
    for _ in range(count):
        stack.enter_context(RawConnection(address, peer)).send(data)


def test_one_peer_cannot_take_all_connections(address: Address) -> None:
    """Beyond its number it is told to come back; others, and it itself later, are served."""
    with contextlib.ExitStack() as stack:
        hold(stack, address, OF_PEER)
        refused = ask(address, head("GET /healthz"), STRANGER)
        assert (refused.status, refused.headers["retry-after"]) == (503, "1")
        assert ask(address, head("GET /healthz"), OTHER).status == 200
    wait_for("the places to be free", lambda: ask(address, head("GET /healthz"), STRANGER).status == 200)


def code_of(answer: RawAnswer) -> str:
    """Of the compatible API's envelope or of REST's."""
    told = answer.json
    return str(told["error"]["code"] if "error" in told else told["ResponseMetadata"]["Error"]["Code"])


@pytest.mark.parametrize(
    ("path", "peer", "code"),
    [("/", "198.51.100.7", "FlowLimitExceeded"), ("/api/v1/tokens", "2001:db8::7", "too_many")],
)
def test_behind_a_proxy_requests_of_a_peer_are_counted(address: Address, path: str, peer: str, code: str) -> None:
    """The proxy has as many connections as it likes; who stands behind it has its number of requests."""
    form = ("origin: http://here", "content-length: 9", "expect: 100-continue")
    waiting = head("POST /dashboard/sign-in", f"x-forwarded-for: {peer}", *form)
    asked = head(f"POST {path}", f"x-forwarded-for: 203.0.113.1, {peer}", "content-length: 0")
    with contextlib.ExitStack() as stack:
        for _ in range(OF_PEER):
            connection = stack.enter_context(RawConnection(address, PROXY))
            connection.send(waiting)
            assert connection.read_answer().status == 100  # its form is awaited: it is counted
        refused = ask(address, asked, PROXY)
        assert (refused.status, code_of(refused)) == (429, code)
        other = asked.replace(peer.encode(), b"198.51.100.8")
        assert ask(address, other, PROXY).status in (400, 422)


def test_who_is_no_proxy_is_not_believed(address: Address, service: ServiceProgram) -> None:
    """A forged X-Forwarded-For neither hides a stranger nor blames another."""
    form = b"access_key_id=AKNOBODY&secret=wrong"
    data = head(
        "POST /dashboard/sign-in", "origin: http://here", "x-forwarded-for: 192.0.2.99", f"content-length: {len(form)}"
    )
    assert ask(address, data + form, STRANGER).status == 401
    wait_for("the line in the log", lambda: f"failed from {STRANGER}" in service.errors)
    assert "192.0.2.99" not in service.errors
    # Whoever can connect from this machine could name another peer for each guess; how to name a proxy is said once.
    for _ in range(2):
        assert ask(address, data + form, "127.0.0.1").status == 401
    wait_for("the hint", lambda: "name it in trusted_proxies" in service.errors)
    assert service.errors.count("name it in trusted_proxies") == 1
    assert "192.0.2.99" not in service.errors


STRANGE_PATHS = [
    ("/dashboard/static/nope", 404, ""),
    ("/dashboard/static/", 404, ""),
    ("/dashboard/static/../tasks", 404, ""),
    ("/dashboard/sign-innope", 303, "/dashboard/sign-in?next=/dashboard/sign-innope"),
    ("/dashboard/sign-in/", 303, "/dashboard/sign-in?next=/dashboard/sign-in/"),
    ("/dashboard/sign-in/x", 303, "/dashboard/sign-in?next=/dashboard/sign-in/x"),
]


@pytest.mark.parametrize(("path", "status", "location"), STRANGE_PATHS)
def test_what_is_not_there_was_a_fault_inside_to_strangers(
    address: Address, path: str, status: int, location: str
) -> None:
    """A browser without a session was answered 500 by the page for what is not there, which is for somebody known."""
    answer = ask(address, head(f"GET {path}", HTML), STRANGER)
    assert (answer.status, answer.headers.get("location", "")) == (status, location)


def test_a_member_passes_all_of_these_limits(address: Address) -> None:
    """With a call as SDKs make it."""
    body = json.dumps({"Size": 1}).encode()
    assert ask(address, signed("ListPullToPushTaskV2", body) + body, STRANGER).status == 200


HTML = "accept: text/html,application/xhtml+xml,*/*;q=0.8"


def test_a_browser_is_led_to_the_dashboard(address: Address, service: ServiceProgram) -> None:
    """By the address alone, which is the first thing that serve prints; clients of the API get its errors as before."""
    answer = ask(address, head("GET /", HTML))
    assert (answer.status, answer.headers["location"]) == (303, "/dashboard/")
    assert ask(address, head("GET /favicon.ico")).headers["location"] == "/dashboard/static/icon.svg"
    assert service.said.splitlines()[0].startswith("dashboard  http://")
    for start, *headers in (
        ("GET /", "accept: */*"),
        ("GET /?Version=2023-01-01", HTML),
        ("GET /", HTML, "authorization: HMAC-SHA256 x"),
        ("POST /", HTML),
    ):
        refused = ask(address, head(start, *headers))
        assert refused.json["ResponseMetadata"]["Error"]["Code"] == "MissingParameter"


REFUSED = [
    ("GET /nothing", 404),
    ("PUT /", 405),
    ("POST /healthz", 405),
    ("DELETE /metrics", 405),
    ("GET /api/v1/docs/x", 401),
    ("PUT /api/v1/tokens", 401),
    ("GET /dashboard/nothing", 401),
]


@pytest.mark.parametrize(("start", "status"), REFUSED)
def test_what_is_not_there_is_said_in_the_fronts_own_form(address: Address, start: str, status: int) -> None:
    """The compatible API has its envelope, REST its own, and pages a line of text."""
    answer = ask(address, head(start))
    assert answer.status == status
    path = start.split(" ")[1]
    if path.startswith("/api/v1"):
        assert answer.json["error"]["message"]
    elif path.startswith("/dashboard"):
        assert answer.body == b"sign in first"
    else:
        assert answer.json["ResponseMetadata"]["Error"]["CodeN"] > 0
    if status == 405:
        assert answer.headers["allow"]


@pytest.mark.parametrize(
    "path",
    ["/", "/nothing", "/healthz", "/metrics", "/openapi.json", "/api/v1/docs", "/api/v1/tasks", "/dashboard/sign-in"],
)
def test_browsers_make_nothing_of_an_answer_but_what_it_is(address: Address, path: str) -> None:
    """No guessing of types, no frame around it, no script but the dashboard's."""
    answer = ask(address, head(f"GET {path}"))
    policy = answer.headers["content-security-policy"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] in ("no-referrer", "same-origin")
    assert "frame-ancestors 'none'" in policy
    assert ("script-src" in policy) == path.startswith("/dashboard")


@pytest.fixture(scope="module")
def cookie(address: Address) -> str:
    """Of somebody who is signed in."""
    form = f"access_key_id={KEY_ID}&secret={SECRET}".encode()
    data = head("POST /dashboard/sign-in", "origin: http://here", f"content-length: {len(form)}") + form
    answer = ask(address, data)
    assert answer.status == 303
    return answer.headers["set-cookie"].split(";")[0]


def read_to_the_end(socket: ClientConnection) -> None:
    """Raises ConnectionClosed."""
    while True:
        socket.recv(10)


@pytest.mark.parametrize(
    ("message", "count", "code"), [("x" * (MAX_SOCKET_BYTES + 1), 1, 1009), ("3", 2_000, 1008)], ids=["large", "many"]
)
def test_a_pages_socket_takes_what_a_person_can_say(
    address: Address, cookie: str, message: str, count: int, code: int
) -> None:
    """One message that is larger than any form, or more of them than hands make, end the connection."""
    url = f"ws://{address[0]}:{address[1]}/dashboard/_nicegui_ws/socket.io/?EIO=4&transport=websocket"
    origin = Origin(f"http://{address[0]}:{address[1]}")
    with connect(url, origin=origin, additional_headers={"cookie": cookie}) as socket:
        assert str(socket.recv(10)).startswith("0{")
        with contextlib.suppress(ConnectionClosed):
            for _ in range(count):
                socket.send(message)
        with pytest.raises(ConnectionClosed) as closed:
            read_to_the_end(socket)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == code
