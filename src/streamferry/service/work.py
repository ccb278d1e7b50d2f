"""``streamferry worker``: store -> ledger -> worker -> relay host. All it shares with ``serve`` is the store."""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Coroutine

from streamferry import __version__
from streamferry.control.store_ledger import StoreLedger
from streamferry.net.ffmpeg import share_ffmpeg
from streamferry.net.listening import ListenPorts
from streamferry.net.trust import client_context
from streamferry.prepare.home import Home
from streamferry.prepare.store import PreparedStore
from streamferry.relay.host import RelayHost
from streamferry.relay.network import Network
from streamferry.service.limits import fitting_capacity, raise_file_limit
from streamferry.service.lock import holds_lock
from streamferry.service.store_access import Purpose, StoreAway, open_store, store_file
from streamferry.service.worker_settings import WorkerSettings
from streamferry.store import TROUBLE, Store, workers
from streamferry.store.workers import Traits
from streamferry.worker import HealthMeter
from streamferry.worker.egress import Egress, decide_allow
from streamferry.worker.preview_passes import Passes
from streamferry.worker.preview_server import PreviewServer
from streamferry.worker.processes import give_signs
from streamferry.worker.worker import Worker

_log = logging.getLogger("streamferry.worker")

#: Connections: callers take turns on one; the second is for when a query was cancelled half-way.
_CONNECTIONS = 2
_AGAIN_S = 1.0
# Four reports: whether another worker has the name.
_LOOK_S = 2.0
#: How long a worker waits for PostgreSQL: half a lease, so that a connection that has died unseen does not cost it the
#: lease. Not less than this, which is less than the default lease.
_LEAST_ANSWER_S = 5.0


async def work(
    settings: WorkerSettings,
    worker_id: str,
    stopping: asyncio.Event,
    *,
    is_child: bool = False,
    lock: int | None = None,
) -> None:
    """Run one worker in this process until ``stopping`` is set. Raises ValueError and OSError.

    ``is_child``: a service started it. ``lock``: descriptor of its lock on the store, if that is a file.
    """
    share_ffmpeg(settings.ffmpeg)
    files_limit = raise_file_limit()
    capacity = fitting_capacity(settings.capacity, files_limit)
    if capacity < settings.capacity:
        _log.warning(
            "capacity is %d instead of %d: the process may have no more than %d files open (ulimit -n, LimitNOFILE)",
            *(capacity, settings.capacity, files_limit),
        )
    network = Network(tls=client_context(settings.ca_file), allow=decide_allow(Egress(settings.egress)))
    files = PreparedStore(
        settings.cache_dir,
        max_bytes=settings.cache_mb * 1_000_000,
        allow=network.allow,
        tls=network.tls,
        folders=settings.folders,
        buckets=settings.buckets,
        home=Home.parse(settings.shared_cache, settings.buckets) if settings.shared_cache else None,
    )
    async with contextlib.AsyncExitStack() as stack:
        if is_child:
            signs = asyncio.create_task(give_signs(), name="signs of life")
            stack.callback(signs.cancel)
        store = await _open_store(settings, stack, stopping)
        if store is None:
            return
        if not is_child:
            await require_own_name(store, worker_id)
        host = await stack.enter_async_context(
            RelayHost(store=files, network=network, shares_pulls=settings.share_pulls)
        )
        # The preview server needs the worker, whose ledger needs the server's address.
        previews = await stack.enter_async_context(
            PreviewServer(settings.worker_host, Passes(store.seal.sign), lambda task_id: worker.open_preview(task_id))
        )
        file = store_file(settings)
        is_attached = is_child and lock is not None and file is not None and holds_lock(lock, file)
        ledger = StoreLedger(
            store,
            worker_id,
            capacity=capacity,
            folders=settings.folders,
            ports=ListenPorts.parse(settings.listen_ports),
            address=previews.address,
            traits=Traits(settings.labels, settings.capacity_kbps, settings.capacity_encodes, __version__),
            lease_s=settings.lease_s,
            is_attached=is_attached,
        )
        worker = Worker(
            ledger,
            host,
            capacity=capacity,
            measure=HealthMeter(host).measure,
            lease_s=settings.lease_s,
            is_attached=is_attached,
        )
        async with asyncio.TaskGroup() as group:
            working = group.create_task(worker.run(), name="worker")
            await stopping.wait()
            worker.leave()
            await working


async def _pause() -> None:
    await asyncio.sleep(_LOOK_S)


async def require_own_name(
    store: Store, worker_id: str, pause: Callable[[], Coroutine[None, None, None]] = _pause
) -> None:
    """Raises ValueError if another worker runs under this name: both would run the tasks of the other.

    Only after a crash is the lease still valid, and then it is not renewed any more.
    """
    with contextlib.suppress(*TROUBLE):
        async with store.read() as connection:
            before = await workers.read_lease(connection, worker_id)
        if before is None:
            return
        await pause()
        async with store.read() as connection:
            after = await workers.read_lease(connection, worker_id)
        if after not in (None, before):
            raise ValueError(f"--id: a worker {worker_id} runs already: each needs a name of its own")


async def _open_store(
    settings: WorkerSettings, stack: contextlib.AsyncExitStack, stopping: asyncio.Event
) -> Store | None:
    """Open the store as soon as it can be reached; None if the worker is stopped before that."""
    is_told = False
    while not stopping.is_set():
        try:
            opening = open_store(
                settings,
                Purpose.WORK,
                is_durable=False,
                connections=_CONNECTIONS,
                answer_s=max(_LEAST_ANSWER_S, settings.lease_s / 2),
            )
            return await stack.enter_async_context(opening)
        except StoreAway as error:
            if not is_told:
                _log.error("%s; tried again until it can be", error)
            is_told = True
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_AGAIN_S):
                await stopping.wait()
    return None
