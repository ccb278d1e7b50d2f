"""The whole store as lines of JSON, from one database into another of the same or the other kind.

The first line is the head: the schema's revision, and the key that opens the sealed columns. Then a line for each row,
and a last line with their number, so that a truncated file is detected. Of workers only those are in it that are to
take no tasks; after a restore none has a lease or a task. Values that only that database understands are left out.
"""

import base64
import json
from collections.abc import AsyncIterator, Iterable, Iterator
from itertools import islice
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from streamferry.reasons import Code, Reason
from streamferry.store import sealing, workers
from streamferry.store.database import Store
from streamferry.store.migrate import migrate, read_revision
from streamferry.store.records import Intent
from streamferry.store.schema import (
    access_key,
    call_rate,
    compatibility,
    dashboard_session,
    event,
    metadata,
    pulse,
    sign_in_failure,
    task,
    worker,
)

FORMAT = 1
_KIND = "streamferry backup"
_BATCH_ROWS = 500
_LEFT_OUT = (pulse, dashboard_session, sign_in_failure, call_rate, compatibility)
#: What says which schema it is stays as the migrations have made it.
_OF_THE_SCHEMA = ("alembic_version", compatibility.name)
_OF_THE_DATABASE = frozenset((event.c.xid,))


async def dump(store: Store) -> AsyncIterator[str]:
    """The lines, with line ends, of one moment of a migrated store, which may be in use. Raises SealBroken."""
    async with store.snapshot() as connection:
        revision = await connection.run_sync(read_revision)
        # The key that opens the rows of this moment: it may have been replaced since the store was opened.
        await sealing.require(connection, store.seal)
        yield _line({"kind": _KIND, "format": FORMAT, "revision": revision, "seal_key": store.seal.reveal()})
        rows = 0
        for table in metadata.sorted_tables:
            if table in _LEFT_OUT:
                continue
            columns = [column for column in table.columns if column not in _OF_THE_DATABASE]
            rows_of_table = sa.select(*columns).order_by(*table.primary_key)
            if table is worker:
                rows_of_table = rows_of_table.where(worker.c.intent != Intent.OPEN.value)
            found = await connection.stream(rows_of_table)
            async for row in found.mappings():
                rows += 1
                yield _line({"table": table.name, "row": {name: _encode(value) for name, value in row.items()}})
        yield _line({"rows": rows})


def read_head(lines: Iterator[str]) -> tuple[str, str]:
    """Revision and seal key of a dump. Raises ValueError if it cannot be read."""
    head = _parse(next(lines, ""))
    if head.get("kind") != _KIND:
        raise ValueError("the file is not a backup of streamferry")
    if head.get("format") != FORMAT:
        raise ValueError("the backup is of a newer streamferry: restore it with that one")
    return str(head["revision"]), str(head["seal_key"])


async def load(store: Store, lines: Iterator[str], revision: str) -> int:
    """Fill an empty store with the lines after the head, and bring it to the current schema; returns how many rows.

    Tasks that a worker had are due again. Raises ValueError, and leaves the store as it was, if it is not empty or
    the file is truncated or damaged.
    """
    await migrate(store, revision)
    async with store.write_at_length() as connection:
        await _require_empty(connection)
        tables = await connection.run_sync(_reflect)
        for table in reversed(tables.sorted_tables):
            if table.name not in _OF_THE_SCHEMA:
                await connection.execute(table.delete())
        rows = await _insert(connection, tables, lines)
        if connection.dialect.name == "postgresql":
            await _advance_sequences(connection, tables)
    await migrate(store)
    async with store.write_at_length() as connection:
        if connection.dialect.name == "postgresql":
            # It plans by what it knows of tables, and would look by itself in a minute, when workers have long begun.
            await connection.execute(sa.text("ANALYZE"))
        await workers.end_all(connection, Reason.of(Code.TASK_RESTORED))
    return rows


async def _require_empty(connection: AsyncConnection) -> None:
    for table in (task, access_key):
        # Use only its name: the columns are those of another revision.
        if (await connection.execute(sa.select(sa.literal(1)).select_from(sa.table(table.name)).limit(1))).first():
            raise ValueError("the store is in use: restore into an empty one")


async def _insert(connection: AsyncConnection, tables: sa.MetaData, lines: Iterator[str]) -> int:
    rows = 0
    promised: int | None = None
    while batch := list(islice(lines, _BATCH_ROWS)):
        by_table: dict[str, list[dict[str, Any]]] = {}
        for line in batch:
            parsed = _parse(line)
            if "rows" in parsed:
                promised = parsed["rows"]
            elif parsed.get("table") not in tables.tables:
                raise ValueError("the backup is damaged: it names a table that is not known")
            else:
                values = {name: _decode(value) for name, value in parsed["row"].items()}
                by_table.setdefault(parsed["table"], []).append(values)
                rows += 1
        for name, values_of_rows in by_table.items():
            await connection.execute(tables.tables[name].insert(), values_of_rows)
    if promised != rows:
        raise ValueError("the backup is cut: its end is missing")
    return rows


async def _advance_sequences(connection: AsyncConnection, tables: sa.MetaData) -> None:
    """Rows were inserted with their numbers: make the next ones greater."""
    for table in tables.sorted_tables:
        for column in _numbered(table.primary_key):
            highest = (await connection.execute(sa.select(sa.func.max(column)))).scalar()
            if highest is not None:
                sequence = sa.func.pg_get_serial_sequence(table.name, column.name)
                await connection.execute(sa.select(sa.func.setval(sequence, highest)))


def _numbered(columns: Iterable[sa.Column[Any]]) -> Iterator[sa.Column[Any]]:
    return (one for one in columns if one.server_default is not None or one.identity is not None)


def _reflect(connection: sa.Connection) -> sa.MetaData:
    found = sa.MetaData()
    found.reflect(connection)
    return found


def _line(value: dict[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")) + "\n"


def _parse(line: str) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except ValueError:
        raise ValueError("the backup is cut or damaged: a line cannot be read") from None
    if not isinstance(value, dict):
        raise ValueError("the backup is damaged: a line is no object")
    return value


def _encode(value: Any) -> Any:
    return {"base64": base64.b64encode(value).decode()} if isinstance(value, bytes | memoryview) else value


def _decode(value: Any) -> Any:
    return base64.b64decode(value["base64"]) if isinstance(value, dict) else value
