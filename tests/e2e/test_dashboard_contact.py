"""A page of the dashboard that hears nothing: it says so, greys, takes no clicks, and comes back by itself."""

import contextlib
import os
import re
import signal
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from kit import browser as browsers
from kit.service_program import ServiceProgram
from streamferry.client import LiveService

KEY, SECRET = "AKCONTACT", "planted-secret-of-the-contact"
SETTINGS = {"STREAMFERRY_ACCESS_KEY_ID": KEY, "STREAMFERRY_SECRET_ACCESS_KEY": SECRET}


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """One browser for all tests here."""
    with browsers.chromium() as browser:
        yield browser


def make_task(service: ServiceProgram) -> str:
    now = datetime.now(UTC)
    task: dict[str, Any] = {
        "Type": 0,
        "SrcAddr": "rtmp://127.0.0.1:9/live/a",
        "StartTime": int(now.timestamp()) + 3600,
        "EndTime": int((now + timedelta(hours=2)).timestamp()),
        "DstAddr": "rtmp://127.0.0.1:9/live/b",
    }
    with LiveService(service.url, KEY, SECRET) as client:
        return str(client.create_pull_to_push_task(task)["Result"]["TaskId"])


def freeze(service: ServiceProgram, pages: dict[Page, str]) -> None:
    """Stop it (SIGSTOP) under open pages, each with its words for that; then let it go on."""
    for page in pages:
        expect(page.locator("no-contact")).to_be_hidden()
        page.wait_for_function("window.did_handshake")
    os.kill(service.pid, signal.SIGSTOP)
    try:
        for page, words in pages.items():
            expect(page.get_by_role("alert")).to_contain_text(words, timeout=10_000)
            expect(page.get_by_role("alert")).to_contain_text(re.compile(r"\d\d:\d\d:\d\d"))
            assert page.locator(".page").evaluate("one => getComputedStyle(one).filter") == "grayscale(1)"
            assert page.locator(".q-page-container").evaluate("one => one.inert")
    finally:
        os.kill(service.pid, signal.SIGCONT)
    for page in pages:
        expect(page.locator("no-contact")).to_be_hidden(timeout=20_000)
        expect(page.locator("body")).not_to_have_class(re.compile("no-contact"))
        assert not page.locator(".q-page-container").evaluate("one => one.inert")


def test_a_page_that_hears_nothing_says_so_and_comes_back(chromium: Browser, tmp_path: Path) -> None:
    """Frozen or killed (kill -9), the service is missed within seconds on every page, in both languages: a bar with the
    time, all grey, and what is clicked is lost. It is found again by itself. Pages stayed green."""
    with ServiceProgram(tmp_path, "--workers", "1", "--egress", "any", environment=SETTINGS) as first:
        url = first.wait_ready().url
        task_id = make_task(first)
        stack = contextlib.ExitStack()
        tab = stack.enter_context(browsers.tab(chromium, url))
        page = tab.page
        browsers.sign_in(page, KEY, SECRET)
        pages = {page: "No contact since"}
        for path in ("tasks", "new", "library"):
            other = page.context.new_page()
            other.goto(f"dashboard/{path}")
            pages[other] = "No contact since"
        chinese = stack.enter_context(browsers.tab(chromium, url, locale="zh-CN")).page
        browsers.sign_in(chinese, KEY, SECRET)
        page.goto(f"dashboard/tasks/{task_id}")
        freeze(first, {**pages, chinese: "失去联系"})
        # A live page, not a picture of one.
        stop = page.get_by_role("button", name="Stop", exact=True)
        stop.click()
        expect(page.get_by_role("dialog")).to_be_visible()
        page.get_by_role("button", name="Cancel").click()
        expect(page.get_by_role("dialog")).to_have_count(0)
        box = stop.bounding_box()
        assert box is not None
        first.kill_tree()
        expect(page.get_by_role("alert")).to_contain_text("No contact since", timeout=10_000)
        tab.keep("no-contact")
        page.mouse.click(box["x"] + 5, box["y"] + 5)
    port = url.rstrip("/").rpartition(":")[2]
    with stack, ServiceProgram(tmp_path, "--workers", "1", "--port", port, environment=SETTINGS) as second:
        second.wait_ready()
        page.wait_for_url(f"**/sign-in?next=/dashboard/tasks/{task_id}")
        page.locator("[name=access_key_id]").fill(KEY)
        page.locator("[name=secret]").fill(SECRET)
        page.locator("[type=submit]").click()
        expect(page.locator(".task-head .chip")).to_have_text("Waiting")
        expect(page.locator("no-contact")).to_be_hidden()
        assert page.get_by_role("dialog").count() == 0
