"""The dashboard for who does not see it, has no mouse, or came by a wrong address: axe-core on every page, and keys."""

import re
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Page, expect

from kit import browser as browsers
from kit import programs
from kit.browser import Tab
from kit.clips import ClipFactory
from kit.service_program import ServiceProgram
from kit.waiting import wait_for
from streamferry.client import LiveService

KEY, SECRET = "AKFORALL", "planted-secret-for-all"
#: Widths, and whether it is dark. The theme alone chooses colours (dashboard.css), and the width what is there.
Guises = tuple[tuple[int, bool], ...]
NARROW: Guises = ((390, True),)
GUISES: Guises = ((1440, False), *NARROW)
#: For where rows become cards, and the navigation goes to the bottom.
ALL_GUISES: Guises = (*GUISES, (390, False), (1440, True))
#: The rules of axe that judge colours: where the same is there in others, no other can find more.
OF_COLOURS = ["color-contrast", "link-in-text-block"]
#: Whether the page is dark or not as it was asked to be; that of signing in has no script for it.
GUISE = """dark => { const kinds = document.body.classList;
  return kinds.contains("theme-auto") || kinds.contains("body--dark") === dark }"""
#: Whether no transition is under way; what turns for ever does not count.
SETTLED = """() => document.getAnimations().every(one => one.playState !== "running"
  || one.effect.getComputedTiming().endTime === Infinity)"""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, clips: ClipFactory) -> Iterator[ServiceProgram]:
    """One service for all tests here, with a file in its library and room for two tasks."""
    settings = {
        "STREAMFERRY_ACCESS_KEY_ID": KEY,
        "STREAMFERRY_SECRET_ACCESS_KEY": SECRET,
        "STREAMFERRY_WRITE_RATE": "0",
        "STREAMFERRY_LABELS": "region=eu,egress=192.0.2.7",
        "STREAMFERRY_CAPACITY_KBPS": "800000",
        "STREAMFERRY_CAPACITY_ENCODES": "2",
    }
    words = ("--egress", "any", "--files", clips.directory, "--workers", "1", "--capacity", "2")
    with ServiceProgram(tmp_path_factory.mktemp("for-all"), *words, environment=settings) as one:
        one.wait_ready()
        (one.data / "library").mkdir(exist_ok=True)
        shutil.copy(clips("two_seconds"), one.data / "library" / "周末 电影.mp4")
        yield one


@pytest.fixture(scope="module")
def tasks(service: ServiceProgram, clips: ClipFactory) -> dict[str, str]:
    """Title -> id. A list in trouble with a Chinese file name, one of twelve long addresses, a live task that waits for
    its start, and one that finds no room: the first two keep it."""
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
    long = {
        "Type": 1,
        "Title": "Long",
        "SrcAddrS": [f"http://127.0.0.1:9/{'a-long-folder/' * 12}{number}.mp4" for number in range(12)],
        "CycleMode": -1,
        "DstAddr": f"rtmp://127.0.0.1:9/{'a-long-application-' * 6}/key",
        **window,
    }
    live = {"Type": 0, "SrcAddr": "rtmp://127.0.0.1:9/live/a", **window}
    waits = {**live, "Title": "Waits", "DstAddr": "rtmp://127.0.0.1:9/live/waits", "StartTime": now + 1800}
    roomless = {**live, "Title": "Roomless", "DstAddr": "rtmp://127.0.0.1:9/live/roomless"}
    made: dict[str, str] = {}
    with LiveService(service.url, KEY, SECRET) as client:
        for one in (listed, long, waits, roomless):
            made[one["Title"]] = client.create_pull_to_push_task(one)["Result"]["TaskId"]
            if one is long:
                for title in ("Listed", "Long"):
                    _wait_taken(client, made[title])
    return made


def _wait_taken(client: LiveService, task_id: str) -> None:
    def look() -> bool:
        found = client.list_pull_to_push_task({"TaskId": task_id})["Result"]["List"]
        return bool(found[0]["Run"]["State"] != "waiting")

    wait_for("a worker to take it", look)


def violations(page: Page, rules: list[str] | None = None) -> list[tuple[Any, ...]]:
    """What axe-core finds on the page or in the dialog over it, with where and why; by all its rules, or some."""
    # Half a transition is a colour of its own.
    page.wait_for_function(SETTLED)
    # It is behind the dialog's box, and axe takes it to lie over it.
    page.evaluate("document.querySelectorAll('.q-dialog__backdrop').forEach(veil => { veil.style.display = 'none' })")
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE_SCRIPT)
    run = """([part, rules]) => axe.run(part ?? document, { resultTypes: ["violations"], preload: false,
      ...(rules && { runOnly: rules }) }).then(found => found.violations)"""
    found = page.evaluate(run, [".q-dialog" if page.locator(".q-dialog").count() else None, rules])
    return [
        (one["id"], node["target"], node["html"][:120], node["failureSummary"][:300])
        for one in found
        for node in one["nodes"]
    ]


