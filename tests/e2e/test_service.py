"""The service as a process, its tasks pushed to a real nginx-rtmp, through stops, kills and restarts."""

import asyncio
import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from kit import probe, programs
from kit.clips import FPS, ClipFactory
from kit.flv import read_tags
from kit.live import Publisher
from kit.nginx_rtmp import NginxRtmp
from kit.pictures import frames, make_picture, make_still
from kit.programs import command_line, descendants
from kit.service_program import ServiceProgram
from kit.waiting import wait_for
from streamferry.control.actions import Actions
from streamferry.media.tag import KEYFRAME, VIDEO, Tag, kind_of_video
from streamferry.media.url import MediaUrl
from streamferry.media.watermark import Watermark
from streamferry.prepare.cache import all_entries
from streamferry.receiver import Receiver, StreamMeter
from streamferry.relay import State
from streamferry.store.records import EventRecord
from streamferry.tasks.model import ApiStatus, ContinueStrategy, TaskItem, TaskKind, TaskSpec

CLIP_MS = 3_000
#: Before a change of the source and behind it.
SOURCES = ("half_a_minute", "flash_beep")
FRAME_MS = {"video": 1000 / FPS, "audio": 1024 / 48}
#: FLV stamps are whole milliseconds, so a distance of two may be off by one.
ROUNDING_MS = 1
#: What an FLV tag of H.264 has before the packet.
AVC_HEAD_BYTES = 5
#: For what has nothing to do with the database.
ON_SQLITE = pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)


@pytest.fixture
def serve(store_url: str, tmp_path: Path, clips: ClipFactory) -> Iterator[Callable[..., ServiceProgram]]:
    """``serve()`` starts a healthy service over one folder. At the end none may have shown a traceback or leaked."""
    started: list[ServiceProgram] = []

    def start(*arguments: object, **environment: str) -> ServiceProgram:
        words = ("--egress", "any", "--files", clips.directory, "--workers", "2", *arguments)
        service = ServiceProgram(tmp_path / "service", *words, store_url=store_url, environment=environment)
        started.append(service)
        return service.wait_ready()

    yield start
    for one in started:
        one.stop(seconds=12)
        assert "Traceback" not in one.errors
        assert "ResourceWarning" not in one.errors


def vod(clip: Path, to: str, **values: object) -> TaskSpec:
    """An endless list of one clip, from now on for an hour, but for what is given."""
    now = datetime.now(UTC)
    given: dict[str, object] = {
        "kind": TaskKind.VOD,
        "items": (TaskItem(MediaUrl.parse(f"file://{clip}")),),
        "destination": MediaUrl.parse(to),
        "start_at": now,
        "end_at": now + timedelta(hours=1),
        **values,
    }
    return TaskSpec(**given)  # type: ignore[arg-type]


async def wait_state(actions: Actions, task_id: str, state: State, seconds: float = 10.0) -> None:
    async with asyncio.timeout(seconds):
        while (await actions.get_task(task_id)).state is not state:  # noqa: ASYNC110 -- another process
            await asyncio.sleep(0.05)


async def wait_claims(actions: Actions, task_id: str, count: int, seconds: float = 10.0) -> EventRecord:
    """Wait until a worker has taken the task for the ``count``th time; what was told then."""
    async with asyncio.timeout(seconds):
        while True:
            claims = [event for event in await actions.list_feed(task_id) if event.kind == "claimed"]
            if len(claims) >= count:
                return claims[count - 1]
            await asyncio.sleep(0.05)


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


@ON_SQLITE
def test_first_start_last_word(serve: Callable[..., ServiceProgram]) -> None:
    """The first start keeps a key pair in a file and only says where; SIGTERM ends it with all its children."""
    first = serve()
    file = first.data / "first-access-key"
    assert str(file) in first.said
    secret = file.read_text().split()[-1]
    assert len(secret) == 40
    assert secret not in first.said + first.errors
    children = descendants(first.pid)
    assert len(children) >= 2
    began = time.monotonic()
    assert first.stop(seconds=10) == 0
    assert time.monotonic() - began < 10
    assert not any(Path(f"/proc/{child}").exists() for child in children)
    second = serve()
    assert "first-access-key" not in second.said


