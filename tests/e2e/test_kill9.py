"""kill -9 of the whole service at random moments under live and VOD tasks, with the pictures as witness.

``STREAMFERRY_KILLS=20`` makes it a long run, ``STREAMFERRY_SEED`` repeats one; ``pytest -s`` shows the figures.
"""

import asyncio
import itertools
import os
import random
import sqlite3
import statistics
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from kit.callback_receiver import CallbackReceiver
from kit.clips import ClipFactory
from kit.live import Publisher
from kit.nginx_rtmp import NginxRtmp
from kit.service_program import ServiceProgram
from kit.sightings import KnownFrames, Sightings
from kit.waiting import START_S, wait_for
from streamferry.control.actions import Actions
from streamferry.media.url import MediaUrl
from streamferry.relay import State
from streamferry.tasks.model import ContinueStrategy, TaskItem, TaskKind, TaskSpec

KILLS = int(os.environ.get("STREAMFERRY_KILLS", "0"))
SEED = int(os.environ.get("STREAMFERRY_SEED", "0")) or random.SystemRandom().randrange(1, 10**6)
#: As many live tasks and as many lists.
EACH = 20 if KILLS else 10
#: So far from the rule of its ContinueStrategy a list with a keyframe each second may go on. A machine that is
#: busy with other tests delays reports, and places are as old as those.
OFF_MS = 1_000
EARLY_MS = 1_000 if KILLS else 2_000
#: The leases of killed workers end 6.5 s after they were renewed last, and then every task is taken within a second; a
#: service of which the start is killed as well gets that time again.
BACK_S = 8.0


class Fleet:
    """A service with its tasks, and what their streams show."""

    def __init__(self, start: Callable[[], ServiceProgram], sightings: Sightings, receiver: CallbackReceiver) -> None:
        self._start = start
        self._receiver = receiver
        self.sightings = sightings
        self.service = start()
        self.actions: Actions
        #: Task id -> name of its stream.
        self.made: dict[str, str] = {}
        self.strategies: dict[str, ContinueStrategy] = {}
        #: When and where each stream showed something last before the last kill.
        self.broke: dict[str, tuple[float, int]] = {}

    async def make(self, kind: TaskKind, number: int, source: str) -> None:
        """One more task, from now on."""
        name, strategy, now = f"{kind.name.lower()}-{number}", ContinueStrategy(number % 2), datetime.now(UTC)
        spec = TaskSpec(
            kind,
            (TaskItem(MediaUrl.parse(source)),),
            MediaUrl.parse(self.sightings.url(name)),
            start_at=now,
            end_at=now + timedelta(hours=1),
            continue_strategy=strategy,
            callback_url=self._receiver.url(f"/{name}"),
        )
        self.made[await self.actions.create_task(spec)] = name
        if kind is TaskKind.VOD:
            self.strategies[name] = strategy

    async def kill(self) -> float:
        """Kill it and start it again; when it was killed."""
        self.broke = self.sightings.last_shown()
        await asyncio.to_thread(self.service.kill_tree)
        killed_at = asyncio.get_running_loop().time()
        self.service = self._start()
        return killed_at

    async def wait_lists_begin(self, since: float) -> None:
        """Until the first list shows frames in a session begun after ``since``, of which nothing may be saved yet."""
        async with asyncio.timeout(BACK_S + START_S):
            while not any(self.sightings.shows(name, since) for name in self.strategies):  # noqa: ASYNC110
                await asyncio.sleep(0.002)

    async def wait_all_stream(self, since: float, seconds: float) -> float:
        """Until each stream shows new frames in a session begun after ``since``, and is said to: how long that took."""
        loop = asyncio.get_running_loop()
        waiting = set(self.made.values())
        async with asyncio.timeout(seconds):
            while waiting:
                waiting -= {name for name in waiting if self.sightings.shows(name, since)}
                await asyncio.sleep(0.05)
        took_s = loop.time() - since
        waiting = set(self.made)
        async with asyncio.timeout(30):
            while waiting:
                states = {task_id: (await self.actions.get_task(task_id)).state for task_id in waiting}
                waiting = {task_id for task_id, state in states.items() if state is not State.STREAMING}
                await asyncio.sleep(0.05)
        return took_s

    def off_ms(self) -> list[tuple[ContinueStrategy, float]]:
        """By how much the lists went on elsewhere than the frame shown last and ContinueStrategy say.

        What a session begins with comes at once, so a list that keeps time is soon as far ahead of the clock as before.
        """
        found = []
        for name, strategy in self.strategies.items():
            broke_at, broke_ms = self.broke[name]
            session = self.sightings.of(name)[-1]
            if strategy is ContinueStrategy.AT_BREAK:
                expected_ms, (_, shown_ms) = float(broke_ms), session.first
            else:
                shown_at, shown_ms = session.last
                expected_ms = broke_ms + (shown_at - broke_at) * 1000
            found.append((strategy, self.sightings.frames.apart_ms(shown_ms, expected_ms)))
        return found

    async def check_events(self) -> None:
        """No event of a task is missing in its history; its callbacks came in order, none was left out."""
        for task_id, name in self.made.items():
            seqs = [event.seq for event in await self.actions.list_feed(task_id, limit=10_000)]
            assert seqs == list(range(1, len(seqs) + 1))

            def came(target: str = f"/{name}") -> list[dict[str, object]]:
                return [one.json for one in list(self._receiver.received) if one.target == target]

            await asyncio.to_thread(wait_for, "its latest callback", lambda: came()[-1]["State"] == "streaming", 30)
            # One that was on its way at a kill comes again, and nothing before it.
            numbers = [number for number, _ in itertools.groupby(one["Sequence"] for one in came())]
            assert numbers == list(range(1, len(numbers) + 1))


