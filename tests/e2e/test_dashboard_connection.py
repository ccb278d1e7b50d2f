"""How a destination and its connection are given in the dashboard, by hand, as somebody does who has never seen it."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Locator, Page, expect

from kit.browser import Tab
from kit.clips import ClipFactory
from kit.nginx_rtmp import NginxRtmp
from kit.service_program import ServiceProgram
from kit.shared_service import KEY_ID, SECRET

SERVER, KEY, CONNECTION = "Server: rtmp", "Stream key", "Connection"


@pytest.fixture
def tab(shared_service: ServiceProgram, open_tab: Callable[..., Tab]) -> Tab:
    """Of somebody who is signed in, at a new task."""
    tab = open_tab(shared_service.url)
    tab.enter(KEY_ID, SECRET)
    tab.page.goto("dashboard/new")
    return tab


def card(page: Page, title: str) -> Locator:
    """A box of the form."""
    return page.locator("section.card", has=page.get_by_role("heading", name=title, exact=True))


def labelled(page: Page, label: str) -> Locator:
    """Fields by what their label begins with, wherever on the page."""
    return page.get_by_label(re.compile(f"^{label}")).and_(page.locator("input"))


def field(part: Locator, label: str) -> Locator:
    """The one in this part of the page."""
    return part.locator(labelled(part.page, label))


def wrong_field(part: Locator, label: str) -> Locator:
    """The same if it says that something is wrong."""
    return part.locator(".q-field--error", has=labelled(part.page, label))


def expect_wrong(part: Locator, label: str, words: str) -> None:
    """That it says so at this field, which can be seen."""
    wrong = wrong_field(part, label)
    expect(wrong).to_contain_text(words)
    expect(wrong).to_be_visible()


def fold_of(part: Locator) -> Locator:
    """What opens and closes the part of the form for how a peer is reached."""
    return part.get_by_role("button", name=CONNECTION)


def test_wrong_options_are_named_at_their_fields(tab: Tab) -> None:
    """Also where they were folded away, which is opened then; what has no effect on the address is not there."""
    page = tab.page
    source, to = card(page, "Source"), card(page, "Destination")
    create = page.get_by_role("button", name="Create task")
    field(source, "File: https").fill("/films/a.mp4")
    expect(fold_of(source)).to_be_hidden()
    field(source, "File: https").fill("https://a.example/film.mp4")
    fold_of(source).click()
    field(source, "Proxy").fill("proxy.example:8080")
    field(source, "Local address").fill("eth0")
    field(source, "Name").first.fill("Host")
    source.get_by_role("button", name="Add a header").click()
    field(source, "Name").nth(1).fill("Cookie")
    field(source, "Value").nth(1).fill("sid=你好")
    expect(field(source, "flashVer")).to_be_hidden()
    fold_of(source).click()
    expect(field(source, "Proxy")).to_be_hidden()
    to.get_by_role("button", name="Server and key").click()
    field(to, SERVER).fill("live.example/app")
    create.click()
    expect_wrong(source, "Proxy", "Proxy must be http://host:port")
    expect_wrong(source, "Local address", "Local address must be an IP address of the machine")
    headers = source.locator(".header-line")
    expect_wrong(headers.nth(0), "Name", "Host cannot be given")
    expect_wrong(headers.nth(1), "Value", "The value of Cookie must be 1 to")
    expect_wrong(to, SERVER, "A server with a key apart must start with rtmp:// or rtmps://")
    field(to, SERVER).fill("")
    field(to, SERVER).blur()
    expect_wrong(to, SERVER, "is required")
    source.get_by_role("button", name="Remove: 2").click()
    expect(headers).to_have_count(1)
    field(source, "Name").fill("Referer")
    field(source, "Value").fill("https://a.example/")
    field(source, "Value").blur()
    expect(wrong_field(source, "Name")).to_have_count(0)
    expect(wrong_field(source, "Proxy")).to_have_count(1)
    # RTMP has no headers, and what was typed as one address is still there.
    fold_of(to).click()
    expect(field(to, "flashVer")).to_be_visible()
    expect(field(to, "Name")).to_be_hidden()
    to.get_by_role("button", name="One address").click()
    field(to, "Push address").fill("https://a.example/live.m3u8")
    expect(field(to, "flashVer")).to_be_hidden()
    expect(field(to, "Name")).to_be_visible()
    to.get_by_role("button", name="Server and key").click()
    expect(field(to, SERVER)).to_have_value("")
    # So it is of further inputs and destinations; a platform fills in its server.
    further, away = (page.get_by_role("button", name=name) for name in ("Further destinations", "When the source is"))
    away.click()
    source.get_by_role("button", name="Add an input").click()
    first = page.get_by_role("group", name="Input 1")
    field(first, "Stream: rtmp").fill("nonsense")
    fold_of(first).click()
    field(first, "Proxy").fill("proxy.example:8080")
    away.click()
    further.click()
    to.get_by_role("button", name="Add a destination").click()
    second = page.get_by_role("group", name="Destination 2")
    second.get_by_role("combobox", name="Platform").click()
    page.get_by_role("option", name="Facebook").click()
    expect(field(second, SERVER)).to_have_value("rtmps://rtmp-api.facebook.com:443/rtmp/")
    field(second, KEY).fill("***")
    further.click()
    expect(field(second, KEY)).to_be_hidden()
    create.click()
    expect_wrong(second, KEY, "give the key itself")
    expect_wrong(first, "Stream: rtmp", "must start with")
    expect_wrong(first, "Proxy", "Proxy must be http://host:port")
    expect(page).to_have_url(re.compile("/new$"))


def test_a_hidden_value_stays_until_another_is_typed(
    tab: Tab, shared_service: ServiceProgram, clips: ClipFactory, nginx: NginxRtmp
) -> None:
    """A key and a parameter with a token: streamed with, shown as ***, nowhere in a page, and kept by a change of
    something else. Typed anew, the stream goes there."""
    page = tab.page
    source, to = card(page, "Source"), card(page, "Destination")
    field(source, "File: https").fill(str(clips("two_seconds")))
    to.get_by_role("button", name="Server and key").click()
    server = nginx.url("x").rpartition("/")[0]
    field(to, SERVER).fill(server)
    field(to, KEY).fill("planted-key")
    expect(field(to, KEY)).to_have_attribute("type", "password")
    fold_of(to).click()
    field(to, "tcUrl").fill(f"{server}?token=planted-token")
    field(to, "flashVer").fill("FMLE/3.0")
    page.get_by_role("button", name="Create task").click()
    page.wait_for_url(re.compile(r"/tasks/[0-9a-f]{32}$"))
    before = nginx.wait_published("planted-key")
    expect(card(page, "Destination")).to_contain_text(f"{server}/***")
    expect(card(page, "Destination")).to_contain_text("flashVer: FMLE/3.0")
    expect(card(page, "Destination")).to_contain_text(f"tcUrl: {server}?***")
    assert "planted" not in page.content()
    page.get_by_role("button", name="Edit").click()
    expect(field(to, KEY)).to_have_value("***")
    # What is set is not folded away.
    expect(field(to, "tcUrl")).to_be_visible()
    expect(field(to, "tcUrl")).to_have_value(f"{server}?***")
    assert "planted" not in page.content()
    field(card(page, "Name and notices"), "Title").fill("Kept")
    page.get_by_role("button", name="Save").click()
    expect(page.locator("h1")).to_have_text("Kept")
    expect(card(page, "Destination")).to_contain_text(f"tcUrl: {server}?***")
    assert nginx.wait_published("planted-key").client == before.client
    page.get_by_role("button", name="Edit").click()
    field(to, KEY).fill("planted-other")
    field(to, "flashVer").fill("")
    page.get_by_role("button", name="Save").click()
    nginx.wait_published("planted-other")
    expect(card(page, "Destination")).not_to_contain_text("flashVer")


def test_what_a_live_task_is_sent_and_how_is_shown(
    tab: Tab, shared_service: ServiceProgram, open_tab: Callable[..., Tab]
) -> None:
    """Codecs, drift and rotation as they were chosen in the form, on the task's page in both languages, and no more
    once they were chosen away."""
    page = tab.page
    source, to = card(page, "Source"), card(page, "Destination")
    page.get_by_role("button", name="A live stream").click()
    field(source, "Stream: rtmp").fill("rtmp://127.0.0.1:9/live/cam")
    fold_of(source).click()
    drift = source.get_by_role("switch", name="Leave the sound of drifting clocks")
    drift.click()
    field(to, "Push address").fill("rtmp://127.0.0.1:9/live/shown")
    fold_of(to).click()
    field(to, "Another session after").fill("5")
    page.get_by_label("What it is sent").click()
    page.get_by_role("option", name="only H.264 and AAC").click()
    page.get_by_role("button", name="Create task").click()
    expect_wrong(to, "Another session after", "must be 0, or 60 to 604800 seconds")
    field(to, "Another session after").fill("39600")
    page.get_by_role("button", name="Create task").click()
    page.wait_for_url(re.compile(r"/tasks/[0-9a-f]{32}$"))
    expect(card(page, "Destination")).to_contain_text("What it is sent: only H.264 and AAC")
    expect(card(page, "Destination")).to_contain_text("Another session after: 11:00:00")
    expect(card(page, "Source")).to_contain_text("Leave the sound of drifting clocks as it is stamped")
    tab.keep("task-sent-en")
    chinese = open_tab(shared_service.url, locale="zh-CN")
    chinese.enter(KEY_ID, SECRET)
    chinese.page.goto(page.url)
    expect(card(chinese.page, "推流目标")).to_contain_text("发送的编码格式：仅 H.264 和 AAC")
    expect(card(chinese.page, "推流目标")).to_contain_text("更换推流会话：11:00:00")
    chinese.keep("task-sent-zh")
    page.get_by_role("button", name="Edit").click()
    expect(field(to, "Another session after")).to_have_value("39600")
    field(to, "Another session after").fill("")
    drift.click()
    page.get_by_label("What it is sent").click()
    page.get_by_role("option", name="the source's codecs").click()
    page.get_by_role("button", name="Save").click()
    page.wait_for_url(re.compile(r"/tasks/[0-9a-f]{32}$"))
    expect(card(page, "Destination")).not_to_contain_text("Another session")
    expect(card(page, "Destination")).not_to_contain_text("What it is sent")
    expect(card(page, "Source")).not_to_contain_text("drifting")
