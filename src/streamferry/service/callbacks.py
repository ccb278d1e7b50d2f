"""What the settings say about callbacks and about what is kept: for the service's process."""

import asyncio

from streamferry.config import Settings
from streamferry.control.callbacks.courier import Courier
from streamferry.control.callbacks.sender import Sender
from streamferry.control.store import Store
from streamferry.control.store.retention import Retention
from streamferry.net.dial import client_context
from streamferry.worker.egress import Egress, decide_allow


async def send_callbacks(settings: Settings, store: Store, stopping: asyncio.Event) -> None:
    """Send what is owed until ``stopping`` is set."""
    tls, allow = client_context(settings.ca_file), decide_allow(Egress(settings.egress))
    async with Sender(tls=tls, allow=allow) as sender:
        await Courier(store, sender).run(stopping)


def retention_of(settings: Settings) -> Retention:
    """For how long things are kept."""
    return Retention(
        callbacks_days=settings.keep_callbacks_days,
        dead_callbacks_days=settings.keep_dead_callbacks_days,
        events_days=settings.keep_events_days,
        usage_days=settings.keep_usage_days,
        audit_days=settings.keep_audit_days,
    )
