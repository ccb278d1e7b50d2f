"""Four workers and two services on one PostgreSQL: a worker dies, or is cut off, beside streams of others.

The clock of one worker is a minute ahead and that of another a minute behind, all the time. How soon each stream is
back is measured, with many of them, by bench/failover.py. What a worker sends that was frozen is in
test_frozen_worker.py; outages of the database are in test_postgresql_on_air.py, the end of a service in
test_services_apart.py.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
import pytest_asyncio
import sqlalchemy as sa

from kit.clips import ClipFactory
from kit.clocks import off_by
from kit.front import front
from kit.live import Publisher
from kit.machines import Machines, machines
from kit.nginx_rtmp import NginxRtmp
from kit.postgresql import PostgreSql
from kit.sightings import KnownFrames, Sightings
from kit.waiting import PATIENCE_S, START_S
from streamferry.client import AsyncLiveService, NoAnswer
from streamferry.control.address_rules import address_rules
from streamferry.media.errors import Fault
from streamferry.media.url import MediaUrl
from streamferry.net.folders import Folders
from streamferry.relay import State
from streamferry.store.schema import usage
from streamferry.tasks.inputs import InputSourceDraft
from streamferry.tasks.model import TaskItem, TaskKind, TaskSpec
from streamferry.tasks.schedule import LOOK_AHEAD_MS
from streamferry.worker import LEASE_S

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(4 * START_S)]

#: Worker -> how far its clock is ahead.
CLOCKS_OFF_S = {"ahead": 60, "behind": -60, "right": 0, "right-too": 0}
KEY_ID, SECRET = "AKLTfailures", "secret-of-the-failures"
EACH = 6
#: A lease, until somebody looks, and what a busy machine needs to begin the streams elsewhere.
BACK_S = 2 * PATIENCE_S
#: A list goes on where it was told to be last, and that is half a second old; besides, what was on its way.
PLAYHEAD_OFF_MS = 3_000
WINDOW_S = 3


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def fleet(
    tmp_path_factory: pytest.TempPathFactory, postgresql_server: PostgreSql, clips: ClipFactory
) -> AsyncIterator[Machines]:
    """Six live streams, each with a pull of its own, and six lists, on the air."""
    clip, home = clips("half_a_minute"), tmp_path_factory.mktemp("failures")
    nginx, off = NginxRtmp(home / "nginx"), off_by(home)
    nginx.start()
    camera = Publisher(clip, nginx.url("camera"), home / "camera.log")
    try:
        await asyncio.to_thread(nginx.wait_published, "camera")
        async with (
            Sightings(KnownFrames(clip)) as sightings,
            machines(
                home,
                postgresql_server,
                sightings,
                workers=tuple(CLOCKS_OFF_S),
                options=("--egress", "any", "--files", clips.directory),
                settings={"STREAMFERRY_ACCESS_KEY_ID": KEY_ID, "STREAMFERRY_SECRET_ACCESS_KEY": SECRET},
                labels={name: f"clock={name}" for name in CLOCKS_OFF_S},
                environments={name: off(seconds) for name, seconds in CLOCKS_OFF_S.items() if seconds},
            ) as fleet,
        ):
            for number in range(EACH):
                await fleet.make(f"live-{number}", TaskKind.LIVE, f"{nginx.url('camera')}?for={number}")
                await fleet.make(f"list-{number}", TaskKind.VOD, f"file://{clip}")
            await fleet.on_air()
            yield fleet
    finally:
        camera.stop()
        nginx.stop()


def check_moved(fleet: Machines, sessions: dict[str, int], moved: set[str], off_ms: float) -> None:
    """These have one more session, begun after the last frame of the one before; the rest have those they had.

    Lists went on at most so far from where they were.
    """
    sightings = fleet.sightings
    assert not sightings.doubled
    for name, count in sessions.items():
        assert len(sightings.of(name)) == count + (name in moved), name
        assert all(gap_s > 0 for gap_s in sightings.gaps_s(name))
        if name in moved and name.startswith("list"):
            before, after = sightings.of(name)[-2:]
            assert abs(sightings.frames.apart_ms(after.first[1], before.last[1])) < off_ms


async def test_windows_are_kept_by_the_clock_of_the_database(fleet: Machines, clips: ClipFactory) -> None:
    """Whatever the worker's own says: neither a minute early nor a minute late; what is told of it comes in order."""
    loop = asyncio.get_running_loop()
    now = datetime.now(UTC)
    start_at = now + timedelta(milliseconds=LOOK_AHEAD_MS, seconds=WINDOW_S)
    end_at = start_at + timedelta(seconds=WINDOW_S)
    made = {}
    for clock in ("ahead", "behind"):
        to = MediaUrl.parse(fleet.sightings.url(f"window-{clock}"))
        item = TaskItem(MediaUrl.parse(f"file://{clips('half_a_minute')}"))
        spec = TaskSpec(TaskKind.VOD, (item,), to, start_at, end_at, placement=(f"clock={clock}",))
        made[clock] = await fleet.actions.create_task(spec)
    began_at = loop.time() + start_at.timestamp() - time.time()
    for clock, task_id in made.items():
        async with asyncio.timeout(BACK_S):
            while (record := await fleet.actions.get_task(task_id)).state is not State.ENDED:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        (session,) = fleet.sightings.of(f"window-{clock}")
        # It is not early by more than clocks of one machine differ, and late only by what a busy machine costs.
        assert -0.1 < session.first[0] - began_at < PATIENCE_S
        assert session.last[0] - began_at > WINDOW_S / 2
        told = await fleet.actions.list_feed(task_id, limit=1_000)
        # The store knows how old a report is to some milliseconds.
        jitter = timedelta(seconds=1)
        assert all(one.at <= other.at + jitter for one, other in pairwise(told))
        assert now - jitter < told[0].at
        assert told[-1].at < datetime.now(UTC) + jitter
        assert record.worker_id is None


