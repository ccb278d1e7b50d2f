"""Brings a store to the current schema: Alembic, run from the program, with the migrations of this package.

Alembic takes a third of a second to import, and all migrations another, which most starts need not: there is nothing to
do in a store that is current, and a new one is made as ``schema`` has it. A test compares that with what they make.

A migration only adds, so that the program before it goes on beside it, starts anew, and can take over again: the store
itself says from which schema on programs may work with it. One that takes something away has to raise that number.
"""

import logging
from pathlib import Path

import sqlalchemy as sa

from streamferry.store.beside_tables import STATEMENTS
from streamferry.store.database import Store, lock_name
from streamferry.store.schema import compatibility, metadata, task_group
from streamferry.tasks.model import DEFAULT_GROUP

_log = logging.getLogger("streamferry.store")

#: The oldest schema whose programs may work with a store of the newest one.
OLDEST = "0030"
# Any name will do, as long as every migration uses the same.
_LOCK = "0" * 14 + "f"
_MIGRATIONS = Path(__file__).with_name("migrations")


async def migrate(store: Store, revision: str = "head", *, is_back: bool = False) -> None:
    """Upgrade to a revision, or ``is_back`` from a newer one; does nothing if the store already has it, or a newer one
    that this program may work with. One at a time.

    Raises ValueError for an unknown revision.
    """
    async with store.write_at_length() as connection:
        await lock_name(connection, _LOCK)
        await connection.run_sync(_change if is_back else _bring, revision, *([True] if is_back else []))


async def require_schema(store: Store, *, may_be_newer: bool = False) -> bool:
    """Whether there is a store in the database; nothing is changed.

    Raises ValueError if its schema is not this program's: an older one would have to be changed before it can be read.
    ``may_be_newer``: one that this program may work with will do.
    """
    known = _revisions()
    async with store.read() as connection:
        found = await connection.run_sync(_find_revision)
        will_do = may_be_newer and await connection.run_sync(_may_work, found, known)
    if found is None or found == known[-1] or will_do:
        return found is not None
    if found in known:
        raise ValueError("the store is of an older streamferry: upgrade the service first, which upgrades its store")
    raise ValueError("the store is of a newer streamferry: use that version here, too")


def _find_revision(connection: sa.Connection) -> str | None:
    return read_revision(connection) if sa.inspect(connection).has_table("alembic_version") else None


def _revisions() -> list[str]:
    """All revisions that this program knows, oldest first: each has a file of its name."""
    return sorted(file.name[1:5] for file in _MIGRATIONS.glob("versions/v[0-9]*.py"))


def read_revision(connection: sa.Connection) -> str:
    """The revision of a store that was migrated."""
    return str(connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar_one())


def _may_work(connection: sa.Connection, found: str | None, known: list[str]) -> bool:
    """Whether a newer store says so."""
    if found is None or found in known or not sa.inspect(connection).has_table(compatibility.name):
        return False
    oldest = connection.execute(sa.select(compatibility.c.oldest)).scalar()
    if oldest is None or oldest > known[-1]:
        return False
    _log.warning("the store is of a newer streamferry (schema %s), beside which this one (%s) works", found, known[-1])
    return True


def _bring(connection: sa.Connection, revision: str) -> None:
    found, known = _find_revision(connection), _revisions()
    if revision == "head" and found is None:
        _make(connection, known[-1])
    elif revision != "head" or not (found == known[-1] or _may_work(connection, found, known)):
        _change(connection, revision)


def _make(connection: sa.Connection, newest: str) -> None:
    metadata.create_all(connection, checkfirst=False)
    for statement in STATEMENTS if connection.dialect.name == "postgresql" else ():
        connection.exec_driver_sql(statement)
    connection.execute(
        task_group.insert().values(name=DEFAULT_GROUP, project="default", tags="[]", deleted=False, created_ms=0)
    )
    connection.execute(compatibility.insert().values(oldest=OLDEST))
    connection.exec_driver_sql(
        "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL, "
        "CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num))"
    )
    connection.execute(sa.text("INSERT INTO alembic_version VALUES (:newest)"), {"newest": newest})


def _change(connection: sa.Connection, revision: str, is_back: bool = False) -> None:
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    config.attributes["connection"] = connection
    try:
        (command.downgrade if is_back else command.upgrade)(config, revision)
    except CommandError:
        raise ValueError("the store, or the backup, is of a newer streamferry: use that one") from None
