"""What the store costs with thousands of running tasks, on SQLite and on PostgreSQL: workers with a null data plane.

    python bench/store_scale.py [--tasks N] [--workers N] [--seconds S] [--stores sqlite,postgresql]

Half of the tasks are lists, which report where they are each half second; the others are live. Each worker is a process
with the product's own loop and ledger, and relays that only count. Measured: the store's CPU (PostgreSQL), or the share
of the time for which somebody has the write lock (SQLite); transactions and changed rows a second; how long a new task
waits until a worker has it; and, after one worker was killed, until all its tasks are with others.
"""

import argparse
import asyncio
import json
import os
import secrets
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from cryptography.fernet import Fernet
from rich.console import Console
from rich.table import Table

from measure import about
from programs import BENCH
from results import Bar, keep, print_bars
from streamferry.control.actions import Actions
from streamferry.control.pulse import Pulse
from streamferry.control.scheduler import Scheduler
from streamferry.control.store_ledger import StoreLedger
from streamferry.media.url import MediaUrl
from streamferry.relay import Playhead, RelaySpec, RelayStatus, State, Trouble
from streamferry.store import Seal, Store, migrate, sqlite_url
from streamferry.store.schema import run
from streamferry.tasks.model import TaskItem, TaskKind, TaskSpec
from streamferry.worker.running_relay import RunningRelay
from streamferry.worker.worker import Worker

sys.path.append(str(BENCH.parent / "tests"))
from kit import postgresql

NEW_BAR_MS, FAILOVER_BAR_S, LOCK_BAR = 200.0, 8.0, 0.5
NEW_TASKS = 20
_TICK = os.sysconf("SC_CLK_TCK")


class NullRelay:
    """Relays nothing, and tells that all is well."""

    def __init__(self, spec: RelaySpec) -> None:
        self._is_live = spec.is_live
        self._began_at = time.monotonic()
        self._end: Callable[[], None] = lambda: None
        self.is_ending = False

    @property
    def status(self) -> RelayStatus:
        """As if it had streamed at 2 Mbps since it began."""
        ms = round((time.monotonic() - self._began_at) * 1000) + 1
        return RelayStatus(
            State.STOPPED if self.is_ending else State.STREAMING,
            playhead=None if self._is_live else Playhead(0, 0, ms),
            media_time_ms=ms,
            kbps_out=2000,
            bytes_out=ms * 250,
        )

    def watch(self, _: object) -> None:
        """There is no change."""

    watch_items = watch_switches = update = watch

    def on_end(self, callback: Callable[[], None]) -> None:
        """It ends when it is asked to."""
        self._end = callback

    def open_preview(self) -> Any:
        """Nobody looks."""
        raise NotImplementedError

    def hand_over(self, *, at_once: bool = False) -> None:
        """The same as a stop."""
        del at_once
        self.request_stop()

    def request_stop(self) -> None:
        """It stops at once."""
        if not self.is_ending:
            self.is_ending = True
            asyncio.get_running_loop().call_soon(self._end)

    abort = request_stop


class NullHost:
    """Starts relays that relay nothing."""

    def start(self, spec: RelaySpec, of: Mapping[str, object], trouble: Trouble | None) -> RunningRelay:
        """One more."""
        del of, trouble
        return NullRelay(spec)

    def fence(self, at: float) -> None:
        """Nothing leaves anyway."""


async def work(url: str, key: str, capacity: int) -> None:
    """A worker until SIGTERM; at SIGUSR1 it prints how often and how long it has written."""
    store = Store(url, Seal(key), is_durable=False, connections=2)
    wrote = {"transactions": 0, "held_s": 0.0}
    real = store.write

    @asynccontextmanager
    async def write(**options: Any) -> AsyncIterator[Any]:
        async with real(**options) as connection:
            began_at = time.monotonic()
            yield connection
        wrote["transactions"] += 1
        wrote["held_s"] += time.monotonic() - began_at

    store.write = write  # type: ignore[method-assign]
    ledger = StoreLedger(store, secrets.token_hex(8), capacity=capacity)
    worker = Worker(ledger, NullHost(), capacity=capacity)
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGUSR1, lambda: print(json.dumps(wrote), flush=True))
    loop.add_signal_handler(signal.SIGTERM, worker.leave)
    await worker.run()
    await store.aclose()


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


