"""Scheduler: what has to happen to tasks that no worker has. One pass costs by what is due.

Workers claim what is due by themselves; what is left is to free the tasks of workers that are gone, and to conclude
those whose window is over. Any number of schedulers may look after one store.
"""

import asyncio
import contextlib
import logging

import sqlalchemy as sa

from streamferry.control.store import Store, due, workers

_log = logging.getLogger("streamferry.control")

#: The lease of a dead worker ends 6.5 s after its last renewal; with this it is noticed within 7.
PASS_S = 0.5


class Scheduler:
    """Run it in the service's process."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def run(self, stopping: asyncio.Event) -> None:
        """One pass after another until told to stop; trouble with the store is for the next pass."""
        is_well = True
        while not stopping.is_set():
            try:
                await self.run_once()
                is_well = True
            except (sa.exc.DBAPIError, sa.exc.TimeoutError, OSError) as error:
                if is_well:
                    _log.error("the store cannot be asked: %s", type(getattr(error, "orig", None) or error).__name__)
                is_well = False
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(PASS_S):
                    await stopping.wait()

    async def run_once(self) -> None:
        """One pass."""
        async with self._store.read() as connection:
            has_expired = await workers.has_expired(connection)
            has_ended = await due.has_ended(connection)
        if has_expired:
            async with self._store.write() as connection:
                freed = await workers.free_expired(connection)
            _log.warning("%d tasks of workers that are gone are free", freed)
        if has_ended:
            async with self._store.write() as connection:
                await due.conclude(connection, self._store.seal)
