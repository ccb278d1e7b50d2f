"""The dashboard in a real browser, over a real service whose tasks push to a real nginx-rtmp."""

import contextlib
import re
import subprocess
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from kit import browser as browsers
from kit import programs
from kit.browser import Tab
from kit.callback_receiver import CallbackReceiver
from kit.clips import ClipFactory
from kit.nginx_rtmp import NginxRtmp
from kit.relay_program import STREAMFERRY
from kit.service_program import ServiceProgram
from kit.waiting import wait_for
from streamferry.client import LiveService

KEY, SECRET = "AKDASHBOARD", "planted-secret-of-the-dashboard"
# A frame of the video as numbers, small enough to be compared.
PIXELS = """video => { const canvas = document.createElement("canvas"); canvas.width = 32; canvas.height = 18;
  const pen = canvas.getContext("2d"); pen.drawImage(video, 0, 0, 32, 18);
  return [video.currentTime, Array.from(pen.getImageData(0, 0, 32, 18).data).join()] }"""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, clips: ClipFactory) -> Iterator[ServiceProgram]:
    """One service for all tests here; each has tasks of its own."""
    settings = {
        "STREAMFERRY_ACCESS_KEY_ID": KEY,
        "STREAMFERRY_SECRET_ACCESS_KEY": SECRET,
        "STREAMFERRY_WRITE_RATE": "0",
    }
    words = ("--egress", "any", "--files", clips.directory, "--workers", "1")
    one = ServiceProgram(tmp_path_factory.mktemp("dashboard") / "service", *words, environment=settings)
    try:
        yield one.wait_ready()
    finally:
        one.stop()
    assert "Traceback" not in one.errors
    assert SECRET not in one.errors + one.output


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """One browser for all tests here."""
    with browsers.chromium() as browser:
        yield browser


@pytest.fixture
def open_tab(chromium: Browser, service: ServiceProgram) -> Iterator[Callable[..., Tab]]:
    """``open_tab()`` gives a tab; at the end no script may have failed, and nothing may have come from elsewhere."""
    with contextlib.ExitStack() as stack:
        opened: list[Tab] = []

        def start(**options: Any) -> Tab:
            opened.append(stack.enter_context(browsers.tab(chromium, service.url, **options)))
            return opened[-1]

        yield start
        ours = service.url.partition("://")[2]
        for one in opened:
            assert one.problems == []
            hosts = re.compile(rf"(https?|wss?)://{re.escape(ours)}|(data|blob):")
            assert [url for url in one.asked if not hosts.match(url)] == []


def field(page: Page, label: str) -> Locator:
    return page.get_by_label(re.compile(f"^{label}"))


def fill(page: Page, label: str, text: str) -> None:
    """Type into a field of the form as a person does, and leave it."""
    one = field(page, label).last
    one.fill(text)
    one.blur()


def create_list(page: Page, clip: Path, destination: str, title: str) -> None:
    """Make a VOD task by the form; its page is open then."""
    page.goto("dashboard/tasks")
    page.get_by_role("button", name="New task").click()
    fill(page, "File: https", f"file://{clip}")
    fill(page, "Push address", destination)
    fill(page, "Title", title)
    page.get_by_role("button", name="Create task").click()
    page.wait_for_url(re.compile(r"/tasks/[0-9a-f]{32}$"))


