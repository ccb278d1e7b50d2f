"""What operators' tools ask a service: ``/healthz``, ``/readyz`` and ``/metrics``."""

import hmac

from fastapi import FastAPI, Request
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from starlette.responses import JSONResponse, Response

from streamferry.control.actions import Actions
from streamferry.control.metrics import Metrics
from streamferry.control.store import TROUBLE
from streamferry.worker.processes import WorkerProcesses


def add_probes(
    app: FastAPI, actions: Actions, processes: WorkerProcesses, metrics: Metrics, metrics_token: str
) -> None:
    """Put them on the application; an empty token leaves ``/metrics`` open."""

    @app.get("/healthz")
    async def healthz() -> JSONResponse:
        """200 once the store answers and a worker of this service has its lease."""
        return await _look(actions, processes, needs_room=False)

    @app.get("/readyz")
    async def readyz() -> JSONResponse:
        """200 while a task that is due now would be taken at once, by whatever worker of the store."""
        return await _look(actions, processes, needs_room=True)

    @app.get("/metrics")
    async def expose(request: Request) -> Response:
        """For Prometheus."""
        if metrics_token and not _bears(request, metrics_token):
            return Response("a bearer token is needed\n", 401, {"WWW-Authenticate": "Bearer"}, "text/plain")
        try:
            return Response(await metrics.render(), media_type=CONTENT_TYPE_LATEST)
        except TROUBLE:
            return Response("the store cannot be asked\n", 503, media_type="text/plain")


async def _look(actions: Actions, processes: WorkerProcesses, *, needs_room: bool) -> JSONResponse:
    try:
        alive = [one for one in await actions.list_workers() if one.is_alive]
    except TROUBLE:
        return JSONResponse({"status": "the store cannot be asked"}, 503)
    count = sum(processes.owns(one.worker_id) for one in alive)
    room = sum(one.room for one in alive)
    is_well = room > 0 if needs_room else count > 0
    status = "ok" if is_well else "no worker has room" if alive else "starting"
    told = {"status": status, "workers": count, "room": room, "capacity": sum(one.capacity for one in alive)}
    return JSONResponse(told, 200 if is_well else 503)


def _bears(request: Request, token: str) -> bool:
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    return scheme.lower() == "bearer" and hmac.compare_digest(given.encode(), token.encode())
