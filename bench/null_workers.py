"""Workers with a null data plane: the product's own loop and ledger, in a process each, and relays that only count."""

import asyncio
import multiprocessing
import os
import secrets
import signal
import sys
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

from measure import cpu_ns, cpu_ns_between, pss_mib
from programs import BENCH
from streamferry.control.store_ledger import StoreLedger
from streamferry.relay import Playhead, RelaySpec, RelayStatus, State, Trouble
from streamferry.store import Seal, Store, claims
from streamferry.worker import Report, WorkerHealth
from streamferry.worker.running_relay import RunningRelay
from streamferry.worker.worker import Worker

sys.path.append(str(BENCH.parent / "tests"))
from kit import postgresql


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

    watch_items = watch_switches = watch_moves = ask_before_orders = update = watch

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


def work(url: str, key: str, capacity: int, worker_id: str, told: Connection, marks: Connection) -> None:
    """A worker until SIGTERM, and until the benchmark ends, however that ends; at SIGUSR1 it tells what it has written.

    ``marks``: it says when (monotonic) it has read a new task, and when the store has one back. On SQLite it is one as
    those of a service there, which have no fence.
    """
    asyncio.run(_work(url, key, capacity, worker_id, told, marks))


async def _work(url: str, key: str, capacity: int, worker_id: str, told: Connection, marks: Connection) -> None:
    store = Store(url, Seal(key), is_durable=False, connections=2)
    wrote = {"transactions": 0, "held_s": 0.0, "rows": 0, "claims": 0, "vain_claims": 0}
    real = store.write

    @asynccontextmanager
    async def write(**options: Any) -> AsyncIterator[Any]:
        async with real(**options) as connection:
            began_at = time.monotonic()
            yield connection
        wrote["transactions"] += 1
        wrote["held_s"] += time.monotonic() - began_at

    store.write = write  # type: ignore[method-assign]
    ledger = StoreLedger(store, worker_id, capacity=capacity, is_attached=store.is_file)
    report = ledger.report

    async def count(reports: Sequence[Report], load: int, health: WorkerHealth | None) -> set[str]:
        wrote["rows"] += len(reports)
        lost = await report(reports, load, health)
        if over := [one.task_id for one in reports if one.outcome is not None]:
            marks.send((False, over, time.monotonic()))
        return lost

    ledger.report = count  # type: ignore[method-assign]
    assignments = ledger.assignments

    async def note(known: Mapping[str, tuple[int, int]]) -> dict[str, Any]:
        held = await assignments(known)
        if new := list(held.keys() - known.keys()):
            marks.send((True, new, time.monotonic()))
        return held

    ledger.assignments = note  # type: ignore[method-assign]
    claim = claims.claim

    async def count_claims(*asked: Any, **options: Any) -> claims.Claimed:
        claimed = await claim(*asked, **options)
        wrote["claims"] += 1
        wrote["vain_claims"] += not claimed.tasks
        return claimed

    claims.claim = count_claims
    worker = Worker(ledger, NullHost(), capacity=capacity, is_attached=store.is_file)
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGUSR1, told.send, wrote)
    loop.add_signal_handler(signal.SIGTERM, worker.leave)
    # Not PR_SET_PDEATHSIG: the process that forks them lives as long as any of them does.
    benchmark = multiprocessing.parent_process()
    assert benchmark is not None
    loop.add_reader(benchmark.sentinel, os.kill, os.getpid(), signal.SIGKILL)
    await worker.run()
    await store.aclose()


