"""Worker processes as their service keeps them: one that is frozen is ended, whatever it holds."""

import asyncio
import contextlib
import os
import signal
import sqlite3
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from streamferry.worker import processes
from streamferry.worker.processes import WorkerProcesses

#: A child that lives on a busy machine may say nothing for a second.
SILENCE_S = 2.5
#: Gives signs, as a worker does, and leaves when its input closes; the first one holds a lock in a store by then.
CHILD = """
import asyncio, os, sqlite3, sys
from streamferry.worker import processes
processes.SIGN_S = 0.1
store, started = sys.argv[1:]
if not os.path.exists(started):
    holder = sqlite3.connect(store, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
async def main():
    signs = asyncio.create_task(processes.give_signs())
    await asyncio.sleep(0)
    open(started, "a").write(f"{os.getpid()}\\n")
    await asyncio.to_thread(sys.stdin.read)
    signs.cancel()
asyncio.run(main())
"""


class Kept:
    """One child process, and the deaths that were told."""

    def __init__(self, folder: Path) -> None:
        self.store = folder / "store.db"
        self._started = folder / "started"
        self.dead: list[str] = []
        self.processes = WorkerProcesses(
            1,
            lambda worker_id: (sys.executable, "-c", CHILD, str(self.store), str(self._started)),
            {},
            self._note,
            silence_s=SILENCE_S,
        )

    async def _note(self, worker_id: str) -> None:
        self.dead.append(worker_id)

    @property
    def pids(self) -> list[int]:
        """Of those that were started, in order."""
        return [int(line) for line in self._started.read_text().split()] if self._started.exists() else []

    async def until_started(self, count: int) -> int:
        async with asyncio.timeout(30):
            while len(self.pids) < count:  # noqa: ASYNC110 -- what is awaited is another process
                await asyncio.sleep(0.02)
        return self.pids[-1]


@pytest.fixture
async def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Kept]:
    """A child that runs."""
    monkeypatch.setattr(processes, "SIGN_S", 0.1)
    with contextlib.closing(sqlite3.connect(tmp_path / "store.db")) as store:
        store.execute("CREATE TABLE one (number)")
    one = Kept(tmp_path)
    running = asyncio.create_task(one.processes.run())
    await one.until_started(1)
    yield one
    one.processes.stop()
    await running


async def test_a_frozen_worker_kept_its_lock_in_the_store(kept: Kept) -> None:
    """It is killed, told as dead, and another one is started; a store that it had locked is free again."""
    os.kill(kept.pids[0], signal.SIGSTOP)
    await kept.until_started(2)
    assert len(kept.dead) == 1
    with contextlib.closing(sqlite3.connect(kept.store, timeout=0)) as store:
        store.execute("INSERT INTO one VALUES (1)")


async def test_a_worker_that_lives_is_left_alone(kept: Kept) -> None:
    """However long it runs, and after a pause that is shorter than what may be."""
    (pid,) = kept.pids
    os.kill(pid, signal.SIGSTOP)
    await asyncio.sleep(SILENCE_S / 3)
    os.kill(pid, signal.SIGCONT)
    await asyncio.sleep(1.5 * SILENCE_S)
    assert kept.pids == [pid]
    assert kept.dead == []
    assert kept.processes.count == 1
