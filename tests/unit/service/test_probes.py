"""Probes that anybody may ask, as often as they like."""

import asyncio
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from fastapi import FastAPI

from streamferry.control.actions import Actions
from streamferry.control.callbacks import Callbacks
from streamferry.control.pulse import Pulse
from streamferry.service import probes
from streamferry.service.probes import Health, Shared, add_probes
from streamferry.store import Seal, Store, migrate, sqlite_url, workers
from streamferry.web.metrics import Metrics
from streamferry.worker.processes import WorkerProcesses


async def nothing(_: str) -> None:
    """To do about a worker that died."""


PATHS = ("/healthz", "/readyz", "/metrics")


async def test_probes_without_end_scanned_all_tasks_each_time(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hundred at once of each ask the store no more than one of each; the next second has the next look."""
    monkeypatch.setattr(probes, "FRESH_S", 1000.0)
    store = Store(sqlite_url(tmp_path / "store.db"), Seal("A" * 43 + "="))
    statements: list[str] = []
    sa.event.listen(store._reader.sync_engine, "before_cursor_execute", lambda *told: statements.append(told[2]))

    def served() -> httpx.AsyncClient:
        """A service that was asked nothing yet."""
        actions, app, pulse = Actions(store), FastAPI(), Pulse(store)
        processes = WorkerProcesses(0, lambda _: (), {}, nothing, silence_s=1.0)
        metrics = Metrics(actions, Callbacks(store), pulse, of_each_task=False)
        add_probes(app, Health(actions, processes, pulse, {}), metrics, "")
        return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://here")

    async def ask(client: httpx.AsyncClient, times: int) -> int:
        statements.clear()
        found = await asyncio.gather(*(client.get(path) for _ in range(times) for path in PATHS))
        assert {one.status_code for one in found} <= {200, 503}
        return len(statements)

    try:
        await migrate(store)
        async with served() as one, served() as another:
            alone = await ask(one, 1)
            assert 0 < alone == await ask(another, 100)
            assert await ask(another, 100) == 0
            monkeypatch.setattr(probes, "FRESH_S", 0.0)
            assert 0 < await ask(another, 1) <= alone
    finally:
        await store.aclose()


async def test_a_look_that_fails_is_told_to_all_and_made_again() -> None:
    """An outage is not asked into the ground either, and its end is seen."""
    looks = 0

    async def look() -> int:
        nonlocal looks
        looks += 1
        await asyncio.sleep(0)
        if looks == 1:
            raise OSError("away")
        return looks

    shared = Shared(look)
    found = await asyncio.gather(*(shared.get() for _ in range(10)), return_exceptions=True)
    assert looks == 1
    assert all(isinstance(one, OSError) for one in found)
    with pytest.raises(OSError, match="away"):
        await shared.get()
    shared._begun_at -= probes.FRESH_S
    assert await shared.get() == 2


async def test_who_leaves_does_not_end_the_look_of_the_others() -> None:
    """A probe that ran out of patience."""
    may_end = asyncio.Event()

    async def look() -> str:
        await may_end.wait()
        return "seen"

    shared = Shared(look)
    first, second = asyncio.ensure_future(shared.get()), asyncio.ensure_future(shared.get())
    await asyncio.sleep(0)
    first.cancel()
    may_end.set()
    assert await second == "seen"


async def test_a_service_that_has_come_up_is_not_said_to_start_while_its_workers_have_no_lease(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """X-2: "starting" hours after the start, whenever the store was away; a restart mends nothing of that."""
    monkeypatch.setattr(probes, "FRESH_S", 0.0)
    store = Store(sqlite_url(tmp_path / "store.db"), Seal("A" * 43 + "="))
    try:
        await migrate(store)
        processes = WorkerProcesses(1, lambda _: (), {}, nothing, silence_s=1.0)
        monkeypatch.setattr(processes, "owns", lambda worker_id: worker_id == "mine")
        health = Health(Actions(store), processes, Pulse(store), {})
        assert (await health.live()).status_code == 503
        async with store.write() as connection:
            await workers.register(connection, "mine", 10)
        assert (await health.live()).status_code == 200
        async with store.write() as connection:
            await workers.leave(connection, "mine")
        assert (await health.live()).status_code == 200
        assert (await health.ready()).status_code == 503
    finally:
        await store.aclose()
