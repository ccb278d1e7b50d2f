"""The dashboard in a real browser, over a real service whose tasks push to a real nginx-rtmp.

Each test opens the pages that it is about. What an answer of the service shows by itself is in test_dashboard_answers.
"""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Locator, Page, expect

from kit import browser as browsers
from kit import programs
from kit.browser import Tab
from kit.callback_receiver import CallbackReceiver
from kit.clips import ClipFactory
from kit.nginx_rtmp import NginxRtmp
from kit.service_program import ServiceProgram
from kit.shared_service import KEY_ID, SECRET
from kit.waiting import wait_for
from streamferry.client import LiveService

# A frame of the video as numbers, small enough to be compared.
PIXELS = """video => { const canvas = document.createElement("canvas"); canvas.width = 32; canvas.height = 18;
  const pen = canvas.getContext("2d"); pen.drawImage(video, 0, 0, 32, 18);
  return [video.currentTime, Array.from(pen.getImageData(0, 0, 32, 18).data).join()] }"""


@pytest.fixture
def page(shared_service: ServiceProgram, open_tab: Callable[..., Tab]) -> Page:
    """Of somebody who is signed in."""
    tab = open_tab(shared_service.url)
    tab.enter(KEY_ID, SECRET)
    return tab.page


@pytest.fixture
def make(shared_service: ServiceProgram) -> Callable[..., str]:
    """``make(destination, clip)`` gives the id of a task that plays the clip now, without one of a live task that
    waits for its start. Further fields as the API names them."""

    def make(destination: str, clip: Path | None = None, **fields: Any) -> str:
        now = int(datetime.now(UTC).timestamp())
        kind: dict[str, Any] = {"Type": 0, "SrcAddr": "rtmp://127.0.0.1:9/live/a", "StartTime": now + 3600}
        if clip is not None:
            kind = {"Type": 1, "SrcAddrS": [f"file://{clip}"], "CycleMode": -1, "StartTime": now}
        with LiveService(shared_service.url, KEY_ID, SECRET) as client:
            task = {**kind, "EndTime": now + 7200, "DstAddr": destination, **fields}
            return str(client.create_pull_to_push_task(task)["Result"]["TaskId"])

    return make


def field(page: Page, label: str) -> Locator:
    return page.get_by_label(re.compile(f"^{label}"))


def fill(page: Page, label: str, text: str) -> None:
    """Type into a field of the form as a person does, and leave it."""
    one = field(page, label).last
    one.fill(text)
    one.blur()


def test_a_task_through_its_life_by_hand(
    shared_service: ServiceProgram, open_tab: Callable[..., Tab], nginx: NginxRtmp, clips: ClipFactory
) -> None:
    """Made by the form it streams and is seen; stopped, continued, its list edited, deleted, all from its page."""
    tab = open_tab(shared_service.url)
    page = tab.page
    browsers.sign_in(page, KEY_ID, SECRET)
    page.get_by_role("link", name="Tasks", exact=True).click()
    page.get_by_role("button", name="New task").click()
    fill(page, "File: https", f"file://{clips('h264_no_bframes')}")
    fill(page, "Push address", nginx.url("seen"))
    fill(page, "Title", "Seen")
    page.get_by_role("button", name="Create task").click()
    page.wait_for_url(re.compile(r"/tasks/[0-9a-f]{32}$"))
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
    # To show it costs more than all the rest of the page.
    video.evaluate("video => video.pause()")
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
    files = page.locator(".item-line").filter(has=page.locator(".item-number"))
    expect(files).to_have_count(2)
    expect(files.first).to_contain_text("two_seconds")
    expect(chip).to_have_text("Streaming")
    page.wait_for_function("document.querySelector('live-view video').currentTime > 0")
    video.evaluate("video => video.pause()")

    insert_by_hand(page, clips("two_seconds"))
    look_at_schedule(page)

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


