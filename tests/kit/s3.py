"""A server that speaks S3 (moto), in a thread: the tests' buckets, what was asked of it, and faults on demand."""

import html
import http.client
import logging
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

KEYS = {"access_key_id": "planted-key-id", "secret_access_key": "planted-secret-key"}
_AUTHORIZATION = "AWS4-HMAC-SHA256 Credential=kit/20260101/us-east-1/s3/aws4_request"
_MOTOS_TIME = b"2010-11-10T20:48:33.000Z"


@dataclass(frozen=True)
class Asked:
    """One request as it came. ``target``: path as it was sent, without the query."""

    method: str
    target: str
    query: str
    range: str

    @property
    def is_signed(self) -> bool:
        return "X-Amz-Signature=" in self.query


@dataclass
class S3Server:
    """Serves while its context is open; what is in it is forgotten with the process.

    ``fault``: asked before each request, gives a status and headers to answer with instead. ``cut_after_bytes``: the
    next body longer than this is broken off after it. ``uploads_began_at``: when all that are not finished did; now if
    None (moto says of each that it did in 2010).
    """

    asked: list[Asked] = field(default_factory=list)
    fault: Callable[[Asked], tuple[str, list[tuple[str, str]]] | None] = lambda _: None
    cut_after_bytes: int | None = None
    uploads_began_at: datetime | None = None

    def __post_init__(self) -> None:
        # Imported where it is needed: it takes the better part of a second.
        from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
        from werkzeug.serving import make_server

        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        self._app: Any = DomainDispatcherApplication(create_backend_app)
        self._server = make_server("127.0.0.1", 0, self._serve, threaded=True)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), name="s3")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def make_bucket(self, name: str) -> str:
        self.send("PUT", f"/{name}")
        return name

    def put(self, bucket: str, key: str, data: bytes | Path) -> str:
        """The address of an object that is there now."""
        body = data.read_bytes() if isinstance(data, Path) else data
        self.send("PUT", f"/{bucket}/{quote(key)}", body)
        return f"s3://{bucket}/{key}"

    def send(self, method: str, target: str, body: bytes = b"") -> bytes:
        """A request of the tests' own, which is not counted."""
        connection = http.client.HTTPConnection("127.0.0.1", self._server.server_port, timeout=30)
        try:
            connection.request(method, target, body, {"Authorization": _AUTHORIZATION, "X-Of-Kit": "1"})
            answer = connection.getresponse()
            said = answer.read()
            assert answer.status < 300, (method, target, answer.status, said)
            return said
        finally:
            connection.close()

    def keys(self, bucket: str) -> list[str]:
        """Of all objects."""
        listed = self.send("GET", f"/{bucket}?list-type=2").decode()
        return [html.unescape(part.partition("</Key>")[0]) for part in listed.split("<Key>")[1:]]

    def _began(self) -> bytes:
        at = (self.uploads_began_at or datetime.now(UTC)).replace(tzinfo=None)
        return f"{at.isoformat(timespec='milliseconds')}Z".encode()

    def _serve(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        if environ.get("HTTP_X_OF_KIT"):
            return self._app(environ, start)  # type: ignore[no-any-return]
        target = environ["RAW_URI"].partition("?")[0]
        asked = Asked(environ["REQUEST_METHOD"], target, environ.get("QUERY_STRING", ""), environ.get("HTTP_RANGE", ""))
        self.asked.append(asked)
        if (answer := self.fault(asked)) is not None:
            start(answer[0], [*answer[1], ("Content-Length", "0")])
            return [b""]
        body = b"".join(self._app(environ, start)).replace(_MOTOS_TIME, self._began())
        if self.cut_after_bytes is not None and len(body) > self.cut_after_bytes and asked.method == "GET":
            body, self.cut_after_bytes = body[: self.cut_after_bytes], None
        return [body]