async def test_a_task_through_its_life(
    serve: Callable[..., ServiceProgram], nginx: NginxRtmp, clips: ClipFactory
) -> None:
    """Created it streams, stopped it unpublishes and keeps its place, continued it goes on there, deleted it goes."""
    service = serve()
    async with service.actions() as actions:
        task_id = await actions.create_task(vod(clips("h264_no_bframes"), nginx.url("life")))
        nginx.wait_published("life")
        await wait_state(actions, task_id, State.STREAMING)
        await actions.stop_task(task_id)
        nginx.wait_unpublished("life", seconds=3)
        await wait_state(actions, task_id, State.STOPPED)
        stopped, _ = await played(actions, task_id)
        assert stopped > 0
        await actions.continue_task(task_id)
        nginx.wait_published("life")
        await wait_state(actions, task_id, State.STREAMING)
        assert begun_ms(await wait_claims(actions, task_id, 2)) == stopped
        await actions.delete_task(task_id)
        nginx.wait_unpublished("life", seconds=3)


async def test_a_window_is_kept_to_the_second(
    serve: Callable[..., ServiceProgram], nginx: NginxRtmp, clips: ClipFactory
) -> None:
    """Media within a second of StartTime, none a second after EndTime, and then the task has ended."""
    service = serve()
    clip = clips("h264_no_bframes")
    async with service.actions() as actions:
        start_at = datetime.now(UTC) + timedelta(seconds=3)
        end_at = start_at + timedelta(seconds=4)
        task_id = await actions.create_task(vod(clip, nginx.url("window"), start_at=start_at, end_at=end_at))
        assert nginx.published("window") is None
        nginx.wait_published("window")
        late = (datetime.now(UTC) - start_at).total_seconds()
        assert 0 <= late <= 1.0
        await asyncio.sleep((end_at - datetime.now(UTC)).total_seconds() - 0.3)
        assert nginx.published("window") is not None
        nginx.wait_unpublished("window", seconds=5)
        late = (datetime.now(UTC) - end_at).total_seconds()
        assert -0.1 <= late <= 1.0
        await wait_state(actions, task_id, State.ENDED)
        record = await actions.get_task(task_id)
        assert record.status(datetime.now(UTC)) is ApiStatus.ENDED


async def test_updates_of_a_running_task(serve: Callable[..., ServiceProgram], clips: ClipFactory) -> None:
    """Title, callback, EndTime: every frame comes as if nothing was. Another source: the same session, no frame late.

    DstAddr: it is unpublished here and published there.
    """
    service = await asyncio.to_thread(serve)
    async with Receiver() as receiver, service.actions() as actions:
        here, there = (f"rtmp://127.0.0.1:{receiver.port}/{name}/key" for name in ("here", "there"))
        # Ten seconds without a join.
        item = TaskItem(MediaUrl.parse(f"file://{clips('half_a_minute')}"), start_s=20)
        spec = vod(clips("half_a_minute"), here, items=(item,))
        task_id = await actions.create_task(spec)

        async def wait_media(stream: int, ms: int) -> StreamMeter:
            """Until a stream has given so much more media."""
            async with asyncio.timeout(15):
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
        async with asyncio.timeout(20):
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
    serve: Callable[..., ServiceProgram],
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
    service = await asyncio.to_thread(serve)
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

    async with service.actions() as actions:
        task_id = await actions.create_task(spec)
        client = nginx.wait_published("here", "rec", seconds=20).client
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
        wait_for("the other source", lambda: shown("here") == SOURCES[1], 20)
        wait_second("here")
        assert nginx.wait_published("here", "rec").client == client
        await actions.update_task(
            task_id, lambda _: replace(spec, destination=MediaUrl.parse(nginx.url("there", "rec")))
        )
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
    serve: Callable[..., ServiceProgram], nginx: NginxRtmp, clips: ClipFactory
) -> None:
    """The place was one of the old list: stopped in the rest of its item and continued, the new one begins."""
    service = serve()
    short, long = (TaskItem(MediaUrl.parse(f"file://{clips(name)}")) for name in ("two_seconds", "half_a_minute"))
    spec = vod(
        clips("two_seconds"),
        nginx.url("shorter"),
        items=(short, long),
        continue_strategy=ContinueStrategy.AT_BREAK_PLUS_ELAPSED,
    )

    async def wait_item(task_id: str, item: int) -> None:
        async with asyncio.timeout(15):
            while True:
                playhead = (await actions.get_task(task_id)).playhead
                if playhead is not None and playhead.item == item:
                    return
                await asyncio.sleep(0.05)

    async with service.actions() as actions:
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
    serve: Callable[..., ServiceProgram], nginx: NginxRtmp, publish: Callable[[Path, str], Publisher], tmp_path: Path
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
    service = serve()
    clients = set()
    async with service.actions() as actions:
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


