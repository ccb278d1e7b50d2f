"""An HTTP file server in a thread, as good or as bad as a test wants it: ranges, throttling, truncation, errors."""

import re
import ssl
import threading
import time
from dataclasses import dataclass, field
from email.message import Message
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import unquote, urlsplit

_PIECE_BYTES = 16 * 1024


@dataclass(frozen=True)
class Request:
    """One request as it came."""

    method: str
    target: str
    range: str | None
    status: int
    at: float = 0.0  #: when it came, monotonic
    headers: dict[str, str] = field(default_factory=dict)  #: by lower-case names


@dataclass
class HttpFiles:
    """Serves the files of a directory while its context is open. Behaviour may be changed at any time.

    ``ranges`` off: Range is ignored and 200 sent. ``bytes_per_second``: about that fast. ``cut_after_bytes``: the
    connection is closed after that many body bytes of an answer, whatever Content-Length said. ``length`` off: no
    Content-Length, the body ends with the connection. ``status``: answered instead of a file. ``redirects``: path to
    location. ``refusals``: path to the answers that come before the file does, each a
    status and a Retry-After. ``host``: an address of this machine. ``tls``: served over HTTPS.
    """

    directory: Path
    host: str = "127.0.0.1"
    tls: ssl.SSLContext | None = None
    ranges: bool = True
    length: bool = True
    bytes_per_second: int | None = None
    cut_after_bytes: int | None = None
    status: int | None = None
    redirects: dict[str, str] = field(default_factory=dict)
    refusals: dict[str, list[tuple[int, str]]] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)
    body_bytes: int = 0  #: of all answers together

    def __post_init__(self) -> None:
        files = self

        class Handler(_Handler):
            options = files

        self._server = ThreadingHTTPServer((self.host, 0), Handler)
        if self.tls is not None:
            # Without a handshake at accept, which would hold up all others.
            self._server.socket = self.tls.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), name="http-files")

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    def url(self, path: Path | str) -> str:
        """Address of a file of the directory, given by its path or its name."""
        name = path.relative_to(self.directory).as_posix() if isinstance(path, Path) else path
        return f"http{'s' if self.tls else ''}://{self.host}:{self.port}/{name}"

    @property
    def is_closing(self) -> bool:
        return self._closing.is_set()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()  # joins the threads of the requests as well


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    options: HttpFiles

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def _answer(self, with_body: bool) -> None:
        self.close_connection = True
        options = self.options
        name = unquote(urlsplit(self.path).path)
        path = options.directory / name.lstrip("/")
        if options.status is not None:
            self._refuse(options.status)
        elif options.refusals.get(name):
            self._refuse(*options.refusals[name].pop(0))
        elif name in options.redirects:
            self._note(HTTPStatus.FOUND)
            self.send_response(HTTPStatus.FOUND)
            self.send_header("Location", options.redirects[name])
            self._no_body()
        elif not path.is_file():
            self._refuse(HTTPStatus.NOT_FOUND)
        else:
            self._send(path, with_body)

    def _send(self, path: Path, with_body: bool) -> None:
        options = self.options
        size = path.stat().st_size
        first, last = 0, size - 1
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or "")
        partial = asked is not None and options.ranges
        if asked is not None and options.ranges:
            first = int(asked[1])
            last = min(int(asked[2] or last), last)
            if first > last:
                self._refuse(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE)
                return
        status = HTTPStatus.PARTIAL_CONTENT if partial else HTTPStatus.OK
        self._note(status)
        self.send_response(status)
        self.send_header("Content-Type", "application/octet-stream")
        self.send_header("ETag", f'"{size:x}-{path.stat().st_mtime_ns:x}"')
        if options.ranges:
            self.send_header("Accept-Ranges", "bytes")
        if partial:
            self.send_header("Content-Range", f"bytes {first}-{last}/{size}")
        if options.length:
            self.send_header("Content-Length", str(last - first + 1))
        self.send_header("Connection", "close")
        self.end_headers()
        if with_body:
            self._send_body(path, first, last + 1)

    def _send_body(self, path: Path, first: int, end: int) -> None:
        options = self.options
        began = time.monotonic()
        sent = 0
        with path.open("rb") as file:
            file.seek(first)
            while first + sent < end and not options.is_closing:
                allowed = end - first - sent
                if options.cut_after_bytes is not None:
                    allowed = min(allowed, options.cut_after_bytes - sent)
                    if allowed <= 0:
                        return
                try:
                    self.wfile.write(file.read(min(_PIECE_BYTES, allowed)))
                except OSError:  # the client has left
                    return
                sent += min(_PIECE_BYTES, allowed)
                options.body_bytes += min(_PIECE_BYTES, allowed)
                if options.bytes_per_second:
                    time.sleep(max(0.0, began + sent / options.bytes_per_second - time.monotonic()))

    def _refuse(self, status: int, retry_after: str = "") -> None:
        self._note(status)
        self.send_response(status)
        if retry_after:
            self.send_header("Retry-After", retry_after)
        self._no_body()

    def _no_body(self) -> None:
        self.send_header("Content-Length", "0")
        self.send_header("Connection", "close")
        self.end_headers()

    def _note(self, status: int) -> None:
        asked = self.headers.get("Range")
        came = Request(self.command, self.path, asked, int(status), time.monotonic(), _of(self.headers))
        self.options.requests.append(came)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: what came is in ``requests``."""


def _of(headers: Message) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}
