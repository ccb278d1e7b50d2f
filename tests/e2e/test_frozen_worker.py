"""A worker that is frozen past its lease (SIGSTOP, ``docker pause``, swapping): what it sends when it wakes is nothing.

The destinations take several publishers of a key, so whatever the old one sends arrives.
"""

import asyncio
import os
import re
import signal
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from kit.clips import ClipFactory
from kit.postgresql import PostgreSql
from kit.programs import STREAMFERRY, Program
from kit.service_program import ServiceProgram
from kit.waiting import START_S
from scripted.destination import Destination
from scripted.source import Source
from scripted.waiting import until
from streamferry.control.actions import Actions
from streamferry.media.url import MediaUrl
from streamferry.tasks.model import TaskItem, TaskKind, TaskSpec

#: The lease, and what a busy machine needs to start the relays elsewhere.
TAKEN_OVER_S = 40.0


class Uploads:
    """A web server that takes every PUT: each with the time at which its last byte came."""

    def __init__(self) -> None:
        self.puts: list[tuple[float, str, bytes]] = []

    async def __aenter__(self) -> "Uploads":
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        await self._server.wait_closed()

    def url(self) -> MediaUrl:
        port = self._server.sockets[0].getsockname()[1]
        return MediaUrl.parse(f"http://127.0.0.1:{port}/in/live.m3u8")

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            size = re.search(r"content-length: (\d+)", head, re.IGNORECASE)
            body = await reader.readexactly(int(size[1]) if size else 0)
            method, target, _ = head.split(" ", 2)
            if method == "PUT":
                self.puts.append((time.monotonic(), target, body))
            writer.write(b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n")
            await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    def numbers(self, since: float = 0.0) -> list[int]:
        """Of the segments that were put, or named by a playlist that was, after a moment."""
        return [
            int(number)
            for at, target, body in self.puts
            if at > since
            for number in re.findall(r"live-(\d+)\.ts", target + (body.decode() if target.endswith(".m3u8") else ""))
        ]


@asynccontextmanager
async def other_worker(name: str, service: ServiceProgram, actions: Actions, files: Path) -> AsyncIterator[Program]:
    """``streamferry worker`` beside the service's own, which the service cannot end."""
    home = service.data.parent
    words = (STREAMFERRY, "worker", "--data-dir", service.data, "--id", name, "--egress", "any", "--files", files)
    environment = {"STREAMFERRY_CACHE_DIR": str(home / "cache"), "STREAMFERRY_STORE": service.store_url}
    with Program(words, home / f"{name}.log", environment=environment) as program:
        async with asyncio.timeout(START_S):
            while name not in [row.worker_id for row in await actions.list_workers()]:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        yield program
        await asyncio.to_thread(program.stop)


@pytest.fixture
async def service(tmp_path: Path, clips: ClipFactory, postgresql_server: PostgreSql) -> AsyncIterator[ServiceProgram]:
    """With one worker that has room for one task, and has one. On SQLite a frozen worker may have the store locked."""
    clips("half_a_minute")
    words = ("--capacity", 1, "--egress", "any", "--files", clips.directory)
    program = ServiceProgram(tmp_path / "service", *words, store_url=postgresql_server.database())
    await asyncio.to_thread(program.wait_ready)
    yield program
    await asyncio.to_thread(program.stop)
    assert "Traceback" not in program.errors


# Each wait has its own deadline: three programs start, five times something is taken, and what remains is seconds.
@pytest.mark.timeout(3 * START_S + 6 * TAKEN_OVER_S)
async def test_a_worker_that_wakes_after_its_lease_sends_nothing(service: ServiceProgram, clips: ClipFactory) -> None:
    """Lists, live streams and HLS: no media, no FCUnpublish, no deleteStream, no segment of the old one."""
    loop_of = f"file://{clips('half_a_minute')}"
    now = datetime.now(UTC)
    async with AsyncExitStack() as stack:
        source = await stack.enter_async_context(Source())
        destinations = [await stack.enter_async_context(Destination()) for _ in range(6)]
        uploads = await stack.enter_async_context(Uploads())
        actions = await stack.enter_async_context(service.actions())

        async def make(kind: TaskKind, address: str, to: MediaUrl) -> None:
            spec = TaskSpec(kind, (TaskItem(MediaUrl.parse(address)),), to, now, now + timedelta(hours=1))
            await actions.create_task(spec)

        await make(TaskKind.LIVE, "rtmp://127.0.0.1:9/live/none", MediaUrl.parse("rtmp://127.0.0.1:9/live/none"))
        async with asyncio.timeout(TAKEN_OVER_S):
            while not await actions.list_running():  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        other = await stack.enter_async_context(other_worker("other", service, actions, clips.directory))
        for number, destination in enumerate(destinations):
            live = number % 2
            await make(
                TaskKind.LIVE if live else TaskKind.VOD, source.url().reveal() if live else loop_of, destination.url()
            )
        await make(TaskKind.VOD, loop_of, uploads.url())
        await until("streams", lambda: all(one.publishes and one.publishes[0].tags for one in destinations))
        await until("a segment", uploads.numbers)
        async with other_worker("third", service, actions, clips.directory):
            os.kill(other.pid, signal.SIGSTOP)
            try:
                await until(
                    "the takeover",
                    lambda: all(len(one.publishes) == 2 and one.publishes[1].tags for one in destinations),
                    TAKEN_OVER_S,
                )
                old_numbers = set(uploads.numbers())
                await until("the takeover of HLS", lambda: max(uploads.numbers()) > max(old_numbers) + 1, TAKEN_OVER_S)
            finally:
                woke_at = time.monotonic()
                counts = [len(one.publishes[0].tags) for one in destinations]
                os.kill(other.pid, signal.SIGCONT)
            # The old connections end, and the new ones have gone on for a while.
            await until("the end of the old", lambda: all(one.publishes[0].is_over for one in destinations))
            after = [len(one.publishes[1].tags) for one in destinations]
            await until(
                "the new to go on",
                lambda: all(len(o.publishes[1].tags) > n + 50 for o, n in zip(destinations, after, strict=True)),
            )
            assert [len(one.publishes[0].tags) for one in destinations] == counts
            for destination in destinations:
                old, new, *more = destination.publishes
                assert not more
                assert old.ended is None
                assert b"FCUnpublish" not in old.last_bytes
                assert b"deleteStream" not in old.last_bytes
                assert new.ended is None
            assert not old_numbers & set(uploads.numbers(since=woke_at))
