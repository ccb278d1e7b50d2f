"""RestService: the service's own API, with all that the compatible one has no fields for.

    from streamferry.client import RestService

    with RestService("http://127.0.0.1:8080", access_key_id, secret_access_key) as service:
        task = service.create_task({"kind": "vod", ...})
        service.insert_file(task["task_id"], "file:///srv/media/news.mp4", after_item=True)

What is given and answered are dicts, typed by ``rest_bodies`` and ``rest_views``; times in them are texts of ISO 8601
with a zone. The docs of REST say what each field means. Not for threads that call at the same time.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal
from urllib.parse import quote

from streamferry.client.errors import NoAnswer, Refused
from streamferry.client.rest_bodies import DestinationBody, NewTask, TaskPatch
from streamferry.client.rest_calls import RestCalls
from streamferry.client.rest_views import Event, EventPage, Guide, Task, TaskPage, WindowList, Worker

#: Statuses of a service, or of a proxy before it, that is back in a while; 0: nothing was answered.
_PASSING = (0, 429, 502, 503, 504)
_MAX_PAUSE_S = 10.0


class RestService(RestCalls):
    """Each method raises Refused with the service's sentence, or NoAnswer.

    The first call gets a token for the key, which is renewed when it has expired.
    """

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

    def follow_events(self, *, task_id: str | None = None, after: int | None = None) -> Iterator[Event]:
        """Events as they happen, without end: all after that one, or from now on.

        A stream that breaks is taken up again after the last event that was seen. Raises if it cannot be had at first:
        an address that is wrong stays so.
        """
        has_begun, failures = False, 0
        while True:
            try:
                for event_id, event in self._messages("/events/stream", query={"task_id": task_id}, after=after):
                    after, has_begun, failures = event_id, True, 0
                    if event is not None:
                        yield event  # type: ignore[misc]
            except (NoAnswer, Refused) as error:
                if not has_begun or error.status not in _PASSING:
                    raise
            failures += 1
            time.sleep(min(0.5 * 2**failures, _MAX_PAUSE_S))

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

    def _task(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, *, version: int | None = None
    ) -> Task:
        return self.call(method, path, body, version=version)  # type: ignore[no-any-return]

    def _worker(self, worker_id: str, verb: str) -> Worker:
        path = f"/workers/{quote(worker_id, safe='')}/{verb}"
        return self.call("POST", path)  # type: ignore[no-any-return]


def _of(task_id: str, *parts: str | int) -> str:
    return "/".join(("/tasks", *(quote(str(one), safe="") for one in (task_id, *parts))))


def _time(at: datetime | None) -> str | None:
    if at is not None and at.tzinfo is None:
        raise ValueError("a time needs a zone, as datetime.now(UTC) has one")
    return None if at is None else at.isoformat()
