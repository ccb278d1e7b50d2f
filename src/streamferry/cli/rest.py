"""RestClient: the service's REST API as the commands call it, over httpx. Not the SDK, which speaks the other API.

The key is looked up where the SDK looks it up, or else asked for at a terminal; it is never an argument.
"""

import contextlib
import json
import re
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import httpx
import typer

from streamferry.client.credentials import Credentials, CredentialsMissing
from streamferry.client.trust import trust

_TIMEOUT_S = 15.0
#: The service sends a line at least every ten seconds.
_STREAM_SILENCE_S = 30.0
#: Statuses of a service, or of a proxy before it, that is back in a while; 0: it could not be reached.
_PASSING = (0, 429, 502, 503, 504)


class Refused(Exception):
    """The service refused, with a sentence. ``status`` is that of HTTP; 0 when the service could not be reached."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def find_credentials() -> Credentials:
    """As the SDK finds them, otherwise asked for at the terminal. Raises CredentialsMissing."""
    try:
        return Credentials.find()
    except CredentialsMissing:
        if not sys.stdin.isatty():
            raise
    key_id = typer.prompt("access key id", err=True)
    return Credentials(key_id, typer.prompt("secret access key", hide_input=True, err=True))


class RestClient:
    """Calls one service. The first call gets a token, which is renewed when it has expired."""

    def __init__(self, url: str, credentials: Credentials) -> None:
        """Raises ValueError for an invalid address, or a file of authorities that cannot be read."""
        if not url.startswith(("http://", "https://")):
            raise ValueError("--url: must start with http:// or https://")
        self._credentials = credentials
        try:
            verify = trust(None) if url.startswith("https://") else True
            self._http = httpx.Client(base_url=url.rstrip("/") + "/api/v1", timeout=_TIMEOUT_S, verify=verify)
        except httpx.InvalidURL:
            raise ValueError("--url: has a malformed host or port") from None
        except OSError as error:
            raise ValueError(
                f"REQUESTS_CA_BUNDLE or CURL_CA_BUNDLE: cannot be used: {error.strerror or error}"
            ) from None

    def __enter__(self) -> "RestClient":
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def call(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        query: Mapping[str, Any] | None = None,
        version: int | None = None,
    ) -> Any:
        """The result; None if the call has none. ``version``: only if the task still has it. Raises Refused."""
        headers = {} if version is None else {"if-match": f'"{version}"'}
        answer = self._ask(method, path, json=body, params=_given(query or {}), headers=headers)
        return answer.json() if answer.content else None

    def read_text(self, path: str, query: Mapping[str, Any]) -> str:
        """A result that is a text. Raises Refused."""
        return self._ask("GET", path, params=_given(query)).text

    def _ask(self, method: str, path: str, **options: Any) -> httpx.Response:
        for is_last in (False, True):
            if "authorization" not in self._http.headers:
                self._log_in()
            answer = self._send(method, path, **options)
            if answer.status_code != 401 or is_last:
                break
            del self._http.headers["authorization"]
        _raise_refusal(answer)
        return answer

    def follow(self, task_id: str | None, after: int | None) -> Iterator[dict[str, Any]]:
        """Events as they happen, without end; a stream that breaks is resumed after the last event seen.

        Raises Refused if it cannot be had at first: an address that is wrong stays so.
        """
        from time import sleep

        has_begun, failures = False, 0
        while True:
            had_token = "authorization" in self._http.headers
            try:
                for event_id, data in self._stream(task_id, after):
                    after, has_begun, failures = event_id, True, 0
                    if data is not None:
                        yield data
            except Refused as refused:
                if refused.status == 401 and had_token:
                    del self._http.headers["authorization"]  # it has expired
                    continue
                if not has_begun or refused.status not in _PASSING:
                    raise
            failures += 1
            sleep(min(0.5 * 2**failures, 10.0))

    def _stream(self, task_id: str | None, after: int | None) -> Iterator[tuple[int, dict[str, Any] | None]]:
        """Cursor and event of each message; the first has a cursor only. Raises Refused, also when it breaks."""
        if "authorization" not in self._http.headers:
            self._log_in()
        headers = {} if after is None else {"last-event-id": str(after)}
        timeout = httpx.Timeout(_TIMEOUT_S, read=_STREAM_SILENCE_S)
        query = _given({"task_id": task_id})
        with (
            self._reaching(),
            self._http.stream("GET", "/events/stream", params=query, headers=headers, timeout=timeout) as answer,
        ):
            if answer.status_code != 200:
                answer.read()
            _raise_refusal(answer)
            if not answer.headers.get("content-type", "").startswith("text/event-stream"):
                raise Refused(answer.status_code, _no_service(answer))
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
        raise Refused(0, "the service has ended the stream of events")

    def _log_in(self) -> None:
        pair = {
            "access_key_id": self._credentials.access_key_id,
            "secret_access_key": self._credentials.secret_access_key,
        }
        answer = self._send("POST", "/tokens", json=pair)
        _raise_refusal(answer)
        try:
            token = answer.json()["token"]
        except (ValueError, KeyError, TypeError):
            raise Refused(answer.status_code, _no_service(answer)) from None
        self._http.headers["authorization"] = f"Bearer {token}"

    def _send(self, method: str, path: str, **options: Any) -> httpx.Response:
        with self._reaching():
            return self._http.request(method, path, **options)

    @contextlib.contextmanager
    def _reaching(self) -> Iterator[None]:
        """Raises Refused for what httpx says of a service that cannot be reached."""
        try:
            yield
        except httpx.TimeoutException:
            raise Refused(0, f"the service at {self._http.base_url.host} does not answer") from None
        except httpx.HTTPError as error:
            place = f"{self._http.base_url.host}:{self._http.base_url.port or ''}".rstrip(":")
            raise Refused(0, f"the service at {place} cannot be reached: {_words(error)}") from None


def _words(error: httpx.HTTPError) -> str:
    """The system's message, without its number."""
    return re.sub(r"^\[Errno -?\d+\] ", "", str(error))


def _given(query: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in query.items() if value not in (None, "", [])}


def _raise_refusal(answer: httpx.Response) -> None:
    if answer.is_success:
        return
    try:
        message = str(answer.json()["error"]["message"])
    except (ValueError, KeyError, TypeError):
        message = _no_service(answer)
    raise Refused(answer.status_code, message)


def _no_service(answer: httpx.Response) -> str:
    return f"it answered with status {answer.status_code}: is this the address of a streamferry service?"