def test_a_task_through_its_life_by_hand(open_tab: Callable[..., Tab], nginx: NginxRtmp, clips: ClipFactory) -> None:
    """Made by the form it streams and is seen; stopped, continued, its list edited, deleted, all from its page."""
    tab = open_tab()
    page = tab.page
    browsers.sign_in(page, KEY, SECRET)
    create_list(page, clips("h264_no_bframes"), nginx.url("seen"), "Seen")
    chip = page.locator(".task-head .chip")
    expect(chip).to_have_text("Streaming")
    nginx.wait_published("seen")
    video = page.locator("live-view video")
    page.wait_for_function("document.querySelector('live-view video').currentTime > 0")
    at, picture = video.evaluate(PIXELS)
    page.wait_for_function(f"document.querySelector('live-view video').currentTime > {at} + 1")
    later, other_picture = video.evaluate(PIXELS)
    assert later > at + 1
    assert picture != other_picture
    tab.keep("task-light")

    page.get_by_role("button", name="Stop", exact=True).click()
    page.get_by_role("dialog").get_by_role("button", name="Stop").click()
    expect(chip).to_have_text("Stopped")
    nginx.wait_unpublished("seen")
    expect(page.locator("live-view video")).to_be_hidden()
    # A word, and no black box as high as a stream.
    screen = page.locator("live-view .screen")
    wait_for("a low box", lambda: browsers.box_of(screen)["height"] < 80)
    page.get_by_role("button", name="Continue").click()
    expect(chip).to_have_text("Streaming")
    nginx.wait_published("seen")

    page.get_by_role("button", name="Edit").click()
    expect(field(page, "Push address")).to_have_value(re.compile(r"/live/\*\*\*·[0-9a-z]+$"))
    page.get_by_role("button", name="Add an address").click()
    expect(page.locator(".item")).to_have_count(2)
    fill(page, "File: https", f"file://{clips('two_seconds')}")
    grip, first = page.locator(".item .grip").last, page.locator(".item").first
    grip.drag_to(first, target_position={"x": 20, "y": 6})
    expect(field(page, "File: https").first).to_have_value(re.compile("two_seconds"))
    tab.keep("form-edit")
    page.get_by_role("button", name="Save").click()
    page.wait_for_url(re.compile(r"/tasks/[0-9a-f]{32}$"))
    expect(page.locator(".item-line")).to_have_count(2)
    expect(page.locator(".item-line").first).to_contain_text("two_seconds")
    expect(chip).to_have_text("Streaming")

    page.get_by_role("button", name="More").click()
    page.get_by_text("As API request").click()
    expect(page.get_by_role("dialog")).to_contain_text("/live/***")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Copy to the clipboard").click()
    expect(page.get_by_text("Copied.")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()").startswith("from streamferry.client")
    # As browsers have it where a page came without TLS.
    page.evaluate("navigator.kept = navigator.clipboard")
    page.evaluate("Object.defineProperty(navigator, 'clipboard', { value: undefined })")
    page.get_by_role("tab", name="curl").click()
    page.get_by_role("tabpanel").get_by_role("button", name="Copy to the clipboard").click()
    page.wait_for_function("navigator.kept.readText().then(text => text.startsWith('TOKEN='))")
    page.get_by_role("button", name="Close", exact=True).click()
    page.get_by_role("button", name="More").click()
    page.get_by_text("Delete", exact=True).click()
    question = page.get_by_role("dialog", name="Delete Seen?")
    expect(question).to_contain_text("Streaming → rtmp://")
    # What is on air is not deleted by two clicks.
    expect(question.get_by_role("button", name="Delete")).to_be_disabled()
    question.get_by_role("textbox").fill("Seen")
    question.get_by_role("button", name="Delete").click()
    page.wait_for_url("**/dashboard/tasks")
    nginx.wait_unpublished("seen")
    expect(page.get_by_text("Seen", exact=True)).to_have_count(0)


def test_what_is_wrong_is_said_at_its_field(open_tab: Callable[..., Tab], clips: ClipFactory) -> None:
    """All of it at once, in the words of the rules; only the fields that apply are there; nothing is created."""
    tab = open_tab()
    page = tab.page
    browsers.sign_in(page, KEY, SECRET)
    page.goto("dashboard/new")
    fill(page, "File: https", "ftp://example.com/a.mp4")
    fill(page, "Push address", "rtmp://example.com/onlyapp")
    fill(page, "Title", "not / a title")
    fill(page, "To$", "x")
    fill(page, "Start", "2026-05-02T10:00")
    fill(page, "End", "2026-05-02T09:00")
    page.get_by_role("button", name="Create task").click()
    for label, words in (
        ("End", "End must be after Start."),
        ("File: https", "File must start with file:, http:// or https://"),
        ("Push address", "An RTMP address needs an application and a stream key"),
        ("Title", "Title must be 1 to 20 Chinese characters, letters and digits"),
        ("To$", "must be seconds, or a time as 1:30"),
    ):
        wrong = page.locator(".q-field--error", has=field(page, label).last)
        expect(wrong).to_contain_text(words)
    tab.keep("form-wrong")
    fill(page, "File: https", f"file://{clips('two_seconds')}")
    expect(page.locator(".q-field--error", has=field(page, "File: https"))).to_have_count(0)
    page.get_by_role("button", name="A live stream").click()
    expect(field(page, "Stream: rtmp")).to_be_visible()
    expect(page.get_by_text("Play the list without end")).to_be_hidden()
    expect(field(page, "To$")).to_have_count(0)
    assert page.url.endswith("/new")


def test_what_only_the_store_knows_is_said_at_its_field(open_tab: Callable[..., Tab], clips: ClipFactory) -> None:
    """The refusal was wiped away by leaving the field, where the click that sent the form came before that."""
    page = open_tab().page
    browsers.sign_in(page, KEY, SECRET)
    create_list(page, clips("two_seconds"), "rtmp://127.0.0.1:9/live/taken", "Taken")
    page.goto("dashboard/new")
    fill(page, "File: https", f"file://{clips('two_seconds')}")
    destination = field(page, "Push address")
    destination.fill("rtmp://127.0.0.1:9/live/taken")
    page.get_by_role("button", name="Create task").dispatch_event("click")
    wrong = page.locator(".q-field--error", has=destination)
    expect(wrong).to_contain_text("pushes to the same destination")
    destination.blur()
    fill(page, "Title", "Other")
    expect(wrong).to_have_count(0)
    page.get_by_role("button", name="Create task").click()
    expect(wrong).to_contain_text("pushes to the same destination")
    destination.focus()
    destination.blur()
    field(page, "Title").focus()
    expect(wrong).to_contain_text("pushes to the same destination")


def test_an_address_is_looked_into(open_tab: Callable[..., Tab], clips: ClipFactory) -> None:
    """What is in it stands below it, until another address does; what cannot be read is said in its place."""
    page = open_tab(locale="zh-CN").page
    browsers.sign_in(page, KEY, SECRET)
    page.goto("dashboard/new")
    address, look, found = field(page, "文件：https"), page.get_by_role("button", name="探测"), page.locator(".probe")
    address.fill(f"file://{clips('h264_bframes')}")
    look.click()
    expect(found).to_contain_text("h264 320×180, 25 fps")
    expect(found).to_contain_text("含有 B 帧")
    address.fill(f"file://{clips('not_media')}")
    expect(found).to_be_hidden()
    look.click()
    expect(found).to_contain_text("不是可读取的媒体")


def test_a_file_is_uploaded_and_played(
    open_tab: Callable[..., Tab], service: ServiceProgram, nginx: NginxRtmp, clips: ClipFactory
) -> None:
    """The uploaded file lies in the library, and a task that is made from there streams it."""
    page = open_tab().page
    browsers.sign_in(page, KEY, SECRET)
    page.goto("dashboard/library")
    page.locator("input[type=file]").set_input_files(clips("two_seconds"))
    expect(page.locator(".lines .line-title")).to_have_text("two_seconds.mp4")
    assert (service.data / "library/two_seconds.mp4").read_bytes() == clips("two_seconds").read_bytes()
    page.goto("dashboard/new")
    page.get_by_role("button", name="From the library").click()
    page.get_by_role("dialog").get_by_text("two_seconds.mp4").click()
    expect(field(page, "File: https")).to_have_value(re.compile(r"/library/two_seconds\.mp4$"))
    fill(page, "Push address", nginx.url("uploaded"))
    page.get_by_role("button", name="Create task").click()
    nginx.wait_published("uploaded")


def test_a_watermark_is_placed_by_hand(open_tab: Callable[..., Tab], tmp_path: Path, clips: ClipFactory) -> None:
    """The picture is dragged over the stage and made wider; the task has it where it was let go."""
    tab = open_tab()
    page = tab.page
    logo = tmp_path / "logo.png"
    programs.run([programs.ffmpeg(), "-v", "error", "-f", "lavfi", "-i", "testsrc=size=160x80", "-frames:v", "1", logo])
    browsers.sign_in(page, KEY, SECRET)
    page.goto("dashboard/new")
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Add a picture").click()
    chooser.value.set_files(logo)
    mark, stage = page.locator(".stage img"), page.locator(".stage")
    mark.drag_to(stage, source_position={"x": 5, "y": 5}, target_position={"x": 115, "y": 60})
    expect(mark).to_have_attribute("style", re.compile(r"left: 25\.\d*%; top: 2[0-9]"))
    page.get_by_role("slider").locator("[tabindex='0']").press("ArrowRight")
    expect(mark).to_have_attribute("style", re.compile(r"left: 25\.\d*%; .*width: 17%"))
    tab.keep("form-watermark")
    fill(page, "File: https", f"file://{clips('two_seconds')}")
    fill(page, "Push address", "rtmp://127.0.0.1:9/live/watermarked")
    page.get_by_role("button", name="Create task").click()
    page.wait_for_url(re.compile(r"/tasks/[0-9a-f]{32}$"))
    page.get_by_role("button", name="Edit").click()
    expect(mark).to_have_attribute("style", re.compile(r"left: 25\.\d*%; .*width: 17%"))
    expect(mark).to_have_js_property("naturalWidth", 160)


def test_callbacks_are_seen_and_sent_again(open_tab: Callable[..., Tab], nginx: NginxRtmp, clips: ClipFactory) -> None:
    """Each stands on the page of its task with what became of it; one that was delivered comes once more."""
    page = open_tab().page
    browsers.sign_in(page, KEY, SECRET)
    with CallbackReceiver() as receiver:
        page.goto("dashboard/new")
        fill(page, "File: https", f"file://{clips('two_seconds')}")
        fill(page, "Push address", nginx.url("called"))
        fill(page, "Callback address", receiver.url())
        page.get_by_role("button", name="Create task").click()
        page.get_by_role("tab", name="Callbacks").click()
        line = page.locator(".log-line", has_text="streaming").filter(has_text="delivered at attempt 1")
        expect(line).to_be_visible()
        line.get_by_role("button").click()
        receiver.wait_for("it to come again", lambda seen: receiver.events.count("streaming") == 2)
        page.get_by_role("button", name="More").click()
        page.get_by_text("Copy", exact=True).click()
        expect(field(page, "Push address")).to_have_value(re.compile(r"\*\*\*·[0-9a-z]+$"))
        page.get_by_role("button", name="Create task").click()
        expect(page.locator(".q-field--error", has=field(page, "Push address"))).to_contain_text("Type the whole")


def test_earlier_events_are_shown_to_who_asks(open_tab: Callable[..., Tab], service: ServiceProgram) -> None:
    """The last ones stand there at first; what was before them comes below, and stays while the page is open."""
    now = int(datetime.now(UTC).timestamp())
    task = {
        "Type": 0,
        "SrcAddr": "rtmp://127.0.0.1:9/live/a",
        "StartTime": now + 3600,
        "EndTime": now + 7200,
        "DstAddr": "rtmp://127.0.0.1:9/live/often-changed",
    }
    with LiveService(service.url, KEY, SECRET) as client:
        task_id = client.create_pull_to_push_task(task)["Result"]["TaskId"]
        for number in range(59):
            client.update_pull_to_push_task({"TaskId": task_id, "Title": f"Change{number}"})
    page = open_tab().page
    browsers.sign_in(page, KEY, SECRET)
    page.goto(f"dashboard/tasks/{task_id}")
    lines = page.locator(".log-line")
    expect(lines).to_have_count(50)
    page.get_by_role("button", name="Earlier ones").click()
    expect(lines).to_have_count(60)
    expect(lines.last).to_contain_text("Created")
    expect(page.get_by_role("button", name="Earlier ones")).to_have_count(0)


def test_several_at_once(open_tab: Callable[..., Tab], nginx: NginxRtmp, clips: ClipFactory) -> None:
    """Found by title, ticked, stopped and deleted after one question each."""
    page = open_tab().page
    browsers.sign_in(page, KEY, SECRET)
    for number in range(2):
        create_list(page, clips("two_seconds"), nginx.url(f"bulk{number}"), f"Bulk{number}")
    page.goto("dashboard/tasks")
    page.get_by_placeholder("Title").fill("bulk")
    rows = page.locator(".task-row")
    expect(rows).to_have_count(2)
    page.locator("thead .q-checkbox").click()
    page.locator(".bulk").get_by_role("button", name="Stop").click()
    page.get_by_role("dialog").get_by_role("button", name="Stop").click()
    expect(rows.locator(".chip")).to_have_text(["Stopped", "Stopped"])
    expect(page.locator(".filter-all")).to_have_text(re.compile(r"All\s+2"))
    page.locator("thead .q-checkbox").click()
    page.locator(".bulk").get_by_role("button", name="Delete").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(rows).to_have_count(0)


def test_all_that_the_filters_leave_are_meant_over_pages(
    open_tab: Callable[..., Tab], service: ServiceProgram, nginx: NginxRtmp, clips: ClipFactory
) -> None:
    """Ticking reaches a page; all of them are one click more, and no others. What is on air among them is not deleted
    before their number was typed."""
    now = int(datetime.now(UTC).timestamp())
    window = {"EndTime": now + 7200}
    waits = {"Type": 0, "SrcAddr": "rtmp://127.0.0.1:9/live/a", "StartTime": now + 3600, **window}
    streams = {"Type": 1, "SrcAddrS": [f"file://{clips('two_seconds')}"], "CycleMode": -1, "StartTime": now, **window}
    with LiveService(service.url, KEY, SECRET) as client:
        for number in range(2):
            client.create_pull_to_push_task(
                {**streams, "Title": f"Manyair{number}", "DstAddr": nginx.url(f"manyair{number}")}
            )
        for number in range(24):
            client.create_pull_to_push_task(
                {**waits, "Title": f"Many{number}", "DstAddr": f"rtmp://127.0.0.1:9/live/many{number}"}
            )
        client.create_pull_to_push_task({**waits, "Title": "Spared", "DstAddr": "rtmp://127.0.0.1:9/live/spared"})
    page = open_tab().page
    browsers.sign_in(page, KEY, SECRET)
    page.goto("dashboard/tasks?q=manyair")
    rows, bulk = page.locator(".task-row"), page.locator(".bulk")
    expect(rows.locator(".chip")).to_have_text(["Streaming", "Streaming"])
    page.goto("dashboard/tasks?q=many")
    expect(rows).to_have_count(25)
    page.locator("thead .q-checkbox").click()
    expect(bulk).to_contain_text("25 selected")
    bulk.get_by_role("button", name="Select all 26").click()
    expect(bulk).to_contain_text("26 selected")
    # Ticked otherwise, it is what is ticked that is meant.
    rows.first.locator(".q-checkbox").click()
    expect(bulk).to_contain_text("24 selected")
    rows.first.locator(".q-checkbox").click()
    bulk.get_by_role("button", name="Select all 26").click()
    bulk.get_by_role("button", name="Delete").click()
    question = page.get_by_role("dialog", name="Delete 26 tasks?")
    expect(question).to_contain_text("Many23 — Waiting → rtmp://127.0.0.1:9/live/***")
    expect(question).to_contain_text("and 21 more")
    expect(question).to_contain_text("2 of them streaming now")
    yes, box = question.get_by_role("button", name="Delete"), question.get_by_role("textbox")
    expect(yes).to_be_disabled()
    box.fill("25")
    expect(yes).to_be_disabled()
    box.fill("26")
    yes.click()
    expect(page.get_by_text("26 tasks: done.")).to_be_visible()
    expect(rows).to_have_count(0)
    nginx.wait_unpublished("manyair0")
    nginx.wait_unpublished("manyair1")
    page.get_by_placeholder("Title").fill("spared")
    expect(rows).to_have_count(1)


def test_who_may_only_read_changes_nothing(
    open_tab: Callable[..., Tab], service: ServiceProgram, nginx: NginxRtmp, clips: ClipFactory
) -> None:
    """There is no button for it, the form is closed, and an upload that is sent all the same is refused."""
    owner = open_tab().page
    browsers.sign_in(owner, KEY, SECRET)
    create_list(owner, clips("two_seconds"), nginx.url("readonly"), "Readonly")
    made = subprocess.run(
        [STREAMFERRY, "key", "create", "--read-only", "--json", "--data-dir", service.data],
        capture_output=True,
        text=True,
        check=True,
    )
    key, secret = re.findall(r'": ?"([^"]+)"', made.stdout)[:2]
    page = open_tab().page
    browsers.sign_in(page, key, secret)
    page.goto(owner.url)
    expect(page.locator(".task-head .chip")).to_be_visible()
    for name in ("Stop", "Continue", "Edit"):
        expect(page.get_by_role("button", name=name, exact=True)).to_have_count(0)
    page.goto("dashboard/new")
    expect(page.get_by_text("This key may only look.")).to_be_visible()
    expect(page.get_by_role("button", name="Create task")).to_have_count(0)
    status = page.evaluate("fetch('/dashboard/library/files/a.mp4', {method: 'PUT', body: 'x'}).then(a => a.status)")
    assert status == 403
    owner.goto("dashboard/")
    assert owner.evaluate("fetch('/dashboard/sign-out', {method: 'POST'}).then(answer => answer.ok)")
    owner.goto("dashboard/tasks")
    expect(owner).to_have_url(re.compile("sign-in"))


def test_guesses_are_made_to_wait(open_tab: Callable[..., Tab], service: ServiceProgram) -> None:
    """The form says so without saying which half was wrong; the cookie of a session is out of a script's reach."""
    page = open_tab().page
    for _ in range(6):
        page.goto("dashboard/sign-in")
        page.locator("[name=access_key_id]").fill("AKGUESSED")
        page.locator("[name=secret]").fill("wrong")
        page.locator("[type=submit]").click()
        expect(page.get_by_role("alert")).to_be_visible()
    expect(page.get_by_role("alert")).to_contain_text("Try again in")
