"""Watermark pictures, stored once each under the digest of their bytes; read only to be shown or laid over a video.

Deleting a task does not delete its picture: another task may be about to use it. ``forget`` deletes pictures that no
task has. It skips those being written; a task that comes after it writes the picture again.
"""

import hashlib
from collections.abc import Collection

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from streamferry.media.watermark import Watermark
from streamferry.store.database import insert_into
from streamferry.store.schema import picture, task_spec

_BATCH = 100
_IS_UNUSED = ~sa.exists().where(task_spec.c.picture_digest == picture.c.digest)


def digest_of(data: bytes) -> str:
    """The name of a picture."""
    return hashlib.sha256(data).hexdigest()


async def put(connection: AsyncConnection, mark: Watermark) -> str:
    """Store a picture until no task has it any more; returns its digest. Locks it, so that it is not deleted before."""
    row = {
        "digest": digest_of(mark.picture),
        "media_type": mark.media_type,
        "size_bytes": len(mark.picture),
        "data": mark.picture,
    }
    insert = insert_into(connection.dialect.name, picture)
    again = insert.on_conflict_do_update(index_elements=[picture.c.digest], set_={"size_bytes": row["size_bytes"]})
    await connection.execute(again, row)
    return str(row["digest"])


async def read(connection: AsyncConnection, digests: Collection[str]) -> dict[str, bytes]:
    """Their bytes by digest, one after the other; missing or damaged ones are left out."""
    found: dict[str, bytes] = {}
    for digest in set(digests):
        data = (await connection.execute(sa.select(picture.c.data).where(picture.c.digest == digest))).scalar()
        if data is not None and digest_of(bytes(data)) == digest:
            found[digest] = bytes(data)
    return found


def some_unused() -> sa.ColumnElement[bool]:
    """Whether there is one that no task has."""
    return sa.exists(sa.select(picture.c.digest).where(_IS_UNUSED))


async def forget(connection: AsyncConnection) -> bool:
    """Delete a batch of those that no task has; returns whether there may be more."""
    query = sa.select(picture.c.digest).where(_IS_UNUSED).limit(_BATCH).with_for_update(skip_locked=True)
    digests = list((await connection.execute(query)).scalars())
    if digests:
        # Check again under the lock: a task may have got one meanwhile.
        await connection.execute(picture.delete().where(picture.c.digest.in_(digests), _IS_UNUSED))
    return len(digests) == _BATCH
