"""Service: what its calls and its scheduler cost with 100,000 tasks in the store, on SQLite and on PostgreSQL.

    python bench/service.py [--tasks N] [--calls N] [--stores sqlite,postgresql] [--before PATH]

Calls are signed, one after the other over one connection, timed by the client: creating a task, and listing by a part
of the title (of which 1 in 10, in 1,000 or no task has it). Bars: 20 ms for the first and 50 ms for the second at p95.
Then as many calls a second as 16 connections make, without a bar. A pass of the scheduler has 10 tasks to conclude:
with all tasks stored it may cost half as much again as with those ten alone.

``--before PATH``: another checkout, whose own ``service.py`` is run for each store just before this one's.
"""

import argparse
import asyncio
import functools
import json
import os
import secrets
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import ExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from cryptography.fernet import Fernet
from rich.console import Console
from rich.table import Table

from contenders import check_checkout
from measure import about, commit
from programs import BENCH
from results import Bar, keep, print_bars
from serving import ACCESS_KEY_ID, SECRET_ACCESS_KEY, Service
from streamferry.client import AsyncLiveService
from streamferry.control.actions import Actions
from streamferry.control.scheduler import Scheduler
from streamferry.media.url import MediaUrl
from streamferry.store import Seal, Store, migrate, sqlite_url
from streamferry.store.schema import run, task, task_spec
from streamferry.tasks.model import TaskItem, TaskKind, TaskSpec
from streamferry.tasks.times import to_ms

sys.path.append(str(BENCH.parent / "tests"))
from kit import postgresql

CREATE_BAR_MS, LIST_BAR_MS, PASS_BAR = 20.0, 50.0, 1.5
#: So many tasks are made by the actions; the others are copies of their rows under other ids and titles.
MODELS = 500
DUE = 10
PASSES = 40
CONNECTIONS = 16
RATE_SECONDS = 4.0
_ROWS_A_STATEMENT = 5_000


async def fill(store: Store, count: int) -> None:
    """Put ``count`` tasks into the store that begin in a day."""
    actions = Actions(store)
    start_at = datetime.now(UTC) + timedelta(days=1)
    for number in range(min(count, MODELS)):
        spec = TaskSpec(
            TaskKind.VOD,
            (TaskItem(MediaUrl.parse(f"https://files.example/{number}.mp4?token={secrets.token_hex(16)}")),),
            MediaUrl.parse(f"rtmp://push.example/live/{secrets.token_hex(16)}"),
            start_at=start_at,
            end_at=start_at + timedelta(hours=6),
            title=_title(number),
        )
        await actions.create_task(spec)
    async with store.read() as connection:
        models = {
            table: [dict(row) for row in (await connection.execute(sa.select(table))).mappings()]
            for table in (task, task_spec, run)
        }
    ids = {row["id"]: position for position, row in enumerate(models[task])}
    for first in range(len(ids), count, _ROWS_A_STATEMENT):
        fresh = {number: secrets.token_hex(16) for number in range(first, min(first + _ROWS_A_STATEMENT, count))}
        async with store.write() as connection:
            for table, rows in models.items():
                by_model = {ids[row["id"] if table is task else row["task_id"]]: row for row in rows}
                copies = [_copy(table, by_model[number % len(ids)], number, fresh[number]) for number in fresh]
                await connection.execute(table.insert(), copies)


def _title(number: int) -> str:
    return f"{'evening' if number % 10 == 0 else 'channel'}{number:06}"


def _copy(table: sa.Table, row: dict[str, Any], number: int, task_id: str) -> dict[str, Any]:
    if table is not task:
        return {**row, "task_id": task_id}
    other = {"id": task_id, "title_folded": _title(number), "destination_digest": secrets.token_hex(16)}
    return {**{name: value for name, value in row.items() if name != "number"}, **other}


async def time_calls(count: int, call: Callable[[int], Awaitable[object]]) -> list[float]:
    """ms of each of so many calls, one after the other, after a few that are not counted."""
    taken = []
    for number in range(-5, count):
        began = time.perf_counter()
        await call(number)
        if number >= 0:
            taken.append((time.perf_counter() - began) * 1000)
    return taken


async def count_calls(services: list[AsyncLiveService], call: Callable[[AsyncLiveService], Awaitable[object]]) -> float:
    """Calls a second over all connections at once."""
    until = time.perf_counter() + RATE_SECONDS

    async def ask(service: AsyncLiveService) -> int:
        answered = 0
        while time.perf_counter() < until:
            await call(service)
            answered += 1
        return answered

    return sum(await asyncio.gather(*map(ask, services))) / RATE_SECONDS


def body() -> dict[str, Any]:
    """A task of tomorrow, with a destination of its own."""
    start = int(time.time()) + 86_400
    return {
        "Title": f"made{secrets.token_hex(4)}",
        "StartTime": start,
        "EndTime": start + 3600,
        "Type": 0,
        "SrcAddr": "rtmp://camera.example/live/a",
        "DstAddr": f"rtmp://push.example/live/{secrets.token_hex(16)}",
    }


async def time_passes(store: Store) -> list[float]:
    """ms of each pass of the scheduler that finds ``DUE`` tasks to conclude."""
    taken = []
    async with store.read() as connection:
        numbered = sa.select(task.c.id).order_by(task.c.number).limit(DUE)
        task_ids = list((await connection.execute(numbered)).scalars())
    past_ms = to_ms(datetime.now(UTC)) - 10_000
    for _ in range(PASSES):
        async with store.write() as connection:
            await connection.execute(task.update().where(task.c.id.in_(task_ids)).values(end_ms=past_ms))
            await connection.execute(run.update().where(run.c.task_id.in_(task_ids)).values(due_ms=past_ms))
        began = time.perf_counter()
        await Scheduler(store).run_once()
        taken.append((time.perf_counter() - began) * 1000)
    return taken[5:]


