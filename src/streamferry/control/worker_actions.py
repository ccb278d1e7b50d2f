"""What can be done to workers. Their tasks then move by themselves: see ``store.placing``."""

from streamferry.control.transactions import Transactions
from streamferry.store import audit, fleet
from streamferry.store.records import Intent
from streamferry.tasks.errors import WorkerNotFound
from streamferry.tasks.model import AuditKind

_KINDS = {
    Intent.OPEN: AuditKind.WORKER_OPENED,
    Intent.CORDONED: AuditKind.WORKER_CORDONED,
    Intent.DRAINING: AuditKind.WORKER_DRAINED,
}


class WorkerActions(Transactions):
    """See the module."""

    async def set_intent(self, worker_id: str, intent: Intent) -> None:
        """Have a worker take tasks, take no more, or hand over all that another one has a place for.

        Raises WorkerNotFound. It stays so until this is called again, also when a worker of that id starts anew.
        """
        async with self._change() as (connection, _):
            if not worker_id.isprintable() or not await fleet.set_intent(connection, worker_id, intent):
                raise WorkerNotFound(worker_id)
            await audit.append(connection, _KINDS[intent], worker_id)
