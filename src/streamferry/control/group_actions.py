"""What can be done to groups of tasks."""

from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncConnection

from streamferry.control.transactions import Transactions
from streamferry.reasons import Code
from streamferry.store import asks_again, groups
from streamferry.store.records import GroupPage, GroupRecord, GroupTag
from streamferry.tasks.errors import GroupExists, GroupInUse, GroupNotFound
from streamferry.tasks.model import DEFAULT_GROUP


class GroupActions(Transactions):
    """See the module."""

    async def create_group(self, name: str, project: str, tags: Sequence[GroupTag] = ()) -> None:
        """A new group. Raises GroupExists."""
        async with self._change() as (connection, now_ms):
            group = GroupRecord(name, project, tuple(tags), deleted=False)
            if not await groups.put(connection, group, now_ms=now_ms):
                raise GroupExists(name)

    async def update_group(self, name: str, tags: Sequence[GroupTag]) -> None:
        """Replace its tags; nothing else of a group can be changed. Raises GroupNotFound."""
        async with self._change() as (connection, _):
            await self._require_group(connection, name, lock=True)
            await groups.set_tags(connection, name, tags)

    async def delete_group(self, name: str) -> None:
        """Delete a group without tasks. Raises GroupNotFound, GroupInUse."""
        async with self._change() as (connection, _):
            await self._require_group(connection, name, lock=True)
            if name == DEFAULT_GROUP:
                raise GroupInUse(Code.ACTION_PRESET_GROUP)
            if await groups.has_tasks(connection, name):
                raise GroupInUse(Code.ACTION_GROUP_IN_USE, name=name)
            await groups.delete(connection, name)

    @asks_again
    async def list_groups(self, *, page: int = 1, size: int = 20, statuses: Sequence[int] = (0,)) -> GroupPage:
        """Oldest first. ``statuses``: 0 usable, 1 deleted."""
        async with self._store.read() as connection:
            deleted = [status == 1 for status in statuses]
            records, total = await groups.page(connection, deleted=deleted, offset=(page - 1) * size, limit=size)
        return GroupPage(tuple(records), total)

    async def _require_group(
        self, connection: AsyncConnection, name: str, *, lock: bool = False, keep: bool = False
    ) -> None:
        group = await groups.find(connection, name, lock=lock, keep=keep)
        if group is None or group.deleted:
            raise GroupNotFound(name)
