"""A service with loops on air, whose store is then troubled: what destinations see of it, and what is told."""

import asyncio
import json
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from kit.clips import ClipFactory
from kit.service_program import ServiceProgram
from scripted.destination import Destination
from scripted.waiting import until
from streamferry.client import AsyncLiveService

KEY_ID, SECRET = "AKLToutages", "secret-of-the-outages"
#: The shortest that may be set.
LEASE_S = 5
SETTINGS = {
    "STREAMFERRY_ACCESS_KEY_ID": KEY_ID,
    "STREAMFERRY_SECRET_ACCESS_KEY": SECRET,
}


def get(url: str) -> tuple[int, str]:
    """Status and text."""
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


class Air:
    """A service with loops on air, each to a destination of its own."""

    def __init__(self, service: ServiceProgram, destinations: list[Destination], clip: Path) -> None:
        self.service = service
        self.destinations = destinations
        self.clip = clip

    async def make(self, to: Destination, start_in_s: float = 0.0) -> None:
        """A loop; over the API, because nobody else may see the store."""
        start = int(time.time() + start_in_s)
        values = {
            "Type": 1,
            "SrcAddrS": [f"file://{self.clip}"],
            "DstAddr": to.url().reveal(),
            "CycleMode": -1,
            "StartTime": start,
            "EndTime": start + 3600,
        }
        async with AsyncLiveService(self.service.url, KEY_ID, SECRET) as live:
            await live.create_pull_to_push_task(values)

    @property
    def tags(self) -> list[int]:
        return [len(one.publishes[0].tags) for one in self.destinations]

    async def stays(self) -> None:
        """Media goes on arriving in the one session that each destination ever had."""
        before = self.tags
        more = lambda: all(now > then + 25 for now, then in zip(self.tags, before, strict=True))  # noqa: E731
        await until("more media", more)
        assert [len(one.publishes) for one in self.destinations] == [1] * len(self.destinations)
        assert not any(one.publishes[0].is_over for one in self.destinations)

    async def is_told(self, words: str) -> None:
        """By /readyz, the log and a metric; /healthz has nothing to do with it."""

        async def look() -> bool:
            status, text = await asyncio.to_thread(get, f"{self.service.url}readyz")
            if status != 503 or words not in json.loads(text)["status"]:
                return False
            status, metrics = await asyncio.to_thread(get, f"{self.service.url}metrics")
            return status == 200 and "streamferry_store_up 0.0" in metrics and words in self.service.errors

        async with asyncio.timeout(30):
            while not await look():  # noqa: ASYNC110 -- what is awaited has no event
                await asyncio.sleep(0.1)
        assert (await asyncio.to_thread(get, f"{self.service.url}healthz"))[0] == 200

    async def is_well(self) -> None:
        """Again, without a restart: what runs is reported, in the state that it had all the time."""

        async def look() -> bool:
            return (await asyncio.to_thread(get, f"{self.service.url}readyz"))[0] == 200

        async with asyncio.timeout(30):
            while not await look():  # noqa: ASYNC110 -- what is awaited has no event
                await asyncio.sleep(0.1)


@asynccontextmanager
async def on_air(
    home: Path,
    clips: ClipFactory,
    *,
    workers: int = 1,
    store_url: str = "",
    lease_s: float = LEASE_S,
    disk_bytes: int = 0,
) -> AsyncIterator[Air]:
    """Four loops."""
    clip = clips("half_a_minute")
    words = ("--workers", workers, "--egress", "any", "--files", clips.directory)
    settings = SETTINGS | {"STREAMFERRY_LEASE_S": str(lease_s)}
    service = ServiceProgram(home / "service", *words, store_url=store_url, disk_bytes=disk_bytes, environment=settings)
    try:
        await asyncio.to_thread(service.wait_ready)
        async with AsyncExitStack() as stack:
            destinations = [await stack.enter_async_context(Destination()) for _ in range(4)]
            air = Air(service, destinations, clip)
            for one in destinations:
                await air.make(one)
            await until("streams", lambda: all(one.publishes and one.publishes[0].tags for one in destinations))
            yield air
    finally:
        await asyncio.to_thread(service.stop)
        assert "Traceback" not in service.errors
        assert "lease is lost" not in service.errors
