"""``streamferry cluster``: workers on a Ray cluster."""

import contextlib
import logging
import os
import re
import signal
import socket
import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from streamferry.cli.options import AsJson
from streamferry.cli.serve import (
    CacheDir,
    Capacity,
    Config,
    DataDir,
    Egress,
    Ffmpeg,
    Files,
    StoreAddress,
    read_settings,
)
from streamferry.cli.task_session import print_json

if TYPE_CHECKING:
    from streamferry.config import Settings

Address = Annotated[
    str, typer.Option("--address", help="auto for the cluster of this machine, or ray://HOST:10001.", metavar="ADDRESS")
]

Timeout = Annotated[
    float, typer.Option("--timeout", help="For how long Ray may keep us waiting, in s.", min=1, max=86400)
]

_ADDRESS = re.compile(r"auto|(?:ray://)?[^/@\s]+:[0-9]{1,5}")
_CONNECT_S = 10.0
_PATIENCE_S = 60.0
_TRIES = 3
_NOTHING = "--address: no Ray cluster answers there: start one with `ray start --head`, or give its address"

cluster = typer.Typer(help="Run workers on a Ray cluster, as many as there is work for.", no_args_is_help=True)


@cluster.command()
def up(
    address: Address = "auto",
    config: Config = None,
    data_dir: DataDir = None,
    store: StoreAddress = None,
    egress: Egress = None,
    files: Files = None,
    capacity: Capacity = None,
    cache_dir: CacheDir = None,
    ffmpeg: Ffmpeg = None,
    least: Annotated[int, typer.Option("--min", help="Fewest workers.", min=1)] = 1,
    most: Annotated[int, typer.Option("--max", help="Most workers.", min=1)] = 100,
    cpus: Annotated[float, typer.Option(help="Cores of a machine that a worker takes.", min=0.01)] = 1.0,
    timeout: Timeout = _PATIENCE_S,
) -> None:
    """Start workers on the cluster, between --min and --max of them. Every machine has streamferry[ray] installed."""
    settings = read_settings(
        config,
        data_dir=data_dir,
        store=store,
        egress=egress,
        files=files or None,
        capacity=capacity,
        cache_dir=cache_dir,
        ffmpeg=ffmpeg,
    )
    given = _shared(settings, store)
    if least > most:
        _refuse("--min: must not be more than --max")
    if not (cpus <= 1 or cpus.is_integer()):
        _refuse("--cpus: must be a whole number, or a part of one core")
    with _connected(address, timeout) as ray:
        from streamferry.service.demand import Size
        from streamferry.service.ray_cluster import start_keeper

        try:
            keeper = start_keeper(given, Size(least, most, cpus, settings.capacity))
            trouble = ray.get(keeper.check.remote())
        except ValueError:
            _refuse("workers run on this cluster already: streamferry cluster down, to start them anew")
        if trouble:
            ray.get(keeper.stop.remote())
            ray.kill(keeper)
            _refuse(trouble)
        typer.echo(f"from {least} to {most} workers, as there is work for them; streamferry cluster status lists them")


@cluster.command()
def status(address: Address = "auto", as_json: AsJson = False, timeout: Timeout = _PATIENCE_S) -> None:
    """List the workers of the cluster, and where they are."""
    with _connected(address, timeout) as ray:
        for one in ray.get(_keeper().about.remote()):
            if as_json:
                print_json(one)
            else:
                place = f"on {one['host']}  node {one['node']}" if one["node"] else "waits for a machine with room"
                typer.echo(f"{one['slot']}  {place}")


@cluster.command()
def down(address: Address = "auto", timeout: Timeout = _PATIENCE_S) -> None:
    """Stop all workers of the cluster; their tasks go to others, or wait for some."""
    with _connected(address, timeout) as ray:
        keeper = _keeper()
        ray.get(keeper.stop.remote())
        ray.kill(keeper)


def _shared(settings: "Settings", on_the_line: str | None) -> dict[str, str]:
    """What workers need. Ends the command where other machines could not use it, or would see what is secret.

    ``on_the_line``: the store's address, if it is in the command line, which Ray keeps and shows with its jobs.
    """
    from streamferry.store.address import SCHEMES, parse_postgresql

    if settings.store.get_secret_value().partition("://")[0] not in SCHEMES:
        _refuse("--store: must be postgresql://...: all machines of a cluster need the same store")
    if on_the_line is not None and parse_postgresql(on_the_line).password:
        _refuse("--store: Ray would show its password to all: give it as the variable STREAMFERRY_STORE")
    if not settings.seal_key.get_secret_value():
        _refuse("seal-key: must be set (STREAMFERRY_SEAL_KEY): all who share a store need the service's")
    return settings.of_worker()


