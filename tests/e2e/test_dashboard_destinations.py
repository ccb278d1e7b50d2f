"""Several destinations of a task on its page: seen, switched, added and taken away on air; and its slate."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
from playwright.sync_api import expect

from kit.browser import Tab
from kit.clips import ClipFactory
from kit.nginx_rtmp import NginxRtmp
from kit.service_program import ServiceProgram
from kit.shared_service import KEY_ID, SECRET


def make(service: ServiceProgram, **fields: Any) -> str:
    """A task for the next hour, over REST; its id."""
    with httpx.Client(base_url=f"{service.url.rstrip('/')}/api/v1") as client:
        key = {"access_key_id": KEY_ID, "secret_access_key": SECRET}
        answer = client.post("/tokens", json=key)
        assert answer.status_code == 201, answer.text
        token = answer.json()["token"]
        now = datetime.now(UTC)
        window = {"start_at": now.isoformat(), "end_at": (now + timedelta(hours=1)).isoformat()}
        made = client.post("/tasks", json={**window, **fields}, headers={"authorization": f"Bearer {token}"})
        assert made.status_code == 201, made.text
        return str(made.json()["task_id"])


def test_destinations_are_switched_added_and_removed_on_air(
    shared_service: ServiceProgram, open_tab: Callable[..., Tab], clips: ClipFactory, nginx: NginxRtmp
) -> None:
    """Each by itself: the other one is published all the time, in the same session."""
    make(shared_service, kind="vod", sources=[{"url": f"file://{clips('two_seconds')}"}], destination=nginx.url("cam"))
    nginx.wait_published("cam")
    destinations = [
        {"to": nginx.url("main"), "name": "Main"},
        {"to": nginx.url("backup"), "name": "Backup", "backup_of": 1},
        {"to": "rtmp://127.0.0.1:9/live/nobody", "name": "Away"},
    ]
    slate = {"kind": "color", "color": "#204060"}
    live = {"kind": "live", "sources": [{"url": nginx.url("cam")}], "slate": slate}
    task_id = make(shared_service, **live, destinations=destinations)
    main = nginx.wait_published("main")
    nginx.wait_published("backup")
    tab = open_tab(shared_service.url)
    tab.enter(KEY_ID, SECRET)
    page = tab.page
    page.goto(f"dashboard/tasks/{task_id}")
    lines = page.get_by_role("list", name="Destinations").get_by_role("listitem")
    expect(lines).to_have_count(3)
    expect(lines.nth(0)).to_contain_text("Streaming")
    expect(lines.nth(1)).to_contain_text("in step with Main")
    expect(lines.nth(2)).to_contain_text("Retrying")
    expect(page.get_by_text("3 · Retrying").first).to_be_visible()
    tab.keep("destinations")
    page.get_by_text("中文").click()
    expect(page.get_by_role("button", name="添加推流目标")).to_be_visible()
    tab.keep("destinations-zh")
    page.get_by_text("English").click()
    page.set_viewport_size({"width": 390, "height": 844})
    tab.keep("destinations-phone")
    page.set_viewport_size({"width": 1360, "height": 900})
    page.get_by_role("button", name="Show: The slate").click()
    expect(page.get_by_text("The slate · it was asked for by hand", exact=True)).to_be_visible()
    page.get_by_role("button", name="Show: By the rules").click()
    expect(page.get_by_text("The source · input 0 is well", exact=True)).to_be_visible()
    page.get_by_role("switch", name="Push to Backup").click()
    expect(lines.nth(1)).to_contain_text("Off")
    nginx.wait_unpublished("backup")
    page.get_by_role("switch", name="Push to Backup").click()
    nginx.wait_published("backup")
    page.get_by_role("button", name="Add a destination").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Name, such as").fill("Third")
    dialog.get_by_label("Server, or the whole").fill(nginx.url("x").rpartition("/")[0])
    dialog.get_by_label("Stream key").fill("planted-third")
    tab.keep("destinations-add")
    dialog.get_by_role("button", name="Add", exact=True).click()
    nginx.wait_published("planted-third")
    expect(lines).to_have_count(4)
    page.get_by_role("button", name="Remove Away").click()
    page.get_by_role("dialog").get_by_role("button", name="Remove", exact=True).click()
    expect(lines).to_have_count(3)
    assert "planted" not in page.content()
    assert nginx.wait_published("main").client == main.client
    expect(lines.nth(0)).to_contain_text("Streaming")
