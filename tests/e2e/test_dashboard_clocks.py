"""Form and pages in zones whose clocks are put forward and back: the time that is shown is the one that is kept."""

import re
from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from playwright.sync_api import expect

from kit import browser as browsers
from kit.browser import Tab
from kit.service_program import ServiceProgram
from kit.shared_service import KEY_ID, SECRET
from streamferry.client import LiveService


def make_task(client: LiveService, end_at: datetime) -> str:
    task = {
        "Type": 0,
        "SrcAddr": "rtmp://127.0.0.1:9/live/a",
        "DstAddr": f"rtmp://127.0.0.1:9/live/{end_at.timestamp():.0f}",
        "StartTime": int((end_at - timedelta(hours=6)).timestamp()),
        "EndTime": int(end_at.timestamp()),
    }
    return str(client.create_pull_to_push_task(task)["Result"]["TaskId"])


def end_of(client: LiveService, task_id: str) -> datetime:
    found = client.list_pull_to_push_task({"Size": 500})["Result"]["List"]
    return datetime.fromisoformat(next(one["EndTime"] for one in found if one["TaskId"] == task_id))


@pytest.mark.parametrize(
    ("zone", "twice", "offsets", "never"),
    [
        ("Europe/Berlin", "2027-10-31T02:30", ("+02:00", "+01:00"), "2027-03-28T02:30"),
        ("America/New_York", "2027-11-07T01:30", ("-04:00", "-05:00"), "2027-03-14T02:30"),
    ],
)
def test_a_window_at_the_hour_that_clocks_change(
    shared_service: ServiceProgram,
    open_tab: Callable[..., Tab],
    zone: str,
    twice: str,
    offsets: tuple[str, str],
    never: str,
) -> None:
    """Both instants of a repeated hour are shown apart and outlive the form; typed anew it is the first, and is said to
    be; an hour that does not come is refused at its field.
    """
    tab = open_tab(shared_service.url, zone=zone)
    page = tab.page
    end, note = page.get_by_label(re.compile("^End")), page.get_by_text("comes twice")
    with LiveService(shared_service.url, KEY_ID, SECRET) as client:
        first, second = (make_task(client, datetime.fromisoformat(twice + offset)) for offset in offsets)
        # The form that signs in tells the service the zone.
        browsers.sign_in(page, KEY_ID, SECRET, f"tasks/{second}/edit")
        for task_id, offset in ((second, offsets[1]), (first, offsets[0])):
            if task_id is first:
                page.goto(f"dashboard/tasks/{first}/edit")
            expect(end).to_have_value(twice)
            expect(note).to_contain_text(f"the one at UTC{offset} is meant")
            if task_id is first:
                end.fill(never)
                end.blur()
                expect(page.locator(".q-field--error")).to_contain_text(f"is no time in {zone} on that day")
                expect(note).to_be_hidden()
                end.fill(twice)
                end.blur()
                expect(note).to_contain_text(f"the one at UTC{offsets[0]} is meant")
            page.get_by_label(re.compile("^Title")).fill("changed")
            page.get_by_role("button", name="Save").click()
            page.wait_for_url(re.compile(r"/tasks/[0-9a-f]{32}$"))
            shown = page.locator(".window time-at").last
            # As browsers write an offset: GMT+1.
            expect(shown).to_have_text(re.compile(rf"{twice[-5:]} GMT{re.escape(offset[0])}{int(offset[1:3])}$"))
            assert end_of(client, task_id) == datetime.fromisoformat(twice + offset)