def insert_by_hand(page: Page, clip: Path) -> None:
    """Files are inserted on the page of a list that streams: refused, taken back, played; and an item is skipped."""
    waiting = page.get_by_role("list", name="Files that wait to be played").get_by_role("listitem")
    expect(page.get_by_text("No file waits to be played.")).to_be_visible()

    def ask(when: str) -> Locator:
        page.get_by_role("button", name="Insert a file").click()
        dialog = page.get_by_role("dialog", name="Insert a file")
        dialog.get_by_label("File: https").fill(str(clip))
        dialog.get_by_label("When").click()
        page.get_by_role("option", name=when).click()
        return dialog

    dialog = ask("At a time")
    take = dialog.get_by_role("button", name="Insert", exact=True)
    take.click()
    wrong = dialog.locator(".q-field--error")
    expect(wrong).to_have_count(1)
    expect(wrong).to_contain_text("At")
    # What only the store can tell.
    dialog.get_by_label("At", exact=True).fill("2026-01-01T20:00")
    take.click()
    expect(wrong).to_contain_text("must be in the future")
    dialog.get_by_label("At", exact=True).fill((datetime.now() + timedelta(minutes=30)).strftime("%Y-%m-%dT%H:%M"))
    # By the keyboard alone from here on.
    take.press("Enter")
    expect(dialog).to_be_hidden()
    expect(waiting).to_have_count(1)
    expect(waiting).to_contain_text(clip.name)
    waiting.get_by_role("button", name=f"Do not play {clip.name}").press("Enter")
    expect(waiting).to_have_count(0)

    ask("Now").get_by_role("button", name="Insert", exact=True).click()
    expect(page.get_by_role("tabpanel", name="Events")).to_contain_text("An inserted file")
    page.get_by_role("button", name="Skip to the next item").click()
    expect(page.get_by_text("What plays ends at its next keyframe.")).to_be_visible()


def look_at_schedule(page: Page) -> None:
    """What plays at a time, what was played as a file, and an address that calendars can read without a session."""
    at = datetime.now().replace(second=0, microsecond=0) + timedelta(minutes=30)
    when = page.get_by_label("What plays at")
    when.fill("2026-01-01T20:00")
    expect(page.locator(".q-field--error")).to_contain_text("must be in the future")
    when.fill(at.strftime("%Y-%m-%dT%H:%M"))
    expect(page.locator(".q-field--error")).to_have_count(0)
    items = page.get_by_role("list", name="Plays next, if nothing breaks").get_by_role("listitem")

    def first_ends_after_it() -> bool:
        # In one look: they are drawn again while the list plays.
        script = "rows => [...(rows[0]?.querySelectorAll('time-at') ?? [])].map(one => one.getAttribute('at'))"
        times = [datetime.fromisoformat(one) for one in items.evaluate_all(script)]
        return len(times) == 2 and times[0] <= at.astimezone() < times[1]

    wait_for("what plays then", first_ends_after_it)
    with page.expect_download() as kept:
        page.get_by_role("button", name="What was played (CSV)").click()
    rows = kept.value.path().read_text().splitlines()
    assert rows[0].startswith("start,end,")
    assert any("two_seconds" in row for row in rows[1:])
    page.get_by_role("button", name="Subscribe in a calendar").click()
    dialog = page.get_by_role("dialog", name="Subscribe in a calendar")
    for box in dialog.locator("pre").all():
        answer = httpx.get(box.inner_text())
        assert answer.headers["content-type"].startswith("text/calendar")
        assert "SUMMARY:Seen" in answer.text
    dialog.get_by_role("button", name="Close", exact=True).click()
    expect(dialog).to_be_hidden()


