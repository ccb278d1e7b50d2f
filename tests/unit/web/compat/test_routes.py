"""The API from outside: every action over a real store, the envelope, the gates and their order."""

import asyncio
import base64
import contextlib
import hashlib
import hmac
import json
import re
import struct
import time
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from bucket_time import BucketTime
from fastapi import FastAPI
from signed_api import FILES, KEY, NO_LIMITS, Api, make_api

from streamferry.client import Credentials
from streamferry.control.actions import Actions
from streamferry.store import SealBroken, Store
from streamferry.store.schema import usage
from streamferry.web.compat.operations import OPERATIONS
from streamferry.web.compat.routes import ApiSettings, build_router
from streamferry.web.rate_limits import Kind, Rates

# Both databases are under test in the store's own tests; here one is enough.
pytestmark = pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
NO_TASK = "0" * 32


def live(**fields: object) -> dict[str, Any]:
    """A live task of the next hour with a destination of its own."""
    now = int(time.time())
    return {
        "StartTime": now + 600,
        "EndTime": now + 4200,
        "Type": 0,
        "SrcAddr": "http://src.example/a.flv",
        "DstAddr": f"rtmp://dst.example/app/key-{time.monotonic_ns()}",
        **fields,
    }


async def create(api: Api, **fields: object) -> str:
    return str((await api.call("CreatePullToPushTask", live(**fields)))["TaskId"])


async def test_a_task_from_birth_to_death(api: Api) -> None:
    """Create, list, update, stop, restart, stop, continue, relaunch, delete."""
    task_id = await create(api, Title="拉流1")
    assert len(task_id) == 32
    assert (await api.task(task_id))["Status"] == "未开始"
    await api.call("UpdatePullToPushTask", {"TaskId": task_id, "Title": "renamed"})
    assert (await api.task(task_id))["Title"] == "renamed"
    for action, status in (
        ("StopPullToPushTask", "停用"),
        ("RestartPullToPushTask", "未开始"),
        ("StopPullToPushTask", "停用"),
        ("ContinuePullToPushTask", "未开始"),
        ("RelaunchPullToPushTask", "未开始"),
    ):
        assert await api.call(action, {"TaskId": task_id}) is None
        assert (await api.task(task_id))["Status"] == status, action
    await api.call("DeletePullToPushTask", {"TaskId": task_id})
    assert (await api.refusal("StopPullToPushTask", {"TaskId": task_id}))["Code"] == "InvalidParam"


async def test_the_envelope_has_its_keys_in_order(api: Api) -> None:
    """Metadata first; no Result where an action has none; errors inside the metadata."""
    response = await api.raw("ListPullToPushTask", b"{}")
    assert list(response.json()) == ["ResponseMetadata", "Result"]
    assert list(response.json()["ResponseMetadata"]) == ["RequestId", "Action", "Version", "Service", "Region"]
    assert response.headers["content-type"] == "application/json"
    task_id = await create(api)
    response = await api.raw("DeletePullToPushTask", json.dumps({"TaskId": task_id}).encode())
    assert list(response.json()) == ["ResponseMetadata"]
    metadata = (await api.raw("StopPullToPushTask", b"{}")).json()["ResponseMetadata"]
    assert list(metadata["Error"]) == ["CodeN", "Code", "Message"]
    assert metadata["Error"]["Message"] == "TaskId: is required"
    assert metadata["RequestId"][:2] == "20"
    assert len(metadata["RequestId"]) == 34