@pytest.mark.timeout(600 + 30 * KILLS)
async def test_every_task_survives_kill_9_at_any_moment(
    store_url: str, tmp_path: Path, nginx: NginxRtmp, clips: ClipFactory, publish: Callable[[Path, str], Publisher]
) -> None:
    """After each: all stream again, none twice, lists go on where they should, the store is sound, no event missing."""
    moments = random.Random(SEED)
    is_sqlite = store_url.startswith("sqlite")
    # Two: the second one in the start after the first. A start costs 5 s of CPU.
    kills_left = KILLS or (2 if is_sqlite else 1)
    clip = clips("half_a_minute")
    publish(clip, nginx.url("camera"))
    await asyncio.to_thread(nginx.wait_published, "camera")
    took_s: list[float] = []
    off_ms: list[tuple[ContinueStrategy, float]] = []

    def start() -> ServiceProgram:
        # Where two could take a task at once, two do: those of SQLite have one lock.
        workers = 1 if is_sqlite and not KILLS else 2
        words = ("--egress", "any", "--files", clips.directory, "--workers", workers)
        return ServiceProgram(tmp_path / "service", *words, store_url=store_url)

    async with Sightings(KnownFrames(clip)) as sightings:
        with CallbackReceiver() as receiver:
            fleet = Fleet(start, sightings, receiver)
            await asyncio.to_thread(fleet.service.wait_ready)
            async with fleet.service.actions() as fleet.actions:
                try:
                    for number in range(EACH):
                        await fleet.make(TaskKind.LIVE, number, nginx.url("camera"))
                        await fleet.make(TaskKind.VOD, number, f"file://{clip}")
                    await fleet.wait_all_stream(0, START_S)
                    while kills_left:
                        await asyncio.sleep(moments.uniform(0.0, 4.0))
                        killed_at = await fleet.kill()
                        kills_left -= 1
                        if kills_left % 3 == 1:
                            # Each third in the middle of the start after the one before, or as the first lists begin.
                            if kills_left % 2:
                                await fleet.wait_lists_begin(killed_at)
                                await asyncio.sleep(moments.uniform(0.0, 0.15))
                            else:
                                await asyncio.sleep(moments.uniform(0.2, BACK_S))
                            killed_at = await fleet.kill()
                            kills_left -= 1
                        took_s.append(await fleet.wait_all_stream(killed_at, BACK_S + START_S))
                        assert not sightings.doubled
                        off_ms += fleet.off_ms()
                        if is_sqlite:
                            await asyncio.to_thread(check_file, Path(store_url.removeprefix("sqlite:///")))
                    await fleet.check_events()
                finally:
                    await asyncio.to_thread(fleet.service.stop)
    print(f"\nseed {SEED}; after a kill all streams were back in {min(took_s):.1f} to {max(took_s):.1f} s")
    for strategy in ContinueStrategy:
        values = sorted(value for one, value in off_ms if one is strategy)
        middle = statistics.median(values)
        print(f"{strategy.name}: {len(values)} lists were {values[0]:.0f} / {middle:.0f} / {values[-1]:.0f} ms off")
    assert "Traceback" not in fleet.service.errors
    assert all(-EARLY_MS <= value <= OFF_MS for _, value in off_ms), f"seed {SEED}"


def check_file(path: Path) -> None:
    """What is on the disk is a sound database."""
    database = sqlite3.connect(path)
    try:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    finally:
        database.close()