async def test_files_are_inserted_by_the_clock_of_the_database(fleet: Machines, clips: ClipFactory) -> None:
    """So is told since when they are on air, and in which minute how much was sent."""
    clip, made, began_at = clips("half_a_minute"), {}, await fleet.actions.now()
    for clock in ("ahead", "behind"):
        to, item = MediaUrl.parse(fleet.sightings.url(f"insert-{clock}")), TaskItem(MediaUrl.parse(f"file://{clip}"))
        end_at = began_at + timedelta(hours=1)
        spec = TaskSpec(TaskKind.VOD, (item,), to, began_at, end_at, placement=(f"clock={clock}",))
        made[clock] = await fleet.actions.create_task(spec)
    await fleet.on_air({f"insert-{clock}" for clock in made})
    at = await fleet.actions.now() + timedelta(seconds=WINDOW_S)
    rules, film = address_rules(Folders.of([clips.directory])), InputSourceDraft(f"file://{clip}", end_s=WINDOW_S)
    for task_id in made.values():
        await fleet.actions.insert_file(task_id, film, at, rules)
    for task_id in made.values():
        async with asyncio.timeout(PATIENCE_S):
            while not ((on_air := (await fleet.actions.get_task(task_id)).on_air) and on_air.file):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        assert -0.5 < (on_air.since - at).total_seconds() < PATIENCE_S
        await fleet.actions.stop_task(task_id)
    for clock, task_id in made.items():
        async with asyncio.timeout(PATIENCE_S):
            while (await fleet.actions.get_task(task_id)).worker_id:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        # In one session, as of a clock that is right.
        assert len(fleet.sightings.of(f"insert-{clock}")) == 1
    async with fleet.actions._store.read() as connection:
        query = sa.select(usage.c.minute_ms).where(usage.c.task_id.in_(made.values()))
        minutes = (await connection.execute(query)).scalars().all()
    assert minutes
    begins = [datetime.fromtimestamp(minute_ms / 1000, UTC) for minute_ms in minutes]
    assert all(began_at - timedelta(minutes=1) < one <= datetime.now(UTC) for one in begins)