async def test_the_list_comes_by_get_and_by_post(api: Api) -> None:
    """With parameters in the query or in the body, and with an empty body under a JSON content type."""
    for number in range(3):
        await create(api, Title=f"Doc{number}")
    by_query = await api.raw("ListPullToPushTask", b"", method="GET", query={"Page": "1", "Size": "2", "Title": "doc"})
    by_body = await api.raw("ListPullToPushTask", json.dumps({"Page": 1, "Size": 2, "Title": "doc"}).encode())
    by_query_of_post = await api.raw("ListPullToPushTask", b"", query={"Page": "1", "Size": "2", "Title": "doc"})
    assert by_query.json()["Result"] == by_body.json()["Result"] == by_query_of_post.json()["Result"]
    result = by_query.json()["Result"]
    assert [one["Title"] for one in result["List"]] == ["Doc2", "Doc1"]
    assert result["Pagination"] == {"PageCur": 1, "PageSize": 2, "PageTotal": 2, "TotalCount": 3}


@pytest.mark.parametrize("action", ["ListPullToPushTask", "ListPullToPushTaskV2"])
async def test_every_task_is_on_one_page(api: Api, action: str) -> None:
    """Newest first; the last page is short, the one behind it empty, and the counts are those of all pages."""
    made = [await create(api) for _ in range(5)]
    seen = []
    for page, count in ((1, 2), (2, 2), (3, 1), (4, 0)):
        found = await api.call(action, {"Page": page, "Size": 2})
        assert found["Pagination"] == {"PageCur": page, "PageSize": 2, "PageTotal": 3, "TotalCount": 5}
        assert len(found["List"]) == count
        seen += [one["TaskId"] for one in found["List"]]
    assert seen == made[::-1]


@pytest.mark.parametrize("action", ["ListPullToPushTask", "ListPullToPushTaskV2"])
async def test_a_title_search_is_of_letters(api: Api, action: str) -> None:
    """In any case, anywhere in the title; what a database reads as a pattern stands for itself, and is in no title."""
    for title in ("Doc1", "mydoc", "直播doc直播", "other", ""):
        await create(api, Title=title)

    async def found(title: str) -> list[str]:
        listed = await api.call(action, {"Title": title})
        assert listed["Pagination"]["TotalCount"] == len(listed["List"])
        return [one["Title"] for one in listed["List"]]

    assert await found("DOC") == ["直播doc直播", "mydoc", "Doc1"]
    assert await found("播d") == ["直播doc直播"]
    for pattern in ("%", "_", "d_c", "d%c", "\\", "/", "*", "'", "doc%", "[a-z]"):
        assert await found(pattern) == [], pattern
    assert len(await found("")) == 5


async def test_tasks_are_found_by_their_groups(api: Api) -> None:
    """Any of those that are named, together with a title; a group that is not there holds nothing."""
    for name in ("one", "two"):
        await api.call("CreatePullToPushGroup", {"Name": name, "ProjectName": "p"})
    made = {name: await create(api, GroupName=name, Title=f"t{name}") for name in ("one", "two", "default")}

    async def found(**body: object) -> set[str]:
        return {one["TaskId"] for one in (await api.call("ListPullToPushTaskV2", body))["List"]}

    assert await found() == await found(GroupNames=[]) == set(made.values())
    assert await found(GroupNames=["one", "default"]) == {made["one"], made["default"]}
    assert await found(GroupNames=["one", "two"], Title="TWO") == {made["two"]}
    assert await found(GroupNames=["none"]) == await found(GroupNames=["%"]) == set()
    by_get = await api.raw("ListPullToPushTask", b"", method="GET", query={"GroupName": "two"})
    assert [one["TaskId"] for one in by_get.json()["Result"]["List"]] == [made["two"]]


@pytest.mark.parametrize("action", ["ListPullToPushTask", "ListPullToPushTaskV2"])
async def test_pages_are_checked(api: Api, action: str) -> None:
    """1 and above, 1 to 500."""
    for field, value in (("Page", -1), ("Page", 2**31), ("Size", -1), ("Size", 501), ("Title", "a" * 101)):
        error = await api.refusal(action, {field: value})
        assert error["Message"].startswith(f"{field}: ")
        assert error["Code"] == "InvalidParam"
    for value in ("x", False, 0.0):
        error = await api.refusal(action, {"Page": value})
        assert "Page: " in error["Message"]
        assert error["Code"] == "InvalidParam.BindError"
    assert (await api.call(action, {"Page": 2**31 - 1, "Size": 500}))["List"] == []


