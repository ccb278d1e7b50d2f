"""LiveService and AsyncLiveService: one method per action, named as in the official Python SDK."""

import json
import ssl
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

import httpx

from streamferry.client.credentials import Credentials, CredentialsMissing
from streamferry.client.errors import NoAnswer, make_error
from streamferry.client.models import Model
from streamferry.client.signing import canonical_query, sign_request
from streamferry.client.trust import NOBODY, trust

VERSION = "2023-01-01"
DEFAULT_TIMEOUT_S = 10.0
_REGION = "cn-north-1"
_USER_AGENT = "streamferry-client"

#: What every method takes: the API's fields as a dict, or a model.
Body = Mapping[str, Any] | Model
#: What every method returns: the whole answer, ``ResponseMetadata`` and ``Result`` if there is one.
Answer = dict[str, Any]
_Given = TypeVar("_Given")


class _Methods(ABC, Generic[_Given]):
    """The actions. Each raises ApiError for an error from the service, NoAnswer without one, or CredentialsMissing."""

    #: Of httpx.
    _client_type: type[httpx.Client | httpx.AsyncClient]

    def __init__(
        self,
        host: str,
        ak: str | None = None,
        sk: str | None = None,
        *,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        ca_file: str | Path | None = None,
    ) -> None:
        """``host``: ``name[:port]``, for https, or with its scheme: ``http://127.0.0.1:8080``.

        Without ``ak`` and ``sk`` the key is found where the official SDK finds it, unless it is set before the first
        call. ``timeout_s`` bounds connecting, and each wait for bytes. ``ca_file``: PEM file of the authorities to
        trust; without it those of REQUESTS_CA_BUNDLE or CURL_CA_BUNDLE, else the usual public ones.
        """
        self._timeouts: dict[str, float | None] = httpx.Timeout(timeout_s).as_dict()
        self._scheme, self._host = "https", ""
        self._given = Credentials(ak or "", sk or "")
        self._ca_file = ca_file
        #: Clients of httpx by scheme.
        self._clients: dict[str, Any] = {}
        self.set_host(host)
        # A file that cannot be used is told at once.
        self._trust()

    def set_host(self, host: str) -> None:
        """Use another host. Raises ValueError if it is not one."""
        scheme, separator, name = host.rpartition("://")
        try:
            httpx.URL(f"http://{name}")
        except httpx.InvalidURL:
            raise ValueError("the host, or its port, is malformed") from None
        if separator:
            self.set_scheme(scheme)
        self._host = name.rstrip("/")

    def set_scheme(self, scheme: str) -> None:
        """``http`` or ``https``. Raises ValueError for others."""
        if scheme not in ("http", "https"):
            raise ValueError(f"the scheme must be http or https, not {scheme}")
        self._scheme = scheme

    def set_ak(self, ak: str) -> None:
        """Use another access key id."""
        self._given = replace(self._given, access_key_id=ak)

    def set_sk(self, sk: str) -> None:
        """Use another secret."""
        self._given = replace(self._given, secret_access_key=sk)

    def set_session_token(self, session_token: str) -> None:
        """Use the token of a temporary key."""
        self._given = replace(self._given, session_token=session_token)

    def set_connection_timeout(self, seconds: float) -> None:
        """Set how long connecting may take."""
        self._timeouts = {**self._timeouts, "connect": seconds}

    def set_socket_timeout(self, seconds: float) -> None:
        """Set how long a single wait for bytes may take."""
        self._timeouts = {**self._timeouts, "read": seconds, "write": seconds}

    def create_pull_to_push_task(self, body: Body) -> _Given:
        """Create a task; its id is in ``["Result"]["TaskId"]``."""
        return self._post("CreatePullToPushTask", body)

    def update_pull_to_push_task(self, body: Body) -> _Given:
        """Change a task, even while it runs."""
        return self._post("UpdatePullToPushTask", body)

    def delete_pull_to_push_task(self, body: Body) -> _Given:
        """Delete a task; a running one is stopped."""
        return self._post("DeletePullToPushTask", body)

    def stop_pull_to_push_task(self, body: Body) -> _Given:
        """Disable a task."""
        return self._post("StopPullToPushTask", body)

    def restart_pull_to_push_task(self, body: Body) -> _Given:
        """Enable a stopped task: the older name of continue."""
        return self._post("RestartPullToPushTask", body)

    def continue_pull_to_push_task(self, body: Body) -> _Given:
        """Enable a stopped task; a VOD list resumes as its ContinueStrategy says."""
        return self._post("ContinuePullToPushTask", body)

    def relaunch_pull_to_push_task(self, body: Body) -> _Given:
        """Push a task again from the very beginning."""
        return self._post("RelaunchPullToPushTask", body)

    def list_pull_to_push_task(self, query: Mapping[str, Any] | None = None) -> _Given:
        """A page of tasks, newest first: Page, Size, Title."""
        return self._get("ListPullToPushTask", query or {})

    def list_pull_to_push_task_v2(self, body: Body | None = None) -> _Given:
        """A page of the tasks of some groups: GroupNames, Title, Page, Size."""
        return self._post("ListPullToPushTaskV2", body or {})

    def create_pull_to_push_group(self, body: Body) -> _Given:
        """Create a group: Name, ProjectName, Tags."""
        return self._post("CreatePullToPushGroup", body)

    def update_pull_to_push_group(self, body: Body) -> _Given:
        """Replace the tags of a group."""
        return self._post("UpdatePullToPushGroup", body)

    def delete_pull_to_push_group(self, body: Body) -> _Given:
        """Delete an empty group."""
        return self._post("DeletePullToPushGroup", body)

    def list_pull_to_push_group(self, body: Body) -> _Given:
        """A page of groups: PageNum, PageSize, StatusList."""
        return self._post("ListPullToPushGroup", body)

    def describe_live_pull_to_push_data(self, body: Body) -> _Given:
        """Minutes for which tasks streamed: StartTime, EndTime, Aggregation, GroupList, DetailField."""
        return self._post("DescribeLivePullToPushData", body)

    def describe_live_pull_to_push_bandwidth_data(self, body: Body) -> _Given:
        """Bandwidth of what was pushed, in Mbps."""
        return self._post("DescribeLivePullToPushBandwidthData", body)

    def _get(self, action: str, query: Mapping[str, Any]) -> _Given:
        texts = {key: str(value) for key, value in query.items() if value is not None}
        return self._send(self._signed("GET", action, texts, b""))

    def _post(self, action: str, body: Body) -> _Given:
        fields = body.to_body() if isinstance(body, Model) else body
        return self._send(self._signed("POST", action, {}, json.dumps(fields).encode()))

    def _signed(self, method: str, action: str, parameters: Mapping[str, str], body: bytes) -> httpx.Request:
        query = {**parameters, "Action": action, "Version": VERSION}
        url = httpx.URL(f"{self._scheme}://{self._host}/?{canonical_query(query)}")
        host = url.netloc.decode()
        headers = sign_request(
            self._find_credentials(),
            method=method,
            host=host,
            query=query,
            body=body,
            region=_REGION,
            now=datetime.now(UTC),
        )
        headers |= {"host": host, "accept": "application/json", "user-agent": _USER_AGENT}
        return httpx.Request(method, url, headers=headers, content=body, extensions={"timeout": self._timeouts})

    def _find_credentials(self) -> Credentials:
        given = self._given
        if given.access_key_id and given.secret_access_key:
            return given
        if given.access_key_id or given.secret_access_key:
            raise CredentialsMissing("an access key needs both, ak and sk")
        return replace(Credentials.find(), session_token=given.session_token)

    def _client(self) -> Any:
        """That of httpx for the scheme of now."""
        if self._scheme not in self._clients:
            self._clients[self._scheme] = self._client_type(verify=self._trust())
        return self._clients[self._scheme]

    def _trust(self) -> ssl.SSLContext:
        """For the scheme of now."""
        return self._trusted if self._scheme == "https" else NOBODY

    @cached_property
    def _trusted(self) -> ssl.SSLContext:
        return trust(self._ca_file)

    @abstractmethod
    def _send(self, request: httpx.Request) -> _Given:
        """Send a signed request and read the answer."""


