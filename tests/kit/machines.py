"""Machines apart, as far as one can show them: services that only answer, and workers that have each a way of its own
to one PostgreSQL, which can be cut."""

import asyncio
import signal
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography.fernet import Fernet

from kit.front import Front, front
from kit.networks import TwoCables
from kit.postgresql import PostgreSql
from kit.programs import STREAMFERRY, Program
from kit.service_program import ServiceProgram
from kit.sightings import Sightings
from kit.waiting import PATIENCE_S, START_S
from streamferry.control.actions import Actions
from streamferry.media.peer_options import PeerOptions
from streamferry.media.url import MediaUrl
from streamferry.store import Seal, Store
from streamferry.tasks.model import TaskItem, TaskKind, TaskSpec


class WorkerMachine(Program):
    """``streamferry worker``. ``way``: between it and the database."""

    way: Front

    def kill(self) -> None:
        """As when its machine dies, but that the kernel closes its connections."""
        self.process.kill()

    def freeze(self) -> None:
        """It does nothing any more, and its connections stay."""
        self.process.send_signal(signal.SIGSTOP)

    def wake(self) -> None:
        """It goes on, as if no time had passed."""
        self.process.send_signal(signal.SIGCONT)


class Machines:
    """All of them, with the tasks that were made by ``make``: name of the stream -> id of the task."""

    def __init__(
        self,
        services: list[ServiceProgram],
        workers: dict[str, WorkerMachine],
        actions: Actions,
        sightings: Sightings,
    ) -> None:
        self.services, self.workers = services, workers
        self.actions, self.sightings = actions, sightings
        self.made: dict[str, str] = {}

    async def make(
        self, name: str, kind: TaskKind, source: str, *, to: MediaUrl | None = None, overlaps: bool = False
    ) -> None:
        """A task from now on, of which the stream is called so. ``overlaps``: its destination takes two publishers."""
        now = datetime.now(UTC)
        to = to or MediaUrl.parse(self.sightings.url(name))
        item = TaskItem(MediaUrl.parse(source))
        options = PeerOptions(overlap=overlaps)
        spec = TaskSpec(kind, (item,), to, now, now + timedelta(hours=1), destination_options=options)
        self.made[name] = await self.actions.create_task(spec)

    async def on_air(self, names: set[str] | None = None, since: float = 0.0, seconds: float = PATIENCE_S) -> None:
        """Until the streams, or all, show something in sessions begun after ``since``."""
        names = set(self.made) if names is None else names
        async with asyncio.timeout(seconds):
            while not all(self.sightings.shows(name, since) for name in names):  # noqa: ASYNC110
                await asyncio.sleep(0.05)

    async def go_on(self, names: set[str] | None = None) -> None:
        """Until the streams, or all, have shown something from now on, in whichever session."""
        names = set(self.made) if names is None else names
        since = asyncio.get_running_loop().time()
        async with asyncio.timeout(PATIENCE_S):
            while any(self.sightings.last_shown()[name][0] <= since for name in names):  # noqa: ASYNC110
                await asyncio.sleep(0.05)

    def sessions(self) -> dict[str, int]:
        """How many each stream has had."""
        return {name: len(self.sightings.of(name)) for name in self.made}

    async def held_by(self) -> dict[str, set[str]]:
        """Worker -> names of the streams that it has, by the books; under the empty id those that nobody has."""
        found: dict[str, set[str]] = {}
        for name, task_id in self.made.items():
            found.setdefault((await self.actions.get_task(task_id)).worker_id or "", set()).add(name)
        return found

    async def are_alive(self, names: Sequence[str]) -> None:
        """Until the store has heard of these workers."""
        async with asyncio.timeout(START_S):
            while not set(names) <= {one.worker_id for one in await self.actions.list_workers() if one.is_alive}:  # noqa: ASYNC110
                await asyncio.sleep(0.05)


@asynccontextmanager
async def machines(
    home: Path,
    server: PostgreSql,
    sightings: Sightings,
    *,
    workers: Sequence[str],
    options: Sequence[object],
    services: int = 2,
    settings: Mapping[str, str] | None = None,
    labels: Mapping[str, str] | None = None,
    environments: Mapping[str, Mapping[str, str]] | None = None,
    apart: Mapping[str, TwoCables] | None = None,
) -> AsyncIterator[Machines]:
    """All ready. ``environments``: those of some workers, which are then not forked but started. ``apart``: where some
    run; their way to the database begins at the near end.

    At the end no program may have told a traceback.
    """
    url = server.database()
    variables = {"STREAMFERRY_SEAL_KEY": Fernet.generate_key().decode(), **(settings or {})}
    async with AsyncExitStack() as stack:
        started: list[ServiceProgram] = []
        for number in range(services):
            folder = home / f"service-{number}"
            words = (*options, "--workers", "none")
            service = ServiceProgram(folder, *words, store_url=url, environment=variables)
            started.append(stack.enter_context(service))
            if number == 0:
                # It makes the tables.
                await asyncio.to_thread(service.wait_ready)
        running: dict[str, WorkerMachine] = {}
        for name in workers:
            cables = (apart or {}).get(name)
            way = stack.enter_context(front(f"127.0.0.1:{server.port}", listening=cables.near if cables else None))
            store = url.replace(f"127.0.0.1:{server.port}", ":".join(map(str, way.server_address)))
            command: list[str | Path] = [
                *(cables.prefix if cables else ()),
                STREAMFERRY,
                "worker",
                "--data-dir",
                home / name,
                "--store",
                store,
            ]
            command += ["--id", name, *map(str, options)]
            command += ["--label", labels[name]] if labels else []
            (home / name).mkdir()
            own = (environments or {}).get(name)
            environment = {"STREAMFERRY_CACHE_DIR": str(home / "cache"), **variables, **(own or {})}
            program = WorkerMachine(command, home / name / "log", environment=environment, is_started=own is not None)
            running[name] = stack.enter_context(program)
            running[name].way = way
        for service in started:
            await asyncio.to_thread(service.wait_ready)
        store_of_ours = Store(url, Seal(variables["STREAMFERRY_SEAL_KEY"]))
        stack.push_async_callback(store_of_ours.aclose)
        found = Machines(started, running, Actions(store_of_ours), sightings)
        await found.are_alive(workers)
        yield found
        for one in running.values():
            one.way.let_go()
            one.process.send_signal(signal.SIGTERM)
            one.wake()
        for one in running.values():
            await asyncio.to_thread(one.stop)
    assert not [one.log for one in [*started, *running.values()] if "Traceback" in one.output]
    assert not any("Traceback" in one.errors for one in started)