async def test_a_page_of_0_is_one_that_was_not_asked_for(api: Api) -> None:
    """The old typed Go client sends 0 for what its caller left out: the first page of the usual size."""
    made = [await create(api) for _ in range(21)]
    for action in ("ListPullToPushTask", "ListPullToPushTaskV2"):
        listed = await api.call(action, {"Page": 0, "Size": 0, "Title": ""})
        assert listed["Pagination"] == {"PageCur": 1, "PageSize": 20, "PageTotal": 2, "TotalCount": 21}
        assert [one["TaskId"] for one in listed["List"]] == made[:0:-1]
    by_query = await api.raw("ListPullToPushTask", b"", method="GET", query={"Page": "0", "Size": "0"})
    assert by_query.json()["Result"]["Pagination"] == listed["Pagination"]
    groups = await api.call("ListPullToPushGroup", {"PageNum": 0, "PageSize": 0})
    assert [one["Name"] for one in groups["List"]] == ["default"]
    for field, value in (("PageNum", -1), ("PageNum", 1001), ("PageSize", -1), ("PageSize", 1001), ("PageSize", None)):
        error = await api.refusal("ListPullToPushGroup", {"PageNum": 1, "PageSize": 1, field: value})
        assert error["Message"].startswith(f"{field}: ")


async def test_groups(api: Api) -> None:
    """Create, list, tag, use, and delete when empty; the errors name the field."""
    await api.call("CreatePullToPushGroup", {"Name": "group1", "ProjectName": "default"})
    assert "Name" in (await api.refusal("CreatePullToPushGroup", {"Name": "group1", "ProjectName": "p"}))["Message"]
    tag = {"Category": "Custom", "Key": "k", "Value": "v"}
    await api.call("UpdatePullToPushGroup", {"Name": "group1", "Tags": [tag]})
    listed = await api.call("ListPullToPushGroup", {"PageNum": 1, "PageSize": 10})
    assert {"Name": "group1", "ProjectName": "default", "Status": 0, "Tags": [tag]} in listed["List"]
    assert listed["Total"] == len(listed["List"]) == 2
    task_id = await create(api, GroupName="group1")
    other = await create(api)
    found = await api.call("ListPullToPushTaskV2", {"GroupNames": ["group1"]})
    assert [one["TaskId"] for one in found["List"]] == [task_id]
    assert found["List"][0]["GroupName"] == "group1"
    assert "Name" in (await api.refusal("DeletePullToPushGroup", {"Name": "group1"}))["Message"]
    assert "GroupName" in (await api.refusal("StopPullToPushTask", {"TaskId": other, "GroupName": "group1"}))["Message"]
    moved = await api.refusal("UpdatePullToPushTask", {"TaskId": other, "GroupName": "group1"})
    assert "GroupName" in moved["Message"]
    await api.call("DeletePullToPushTask", {"TaskId": task_id, "GroupName": "group1"})
    await api.call("DeletePullToPushGroup", {"Name": "group1"})
    deleted = await api.call("ListPullToPushGroup", {"PageNum": 1, "PageSize": 10, "StatusList": [1]})
    assert [one["Name"] for one in deleted["List"]] == ["group1"]
    for action in ("UpdatePullToPushGroup", "DeletePullToPushGroup"):
        assert (await api.refusal(action, {"Name": "nosuch"}))["Message"].startswith("Name: ")
    assert "GroupName" in (await api.refusal("CreatePullToPushTask", live(GroupName="nosuch")))["Message"]


