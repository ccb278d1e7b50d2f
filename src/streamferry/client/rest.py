"""RestService: the service's own API, with all that the compatible one has no fields for.

    from streamferry.client import RestService

    with RestService("http://127.0.0.1:8080", access_key_id, secret_access_key) as service:
        task = service.create_task({"kind": "vod", ...})
        service.insert_file(task["task_id"], "file:///srv/media/news.mp4", after_item=True)

What is given and answered are dicts, typed by ``rest_bodies`` and ``rest_views``; times in them are texts of ISO 8601
with a zone. The docs of REST say what each field means. Not for threads that call at the same time.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self
from urllib.parse import quote

import httpx

from streamferry.client.credentials import Credentials, CredentialsMissing
from streamferry.client.errors import NoAnswer, Refused
from streamferry.client.rest_bodies import DestinationBody, NewTask, TaskPatch
from streamferry.client.rest_views import EventPage, Guide, Task, TaskPage, WindowList, Worker
from streamferry.client.trust import trust

DEFAULT_TIMEOUT_S = 15.0
_PREFIX = "/api/v1"


class RestService:
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
        ``transport``: instead of the network. Raises ValueError for another address, or CredentialsMissing.
        """
        if not url.startswith(("http://", "https://")):
            raise ValueError("the address must start with http:// or https://")
        if bool(access_key_id) != bool(secret_access_key):
            raise CredentialsMissing("an access key needs both, its id and its secret")
        if access_key_id and secret_access_key:
            self._key = Credentials(access_key_id, secret_access_key)
        else:
            self._key = Credentials.find()
        try:
            self._http = httpx.Client(
                base_url=url.rstrip("/") + _PREFIX, timeout=timeout_s, verify=trust(ca_file), transport=transport
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

    def list_tasks(
        self,
        *,
        title: str = "",
        groups: Sequence[str] = (),
        status: Sequence[str] = (),
        state: Sequence[str] = (),
        in_trouble: bool | None = None,
        page: int = 1,
        size: int = 20,
    ) -> TaskPage:
        """A page of the tasks that pass all filters given, newest first."""
        query = {"title": title, "group": groups, "status": status, "state": state, "in_trouble": in_trouble}
        return self.call("GET", "/tasks", query={**query, "page": page, "size": size})  # type: ignore[no-any-return]

    def create_task(self, body: NewTask) -> Task:
        """A new task; it starts by itself at its time."""
        return self._task("POST", "/tasks", body)

    def validate_task(self, body: NewTask) -> None:
        """Raises Refused if such a task could not be created now; nothing is written."""
        self.call("POST", "/tasks/validate", body)

    def get_task(self, task_id: str) -> Task:
        """One task: what is wanted, and under ``run`` what is happening."""
        return self._task("GET", _of(task_id))

    def update_task(self, task_id: str, changes: TaskPatch, *, version: int | None = None) -> Task:
        """Change the fields given. ``version``: only if the task still has it."""
        return self._task("PATCH", _of(task_id), changes, version=version)

    def delete_task(self, task_id: str) -> None:
        """Delete it; a running one is stopped."""
        self.call("DELETE", _of(task_id))

    def stop_task(self, task_id: str) -> Task:
        """It stays stopped until it is continued."""
        return self._task("POST", _of(task_id, "stop"))

    def continue_task(self, task_id: str) -> Task:
        """Go on with a stopped one."""
        return self._task("POST", _of(task_id, "continue"))

    def start_over(self, task_id: str) -> Task:
        """Play it from the beginning."""
        return self._task("POST", _of(task_id, "start_over"))

    def add_destination(self, task_id: str, body: DestinationBody) -> Task:
        """Push to one more; the others do not notice."""
        return self._task("POST", _of(task_id, "destinations"), body)

    def update_destination(self, task_id: str, destination_id: int, changes: DestinationBody) -> Task:
        """Change the fields given of one, or switch it on or off by ``enabled``."""
        return self._task("PATCH", _of(task_id, "destinations", destination_id), changes)

    def remove_destination(self, task_id: str, destination_id: int) -> Task:
        """End the broadcast there."""
        return self._task("DELETE", _of(task_id, "destinations", destination_id))

    def switch_input(self, task_id: str, which: int | Literal["slate"] | None) -> Task:
        """Show that input, 0 for the source, or the slate, from now on; None: what the rules say."""
        return self._task("POST", _of(task_id, "switch"), {"input": which})

    def insert_file(
        self,
        task_id: str,
        url: str,
        *,
        start_s: float = 0.0,
        end_s: float = 0.0,
        at: datetime | None = None,
        after_item: bool = False,
    ) -> Task:
        """Play a file once over what is on air: now, at a time, or after the present item of a list.

        ``inserts`` of the answer has its number. ``end_s``: from the file's start; 0 is the file's end.
        """
        body = {"url": url, "start_s": start_s, "end_s": end_s, "at": _time(at), "after_item": after_item}
        return self._task("POST", _of(task_id, "insert"), body)

    def cancel_insert(self, task_id: str, number: int) -> Task:
        """Do not play a file that waits."""
        return self._task("DELETE", _of(task_id, "inserts", number))

    def skip_item(self, task_id: str) -> Task:
        """Go on with the next item of a list; or end what was inserted."""
        return self._task("POST", _of(task_id, "skip"))

    def list_windows(self, task_id: str, *, limit: int = 50) -> WindowList:
        """When it runs, and what it did in the windows that are over."""
        return self.call("GET", _of(task_id, "windows"), query={"limit": limit})  # type: ignore[no-any-return]

    def show_guide(self, task_id: str, *, at: datetime | None = None, limit: int = 50) -> Guide:
        """What plays from then on, or from now on, if nothing breaks."""
        query = {"at": _time(at), "limit": limit}
        return self.call("GET", _of(task_id, "guide"), query=query)  # type: ignore[no-any-return]

    def show_as_run(self, task_id: str, *, since_at: datetime | None = None, until_at: datetime | None = None) -> str:
        """What was played, as CSV with a head."""
        query = {"since_at": _time(since_at), "until_at": _time(until_at)}
        return self._ask("GET", _of(task_id, "as_run.csv"), query=query).text

    def get_calendar_link(self) -> str:
        """The path, below the service's address, at which calendars subscribe to all windows."""
        return str(self.call("GET", "/calendar_link")["path"])

    def list_events(self, *, task_id: str | None = None, after: int = 0, limit: int = 100) -> EventPage:
        """What happened, oldest first; ``next_after`` of the answer is the next ``after``."""
        query = {"task_id": task_id, "after": after, "limit": limit}
        return self.call("GET", "/events", query=query)  # type: ignore[no-any-return]

    def list_workers(self) -> list[Worker]:
        """Workers that exist, or did in the last hour."""
        return self.call("GET", "/workers")["workers"]  # type: ignore[no-any-return]

    def cordon_worker(self, worker_id: str) -> Worker:
        """It takes no more tasks."""
        return self._worker(worker_id, "cordon")

    def drain_worker(self, worker_id: str) -> Worker:
        """It hands its tasks over, as far as others have a place for them."""
        return self._worker(worker_id, "drain")

    def uncordon_worker(self, worker_id: str) -> Worker:
        """It takes tasks again."""
        return self._worker(worker_id, "uncordon")

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

    def _task(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, *, version: int | None = None
    ) -> Task:
        return self.call(method, path, body, version=version)  # type: ignore[no-any-return]

    def _worker(self, worker_id: str, verb: str) -> Worker:
        path = f"/workers/{quote(worker_id, safe='')}/{verb}"
        return self.call("POST", path)  # type: ignore[no-any-return]

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
            "params": {name: value for name, value in (query or {}).items() if value not in (None, "", (), [])},
            "headers": {} if version is None else {"if-match": f'"{version}"'},
        }
        if body is not None:
            options["json"] = body
        had_token = "authorization" in self._http.headers
        if not had_token:
            self._log_in()
        answer = self._send(method, path, **options)
        if answer.status_code == 401 and had_token:
            # It has expired, or its key has another secret by now.
            self._log_in()
            answer = self._send(method, path, **options)
        return _accepted(answer)

    def _log_in(self) -> None:
        pair = {"access_key_id": self._key.access_key_id, "secret_access_key": self._key.secret_access_key}
        answer = _accepted(self._send("POST", "/tokens", json=pair))
        try:
            token = answer.json()["token"]
        except (ValueError, KeyError, TypeError):
            raise _no_service(answer) from None
        self._http.headers["authorization"] = f"Bearer {token}"

    def _send(self, method: str, path: str, **options: Any) -> httpx.Response:
        try:
            return self._http.request(method, path, **options)
        except httpx.HTTPError as error:
            raise NoAnswer(f"{self._http.base_url.host}: {str(error) or type(error).__name__}") from error


def _of(task_id: str, *parts: str | int) -> str:
    return "/".join(("/tasks", *(quote(str(one), safe="") for one in (task_id, *parts))))


def _time(at: datetime | None) -> str | None:
    if at is not None and at.tzinfo is None:
        raise ValueError("a time needs a zone, as datetime.now(UTC) has one")
    return None if at is None else at.isoformat()


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
    return NoAnswer(f"HTTP status {answer.status_code} without an answer of the API")
