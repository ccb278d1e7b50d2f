"""What the store costs with thousands of running tasks, on SQLite and on PostgreSQL: workers with a null data plane.

    python bench/store_scale.py [--tasks N] [--workers N] [--seconds S] [--stores sqlite,postgresql]

Half of the tasks are lists, which report where they are each half second; the others are live. Each worker is a process
with the product's own loop and ledger, and relays that only count. Measured: transactions and changed rows a second;
the CPU of the store (of PostgreSQL its processes, of SQLite the threads in the workers); the share of the time for
which somebody has SQLite's write lock; how long all tasks wait that become due at once; how long it takes from the
answer to a call that makes a task until a worker has read it, and from that to a stop until the worker has stopped the
task and the store has it back, as the workers tell it: nobody asks the store for it; and, after one worker was killed,
until all its tasks are with others. On SQLite the workers are those of one service, which have no fence
and whose ends it sees at once; on PostgreSQL they are machines, and a lease has to run out. What takes too long fails
its bar and ends the run of that database.
"""

import argparse
import asyncio
import contextlib
import random
import secrets
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from cryptography.fernet import Fernet
from rich.console import Console
from rich.table import Table

from measure import about
from null_workers import Fleet, Meter
from programs import BENCH
from results import Bar, keep, print_bars
from streamferry.control.actions import Actions
from streamferry.control.pulse import Pulse
from streamferry.control.scheduler import Scheduler
from streamferry.media.url import MediaUrl
from streamferry.store import Seal, Store, migrate, sqlite_url, workers
from streamferry.store.database import now_ms
from streamferry.store.schema import run, task, task_spec, worker
from streamferry.tasks.model import TaskItem, TaskKind, TaskSpec
from streamferry.worker import LEASE_S

sys.path.append(str(BENCH.parent / "tests"))
from kit import postgresql

NEW_BAR_MS, FAILOVER_BAR_S, LOCK_BAR = 200.0, 8.0, 0.5
#: New tasks that are made and stopped, so many at a time.
NEW_TASKS, LANES = 100, 4
CHANGE_EVERY_S = 0.015
#: Longest wait of each part of a run, in seconds.
START_S, CLAIM_S, CHANGE_S, FAILOVER_S = 180.0, 180.0, 30.0, 120.0


def spec_of(number: int) -> TaskSpec:
    """A list or a live task of today, with a destination of its own."""
    now = datetime.now(UTC)
    is_list = number % 2 == 0
    return TaskSpec(
        TaskKind.VOD if is_list else TaskKind.LIVE,
        (TaskItem(MediaUrl.parse(f"https://files.example/{number}.{'mp4' if is_list else 'flv'}")),),
        MediaUrl.parse(f"rtmp://push.example/live/{secrets.token_hex(16)}"),
        start_at=now - timedelta(minutes=1),
        end_at=now + timedelta(hours=6),
        title=f"channel{number:06}",
    )


async def insert(store: Store, tasks: int) -> None:
    """So many tasks, due tomorrow: two are made as any, the others are copies of their rows."""
    actions = Actions(store)
    made = [await actions.create_task(spec_of(number)) for number in range(2)]
    async with store.write() as connection:
        for table, name in ((task, "id"), (task_spec, "task_id"), (run, "task_id")):
            found = await connection.execute(sa.select(table).where(table.c[name].in_(made)))
            alike = {
                row[name]: {key: value for key, value in row.items() if key != "number"} for row in found.mappings()
            }
            rows = []
            for number in range(tasks - 2):
                row = {**alike[made[number % 2]], name: f"{number:020}"}
                if row.get("source_digest"):
                    # Or one pull would feed them all, from one worker.
                    row["source_digest"] = f"{number:032}"
                rows.append(row)
            await connection.execute(table.insert(), rows)
        await connection.execute(run.update().values(due_ms=run.c.due_ms + 86_400_000))
        if not store.is_file:
            # As its autovacuum does where tasks are made one after the other: a poll reads all tasks without.
            await connection.execute(sa.text("ANALYZE"))


async def held(store: Store) -> dict[str, int]:
    """Worker -> how many tasks it has; under the empty name those that nobody has."""
    async with store.read() as connection:
        rows = await connection.execute(sa.select(run.c.worker_id, sa.func.count()).group_by(run.c.worker_id))
        return {worker_id or "": count for worker_id, count in rows}


async def until(what: str, patience_s: float, is_so: Callable[[], Awaitable[bool]], every_s: float = 0.1) -> float:
    """How long that takes, in seconds; at most ``every_s`` too much: to ask more often would be part of the load."""
    began_at = time.monotonic()
    while time.monotonic() - began_at < patience_s:
        if await is_so():
            return time.monotonic() - began_at
        await asyncio.sleep(every_s)
    raise RuntimeError(f"after {patience_s:g} s it is not so that {what}")


