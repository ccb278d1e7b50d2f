"""``streamferry worker``: one worker of a service; and what a running service does with its workers, over REST."""

import asyncio
import re
import secrets
import socket
from datetime import datetime
from time import sleep
from typing import TYPE_CHECKING, Annotated, Any

import typer

from streamferry.cli.options import AsJson
from streamferry.cli.process import importing, on_interrupt
from streamferry.cli.serve import (
    CacheDir,
    Capacity,
    Config,
    DataDir,
    Egress,
    Ffmpeg,
    Files,
    StoreAddress,
    begin_service,
    read_settings,
    run_or_exit,
)
from streamferry.cli.task_session import DEFAULT_URL, Url, print_json, session

if TYPE_CHECKING:
    from streamferry.client.rest import RestService
    from streamferry.config import Settings

Labels = Annotated[
    list[str] | None,
    typer.Option("--label", help="What it is, as region=eu; tasks may ask for it; repeat.", show_default=False),
]
CapacityKbps = Annotated[int | None, typer.Option(help="Most kbps that it sends.", show_default=False)]
CapacityEncodes = Annotated[
    int | None, typer.Option(help="Most tasks for which it encodes; 0: none.", show_default=False)
]
WorkerName = Annotated[str, typer.Argument(metavar="NAME", help="Its id, or a beginning of it.", show_default=False)]

worker = typer.Typer(help="Run a worker for a store, on this machine or another; list, cordon and drain workers.")
_LOOK_S = 1.0
_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")


@worker.callback(invoke_without_command=True)
def start(
    context: typer.Context,
    config: Config = None,
    data_dir: DataDir = None,
    store: StoreAddress = None,
    egress: Egress = None,
    files: Files = None,
    label: Labels = None,
    capacity: Capacity = None,
    capacity_kbps: CapacityKbps = None,
    capacity_encodes: CapacityEncodes = None,
    cache_dir: CacheDir = None,
    ffmpeg: Ffmpeg = None,
    worker_id: Annotated[str | None, typer.Option("--id", help="Its name in the store.", show_default=False)] = None,
) -> None:
    """Without a command: run an additional worker. It needs the same store and seal key as the service."""
    if context.invoked_subcommand is not None:
        return
    settings = read_settings(
        config,
        data_dir=data_dir,
        store=store,
        egress=egress,
        files=files or None,
        labels=tuple(label) if label else None,
        capacity=capacity,
        capacity_kbps=capacity_kbps,
        capacity_encodes=capacity_encodes,
        cache_dir=cache_dir,
        ffmpeg=ffmpeg,
    )
    if worker_id is not None and not _NAME.fullmatch(worker_id):
        typer.echo("streamferry: --id: must be 1 to 64 letters, digits and . _ -", err=True)
        raise typer.Exit(2)
    begin_service(settings)
    run_or_exit(_work(settings, worker_id or f"{socket.gethostname()[:32]}-{secrets.token_hex(6)}"))


@worker.command("list")
def show_all(url: Url = DEFAULT_URL, as_json: AsJson = False) -> None:
    """List workers, oldest first: those that run, that did in the last hour, and that are cordoned. One that was
    drained is listed for ten minutes after its end."""
    with session(url, "worker") as service:
        for one in service.call("GET", "/workers")["workers"]:
            _show(one, as_json)


@worker.command()
def cordon(name: WorkerName, url: Url = DEFAULT_URL, as_json: AsJson = False) -> None:
    """Have a worker take no more tasks; those that it has stay."""
    _ask("cordon", name, url, as_json)


@worker.command()
def uncordon(name: WorkerName, url: Url = DEFAULT_URL, as_json: AsJson = False) -> None:
    """Have a worker take tasks again."""
    _ask("uncordon", name, url, as_json)


@worker.command()
def drain(
    name: WorkerName,
    wait: Annotated[bool, typer.Option("--wait", help="Return once it has no task left.")] = False,
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Have a worker hand its tasks over to others, each at a keyframe, and take no more. What no other worker has a
    place for stays with it, on the air."""
    with session(url, "worker") as service:
        worker_id = _find(service, name)["worker_id"]
        one = service.call("POST", f"/workers/{_quoted(worker_id)}/drain")
        told = None
        while wait and one["state"] == "draining":
            if one["tasks"] != told and not as_json:
                told = one["tasks"]
                typer.echo(f"{worker_id}  {told} tasks left", err=True)
            sleep(_LOOK_S)
            one = _find(service, worker_id)
        _show(one, as_json)


def _ask(verb: str, name: str, url: str, as_json: bool) -> None:
    with session(url, "worker") as service:
        worker_id = _find(service, name)["worker_id"]
        _show(service.call("POST", f"/workers/{_quoted(worker_id)}/{verb}"), as_json)


def _find(service: "RestService", name: str) -> dict[str, Any]:
    """The named worker; only its name if none is listed. Raises ValueError if there is more than one."""
    workers: list[dict[str, Any]] = service.call("GET", "/workers")["workers"]
    found = [one for one in workers if one["worker_id"] == name]
    found = found or [one for one in workers if one["worker_id"].startswith(name)]
    if len(found) > 1:
        raise ValueError(f"{name} could be {', '.join(one['worker_id'] for one in found[:5])}: give more of it")
    return found[0] if found else {"worker_id": name}


def _quoted(worker_id: str) -> str:
    from urllib.parse import quote

    return quote(worker_id, safe="")


def _show(one: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(one)
        return
    from streamferry.cli.time_arguments import show_time

    words = [one["worker_id"], f"{one['state']} since {show_time(datetime.fromisoformat(one['since_at']))}"]
    words.append(f"{one['tasks']} of {one['capacity']} tasks")
    if one["capacity_kbps"] is not None:
        words.append(f"{one['kbps']} of {one['capacity_kbps']} kbps")
    if one["capacity_encodes"] is not None:
        words.append(f"{one['encodes']} of {one['capacity_encodes']} encodes")
    typer.echo("  ".join((*words, *one["labels"], one["version"])).rstrip())


async def _work(settings: "Settings", worker_id: str) -> None:
    with importing():
        from streamferry.service.work import work
        from streamferry.service.worker_settings import WorkerSettings

    stopping = asyncio.Event()
    on_interrupt(stopping.set)
    await work(WorkerSettings.load(settings.of_worker()), worker_id, stopping)
