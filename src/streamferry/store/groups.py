"""Group rows. A deleted group stays as a row, and its name may be used again."""

import json
from collections.abc import Sequence
from dataclasses import asdict

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from streamferry.store.cells import read_json
from streamferry.store.database import insert_into
from streamferry.store.records import GroupRecord, GroupTag
from streamferry.store.schema import task, task_group


async def find(connection: AsyncConnection, name: str, *, lock: bool = False, keep: bool = False) -> GroupRecord | None:
    """The group, deleted or not, or None. ``lock``: nobody else changes it until the transaction ends.

    ``keep``: nobody deletes it until then, and any number of others may want that at once.
    """
    query = sa.select(task_group).where(task_group.c.name == name)
    if lock:
        query = query.with_for_update()
    elif keep:
        query = query.with_for_update(read=True, key_share=True)
    row = (await connection.execute(query)).mappings().first()
    return None if row is None else _record(row)


async def put(connection: AsyncConnection, group: GroupRecord, *, now_ms: int) -> bool:
    """Create a group, replacing a deleted one of that name; False if there is one that is not deleted."""
    values = {
        "project": group.project,
        "tags": _tags_text(group.tags),
        "deleted": group.deleted,
        "created_ms": now_ms,
    }
    statement = insert_into(connection.dialect.name, task_group).values(name=group.name, **values)
    done = await connection.execute(
        statement.on_conflict_do_update(index_elements=[task_group.c.name], set_=values, where=task_group.c.deleted)
    )
    return bool(done.rowcount)


async def set_tags(connection: AsyncConnection, name: str, tags: Sequence[GroupTag]) -> None:
    """Replace its tags."""
    await connection.execute(task_group.update().where(task_group.c.name == name).values(tags=_tags_text(tags)))


async def delete(connection: AsyncConnection, name: str) -> None:
    """Mark it deleted."""
    await connection.execute(task_group.update().where(task_group.c.name == name).values(deleted=True))


async def has_tasks(connection: AsyncConnection, name: str) -> bool:
    """Whether any task is in it."""
    found = await connection.execute(sa.select(task.c.number).where(task.c.group_name == name).limit(1))
    return found.first() is not None


async def page(
    connection: AsyncConnection, *, deleted: Sequence[bool], offset: int, limit: int
) -> tuple[list[GroupRecord], int]:
    """Groups in the requested states, oldest first, and their number."""
    wanted = task_group.c.deleted.in_(deleted)
    total = (await connection.execute(sa.select(sa.func.count()).select_from(task_group).where(wanted))).scalar_one()
    rows = await connection.execute(
        sa.select(task_group)
        .where(wanted)
        .order_by(task_group.c.created_ms, task_group.c.name)
        .limit(limit)
        .offset(offset)
    )
    return [_record(row) for row in rows.mappings()], total


def _tags_text(tags: Sequence[GroupTag]) -> str:
    return json.dumps([asdict(tag) for tag in tags], ensure_ascii=False)


def _record(row: sa.RowMapping) -> GroupRecord:
    found = read_json(row["tags"])
    tags = [_tag(one) for one in found] if isinstance(found, list) else []
    return GroupRecord(row["name"], row["project"], tuple(tag for tag in tags if tag), row["deleted"])


def _tag(found: object) -> GroupTag | None:
    """A label; None if it is damaged."""
    names = ("category", "key", "value")
    if not isinstance(found, dict) or not all(isinstance(found.get(name), str) for name in names):
        return None
    return GroupTag(*(found[name] for name in names))
