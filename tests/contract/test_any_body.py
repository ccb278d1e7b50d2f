"""Whatever a signed caller sends: an answer in the envelope, never a 5xx, and no task half made."""

import itertools
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from served import Served

from streamferry.client import ApiError, LiveService
from streamferry.web.compat.operations import OPERATIONS

NOW = int(time.time())
USAGE = {
    "StartTime": datetime.fromtimestamp(NOW - 3600, UTC).isoformat(),
    "EndTime": datetime.fromtimestamp(NOW, UTC).isoformat(),
    "Aggregation": 3600,
}
NUMBERS = st.one_of(st.integers(), st.floats(allow_nan=False), st.sampled_from([-1, 0, 1, 2**31, 2**63, NOW]))
TEXTS = st.one_of(
    st.text(max_size=30),
    st.sampled_from(
        ["", "0" * 32, "default", "http://h/a", "rtmp://h/a/b", "rtmp://h/a/***", "http://[", "\udc80", "\0"]
    ),
    st.sampled_from(["2026-01-01T00:00:00Z", "Group", "%' OR 1=1 --", "file:///etc/passwd", "a" * 3000]),
)
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBERS, TEXTS),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(TEXTS, inner, max_size=3)),
    max_leaves=6,
)

#: What an action may leave in the store, by table.
Everything = dict[str, list[tuple[Any, ...]]]
TABLES = ("task", "task_spec", "task_destination", "picture", "run", "event", "mailbox", "delivery", "task_group")

#: What an action needs, and what would be seen if it were done by half.
GOOD: dict[str, dict[str, Any]] = {
    "CreatePullToPushTask": {
        # Hours ahead: this module may come last of a long session.
        "StartTime": NOW + 6 * 3600,
        "EndTime": NOW + 7 * 3600,
        "Type": 0,
        "SrcAddr": "http://h/a.flv",
        "DstAddr": "rtmp://h/a/b",
    },
    "UpdatePullToPushTask": {"Title": "renamed", "ContinueStrategy": 1},
    "UpdatePullToPushGroup": {"Tags": [{"Key": "k"}]},
    "CreatePullToPushGroup": {"Name": "new", "ProjectName": "p"},
    "ListPullToPushGroup": {"PageNum": 1, "PageSize": 10},
    "DescribeLivePullToPushData": USAGE,
    "DescribeLivePullToPushBandwidthData": {**USAGE, "Aggregation": 300},
}


def bodies(action: str) -> st.SearchStrategy[dict[str, Any]]:
    """The action's own fields with anything in them, over a body that would do."""
    fields = list(OPERATIONS[action].body.model_fields)
    changes = st.dictionaries(st.sampled_from(fields), VALUES, max_size=4)
    return changes.map(lambda changed: {**GOOD.get(action, {}), **changed})


@pytest.fixture
def service(served: Served) -> Iterator[LiveService]:
    with LiveService(f"http://{served.host}", served.ak, served.sk) as one:
        yield one


def outcome(call: Callable[[], dict[str, Any]]) -> tuple[int, int, dict[str, Any]]:
    """Status, error number (-1 for success) and answer of a call."""
    try:
        return 200, -1, call()
    except ApiError as error:
        return error.status, error.code_n, {}


@pytest.mark.parametrize("action", OPERATIONS)
def test_no_body_breaks_an_action(served: Served, service: LiveService, action: str) -> None:
    """Success or the caller's fault. What was refused has changed nothing; no task is half there at the end."""
    group = {"Name": "stands", "ProjectName": "p"}
    standing = {"SrcAddr": "http://h/a.flv", "DstAddr": "rtmp://h/standing/b"}
    numbers = itertools.count()
    #: A task that stands, with all that there is beside it: as long as nothing was changed.
    kept: list[tuple[str, Everything]] = []

    def stand() -> tuple[str, Everything]:
        if kept:
            return kept.pop()
        clear(service)
        # Never twice the same: the same call of the same second is answered as it was, and makes nothing.
        stands = {**GOOD["CreatePullToPushTask"], **standing, "Title": f"stands{next(numbers)}"}
        made = service.create_pull_to_push_task(stands)["Result"]["TaskId"]
        service.create_pull_to_push_group(group)
        return made, everything(served)

    @settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
    @given(bodies(action), st.booleans())
    def check(body: dict[str, Any], is_aimed: bool) -> None:
        made, before = stand()
        if is_aimed and "TaskId" in OPERATIONS[action].body.model_fields:
            body["TaskId"] = made
        if is_aimed and action in ("UpdatePullToPushGroup", "DeletePullToPushGroup"):
            body["Name"] = group["Name"]
        status, number, answer = outcome(lambda: service._post(action, body))
        assert status < 500
        assert number != 0
        after = everything(served)
        if status != 200 or action.startswith(("List", "Describe")):
            assert after == before
            kept.append((made, before))
        if action == "CreatePullToPushTask" and answer:
            # Itself, or what it was answered with in the same second and is deleted since.
            assert {task_id for _, task_id, *_ in after["task"]} <= {made, answer["Result"]["TaskId"]}

    check()
    clear(service)
    left = everything(served)
    for table in ("task", "task_spec", "run"):
        assert left[table] == [], table


def clear(service: LiveService) -> None:
    """Delete every task and every group."""
    for task in service.list_pull_to_push_task({"Size": 500})["Result"]["List"]:
        service.delete_pull_to_push_task({"TaskId": task["TaskId"]})
    for one in service.list_pull_to_push_group({"PageNum": 1, "PageSize": 100})["Result"]["List"]:
        if one["Name"] != "default":
            service.delete_pull_to_push_group({"Name": one["Name"]})


def everything(served: Served) -> Everything:
    """All rows of tasks and groups; the store is read, for to ask the service costs more than to judge the body."""
    with closing(sqlite3.connect(f"file:{served.data}/store.db?mode=ro", uri=True)) as store:
        return {table: store.execute(f"SELECT * FROM {table} ORDER BY 1, 2").fetchall() for table in TABLES}


def test_no_query_breaks_the_list(service: LiveService) -> None:
    """The same for parameters in the query."""
    texts = st.text(st.characters(exclude_categories=("Cs",)), max_size=30)

    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.dictionaries(st.sampled_from(["Page", "Size", "Title", "GroupName", "X"]), texts, max_size=3))
    def check(query: dict[str, str]) -> None:
        status, number, _ = outcome(lambda: service.list_pull_to_push_task(query))
        assert status < 500
        assert number != 0

    check()