@asynccontextmanager
async def filled(url: str, seal: Seal, count: int) -> AsyncIterator[Store]:
    """A store of that address with so many tasks."""
    store = Store(url, seal)
    try:
        await migrate(store)
        await fill(store, count)
        yield store
    finally:
        await store.aclose()


async def measure(
    home: Path, url: str, url_of_few: str, settle: Callable[[], object], tasks: int, calls: int
) -> dict[str, Any]:
    """All figures of one database. ``settle``: called when it was filled."""
    data = home / "data"
    data.mkdir(parents=True)
    key = Fernet.generate_key().decode()
    (data / "seal.key").write_text(key)
    (data / "seal.key").chmod(0o600)
    async with filled(url_of_few, Seal(key), DUE) as store:
        pass_few = await time_passes(store)
    async with filled(url, Seal(key), tasks) as store:
        settle()
        pass_all = await time_passes(store)
    with Service(home, url, workers=1) as service:
        clients = [AsyncLiveService(service.url, ACCESS_KEY_ID, SECRET_ACCESS_KEY) for _ in range(CONNECTIONS)]
        first = clients[0]
        parts = ("evening", "annel0", "l000123", "7777", "nothing")
        try:
            created = await time_calls(calls, lambda _: first.create_pull_to_push_task(body()))
            listed = await time_calls(
                calls, lambda number: first.list_pull_to_push_task({"Title": parts[number % len(parts)], "Size": 20})
            )
            rates = {
                "create": await count_calls(clients, lambda one: one.create_pull_to_push_task(body())),
                "list by title": await count_calls(
                    clients, lambda one: one.list_pull_to_push_task({"Title": "l000123", "Size": 20})
                ),
            }
        finally:
            for client in clients:
                await client.aclose()
    return {"create_ms": created, "list_ms": listed, "rates": rates, "pass_few_ms": pass_few, "pass_ms": pass_all}


def p95(values: list[float]) -> float:
    """95th percentile, inclusive."""
    return statistics.quantiles(values, n=20, method="inclusive")[-1]


def measure_before(checkout: Path, store: str, tasks: int, calls: int) -> dict[str, Any]:
    """The figures of that database as the other checkout's ``service.py`` takes them."""
    words = [sys.executable, checkout / "bench/service.py", "--stores", store, "--tasks", tasks, "--calls", calls]
    environment = {**os.environ, "PYTHONPATH": str(checkout / "src")}
    done = subprocess.run([str(word) for word in words], env=environment, capture_output=True, text=True)
    kept = checkout / f"bench/results/service-{commit(checkout / 'bench')}.json"
    if "kept in" not in done.stdout:
        raise RuntimeError(f"{checkout}/bench/service.py: {done.stderr[-2000:]}")
    figures: dict[str, Any] = json.loads(kept.read_text())["stores"][store]
    return figures


def run_all(stores: list[str], tasks: int, calls: int, before: Path | None) -> dict[str, dict[str, Any]]:
    """Database -> its figures, those of the other checkout under ``before: `` and its name."""
    figures = {}
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="streamferry-bench-")))
        for name in stores:
            place = home / name
            place.mkdir()
            if before:
                figures[f"before: {name}"] = measure_before(before, name, tasks, calls)
            if name == "sqlite":
                urls = (sqlite_url(place / "all.db"), sqlite_url(place / "few.db"))
                figures[name] = asyncio.run(measure(place, *urls, lambda: None, tasks, calls))
            else:
                server = stack.enter_context(postgresql.running(is_durable=True))
                urls = (server.database(), server.database())
                # What it does by itself in the minutes after so many rows came.
                settle = functools.partial(server.execute, "VACUUM ANALYZE", urls[0])
                figures[name] = asyncio.run(measure(place, *urls, settle, tasks, calls))
    return figures


def main() -> int:
    """Run it. Returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=int, default=100_000)
    parser.add_argument("--calls", type=int, default=300)
    parser.add_argument("--stores", default="sqlite,postgresql")
    parser.add_argument("--before", type=Path, help="another checkout, measured beside this one")
    asked = parser.parse_args()
    before = asked.before and asked.before.resolve()
    if before:
        check_checkout(before)
    console = Console(width=None if sys.stdout.isatty() else 140)
    figures = run_all(asked.stores.split(","), asked.tasks, asked.calls, before)
    timed = ("create", "list", "pass", "pass with few")
    table = Table("store", *(f"{what} p50 / p95, ms" for what in timed), "creates/s", "lists/s")
    bars = []
    for name, one in figures.items():
        spread = [
            f"{statistics.median(one[key]):.1f} / {p95(one[key]):.1f}"
            for key in ("create_ms", "list_ms", "pass_ms", "pass_few_ms")
        ]
        table.add_row(name, *spread, *(f"{rate:.0f}" for rate in one["rates"].values()))
        if name.startswith("before: "):
            continue
        ratio = statistics.median(one["pass_ms"]) / statistics.median(one["pass_few_ms"])
        bars += [
            Bar(f"{name}: create p95, ms", p95(one["create_ms"]), CREATE_BAR_MS),
            Bar(f"{name}: list by title p95, ms", p95(one["list_ms"]), LIST_BAR_MS),
            Bar(f"{name}: pass with {asked.tasks} stored / with {DUE}", ratio, PASS_BAR),
        ]
    console.print(table)
    print_bars(console, bars)
    settings = {**vars(asked), "before": before and commit(before / "bench")}
    path = keep("service", {**about("service", settings), "stores": figures}, bars)
    console.print(f"kept in {path}", highlight=False)
    return 0 if all(bar.passed for bar in bars) else 1


if __name__ == "__main__":
    sys.exit(main())