class Fleet:
    """Worker processes on a store."""

    def __init__(self, url: str, key: str, workers: int, capacity: int) -> None:
        self._words = [sys.executable, __file__, "--work", url, key, str(capacity)]
        self.programs = [subprocess.Popen(self._words, stdout=subprocess.PIPE, text=True) for _ in range(workers)]

    def written(self) -> dict[str, float]:
        """What all have written so far."""
        total = {"transactions": 0.0, "held_s": 0.0}
        for program in self.programs:
            program.send_signal(signal.SIGUSR1)
        for program in self.programs:
            assert program.stdout is not None
            for name, value in json.loads(program.stdout.readline()).items():
                total[name] += value
        return total

    def kill_one(self) -> None:
        """As a machine dies."""
        program = self.programs.pop()
        program.kill()
        program.communicate()

    def stop(self) -> None:
        """All that are left."""
        for program in self.programs:
            program.terminate()
        for program in self.programs:
            program.communicate()


async def held(store: Store) -> dict[str, int]:
    """Worker -> how many tasks it has; under the empty name those that nobody has."""
    async with store.read() as connection:
        rows = await connection.execute(sa.select(run.c.worker_id, sa.func.count()).group_by(run.c.worker_id))
        return {worker_id or "": count for worker_id, count in rows}


async def until_all_are_held(store: Store, tasks: int, patience_s: float, without: int = 0) -> float:
    """How long that takes, in seconds. ``without``: and no more than so many workers hold them."""
    began_at = time.monotonic()
    while time.monotonic() - began_at < patience_s:
        found = await held(store)
        if not found.get("", 0) and sum(found.values()) == tasks and (not without or len(found) <= without):
            return time.monotonic() - began_at
        await asyncio.sleep(0.05)
    raise RuntimeError(f"not all of {tasks} tasks are held after {patience_s:g} s: {await held(store)}")


async def wait_of_new_tasks(store: Store, actions: Actions) -> list[float]:
    """ms from the answer of the call that made a task until a worker has it."""
    waited = []
    for number in range(NEW_TASKS):
        task_id = await actions.create_task(spec_of(number))
        began_at = time.monotonic()
        while (await actions.get_task(task_id)).worker_id is None:  # noqa: ASYNC110 -- another process changes it
            await asyncio.sleep(0.002)
        waited.append((time.monotonic() - began_at) * 1000)
        await asyncio.sleep(0.2)
    return waited


def cpu_s(pids: list[int]) -> float:
    """CPU time of processes so far; of one that has ended, none."""
    total = 0
    for pid in pids:
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        except OSError:
            # It has ended.
            continue
        total += int(fields[11]) + int(fields[12])
    return total / _TICK


