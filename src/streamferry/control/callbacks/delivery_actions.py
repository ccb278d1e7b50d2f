"""Callbacks: what front ends may show and do about deliveries, as ``control.actions`` does for tasks."""

import re

from sqlalchemy.ext.asyncio import AsyncConnection

from streamferry.reasons import Code
from streamferry.store import Store, asks_again, audit, callback_secret, deliveries
from streamferry.store.records import Backlog, DeliveryPage, DeliveryRecord
from streamferry.tasks.errors import DeliveryNotFound, WrongState
from streamferry.tasks.model import AuditKind, DeliveryState

_EVENT_ID = re.compile(r"evt_([0-9a-f]{32})_([1-9][0-9]{0,8})")


class Callbacks:
    """See the module. Each method is one transaction, except those over many tasks."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._seal = store.seal

    @asks_again
    async def list_deliveries(
        self, *, task_id: str | None = None, state: DeliveryState | None = None, page: int = 1, size: int = 20
    ) -> DeliveryPage:
        """Newest first, including those of deleted tasks. ``page`` counts from 1."""
        async with self._store.read() as connection:
            records, total = await deliveries.page(
                connection, task_id=task_id, state=state, offset=(page - 1) * size, limit=size
            )
        return DeliveryPage(tuple(records), total)

    @asks_again
    async def backlog(self) -> Backlog:
        """Numbers of undelivered callbacks."""
        async with self._store.read() as connection:
            return await deliveries.backlog(connection)

    @asks_again
    async def get_delivery(self, event_id: str) -> DeliveryRecord:
        """One delivery, by the id that its receiver gets. Raises DeliveryNotFound."""
        async with self._store.read() as connection:
            return await _find(connection, event_id)

    async def replay(self, event_id: str) -> None:
        """Deliver it again, before the later ones that wait. Raises DeliveryNotFound, WrongState."""
        async with self._store.write() as connection:
            record = await _find(connection, event_id)
            if record.state is DeliveryState.WAITING:
                raise WrongState(Code.ACTION_CALLBACK_WAITS, event_id=event_id)
            if not await deliveries.wake(connection, record.task_id, record.number):
                raise WrongState(Code.ACTION_NO_CALLBACK_URL, task_id=record.task_id)

    async def replay_dead(self, task_id: str | None = None) -> int:
        """Deliver dead callbacks again, of one task or of all that still have an address; returns how many."""
        if task_id is None:
            async with self._store.read() as connection:
                task_ids = await deliveries.tasks_with_dead(connection)
        else:
            task_ids = [task_id]
        count = 0
        for one in task_ids:
            async with self._store.write() as connection:
                count += await deliveries.wake(connection, one, None)
        return count

    async def drop_dead(self, task_id: str | None = None) -> int:
        """Delete dead callbacks, of one task or of all; returns how many."""
        async with self._store.write() as connection:
            return await deliveries.drop_dead(connection, task_id)

    async def secret(self) -> str:
        """What callbacks are signed with, in the form ``whsec_...``; made if there is none yet."""
        async with self._store.write() as connection:
            return await callback_secret.ensure(connection, self._seal)

    async def replace_secret(self) -> str:
        """Make a new secret; for a day callbacks are also signed with the previous one."""
        async with self._store.write() as connection:
            secret = await callback_secret.replace(connection, self._seal)
            await audit.append(connection, AuditKind.SECRET_REPLACED)
            return secret


async def _find(connection: AsyncConnection, event_id: str) -> DeliveryRecord:
    match = _EVENT_ID.fullmatch(event_id)
    record = await deliveries.find(connection, match[1], int(match[2])) if match else None
    if record is None:
        raise DeliveryNotFound(event_id)
    return record
