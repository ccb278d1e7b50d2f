"""Whatever a signed caller sends: an answer in the envelope, never a 5xx, and no task half made."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from served import Served

from streamferry.client import ApiError, LiveService
from streamferry.control.api.operations import OPERATIONS

NOW = int(time.time())
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


def bodies(action: str) -> st.SearchStrategy[dict[str, Any]]:
    """The action's own fields with anything in them, over a body that would do."""
    fields = list(OPERATIONS[action].body.model_fields)
    good = {
        "CreatePullToPushTask": {
            "StartTime": NOW + 600,
            "EndTime": NOW + 900,
            "Type": 0,
            "SrcAddr": "http://h/a.flv",
            "DstAddr": "rtmp://h/a/b",
        },
        "ListPullToPushGroup": {"PageNum": 1, "PageSize": 10},
    }.get(action, {})
    changes = st.dictionaries(st.sampled_from(fields), VALUES, max_size=4)
    return changes.map(lambda changed: {**good, **changed})


@pytest.fixture(scope="module")
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
def test_no_body_breaks_an_action(service: LiveService, action: str) -> None:
    """Success or the caller's fault; and the lists still read afterwards."""

    @settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
    @given(bodies(action))
    def check(body: dict[str, Any]) -> None:
        status, number, made = outcome(lambda: service._post(action, body))
        assert status < 500
        assert number != 0
        if made and action == "CreatePullToPushTask":
            service.delete_pull_to_push_task({"TaskId": made["Result"]["TaskId"]})

    check()
    assert service.list_pull_to_push_task({"Size": 500})["Result"]["Pagination"]["TotalCount"] == 0


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
