"""Form and pages in zones whose clocks are put forward and back: the time that is shown is the one that is kept."""

import re
from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest
from playwright.sync_api import Browser, Page, expect

from kit import browser as browsers
from kit.service_program import ServiceProgram
from streamferry.client import LiveService

KEY, SECRET = "AKCLOCKS", "planted-secret-of-the-clocks"


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """One browser for all tests here."""
    with browsers.chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProgram]:
    """A service in a zone of its own, which is no business of the browser's."""
    settings = {"STREAMFERRY_ACCESS_KEY_ID": KEY, "STREAMFERRY_SECRET_ACCESS_KEY": SECRET, "TZ": "Asia/Tokyo"}
    words = ("--egress", "any", "--workers", "1")
    with ServiceProgram(tmp_path_factory.mktemp("clocks"), *words, environment=settings) as one:
        yield one.wait_ready()


def make_task(client: LiveService, end_at: datetime) -> str:
    task = {
        "Type": 0,
        "SrcAddr": "rtmp://127.0.0.1:9/live/a",
        "DstAddr": "rtmp://127.0.0.1:9/live/b",
        "StartTime": int((end_at - timedelta(hours=6)).timestamp()),
        "EndTime": int(end_at.timestamp()),
    }
    return str(client.create_pull_to_push_task(task)["Result"]["TaskId"])


def end_of(client: LiveService, task_id: str) -> datetime:
    found = client.list_pull_to_push_task({"Size": 500})["Result"]["List"]
    return datetime.fromisoformat(next(one["EndTime"] for one in found if one["TaskId"] == task_id))


def save(page: Page) -> None:
    page.get_by_role("button", name="Save").click()
    page.wait_for_url(re.compile(r"/tasks/[0-9a-f]{32}$"))


@pytest.mark.parametrize(
    ("zone", "twice", "offsets", "never"),
    [
        ("Europe/Berlin", "2027-10-31T02:30", ("+02:00", "+01:00"), "2027-03-28T02:30"),
        ("America/New_York", "2027-11-07T01:30", ("-04:00", "-05:00"), "2027-03-14T02:30"),
    ],
)
def test_a_window_at_the_hour_that_clocks_change(
    chromium: Browser, service: ServiceProgram, zone: str, twice: str, offsets: tuple[str, str], never: str
) -> None:
    """Both instants of a repeated hour are shown apart and outlive the form; typed anew it is the first, and is said to
    be; an hour that does not come is refused at its field.
    """
    instants = [datetime.fromisoformat(twice + offset) for offset in offsets]
    with LiveService(service.url, KEY, SECRET) as client, browsers.tab(chromium, service.url, zone=zone) as tab:
        page = tab.page
        browsers.sign_in(page, KEY, SECRET)
        for at, offset in zip(instants, offsets, strict=True):
            task_id = make_task(client, at)
            page.goto(f"dashboard/tasks/{task_id}")
            end = page.locator(".window time-at").last
            # As browsers write an offset: GMT+1.
            expect(end).to_have_text(re.compile(rf"{twice[-5:]} GMT{re.escape(offset[0])}{int(offset[1:3])}$"))
            page.get_by_role("button", name="Edit").click()
            field = page.get_by_label(re.compile("^End"))
            expect(field).to_have_value(twice)
            expect(page.get_by_text("comes twice")).to_contain_text(f"the one at UTC{offset} is meant")
            page.get_by_label(re.compile("^Title")).fill("changed")
            save(page)
            assert end_of(client, task_id) == at
            page.get_by_role("button", name="Edit").click()
            field.fill(never)
            field.blur()
            expect(page.locator(".q-field--error")).to_contain_text(f"is no time in {zone} on that day")
            expect(page.get_by_text("comes twice")).to_be_hidden()
            page.get_by_role("button", name="Cancel").click()
            page.wait_for_url(re.compile(r"/tasks/[0-9a-f]{32}$"))
            client.delete_pull_to_push_task({"TaskId": task_id})
        page.goto("dashboard/new")
        page.get_by_label(re.compile("^Start")).fill(twice)
        expect(page.get_by_text("comes twice")).to_contain_text(f"the one at UTC{offsets[0]} is meant")
        assert tab.problems == []
