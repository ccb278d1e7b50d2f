"""The routes for monitoring: ``/healthz``, ``/readyz`` and ``/metrics``.

Anyone who reaches the port may call them, and each one counts all tasks or workers in the store. So the store is
read by one request at a time and once a second, however many ask.
"""

import asyncio
import contextlib
import hmac
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Generic, TypeVar

from fastapi import FastAPI, Request
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from starlette.responses import JSONResponse, Response

from streamferry.control.actions import Actions
from streamferry.control.pulse import Pulse
from streamferry.net.disk import Disk
from streamferry.store import TROUBLE, describe_trouble
from streamferry.web.metrics import Metrics
from streamferry.worker.processes import WorkerProcesses

#: How old an answer may be, in seconds. Probes ask every few seconds, Prometheus every 15.
FRESH_S = 1.0
T = TypeVar("T")


class Shared(Generic[T]):
    """A read of the store that is shared by all requests within ``FRESH_S`` of its start, even if it fails."""

    def __init__(self, look: Callable[[], Awaitable[T]]) -> None:
        self._look = look
        self._looking: asyncio.Future[T] | None = None
        self._begun_at = 0.0

    async def get(self) -> T:
        """The result of the current read. Raises what the read raised."""
        now = time.monotonic()
        if self._looking is None or (self._looking.done() and now - self._begun_at >= FRESH_S):
            self._looking, self._begun_at = asyncio.ensure_future(self._look()), now
        return await asyncio.shield(self._looking)


class Health:
    """The state of this service: whether it has started, and what keeps due tasks from starting.

    ``disks``: by what is on them.
    """

    def __init__(self, actions: Actions, processes: WorkerProcesses, pulse: Pulse, disks: Mapping[str, Disk]) -> None:
        self._workers = Shared(actions.list_workers)
        self._processes = processes
        self._pulse = pulse
        self._short = Shared(lambda: asyncio.to_thread(_short, disks))
        self._has_come_up = False

    async def live(self) -> JSONResponse:
        """200 once a worker of this service has had its first lease, or at once if it has none; a restart would not fix
        later failures."""
        if not self._processes.wanted:
            self._has_come_up = True
        if not self._has_come_up:
            with contextlib.suppress(*TROUBLE):
                alive = [one for one in await self._workers.get() if one.is_alive]
                self._has_come_up = any(self._processes.owns(one.worker_id) for one in alive)
        status = "ok" if self._has_come_up else "starting"
        return JSONResponse({"status": status, "workers": self._processes.count}, 200 if self._has_come_up else 503)

    async def ready(self) -> JSONResponse:
        """200 while some worker of the store would take a due task at once; without workers of its own, while the store
        can be written to.

        A full disk is reported but does not fail it: streams stay on air, and files that do not fit play too.
        """
        trouble = self._pulse.trouble
        if trouble is not None:
            return _away(trouble)
        try:
            alive = [one for one in await self._workers.get() if one.is_alive]
        except TROUBLE as error:
            return _away(describe_trouble(error))
        room = sum(one.room for one in alive)
        count = sum(self._processes.owns(one.worker_id) for one in alive)
        status = "ok" if room else "no worker has room" if alive else "no worker runs"
        capacity = sum(one.capacity for one in alive)
        told: dict[str, object] = {"status": status, "workers": count, "room": room, "capacity": capacity}
        if disks := await self._short.get():
            told["disks"] = disks
        return JSONResponse(told, 200 if room or not self._processes.wanted else 503)


def _away(trouble: str) -> JSONResponse:
    return JSONResponse({"status": f"the store cannot be written to: {trouble}"}, 503)


def add_probes(app: FastAPI, health: Health, metrics: Metrics, metrics_token: str) -> None:
    """Add the routes to the application; an empty token leaves ``/metrics`` open."""
    page = Shared(metrics.render)

    @app.get("/healthz")
    async def healthz() -> JSONResponse:
        return await health.live()

    @app.get("/readyz")
    async def readyz() -> JSONResponse:
        return await health.ready()

    @app.get("/metrics")
    async def expose(request: Request) -> Response:
        """The metrics, for Prometheus."""
        if metrics_token and not _bears(request, metrics_token):
            return Response("a bearer token is needed\n", 401, {"WWW-Authenticate": "Bearer"}, "text/plain")
        return Response(await page.get(), media_type=CONTENT_TYPE_LATEST)


def _short(disks: Mapping[str, Disk]) -> list[str]:
    """A note for each full disk."""
    found = []
    for name, disk in disks.items():
        try:
            room_bytes, free_mb = disk.room_bytes, disk.free_bytes / 1e6
        except OSError as error:
            found.append(f"{name}: its disk cannot be asked: {error.strerror}")
        else:
            if room_bytes <= 0:
                found.append(f"{name}: its disk is full but for its reserve: {free_mb:.0f} MB are free")
    return found


def _bears(request: Request, token: str) -> bool:
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    return scheme.lower() == "bearer" and hmac.compare_digest(given.encode(), token.encode())