async def test_two_tasks_for_one_destination_are_refused_by_name(api: Api) -> None:
    """The other task's id is told."""
    body = live()
    first = (await api.call("CreatePullToPushTask", body))["TaskId"]
    error = await api.refusal("CreatePullToPushTask", {**body, "Title": "another"})
    assert first in error["Message"]
    assert "DstAddr" in error["Message"]


async def test_usage_is_a_series_without_gaps(api: Api) -> None:
    """Points of 0 where nothing was measured, the range shown as it was asked."""
    start = datetime(2026, 1, 1, tzinfo=UTC).replace(year=datetime.now(UTC).year)
    body = {"StartTime": start.isoformat(), "EndTime": (start + timedelta(hours=2)).isoformat(), "Aggregation": 3600}
    minutes = await api.call("DescribeLivePullToPushData", {**body, "GroupList": ["default"], "DetailField": ["Group"]})
    assert minutes["TotalDuration"] == 0
    assert [point["Value"] for point in minutes["PullToPushDataList"]] == [0, 0]
    bandwidth = await api.call("DescribeLivePullToPushBandwidthData", body)
    assert (bandwidth["PeakUpBandwidth"], len(bandwidth["BandwidthDataList"])) == (0, 2)
    # As the typed clients of 2023 ask for the same.
    old = {name: value for name, value in body.items() if name in ("StartTime", "EndTime", "Aggregation")}
    old |= {"DomainList": ["a.example"], "DstAddrTypeList": [2], "ShowDetail": True}
    assert await api.call("DescribePullToPushBandwidthData", old) == bandwidth


async def test_usage_of_a_hundred_groups_was_made_of_900_000_points(api: Api) -> None:
    """While everybody waited; it is refused with what to ask for, and what is within the bound is answered."""
    start = datetime.now(UTC).replace(microsecond=0) - timedelta(days=31)
    body = {"StartTime": start.isoformat(), "EndTime": (start + timedelta(days=31)).isoformat(), "Aggregation": 300}
    groups = [f"group{number}" for number in range(100)]
    split = {**body, "GroupList": groups, "DetailField": ["Group"]}
    error = await api.refusal("DescribeLivePullToPushBandwidthData", split)
    assert error["Code"] == "InvalidParam"
    assert error["Message"].startswith("EndTime: the range has 901728 points")
    found = await api.call("DescribeLivePullToPushBandwidthData", {**split, "GroupList": groups[:10]})
    assert len(found["BandwidthDataList"]) == 8928


async def test_usage_is_split_for_several_groups_only(api: Api, store: Store) -> None:
    """As the documents of both actions say: by DetailField, and only when GroupList names more than one."""
    hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    rows = [
        {"minute_ms": int(hour.timestamp() * 1000), "task_id": str(number) * 32, "group_name": group}
        for number, group in enumerate(("one", "two", "three"))
    ]
    measured = {"stream_digest": "", "streamed_ms": 60_000, "bytes_out": 37_500_000}
    async with store.write() as connection:
        await connection.execute(usage.insert(), [{**row, **measured} for row in rows])
    span = {"StartTime": hour.isoformat(), "EndTime": (hour + timedelta(hours=1)).isoformat(), "Aggregation": 3600}

    async def details(**fields: object) -> list[tuple[str, float, float]] | None:
        duration = await api.call("DescribeLivePullToPushData", {**span, **fields})
        bandwidth = await api.call("DescribeLivePullToPushBandwidthData", {**span, **fields})
        names = "PullToPushDetailDataList", "BandwidthDetailDataList"
        assert (names[0] in duration) == (names[1] in bandwidth)
        if names[0] not in duration:
            return None
        pairs = zip(duration[names[0]], bandwidth[names[1]], strict=True)
        return [(one["Group"], one["TotalDuration"], other["PeakUpBandwidth"]) for one, other in pairs]

    assert await details(GroupList=["one", "two"], DetailField=["Group"]) == [("one", 1, 1), ("two", 1, 1)]
    assert await details(GroupList=["one", "none"], DetailField=["Group"]) == [("one", 1, 1)]
    for groups in (["one"], ["one", "one"], []):
        assert await details(GroupList=groups, DetailField=["Group"]) is None
    assert await details(GroupList=["one", "two"]) is None


