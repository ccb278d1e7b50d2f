"""A page of the dashboard that hears nothing: it says so, greys, takes no clicks, and comes back by itself."""

import os
import re
import signal
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, expect

from kit import browser as browsers
from kit.browser import Tab
from kit.front import front
from kit.service_program import ServiceProgram
from kit.shared_service import KEY_ID
from kit.shared_service import SECRET as SHARED_SECRET
from kit.waiting import wait_for
from streamferry.client import LiveService, RestService

KEY, SECRET = "AKCONTACT", "planted-secret-of-the-contact"
SETTINGS = {"STREAMFERRY_ACCESS_KEY_ID": KEY, "STREAMFERRY_SECRET_ACCESS_KEY": SECRET}
#: What the service says to the page is held back until it is let go.
HELD = """(() => { const set = Object.getOwnPropertyDescriptor(WebSocket.prototype, "onmessage").set;
  const held = []; let goes = false;
  window.letGo = () => { goes = true; for (const give of held.splice(0)) give(); };
  Object.defineProperty(WebSocket.prototype, "onmessage", { set(hear) { set.call(this, event => {
    if (goes) hear.call(this, event); else held.push(() => hear.call(this, event)); }); } }); })()"""


def make_task(service: ServiceProgram, key: str, secret: str) -> str:
    now = datetime.now(UTC)
    task: dict[str, Any] = {
        "Type": 0,
        "SrcAddr": "rtmp://127.0.0.1:9/live/a",
        "StartTime": int(now.timestamp()) + 3600,
        "EndTime": int((now + timedelta(hours=2)).timestamp()),
        "DstAddr": "rtmp://127.0.0.1:9/live/b",
    }
    with LiveService(service.url, key, secret) as client:
        return str(client.create_pull_to_push_task(task)["Result"]["TaskId"])


def freeze(service: ServiceProgram, pages: dict[Page, str]) -> None:
    """Stop it (SIGSTOP) under open pages, each with its words for that; then let it go on."""
    for page in pages:
        expect(page.locator("no-contact")).to_be_hidden()
        page.wait_for_function("window.socket.connected")
    os.kill(service.pid, signal.SIGSTOP)
    try:
        pass_silence(pages)
        for page, words in pages.items():
            expect(page.get_by_role("alert")).to_contain_text(words)
            expect(page.get_by_role("alert")).to_contain_text(re.compile(r"\d\d:\d\d:\d\d"))
            expect(page.locator(".page")).to_have_css("filter", "grayscale(1)")
            expect(page.locator(".q-page-container")).to_have_js_property("inert", True)
    finally:
        os.kill(service.pid, signal.SIGCONT)
    for page in pages:
        expect(page.locator("no-contact")).to_be_hidden()
        expect(page.locator("body")).not_to_have_class(re.compile("no-contact"))
        expect(page.locator(".q-page-container")).to_have_js_property("inert", False)


def pass_silence(pages: Iterable[Page]) -> None:
    """The time after which a page says that it has heard nothing: their clocks are the test's."""
    for context in {page.context for page in pages}:
        context.clock.fast_forward(5_100)


