"""Workers whose clocks are wrong, beside a service and a PostgreSQL whose clocks are right: only those count."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import sqlalchemy as sa

from kit.clips import ClipFactory
from kit.clocks import off_by
from kit.machines import Machines, machines
from kit.postgresql import PostgreSql
from kit.sightings import KnownFrames, Sightings
from kit.waiting import PATIENCE_S
from streamferry.control.address_rules import address_rules
from streamferry.media.url import MediaUrl
from streamferry.net.folders import Folders
from streamferry.store import Store
from streamferry.store.schema import event, usage
from streamferry.tasks.inputs import InputSourceDraft
from streamferry.tasks.model import TaskItem, TaskKind, TaskSpec

#: Far more than a lease, and than how long an order may be late.
OFF_S = {"ahead": 40, "behind": -40}
#: As late as a busy machine may be, and as no clock that counts would be.
LATE_S = 20.0


async def until(is_so: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not await is_so():  # noqa: ASYNC110
            await asyncio.sleep(0.05)


async def make(fleet: Machines, name: str, clip: Path) -> datetime:
    """A list in a window that opens soon, for the worker of that name; returns when it opens."""
    opens_at = await fleet.actions.now() + timedelta(seconds=3)
    items, to = (TaskItem(MediaUrl.parse(f"file://{clip}")),), MediaUrl.parse(fleet.sightings.url(name))
    end_at = opens_at + timedelta(minutes=10)
    spec = TaskSpec(TaskKind.VOD, items, to, opens_at, end_at, placement=(f"clock={name}",))
    fleet.made[name] = await fleet.actions.create_task(spec)
    return opens_at


async def test_workers_whose_clocks_are_wrong(
    tmp_path: Path, postgresql_server: PostgreSql, clips: ClipFactory
) -> None:
    """A window opens, and a file is inserted, at the time of the store; by that time, too, is what they tell: since
    when something is on air, when what happened, and in which minute how much was sent. And they keep their leases."""
    clip, loop, began_at = clips("half_a_minute"), asyncio.get_running_loop(), datetime.now(UTC)
    words, variables = ("--egress", "any", "--files", str(clips.directory)), off_by(tmp_path)
    apart = {name: variables(seconds) for name, seconds in OFF_S.items()}
    labels = {name: f"clock={name}" for name in OFF_S}
    async with (
        Sightings(KnownFrames(clip)) as sightings,
        machines(
            tmp_path,
            postgresql_server,
            sightings,
            workers=[*OFF_S],
            options=words,
            services=1,
            labels=labels,
            environments=apart,
        ) as fleet,
    ):
        opens = {name: await make(fleet, name, clip) for name in OFF_S}
        await fleet.on_air()
        for name, at in opens.items():
            ago_s = loop.time() - sightings.of(name)[0].first[0]
            late_s = (datetime.now(UTC) - at).total_seconds() - ago_s
            print(f"\n{name}: the first frame {late_s:.2f} s after the window opened")
            assert -0.5 < late_s < LATE_S

        insert_at = await fleet.actions.now() + timedelta(seconds=3)
        rules, film = address_rules(Folders.of([clips.directory])), InputSourceDraft(f"file://{clip}", end_s=4)
        for task_id in fleet.made.values():
            await fleet.actions.insert_file(task_id, film, insert_at, rules)
        for name, task_id in fleet.made.items():

            async def plays_it(task_id: str = task_id) -> bool:
                on_air = (await fleet.actions.get_task(task_id)).on_air
                return on_air is not None and bool(on_air.file)

            await until(plays_it)
            on_air = (await fleet.actions.get_task(task_id)).on_air
            assert on_air is not None
            late_s = (on_air.since - insert_at).total_seconds()
            print(f"{name}: the file was on air {late_s:.2f} s after its moment")
            assert -0.5 < late_s < LATE_S
        assert fleet.sessions() == dict.fromkeys(OFF_S, 1)
        for task_id in fleet.made.values():
            await fleet.actions.stop_task(task_id)

        async def are_back() -> bool:
            return set(await fleet.held_by()) == {""}

        await until(are_back)
        await check_times(fleet.actions._store, began_at)


async def check_times(store: Store, began_at: datetime) -> None:
    """Of events, which are in order, and of usage."""
    async with store.read() as connection:
        told = (await connection.execute(sa.select(event.c.task_id, event.c.at_ms).order_by(event.c.seq))).all()
        minutes = (await connection.execute(sa.select(usage.c.minute_ms))).scalars().all()
    first_ms, last_ms = began_at.timestamp() * 1000, datetime.now(UTC).timestamp() * 1000
    tasks = {task_id for task_id, _ in told}
    assert len(tasks) == len(OFF_S)
    for chosen in tasks:
        times = [at_ms for task_id, at_ms in told if task_id == chosen]
        assert first_ms - 1000 <= min(times)
        assert max(times) <= last_ms + 1000
        # What a worker tells is dated back by how long ago it was.
        assert all(later >= before - 1000 for before, later in pairwise(times))
    assert len(minutes) == len(OFF_S)
    assert all(first_ms - 60_000 <= minute_ms <= last_ms for minute_ms in minutes)