async def measure(
    url: str, tasks: int, workers: int, seconds: float, server: postgresql.PostgreSql | None
) -> dict[str, Any]:
    """All figures of one database."""
    key = Fernet.generate_key().decode()
    store = Store(url, Seal(key))
    await migrate(store)
    actions, stopping = Actions(store), asyncio.Event()
    for number in range(tasks):
        await actions.create_task(spec_of(number))
    # Room for what one of them leaves behind, and for the new ones.
    capacity = -(-(tasks + NEW_TASKS) // max(1, workers - 1))
    async with asyncio.TaskGroup() as group:
        group.create_task(Pulse(store).run(stopping))
        group.create_task(Scheduler(store).run(stopping))
        fleet = Fleet(url, key, workers, capacity)
        try:
            claimed_s = await until_all_are_held(store, tasks, 300)
            await asyncio.sleep(5)
            before, began_at, cpu_before = fleet.written(), time.monotonic(), cpu_s(server.pids if server else [])
            rows_before = _rows(server, url)
            await asyncio.sleep(seconds)
            after, took_s = fleet.written(), time.monotonic() - began_at
            figures: dict[str, Any] = {
                "claim_all_s": claimed_s,
                "transactions_a_second": (after["transactions"] - before["transactions"]) / took_s,
                "lock_share": (after["held_s"] - before["held_s"]) / took_s,
            }
            if server:
                figures["store_cpu_percent"] = 100 * (cpu_s(server.pids) - cpu_before) / took_s
                figures["rows_a_second"] = (_rows(server, url) - rows_before) / took_s
            figures["new_ms"] = await wait_of_new_tasks(store, actions)
            names = len(await held(store))
            fleet.kill_one()
            figures["failover_s"] = await until_all_are_held(store, tasks + NEW_TASKS, 120, without=names - 1)
        finally:
            fleet.stop()
            stopping.set()
    await store.aclose()
    return figures


def _rows(server: postgresql.PostgreSql | None, url: str) -> int:
    if server is None:
        return 0
    return int(server.execute("SELECT n_tup_upd FROM pg_stat_user_tables WHERE relname = 'run'", url))


def run_all(stores: list[str], tasks: int, workers: int, seconds: float) -> dict[str, dict[str, Any]]:
    """Database -> its figures."""
    figures = {}
    for name in stores:
        with tempfile.TemporaryDirectory(prefix="streamferry-bench-") as place:
            if name == "sqlite":
                url = sqlite_url(Path(place) / "store.db")
                figures[name] = asyncio.run(measure(url, tasks, workers, seconds, None))
            else:
                with postgresql.running(is_durable=True) as server:
                    figures[name] = asyncio.run(measure(server.database(), tasks, workers, seconds, server))
    return figures


def main() -> int:
    """Run it. Returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=int, default=8_000)
    parser.add_argument("--workers", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--stores", default="sqlite,postgresql")
    parser.add_argument("--work", nargs=3, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.work:
        url, key, capacity = asked.work
        asyncio.run(work(url, key, int(capacity)))
        return 0
    console = Console(width=None if sys.stdout.isatty() else 140)
    figures = run_all(asked.stores.split(","), asked.tasks, asked.workers, asked.seconds)
    table = Table("store", "transactions/s", "rows/s", "store CPU, %", "lock share", "new p50, ms", "failover, s")
    bars = []
    for name, one in figures.items():
        cpu, rows = one.get("store_cpu_percent"), one.get("rows_a_second")
        table.add_row(
            name,
            f"{one['transactions_a_second']:.0f}",
            "-" if rows is None else f"{rows:.0f}",
            "-" if cpu is None else f"{cpu:.1f}",
            f"{one['lock_share']:.2f}" if name == "sqlite" else "-",
            f"{statistics.median(one['new_ms']):.0f}",
            f"{one['failover_s']:.1f}",
        )
        bars.append(Bar(f"{name}: failover of a worker, s", one["failover_s"], FAILOVER_BAR_S))
        if name == "sqlite":
            bars.append(Bar("sqlite: share of the time with the write lock", one["lock_share"], LOCK_BAR))
        else:
            bars.append(Bar(f"{name}: a new task waits, p50, ms", statistics.median(one["new_ms"]), NEW_BAR_MS))
    console.print(table)
    print_bars(console, bars)
    settings = {name: value for name, value in vars(asked).items() if name != "work"}
    path = keep("store_scale", {**about("store_scale", settings), "stores": figures}, bars)
    console.print(f"kept in {path}", highlight=False)
    return 0 if all(bar.passed for bar in bars) else 1


if __name__ == "__main__":
    sys.exit(main())
