"""``streamferry serve``: store (migrated) -> actions -> both APIs and the dashboard over HTTP.

Beside them run the scheduler, callbacks, samples and the worker processes.
"""

import asyncio
import contextlib
import errno
import ipaddress
import logging
import os
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import uvicorn
from fastapi import FastAPI
from starlette.responses import RedirectResponse, Response

from streamferry.config import Settings, forget_secrets
from streamferry.control.actions import Actions
from streamferry.control.callbacks import Callbacks
from streamferry.control.pulse import Pulse
from streamferry.control.samples import Samples
from streamferry.control.scheduler import Scheduler
from streamferry.control.shared_calls import SharedCalls
from streamferry.net.disk import Disk
from streamferry.net.ffmpeg import share_ffmpeg
from streamferry.net.peers import Places
from streamferry.service.bounded_http import bounded_http
from streamferry.service.callback_dispatch import retention_of, send_callbacks
from streamferry.service.dashboard_wiring import make_page_actions
from streamferry.service.limits import raise_file_limit
from streamferry.service.lock import take_lock
from streamferry.service.probes import Health, add_probes
from streamferry.service.refusals import SecurityHeaders, add_refusals
from streamferry.service.request_limits import RequestLimits
from streamferry.service.rest_wiring import address_rules_of, library_of, rest_settings
from streamferry.service.store_access import Purpose, open_store, prepare_data_dir, store_file
from streamferry.store import TROUBLE, Store, describe_trouble, workers
from streamferry.store.records import KeyPair
from streamferry.tasks.actor import Actor, ActorKind, acting_as
from streamferry.web.compat.routes import ApiSettings, build_router
from streamferry.web.dashboard import watching
from streamferry.web.dashboard.key_watch import watch_keys
from streamferry.web.dashboard.links import SignInLinks
from streamferry.web.dashboard.mount import mount_dashboard
from streamferry.web.dashboard.session_gate import BASE, MAX_SOCKET_BYTES, SIGN_IN
from streamferry.web.metrics import Metrics
from streamferry.web.preview_responses import open_preview_responses
from streamferry.web.rate_limits import Rates
from streamferry.web.rest.app import PREFIX, build_rest
from streamferry.worker.processes import WorkerProcesses

_log = logging.getLogger("streamferry.service")

#: Requests in progress get this long when the service stops.
_CALLS_S = 2
_FREE_AGAIN_S = 1.0
#: Its arguments are an id and the descriptor of the lock, if there is one.
_WORKER = (sys.executable, "-P", "-m", "streamferry.cli.attached_worker")


async def ensure_first_key(settings: Settings, actions: Actions) -> KeyPair | None:
    """Store the key of the settings, or make one if there is none at all; a new one is returned, to be shown."""
    secret = settings.secret_access_key.get_secret_value()
    if settings.access_key_id:
        if not secret:
            raise ValueError("secret-access-key: is needed beside access-key-id")
        known = await actions.find_key(settings.access_key_id)
        if known is None and any(
            one.access_key_id == settings.access_key_id and not one.enabled for one in await actions.list_keys()
        ):
            _log.warning("the access key of the settings was disabled and stays so: name another one there")
            return None
        if known is None or known.secret != secret:
            await actions.import_key(KeyPair(settings.access_key_id, secret))
        return None
    if await actions.list_keys():
        return None
    pair = actions.draw_key()
    # Write the file first: a stored key that nobody can read would lock everybody out.
    write_first_key(settings, pair)
    await actions.import_key(pair)
    return pair


def first_key_file(settings: Settings) -> Path:
    """The file that holds the first access key until somebody deletes it."""
    return settings.data_dir / "first-access-key"


def write_first_key(settings: Settings, pair: KeyPair) -> None:
    """Write it for the folder's owner only; never to a log, which others may read. Raises OSError."""
    file = first_key_file(settings)
    file.unlink(missing_ok=True)
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as text:
        text.write(f"access key id      {pair.access_key_id}\nsecret access key  {pair.secret}\n")