async def test_minutes_are_told_for_two_days(api: Api) -> None:
    """A series of zeros would not be true. What is asked in longer steps is told for a year."""
    start = datetime.now(UTC) - timedelta(days=3)
    body = {"StartTime": start.isoformat(), "EndTime": (start + timedelta(hours=2)).isoformat(), "Aggregation": 60}
    error = await api.refusal("DescribeLivePullToPushData", body)
    assert error["Message"] == (
        "StartTime: must be at most 2 days ago for this Aggregation; longer ones go back further"
    )
    assert (await api.call("DescribeLivePullToPushData", {**body, "Aggregation": 3600}))["TotalDuration"] == 0


@pytest.mark.parametrize(
    ("field", "fields"),
    [
        ("StartTime", {"StartTime": "yesterday"}),
        ("StartTime", {"StartTime": "2026-01-01T00:00:00"}),
        ("StartTime", {"StartTime": "2001-01-01T00:00:00Z", "EndTime": "2001-01-02T00:00:00Z"}),
        ("EndTime", {"EndTime": "0001-01-01T00:00:00+14:00"}),
        ("EndTime", {"Aggregation": 60, "EndTime": "9999-01-01T00:00:00Z"}),
        ("Aggregation", {"Aggregation": 61}),
        ("DetailField", {"DetailField": ["Colour"]}),
        ("Stream", {"App": "live"}),
    ],
)
async def test_usage_ranges_are_checked(api: Api, field: str, fields: dict[str, object]) -> None:
    """Times with an offset, known steps, bounded spans."""
    now = datetime.now(UTC)
    body = {"StartTime": (now - timedelta(hours=1)).isoformat(), "EndTime": now.isoformat(), **fields}
    assert (await api.refusal("DescribeLivePullToPushData", body))["Message"].startswith(field)


@pytest.mark.parametrize(
    ("query", "code", "status"),
    [
        ("", "MissingParameter", 400),
        ("Action=ListPullToPushTask", "MissingParameter", 400),
        ("Version=2023-01-01", "MissingParameter", 400),
        ("Action=ListPullToPushTask&Version=2023-01-01", "MissingAuthenticationToken", 401),
        ("Action=ListPullToPushTask&Version=2023-01-01&Version=2", "InvalidParam", 400),
        ("Action=%FF&Version=2023-01-01", "InvalidParam.BindError", 400),
    ],
)
async def test_unsigned_requests_are_told_what_is_missing(api: Api, query: str, code: str, status: int) -> None:
    """Before any secret is looked for."""
    response = await api.client.get(f"http://api/?{query}")
    assert response.status_code == status
    assert response.json()["ResponseMetadata"]["Error"]["Code"] == code


@pytest.mark.parametrize(
    ("action", "query", "method"),
    [
        ("NoSuchAction", {}, "POST"),
        ("ListPullToPushTask", {"Version": "2020-08-01"}, "GET"),
        ("DeletePullToPushTask", {"TaskId": NO_TASK}, "GET"),
    ],
)
async def test_unknown_actions_versions_and_methods(api: Api, action: str, query: dict[str, str], method: str) -> None:
    """404 with the gateway's code; nothing is deleted by a GET."""
    response = await api.raw(action, b"", query=query, method=method)
    assert response.status_code == 404
    assert response.json()["ResponseMetadata"]["Error"]["CodeN"] == 100008