@ON_SQLITE
async def test_a_task_of_frozen_workers_is_not_said_to_stream(
    serve: Callable[..., ServiceProgram], nginx: NginxRtmp, clips: ClipFactory
) -> None:
    """Within 8 s it is not; the service ends workers that give no sign of life, and by a new claim it streams again."""
    service = serve()
    async with service.actions() as actions:
        task_id = await actions.create_task(vod(clips("h264_no_bframes"), nginx.url("frozen")))
        await wait_state(actions, task_id, State.STREAMING)
        workers = [pid for pid in descendants(service.pid) if "worker" in command_line(pid)]
        for pid in workers:
            os.kill(pid, signal.SIGSTOP)
        async with asyncio.timeout(8):
            while (await actions.get_task(task_id)).state is State.STREAMING:  # noqa: ASYNC110
                await asyncio.sleep(0.1)
        await wait_claims(actions, task_id, 2)
        await wait_state(actions, task_id, State.STREAMING)
        assert (await actions.get_task(task_id)).reason is None
        assert not set(workers) & set(descendants(service.pid))


async def test_a_list_that_was_played_out_has_ended(
    serve: Callable[..., ServiceProgram], nginx: NginxRtmp, clips: ClipFactory
) -> None:
    """Before EndTime; relaunched it plays again."""
    service = serve()
    async with service.actions() as actions:
        task_id = await actions.create_task(vod(clips("two_seconds"), nginx.url("once"), loops=1))
        await wait_state(actions, task_id, State.ENDED, seconds=15)
        assert (await actions.get_task(task_id)).status(datetime.now(UTC)) is ApiStatus.ENDED
        await actions.relaunch_task(task_id)
        nginx.wait_published("once")


@ON_SQLITE
async def test_the_cache_keeps_to_its_size(
    serve: Callable[..., ServiceProgram], nginx: NginxRtmp, clips: ClipFactory
) -> None:
    """With none allowed, only what plays is there: what a task has played is gone when another file was prepared."""
    service = serve(STREAMFERRY_CACHE_MB="0")
    root = service.data.with_name("cache")

    async def play(name: str) -> list[Path]:
        task_id = await actions.create_task(vod(clips(name), nginx.url("once"), loops=1))
        await wait_state(actions, task_id, State.ENDED, seconds=15)
        return [entry.path for entry in all_entries(root)]

    async with service.actions() as actions:
        (first,) = await play("two_seconds")
        (second,) = await play("h264_no_bframes")
        assert first != second