@dataclass(frozen=True)
class Entrance:
    """Makes sign-in links to the running dashboard, for the user who started it."""

    address: str
    links: SignInLinks

    def link(self, access_key_id: str, path: str = "/") -> str:
        """A link that signs in once, from this machine, and opens that page of the dashboard."""
        token = self.links.make(access_key_id, time.monotonic())
        return f"{self.address}{SIGN_IN}?next={quote(BASE + path)}#once={token}"


async def serve(
    settings: Settings,
    stopping: asyncio.Event,
    say: Callable[[str], None],
    on_open: Callable[[Entrance], None] | None = None,
) -> None:
    """Run the service until ``stopping`` is set. Raises ValueError and OSError for what cannot be used.

    ``say`` is called with what the user has to know: addresses, and the first access key. ``on_open`` is called once it
    listens.
    """
    forget_secrets()
    share_ffmpeg(settings.ffmpeg)
    raise_file_limit()
    prepare_data_dir(settings)
    settings = settings.model_copy(update={"files": (*settings.files, settings.library_dir)})
    async with (
        _sole_service(settings) as lock,
        open_store(settings, Purpose.SERVE) as store,
        open_preview_responses(store) as previews,
    ):
        actions = Actions(store, refuses_conflicts=settings.conflicts == "refuse")
        with acting_as(Actor(ActorKind.SERVICE, socket.gethostname())):
            made = await ensure_first_key(settings, actions)
        listener = _listen(settings.host, settings.port)
        if lock is not None:
            # The service that owned these workers is gone, and so are they: otherwise it would still have the lock.
            with acting_as(Actor(ActorKind.SERVICE, socket.gethostname())):
                async with store.write() as connection:
                    await workers.free_attached(connection)
        inherited = () if lock is None else (lock,)
        processes = WorkerProcesses(
            settings.worker_count,
            lambda worker_id: (*_WORKER, worker_id, *map(str, inherited)),
            settings.of_worker(),
            lambda worker_id: _free_tasks(store, worker_id, stopping),
            silence_s=settings.lease_s,
            pass_fds=inherited,
        )
        pulse = Pulse(store)
        # A store that is a file has one service.
        shared_calls = None if store.is_file else SharedCalls(store)
        app = _build_app(settings, store, actions, processes, pulse, shared_calls)
        samples = Samples()
        library = library_of(settings)
        rest = rest_settings(settings, library, previews, samples, shared_calls, stopping)
        app.mount(PREFIX, build_rest(actions, store, rest))
        page_actions = make_page_actions(settings, store, actions, library, Callbacks(store), rest)
        mount_dashboard(app, page_actions)
        watching.register(previews)
        server = _Server(app, settings)
        with listener:
            _tell(settings, listener, made, say)
            if on_open is not None:
                on_open(Entrance(_address_of(listener), page_actions.links))
            async with asyncio.TaskGroup() as group:
                group.create_task(server.serve([listener]), name="api")
                group.create_task(pulse.run(stopping), name="pulse")
                if shared_calls is not None:
                    group.create_task(shared_calls.run(stopping), name="shared calls")
                scheduler = Scheduler(store, retention_of(settings), rebalances=settings.rebalance)
                group.create_task(scheduler.run(stopping), name="scheduler")
                group.create_task(send_callbacks(settings, store, stopping), name="callbacks")
                group.create_task(samples.run(actions, stopping), name="samples")
                watching_keys = watch_keys(actions, page_actions.sessions, stopping, page_actions.shelf)
                group.create_task(watching_keys, name="keys of sessions")
                group.create_task(processes.run(), name="worker processes")
                await stopping.wait()
                server.should_exit = True
                processes.stop()


@contextlib.asynccontextmanager
async def _sole_service(settings: Settings) -> AsyncIterator[int | None]:
    """Holds the lock of a store that is a file while it is served."""
    file = store_file(settings)
    if file is None or not file.parent.is_dir():
        yield None
        return
    async with take_lock(file) as lock:
        yield lock


