"""A receiver of callbacks: a real HTTP server in a thread that answers as a test says, and keeps what came."""

import json
import ssl
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from kit.waiting import PATIENCE_S, wait_for


@dataclass(frozen=True)
class Received:
    """A callback as it came."""

    target: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        """The body."""
        return json.loads(self.body)  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Answer:
    """How a receiver behaves once. ``manner``: ``answer``; be ``silent`` until the end; ``close`` without a word;
    ``drip`` a body without end.
    """

    status: int = 200
    location: str | None = None
    manner: str = "answer"
    retry_after: str | None = None


@dataclass
class CallbackReceiver:
    """Serves while its context is open. ``answers`` are given in turn to what comes, then ``usual`` for ever.

    ``at``: what a path always gives.
    """

    usual: Answer = Answer()
    tls: ssl.SSLContext | None = None
    answers: deque[Answer] = field(default_factory=deque)
    at: dict[str, Answer] = field(default_factory=dict)
    received: list[Received] = field(default_factory=list)

    def __post_init__(self) -> None:
        receiver = self
        self._closing = threading.Event()

        class Handler(_Handler):
            owner = receiver

        self._server = _Server(("127.0.0.1", 0), Handler)
        if self.tls is not None:
            self._server.socket = self.tls.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def url(self, path: str = "/hook", host: str = "127.0.0.1") -> str:
        """An address of it."""
        return f"http{'s' if self.tls else ''}://{host}:{self._server.server_address[1]}{path}"

    @property
    def events(self) -> list[str]:
        """What came, by ``Event``."""
        return [one.json["Event"] for one in self.received]

    def wait_for(self, what: str, found: Callable[[list[Received]], object], seconds: float = PATIENCE_S) -> None:
        """Wait until that is true of what came."""
        wait_for(f"{what} at the receiver", lambda: found(list(self.received)), seconds)


class _Server(ThreadingHTTPServer):
    request_queue_size = 256

    def handle_error(self, request: object, client_address: object) -> None:
        """A peer that has left is no news."""


class _Handler(BaseHTTPRequestHandler):
    owner: CallbackReceiver

    def do_POST(self) -> None:
        owner = self.owner
        body = self.rfile.read(int(self.headers["content-length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        answer = owner.at.get(self.path) or (owner.answers.popleft() if owner.answers else owner.usual)
        owner.received.append(Received(self.path, headers, body))
        if answer.manner == "silent":
            owner._closing.wait()
        if answer.manner in ("silent", "close"):
            self.close_connection = True
            return
        self.send_response(answer.status)
        if answer.location is not None:
            self.send_header("Location", answer.location)
        if answer.retry_after is not None:
            self.send_header("Retry-After", answer.retry_after)
        if answer.manner == "drip":
            self.end_headers()
            while not owner._closing.wait(0.01):
                self.wfile.write(b"x" * 1024)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""
