"""A real browser: Debian's Chromium, driven by Playwright. Notes what goes wrong in it, and what it asks of whom."""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from playwright.sync_api import Browser, FloatRect, Locator, Page, expect, sync_playwright

from kit import programs
from kit.waiting import PATIENCE_S, wait_for

#: Screenshots are written to the folder that this variable names, if it names one.
SCREENSHOTS = "STREAMFERRY_SCREENSHOTS"
#: In what the browser says of anything that a page may not do.
_POLICY = "Content Security Policy"
expect.set_options(timeout=1000 * PATIENCE_S)


@dataclass
class Tab:
    """A page in a context of its own: no cookies of others.

    ``problems``: errors of scripts, and what the page's policy stopped. ``asked``: addresses.
    """

    page: Page
    problems: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

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


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    """The browser, without a window."""
    program = programs.need("chromium")
    with sync_playwright() as playwright:
        # Its memory is not among the shared one, where tests of full disks count every byte (kit/disks.py).
        words = ["--no-sandbox", "--disable-dev-shm-usage"]
        browser = playwright.chromium.launch(executable_path=program, args=words)
        try:
            yield browser
        finally:
            browser.close()


@contextlib.contextmanager
def tab(
    browser: Browser,
    base: str,
    *,
    locale: str = "en-GB",
    dark: bool = False,
    phone: bool = False,
    zone: str | None = None,
    is_patient: bool = True,
) -> Iterator[Tab]:
    """A tab in which relative addresses are below ``base``.

    A patient one does as a person does: while the page says that it has lost contact with the service, nothing of it is
    used, for it is inert, and what is done to it by force is lost.
    """
    context = browser.new_context(
        base_url=base,
        locale=locale,
        timezone_id=zone,
        color_scheme="dark" if dark else "light",
        viewport={"width": 390, "height": 844} if phone else {"width": 1360, "height": 900},
        has_touch=phone,
    )
    context.set_default_timeout(1000 * PATIENCE_S)
    # The service itself gives up on a page after a minute.
    context.set_default_navigation_timeout(3 * 1000 * PATIENCE_S)
    one = Tab(context.new_page())
    if is_patient:
        # Called before each action and each look; it goes on when the words are gone.
        one.page.add_locator_handler(one.page.locator("no-contact"), lambda _: None)
    one.page.on("pageerror", lambda error: one.problems.append(str(error)))
    one.page.on("console", lambda told: one.problems.append(told.text) if _POLICY in told.text else None)
    one.page.on("request", lambda request: one.asked.append(request.url))
    one.page.on("websocket", lambda socket: one.asked.append(socket.url))
    try:
        yield one
    finally:
        context.close()


def sign_in(page: Page, key: str, secret: str) -> None:
    """As a person does, by the form that a page of the dashboard leads to; ends on the overview."""
    page.goto("dashboard/")
    page.locator("[name=access_key_id]").fill(key)
    page.locator("[name=secret]").fill(secret)
    page.locator("[type=submit]").click()
    page.wait_for_url("**/dashboard/")


def box_of(one: Locator) -> FloatRect:
    """Where it is. What is drawn anew just then is nowhere, and is looked for again."""
    return wait_for(f"a place of {one}", one.bounding_box)