class Fleet:
    """Worker processes on a store, forked from one that has imported everything: no start of Python is measured.

    Create it inside a running event loop.
    """

    def __init__(self, url: str, key: str, workers: int, capacity: int) -> None:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["null_workers", "store_scale"])
        self._told: dict[str, Connection] = {}
        self._marks: dict[str, Connection] = {}
        #: Task -> when a worker had it for the first time, and when the store had it back then; monotonic.
        self.taken: dict[str, float] = {}
        self.back: dict[str, float] = {}
        self.processes: dict[str, ForkServerProcess] = {}
        for _ in range(workers):
            worker_id = secrets.token_hex(8)
            self._told[worker_id], tells = context.Pipe(duplex=False)
            self._marks[worker_id], marks = context.Pipe(duplex=False)
            started = context.Process(target=work, args=(url, key, capacity, worker_id, tells, marks))
            started.start()
            tells.close()
            marks.close()
            asyncio.get_running_loop().add_reader(self._marks[worker_id].fileno(), self._note, worker_id)
            self.processes[worker_id] = started

    def _note(self, worker_id: str) -> None:
        try:
            is_new, task_ids, at = self._marks[worker_id].recv()
        except EOFError:
            asyncio.get_running_loop().remove_reader(self._marks[worker_id].fileno())
            return
        for task_id in task_ids:
            (self.taken if is_new else self.back).setdefault(task_id, at)

    @property
    def pids(self) -> list[int]:
        """Of those that live."""
        return [one.pid for one in self.processes.values() if one.pid is not None]

    def written(self) -> dict[str, float]:
        """What all have written so far."""
        total: dict[str, float] = defaultdict(float)
        for pid in self.pids:
            os.kill(pid, signal.SIGUSR1)
        for worker_id in self.processes:
            for name, value in self._told[worker_id].recv().items():
                total[name] += value
        return total

    def kill(self, worker_id: str) -> None:
        """As a machine dies."""
        killed = self.processes.pop(worker_id)
        killed.kill()
        killed.join()

    def stop(self) -> None:
        """All that are left."""
        for one in self.processes.values():
            one.terminate()
        for one in self.processes.values():
            one.join()


class Meter:
    """What the store has cost so far."""

    def __init__(self, fleet: Fleet, server: postgresql.PostgreSql | None, url: str) -> None:
        self._server, self._url, self._fleet = server, url, fleet
        self._workers = fleet.pids
        self._at = time.monotonic()
        self._wrote = fleet.written()
        self._cpu, self._cpu_of_workers = self._cpu_ns(), cpu_ns(self._workers)
        self._log, self._lo = self._log_bytes(), self._loopback_bytes()

    def figures(self) -> dict[str, float]:
        """A second, since it was made."""
        took_s = time.monotonic() - self._at
        wrote = {name: (value - self._wrote[name]) / took_s for name, value in self._fleet.written().items()}
        cpu_of_workers = cpu_ns_between(self._cpu_of_workers, cpu_ns(self._workers))
        found = {
            "transactions_a_second": wrote["transactions"],
            "rows_a_second": wrote["rows"],
            "store_cpu_percent": cpu_ns_between(self._cpu, self._cpu_ns()) / took_s / 1e7,
            "workers_cpu_percent": cpu_of_workers / took_s / 1e7,
            "workers_pss_mib": pss_mib(self._workers),
        }
        if self._server is None:
            return found | {"lock_share": wrote["held_s"]}
        return found | {
            "log_bytes_a_second": (self._log_bytes() - self._log) / took_s,
            "network_bytes_a_second": (self._loopback_bytes() - self._lo) / took_s,
        }

    def _cpu_ns(self) -> dict[str, int]:
        """Of PostgreSQL, or of the threads that run SQLite: all but the first of each worker."""
        if self._server is not None:
            return cpu_ns(self._server.pids[:1])
        first = {str(pid) for pid in self._workers}
        return {thread: ns for thread, ns in cpu_ns(self._workers).items() if thread not in first}

    def _log_bytes(self) -> int:
        if self._server is None:
            return 0
        return int(self._server.execute("SELECT wal_bytes FROM pg_stat_wal", self._url))

    def _loopback_bytes(self) -> int:
        lines = Path("/proc/net/dev").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.strip().startswith("lo:"))