@contextlib.contextmanager
def _connected(address: str, timeout: float) -> Iterator[Any]:
    """Ray's module, connected to the cluster. What goes wrong in Ray ends the command with a sentence."""
    if address == "auto":
        # As Ray does.
        address = os.environ.get("RAY_ADDRESS") or address
    if not _ADDRESS.fullmatch(address):
        _refuse("--address: must be auto, or ray://HOST:10001")
    # Ray is to report nothing of us to those who make it.
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    with _Deadline(timeout, _NOTHING) as deadline:
        try:
            import ray
        except ImportError:
            _refuse("needs a package that is not installed: pip install 'streamferry[ray]'")
        connect(ray, address)
        deadline.words = "Ray has not done it, and may do it yet: streamferry cluster status"
        try:
            yield ray
        except (ray.exceptions.RayError, ConnectionError) as error:
            # Not its words: they may hold what an actor was started with.
            typer.echo(
                f"streamferry cluster: Ray gave up ({type(error).__name__}); `ray status` may say why. Every machine "
                "needs the same version of streamferry[ray,postgresql]",
                err=True,
            )
            raise typer.Exit(5) from None
        finally:
            ray.shutdown()


def connect(ray: Any, address: str) -> None:
    """Connect Ray's module, or end the command. ``address``: ``auto``, or one with a host and a port."""
    host, _, port = address.rpartition("://")[2].rpartition(":")
    for left in reversed(range(_TRIES)):
        try:
            if host:
                # Ray itself tries for more than a minute.
                socket.create_connection((host.strip("[]"), int(port)), timeout=_CONNECT_S).close()
            ray.init(address, namespace="streamferry", log_to_driver=False, logging_level=logging.ERROR)
            return
        except ConnectionAbortedError:
            # Ray's client server is there, but the process that it starts for each client is not: it died when it was
            # forked (seen once in nine times, Ray 2.60), or took more than 30 s.
            if not left:
                _refuse("--address: Ray's client server cannot start a session: ray_client_server*.err there says why")
        except (OSError, OverflowError, ValueError):
            _refuse(_NOTHING)
        except RuntimeError:
            _refuse("--address: Ray there refuses us: all machines need the same version of Python, of Ray and of this")


class _Deadline:
    """Ends the program, with ``words``, if what is done inside takes longer, and at once on SIGINT and SIGTERM: Ray may
    wait for minutes, or for ever, where no exception gets to it and no handler of Python runs.
    """

    def __init__(self, seconds: float, words: str) -> None:
        self.words = words
        self._seconds = seconds
        self._signals, self._wake = socket.socketpair()
        self._watcher = threading.Thread(target=self._watch, name="deadline", daemon=True)

    def __enter__(self) -> "_Deadline":
        self._wake.setblocking(False)
        # Python writes the number of a signal there when it comes, and runs its handler later.
        self._before = signal.set_wakeup_fd(self._wake.fileno(), warn_on_full_buffer=False)
        self._watcher.start()
        return self

    def __exit__(self, *_: object) -> None:
        signal.set_wakeup_fd(self._before)
        self._wake.close()
        self._watcher.join()
        self._signals.close()

    def _watch(self) -> None:
        deadline = time.monotonic() + self._seconds
        while (left := deadline - time.monotonic()) > 0:
            self._signals.settimeout(left)
            try:
                came = self._signals.recv(1)
            except TimeoutError:
                break
            if not came:
                return
            if came[0] in (signal.SIGINT, signal.SIGTERM):
                # As shells say it.
                os._exit(128 + came[0])
        typer.echo(f"streamferry cluster: {self.words} (waited {self._seconds:g} s: --timeout)", err=True)
        os._exit(5)


def _keeper() -> Any:
    from streamferry.service.ray_cluster import find_keeper

    keeper = find_keeper()
    if keeper is None:
        _refuse("no workers run on this cluster; streamferry cluster up starts them")
    return keeper


def _refuse(words: str) -> NoReturn:
    typer.echo(f"streamferry cluster: {words}", err=True)
    raise typer.Exit(2)
