"""The SQLite store of a service is locked, full, or slow: what is on air stays there, in the same publish session.

Nobody else could take the tasks, so there is no reason to stop them.
"""

import asyncio
import contextlib
import os
import signal
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from kit import programs
from kit.clips import ClipFactory
from kit.on_air import LEASE_S, on_air
from kit.service_program import ServiceProgram
from scripted.destination import Destination
from scripted.waiting import until
from streamferry.client import ApiError
from streamferry.relay import State

_DISK_BYTES = 16 << 20


def fill(filler: Path) -> None:
    """The disk, to its last page."""
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))


@contextlib.contextmanager
def write_lock(file: Path) -> Iterator[None]:
    """As another process holds it that is in the midst of a change."""
    with contextlib.closing(sqlite3.connect(file, isolation_level=None, timeout=10)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")


async def test_a_locked_store_ended_every_stream(tmp_path: Path, clips: ClipFactory) -> None:
    """Longer than a lease; a window that ends meanwhile is kept, and the state is told afterwards."""
    async with on_air(tmp_path, clips) as air, asyncio.timeout(90):
        loop = asyncio.get_running_loop()
        with write_lock(air.service.data / "store.db"):
            began_at = loop.time()
            await air.is_told("another process keeps the store locked")
            with pytest.raises(ApiError):
                await air.make(air.destinations[0])
            while loop.time() < began_at + LEASE_S + 2:
                await air.stays()
        await air.is_well()
        await air.stays()
        async with air.service.actions() as actions, asyncio.timeout(30):
            states: set[tuple[State, int]] = set()
            # Until the worker has reached the store again it is not heard of.
            while states != {(State.STREAMING, 1)}:
                await asyncio.sleep(0.1)
                states = {(one.state, one.epoch) for one in (await actions.list_tasks()).records}


async def test_a_full_disk_of_the_store_ended_every_stream(tmp_path: Path, clips: ClipFactory) -> None:
    """It is told in words; once there is space again what became due meanwhile starts, without a restart."""
    async with on_air(tmp_path, clips, disk_bytes=_DISK_BYTES) as air, Destination() as late, asyncio.timeout(120):
        loop = asyncio.get_running_loop()
        await air.make(late, start_in_s=8)
        filler = air.service.disk / "filler"
        fill(filler)
        began_at = loop.time()
        await air.is_told("the disk of the store is full")
        while loop.time() < began_at + LEASE_S + 2:
            await air.stays()
        assert not late.publishes
        await asyncio.to_thread(filler.unlink)
        await air.is_well()
        await until("the late one", lambda: late.publishes and late.publishes[0].tags)
        await air.stays()


async def test_workers_that_hang_are_ended_before_their_tasks_are_given_away(
    tmp_path: Path, clips: ClipFactory
) -> None:
    """They could not be told that they lost them, nor give back a lock in the store, where one froze in a write."""
    async with on_air(tmp_path, clips, workers=2) as air, asyncio.timeout(90):
        pids = [pid for pid in programs.descendants(air.service.pid) if "attached_worker" in programs.command_line(pid)]
        assert len(pids) == 2
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        await until("the takeover", lambda: all(len(one.publishes) == 2 for one in air.destinations))
        await until("media of all", lambda: all(one.publishes[1].tags for one in air.destinations))
        assert not any(programs.command_line(pid) for pid in pids)
        for one in air.destinations:
            assert one.publishes[0].is_over
            assert not one.publishes[1].is_over


async def test_a_service_that_was_killed_is_not_followed_before_its_workers_are_gone(
    tmp_path: Path, clips: ClipFactory
) -> None:
    """The next one waits for them, and takes their tasks at once: no publish begins while the one before it is open."""
    async with on_air(tmp_path, clips) as air, asyncio.timeout(90):
        air.service.process.kill()
        # It has the store until it is gone.
        await asyncio.to_thread(air.service.process.wait)
        words = ("--egress", "any", "--files", clips.directory)
        with ServiceProgram(tmp_path / "service", *words) as again:
            await asyncio.to_thread(again.wait_ready)
            await until("all again", lambda: all(len(one.publishes) == 2 for one in air.destinations))
            await until("media", lambda: all(one.publishes[1].tags for one in air.destinations))
            for one in air.destinations:
                assert one.publishes[0].is_over
                assert not one.publishes[1].is_over
