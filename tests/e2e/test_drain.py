"""A worker that is told to leave hands its tasks over to another one, with the pictures as witness."""

import asyncio
import re
import signal
import statistics
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from kit import commands
from kit.clips import FPS, ClipFactory
from kit.live import Publisher
from kit.nginx_rtmp import NginxRtmp
from kit.programs import STREAMFERRY, Program
from kit.service_program import ServiceProgram
from kit.sightings import KnownFrames, Sightings
from kit.waiting import PATIENCE_S
from streamferry.control.actions import Actions
from streamferry.media.peer_options import PeerOptions
from streamferry.media.url import MediaUrl
from streamferry.store.records import Intent
from streamferry.tasks.model import TaskItem, TaskKind, TaskSpec
from streamferry.worker.worker import LEASE_S

EACH = 4
KEY, SECRET = "AKDRAIN", "planted-secret-drain"


class Stage:
    """A service of one worker with some live and some VOD tasks."""

    def __init__(self, home: Path, folder: Path, sightings: Sightings) -> None:
        self.sightings = sightings
        self.home = home
        self.words = ("--egress", "any", "--files", str(folder))
        settings = {"STREAMFERRY_ACCESS_KEY_ID": KEY, "STREAMFERRY_SECRET_ACCESS_KEY": SECRET}
        self.service = ServiceProgram(home / "service", *self.words, environment=settings)
        #: Task id -> name of its stream.
        self.made: dict[str, str] = {}
        self.actions: Actions

    async def make(self, kind: TaskKind, source: str, *, overlaps: bool = False) -> None:
        now = datetime.now(UTC)
        name = f"{kind.name.lower()}-{len(self.made)}"
        to = MediaUrl.parse(self.sightings.url(name))
        item = TaskItem(MediaUrl.parse(source))
        options = PeerOptions(overlap=overlaps)
        spec = TaskSpec(kind, (item,), to, now, now + timedelta(hours=1), destination_options=options)
        self.made[await self.actions.create_task(spec)] = name

    async def wait_all_shown(self, task_ids: set[str], since: float) -> None:
        """Until the streams of the tasks show something in sessions begun after ``since``."""
        async with asyncio.timeout(30):
            while not all(self.sightings.shows(self.made[task_id], since) for task_id in task_ids):  # noqa: ASYNC110
                await asyncio.sleep(0.05)

    async def held_by(self, worker_id: str) -> set[str]:
        """Tasks that a worker has."""
        return {task_id for task_id in self.made if (await self.actions.get_task(task_id)).worker_id == worker_id}

    async def typed(self, *words: str) -> str:
        """A command of the operator, with its answer."""
        keys = {"VOLC_ACCESSKEY": KEY, "VOLC_SECRETKEY": SECRET, "STREAMFERRY_URL": self.service.url}
        done = await asyncio.to_thread(commands.run, *words, environment=keys)
        assert done.returncode == 0, done.stderr
        return done.stdout

    @asynccontextmanager
    async def worker(self, worker_id: str) -> AsyncIterator[Program]:
        """``streamferry worker`` beside the service."""
        log = self.home / f"{worker_id}.log"
        words = (STREAMFERRY, "worker", "--data-dir", self.service.data, "--id", worker_id, *self.words)
        environment = {"STREAMFERRY_CACHE_DIR": str(self.home / "service" / "cache")}
        with Program(words, log, environment=environment) as program:
            yield program
            await asyncio.to_thread(program.stop)
        assert "Traceback" not in program.output


@pytest.fixture
async def stage(
    tmp_path: Path, nginx: NginxRtmp, clips: ClipFactory, publish: Callable[[Path, str], Publisher]
) -> AsyncIterator[Stage]:
    """A healthy service; a camera publishes to nginx."""
    clip = clips("half_a_minute")
    publish(clip, nginx.url("camera"))
    await asyncio.to_thread(nginx.wait_published, "camera")
    async with Sightings(KnownFrames(clip)) as sightings:
        stage = Stage(tmp_path, clips.directory, sightings)
        await asyncio.to_thread(stage.service.wait_ready)
        async with stage.service.actions() as stage.actions:
            yield stage
            await asyncio.to_thread(stage.service.stop)
    assert "Traceback" not in stage.service.errors


