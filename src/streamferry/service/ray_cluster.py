"""Workers on a Ray cluster: where they are, how many there are, and what happens when one dies.

A *slot* is an actor of Ray that keeps one worker process, the same as a service starts on its machine. Ray places
slots, starts those that die again, and where all machines are full its autoscaler adds one. The *keeper*, an actor too,
decides how many slots there are by what the store has to do. Which there are, Ray knows by their names: the keeper
keeps nothing, so that one that Ray starts again goes on.

A worker whose actor dies, in whatever way, notices at once, since the pipe between them closes, and hands its tasks
back. Of a machine that is lost, leases run out. The keeper frees nothing: that an actor does not answer does not say
that its worker sends no more.

Not here: the commands.
"""

import asyncio
import contextlib
import logging
import os
import socket
import sys
from collections.abc import Iterable, Mapping
from secrets import token_hex
from typing import Any

import ray
from ray.exceptions import RayError

from streamferry.service.demand import Size, Spare, decide_slots, read_demand
from streamferry.service.store_access import Purpose, StoreAway, open_store
from streamferry.service.worker_settings import WorkerSettings
from streamferry.store import TROUBLE, Store, workers
from streamferry.store.fleet import all_workers, set_intent
from streamferry.store.records import Intent
from streamferry.tasks.actor import Actor, ActorKind, acting_as
from streamferry.worker.processes import WorkerProcesses

_log = logging.getLogger("streamferry.cluster")

NAMESPACE = "streamferry"
KEEPER = "keeper"
_SLOT = "slot-"
_WORKER = (sys.executable, "-P", "-m", "streamferry.cli.attached_worker")
#: Else Ray kills the worker with its actor, and nobody hands its tasks back.
_ENVIRONMENT = {"env_vars": {"RAY_kill_child_processes_on_worker_exit": "false"}}

#: How often the number of slots is decided, in s.
_LOOK_S = 1.0
#: A slot that runs answers within this.
_ANSWER_S = 5.0
#: How long a slot gets to have its tasks handed back; the worker is killed before that.
_STOP_S = 15.0


class Slot:
    """Keeps one worker process. Its methods are called by the keeper, over Ray."""

    def __init__(self, name: str, settings: Mapping[str, str]) -> None:
        self._name = name
        self._settings = WorkerSettings.load(settings)
        self._processes = WorkerProcesses(
            1,
            lambda worker_id: (*_WORKER, worker_id),
            settings,
            self._free,
            silence_s=self._settings.lease_s,
            name=f"{name}-{token_hex(3)}",
        )
        # Ray makes actors that have coroutines on their loop. So it begins by itself, also when it is started again.
        self._running = asyncio.get_running_loop().create_task(self._processes.run(), name="worker")

    async def stop(self) -> None:
        """Have the worker hand its tasks back, and end."""
        self._processes.stop()
        await self._running

    async def about(self) -> dict[str, str]:
        """Where it is."""
        node = ray.get_runtime_context().get_node_id()[:12]
        return {"slot": self._name, "node": node, "host": socket.gethostname(), "pid": str(os.getpid())}

    async def _free(self, worker_id: str) -> None:
        """Free the tasks of a worker process that has died. Where the store is away, its lease runs out."""
        with contextlib.suppress(StoreAway, *TROUBLE), acting_as(Actor(ActorKind.SERVICE, socket.gethostname())):
            async with (
                open_store(self._settings, Purpose.WORK, is_durable=False, connections=1) as store,
                store.write() as connection,
            ):
                await workers.leave(connection, worker_id)


