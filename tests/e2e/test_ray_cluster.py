"""Workers on a Ray cluster of three nodes on this machine: actors and nodes are taken away, with the pictures as
witness. One cluster and one walk through its life: each node of Ray costs seconds to start.
"""

import asyncio
import json
import os
import re
import signal
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from kit import commands
from kit.clips import ClipFactory
from kit.postgresql import PostgreSql
from kit.ray_nodes import RayNodes
from kit.service_program import ServiceProgram
from kit.sightings import KnownFrames, Sightings
from kit.waiting import PATIENCE_S, START_S
from streamferry.control.actions import Actions
from streamferry.media.url import MediaUrl
from streamferry.tasks.model import TaskItem, TaskKind, TaskSpec

#: Of the store, whose server takes any.
PASSWORD = "a-planted-password"


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[RayNodes]:
    running = RayNodes(tmp_path / "ray.log")
    yield running
    running.close()


class Fleet:
    """Tasks of lists, and who has them."""

    def __init__(self, actions: Actions, sightings: Sightings, film: str) -> None:
        self.actions, self.sightings, self._film = actions, sightings, film
        self.made: dict[str, str] = {}
        self.settings: dict[str, str] = {}

    async def make(self) -> str:
        now, name = datetime.now(UTC), f"list-{len(self.made)}"
        spec = TaskSpec(
            TaskKind.VOD,
            (TaskItem(MediaUrl.parse(self._film)),),
            MediaUrl.parse(self.sightings.url(name)),
            start_at=now,
            end_at=now + timedelta(hours=1),
        )
        task_id = await self.actions.create_task(spec)
        self.made[task_id] = name
        return task_id

    async def workers(self) -> set[str]:
        """Those of the cluster."""
        known = await self.actions.list_workers()
        return {one.worker_id for one in known if one.is_alive and one.worker_id.startswith("slot-")}

    async def holder(self, task_id: str) -> str:
        return (await self.actions.get_task(task_id)).worker_id or ""

    async def kinds(self, task_id: str) -> set[str]:
        """What happened to it."""
        return {one.kind for one in await self.actions.list_feed(task_id)}

    async def held_by(self, slot: str) -> list[str]:
        return [one for one in self.made if (await self.holder(one)).startswith(slot)]

    async def busiest(self) -> tuple[str, list[str]]:
        """The slot that has most of them, and these."""
        of_slot: dict[str, list[str]] = {}
        for one in self.made:
            of_slot.setdefault("-".join((await self.holder(one)).split("-")[:2]), []).append(one)
        return max(of_slot.items(), key=lambda item: len(item[1]))

    async def shown(self, task_ids: list[str], since: float = 0.0) -> None:
        """Wait until all of them show pictures, in sessions begun after ``since``."""
        await until(lambda: all(self.sightings.shows(self.made[one], since) for one in task_ids))

    def gap(self, task_ids: list[str]) -> float:
        """For how long a viewer saw nothing, before the last session."""
        sessions = [self.sightings.of(self.made[one])[-2:] for one in task_ids]
        return max(now.first[0] - before.last[0] for before, now in sessions)


async def until(is_so: Callable[[], Any]) -> None:
    """Until it is true; it may be a coroutine."""
    async with asyncio.timeout(START_S):
        while True:
            found = is_so()
            if await found if asyncio.iscoroutine(found) else found:
                return
            await asyncio.sleep(0.05)


@pytest.fixture
async def fleet(tmp_path: Path, clips: ClipFactory, postgresql_server: PostgreSql) -> AsyncIterator[Fleet]:
    film = clips("half_a_minute")
    store_url = postgresql_server.database()
    service = ServiceProgram(
        *(tmp_path / "service", "--workers", "none", "--egress", "any", "--files", clips.directory),
        store_url=store_url,
    )
    await asyncio.to_thread(service.wait_ready)
    async with Sightings(KnownFrames(film)) as sightings, service.actions() as actions:
        fleet = Fleet(actions, sightings, f"file://{film}")
        fleet.settings = {
            "STREAMFERRY_STORE": store_url.replace("tests@", f"tests:{PASSWORD}@"),
            # What is not handed back would take this long.
            "STREAMFERRY_LEASE_S": "60",
            "STREAMFERRY_SEAL_KEY": (service.data / "seal.key").read_text().strip(),
        }
        yield fleet
    await asyncio.to_thread(service.stop)
    assert "Traceback" not in service.errors


