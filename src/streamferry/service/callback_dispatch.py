"""Sends callbacks, and says how long things are kept, from the settings. For the service's process."""

import asyncio

from streamferry.config import Settings
from streamferry.control.callbacks.dispatcher import Dispatcher
from streamferry.control.callbacks.sender import Sender
from streamferry.net.trust import client_context
from streamferry.store import Store
from streamferry.store.retention import Retention
from streamferry.web.compat.callback_body import serialize
from streamferry.worker.egress import Egress, decide_allow


async def send_callbacks(settings: Settings, store: Store, stopping: asyncio.Event) -> None:
    """Send callbacks until ``stopping`` is set."""
    tls, allow = client_context(settings.ca_file), decide_allow(Egress(settings.egress))
    async with Sender(tls=tls, allow=allow) as sender:
        await Dispatcher(store, sender, serialize).run(stopping)


def retention_of(settings: Settings) -> Retention:
    """How long each kind of row is kept."""
    return Retention(
        callbacks_days=settings.keep_callbacks_days,
        dead_callbacks_days=settings.keep_dead_callbacks_days,
        events_days=settings.keep_events_days,
        usage_days=settings.keep_usage_days,
        audit_days=settings.keep_audit_days,
        ended_tasks_days=settings.keep_ended_tasks_days or None,
    )