class _Server(uvicorn.Server):
    """Uvicorn without signal handlers of its own: the command has them."""

    def __init__(self, app: FastAPI, settings: Settings) -> None:
        trusted = tuple(ipaddress.ip_network(one) for one in settings.trusted_proxies)
        in_all, of_peer = settings.max_connections, settings.max_connections_per_peer
        super().__init__(
            uvicorn.Config(
                SecurityHeaders(RequestLimits(app, Places(in_all, of_peer), trusted)),
                http=bounded_http(in_all=in_all, of_peer=of_peer, trusted=trusted),
                # A socket that listens on both families sees IPv4 addresses in the form of IPv6.
                forwarded_allow_ips=[*map(str, trusted), *(f"::ffff:{one}" for one in trusted if one.version == 4)],
                ws_max_size=MAX_SOCKET_BYTES,
                log_config=None,
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=_CALLS_S,
            )
        )

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Do not install any signal handlers."""
        yield


def _build_app(
    settings: Settings,
    store: Store,
    actions: Actions,
    processes: WorkerProcesses,
    pulse: Pulse,
    shared_calls: SharedCalls | None,
) -> FastAPI:
    app = FastAPI(title="streamferry", docs_url=None, redoc_url=None)
    add_refusals(app)
    api = ApiSettings(
        public_hosts=settings.public_hosts,
        rates=Rates(write=settings.write_rate, list=settings.list_rate, usage=settings.usage_rate),
        address_rules=address_rules_of(settings),
        home=f"{BASE}/",
        shared_calls=shared_calls,
    )
    app.include_router(build_router(actions, api))

    disks = {"data": Disk(settings.data_dir), "cache": Disk(settings.cache_dir)}
    metrics = Metrics(actions, Callbacks(store), pulse, of_each_task=settings.metrics_per_task, disks=disks)

    @app.get("/favicon.ico", include_in_schema=False)
    async def favicon() -> Response:
        """Browsers ask for it by this name, whatever they show."""
        return RedirectResponse(f"{BASE}/static/icon.svg", 308)

    add_probes(app, Health(actions, processes, pulse, disks), metrics, settings.metrics_token.get_secret_value())
    return app


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(2048)
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        hint = "; another program has it (--port)" if error.errno == errno.EADDRINUSE else ""
        raise OSError(error.errno, f"cannot listen on {host}:{port}: {error.strerror}{hint}") from None
    except (TypeError, UnicodeError):
        listener.close()
        raise ValueError("host: is neither a name nor an address") from None
    return listener


def _tell(settings: Settings, listener: socket.socket, made: KeyPair | None, say: Callable[[str], None]) -> None:
    address = _address_of(listener)
    say(f"dashboard  {address}{BASE}/")
    say(f"API        {address}/")
    say(f"health     {address}/healthz")
    say(f"data       {settings.data_dir}")
    if settings.workers == "none":
        say("workers    none of this service: nothing is streamed until one runs elsewhere (streamferry worker)")
    if made is not None:
        say(f"first key  in {first_key_file(settings)}; delete the file once you have it")
        if sys.stdout.isatty():
            say(f"access key id      {made.access_key_id}")
            say(f"secret access key  {made.secret}")


def _address_of(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


async def _free_tasks(store: Store, worker_id: str, stopping: asyncio.Event) -> None:
    """Free the tasks of a worker process that has died, without waiting for its lease; on SQLite it has none."""
    is_told = False
    while not stopping.is_set():
        try:
            with acting_as(Actor(ActorKind.SERVICE, socket.gethostname())):
                async with store.write() as connection:
                    await workers.leave(connection, worker_id)
        except TROUBLE as error:
            if not is_told:
                _log.error("the tasks of worker %s cannot be freed yet: %s", worker_id, describe_trouble(error))
            is_told = True
        else:
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_FREE_AGAIN_S):
                await stopping.wait()