def test_what_is_wrong_is_said_at_its_field(page: Page, clips: ClipFactory) -> None:
    """All of it at once, in the words of the rules; only the fields that apply are there; nothing is created."""
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
        ("File: https", "File must start with file:, http://, https:// or s3://"),
        ("Push address", "An RTMP address needs an application and a stream key"),
        ("Title", "Title must be 1 to 20 Chinese characters, letters and digits"),
        ("To$", "must be seconds, or a time as 1:30"),
    ):
        wrong = page.locator(".q-field--error", has=field(page, label).last)
        expect(wrong).to_contain_text(words)
    fill(page, "File: https", f"file://{clips('two_seconds')}")
    expect(page.locator(".q-field--error", has=field(page, "File: https"))).to_have_count(0)
    page.get_by_role("button", name="A live stream").click()
    expect(field(page, "Stream: rtmp")).to_be_visible()
    expect(page.get_by_text("Play the list without end")).to_be_hidden()
    expect(field(page, "To$")).to_have_count(0)
    assert page.url.endswith("/new")


def test_what_only_the_store_knows_is_said_at_its_field(
    page: Page, make: Callable[..., str], clips: ClipFactory
) -> None:
    """The refusal was wiped away by leaving the field, where the click that sent the form came before that."""
    make("rtmp://127.0.0.1:9/live/taken", clips("two_seconds"))
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


def test_an_address_is_looked_into(
    shared_service: ServiceProgram, open_tab: Callable[..., Tab], clips: ClipFactory
) -> None:
    """What is in it stands below it, until another address does; what cannot be read is said in its place."""
    tab = open_tab(shared_service.url, locale="zh-CN")
    tab.enter(KEY_ID, SECRET)
    page = tab.page
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
    page: Page, shared_service: ServiceProgram, nginx: NginxRtmp, clips: ClipFactory
) -> None:
    """The uploaded file lies in the library, and a task that is made from there streams it."""
    page.goto("dashboard/library")
    page.locator("input[type=file]").set_input_files(clips("two_seconds"))
    expect(page.locator(".lines .line-title")).to_have_text("two_seconds.mp4")
    assert (shared_service.data / "library/two_seconds.mp4").read_bytes() == clips("two_seconds").read_bytes()
    page.goto("dashboard/new")
    page.get_by_role("button", name="From the library").click()
    page.get_by_role("dialog").get_by_text("two_seconds.mp4").click()
    expect(field(page, "File: https")).to_have_value(re.compile(r"/library/two_seconds\.mp4$"))
    fill(page, "Push address", nginx.url("uploaded"))
    page.get_by_role("button", name="Create task").click()
    nginx.wait_published("uploaded")


def test_a_watermark_is_placed_by_hand(page: Page, tmp_path: Path, clips: ClipFactory) -> None:
    """The picture is dragged over the stage and made wider; the task has it where it was let go."""
    logo = tmp_path / "logo.png"
    programs.run([programs.ffmpeg(), "-v", "error", "-f", "lavfi", "-i", "testsrc=size=160x80", "-frames:v", "1", logo])
    page.goto("dashboard/new")
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Add a picture").click()
    chooser.value.set_files(logo)
    mark, stage = page.locator(".stage img"), page.locator(".stage")
    mark.drag_to(stage, source_position={"x": 5, "y": 5}, target_position={"x": 115, "y": 60})
    expect(mark).to_have_attribute("style", re.compile(r"left: 25\.\d*%; top: 2[0-9]"))
    page.get_by_role("slider").locator("[tabindex='0']").press("ArrowRight")
    expect(mark).to_have_attribute("style", re.compile(r"left: 25\.\d*%; .*width: 17%"))
    fill(page, "File: https", f"file://{clips('two_seconds')}")
    fill(page, "Push address", "rtmp://127.0.0.1:9/live/watermarked")
    page.get_by_role("button", name="Create task").click()
    page.wait_for_url(re.compile(r"/tasks/[0-9a-f]{32}$"))
    page.get_by_role("button", name="Edit").click()
    expect(mark).to_have_attribute("style", re.compile(r"left: 25\.\d*%; .*width: 17%"))
    expect(mark).to_have_js_property("naturalWidth", 160)