async def until_all_are_held(store: Store, tasks: int, patience_s: float) -> float:
    """How long it takes until workers hold them."""

    async def is_so() -> bool:
        found = await held(store)
        return not found.get("", 0) and sum(found.values()) == tasks

    return await until(f"workers hold all {tasks} tasks", patience_s, is_so)


async def wait_of_changes(store: Store, fleet: Fleet) -> tuple[list[float], list[float]]:
    """ms from the answer of the call that made a task until a worker has read it, and of the one that stopped it until
    the store has it back."""
    actions = Actions(store)
    new_ms: list[float] = []
    stop_ms: list[float] = []

    async def told(noted: dict[str, float], task_id: str) -> float:
        async def is_so() -> bool:
            return task_id in noted

        await until("a worker has followed a change", CHANGE_S, is_so, CHANGE_EVERY_S)
        return noted[task_id]

    async def change() -> None:
        for number in range(NEW_TASKS // LANES):
            task_id = await actions.create_task(spec_of(number))
            made_at = time.monotonic()
            new_ms.append(1000 * max(0.0, await told(fleet.taken, task_id) - made_at))
            # At any moment of its worker's loop.
            await asyncio.sleep(random.uniform(0.05, 0.55))
            await actions.stop_task(task_id)
            stopped_at = time.monotonic()
            stop_ms.append(1000 * max(0.0, await told(fleet.back, task_id) - stopped_at))

    async with asyncio.TaskGroup() as group:
        for _ in range(LANES):
            group.create_task(change())
    return new_ms, stop_ms


async def measure(
    url: str, tasks: int, workers: int, seconds: float, server: postgresql.PostgreSql | None
) -> dict[str, Any]:
    """All figures of one database."""
    key = Fernet.generate_key().decode()
    store = Store(url, Seal(key))
    await migrate(store)
    await insert(store, tasks)
    stopping = asyncio.Event()
    # Room for what one of them leaves, and for the new ones.
    capacity = -(-(tasks + NEW_TASKS) // max(1, workers - 1))
    async with asyncio.TaskGroup() as group:
        group.create_task(Pulse(store).run(stopping))
        group.create_task(Scheduler(store).run(stopping))
        fleet = Fleet(url, key, workers, capacity)
        try:
            figures: dict[str, Any] = {}
            await until(f"there are {workers} workers", START_S, lambda: _are_there(store, workers))
            async with store.write() as connection:
                await connection.execute(run.update().values(due_ms=now_ms()))
            figures["claim_all_s"] = await until_all_are_held(store, tasks, CLAIM_S)
            figures |= {name: count for name, count in fleet.written().items() if name.endswith("claims")}
            # The events of the claims are written, and PostgreSQL has seen the new rows.
            await asyncio.sleep(5)
            meter = Meter(fleet, server, url)
            await asyncio.sleep(seconds)
            figures |= meter.figures()
            meter = Meter(fleet, server, url)
            figures["new_ms"], figures["stop_ms"] = await wait_of_changes(store, fleet)
            figures |= {f"changes_{name}": value for name, value in meter.figures().items() if "cpu" in name}
            async with store.write() as connection:
                await connection.execute(run.delete().where(run.c.worker_id.is_(None)))
            figures |= await fail_over(store, fleet, tasks)
        finally:
            fleet.stop()
            stopping.set()
    await store.aclose()
    return figures


async def fail_over(store: Store, fleet: Fleet, tasks: int) -> dict[str, float]:
    """Kill the worker with most tasks: how long it takes from then on until others have each of them.

    Raises RuntimeError if that would say nothing: it had lost its tasks, or was about to.
    """
    has = await held(store)
    lost = max(has, key=lambda one: has[one])
    fleet.kill(lost)
    killed_at = time.monotonic()
    async with store.read() as connection:
        of_lost = run.c.worker_id == lost
        found = await connection.execute(sa.select(run.c.task_id, run.c.epoch).where(of_lost))
        epochs: dict[str, int] = {task_id: epoch for task_id, epoch in found}  # noqa: C416 -- rows, not pairs
        lease_ms = sa.case((worker.c.is_attached, 1000 * LEASE_S), else_=worker.c.lease_ms - now_ms())
        left_ms = await connection.scalar(sa.select(lease_ms).where(worker.c.id == lost, worker.c.lease_ms > 0))
    if len(epochs) < tasks / (2 * len(fleet.processes)) or left_ms is None or left_ms < 1000 * LEASE_S / 2:
        raise RuntimeError(
            f"the worker that was killed had {len(epochs)} tasks, and {left_ms} ms of its lease: nothing is measured"
        )
    if store.is_file:
        # So does a service there, which sees at once that its process has ended.
        async with store.write() as connection:
            await workers.leave(connection, lost)

    async def is_so() -> bool:
        async with store.read() as connection:
            left = sa.select(sa.func.count()).where(sa.or_(run.c.worker_id.is_(None), run.c.worker_id == lost))
            return not await connection.scalar(left)

    await until("others have its tasks", FAILOVER_S, is_so)
    took_s = time.monotonic() - killed_at
    async with store.read() as connection:
        rows = await connection.execute(sa.select(run.c.task_id, run.c.epoch))
        moved = sum(epoch > epochs.get(task_id, epoch) for task_id, epoch in rows)
    if moved != len(epochs):
        raise RuntimeError(f"of {len(epochs)} tasks of the worker that was killed, {moved} were claimed by others")
    return {"tasks_of_the_lost_worker": len(epochs), "failover_s": took_s}


async def _are_there(store: Store, workers: int) -> bool:
    async with store.read() as connection:
        found = await connection.execute(sa.select(sa.func.count()).select_from(worker).where(worker.c.lease_ms > 0))
        return bool(found.scalar_one() == workers)


def run_all(stores: list[str], tasks: int, workers: int, seconds: float) -> dict[str, dict[str, Any]]:
    """Database -> its figures."""
    figures = {}
    for name in stores:
        with tempfile.TemporaryDirectory(prefix="streamferry-bench-") as place, contextlib.ExitStack() as stack:
            server = None
            url = sqlite_url(Path(place) / "store.db")
            if name == "postgresql":
                server = stack.enter_context(postgresql.running(is_durable=True))
                url = server.database()
            try:
                figures[name] = asyncio.run(measure(url, tasks, workers, seconds, server))
            except* RuntimeError as errors:
                figures[name] = {"failed": str(errors.exceptions[0])}
    return figures


def percentile(values: list[float], percent: int) -> float:
    """The value that so many percent do not exceed."""
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]


def bars_of(name: str, one: dict[str, Any]) -> list[Bar]:
    """Of a run that failed none is met."""
    bars = [Bar(f"{name}: failover of a worker, s", one.get("failover_s"), FAILOVER_BAR_S)]
    if name == "sqlite":
        return [*bars, Bar("sqlite: share of the time with the write lock", one.get("lock_share"), LOCK_BAR)]
    for kind, what in (("new_ms", "a new task waits"), ("stop_ms", "a stop takes")):
        values = one.get(kind)
        bars += [
            Bar(f"{name}: {what}, p{percent}, ms", percentile(values, percent) if values else None, NEW_BAR_MS)
            for percent in (50, 99)
        ]
    return bars


#: Figure -> what it is called, and how it is written.
_COLUMNS = {
    "transactions_a_second": ("transactions/s", ".0f"),
    "rows_a_second": ("rows/s", ".0f"),
    "store_cpu_percent": ("store CPU, %", ".1f"),
    "workers_cpu_percent": ("workers CPU, %", ".1f"),
    "lock_share": ("lock share", ".2f"),
    "claim_all_s": ("all claimed, s", ".1f"),
    "claims": ("in claims", ".0f"),
    "vain_claims": ("in vain", ".0f"),
    "failover_s": ("failover, s", ".1f"),
}


def row_of(one: dict[str, Any]) -> list[str]:
    """Cells of the table."""
    cells = [format(one[name], form) if name in one else "-" for name, (_, form) in _COLUMNS.items()]
    for kind in ("new_ms", "stop_ms"):
        values = one.get(kind)
        cells.append(f"{percentile(values, 50):.0f} / {percentile(values, 99):.0f}" if values else "-")
    return cells


def main() -> int:
    """Run it. Returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=int, default=8_000)
    parser.add_argument("--workers", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--stores", default="sqlite,postgresql")
    asked = parser.parse_args()
    console = Console(width=None if sys.stdout.isatty() else 190)
    figures = run_all(asked.stores.split(","), asked.tasks, asked.workers, asked.seconds)
    table = Table("store", *(name for name, _ in _COLUMNS.values()), "new p50/p99, ms", "stop p50/p99, ms")
    bars = []
    for name, one in figures.items():
        table.add_row(name, *row_of(one))
        bars += bars_of(name, one)
        if "failed" in one:
            console.print(f"{name}: {one['failed']}", highlight=False)
    console.print(table)
    print_bars(console, bars)
    path = keep("store_scale", {**about("store_scale", vars(asked)), "stores": figures}, bars)
    console.print(f"kept in {path}", highlight=False)
    return 0 if all(bar.passed for bar in bars) else 1


if __name__ == "__main__":
    sys.exit(main())