@ON_SQLITE
async def test_workers_prepare_with_the_program_and_in_the_folder_of_the_settings(
    serve: Callable[..., ServiceProgram], nginx: NginxRtmp, clips: ClipFactory, tmp_path: Path
) -> None:
    """ffmpeg from the file of settings, the folder from a flag, which wins over the environment."""
    program, config = tmp_path / "our ffmpeg", tmp_path / "settings.toml"
    # What it makes ends after two seconds: by that it is known.
    words = 'for word; do shift; [ "$word" = pipe:1 ] && set -- "$@" -t 2; set -- "$@" "$word"; done'
    program.write_text(f'#!/bin/sh\n{words}\nexec "{programs.ffmpeg()}" "$@"\n')
    program.chmod(0o755)
    config.write_text(f'ffmpeg = "{program}"\n')
    service = serve("--config", config, "--cache-dir", tmp_path / "films")
    async with service.actions() as actions:
        task_id = await actions.create_task(vod(clips("h264_no_bframes"), nginx.url("out")))
        await wait_state(actions, task_id, State.STREAMING)
    [entry] = all_entries(tmp_path / "films")
    assert wait_for("the prepared file", entry.read_summary).duration_ms < 2_100
    assert not service.data.with_name("cache").exists()


async def test_a_worker_that_is_killed_is_replaced(
    serve: Callable[..., ServiceProgram], nginx: NginxRtmp, clips: ClipFactory
) -> None:
    """Its tasks are streaming again within 8 s, and the service has as many workers as before."""
    service = serve()
    async with service.actions() as actions:
        task_id = await actions.create_task(vod(clips("h264_no_bframes"), nginx.url("killed")))
        client = nginx.wait_published("killed").client
        await wait_state(actions, task_id, State.STREAMING)
        workers = [pid for pid in descendants(service.pid) if "worker" in command_line(pid)]
        for pid in workers:
            os.kill(pid, signal.SIGKILL)

        def back() -> bool:
            seen = nginx.published("killed")
            return seen is not None and seen.client != client and seen.bytes_in > 0

        wait_for("the task to be back", back, 8)
        wait_for("the workers to be back", lambda: service.health == 200)


@ON_SQLITE
async def test_no_secret_leaves_the_service(
    serve: Callable[..., ServiceProgram], nginx: NginxRtmp, clips: ClipFactory, tmp_path: Path
) -> None:
    """A stream key, a source's query and an access key are in no output, no argument and no byte of the store."""
    keys = ("planted-stream-key", "planted-source-token", "planted-secret-access-key", "planted-callback-token")
    service = serve(
        STREAMFERRY_ACCESS_KEY_ID="AKPLANTED", STREAMFERRY_SECRET_ACCESS_KEY=keys[2], STREAMFERRY_LOG_LEVEL="debug"
    )
    assert "access key" not in service.said
    async with service.actions() as actions:
        found = await actions.find_key("AKPLANTED")
        assert found is not None
        assert found.secret == keys[2]
        clip = clips("h264_no_bframes")
        good = vod(clip, nginx.url(keys[0]), callback_url=f"http://calls.example/?t={keys[3]}")
        task_id = await actions.create_task(good)
        bad = vod(
            clip,
            nginx.url(keys[0], app="closed"),
            items=(TaskItem(MediaUrl.parse(f"http://127.0.0.1:9/a.mp4?token={keys[1]}")),),
        )
        failing = await actions.create_task(bad)
        nginx.wait_published(keys[0])
        await wait_state(actions, task_id, State.STREAMING)
        await wait_state(actions, failing, State.RETRYING)
        arguments = "".join(command_line(pid) for pid in [service.pid, *descendants(service.pid)])
    in_store = b"".join(path.read_bytes() for path in tmp_path.glob("store.db*"))  # noqa: ASYNC240
    assert b"task" in in_store
    service.stop(seconds=10)
    for key in keys:
        assert key not in service.output
        assert key not in service.errors
        assert key not in arguments
        assert key.encode() not in in_store