def test_callbacks_are_seen_and_sent_again(page: Page, nginx: NginxRtmp, clips: ClipFactory) -> None:
    """Each stands on the page of its task with what became of it; one that was delivered comes once more."""
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


def test_earlier_events_are_shown_to_who_asks(
    page: Page, shared_service: ServiceProgram, make: Callable[..., str]
) -> None:
    """The last ones stand there at first; what was before them comes below, and stays while the page is open."""
    task_id = make("rtmp://127.0.0.1:9/live/often-changed")
    with LiveService(shared_service.url, KEY_ID, SECRET) as client:
        for number in range(59):
            client.update_pull_to_push_task({"TaskId": task_id, "Title": f"Change{number}"})
    page.goto(f"dashboard/tasks/{task_id}")
    lines = page.locator(".log-line")
    expect(lines).to_have_count(50)
    earlier = page.get_by_role("button", name="Earlier ones")
    # It is not drawn anew under a click when something happens meanwhile.
    earlier.hover()
    page.mouse.down()
    with LiveService(shared_service.url, KEY_ID, SECRET) as client:
        client.update_pull_to_push_task({"TaskId": task_id, "Title": "Changelast"})
    expect(lines.first).to_contain_text("v61")
    page.mouse.up()
    expect(lines).to_have_count(61)
    expect(lines.last).to_contain_text("Created")
    expect(earlier).to_have_count(0)


def test_a_click_outlives_what_changes_under_it(
    page: Page, make: Callable[..., str], shared_service: ServiceProgram
) -> None:
    """Tiles and rows were drawn anew with each refresh: a click that began before it was lost, and so was the focus."""

    def press(target: Locator) -> None:
        target.hover()
        page.mouse.down()

    task_id = make("rtmp://127.0.0.1:9/live/clicked", Title="Before")
    page.goto("dashboard/")
    tile = page.locator(".tile-waiting")
    expect(tile.locator(".tile-value")).to_have_text("1")
    tile.focus()
    press(tile)
    make("rtmp://127.0.0.1:9/live/another")
    expect(tile.locator(".tile-value")).to_have_text("2")
    expect(tile).to_be_focused()
    page.mouse.up()
    page.wait_for_url("**/dashboard/tasks?state=waiting")

    link = page.locator("a.line-title", has_text=re.compile("Before|After"))
    expect(link).to_have_text("Before")
    link.focus()
    press(link)
    with LiveService(shared_service.url, KEY_ID, SECRET) as client:
        client.update_pull_to_push_task({"TaskId": task_id, "Title": "After"})
    expect(link).to_have_text("After")
    expect(link).to_be_focused()
    page.mouse.up()
    page.wait_for_url(f"**/dashboard/tasks/{task_id}")


def test_several_at_once(page: Page, make: Callable[..., str], nginx: NginxRtmp, clips: ClipFactory) -> None:
    """Found by title, ticked, stopped and deleted after one question each."""
    for number in range(2):
        make(nginx.url(f"bulk{number}"), clips("two_seconds"), Title=f"Bulk{number}")
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
    page: Page, make: Callable[..., str], nginx: NginxRtmp, clips: ClipFactory
) -> None:
    """Ticking reaches a page; all of them are one click more, and no others. What is on air among them is not deleted
    before their number was typed."""
    for number in range(2):
        make(nginx.url(f"manyair{number}"), clips("two_seconds"), Title=f"Manyair{number}")
    for number in range(24):
        make(f"rtmp://127.0.0.1:9/live/many{number}", Title=f"Many{number}")
    make("rtmp://127.0.0.1:9/live/spared", Title="Spared")
    rows, bulk = page.locator(".task-row"), page.locator(".bulk")
    page.goto("dashboard/tasks?q=manyair")
    expect(rows.locator(".chip")).to_have_text(["Streaming", "Streaming"])
    page.get_by_placeholder("Title").fill("many")
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
    expect(bulk).to_contain_text("26 selected")
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
