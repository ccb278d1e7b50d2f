"""A relay whose spec changes while it runs: only the end that the change concerns is touched."""

import asyncio
import subprocess
from itertools import pairwise
from pathlib import Path

import pytest
from imageio_ffmpeg import get_ffmpeg_exe
from spliced import assert_unbroken, until_next_picture

from scripted.destination import Destination
from scripted.source import Source
from scripted.waiting import until
from streamferry.media.tag import VIDEO
from streamferry.media.url import MediaUrl
from streamferry.relay import Item, Playhead, RelaySpec

pytestmark = pytest.mark.usefixtures("quick")


def make_clip(path: Path, seconds: float, size: str) -> MediaUrl:
    """A clip of 25 fps with a keyframe each second."""
    command = [
        get_ffmpeg_exe(),
        "-v",
        "error",
        "-f",
        "lavfi",
        "-i",
        f"testsrc2=size={size}:rate=25",
        "-t",
        str(seconds),
    ]
    command += ["-c:v", "libx264", "-preset", "ultrafast", "-bf", "0", "-g", "25", "-pix_fmt", "yuv420p", str(path)]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
    return MediaUrl.parse(str(path))


@pytest.fixture(scope="module")
def clips(tmp_path_factory) -> tuple[MediaUrl, MediaUrl]:
    """Two unlike clips of 3 s and 2 s."""
    folder = tmp_path_factory.mktemp("clips")
    return make_clip(folder / "long.mp4", 3, "160x90"), make_clip(folder / "short.mp4", 2, "96x54")


async def test_a_new_source_joins_in_the_open_rtmp_session(relays, source, destination):
    """The camera is swapped for another; the destination sees one stream, unbroken, that starts anew at a keyframe."""
    running = relays.start(source, destination)
    publish = await until("a publish", lambda: destination.publishes and destination.publishes[0])
    await until("both tracks", lambda: publish.has_both_tracks)
    async with Source() as other:
        running.relay.update(RelaySpec.live(other.url(), destination.url()))
        await until("the other camera's viewer", lambda: other.viewers)
        await until_next_picture(publish)
        await until("streaming", lambda: running.status.state == "streaming")
        assert_unbroken(destination, publish)
        assert running.status.retries == 0


async def test_a_new_destination_gets_a_session_of_its_own(relays, source, destination):
    """The old one is unpublished, the new one starts at stamp 0; the source is not asked again."""
    running = relays.start(source, destination)
    await until("a stream", lambda: destination.publishes and destination.publishes[0].has_both_tracks)
    async with Destination() as other:
        running.relay.update(RelaySpec.live(source.url(), other.url()))
        await until("the move", lambda: other.publishes and other.publishes[0].has_both_tracks)
        assert destination.publishes[0].ended == "unpublished"
        assert other.publishes[0].stamps(VIDEO)[0] == 0
        assert len(source.viewers) == 1
        await running.relay.stop()


async def test_a_new_duration_counts_from_the_beginning(relays, source, destination):
    """An hour becomes a second: the relay ends now, by an unpublish."""
    running = relays.start(source, destination, duration_s=3600)
    await until("a stream", lambda: destination.publishes and destination.publishes[0].has_both_tracks)
    await until("streaming", lambda: running.status.state == "streaming")
    running.relay.update(RelaySpec.live(source.url(), destination.url(), duration_s=0.5))
    final = await asyncio.wait_for(running.relay.wait(), 30)
    assert (final.state, final.fault) == ("ended", None)
    assert destination.publishes[0].ended == "unpublished"


async def test_a_watcher_that_fails_costs_nothing(relays, source, destination):
    """It is called inside the beat: its error is logged, and every stream goes on."""
    running = relays.start(source, destination)
    running.relay.watch(lambda _: 1 / 0)
    publish = await until("a publish", lambda: destination.publishes and destination.publishes[0])
    await until_next_picture(publish)
    await source.leave()
    await until("retrying", lambda: running.status.state == "retrying")
    source.come()
    await until_next_picture(publish)
    assert_unbroken(destination, publish)


async def test_new_limits_touch_nothing(relays, source, destination):
    """An update that names the same ends is not noticed by either."""
    running = relays.start(source, destination)
    publish = await until("a publish", lambda: destination.publishes and destination.publishes[0])
    running.relay.update(RelaySpec.live(source.url(), destination.url(), duration_s=3600))
    for _ in range(5):
        await until_next_picture(publish)
    assert_unbroken(destination, publish)
    assert len(source.viewers) == 1


