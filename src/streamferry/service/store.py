"""The store as the settings have it: for the service, its workers and the commands beside them."""

import contextlib
import os
from collections.abc import AsyncIterator

import sqlalchemy as sa

from streamferry.config import Settings
from streamferry.control.store import Seal, Store, load_or_make_key, migrate, sqlite_url

_SEAL_KEY = "seal.key"


def prepare_data_dir(settings: Settings) -> None:
    """Make the data folder, for its owner only. Raises OSError."""
    settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)


def read_seal_key(settings: Settings) -> str:
    """The key of the settings, or of the data folder, where it is made if there is none. Raises OSError, ValueError."""
    return settings.seal_key.get_secret_value() or load_or_make_key(settings.data_dir / _SEAL_KEY)


def adopt_seal_key(settings: Settings, key: str) -> None:
    """Use the key of a backup from here on. Raises ValueError if another one is in use, OSError."""
    given = settings.seal_key.get_secret_value()
    if not given:
        given = load_or_make_key(settings.data_dir / _SEAL_KEY, key)
    if given != key:
        raise ValueError("seal-key: is not the one of the backup; restore into a new data folder or give that key")


@contextlib.asynccontextmanager
async def open_store(settings: Settings, *, is_durable: bool = True, migrates: bool = False) -> AsyncIterator[Store]:
    """The store of the settings, closed at the end. Raises ValueError for settings that cannot be used, OSError.

    ``migrates``: at once, so a store that cannot be opened is a ValueError, too.
    """
    key = read_seal_key(settings)
    url = settings.store.get_secret_value() or sqlite_url(settings.data_dir / "store.db")
    store = Store(url, Seal(key), is_durable=is_durable)
    try:
        if migrates:
            await _migrate(store)
        yield store
    finally:
        await store.aclose()


async def _migrate(store: Store) -> None:
    try:
        await migrate(store)
    except sa.exc.DBAPIError as error:
        words = str(error.orig).partition("\n")[0]
    except OSError as error:
        # The event loop puts the address into strerror; errors of getaddrinfo are negative.
        number = error.errno or 0
        words = os.strerror(number) if number > 0 else error.strerror or type(error).__name__
    else:
        return
    raise ValueError(f"store: cannot be opened: {words}")