async def test_a_worker_without_the_database_and_one_without_a_destination(fleet: Machines, clips: ClipFactory) -> None:
    """The first fences itself, and others go on with its streams. The second tells of it, and nobody takes the task.

    Both are well again by themselves once they reach it.
    """
    with front(fleet.sightings.url("far").split("/")[2]) as far:
        to = MediaUrl.parse(f"rtmp://127.0.0.1:{far.port}/far/key")
        await fleet.make("far", TaskKind.VOD, f"file://{clips('half_a_minute')}", to=to)
        await fleet.on_air({"far"})
        held = await fleet.held_by()
        of_far = next(worker_id for worker_id, names in held.items() if "far" in names)
        cut_off = "ahead" if of_far != "ahead" and held.get("ahead") else next(iter(held.keys() - {of_far}))
        sessions = fleet.sessions()
        cut_at = asyncio.get_running_loop().time()
        far.passing.clear()
        fleet.workers[cut_off].way.passing.clear()
        await fleet.on_air(held[cut_off], cut_at, BACK_S)
        # That it let go by itself is seen where it published.
        assert not [name for name in held[cut_off] if fleet.sightings.of(name)[-2].ended is None]
        async with asyncio.timeout(BACK_S):
            while (record := await fleet.actions.get_task(fleet.made["far"])).state is not State.RETRYING:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        assert (record.worker_id, record.epoch, record.fault) == (of_far, 1, Fault.USER_DESTINATION)
        far.passing.set()
        fleet.workers[cut_off].way.passing.set()
        await fleet.on_air({"far"}, cut_at, BACK_S)
        await fleet.are_alive([cut_off])
        await fleet.go_on()
        record = await fleet.actions.get_task(fleet.made["far"])
        assert (record.worker_id, record.epoch) == (of_far, 1)
        # What it played after the last word that it could send is played again.
        check_moved(fleet, sessions, held[cut_off] | {"far"}, LEASE_S * 1000 + PLAYHEAD_OFF_MS)
        await fleet.actions.stop_task(fleet.made.pop("far"))


async def test_streams_of_a_killed_worker_go_on_elsewhere(fleet: Machines) -> None:
    """Each with one publisher at a time, and lists where they were."""
    held = await fleet.held_by()
    # The others are needed for their clocks.
    killed = "right" if held.get("right") else "right-too"
    sessions = fleet.sessions()
    fleet.workers[killed].kill()
    killed_at = asyncio.get_running_loop().time()
    await fleet.on_air(held[killed], killed_at, BACK_S)
    took_s = max(fleet.sightings.of(name)[-1].first[0] for name in held[killed]) - killed_at
    print(f"\n{len(held[killed])} streams of the worker {killed} were back after {took_s:.1f} s")
    await fleet.go_on()
    assert killed not in await fleet.held_by()
    check_moved(fleet, sessions, held[killed], PLAYHEAD_OFF_MS)


async def test_a_client_goes_on_when_its_service_is_killed(fleet: Machines) -> None:
    """Behind one address, as of a balancer: it asks again, and the other service answers. No stream notices."""
    first, second = fleet.services
    sessions = fleet.sessions()
    with front(first.url.split("/")[2]) as balancer:
        async with AsyncLiveService(f"http://127.0.0.1:{balancer.port}", KEY_ID, SECRET) as live:
            before = await live.list_pull_to_push_task({"Size": 100})
            await asyncio.to_thread(first.kill_tree)
            host, port = second.url.split("/")[2].split(":")
            balancer.upstream = (host, int(port))
            after = None
            async with asyncio.timeout(PATIENCE_S):
                while after is None:
                    # That of a connection which the first one has closed.
                    with suppress(NoAnswer):
                        after = await live.list_pull_to_push_task({"Size": 100})
            ids = [[one["TaskId"] for one in answer["Result"]["List"]] for answer in (before, after)]
            assert ids[0] == ids[1]
            assert set(fleet.made.values()) <= set(ids[1])
            await live.create_pull_to_push_group({"Name": "after", "ProjectName": "failures"})
    await fleet.go_on()
    check_moved(fleet, sessions, set(), 0)
