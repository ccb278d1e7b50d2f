"""The dashboard for who does not see it, has no mouse, or came by a wrong address: axe-core on every page, and keys."""

import re
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from kit import browser as browsers
from kit import programs
from kit.clips import ClipFactory
from kit.service_program import ServiceProgram
from streamferry.client import LiveService

KEY, SECRET = "AKFORALL", "planted-secret-for-all"


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """One browser for all tests here."""
    with browsers.chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, clips: ClipFactory) -> Iterator[ServiceProgram]:
    """One service for all tests here, with a file in its library."""
    settings = {"STREAMFERRY_ACCESS_KEY_ID": KEY, "STREAMFERRY_SECRET_ACCESS_KEY": SECRET}
    words = ("--egress", "any", "--files", clips.directory, "--workers", "1")
    with ServiceProgram(tmp_path_factory.mktemp("for-all"), *words, environment=settings) as one:
        one.wait_ready(60)
        (one.data / "library").mkdir(exist_ok=True)
        shutil.copy(clips("two_seconds"), one.data / "library" / "周末 电影.mp4")
        yield one


@pytest.fixture(scope="module")
def tasks(service: ServiceProgram, clips: ClipFactory) -> dict[str, str]:
    """A list in trouble with a Chinese file name, and a live task that waits: title -> id."""
    now = int(datetime.now(UTC).timestamp())
    named = clips.directory / "周末 电影.mp4"
    shutil.copy(clips("two_seconds"), named)
    window = {"StartTime": now, "EndTime": now + 3600}
    listed = {
        "Type": 1,
        "Title": "Listed",
        "SrcAddrS": [f"file://{clips('two_seconds')}", f"file://{quote(str(named))}"],
        "CycleMode": -1,
        "DstAddr": "rtmp://127.0.0.1:9/live/listed",
        **window,
    }
    waits = {
        "Type": 0,
        "Title": "Waits",
        "SrcAddr": "rtmp://127.0.0.1:9/live/a",
        "DstAddr": "rtmp://127.0.0.1:9/live/waits",
        **window,
        "StartTime": now + 1800,
    }
    with LiveService(service.url, KEY, SECRET) as client:
        return {one["Title"]: client.create_pull_to_push_task(one)["Result"]["TaskId"] for one in (listed, waits)}


def sign_in(page: Page) -> None:
    page.goto("dashboard/")
    page.locator("[name=access_key_id]").fill(KEY)
    page.locator("[name=secret]").fill(SECRET)
    page.locator("[type=submit]").click()
    page.wait_for_url("**/dashboard/")


def violations(page: Page, part: str | None = None) -> list[tuple[Any, ...]]:
    """What axe-core finds, with where and why; on the whole page, or in a part of it."""
    # A dialog lies over a veil, which axe takes for what is behind its words; its colours are those of the pages.
    options = {"rules": {"color-contrast": {"enabled": part is None}}, "resultTypes": ["violations"]}
    found = Axe().run(page, context=part, options=options).response["violations"]
    return [
        (one["id"], node["target"], node["html"][:120], node["failureSummary"][:200])
        for one in found
        for node in one["nodes"]
    ]


@pytest.mark.parametrize(
    ("locale", "dark", "phone"), [("en-GB", False, False), ("zh-CN", True, True), ("en-GB", True, False)]
)
def test_axe_finds_nothing_on_any_page(
    chromium: Browser, service: ServiceProgram, tasks: dict[str, str], locale: str, dark: bool, phone: bool
) -> None:
    """Names for what has none to be seen, contrast, keys for what can be scrolled: no violation, in dialogs neither."""
    with browsers.tab(chromium, service.url, locale=locale, dark=dark, phone=phone) as tab:
        page = tab.page
        if not phone:
            page.set_viewport_size({"width": 1440, "height": 900})
        page.goto("dashboard/sign-in")
        assert violations(page) == []
        sign_in(page)
        name = f"{locale}-{'dark' if dark else 'light'}-{'phone' if phone else 'desk'}"
        for path, there in (
            ("", ".tile"),
            ("tasks", ".task-row, .task-card"),
            (f"tasks/{tasks['Listed']}", ".problem-bar:visible"),
            (f"tasks/{tasks['Waits']}", ".log-line"),
            (f"tasks/{tasks['Listed']}/edit", ".item"),
            ("new", ".item"),
            ("library", ".line-title"),
            ("nowhere", ".empty"),
        ):
            page.goto(f"dashboard/{path}")
            expect(page.locator(there).first).to_be_visible()
            assert violations(page) == [], path
            assert page.evaluate("document.documentElement.scrollWidth") <= page.viewport_size["width"]
            tab.keep(f"{path.replace('/', '-') or 'overview'}-{name}")
        page.goto(f"dashboard/tasks/{tasks['Waits']}")
        page.get_by_role("button", name="停止" if locale == "zh-CN" else "Stop", exact=True).click()
        expect(page.get_by_role("dialog")).to_be_visible()
        assert violations(page, ".q-dialog") == []
        assert tab.problems == []


