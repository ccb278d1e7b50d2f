"""A real browser: Debian's Chromium, driven by Playwright. Notes what goes wrong in it, and what it asks of whom.

It is the one without a window (chromium-headless-shell), if it is there: the other draws one all the same, and costs
three times as much CPU.

A page of the dashboard costs a second of CPU to load: a test opens those that it is about, and one of them for all that
can be seen there. What the answer of the service shows needs no browser (kit/visitor.py).
"""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from playwright.sync_api import (
    Browser,
    BrowserContext,
    FloatRect,
    Locator,
    Page,
    TimeoutError,
    expect,
    sync_playwright,
)

from kit import programs
from kit.waiting import PATIENCE_S, wait_for

#: Screenshots are written to the folder that this variable names, if it names one.
SCREENSHOTS = "STREAMFERRY_SCREENSHOTS"
#: In what the browser says of anything that a page may not do.
_POLICY = "Content Security Policy"
#: How often a page is asked to close, and how long it has for it each time.
_CLOSINGS, _CLOSES_MS = 15, 2_000
expect.set_options(timeout=1000 * PATIENCE_S)


@dataclass
class Tab:
    """A page in a context of its own: no cookies of others. ``base``: the address of the service.

    ``problems``: errors of scripts, and what the page's policy stopped. ``asked``: addresses. ``unanswered``: those of
    which not all has come.
    """

    page: Page
    base: str
    problems: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    unanswered: list[str] = field(default_factory=list)

    def note(self) -> None:
        """Keep what happens on the page from here on."""
        page = self.page
        page.on("pageerror", lambda error: self.problems.append(str(error)))
        page.on("console", lambda told: self.problems.append(told.text) if _POLICY in told.text else None)
        page.on("request", lambda request: self._ask(request.url))
        page.on("requestfinished", lambda request: self.unanswered.remove(request.url))
        page.on("requestfailed", lambda request: self.unanswered.remove(request.url))
        page.on("websocket", lambda socket: self.asked.append(socket.url))

    def _ask(self, url: str) -> None:
        self.asked.append(url)
        self.unanswered.append(url)

    def enter(self, key: str, secret: str) -> None:
        """Begin a session by a request of its own: it loads no page."""
        form: dict[str, str | float | bool] = {"access_key_id": key, "secret": secret}
        origin = {"origin": self.base.rstrip("/")}
        answer = self.page.context.request.post("dashboard/sign-in", form=form, headers=origin, max_redirects=0)
        assert answer.status == 303, answer.text()

    def wait_problem(self, words: str) -> None:
        """Until one is told that holds the words."""

        def look() -> bool:
            self.page.wait_for_timeout(20)  # the browser's words are heard while something is asked of it
            return any(words in one for one in self.problems)

        wait_for(f"a problem: {words}", look)

    def keep(self, name: str) -> None:
        """Write a screenshot, for a person to look at."""
        folder = os.environ.get(SCREENSHOTS)
        if folder:
            Path(folder).mkdir(parents=True, exist_ok=True)
            self.page.screenshot(path=Path(folder, f"{name}.png"), full_page=True)


def program() -> str:
    """Path of the browser; skips the test if there is none."""
    return programs.find("chromium-headless-shell") or programs.need("chromium")


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    """The browser, without a window."""
    with sync_playwright() as playwright:
        # Its memory is not among the shared one, where tests of full disks count every byte (kit/disks.py).
        words = ["--no-sandbox", "--disable-dev-shm-usage"]
        browser = playwright.chromium.launch(executable_path=program(), args=words)
        try:
            yield browser
        finally:
            browser.close()