async def test_a_new_list_follows_what_plays_in_the_same_session(relays, destination, clips):
    """The file that plays goes on where the new list has it; what follows there comes next, on one publish."""
    long, short = clips
    relay = relays.host.start(RelaySpec.vod([Item(long)], destination.url()))
    publish = await until("a publish", lambda: destination.publishes and destination.publishes[0])
    await until("pictures", lambda: len(publish.frames(VIDEO)) > 10)
    # On a slow machine another loop of the first list is under way.
    loop = relay.status.playhead.loop
    relay.update(
        RelaySpec.vod([Item(short), Item(long)], destination.url(), loops=loop + 2, playhead=Playhead(loop + 1))
    )
    assert relay.status.playhead.item == 1
    final = await asyncio.wait_for(relay.wait(), 30)
    assert (final.state, final.fault) == ("ended", None)
    assert destination.publishes == [publish]
    assert len(publish.frames(VIDEO)) == (loop + 1) * 75 + 50 + 75


async def test_a_list_that_is_the_same_so_far_goes_on(relays, destination, clips):
    """A file put behind the one that plays follows it, and the place in the list is told all the time."""
    long, short = clips
    relay = relays.host.start(RelaySpec.vod([Item(long)], destination.url()))
    publish = await until("a publish", lambda: destination.publishes and destination.publishes[0])
    await until("pictures", lambda: len(publish.frames(VIDEO)) > 10)
    loop = relay.status.playhead.loop
    relay.update(
        RelaySpec.vod([Item(long), Item(short)], destination.url(), loops=loop + 1, playhead=Playhead(loop, 1))
    )
    assert relay.status.playhead is not None
    final = await asyncio.wait_for(relay.wait(), 30)
    assert (final.state, final.fault, final.playhead.item) == ("ended", None, 1)
    assert destination.publishes == [publish]
    assert len(publish.frames(VIDEO)) == (loop + 1) * 75 + 50


async def test_a_file_that_is_not_in_the_new_list_gives_way_at_a_keyframe(relays, destination, clips):
    """Whole groups of its pictures, then the new list, unbroken, on one publish."""
    long, short = clips
    relay = relays.host.start(RelaySpec.vod([Item(long)], destination.url()))
    publish = await until("a publish", lambda: destination.publishes and destination.publishes[0])
    await until("pictures", lambda: len(publish.frames(VIDEO)) > 10)
    relay.update(RelaySpec.vod([Item(short, start_s=1)], destination.url(), loops=1))
    final = await asyncio.wait_for(relay.wait(), 30)
    assert (final.state, final.fault, final.playhead.item) == ("ended", None, 0)
    assert destination.publishes == [publish]
    assert all(0 < after - before <= 80 for before, after in pairwise(publish.stamps(VIDEO)))
    assert len(publish.frames(VIDEO)) % 25 == 0


async def test_a_list_starts_at_its_playhead(relays, destination, clips):
    """From loop 1, item 1, second 1 of two loops: two seconds of the second item are all that is left."""
    long, _ = clips
    spec = RelaySpec.vod([Item(long), Item(long)], destination.url(), loops=2, playhead=Playhead(1, 1, 1000))
    final = await asyncio.wait_for(relays.host.start(spec).wait(), 30)
    assert (final.state, final.fault) == ("ended", None)
    assert len(destination.publishes[0].frames(VIDEO)) == 50
    assert (final.playhead.loop, final.playhead.item) == (1, 1)


async def test_files_that_become_a_live_relay_leave_no_place_behind(relays, source, destination, clips):
    """From the change on: what still ends is not told as where the live stream stands."""
    relay = relays.host.start(RelaySpec.vod([Item(clips[0])], destination.url()))
    await until("a place", lambda: relay.status.playhead is not None and relay.status.playhead.position_ms)
    relay.update(RelaySpec.live(source.url(), destination.url()))
    assert relay.status.playhead is None
    publish = await until("the next publish", lambda: len(destination.publishes) == 2 and destination.publishes[1])
    await until("both tracks", lambda: publish.has_both_tracks)
    assert relay.status.playhead is None
    await relay.stop()


async def test_a_live_relay_becomes_one_of_files(relays, source, destination, clips):
    """The kind of the source changes: another publish, and nothing of the old run stays behind."""
    running = relays.start(source, destination)
    await until("a stream", lambda: destination.publishes and destination.publishes[0].has_both_tracks)
    running.relay.update(RelaySpec.vod([Item(clips[1])], destination.url(), loops=1))
    final = await asyncio.wait_for(running.relay.wait(), 30)
    assert final.state == "ended"
    # It goes on: who hears FCUnpublish takes that for the end of the broadcast.
    assert [publish.ended for publish in destination.publishes] == ["closed", "unpublished"]
    await source.all_closed()