class Commands:
    """``streamferry cluster`` as an operator of the service calls it."""

    def __init__(self, cluster: RayNodes, settings: dict[str, str]) -> None:
        self._environment = {**cluster.environment, **settings}
        self._elsewhere = cluster.client

    async def run(
        self, *words: object, elsewhere: bool = False, told: Mapping[str, str] = MappingProxyType({})
    ) -> subprocess.CompletedProcess[str]:
        """One of them to its end. ``elsewhere``: as from outside of the cluster, through Ray's client server."""
        return await asyncio.to_thread(
            commands.run,
            *("cluster", *words, "--timeout", START_S, *(("--address", self._elsewhere) if elsewhere else ())),
            environment={**self._environment, **told},
            timeout=START_S + PATIENCE_S,
        )

    async def refused(self, *words: object, told: Mapping[str, str] = MappingProxyType({})) -> str:
        """The sentence of a command that cannot do it."""
        return self.sentence(await self.run(*words, told=told))

    async def done(self, *words: object, elsewhere: bool = False) -> str:
        """What one prints that can."""
        done = await self.run(*words, elsewhere=elsewhere)
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    @staticmethod
    def sentence(done: subprocess.CompletedProcess[str]) -> str:
        """What it says of why it cannot."""
        # Ray itself tells each driver of a node that was lost.
        told = re.sub(r"\x1b\[33m\(raylet\).*?workload\.\n", "", done.stdout, flags=re.DOTALL)
        assert (done.returncode, told) == (2, ""), done.stderr
        assert len(done.stderr.splitlines()) == 1
        return done.stderr

    async def slots(self) -> list[dict[str, str]]:
        """All, those that run first."""
        found = [json.loads(line) for line in (await self.done("status", "--json")).splitlines()]
        return sorted(found, key=lambda one: not one["node"])


async def test_streams_outlive_actors_and_nodes(
    cluster: RayNodes, fleet: Fleet, tmp_path: Path, clips: ClipFactory, capsys: pytest.CaptureFixture[str]
) -> None:
    """Workers are where there is room. What one has is handed over when its actor is killed, and goes on elsewhere when
    its node is gone; a node that is added gets one; never do two publish the same. Secrets stay out of all that Ray
    shows. ``down`` ends them all. Commands are given on a machine of the cluster, and from elsewhere.
    """
    now = asyncio.get_running_loop().time
    took: dict[str, float] = {}
    nodes = [await asyncio.to_thread(cluster.add)]
    run = Commands(cluster, fleet.settings)

    async def has(count: int) -> bool:
        return len(await fleet.workers()) == count

    up: tuple[object, ...] = ("up", "--min", 3, "--max", 3, "--capacity", 50, "--egress", "any")
    up = (*up, "--files", clips.directory, "--data-dir", tmp_path / "worker", "--cache-dir", tmp_path / "cache")
    nowhere = re.sub(r":\d+/", ":1/", fleet.settings["STREAMFERRY_STORE"])
    assert "cannot be opened" in await run.refused(*up, told={"STREAMFERRY_STORE": nowhere})
    # From two machines at once.
    begun, late = sorted(
        await asyncio.gather(run.run(*up), run.run(*up, elsewhere=True)), key=lambda done: done.returncode
    )
    assert (begun.returncode, begun.stderr) == (0, "")
    assert "run on this cluster already" in run.sentence(late)
    await until(lambda: has(2))

    # The third waits for a machine with room.
    async def two_are_placed() -> bool:
        nodes_of = [one["node"] for one in await run.slots()]
        return (
            len(nodes_of) == 3 and nodes_of[0] != nodes_of[1] and [bool(one) for one in nodes_of] == [True, True, False]
        )

    await until(two_are_placed)
    await fleet.shown([await fleet.make() for _ in range(6)])

    async def lose(held: list[str], kill: Callable[[], object]) -> float:
        since = now()
        await asyncio.to_thread(kill)
        await fleet.shown(held, since)
        # Its worker was there to hand them back: nobody waited for its lease.
        assert not [one for one in held if "lost" in await fleet.kinds(one)]
        return fleet.gap(held)

    slot, held = await fleet.busiest()
    took["actor killed by Ray"] = await lose(held, lambda: cluster.ask(f"kill {slot}"))
    await until(lambda: has(2))
    slot, held = await fleet.busiest()
    pid = int(await asyncio.to_thread(cluster.ask, f"pid {slot}"))
    took["actor dies"] = await lose(held, lambda: os.kill(pid, signal.SIGKILL))
    await until(lambda: has(2))

    added_at = now()
    nodes.append(await asyncio.to_thread(cluster.add))
    await until(lambda: has(3))
    took["node added"] = now() - added_at
    third = await asyncio.to_thread(cluster.ask, f"slot {nodes[1]}")

    async def third_has_some() -> bool:
        await fleet.shown([await fleet.make()])
        return bool(await fleet.held_by(third))

    await until(third_has_some)
    held = await fleet.held_by(third)
    took["node removed"] = await lose(held, lambda: cluster.ask("remove 1"))

    secrets = [fleet.settings["STREAMFERRY_SEAL_KEY"].encode(), PASSWORD.encode()]
    assert [
        where
        for where, text in await asyncio.to_thread(lambda: list(cluster.texts()))
        if any(one in text for one in secrets)
    ] == []

    await run.done("down", elsewhere=True)
    await until(lambda: has(0))
    assert "no workers run" in await run.refused("down")
    assert fleet.sightings.doubled == set()
    with capsys.disabled():
        print("\n", {name: round(seconds, 1) for name, seconds in took.items()})