class SharedBrowser:
    """One browser for the tests of a process that follow each other; each opens tabs of its own.

    Tabs of one kind share what the browser has loaded, which is most of a first page; none finds a cookie, a permission
    or a clock of an earlier one. Playwright keeps the event loop of its thread: tests that have a loop of their own run
    before it or after it.
    """

    def __init__(self) -> None:
        self._open = contextlib.ExitStack()
        self._browser: Browser | None = None
        self._contexts: dict[tuple[object, ...], list[BrowserContext]] = {}

    @contextlib.contextmanager
    def tab(
        self,
        base: str,
        *,
        locale: str = "en-GB",
        zone: str | None = None,
        is_patient: bool = True,
        has_own_clock: bool = False,
    ) -> Iterator[Tab]:
        """A tab in which relative addresses are below ``base``, as :func:`tab` gives it.

        ``has_own_clock``: it is the test's, and nobody has the tab's place later.
        """
        if self._browser is None:
            self._browser = self._open.enter_context(chromium())
        free = self._contexts.setdefault((base, locale, zone), [])
        place = free.pop() if free and not has_own_clock else _context(self._browser, base, locale, zone)
        if has_own_clock:
            place.clock.install()
        try:
            yield _tab(place, base, is_patient=is_patient)
        finally:
            for page in place.pages:
                close(page)
            place.clear_cookies()
            place.clear_permissions()
            if has_own_clock:
                place.close()
            else:
                free.append(place)

    def close(self) -> None:
        """End it, if it runs."""
        self._browser = None
        self._contexts.clear()
        self._open.close()


def _context(browser: Browser, base: str, locale: str, zone: str | None) -> BrowserContext:
    context = browser.new_context(
        base_url=base, locale=locale, timezone_id=zone, viewport={"width": 1360, "height": 900}, color_scheme="light"
    )
    context.set_default_timeout(1000 * PATIENCE_S)
    # The service itself gives up on a page after a minute.
    context.set_default_navigation_timeout(3 * 1000 * PATIENCE_S)
    return context


def _tab(context: BrowserContext, base: str, *, is_patient: bool) -> Tab:
    one = Tab(context.new_page(), base)
    if is_patient:
        # Called before each action and each look; it goes on when the words are gone.
        one.page.add_locator_handler(one.page.locator("no-contact"), lambda _: None)
    one.note()
    return one


@contextlib.contextmanager
def tab(browser: Browser, base: str, *, locale: str = "en-GB") -> Iterator[Tab]:
    """A tab in which relative addresses are below ``base``.

    It does as a patient person does: while the page says that it has lost contact with the service, nothing of it is
    used, for it is inert, and what is done to it by force is lost.
    """
    context = _context(browser, base, locale, None)
    try:
        yield _tab(context, base, is_patient=True)
    finally:
        context.close()


def close(page: Page) -> None:
    """Close it, within a limit.

    Chromium says that it closes a page, and forgets it, where the page is being replaced by the next one just then:
    ``Page.close`` waits for ever (https://crbug.com/536385539). Whoever asks again is heard.
    """
    context = page.context
    assert context.browser
    session = context.browser.new_browser_cdp_session()
    target = context.new_cdp_session(page).send("Target.getTargetInfo")["targetInfo"]["targetId"]
    for _ in range(_CLOSINGS):
        with contextlib.suppress(TimeoutError), page.expect_event("close", timeout=_CLOSES_MS):
            session.send("Target.closeTarget", {"targetId": target})
        if page.is_closed():
            break
    session.detach()
    assert page.is_closed(), f"a page that cannot be closed: {page.url}"


def sign_in(page: Page, key: str, secret: str, path: str = "") -> None:
    """As a person does, by the form that a page of the dashboard leads to; ends on that page."""
    page.goto(f"dashboard/{path}")
    page.locator("[name=access_key_id]").fill(key)
    page.locator("[name=secret]").fill(secret)
    page.locator("[type=submit]").click()
    page.wait_for_url(f"**/dashboard/{path}")


def box_of(one: Locator) -> FloatRect:
    """Where it is. What is drawn anew just then is nowhere, and is looked for again."""
    return wait_for(f"a place of {one}", one.bounding_box)