def test_a_page_that_hears_nothing_says_so_and_comes_back(open_tab: Callable[..., Tab], tmp_path: Path) -> None:
    """Frozen or killed (kill -9), the service is missed within seconds on every page, in both languages: a bar with the
    time, all grey, and what is clicked is lost. It is found again by itself. Pages stayed green."""
    with ServiceProgram(tmp_path, "--egress", "any", environment=SETTINGS) as first:
        url = first.wait_ready().url
        task_id = make_task(first, KEY, SECRET)
        tab = open_tab(url, is_patient=False)
        chinese = open_tab(url, locale="zh-CN", is_patient=False)
        pages = {}
        for one, words, paths in (
            (tab, "No contact since", (f"tasks/{task_id}", "tasks", "new", "library")),
            (chinese, "失去联系", ("",)),
        ):
            one.enter(KEY, SECRET)
            one.page.context.clock.install()
            for path in paths:
                page = one.page if path == paths[0] else one.page.context.new_page()
                page.goto(f"dashboard/{path}")
                pages[page] = words
        freeze(first, pages)
        for other in pages:
            if other is not tab.page:
                other.close()
        page = tab.page
        # A live page, not a picture of one.
        stop = page.get_by_role("button", name="Stop", exact=True)
        stop.click()
        expect(page.get_by_role("dialog")).to_be_visible()
        page.get_by_role("button", name="Cancel").click()
        expect(page.get_by_role("dialog")).to_have_count(0)
        box = browsers.box_of(stop)
        first.kill_tree()
        pass_silence([page])
        expect(page.get_by_role("alert")).to_contain_text("No contact since")
        tab.keep("no-contact")
        page.mouse.click(box["x"] + 5, box["y"] + 5)
    port = url.rstrip("/").rpartition(":")[2]
    with ServiceProgram(tmp_path, "--port", port, environment=SETTINGS) as second:
        second.wait_ready()
        # Its session is in the store.
        expect(page.locator(".task-head .chip")).to_have_text("Waiting")
        expect(page.locator("no-contact")).to_be_hidden()
        expect(page.get_by_role("dialog")).to_have_count(0)


def test_what_is_done_before_the_page_is_connected_arrives_in_order(
    shared_service: ServiceProgram, open_tab: Callable[..., Tab]
) -> None:
    """On a slow line a form is filled before that. Letters changed places, and the click came before them."""
    tab = open_tab(shared_service.url, is_patient=False)
    tab.enter(KEY_ID, SHARED_SECRET)
    page = tab.page
    page.add_init_script(HELD)
    page.goto("dashboard/new")
    page.get_by_label(re.compile("^File: https")).fill("http://127.0.0.1:9/film.mp4")
    page.get_by_label(re.compile("^Push address")).fill("rtmp://127.0.0.1:9/live/early")
    title = page.get_by_label(re.compile("^Title"))
    title.press_sequentially("abcdefghijklmnopqrst")
    page.get_by_role("button", name="Create task").dispatch_event("click")
    assert not page.evaluate("window.socket.connected")
    page.evaluate("letGo()")
    page.wait_for_url(re.compile(r"/tasks/[0-9a-f]{32}$"))
    expect(page.locator("h1")).to_have_text("abcdefghijklmnopqrst")


def test_a_click_that_was_lost_on_the_way_is_not_lost(
    shared_service: ServiceProgram, open_tab: Callable[..., Tab]
) -> None:
    """A connection that dies takes what was typed and clicked, or only the answers: the page comes back by itself, with
    all of it, and what was clicked is done once."""
    upstream = shared_service.url.removeprefix("http://").rstrip("/")
    with front(upstream) as way, RestService(shared_service.url, KEY_ID, SHARED_SECRET) as client:
        tab = open_tab(f"http://127.0.0.1:{way.port}/")
        tab.enter(KEY_ID, SHARED_SECRET)
        page = tab.page
        for title, answers_only in (("lost", False), ("heard", True)):
            page.goto("dashboard/new")
            page.get_by_label(re.compile("^File: https")).fill("http://127.0.0.1:9/film.mp4")
            page.wait_for_function("window.socket.connected")
            way.strand(answers_only=answers_only)
            page.get_by_label(re.compile("^Push address")).fill(f"rtmp://127.0.0.1:9/live/{title}")
            page.get_by_label(re.compile("^Title")).fill(title)
            page.get_by_role("button", name="Create task").click()

            def made(title: str = title) -> list[str]:
                return [one["task_id"] for one in client.list_tasks(title=title)["tasks"]]

            if answers_only:
                wait_for("the task to be there, of which the page knows nothing", made)
            way.cut()
            page.wait_for_url(re.compile(r"/tasks/[0-9a-f]{32}$"))
            assert made() == [page.url.rpartition("/")[2]]
            expect(page.locator("h1")).to_have_text(title)
