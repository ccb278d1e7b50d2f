"""Which key the store is sealed under: compared when it is opened, and replaced by a rotation.

Theory of operation. One row holds the fingerprint of the key, and the key of the digests, sealed. It is compared
when the store is opened, and again before something is sealed, because the key may have been replaced meanwhile. A
rotation seals everything again and changes the row, in one transaction: at each moment exactly one key opens the store,
and the row says which. Digests stay as they are, because their key stays.
"""

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from streamferry.store import audit, timing
from streamferry.store.database import lock_name, now_ms
from streamferry.store.schema import access_key, callback_secret, mailbox, seal_key, task_spec, worker
from streamferry.store.seal import Seal, SealBroken
from streamferry.tasks.model import AuditKind

#: Every sealed column but the row's own. A test compares it with the schema.
SEALED: tuple[sa.Column[bytes], ...] = (
    access_key.c.sealed_secret,
    callback_secret.c.sealed_secret,
    task_spec.c.sealed_spec,
    mailbox.c.sealed_url,
)
# Any name will do, as long as all writers of the row use the same.
_LOCK = "0" * 14 + "d"
_BATCH = 500


class KeyInUse(ValueError):
    """A worker still uses the key that is to be replaced."""


async def is_sealed(connection: AsyncConnection) -> bool:
    """Whether anything in the store is sealed; works for a store that is not migrated, or older than the row."""
    names = set(await connection.run_sync(lambda sync: sa.inspect(sync).get_table_names()))
    for column in (seal_key.c.sealed_digest_key, *SEALED):
        if column.table.name not in names:
            continue
        # Use only its name: the columns may be those of another revision.
        table = sa.table(column.table.name)
        if (await connection.execute(sa.select(sa.literal(1)).select_from(table).limit(1))).first():
            return True
    return False


async def open_seal(connection: AsyncConnection, seal: Seal) -> None:
    """Compare the key with the store's, and adopt its key of digests. Raises SealBroken.

    A store without the row gets it: an empty one, and one of an older version in which the key opens something.
    """
    row = await _read(connection)
    if row is None:
        await lock_name(connection, _LOCK)
        row = await _read(connection)
    if row is None:
        await _prove(connection, seal)
        await connection.execute(seal_key.insert(), {"id": 1, **_values(seal)})
        return
    _compare(row, seal)
    try:
        seal.adopt(seal.open(row["sealed_digest_key"]))
    except SealBroken:
        raise SealBroken("the store's own key of digests is damaged: restore a backup") from None


async def require(connection: AsyncConnection, seal: Seal) -> None:
    """Check before sealing that the key is the store's. Raises SealBroken."""
    row = await _read(connection, shares=True)
    if row is not None:
        _compare(row, seal)


async def rotate(connection: AsyncConnection, old: Seal, new: Seal) -> tuple[int, int]:
    """Seal everything under a new key; returns how many values, and how many could not be opened and stay as they are.

    Raises SealBroken, and KeyInUse while any worker on any machine has a lease.
    """
    row = await _read(connection, locks=True)
    if row is None:
        raise SealBroken
    _compare(row, old)
    held = sa.select(worker.c.id).where(worker.c.lease_ms > now_ms()).order_by(worker.c.id)
    workers = list((await connection.execute(held)).scalars())
    if workers:
        raise KeyInUse(f"workers run ({', '.join(workers)}): stop the service and its workers on all machines")
    counts = [await _reseal(connection, column, old, new) for column in SEALED]
    new.adopt(old.digest_key)
    await connection.execute(seal_key.update().values(_values(new)))
    await audit.append(connection, AuditKind.SEAL_ROTATED, new.fingerprint, {"before": old.fingerprint})
    return sum(done for done, _ in counts), sum(broken for _, broken in counts)


async def _reseal(connection: AsyncConnection, column: sa.Column[bytes], old: Seal, new: Seal) -> tuple[int, int]:
    (key,) = column.table.primary_key.columns
    change = sa.update(column.table).where(key == sa.bindparam("of_row")).values({column.name: sa.bindparam("sealed")})
    done = broken = 0
    keys = list((await connection.execute(sa.select(key).where(column.is_not(None)))).scalars())
    # What is decided by without opening the spec names the sealed bytes that it was written with.
    timed = (task_spec.c.timing,) if column is task_spec.c.sealed_spec else ()
    if timed:
        change = change.values(timing=sa.bindparam("timing"))
    for begin in range(0, len(keys), _BATCH):
        rows = await connection.execute(sa.select(key, column, *timed).where(key.in_(keys[begin : begin + _BATCH])))
        changes: list[dict[str, object]] = []
        for name, sealed, *texts in rows:
            try:
                again = new.seal(old.open(sealed))
            except SealBroken:
                broken += 1
                continue
            changes.append({"of_row": name, "sealed": again})
            if texts:
                changes[-1]["timing"] = timing.resealed(texts[0], sealed, again)
        if changes:
            await connection.execute(change, changes)
        done += len(changes)
    return done, broken


async def _prove(connection: AsyncConnection, seal: Seal) -> None:
    """Raises SealBroken if there is something sealed, and the key opens none of it: some of it may be damaged."""
    is_empty = True
    for column in SEALED:
        query = sa.select(column).where(column.is_not(None))
        async for (sealed,) in await connection.stream(query):
            is_empty = False
            try:
                seal.open(sealed)
            except SealBroken:
                continue
            return
    if not is_empty:
        raise SealBroken


async def _read(connection: AsyncConnection, *, locks: bool = False, shares: bool = False) -> sa.RowMapping | None:
    query = sa.select(seal_key.c.fingerprint, seal_key.c.sealed_digest_key)
    if locks or shares:
        query = query.with_for_update(read=shares)
    return (await connection.execute(query)).mappings().first()


def _compare(row: sa.RowMapping, seal: Seal) -> None:
    if row["fingerprint"] != seal.fingerprint:
        raise SealBroken(
            f"the store is sealed under key {row['fingerprint']}, and the one given is {seal.fingerprint}: "
            "give the service's as seal-key, or as seal.key in the data folder"
        )


def _values(seal: Seal) -> dict[str, object]:
    return {"fingerprint": seal.fingerprint, "sealed_digest_key": seal.seal(seal.digest_key)}
