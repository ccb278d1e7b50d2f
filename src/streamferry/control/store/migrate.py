"""Brings a store to the present schema: Alembic, driven from the program, with the migrations of this package."""

from pathlib import Path

import sqlalchemy as sa

from streamferry.control.store.database import Store, lock_name

# Any name will do, as long as all who migrate use the same.
_LOCK = "0" * 14 + "f"


async def migrate(store: Store, revision: str = "head") -> None:
    """Upgrade to a revision; does nothing if the store is there already. One at a time.

    Raises ValueError for a revision that is not known here.
    """
    async with store.write_at_length() as connection:
        await lock_name(connection, _LOCK)
        await connection.run_sync(_upgrade, revision)


def read_revision(connection: sa.Connection) -> str:
    """The revision of a store that was migrated."""
    return str(connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar_one())


def _upgrade(connection: sa.Connection, revision: str) -> None:
    # Only who migrates needs Alembic, which takes a while to import; workers do not.
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).with_name("migrations")))
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, revision)
    except CommandError:
        raise ValueError("the store, or the backup, is of a newer streamferry: use that one") from None
