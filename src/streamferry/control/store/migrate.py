"""Brings a store to the present schema: Alembic, driven from the program, with the migrations of this package."""

from pathlib import Path

import sqlalchemy as sa

from streamferry.control.store.database import Store, lock_name

# Any name will do, as long as all who migrate use the same.
_LOCK = "0" * 14 + "f"


async def migrate(store: Store) -> None:
    """Upgrade to the newest revision; does nothing if the store is there already. One at a time."""
    async with store.write() as connection:
        await lock_name(connection, _LOCK)
        await connection.run_sync(_upgrade)


def _upgrade(connection: sa.Connection) -> None:
    # Only who migrates needs Alembic, which takes a while to import; workers do not.
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).with_name("migrations")))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
