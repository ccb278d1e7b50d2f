"""Scheduler: handles tasks that no worker has. The cost of a pass depends only on what is due.

Workers claim due tasks by themselves. The scheduler frees the tasks of workers that are gone, concludes tasks whose
window is over, has tasks move to other workers (``store.placing``) and, now and then, deletes old rows. Any number of
schedulers may work on one store.
"""

import asyncio
import contextlib
import logging

from streamferry.store import TROUBLE, Store, describe_trouble, due, placing, recurring, retention, workers
from streamferry.store.retention import Retention
from streamferry.tasks.actor import Actor, ActorKind, acting_as

_log = logging.getLogger("streamferry.control")

#: The lease of a dead worker ends 6.5 s after its last renewal; with this it is noticed within 7.
PASS_S = 0.5
#: How often it checks for rows that are old enough to delete; while there are more, each pass deletes a batch.
PRUNE_S = 60.0
#: How often it looks for workers that are crowded while others are calm.
REBALANCE_S = 10.0


class Scheduler:
    """Run it in the service's process, beside a ``Pulse``."""

    def __init__(self, store: Store, keep: Retention | None = None, *, rebalances: bool = False) -> None:
        """``rebalances``: whether crowded workers hand tasks over to calm ones."""
        self._store = store
        self._rebalances = rebalances
        self._rebalance_at = 0.0
        self._keep = keep or Retention()
        self._prune_at = 0.0

    async def run(self, stopping: asyncio.Event) -> None:
        """Make one pass after another until told to stop; after trouble with the store the next pass tries again."""
        is_well = True
        while not stopping.is_set():
            try:
                with acting_as(Actor(ActorKind.SCHEDULE)):
                    await self.run_once()
                is_well = True
            except TROUBLE as error:
                if is_well:
                    _log.error("the store cannot be asked: %s", describe_trouble(error))
                is_well = False
            except Exception:
                # Whatever it is, it must not end the service that runs all tasks.
                if is_well:
                    _log.exception("a pass over the tasks failed inside streamferry")
                is_well = False
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(PASS_S):
                    await stopping.wait()

    async def run_once(self) -> None:
        """One pass."""
        async with self._store.glance() as connection:
            pending = await due.read_pending(connection)
        if pending.expired:
            async with self._store.write() as connection:
                freed = await workers.free_expired(connection)
            _log.warning("%d tasks of workers that are gone are free", freed)
        if pending.ended:
            async with self._store.write() as connection:
                await due.conclude(connection, self._store.seal)
        if pending.over:
            async with self._store.write() as connection:
                await recurring.move_on(connection, self._store.seal)
        if pending.late:
            async with self._store.write() as connection:
                late = await due.tell_late(connection)
            _log.warning("%d tasks are due, and no worker takes them", late)
        now = asyncio.get_running_loop().time()
        if pending.draining or (self._rebalances and now >= self._rebalance_at):
            self._rebalance_at = now + REBALANCE_S
            async with self._store.write() as connection:
                if moved := await placing.move_tasks(connection, rebalances=self._rebalances):
                    _log.info("%d tasks move to other workers", moved)
        if now >= self._prune_at:
            self._prune_at = now if await self._prune() else now + PRUNE_S

    async def _prune(self) -> bool:
        """Delete a batch of old rows; returns whether there may be more."""
        async with self._store.read() as connection:
            if not await retention.has_old(connection, self._keep):
                return False
        async with self._store.write() as connection:
            return await retention.prune(connection, self._keep)