async def test_wrong_keys(api: Api) -> None:
    """A key that is not there, a wrong secret, a disabled key."""
    for credentials, code in (
        (Credentials("AKLTnone", KEY.secret), "InvalidAccessKey"),
        (Credentials(KEY.access_key_id, "wrong"), "SignatureDoesNotMatch"),
        (Credentials(KEY.access_key_id, KEY.secret, session_token="abc"), "InvalidSecretToken"),
    ):
        api.credentials = credentials
        response = await api.raw("ListPullToPushTask", b"{}")
        assert response.status_code == 401
        assert response.json()["ResponseMetadata"]["Error"]["Code"] == code
    await api.actions.disable_key(KEY.access_key_id)
    api.credentials = Credentials(KEY.access_key_id, KEY.secret)
    assert (await api.refusal("ListPullToPushTask", {}))["Code"] == "InvalidAccessKey"


async def test_temporary_keys_do_what_their_policy_allows(api: Api) -> None:
    """A token for lists reads them and creates nothing."""
    api.credentials = temporary(
        json.dumps({"Statement": [{"Effect": "Allow", "Action": ["live:List*"], "Resource": "*"}]})
    )
    await api.call("ListPullToPushTask", {})
    error = await api.refusal("CreatePullToPushTask", live())
    assert (error["Code"], error["CodeN"]) == ("AccessDenied", 100013)


def temporary(policy: str) -> Credentials:
    """A temporary key that the SDKs would make from the long-term one; here its secret is that of 16 spaces."""
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

    key = hashlib.md5(KEY.secret.encode()).digest()
    secret = "sixteen-letters!"
    cipher = Cipher(algorithms.AES(key), modes.CBC(key)).encryptor()
    sealed = base64.b64encode(cipher.update(secret.encode()) + cipher.finalize()).decode()
    parts: dict[str, Any] = {
        "LTAccessKeyId": KEY.access_key_id,
        "AccessKeyId": "AKTPtest",
        "ExpiredTime": int(time.time()) + 60,
        "SignedSecretAccessKey": sealed,
        "PolicyString": policy,
    }
    signature = hmac.new(key, "|".join(map(str, parts.values())).encode(), hashlib.sha256).hexdigest()
    text = json.dumps({**parts, "Signature": signature}).encode()
    return Credentials("AKTPtest", secret, "STS2" + base64.b64encode(text).decode())


@pytest.mark.parametrize(
    "content",
    [
        *(b"[]", b"{", b"\xff", b'"x"', b'{"Title": NaN}', b'{"Title": "\\ud800"}', b'{"Title": "\\u0000"}'),
        *(b"[" * 100_000, b'{"a":' * 50_000, b'{"StartTime": ' + b"9" * 5000 + b"}"),
    ],
    ids=lambda content: repr(content[:12]),
)
async def test_bodies_that_do_not_read_are_the_callers_fault(api: Api, content: bytes) -> None:
    """Not JSON, no object, half characters, nesting and numbers without end."""
    response = await api.raw("CreatePullToPushTask", content)
    assert response.status_code == 400
    assert response.json()["ResponseMetadata"]["Error"]["Code"].startswith("InvalidParam")


async def test_large_bodies_are_refused_however_they_are_framed(store: Store) -> None:
    """With a length told, and in chunks without one; a body at the limit passes."""
    api = await make_api(store, ApiSettings(rates=NO_LIMITS, max_body_bytes=1000))

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b" " * 100

    async with api.client:
        assert (await api.raw("ListPullToPushTask", b"{}".ljust(1000))).status_code == 200
        response = await api.raw("ListPullToPushTask", b"{}".ljust(1001))
        assert response.status_code == 413
        signed = response.request
        headers = {key: value for key, value in signed.headers.items() if key != "content-length"}
        chunked = await api.client.post(signed.url, headers=headers, content=chunks())
        assert chunked.status_code == 413


async def test_a_body_that_never_comes_ends_the_request(store: Store) -> None:
    """A sender who stops in the middle does not hold the connection."""
    api = await make_api(store, ApiSettings(rates=NO_LIMITS, body_timeout_s=0.05))

    async def stuck() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.Event().wait()

    async with api.client:
        signed = (await api.raw("ListPullToPushTask", b"{}")).request
        headers = {key: value for key, value in signed.headers.items() if key != "content-length"}
        response = await api.client.post(signed.url, headers=headers, content=stuck())
    assert response.status_code == 408