class LiveService(_Methods[Answer]):
    """Calls the API and waits for the answer. Use it as a context manager, or close it, to close its connections."""

    _client_type = httpx.Client

    def close(self) -> None:
        """Close the connections."""
        for one in self._clients.values():
            one.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _send(self, request: httpx.Request) -> Answer:
        try:
            return _read_answer(self._client().send(request))
        except httpx.HTTPError as error:
            raise _no_answer(request, error) from error


class AsyncLiveService(_Methods[Awaitable[Answer]]):
    """The same for asyncio."""

    _client_type = httpx.AsyncClient

    async def aclose(self) -> None:
        """Close the connections."""
        for one in self._clients.values():
            await one.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def _send(self, request: httpx.Request) -> Answer:
        try:
            return _read_answer(await self._client().send(request))
        except httpx.HTTPError as error:
            raise _no_answer(request, error) from error


def _no_answer(request: httpx.Request, error: httpx.HTTPError) -> NoAnswer:
    return NoAnswer(f"{request.url.host}: {str(error) or type(error).__name__}")


def _read_answer(response: httpx.Response) -> Answer:
    """The answer. An error in it is raised whatever the status, and an error status even without one."""
    try:
        answer: Answer = response.json()
        metadata = answer["ResponseMetadata"]
        error = metadata.get("Error")
        if error is None and response.is_success:
            return answer
        told = error or {}
        raise make_error(
            str(told.get("Message", "")),
            code=str(told.get("Code", "")),
            code_n=int(told.get("CodeN") or 0),
            request_id=str(metadata.get("RequestId", "")),
            status=response.status_code,
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        raise NoAnswer(f"HTTP status {response.status_code} without an answer of the API") from None
