"""Services apart from workers: the end of one is nothing to what is on the air, and the others answer on."""

import asyncio
import json
import urllib.request
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from kit.callback_receiver import CallbackReceiver
from kit.clips import ClipFactory
from kit.postgresql import PostgreSql
from kit.programs import STREAMFERRY, Program
from kit.service_program import ServiceProgram
from kit.sightings import KnownFrames, Sightings
from kit.waiting import PATIENCE_S
from streamferry.control.actions import Actions
from streamferry.media.url import MediaUrl
from streamferry.tasks.model import TaskItem, TaskKind, TaskSpec

KEY, SECRET = "AKAPART", "planted-secret-apart"
WORKERS = ("eu-1", "eu-2", "us-1")
PLAYHEAD_OFF_MS = 3_000


class Apart:
    """Two services without workers on one store, and a worker for each of two regions."""

    def __init__(self, services: list[ServiceProgram], workers: dict[str, Program], actions: Actions) -> None:
        self.services, self.workers, self.actions = services, workers, actions

    def call(self, service: ServiceProgram, method: str, path: str, body: object = None, token: str = "") -> Any:
        headers = {"content-type": "application/json", "authorization": f"Bearer {token}"}
        request = urllib.request.Request(
            f"{service.url}api/v1{path}", json.dumps(body).encode() if body else None, headers, method=method
        )
        with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
            return json.loads(answer.read())

    def token(self, service: ServiceProgram) -> str:
        body = {"access_key_id": KEY, "secret_access_key": SECRET}
        return str(self.call(service, "POST", "/tokens", body)["token"])


@pytest.fixture
async def apart(tmp_path: Path, postgresql_server: PostgreSql, clips: ClipFactory) -> AsyncIterator[Apart]:
    """All of it, ready."""
    clips("half_a_minute")
    words = ("--egress", "any", "--files", str(clips.directory))
    settings = {"STREAMFERRY_ACCESS_KEY_ID": KEY, "STREAMFERRY_SECRET_ACCESS_KEY": SECRET}
    url = postgresql_server.database()
    (tmp_path / "logs").mkdir()
    async with AsyncExitStack() as stack:
        services: list[ServiceProgram] = []
        for name in ("first", "second"):
            home, options = tmp_path / name, (*words, "--workers", "none")
            one = stack.enter_context(ServiceProgram(home, *options, store_url=url, environment=dict(settings)))
            # Without workers of its own it has started, and is ready, whoever else runs.
            await asyncio.to_thread(one.wait_ready)
            services.append(one)
            settings["STREAMFERRY_SEAL_KEY"] = (services[0].data / "seal.key").read_text().strip()
        workers: dict[str, Program] = {}
        for name in WORKERS:
            run = (STREAMFERRY, "worker", "--data-dir", services[0].data, "--store", url, "--id", name, *words)
            labelled = (*run, "--label", f"region={name[:2]}")
            workers[name] = stack.enter_context(Program(labelled, tmp_path / "logs" / name))
        actions = await stack.enter_async_context(services[0].actions())
        async with asyncio.timeout(PATIENCE_S):
            while len([one for one in await actions.list_workers() if one.is_alive]) < len(WORKERS):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        yield Apart(services, workers, actions)
        for program in workers.values():
            await asyncio.to_thread(program.stop)
    assert all("Traceback" not in one.errors for one in services)


