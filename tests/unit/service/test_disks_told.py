"""What /readyz and /metrics say of the disks of this machine."""

from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from streamferry.config import Settings
from streamferry.control.actions import Actions
from streamferry.control.callbacks import Callbacks
from streamferry.control.pulse import Pulse
from streamferry.net.disk import Disk
from streamferry.service.probes import Health, add_probes
from streamferry.service.store_access import Purpose, open_store, prepare_data_dir
from streamferry.web.metrics import Metrics
from streamferry.worker.processes import WorkerProcesses


async def _nobody(_: str) -> None:
    raise AssertionError


@pytest.mark.parametrize("full", [False, True])
async def test_a_disk_without_room_is_told(tmp_path: Path, full: bool) -> None:
    """By what is on it, in words and in bytes; one with room is in the metrics only."""
    settings = Settings(data_dir=tmp_path / "data", cache_dir=tmp_path / "cache")
    prepare_data_dir(settings)
    async with open_store(settings, Purpose.SERVE) as store:
        disks = {"data": Disk(settings.data_dir, 0), "cache": Disk(settings.cache_dir, 1 << 60 if full else 0)}
        actions = Actions(store)
        pulse, processes = Pulse(store), WorkerProcesses(0, lambda _: (), {}, _nobody, silence_s=1.0)
        metrics = Metrics(actions, Callbacks(store), pulse, of_each_task=False, disks=disks)
        app = FastAPI()
        add_probes(app, Health(actions, processes, pulse, disks), metrics, "")
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://probes") as client:
            told = (await client.get("/readyz")).json()
            page = (await client.get("/metrics")).text
    if full:
        (words,) = told["disks"]
        assert words.startswith("cache: its disk is full but for its reserve: ")
    else:
        assert "disks" not in told
    free = {line.split()[0]: float(line.split()[1]) for line in page.splitlines() if "disk_free_bytes{" in line}
    assert set(free) == {f'streamferry_disk_free_bytes{{folder="{name}"}}' for name in disks}
    assert all(value > 0 for value in free.values())
