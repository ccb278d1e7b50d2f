"""The client of REST over the real application: each method reaches its operation and gives what that answers."""

import asyncio
import contextlib
import inspect
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from rest_api import Rest, new_task

from streamferry.client import CredentialsMissing, NoAnswer, Refused, RestService

pytestmark = pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
SLATE = {"kind": "card", "title": "Back soon"}
DAILY = {"rule": "FREQ=DAILY;COUNT=3", "time_zone": "UTC"}


class Bridge(httpx.BaseTransport):
    """Carries calls of another thread to an application in the loop of the test. ``answers`` come before its own."""

    def __init__(self, rest: Rest) -> None:
        self._asgi = rest.client._transport
        self._loop = asyncio.get_running_loop()
        self.asked: list[str] = []
        self.answers: list[httpx.Response | httpx.HTTPError] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(f"{request.method} {request.url.path.removeprefix('/api/v1')}")
        if self.answers:
            answer = self.answers.pop(0)
            if isinstance(answer, httpx.HTTPError):
                raise answer
            return answer
        return asyncio.run_coroutine_threadsafe(self._ask(request), self._loop).result()

    async def _ask(self, request: httpx.Request) -> httpx.Response:
        sent = httpx.Request(request.method, request.url, headers=request.headers, content=request.read())
        answer = await self._asgi.handle_async_request(sent)
        return httpx.Response(answer.status_code, headers=answer.headers, content=await answer.aread())


@pytest.fixture
async def bridge(rest: Rest) -> Bridge:
    return Bridge(rest)


@pytest.fixture
def call(rest: Rest, bridge: Bridge) -> Callable[..., Awaitable[Any]]:
    """``await call("get_task", task_id)`` calls that method in a thread."""
    service = RestService("http://rest", rest.key.access_key_id, rest.key.secret, transport=bridge)

    async def call(name: str, *arguments: Any, **named: Any) -> Any:
        return await asyncio.to_thread(getattr(service, name), *arguments, **named)

    return call


async def test_a_task_through_its_life(call: Callable[..., Awaitable[Any]]) -> None:
    """Made, changed, shown, ordered about, deleted."""
    await call("validate_task", new_task())
    task_id = (await call("create_task", new_task(title="News", slate=SLATE)))["task_id"]
    page = await call("list_tasks", title="News", status=["not_started"], in_trouble=False)
    assert [one["task_id"] for one in page["tasks"]] == [task_id]
    changed = await call("update_task", task_id, {"note": "by hand"}, version=1)
    assert (changed["note"], changed["version"]) == ("by hand", 2)
    with pytest.raises(Refused, match="version") as refused:
        await call("update_task", task_id, {"note": "late"}, version=1)
    assert (refused.value.status, refused.value.code) == (412, "version_conflict")
    assert (await call("switch_input", task_id, "slate"))["pinned"] == "slate"
    assert (await call("switch_input", task_id, None))["pinned"] is None
    at = datetime.now(UTC) + timedelta(minutes=20)
    await call("insert_file", task_id, "https://h.example/ad.mp4", start_s=1, end_s=2.5, at=at)
    waiting = (await call("insert_file", task_id, "https://h.example/news.mp4", after_item=True))["inserts"]
    assert {(one["at"] is None, one["end_s"]) for one in waiting} == {(True, 0.0), (False, 2.5)}
    number = next(one["number"] for one in waiting if one["at"] is None)
    assert len((await call("cancel_insert", task_id, number))["inserts"]) == 1
    assert (await call("skip_item", task_id))["task_id"] == task_id
    assert (await call("stop_task", task_id))["enabled"] is False
    assert (await call("continue_task", task_id))["enabled"] is True
    assert (await call("start_over", task_id))["enabled"] is True
    told = await call("list_events", task_id=task_id)
    assert told["events"][0]["kind"] == "created"
    await call("delete_task", task_id)
    with pytest.raises(Refused) as refused:
        await call("get_task", task_id)
    assert (refused.value.status, refused.value.code) == (404, "task_not_found")
    assert refused.value.request_id


async def test_destinations_come_and_go(call: Callable[..., Awaitable[Any]]) -> None:
    """By their numbers."""
    source = [{"url": "rtmp://cam.example/live/a"}]
    task_id = (await call("create_task", new_task(kind="live", sources=source)))["task_id"]
    more = await call("add_destination", task_id, {"to": "rtmp://two.example/live/b", "name": "Two"})
    assert [one["id"] for one in more["destinations"]] == [1, 2]
    off = await call("update_destination", task_id, 2, {"enabled": False})
    assert [one["enabled"] for one in off["destinations"]] == [True, False]
    assert [one["id"] for one in (await call("remove_destination", task_id, 2))["destinations"]] == [1]