async def test_rates_are_kept(store: Store, bucket_time: BucketTime) -> None:
    """The call beyond the rate gets 429 and is not done."""
    api = await make_api(store, ApiSettings(rates=Rates(write=2, list=0, usage=1)))
    async with api.client:
        answers = [await api.raw("CreatePullToPushTask", json.dumps(live()).encode()) for _ in range(5)]
        statuses = [answer.status_code for answer in answers]
        assert statuses == [200, 200, 429, 429, 429]
        assert (await api.call("ListPullToPushTask", {}))["Pagination"]["TotalCount"] == 2


@pytest.fixture
async def failing(store: Store) -> AsyncIterator[Callable[[Exception], Awaitable[Api]]]:
    """``failing(error)``: an API that meets this whenever it is to list tasks."""
    async with contextlib.AsyncExitStack() as stack:

        async def make(error: Exception) -> Api:
            class Broken(Actions):
                async def list_tasks(self, **_: Any) -> Any:
                    raise error

            actions = Broken(store)
            await actions.import_key(KEY)
            app = FastAPI()
            app.include_router(build_router(actions))
            return Api(await stack.enter_async_context(httpx.AsyncClient(transport=httpx.ASGITransport(app))), actions)

        yield make


async def test_a_failure_of_ours_tells_nothing_of_itself(
    failing: Callable[[Exception], Awaitable[Api]], caplog: pytest.LogCaptureFixture
) -> None:
    """500 in the envelope; the traceback goes to the log."""
    api = await failing(RuntimeError("the secret inside"))
    response = await api.raw("ListPullToPushTask", b"{}")
    assert response.status_code == 500
    assert response.json()["ResponseMetadata"]["Error"]["CodeN"] == 100014
    assert "secret inside" not in response.text
    assert "secret inside" in caplog.text


@pytest.mark.parametrize(
    ("trouble", "words"),
    [
        (sa.exc.OperationalError("SELECT hush", {"hush": 1}, OSError("hush")), "OSError"),
        (SealBroken(), "the store was sealed under another key; give the right one as seal-key"),
    ],
)
async def test_a_store_that_is_away_is_one_line_in_the_log(
    failing: Callable[[Exception], Awaitable[Api]], caplog: pytest.LogCaptureFixture, trouble: Exception, words: str
) -> None:
    """503, which clients try again; no traceback, and not the statement, for each call of an outage.

    Nor is a seal key that was exchanged under a running service a fault inside it.
    """
    api = await failing(trouble)
    response = await api.raw("ListPullToPushTask", b"{}")
    assert (response.status_code, response.json()["ResponseMetadata"]["Error"]["CodeN"]) == (503, 100019)
    (record,) = [one for one in caplog.records if one.name == "streamferry.api"]
    assert record.getMessage().endswith(f"the store cannot be asked: {words}")
    assert record.exc_info is None


async def test_files_of_the_allowed_folder_are_taken(api: Api) -> None:
    """And shown as the addresses they were given as."""
    vod = {"Type": 1, "SrcAddr": "", "SrcAddrS": [f"file://{FILES}/a%20b.mp4"], "CycleMode": -1}
    task_id = await create(api, **vod)
    assert (await api.task(task_id))["SrcAddrS"] == vod["SrcAddrS"]
    assert (
        "SrcAddrS[0]"
        in (await api.refusal("CreatePullToPushTask", live(**{**vod, "SrcAddrS": ["file:///etc/x"]})))["Message"]
    )


