"""A worker whose network to the destinations is cut off, packet by packet, while it reaches the database."""

import asyncio
from pathlib import Path

from kit.clips import ClipFactory
from kit.machines import machines
from kit.networks import TwoCables
from kit.postgresql import PostgreSql
from kit.sightings import KnownFrames, Sightings
from kit.waiting import PATIENCE_S
from streamferry.media.errors import Fault
from streamferry.relay import State
from streamferry.tasks.model import TaskKind

NAMES = ("one", "two")


async def test_a_worker_whose_way_to_the_destinations_is_cut_keeps_its_streams(
    tmp_path: Path, postgresql_server: PostgreSql, clips: ClipFactory
) -> None:
    """It says what is wrong and whose fault it is, and renews its lease meanwhile: once the cable is back so are its
    streams, on the same worker, each with one session that sends, and a list where it was told to be.

    The server, which nobody could tell of the end of the session before, has that no longer open when the next begins:
    nginx-rtmp refused it for 102 s as somebody else's.
    """
    clip, loop = clips("half_a_minute"), asyncio.get_running_loop()
    with TwoCables() as cables:
        async with (
            Sightings(KnownFrames(clip), cables.far) as sightings,
            machines(
                tmp_path,
                postgresql_server,
                sightings,
                workers=("apart",),
                services=1,
                options=("--egress", "any", "--files", clips.directory),
                apart={"apart": cables},
            ) as fleet,
        ):
            for name in NAMES:
                await fleet.make(name, TaskKind.VOD, f"file://{clip}")
            await fleet.on_air()
            cables.pull()
            async with asyncio.timeout(2 * PATIENCE_S):
                for task_id in fleet.made.values():
                    while True:
                        record = await fleet.actions.get_task(task_id)
                        # Tried again, in vain: by then a lease that is not renewed has run out.
                        if record.state is State.RETRYING and record.trouble and record.trouble.tries > 1:
                            break
                        await asyncio.sleep(0.05)
                    assert record.fault == Fault.USER_DESTINATION
            await fleet.are_alive(["apart"])
            plugged_at = loop.time()
            cables.plug()
            await fleet.on_air(since=plugged_at, seconds=2 * PATIENCE_S)
            await fleet.go_on()
            for name, task_id in fleet.made.items():
                record = await fleet.actions.get_task(task_id)
                assert (record.worker_id, record.epoch) == ("apart", 1)
                assert "lost" not in {one.kind for one in await fleet.actions.list_feed(task_id)}
                before, after = sightings.of(name)
                assert after.first[0] > before.last[0]
                print(f"{name}: back {after.first[0] - plugged_at:.1f} s after the cable")
            assert not sightings.doubled
