"""The service as a process: starts, stops, kills, settings, and what it shows of secrets."""

import asyncio
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kit import programs
from kit.clips import ClipFactory
from kit.nginx_rtmp import NginxRtmp
from kit.programs import command_line, descendants
from kit.service_program import ServiceProgram
from kit.tasks import vod, wait_claims, wait_state
from kit.waiting import wait_for
from streamferry.prepare.cache import all_entries
from streamferry.relay import State

#: For what has nothing to do with the database.
ON_SQLITE = pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)


@pytest.fixture
def serve(store_url: str, tmp_path: Path, clips: ClipFactory) -> Iterator[Callable[..., ServiceProgram]]:
    """``serve()`` starts a healthy service over one folder. At the end none may have shown a traceback or leaked."""
    started: list[ServiceProgram] = []

    def start(*arguments: object, is_started: bool = False, **environment: str) -> ServiceProgram:
        service = ServiceProgram(
            tmp_path / "service",
            *("--egress", "any", "--files", clips.directory, *arguments),
            store_url=store_url,
            environment=environment,
            is_started=is_started,
        )
        started.append(service)
        return service.wait_ready()

    yield start
    for one in started:
        one.stop()
        assert "Traceback" not in one.errors
        assert "ResourceWarning" not in one.errors


@ON_SQLITE
def test_first_start_last_word(serve: Callable[..., ServiceProgram]) -> None:
    """The first start keeps a key pair in a file and only says where; SIGTERM ends it with all its children."""
    first = serve("--workers", "2", is_started=True)
    file = first.data / "first-access-key"
    assert str(file) in first.said
    secret = file.read_text().split()[-1]
    assert len(secret) == 40
    assert secret not in first.said + first.errors
    children = descendants(first.pid)
    assert len(children) >= 2
    assert first.stop() == 0
    assert not any(Path(f"/proc/{child}").exists() for child in children)
    second = serve()
    assert "first-access-key" not in second.said


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
        async with asyncio.timeout(30):
            while (await actions.get_task(task_id)).state is State.STREAMING:  # noqa: ASYNC110
                await asyncio.sleep(0.1)
        await wait_claims(actions, task_id, 2)
        await wait_state(actions, task_id, State.STREAMING)
        assert (await actions.get_task(task_id)).reason is None
        assert not set(workers) & set(descendants(service.pid))


@ON_SQLITE
async def test_workers_prepare_with_program_folder_and_size_of_the_settings(
    serve: Callable[..., ServiceProgram], nginx: NginxRtmp, clips: ClipFactory, tmp_path: Path
) -> None:
    """ffmpeg from the file of settings, the folder from a flag, the size from the environment.

    With none allowed, only what plays is kept: what a task has played is gone when another file was prepared.
    """
    program, config = tmp_path / "our ffmpeg", tmp_path / "settings.toml"
    # What it makes ends after two seconds: by that it is known.
    words = 'for word; do shift; [ "$word" = pipe:1 ] && set -- "$@" -t 2; set -- "$@" "$word"; done'
    program.write_text(f'#!/bin/sh\n{words}\nexec "{programs.ffmpeg()}" "$@"\n')
    program.chmod(0o755)
    config.write_text(f'ffmpeg = "{program}"\n')
    films = tmp_path / "films"
    service = serve("--config", config, "--cache-dir", films, STREAMFERRY_CACHE_MB="0")

    async def play(name: str) -> Path:
        task_id = await actions.create_task(vod(clips(name), nginx.url("once"), loops=1))
        await wait_state(actions, task_id, State.ENDED)
        (entry,) = all_entries(films)
        assert wait_for("the prepared file", entry.read_summary).duration_ms < 2_100
        return entry.path

    async with service.actions() as actions:
        assert await play("aac_48000_mono") != await play("h264_no_bframes")
    assert not service.data.with_name("cache").exists()


@ON_SQLITE
async def test_a_worker_that_is_killed_is_replaced(
    serve: Callable[..., ServiceProgram], nginx: NginxRtmp, clips: ClipFactory
) -> None:
    """Its tasks are streaming again, and the service has as many workers as before. Of PostgreSQL: test_kill9.py."""
    service = serve(is_started=True)
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

        wait_for("the task to be back", back)
        wait_for("the workers to be back", lambda: service.health == 200)
