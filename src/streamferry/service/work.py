"""``streamferry worker``: store -> ledger -> worker -> relay host. Needs nothing of ``serve`` but the store."""

import asyncio

from streamferry.config import Settings, forget_secrets, share_ffmpeg
from streamferry.control.ledger import StoreLedger
from streamferry.net.dial import client_context
from streamferry.prepare.store import PreparedStore
from streamferry.relay import Network, RelayHost
from streamferry.service.store import open_store
from streamferry.worker import HealthMeter, Worker
from streamferry.worker.egress import Egress, decide_allow
from streamferry.worker.preview import Passes, PreviewServer


async def work(settings: Settings, worker_id: str, stopping: asyncio.Event) -> None:
    """Run one worker in this process until ``stopping`` is set. Raises ValueError and OSError."""
    forget_secrets()
    share_ffmpeg(settings)
    network = Network(tls=client_context(settings.ca_file), allow=decide_allow(Egress(settings.egress)))
    files = PreparedStore(
        settings.cache_dir, max_bytes=settings.cache_mb * 1_000_000, allow=network.allow, tls=network.tls
    )
    async with (
        open_store(settings, is_durable=False) as store,
        RelayHost(store=files, network=network) as host,
        # It looks into the worker, whose ledger tells where it listens.
        PreviewServer(
            settings.worker_host, Passes(store.seal.digest), lambda task_id: worker.open_preview(task_id)
        ) as previews,
    ):
        ledger = StoreLedger(
            store, worker_id, capacity=settings.capacity, roots=settings.files, address=previews.address
        )
        worker = Worker(ledger, host, capacity=settings.capacity, measure=HealthMeter(host).measure)
        async with asyncio.TaskGroup() as group:
            working = group.create_task(worker.run(), name="worker")
            await stopping.wait()
            worker.leave()
            await working
