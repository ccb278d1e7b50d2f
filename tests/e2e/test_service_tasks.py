"""Tasks of a service on each database through their lives, pushed to a real nginx-rtmp."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from kit import postgresql, probe
from kit.clips import FPS, ClipFactory
from kit.flv import read_tags
from kit.live import Publisher
from kit.nginx_rtmp import NginxRtmp
from kit.pictures import frames, make_picture, make_still
from kit.service_program import ServiceProgram
from kit.tasks import vod, wait_claims, wait_state
from kit.waiting import wait_for
from streamferry.control.actions import Actions
from streamferry.media.tag import KEYFRAME, VIDEO, Tag, kind_of_video
from streamferry.media.url import MediaUrl
from streamferry.media.watermark import Watermark
from streamferry.receiver import Receiver, StreamMeter
from streamferry.relay import State
from streamferry.store.records import EventRecord
from streamferry.tasks.model import ApiStatus, ContinueStrategy, TaskItem, TaskKind

CLIP_MS = 3_000
#: Before a change of the source and behind it.
SOURCES = ("half_a_minute", "flash_beep")
FRAME_MS = {"video": 1000 / FPS, "audio": 1024 / 48}
#: FLV stamps are whole milliseconds, so a distance of two may be off by one.
ROUNDING_MS = 1
#: What an FLV tag of H.264 has before the packet.
AVC_HEAD_BYTES = 5
#: For what has nothing to do with the database.
ON_SQLITE = pytest.mark.parametrize("service", ["shared_service"], ids=["sqlite"], indirect=True)


@pytest.fixture(scope="module")
def service_on_postgresql(
    tmp_path_factory: pytest.TempPathFactory, clips: ClipFactory, postgresql_server: postgresql.PostgreSql
) -> Iterator[ServiceProgram]:
    """A service for all tests on that database. At the end it may not have shown a traceback or leaked."""
    home = tmp_path_factory.mktemp("service")
    words = ("--egress", "any", "--files", clips.directory)
    with ServiceProgram(home / "service", *words, store_url=postgresql_server.database()) as one:
        yield one.wait_ready()
        one.stop()
        assert "Traceback" not in one.errors
        assert "ResourceWarning" not in one.errors


@pytest.fixture(params=["shared_service", "service_on_postgresql"], ids=["sqlite", "postgresql"])
def service(request: pytest.FixtureRequest) -> ServiceProgram:
    """A service on each database."""
    service: ServiceProgram = request.getfixturevalue(request.param)
    return service


@pytest.fixture
async def actions(service: ServiceProgram) -> AsyncIterator[Actions]:
    """Of the service; tasks that a test leaves are deleted."""
    async with service.actions() as one:
        yield one
        for record in (await one.list_tasks(size=100)).records:
            await one.delete_task(record.task_id)


def begun_ms(claim: EventRecord) -> int:
    """Where the list of one clip went on, over all loops."""
    playhead = claim.detail["playhead"]
    assert isinstance(playhead, dict)
    return int(playhead["loop"]) * CLIP_MS + int(playhead["position_ms"])


async def played(actions: Actions, task_id: str) -> tuple[int, datetime]:
    """Position over all loops of a list of one clip, and when it stood there."""
    record = await actions.get_task(task_id)
    assert record.playhead is not None
    assert record.playhead_at is not None
    return record.playhead.loop * CLIP_MS + record.playhead.position_ms, record.playhead_at


async def test_a_task_through_its_life(actions: Actions, nginx: NginxRtmp, clips: ClipFactory) -> None:
    """Created it streams, stopped it unpublishes and keeps its place, continued it goes on there, deleted it goes."""
    task_id = await actions.create_task(vod(clips("h264_no_bframes"), nginx.url("life")))
    nginx.wait_published("life")
    await wait_state(actions, task_id, State.STREAMING)
    await actions.stop_task(task_id)
    nginx.wait_unpublished("life")
    await wait_state(actions, task_id, State.STOPPED)
    stopped, _ = await played(actions, task_id)
    assert stopped > 0
    await actions.continue_task(task_id)
    nginx.wait_published("life")
    await wait_state(actions, task_id, State.STREAMING)
    assert begun_ms(await wait_claims(actions, task_id, 2)) == stopped
    await actions.delete_task(task_id)
    nginx.wait_unpublished("life")


async def test_a_window_is_kept_to_the_second(actions: Actions, nginx: NginxRtmp, clips: ClipFactory) -> None:
    """Media from StartTime on and not before, until EndTime and not after, and then the task has ended."""
    clip = clips("h264_no_bframes")
    start_at = datetime.now(UTC) + timedelta(seconds=3)
    end_at = start_at + timedelta(seconds=6)
    task_id = await actions.create_task(vod(clip, nginx.url("window"), start_at=start_at, end_at=end_at))
    assert nginx.published("window") is None
    nginx.wait_published("window")
    assert datetime.now(UTC) >= start_at
    nginx.wait_unpublished("window")
    assert datetime.now(UTC) >= end_at - timedelta(seconds=0.1)
    await wait_state(actions, task_id, State.ENDED)
    record = await actions.get_task(task_id)
    assert record.status(datetime.now(UTC)) is ApiStatus.ENDED


async def test_updates_of_a_running_task(actions: Actions, clips: ClipFactory) -> None:
    """Title, callback, EndTime: every frame comes as if nothing was. Another source: the same session, no frame late.

    DstAddr: it is unpublished here and published there.
    """
    async with Receiver() as receiver:
        here, there = (f"rtmp://127.0.0.1:{receiver.port}/{name}/key" for name in ("here", "there"))
        # Ten seconds without a join.
        item = TaskItem(MediaUrl.parse(f"file://{clips('half_a_minute')}"), start_s=20)
        spec = vod(clips("half_a_minute"), here, items=(item,))
        task_id = await actions.create_task(spec)

        async def wait_media(stream: int, ms: int) -> StreamMeter:
            """Until a stream has given so much more media."""
            async with asyncio.timeout(30):
                while len(receiver.streams) <= stream:  # noqa: ASYNC110 -- a meter has no event
                    await asyncio.sleep(0.02)
                meter = receiver.streams[stream].meter
                until = meter.media_time_ms + ms
                while meter.media_time_ms < until:  # noqa: ASYNC110
                    await asyncio.sleep(0.02)
            return meter

        await wait_media(0, 1500)
        end_at = spec.end_at + timedelta(minutes=5)
        spec = replace(spec, title="other", end_at=end_at, callback_url="http://127.0.0.1:9/")
        await actions.update_task(task_id, lambda _: spec)
        meter = await wait_media(0, 2500)
        assert (meter.video.longest_gap_ms, meter.video.dts_errors, meter.video.headers) == (40, 0, 1)
        spec = replace(spec, items=(TaskItem(MediaUrl.parse(f"file://{clips('two_seconds')}")),))
        await actions.update_task(task_id, lambda _: spec)
        async with asyncio.timeout(30):
            # The end of the new item is known once it plays.
            while not 1900 <= ((*(await actions.get_task(task_id)).item_ends_ms, 0)[0] or 0) <= 2200:  # noqa: ASYNC110
                await asyncio.sleep(0.1)
        meter = await wait_media(0, 1000)
        assert meter.video.dts_errors == meter.audio.dts_errors == 0
        assert meter.video.longest_gap_ms <= 80
        assert [stream.ended for stream in receiver.streams] == [None]
        await actions.update_task(task_id, lambda _: replace(spec, destination=MediaUrl.parse(there)))
        await wait_media(1, 500)
        assert [(stream.app, stream.ended) for stream in receiver.streams] == [("here", "unpublished"), ("there", None)]


@ON_SQLITE
@pytest.mark.parametrize("kind", TaskKind)
async def test_updates_of_a_running_task_as_nginx_records_them(
    actions: Actions,
    nginx: NginxRtmp,
    clips: ClipFactory,
    publish: Callable[[Path, str], Publisher],
    kind: TaskKind,
) -> None:
    """One recording without a break from title, callback, EndTime and source; another one from DstAddr, elsewhere."""
    first, second = (TaskItem(MediaUrl.parse(f"file://{clips(name)}")) for name in SOURCES)
    if kind is TaskKind.LIVE:
        for name in SOURCES:
            publish(clips(name), nginx.url(name))
        first, second = (TaskItem(MediaUrl.parse(nginx.url(name))) for name in SOURCES)
        for name in SOURCES:
            nginx.wait_published(name)
    keyframes = {
        name: {packet.size_bytes for packet in probe.packets(clips(name)).video.packets if packet.is_key}
        for name in SOURCES
    }
    spec = vod(clips.directory, nginx.url("here", "rec"), kind=kind, items=(first,))

    def recorded(key: str) -> list[Tag]:
        return [tag for path in nginx.recordings(key) for tag in read_tags(path, growing=True)]

    def recorded_ms(key: str) -> int:
        return max((stamp_ms for _, stamp_ms, _ in recorded(key)), default=0)

    def shown(key: str) -> str:
        """Whose the last keyframe is, told by its size."""
        pictures = [body for tag_type, _, body in recorded(key) if tag_type == VIDEO]
        last = [body for body in pictures if kind_of_video(body) == KEYFRAME][-1]
        return "".join(name for name in SOURCES if len(last) - AVC_HEAD_BYTES in keyframes[name])

    def wait_second(key: str) -> None:
        """Until a second more is recorded."""
        until_ms = recorded_ms(key) + 1000
        wait_for(f"a second more of {key}", lambda: recorded_ms(key) >= until_ms)

    task_id = await actions.create_task(spec)
    client = nginx.wait_published("here", "rec").client
    wait_second("here")
    end_at = spec.end_at + timedelta(minutes=5)
    for values in ({"title": "other"}, {"callback_url": "http://127.0.0.1:9/"}, {"end_at": end_at}):
        spec = replace(spec, **values)
        await actions.update_task(task_id, lambda _, spec=spec: spec)
        wait_second("here")
    assert shown("here") == SOURCES[0]
    until_ms = recorded_ms("here")
    spec = replace(spec, items=(second,))
    await actions.update_task(task_id, lambda _: spec)
    wait_for("the other source", lambda: shown("here") == SOURCES[1])
    wait_second("here")
    assert nginx.wait_published("here", "rec").client == client
    await actions.update_task(task_id, lambda _: replace(spec, destination=MediaUrl.parse(nginx.url("there", "rec"))))
    nginx.wait_published("there", "rec")
    nginx.wait_unpublished("here", "rec")
    wait_second("there")
    assert shown("there") == SOURCES[1]
    await actions.delete_task(task_id)
    nginx.wait_unpublished("there", "rec")
    (here,), (there,) = nginx.recordings("here"), nginx.recordings("there")
    media = probe.assert_flawless(here)
    for track in media:
        before = tuple(packet for packet in track.packets if (packet.dts_ms or 0) <= until_ms)
        assert len(before) > 75
        assert probe.max_gap_ms(replace(track, packets=before)) <= FRAME_MS[track.kind] + ROUNDING_MS
    # A frame more where one source gives way to another, or the short clip to itself.
    for track in (*media, *probe.assert_flawless(there)):
        assert probe.max_gap_ms(track) <= 2 * FRAME_MS["video"] + ROUNDING_MS


async def test_a_list_made_shorter_while_its_last_item_plays_brings_nothing_down(
    service: ServiceProgram, actions: Actions, nginx: NginxRtmp, clips: ClipFactory
) -> None:
    """The place was one of the old list: stopped in the rest of its item and continued, the new one begins."""
    short, long = (TaskItem(MediaUrl.parse(f"file://{clips(name)}")) for name in ("two_seconds", "half_a_minute"))
    spec = vod(
        clips("two_seconds"),
        nginx.url("shorter"),
        items=(short, long),
        continue_strategy=ContinueStrategy.AT_BREAK_PLUS_ELAPSED,
    )

    async def wait_item(task_id: str, item: int) -> None:
        async with asyncio.timeout(30):
            while True:
                playhead = (await actions.get_task(task_id)).playhead
                if playhead is not None and playhead.item == item:
                    return
                await asyncio.sleep(0.05)

    task_id = await actions.create_task(spec)
    await wait_item(task_id, 1)
    await actions.update_task(task_id, lambda _: replace(spec, items=(short,)))
    playhead = (await actions.get_task(task_id)).playhead
    assert playhead is not None
    assert (playhead.item, playhead.position_ms) == (0, 0)
    await actions.stop_task(task_id)
    await wait_state(actions, task_id, State.STOPPED)
    # On a slow machine the new list had begun before the stop was seen.
    playhead = (await actions.get_task(task_id)).playhead
    assert playhead is None or playhead.item == 0
    await actions.continue_task(task_id)
    await wait_item(task_id, 0)
    await wait_state(actions, task_id, State.STREAMING)
    assert service.health == 200


def colour_shown(nginx: NginxRtmp) -> tuple[int, int, int]:
    """What the next keyframe of ``out`` has in the top left corner."""
    return frames(nginx.url("out", "rec"), crop="4:4:20:14")[0][1][1]


@ON_SQLITE
async def test_the_watermark_of_a_running_live_task_changes(
    actions: Actions, nginx: NginxRtmp, publish: Callable[[Path, str], Publisher], tmp_path: Path
) -> None:
    """Another picture, then none: each is seen at the destination, in the same publish session, without a fault."""
    publish(make_still(tmp_path / "still.mp4", "320x180"), nginx.url("cam"))
    nginx.wait_published("cam")
    plain = frames(tmp_path / "still.mp4", crop="4:4:20:14")[0][1][1]
    red, blue = (
        Watermark(make_picture(tmp_path / f"{color}.png", "60x30", color).read_bytes(), 0.05, 0.05, 0.25)
        for color in ("red", "blue")
    )
    items = (TaskItem(MediaUrl.parse(nginx.url("cam"))),)
    spec = vod(tmp_path, nginx.url("out", "rec"), kind=TaskKind.LIVE, items=items, watermark=red)
    clients = set()
    task_id = await actions.create_task(spec)
    for mark, shown in ((red, (255, 0, 0)), (blue, (0, 0, 255)), (None, plain)):
        await actions.update_task(task_id, lambda _, mark=mark: replace(spec, watermark=mark))
        await wait_state(actions, task_id, State.STREAMING)
        clients.add(nginx.wait_published("out", "rec").client)
        wait_for("its colour", lambda: colour_shown(nginx) == pytest.approx(shown, abs=24))  # noqa: B023
    assert len(clients) == 1
    await actions.delete_task(task_id)
    nginx.wait_unpublished("out", "rec")
    (path,) = nginx.recordings("out")
    probe.assert_flawless(path)


async def test_a_list_that_was_played_out_has_ended(actions: Actions, nginx: NginxRtmp, clips: ClipFactory) -> None:
    """Before EndTime; relaunched it plays again."""
    task_id = await actions.create_task(vod(clips("two_seconds"), nginx.url("once"), loops=1))
    await wait_state(actions, task_id, State.ENDED)
    assert (await actions.get_task(task_id)).status(datetime.now(UTC)) is ApiStatus.ENDED
    await actions.relaunch_task(task_id)
    nginx.wait_published("once")