async def test_the_openapi_document_names_every_action(api: Api) -> None:
    """The one path tells its actions and bodies."""
    document = (await api.client.get("http://api/openapi.json")).json()
    assert document["paths"]["/"]["post"]["parameters"][0]["schema"]["enum"] == list(OPERATIONS)
    assert document["paths"]["/"]["get"]["parameters"][0]["schema"]["enum"] == ["ListPullToPushTask"]


async def test_of_partial_updates_at_once_none_is_lost(api: Api) -> None:
    """Each update keeps what it does not give as it is when it is written, not as it was when it was asked for."""
    task_id = await create(api)
    changes: list[dict[str, object]] = [{"Title": "x"}, {"ContinueStrategy": 1}, {"PreDownload": 0}]
    await asyncio.gather(*(api.call("UpdatePullToPushTask", {"TaskId": task_id, **change}) for change in changes))
    shown = await api.task(task_id)
    assert [shown[name] for change in changes for name in change] == ["x", 1, 0]


async def test_every_field_of_an_answer_is_in_the_reference(api: Api) -> None:
    """And the items of a list have every field that the reference says they have."""
    await api.call("CreatePullToPushGroup", {"Name": "g", "ProjectName": "p", "Tags": [{"Key": "k", "Value": "v"}]})
    files = [f"file://{FILES}/a.mp4"]
    await create(api)
    await create(api, Type=1, SrcAddrS=files, Watermark=mark())
    await create(api, Type=1, VodSrcAddrs=[{"SrcAddr": files[0]}])
    now = datetime.now(UTC)
    asked = {
        "StartTime": (now - timedelta(hours=1)).isoformat(),
        "EndTime": now.isoformat(),
        "GroupList": ["g", "default"],
        "DetailField": ["Group"],
        "App": "a",
        "Stream": "s",
    }
    items = await api.call("ListPullToPushTask", {})
    answers = [
        items,
        await api.call("ListPullToPushTaskV2", {}),
        await api.call("ListPullToPushGroup", {"PageNum": 1, "PageSize": 10}),
        await api.call("DescribeLivePullToPushData", asked),
        await api.call("DescribeLivePullToPushBandwidthData", asked),
    ]
    page = (Path(__file__).parents[4] / "docs/reference/api.md").read_text()
    assert keys_of(answers) <= set(re.findall(r"`(\w+)`", page))
    table = page.partition("## Items of a list")[2].partition("## ")[0]
    documented = {name for row in re.findall(r"^\| (`.*?) \|", table, re.M) for name in re.findall(r"`(\w+)`", row)}
    assert documented == {key for item in items["List"] for key in item}


def keys_of(value: object) -> set[str]:
    """Names of all fields, however deep."""
    if isinstance(value, list):
        return {key for one in value for key in keys_of(one)}
    return {*value, *keys_of(list(value.values()))} if isinstance(value, dict) else set()


def mark() -> dict[str, Any]:
    """A watermark of 40 x 30 pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 40, 30, 8, 0, 0, 0, 0))
    rows = b"".join(b"\0" + bytes((row * 40 + column) % 251 for column in range(40)) for row in range(30))
    picture = b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    url = f"data:image/png;base64,{base64.b64encode(picture).decode()}"
    return {"Picture": url, "RelativePosX": 0.1, "RelativePosY": 0.1, "Ratio": 0.2}


async def test_a_read_only_key_may_list_and_not_write(api: Api) -> None:
    """Every action that changes something is denied it, before its body is read; lists and usage are served."""
    task_id = await create(api)
    key = await api.actions.create_key(read_only=True)
    api.credentials = Credentials(key.access_key_id, key.secret)
    for name, operation in OPERATIONS.items():
        if operation.kind is Kind.WRITE:
            error = await api.refusal(name, {"TaskId": task_id})
            assert (error["Code"], error["CodeN"]) == ("AccessDenied", 100013), name
    assert (await api.task(task_id))["Status"]
    assert (await api.call("ListPullToPushTaskV2", {}))["Pagination"]["TotalCount"] == 1
