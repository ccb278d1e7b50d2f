"""Dashboard: how soon a table of tasks stands in a browser, and whether page loads stay in the memory of the service.

    python bench/dashboard.py [--tasks 10000,100000] [--loads N]

Chromium, signed in, opens the list of tasks: from the order to go there until the first row is in the page, each time
with a new context, its HTTP cache empty (first) and filled (again). Bar: 1 s at the median for the first with 10,000
tasks. Then the page is loaded 50 times unmeasured and 200 times more; the service's resident memory may have grown by
5 MiB at most, taken when the pages that were left are forgotten.
"""

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, BrowserContext, Page
from rich.console import Console
from rich.table import Table

from measure import about, pss_mib
from programs import BENCH
from results import Bar, keep, print_bars
from service import fill
from serving import ACCESS_KEY_ID, SECRET_ACCESS_KEY, Service
from streamferry.store import Seal, Store, load_or_make_key, migrate, sqlite_url

sys.path.append(str(BENCH.parent / "tests"))
from kit.browser import chromium

FIRST_TABLE_BAR_MS, GROWTH_BAR_MIB = 1000.0, 5.0
OPENINGS = 10
WARM_UP = 50
#: A page that was left is kept for a browser that might come back; then its elements are collected.
FORGET_SECONDS = 25.0
BAR_TASKS = 10_000


async def make_store(home: Path, count: int) -> str:
    """A store with so many tasks; its address."""
    (home / "data").mkdir()
    url = sqlite_url(home / "data/store.db")
    store = Store(url, Seal(load_or_make_key(home / "data/seal.key")))
    try:
        await migrate(store)
        await fill(store, count)
    finally:
        await store.aclose()
    return url


def sign_in(context: BrowserContext) -> Page:
    """A page with a session, on the form's answer."""
    page = context.new_page()
    page.goto("dashboard/sign-in?next=/dashboard/library")
    page.locator("[name=access_key_id]").fill(ACCESS_KEY_ID)
    page.locator("[name=secret]").fill(SECRET_ACCESS_KEY)
    page.locator("[type=submit]").click()
    page.wait_for_url("**/library")
    return page


def open_list(page: Page) -> float:
    """ms until the first row is there."""
    began = time.perf_counter()
    page.goto("dashboard/tasks", wait_until="commit")
    page.wait_for_selector(".task-row", timeout=30_000)
    return (time.perf_counter() - began) * 1000


def time_openings(browser: Browser, url: str) -> dict[str, list[float]]:
    """First and further openings, in ms."""
    taken: dict[str, list[float]] = {"first": [], "again": []}
    for _ in range(OPENINGS):
        signed = browser.new_context(base_url=url)
        sign_in(signed).close()
        fresh = browser.new_context(base_url=url, storage_state=signed.storage_state())
        page = fresh.new_page()
        taken["first"].append(open_list(page))
        taken["again"].append(open_list(page))
        fresh.close()
        signed.close()
    return taken


def memory_over_loads(browser: Browser, service: Service, loads: int) -> dict[str, float]:
    """MiB of the service's own process before and after so many loads."""
    context = browser.new_context(base_url=service.url)
    page = sign_in(context)

    def load(count: int) -> float:
        for _ in range(count):
            open_list(page)
        page.goto("about:blank")
        time.sleep(FORGET_SECONDS)
        return pss_mib([service.pid])

    before = load(WARM_UP)
    after = load(loads)
    context.close()
    return {"before_mib": before, "after_mib": after, "grown_mib": after - before}


def run(tasks: int, loads: int) -> dict[str, Any]:
    """One row of the result."""
    with tempfile.TemporaryDirectory(prefix="dashboard-") as folder:
        store = asyncio.run(make_store(Path(folder), tasks))
        with Service(Path(folder), store, workers=1) as service, chromium() as browser:
            openings = time_openings(browser, service.url)
            return {"tasks": tasks, "openings_ms": openings, **memory_over_loads(browser, service, loads)}


def main() -> int:
    """Run it. Returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", default="10000,100000")
    parser.add_argument("--loads", type=int, default=200)
    asked = parser.parse_args()
    console = Console(width=None if sys.stdout.isatty() else 120)
    rows = [run(int(count), asked.loads) for count in asked.tasks.split(",")]
    table = Table("tasks", "first table, ms", "again, ms", "memory before", "after", title="median (most); MiB")
    for row in rows:
        shown = [f"{statistics.median(taken):.0f} ({max(taken):.0f})" for taken in row["openings_ms"].values()]
        table.add_row(f"{row['tasks']:,}", *shown, f"{row['before_mib']:.1f}", f"{row['after_mib']:.1f}")
    console.print(table)
    at_bar = [row for row in rows if row["tasks"] == BAR_TASKS]
    first = statistics.median(at_bar[0]["openings_ms"]["first"]) if at_bar else None
    bars = [
        Bar(f"first table with {BAR_TASKS:,} tasks, ms", first, FIRST_TABLE_BAR_MS),
        Bar(f"memory grown over {asked.loads} loads, MiB", max(row["grown_mib"] for row in rows), GROWTH_BAR_MIB),
    ]
    print_bars(console, bars)
    result = {**about("dashboard", vars(asked)), "rows": rows}
    console.print(f"kept in {keep('dashboard', result, bars)}", highlight=False)
    return 0 if all(bar.passed for bar in bars) else 1


if __name__ == "__main__":
    sys.exit(main())