async def test_when_it_runs_and_what_plays(call: Callable[..., Awaitable[Any]], rest: Rest) -> None:
    """Windows, guide, log, and an address that calendars can read."""
    task_id = (await call("create_task", new_task(series=DAILY)))["task_id"]
    assert len((await call("list_windows", task_id, limit=2))["upcoming"]) == 2
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    entries = (await call("show_guide", task_id, at=tomorrow, limit=1))["entries"]
    assert [(one["item"], one["loop"]) for one in entries] == [(0, 0)]
    assert (await call("show_as_run", task_id, since_at=tomorrow)).startswith("start,end,")
    link = await call("get_calendar_link")
    assert link.startswith("/api/v1/calendar.ics?token=")
    answer = await rest.client.get(f"http://rest{link}", headers={"authorization": ""})
    assert answer.text.startswith("BEGIN:VCALENDAR")
    with pytest.raises(ValueError, match="zone"):
        await call("show_guide", task_id, at=datetime(2026, 12, 1))


async def test_workers_are_cordoned_and_drained(call: Callable[..., Awaitable[Any]]) -> None:
    """One that is not there is refused by a sentence, whatever its name has in it."""
    assert await call("list_workers") == []
    for name in ("cordon_worker", "drain_worker", "uncordon_worker"):
        with pytest.raises(Refused) as refused:
            await call(name, "no/such one")
        assert refused.value.status == 404


async def test_a_wrong_field_is_named(call: Callable[..., Awaitable[Any]]) -> None:
    """As the service names it; nothing secret is in the words."""
    with pytest.raises(Refused) as refused:
        await call("create_task", new_task(sources=[{"url": "ftp://h.example/planted-key"}]))
    assert (refused.value.status, refused.value.field) == (422, "sources[0].url")
    assert "planted-key" not in str(refused.value)


async def test_a_token_that_has_expired_is_renewed(call: Callable[..., Awaitable[Any]], bridge: Bridge) -> None:
    """Once, without the caller noticing; a key that is no longer good is told."""
    await call("list_tasks")
    assert bridge.asked == ["POST /tokens", "GET /tasks"]
    bridge.answers.append(httpx.Response(401, json={"error": {"code": "token_expired", "message": "expired"}}))
    await call("list_tasks")
    assert bridge.asked[2:] == ["GET /tasks", "POST /tokens", "GET /tasks"]


async def test_what_is_no_answer_of_a_service_is_told(
    call: Callable[..., Awaitable[Any]], bridge: Bridge, rest: Rest
) -> None:
    """A page of a proxy, nothing at all, a wrong key."""
    await call("list_tasks")
    for odd in (httpx.Response(502, text="<html>"), httpx.Response(200, text="<html>"), httpx.ConnectError("refused")):
        bridge.answers.append(odd)
        with pytest.raises(NoAnswer):
            await call("list_workers")
    busy = {"error": {"code": "too_many", "message": "wait"}}
    bridge.answers.append(httpx.Response(429, json=busy, headers={"retry-after": "7"}))
    with pytest.raises(Refused) as refused:
        await call("list_workers")
    assert refused.value.retry_after_s == 7
    wrong = RestService("http://rest", rest.key.access_key_id, "not-the-secret", transport=bridge)
    with pytest.raises(Refused, match="wrong_key") as refused:
        await asyncio.to_thread(wrong.list_workers)
    assert "not-the-secret" not in str(refused.value)


async def test_no_operation_is_called_that_there_is_not(rest: Rest, bridge: Bridge) -> None:
    """Every method that has one reaches an operation of the document, whatever that answers."""
    paths = rest.app.openapi()["paths"]
    service = RestService("http://rest", rest.key.access_key_id, rest.key.secret, transport=bridge)
    given = {"task_id": "0" * 32, "worker_id": "a", "destination_id": 1, "number": 1, "url": "x", "which": None}
    for name, method in inspect.getmembers(service, inspect.ismethod):
        if name.startswith("_") or name in ("call", "close", "follow_events"):
            continue
        needed = [one.name for one in inspect.signature(method).parameters.values() if one.default is one.empty]
        bridge.asked.clear()
        with contextlib.suppress(Refused):
            await asyncio.to_thread(method, *[given.get(one, {}) for one in needed])
        verb, _, path = bridge.asked[-1].partition(" ")
        assert any(_fits(path, one) and verb.lower() in there for one, there in paths.items()), (name, path)


def _fits(path: str, template: str) -> bool:
    pairs = list(zip(path.split("/"), template.split("/"), strict=False))
    return path.count("/") == template.count("/") and all(a == b or b.startswith("{") for a, b in pairs)


def test_an_address_and_a_key_are_checked_at_once(store_url: str) -> None:
    """With what is wrong."""
    for url, key, error in (
        ("ftp://h", ("a", "b"), ValueError),
        ("http://h:port", ("a", "b"), ValueError),
        ("http://h", ("a", None), CredentialsMissing),
    ):
        with pytest.raises(error):
            RestService(url, *key)