def look(tab: Tab, width: int, *, dark: bool) -> None:
    """Look at the page that is open with a screen of that width."""
    tab.page.set_viewport_size({"width": width, "height": 900})
    tab.page.emulate_media(color_scheme="dark" if dark else "light")
    tab.page.wait_for_function(GUISE, arg=dark)


def in_each_guise(tab: Tab, name: str, guises: Guises = GUISES) -> Iterator[int]:
    """The page that is open, in one guise after another: the width. No violation, nothing too wide."""
    looked_at = set[int]()
    for width, dark in guises:
        look(tab, width, dark=dark)
        assert violations(tab.page, OF_COLOURS if width in looked_at else None) == [], (name, width, dark)
        looked_at.add(width)
        assert tab.page.evaluate("document.documentElement.scrollWidth") <= width, (name, dark)
        tab.keep(f"{name}-{'dark' if dark else 'light'}-{width}")
        yield width


def pages_of(tasks: dict[str, str]) -> Iterator[tuple[str, str, str, str]]:
    """Path, what is there, and title in English and in Chinese."""
    yield "", ".problem-line", "Overview", "概览"
    yield "library", ".line-title", "Library", "素材库"
    yield "workers", ".worker-line", "Workers", "工作进程"
    yield "nowhere", ".empty", "Not found", "未找到"
    yield f"tasks/{tasks['Listed']}", ".problem-bar:visible", "Listed", "Listed"
    yield f"tasks/{tasks['Long']}", ".problem-bar:visible", "Long", "Long"
    yield f"tasks/{tasks['Waits']}", ".log-line", "Waits", "Waits"
    yield f"tasks/{tasks['Listed']}/edit", ".item", "Change task", "编辑任务"
    yield "tasks", ".task-row, .task-card", "Tasks", "任务"
    yield "new", ".item", "New task", "新建任务"


def test_axe_finds_nothing_on_any_page(
    service: ServiceProgram, tasks: dict[str, str], open_tab: Callable[..., Tab]
) -> None:
    """Names for what has none to be seen, contrast, keys for what can be scrolled: no violation in any guise, in
    dialogs, over ticked tasks and beside wrong fields neither. And never wider than the screen."""
    tab = open_tab(service.url)
    page = tab.page
    page.goto("dashboard/sign-in")
    list(in_each_guise(tab, "sign-in", ALL_GUISES))
    tab.enter(KEY, SECRET)
    for path, there, title, _ in pages_of(tasks):
        page.goto(f"dashboard/{path}")
        expect(page.locator(there).first).to_be_visible()
        expect(page.locator("h1")).to_have_text(title)
        if path.endswith(tasks["Long"]):
            reasons = re.compile("cannot be connected|Connection refused")
            expect(page.locator(".problem-bar")).to_contain_text(reasons)
        # Long texts are tight where it is narrow.
        guises = {"": ALL_GUISES, "tasks": ALL_GUISES, f"tasks/{tasks['Long']}": NARROW}.get(path, GUISES)
        for width in in_each_guise(tab, path.replace("/", "-") or "overview", guises):
            if path == "":
                # The words had a column of three letters beside the state.
                assert browsers.box_of(page.locator(".problem-line .line-title").first)["width"] > width / 2
            if path.startswith("tasks/") and not path.endswith("edit"):
                expect(page.locator(".tabs.q-tabs--not-scrollable, .tabs .q-tabs--not-scrollable")).to_have_count(1)
        if path == "tasks":
            look(tab, 1440, dark=False)
            page.locator("thead .q-checkbox").click()
            expect(page.locator(".bulk")).to_be_visible()
            list(in_each_guise(tab, "ticked"))
            page.locator(".bulk").get_by_role("button", name="Delete").click()
            expect(page.get_by_role("dialog")).to_be_visible()
            list(in_each_guise(tab, "question"))
        if path == "new":
            page.get_by_role("button", name="A live stream").click()
            page.get_by_role("button", name="Server and key").click()
            for fold in page.get_by_role("button", name="Connection").all():
                fold.click()
            page.get_by_label("Name", exact=True).first.fill("Cookie")
            page.locator(".form-foot .q-btn").last.click()
            expect(page.locator(".q-field--error").first).to_be_visible()
            list(in_each_guise(tab, "wrong"))
            page.get_by_role("button", name="中文").click()
            expect(page.locator("h1")).to_have_text("新建任务")


