"""The service as a process, its tasks pushed to a real nginx-rtmp, through stops, kills and restarts."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from kit import probe
from kit.clips import ClipFactory
from kit.live import Publisher
from kit.nginx_rtmp import NginxRtmp
from kit.pictures import frames, make_picture, make_still
from kit.programs import command_line, descendants
from kit.service_program import ServiceProgram
from kit.waiting import wait_for
from streamferry.control.actions import Actions
from streamferry.control.model import ApiStatus, ContinueStrategy, TaskItem, TaskKind, TaskSpec
from streamferry.control.store import Seal, Store, sqlite_url
from streamferry.control.store.records import EventRecord
from streamferry.media.url import MediaUrl
from streamferry.media.watermark import Watermark
from streamferry.relay import State

CLIP_MS = 3_000


@pytest.fixture
def serve(tmp_path: Path, clips: ClipFactory) -> Iterator[Callable[..., ServiceProgram]]:
    """``serve()`` starts a healthy service over one folder. At the end none may have shown a traceback or leaked."""
    started: list[ServiceProgram] = []

    def start(*arguments: object, **environment: str) -> ServiceProgram:
        words = ("--egress", "any", "--files", clips.directory, "--workers", "2", *arguments)
        service = ServiceProgram(tmp_path / "service", *words, environment=environment)
        started.append(service)
        return service.wait_ready()

    yield start
    for one in started:
        one.stop(seconds=12)
        assert "Traceback" not in one.errors
        assert "ResourceWarning" not in one.errors


@asynccontextmanager
async def actions_of(service: ServiceProgram) -> AsyncIterator[Actions]:
    """The actions on the store of a service, from another process as any front end may."""
    store = Store(sqlite_url(service.data / "store.db"), Seal((service.data / "seal.key").read_text().strip()))
    try:
        yield Actions(store)
    finally:
        await store.aclose()


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
            claims = [event for event in await actions.list_events(task_id) if event.kind == "claimed"]
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


def test_first_start_last_word(serve: Callable[..., ServiceProgram]) -> None:
    """The first start prints a key pair, the second does not; SIGTERM ends it with all its children."""
    first = serve()
    assert "access key id" in first.said
    children = descendants(first.pid)
    assert len(children) >= 2
    began = time.monotonic()
    assert first.stop(seconds=10) == 0
    assert time.monotonic() - began < 10
    assert not any(Path(f"/proc/{child}").exists() for child in children)
    second = serve()
    assert "access key" not in second.said


async def test_a_task_through_its_life(
    serve: Callable[..., ServiceProgram], nginx: NginxRtmp, clips: ClipFactory
) -> None:
    """Created it streams, stopped it unpublishes and keeps its place, continued it goes on there, deleted it goes."""
    service = serve()
    async with actions_of(service) as actions:
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
    async with actions_of(service) as actions:
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


async def test_updates_of_a_running_task(
    serve: Callable[..., ServiceProgram], nginx: NginxRtmp, clips: ClipFactory
) -> None:
    """Title and EndTime: nothing happens to the stream. Another source: the same session. DstAddr: it moves."""
    service = serve()
    spec = vod(clips("h264_no_bframes"), nginx.url("first"))
    async with actions_of(service) as actions:
        task_id = await actions.create_task(spec)
        client = nginx.wait_published("first").client
        await wait_state(actions, task_id, State.STREAMING)
        spec = replace(spec, title="other", end_at=spec.end_at + timedelta(minutes=5), callback_url="http://x.example/")
        await actions.update_task(task_id, lambda _: spec)
        spec = replace(spec, items=(TaskItem(MediaUrl.parse(f"file://{clips('two_seconds')}")),))
        await actions.update_task(task_id, lambda _: spec)
        async with asyncio.timeout(10):
            # The end of the new item is known once it plays.
            while not 1900 <= ((*(await actions.get_task(task_id)).item_ends_ms, 0)[0] or 0) <= 2200:  # noqa: ASYNC110
                await asyncio.sleep(0.1)
        assert nginx.wait_published("first").client == client
        await actions.update_task(task_id, lambda _: replace(spec, destination=MediaUrl.parse(nginx.url("second"))))
        nginx.wait_unpublished("first")
        nginx.wait_published("second")


def colour_shown(nginx: NginxRtmp) -> tuple[int, int, int]:
    """What the next keyframe of ``out`` has in the top left corner."""
    return frames(nginx.url("out", "rec"), crop="4:4:20:14")[0][1][1]


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
    async with actions_of(service) as actions:
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


async def test_a_list_that_was_played_out_has_ended(
    serve: Callable[..., ServiceProgram], nginx: NginxRtmp, clips: ClipFactory
) -> None:
    """Before EndTime; relaunched it plays again."""
    service = serve()
    async with actions_of(service) as actions:
        task_id = await actions.create_task(vod(clips("two_seconds"), nginx.url("once"), loops=1))
        await wait_state(actions, task_id, State.ENDED, seconds=15)
        assert (await actions.get_task(task_id)).status(datetime.now(UTC)) is ApiStatus.ENDED
        await actions.relaunch_task(task_id)
        nginx.wait_published("once")


async def test_a_worker_that_is_killed_is_replaced(
    serve: Callable[..., ServiceProgram], nginx: NginxRtmp, clips: ClipFactory
) -> None:
    """Its tasks are streaming again within 8 s, and the service has as many workers as before."""
    service = serve()
    async with actions_of(service) as actions:
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


@pytest.mark.parametrize("strategy", list(ContinueStrategy))
async def test_every_task_comes_back_after_kill_9_of_everything(
    serve: Callable[..., ServiceProgram], nginx: NginxRtmp, clips: ClipFactory, strategy: ContinueStrategy
) -> None:
    """Twice: each list goes on where ContinueStrategy says, to a second, published once, and no event is missing."""
    keys = [f"kill-{number}" for number in range(3)]
    clip = clips("h264_no_bframes")
    service = serve()
    async with actions_of(service) as actions:
        made = {await actions.create_task(vod(clip, nginx.url(key), continue_strategy=strategy)): key for key in keys}
        for round_number in range(2):
            for task_id, key in made.items():
                nginx.wait_published(key)
                await wait_state(actions, task_id, State.STREAMING)
            await asyncio.sleep(0.7 * (round_number + 1))
            saved = {task_id: await played(actions, task_id) for task_id in made}
            killed_at = datetime.now(UTC)
            service.kill_tree()
            for key in keys:
                nginx.wait_unpublished(key)
            service = serve()
            for task_id in made:
                claim = await wait_claims(actions, task_id, round_number + 2, seconds=12)
                # It played on at its pace after what was saved last.
                broke_ms = saved[task_id][0] + (killed_at - saved[task_id][1]).total_seconds() * 1000
                elapsed_ms = (claim.at - killed_at).total_seconds() * 1000 if strategy else 0
                assert abs(begun_ms(claim) - broke_ms - elapsed_ms) <= 1300
        for task_id in made:
            seqs = [event.seq for event in await actions.list_events(task_id)]
            assert seqs == list(range(1, len(seqs) + 1))


async def test_no_secret_leaves_the_service(
    serve: Callable[..., ServiceProgram], nginx: NginxRtmp, clips: ClipFactory
) -> None:
    """A stream key, a source's query and an access key are in no output, no argument and no byte of the store."""
    keys = ("planted-stream-key", "planted-source-token", "planted-secret-access-key", "planted-callback-token")
    service = serve(
        STREAMFERRY_ACCESS_KEY_ID="AKPLANTED", STREAMFERRY_SECRET_ACCESS_KEY=keys[2], STREAMFERRY_LOG_LEVEL="debug"
    )
    assert "access key" not in service.said
    async with actions_of(service) as actions:
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
    in_store = b"".join(path.read_bytes() for path in service.data.glob("store.db*"))
    assert b"task" in in_store
    service.stop(seconds=10)
    for key in keys:
        assert key not in service.output
        assert key not in service.errors
        assert key not in arguments
        assert key.encode() not in in_store
