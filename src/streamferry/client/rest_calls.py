"""RestCalls: one service's REST API by paths and bodies; a token for the key, what refuses, streams of events.

What the operations are is in ``rest``.
"""

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from streamferry.client.credentials import Credentials, CredentialsMissing
from streamferry.client.errors import NoAnswer, Refused
from streamferry.client.trust import NOBODY, trust

DEFAULT_TIMEOUT_S = 15.0
_PREFIX = "/api/v1"
#: The service sends a line at least every ten seconds.
_STREAM_SILENCE_S = 30.0


class RestCalls:
    """Each method raises Refused with the service's sentence, or NoAnswer.

    The first call gets a token for the key, which is renewed when it has expired.
    """

    def __init__(
        self,
        url: str,
        access_key_id: str | None = None,
        secret_access_key: str | None = None,
        *,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        ca_file: str | Path | None = None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        """``url``: as ``http://127.0.0.1:8080``. Without a key it is found where ``LiveService`` finds it.

        ``timeout_s`` bounds connecting, and each wait for bytes. ``ca_file``: PEM file of the authorities to trust.
        ``transport``: instead of the network. Raises ValueError for another address, OSError for a file of
        authorities that cannot be read, or CredentialsMissing.
        """
        if not url.startswith(("http://", "https://")):
            raise ValueError("the address must start with http:// or https://")
        if bool(access_key_id) != bool(secret_access_key):
            raise CredentialsMissing("an access key needs both, its id and its secret")
        if access_key_id and secret_access_key:
            self._key = Credentials(access_key_id, secret_access_key)
        else:
            self._key = Credentials.find()
        self._timeout_s = timeout_s
        verify = trust(ca_file) if url.startswith("https://") else NOBODY
        try:
            self._http = httpx.Client(
                base_url=url.rstrip("/") + _PREFIX, timeout=timeout_s, verify=verify, transport=transport
            )
        except httpx.InvalidURL:
            raise ValueError("the host, or its port, is malformed") from None

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def call(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        query: Mapping[str, Any] | None = None,
        version: int | None = None,
    ) -> Any:
        """Any operation of REST, by its path below ``/api/v1``; its answer, None if it has none."""
        answer = self._ask(method, path, body, query=query, version=version)
        try:
            return answer.json() if answer.content else None
        except ValueError:
            raise _no_service(answer) from None

    def _ask(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        query: Mapping[str, Any] | None = None,
        version: int | None = None,
    ) -> httpx.Response:
        options: dict[str, Any] = {
            "params": _given(query or {}),
            "headers": {} if version is None else {"if-match": f'"{version}"'},
        }
        if body is not None:
            options["json"] = body
        had_token = self._has_token
        if not had_token:
            self._log_in()
        answer = self._send(method, path, **options)
        if answer.status_code == 401 and had_token:
            # It has expired, or its key has another secret by now.
            self._log_in()
            answer = self._send(method, path, **options)
        return _accepted(answer)

    def _messages(
        self, path: str, *, query: Mapping[str, Any], after: int | None
    ) -> Iterator[tuple[int, dict[str, Any] | None]]:
        """Of a stream of events that begins after that one: id and event of each message; the first has an id only.

        Ends by an error, NoAnswer when it breaks.
        """
        had_token = self._has_token
        if not had_token:
            self._log_in()
        headers = {} if after is None else {"last-event-id": str(after)}
        timeout = httpx.Timeout(self._timeout_s, read=_STREAM_SILENCE_S)
        with (
            self._reaching(),
            self._http.stream("GET", path, params=_given(query), headers=headers, timeout=timeout) as answer,
        ):
            if answer.status_code != 200:
                answer.read()
            if answer.status_code == 401 and had_token:
                del self._http.headers["authorization"]
                yield from self._messages(path, query=query, after=after)
            if not _accepted(answer).headers.get("content-type", "").startswith("text/event-stream"):
                raise _no_service(answer)
            event_id, data = 0, None
            for line in answer.iter_lines():
                name, _, value = line.partition(": ")
                if name == "id":
                    event_id = int(value)
                elif name == "data":
                    data = json.loads(value)
                elif not line and event_id:
                    yield event_id, data
                    event_id, data = 0, None
        raise NoAnswer("the service has ended the stream of events")

    @property
    def _has_token(self) -> bool:
        return "authorization" in self._http.headers

    def _log_in(self) -> None:
        pair = {"access_key_id": self._key.access_key_id, "secret_access_key": self._key.secret_access_key}
        answer = _accepted(self._send("POST", "/tokens", json=pair))
        try:
            token = answer.json()["token"]
        except (ValueError, KeyError, TypeError):
            raise _no_service(answer) from None
        self._http.headers["authorization"] = f"Bearer {token}"

    def _send(self, method: str, path: str, **options: Any) -> httpx.Response:
        with self._reaching():
            return self._http.request(method, path, **options)

    @contextmanager
    def _reaching(self) -> Iterator[None]:
        """Raises NoAnswer for what httpx says of a service that cannot be reached."""
        url = self._http.base_url
        place = f"{url.host}:{url.port}" if url.port else url.host
        try:
            yield
        except httpx.TimeoutException as error:
            raise NoAnswer(f"the service at {place} does not answer") from error
        except httpx.HTTPError as error:
            # The system's message, without its number.
            words = re.sub(r"^\[Errno -?\d+\] ", "", str(error)) or type(error).__name__
            raise NoAnswer(f"the service at {place} cannot be reached: {words}") from error


def _given(query: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in query.items() if value not in (None, "", (), [])}


def _accepted(answer: httpx.Response) -> httpx.Response:
    """The answer. Raises Refused for one that is a refusal."""
    if answer.is_success:
        return answer
    try:
        told = answer.json()["error"]
        code, message, field = str(told["code"]), str(told["message"]), told.get("field")
    except (ValueError, KeyError, TypeError, AttributeError):
        raise _no_service(answer) from None
    wait = answer.headers.get("retry-after", "")
    raise Refused(
        message,
        status=answer.status_code,
        code=code,
        field=field,
        request_id=answer.headers.get("x-request-id", ""),
        retry_after_s=int(wait) if wait.isdecimal() else None,
    )


def _no_service(answer: httpx.Response) -> NoAnswer:
    words = f"it answered with status {answer.status_code}: is this the address of a streamferry service?"
    return NoAnswer(words, status=answer.status_code)