class Keeper:
    """Keeps as many slots as there is work for."""

    def __init__(self, settings: Mapping[str, str], size: Size) -> None:
        self._brief = dict(settings)
        self._settings = WorkerSettings.load(settings)
        self._size = size
        self._stopping = asyncio.Event()
        self._spare = Spare()
        self._trouble = ""
        self._running = asyncio.get_running_loop().create_task(self._run(), name="keeper")

    async def check(self) -> str:
        """Why the store cannot be used from here; empty if it can."""
        try:
            async with open_store(self._settings, Purpose.WORK, is_durable=False, connections=1):
                return ""
        except (ValueError, OSError) as error:
            return str(error)

    async def stop(self) -> None:
        """Stop all slots, each with its tasks handed back."""
        self._stopping.set()
        await self._running
        await asyncio.gather(*map(self._remove, await _names()))

    async def about(self) -> list[dict[str, str]]:
        """Every slot; one for which no machine has room yet, or that is being started, has no node."""
        names = sorted(await _names())
        found = await asyncio.gather(*map(self._ask, names))
        return [
            one or {"slot": name, "node": "", "host": "", "pid": ""} for name, one in zip(names, found, strict=True)
        ]

    async def _run(self) -> None:
        """Until it is stopped. A store or a Ray that is away changes nothing meanwhile."""
        while not self._stopping.is_set():
            try:
                async with open_store(self._settings, Purpose.WORK, is_durable=False, connections=1) as store:
                    while not self._stopping.is_set():
                        await self._look(store)
                        self._trouble = ""
                        await self._wait(_LOOK_S)
            except (ValueError, OSError, RayError, *TROUBLE) as error:
                self._tell(type(error).__name__)
            await self._wait(_LOOK_S)

    def _tell(self, trouble: str) -> None:
        """Log what is new. Not the words of Ray: they may hold what an actor was started with."""
        if trouble != self._trouble:
            _log.error("the number of workers stays as it is: the store or Ray does not answer (%s)", trouble)
        self._trouble = trouble

    async def _wait(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopping.wait()

    async def _look(self, store: Store) -> None:
        async with store.read() as connection:
            everybody = await all_workers(connection)
        known = [one for one in everybody if one.is_alive and one.worker_id.startswith(_SLOT)]
        fullness, waiting = await read_demand(store, self._settings, _SLOT)
        wanted = decide_slots(fullness, waiting, self._size)
        leaving = {_slot_of(one.worker_id) for one in known if one.intent is Intent.DRAINING}
        await asyncio.gather(*(self._remove(_slot_of(one.worker_id)) for one in known if _is_drained(one)))
        staying = [name for name in await _names() if name not in leaving]
        for _ in range(wanted - len(staying)):
            self._add()
        load = {_slot_of(one.worker_id): one.load for one in known}
        loads = {name: load.get(name) for name in staying}
        if leaver := self._spare.decide_leaver(loads, wanted, asyncio.get_running_loop().time()):
            await self._let_go(store, leaver, known)

    async def _let_go(self, store: Store, leaver: str, known: Iterable[Any]) -> None:
        """Drain this one; one that does not run leaves at once."""
        drained = [one.worker_id for one in known if _slot_of(one.worker_id) == leaver]
        if not drained:
            await self._remove(leaver)
            return
        with acting_as(Actor(ActorKind.SERVICE, socket.gethostname())):
            async with store.write() as connection:
                for worker_id in drained:
                    await set_intent(connection, worker_id, Intent.DRAINING)

    def _add(self) -> None:
        name = f"{_SLOT}{token_hex(4)}"
        slot = ray.remote(Slot).options(
            name=name,
            namespace=NAMESPACE,
            lifetime="detached",
            num_cpus=self._size.cpus,
            max_restarts=-1,
            max_concurrency=8,
            scheduling_strategy="SPREAD",
            runtime_env=_ENVIRONMENT,
        )
        slot.remote(name, self._brief)

    async def _ask(self, name: str) -> dict[str, str] | None:
        """What a slot says of itself; None if it does not run."""
        try:
            handle = await asyncio.to_thread(ray.get_actor, name, NAMESPACE)
            about: dict[str, str] = await asyncio.wait_for(handle.about.remote(), _ANSWER_S)
        except (TimeoutError, RayError, ValueError):
            return None
        return about

    async def _remove(self, name: str) -> None:
        """Stop a slot, if it runs, and end it."""
        with contextlib.suppress(ValueError):
            handle = await asyncio.to_thread(ray.get_actor, name, NAMESPACE)
            if await self._ask(name):
                with contextlib.suppress(TimeoutError, RayError):
                    await asyncio.wait_for(handle.stop.remote(), _STOP_S)
            ray.kill(handle)


def _slot_of(worker_id: str) -> str:
    """The name of its actor."""
    return "-".join(worker_id.split("-")[:2])


def _is_drained(one: Any) -> bool:
    return one.intent is Intent.DRAINING and not one.load


async def _names() -> list[str]:
    """The slots that there are, whether they run or wait for a machine."""
    named = await asyncio.to_thread(ray.util.list_named_actors, all_namespaces=True)
    return [one["name"] for one in named if one["namespace"] == NAMESPACE and one["name"].startswith(_SLOT)]


def start_keeper(settings: Mapping[str, str], size: Size) -> Any:
    """The keeper, which begins to work. Raises ValueError if there is one, which Ray may say only when it is asked."""
    return (
        ray.remote(Keeper)
        .options(
            name=KEEPER,
            namespace=NAMESPACE,
            lifetime="detached",
            num_cpus=0,
            max_restarts=-1,
            # Who asks one that is being started again waits for it.
            max_task_retries=-1,
            max_concurrency=32,
        )
        .remote(dict(settings), size)
    )


def find_keeper() -> Any | None:
    """The keeper that is there, or None."""
    try:
        return ray.get_actor(KEEPER, NAMESPACE)
    except ValueError:
        return None