def test_every_page_is_in_the_readers_language(
    service: ServiceProgram, tasks: dict[str, str], open_tab: Callable[..., Tab]
) -> None:
    """And in Chinese never wider than the screen either. What is there is the same, and so is what axe says of it."""
    tab = open_tab(service.url, locale="zh-CN")
    page = tab.page
    tab.enter(KEY, SECRET)
    for path, there, _, title in pages_of(tasks):
        page.goto(f"dashboard/{path}")
        expect(page.locator(there).first).to_be_visible()
        expect(page.locator("h1")).to_have_text(title)
        assert page.evaluate("document.documentElement.lang") == "zh-CN"
        if path.endswith(tasks["Long"]):
            expect(page.locator(".problem-bar")).to_contain_text(re.compile("无法连接|连接被拒绝"))
        for width, dark in GUISES:
            look(tab, width, dark=dark)
            assert page.evaluate("document.documentElement.scrollWidth") <= width, (path, width)
            tab.keep(f"{path.replace('/', '-') or 'overview'}-zh-CN-{width}")


def test_a_task_that_finds_no_room_is_in_trouble_wherever_it_is_shown(
    service: ServiceProgram, tasks: dict[str, str], open_tab: Callable[..., Tab]
) -> None:
    """Tile, list, filter, row, page, its events, and the metric; it was told nowhere, and ended as if it had run."""
    tab = open_tab(service.url)
    page = tab.page
    tab.enter(KEY, SECRET)
    page.goto("dashboard/")
    line = page.locator(".problem-line", has_text="Roomless")
    expect(line).to_contain_text("The service — no worker has room", timeout=60_000)
    expect(line.locator(".chip")).to_have_text("Waiting")
    expect(page.locator(".tile-trouble .tile-value")).to_have_text("3")
    expect(page.locator(".problem-line")).to_have_count(3)
    expect(page.locator(".tile-free .tile-value")).to_have_text("0")
    page.locator(".tile-trouble").click()
    row = page.locator(".task-row", has_text="Roomless")
    expect(row.locator(".chip.s-troubled")).to_have_text("Waiting")
    expect(row.locator("div.problem")).to_contain_text("The service — no worker has room")
    expect(page.locator(".filter-trouble")).to_have_text(re.compile(r"In trouble\s+3"))
    expect(page.locator(".filter-waiting")).to_have_text(re.compile(r"Waiting\s+1"))
    row.locator("a.line-title").click()
    expect(page.locator(".problem-bar")).to_contain_text(re.compile(r"no worker has room\s+since"), use_inner_text=True)
    page.get_by_role("tab", name="Problems").click()
    # Another test of this module may have cordoned the worker meanwhile: then it has waited for two reasons.
    waited = re.compile(r"Waiting(\s×\d+)?\s+no worker has room")
    expect(page.locator(".log-line", has_text="no worker has room")).to_contain_text([waited], use_inner_text=True)
    wait_for("the metric", lambda: "streamferry_tasks_in_trouble 3.0" in page.request.get("metrics").text())


def test_a_worker_is_cordoned_and_takes_tasks_again(
    service: ServiceProgram, tasks: dict[str, str], open_tab: Callable[..., Tab]
) -> None:
    """What it is stands there; a drain is asked about first, and keeps what has no other place."""
    tab = open_tab(service.url)
    page = tab.page
    tab.enter(KEY, SECRET)
    page.goto("dashboard/workers")
    line = page.locator(".worker-line")
    expect(line.locator(".chip")).to_have_text("Takes tasks")
    expect(line).to_contain_text("2 of 2 tasks")
    expect(line).to_contain_text("egress=192.0.2.7  region=eu")
    # Another test of this module may have given one of them an encode.
    expect(line).to_contain_text(re.compile(r"[012] of 2 encodes"))
    line.get_by_role("button", name="Cordon").click()
    expect(line.locator(".chip")).to_have_text("Takes no tasks")
    line.get_by_role("button", name="Drain").click()
    page.locator(".dialog").get_by_role("button", name="Drain").click()
    expect(line.locator(".chip")).to_have_text("Draining")
    expect(line).to_contain_text("2 of 2 tasks")
    line.get_by_role("button", name="Take tasks again").click()
    expect(line.locator(".chip")).to_have_text("Takes tasks")


def test_everything_in_the_form_is_done_by_keys(
    service: ServiceProgram, tasks: dict[str, str], open_tab: Callable[..., Tab], tmp_path: Path
) -> None:
    """Order of files by buttons and by Alt with arrows, a file of the library, the watermark by numbers and corners;
    the focus can be seen. Dragging was the only way. Names are read as people write them."""
    logo = tmp_path / "logo.png"
    programs.run([programs.ffmpeg(), "-v", "error", "-f", "lavfi", "-i", "testsrc=size=160x80", "-frames:v", "1", logo])
    tab = open_tab(service.url)
    page = tab.page
    tab.enter(KEY, SECRET)
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