def test_what_is_not_there_is_said_in_the_frame(chromium: Browser, service: ServiceProgram) -> None:
    """Status 404, in the reader's language, with a way back: for an address and for a task. It was the page
    framework's own page, and 200 for a task."""
    with browsers.tab(chromium, service.url, locale="zh-CN") as tab:
        page = tab.page
        sign_in(page)
        for path, words in (
            ("nope", "没有此页面。"),
            (f"tasks/{'0' * 32}", "没有此任务。"),
            ("tasks/x/edit", "没有此任务。"),
        ):
            answer = page.goto(f"dashboard/{path}")
            assert answer is not None
            assert answer.status == 404
            expect(page.get_by_text(words)).to_be_visible()
            expect(page.locator(".bar .place")).to_have_count(3)
            page.locator(".back").click()
            page.wait_for_url("**/dashboard/tasks")
        asked = page.request.get("dashboard/nope.js", headers={"accept": "*/*"})
        assert (asked.status, "<html" in asked.text()) == (404, False)


def test_everything_in_the_form_is_done_by_keys(
    chromium: Browser, service: ServiceProgram, tasks: dict[str, str], tmp_path: Path
) -> None:
    """Order of files by buttons and by Alt with arrows, a file of the library, the watermark by numbers and corners;
    the focus can be seen. Dragging was the only way. Names are read as people write them."""
    logo = tmp_path / "logo.png"
    programs.run([programs.ffmpeg(), "-v", "error", "-f", "lavfi", "-i", "testsrc=size=160x80", "-frames:v", "1", logo])
    with browsers.tab(chromium, service.url) as tab:
        page = tab.page
        sign_in(page)
        page.goto(f"dashboard/tasks/{tasks['Listed']}")
        expect(page.locator(".item-line").nth(1).locator(".item-name")).to_have_text("周末 电影.mp4")
        page.goto(f"dashboard/tasks/{tasks['Listed']}/edit")
        files = page.get_by_label(re.compile("^File: https"))
        expect(files.nth(1)).to_have_value(re.compile(r"^/.*/周末 电影\.mp4$"))
        page.get_by_role("button", name="Move down: 1").press("Enter")
        expect(files.first).to_have_value(re.compile("周末"))
        files.first.press("Alt+ArrowDown")
        expect(files.nth(1)).to_have_value(re.compile("周末"))
        expect(files.nth(1)).to_be_focused()
        files.nth(1).press("Alt+ArrowUp")
        expect(files.first).to_have_value(re.compile("周末"))
        page.get_by_role("button", name="From the library").press("Enter")
        choice = page.get_by_role("dialog").get_by_role("button", name=re.compile("周末"))
        choice.focus()
        page.keyboard.press("Shift+Tab")
        page.keyboard.press("Tab")
        if choice.evaluate("one => one.matches(':focus-visible')"):
            assert choice.evaluate("one => getComputedStyle(one).outlineStyle") == "solid"
        choice.press("Enter")
        expect(files.nth(2)).to_have_value(re.compile(r"library/周末 电影\.mp4$"))
        with page.expect_file_chooser() as chooser:
            page.get_by_role("button", name="Add a picture").press("Enter")
        chooser.value.set_files(logo)
        mark = page.locator(".stage img")
        page.get_by_role("button", name="Bottom right").press("Enter")
        # 16 % wide; half as high as wide, in a video of 16 to 9: 14.2 % high; 3 % to the edges.
        expect(mark).to_have_attribute("style", re.compile(r"left: 81%; top: 82\.8\d*%; width: 16%"))
        for label, text in (("X", "10"), ("Y", "20"), ("Width", "30")):
            page.get_by_label(label, exact=True).and_(page.locator("input")).fill(text)
        expect(mark).to_have_attribute("style", re.compile(r"left: 10%; top: 20%; width: 30%"))
        page.get_by_role("button", name="Save").press("Enter")
        page.wait_for_url(re.compile(r"/tasks/[0-9a-f]{32}$"))
        expect(page.locator(".item-name")).to_have_text(["周末 电影.mp4", "two_seconds.mp4", "周末 电影.mp4"])
        page.get_by_role("button", name="Edit").click()
        expect(mark).to_have_attribute("style", re.compile(r"left: 10%; top: 20%; width: 30%"))
        assert tab.problems == []