@pytest.mark.parametrize("how", ["it is told to leave", "it is drained"])
async def test_a_drained_worker_hands_over_at_a_keyframe(
    stage: Stage, nginx: NginxRtmp, clips: ClipFactory, how: str
) -> None:
    """Every stream goes on elsewhere before its lease would have ended, a list with the very next frame.

    A worker that an operator drains stays, empty.
    """
    sightings = stage.sightings
    async with stage.worker("leaver") as leaver:
        async with asyncio.timeout(30):
            while "leaver" not in [row.worker_id for row in await stage.actions.list_workers()]:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        for _ in range(EACH):
            await stage.make(TaskKind.LIVE, nginx.url("camera"))
            await stage.make(TaskKind.VOD, f"file://{clips('half_a_minute')}")
        await stage.wait_all_shown(set(stage.made), 0)
        moved = await stage.held_by("leaver")
        assert moved
        told_at = asyncio.get_running_loop().time()
        if how == "it is drained":
            assert re.match(
                r"leaver  drained since .*  0 of \d+ tasks", await stage.typed("worker", "drain", "leav", "--wait")
            )
            assert await stage.held_by("leaver") == set()
            await stage.wait_all_shown(moved, told_at)
            assert leaver.process.poll() is None
        leaver.process.send_signal(signal.SIGTERM)
        await stage.wait_all_shown(moved, told_at)
        assert await asyncio.to_thread(leaver.process.wait, 30) == 0
    gaps_s = []
    for task_id, name in stage.made.items():
        before, after = sightings.of(name)[0], sightings.of(name)[-1]
        if task_id not in moved:
            assert after is before
            continue
        assert len(sightings.of(name)) == 2
        # A platform that hears of an end ends the broadcast.
        assert before.ended == "closed"
        gaps_s.append(after.first[0] - before.last[0])
        if name.startswith("vod"):
            assert sightings.frames.apart_ms(after.first[1], before.last[1]) == 1000 / FPS
        # What a relay logs says whose it is.
        assert any("streamferry.relay" in line and task_id in line for line in leaver.output.splitlines())
    print(f"\nno frame for {min(gaps_s):.2f} / {statistics.median(gaps_s):.2f} / {max(gaps_s):.2f} s")
    assert not sightings.doubled
    # Tenths of a second, but for what the machine has to do beside; by its lease, a task would be taken after this.
    assert max(gaps_s) < LEASE_S


async def test_a_drain_has_no_gap_where_two_may_publish(stage: Stage, nginx: NginxRtmp, clips: ClipFactory) -> None:
    """The next worker shows something before the one before it lets go, which it does at once then."""
    sightings = stage.sightings
    async with stage.worker("leaver"):
        async with asyncio.timeout(PATIENCE_S):
            while "leaver" not in [row.worker_id for row in await stage.actions.list_workers()]:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        for number in range(EACH):
            # Each with a pull of its own, so that they do not all go to one worker.
            await stage.make(TaskKind.LIVE, f"{nginx.url('camera')}?for={number}", overlaps=True)
            await stage.make(TaskKind.VOD, f"file://{clips('half_a_minute')}", overlaps=True)
        await stage.wait_all_shown(set(stage.made), 0)
        moved = await stage.held_by("leaver")
        told_at = asyncio.get_running_loop().time()
        await stage.actions.set_intent("leaver", Intent.DRAINING)
        await stage.wait_all_shown(moved, told_at)
        async with asyncio.timeout(PATIENCE_S):
            while not all(sightings.of(stage.made[task_id])[0].ended for task_id in moved):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
            # Where it had to wait for long, it has closed before the store knows.
            while await stage.held_by("leaver"):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
    overlaps_s = []
    for task_id, name in stage.made.items():
        if task_id not in moved:
            assert len(sightings.of(name)) == 1
            continue
        before, after = sightings.of(name)
        assert before.ended == "closed"
        (gap_s,) = sightings.gaps_s(name)
        assert gap_s < 0
        overlaps_s.append(-gap_s)
        if name.startswith("vod"):
            # What was shown while both did comes again, and no more than what is told half a second late.
            again_ms = sightings.frames.apart_ms(before.last[1], after.first[1])
            print(f"{name}: {again_ms:.0f} ms came twice, in {-gap_s:.2f} s of overlap")
        assert (await stage.actions.get_task(task_id)).epoch == 2
    print(f"\nboth showed frames for {min(overlaps_s):.2f} to {max(overlaps_s):.2f} s")


async def test_a_service_that_is_told_to_stop_closes_everything_for_whoever_goes_on(
    stage: Stage, nginx: NginxRtmp, clips: ClipFactory
) -> None:
    """SIGTERM: each connection is closed in good order, no broadcast is ended, and the service is gone by itself."""
    for _ in range(EACH):
        await stage.make(TaskKind.LIVE, nginx.url("camera"))
        await stage.make(TaskKind.VOD, f"file://{clips('half_a_minute')}")
    await stage.wait_all_shown(set(stage.made), 0)
    assert await asyncio.to_thread(stage.service.stop) == 0
    assert {stage.sightings.of(name)[-1].ended for name in stage.made.values()} == {"closed"}