async def test_a_service_and_a_worker_are_killed_beside_streams(apart: Apart, clips: ClipFactory) -> None:
    """Of the service no publish notices: the other one answers, with the tokens of the first, and sends the callbacks.

    The tasks of the worker go on at the other one with their label, and no key ever has two publishers.
    """
    clip = clips("half_a_minute")
    loop = asyncio.get_running_loop()
    async with Sightings(KnownFrames(clip)) as sightings:
        with CallbackReceiver() as receiver:
            now = datetime.now(UTC)
            made: dict[str, str] = {}
            for name, region in (("one", "eu"), ("two", "eu"), ("three", "us")):
                spec = TaskSpec(
                    TaskKind.VOD,
                    (TaskItem(MediaUrl.parse(f"file://{clip}")),),
                    MediaUrl.parse(sightings.url(name)),
                    now,
                    now + timedelta(hours=1),
                    placement=(f"region={region}",),
                    callback_url=receiver.url(f"/{name}"),
                )
                made[name] = await apart.actions.create_task(spec)

            async def shown(names: set[str], since: float) -> None:
                async with asyncio.timeout(PATIENCE_S):
                    while not all(sightings.shows(name, since) for name in names):  # noqa: ASYNC110
                        await asyncio.sleep(0.05)

            await shown(set(made), 0)
            runs_on = {name: (await apart.actions.get_task(made[name])).worker_id or "" for name in made}
            assert {name: where[:2] for name, where in runs_on.items()} == {"one": "eu", "two": "eu", "three": "us"}
            first, second = apart.services
            token = await asyncio.to_thread(apart.token, first)
            await asyncio.to_thread(first.kill_tree)
            listed = await asyncio.to_thread(apart.call, second, "GET", "/workers", None, token)
            assert sum(one["tasks"] for one in listed["workers"]) == 3
            assert {len(sightings.of(name)) for name in made} == {1}

            killed = runs_on["one"]
            moved = {name for name, where in runs_on.items() if where == killed}
            apart.workers[killed].process.kill()
            killed_at = loop.time()
            await shown(moved, killed_at)
            for name in moved:
                before, after = sightings.of(name)[0], sightings.of(name)[-1]
                print(f"\n{name}: on the air again {after.first[0] - killed_at:.1f} s after the kill")
                assert (await apart.actions.get_task(made[name])).worker_id not in (killed, None)
                # At its playhead, which is at most half a second old, and what was on its way to the destination.
                assert abs(sightings.frames.apart_ms(after.first[1], before.last[1])) < PLAYHEAD_OFF_MS
            assert {len(sightings.of(name)) for name in set(made) - moved} == {1}
            assert not sightings.doubled

            await apart.actions.stop_task(made["three"])
            await asyncio.to_thread(
                receiver.wait_for,
                "the end",
                lambda came: any(one.target == "/three" and one.json["Event"] == "stopped" for one in came),
            )


async def test_a_service_on_one_machine_is_restarted_beside_streams(tmp_path: Path, clips: ClipFactory) -> None:
    """Its store is a file, and its worker a program of its own: the publish goes on, and the next service sees it."""
    clip = clips("half_a_minute")
    words = ("--egress", "any", "--files", str(clips.directory))
    loop = asyncio.get_running_loop()
    async with AsyncExitStack() as stack:
        sightings = await stack.enter_async_context(Sightings(KnownFrames(clip)))
        first = ServiceProgram(tmp_path / "service", *words, "--workers", "none")
        await asyncio.to_thread(first.wait_ready)
        run = (STREAMFERRY, "worker", "--data-dir", first.data, "--id", "apart", *words)
        worker = stack.enter_context(Program(run, tmp_path / "worker"))
        actions = await stack.enter_async_context(first.actions())
        now = datetime.now(UTC)
        item, to = TaskItem(MediaUrl.parse(f"file://{clip}")), MediaUrl.parse(sightings.url("one"))
        task_id = await actions.create_task(TaskSpec(TaskKind.VOD, (item,), to, now, now + timedelta(hours=1)))

        async def shown(since: float) -> None:
            """Whatever was shown before, something comes after ``since``."""
            async with asyncio.timeout(PATIENCE_S):
                while not (sightings.of("one") and sightings.of("one")[-1].last[0] > since):  # noqa: ASYNC110
                    await asyncio.sleep(0.05)

        await shown(0)
        assert await asyncio.to_thread(first.stop) == 0
        await shown(loop.time())
        second = ServiceProgram(tmp_path / "service", *words, "--workers", "none")
        await asyncio.to_thread(second.wait_ready)
        await shown(loop.time())
        record = await actions.get_task(task_id)
        assert (record.worker_id, record.epoch) == ("apart", 1)
        assert len(sightings.of("one")) == 1
        await asyncio.to_thread(second.stop)
        await asyncio.to_thread(worker.stop)
