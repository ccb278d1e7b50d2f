"""The store as the settings have it: for the service, its workers and the commands beside them."""

import contextlib
from collections.abc import AsyncIterator

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
    """The store of the settings, closed at the end. Raises ValueError for settings that cannot be used, OSError."""
    key = read_seal_key(settings)
    url = settings.store.get_secret_value() or sqlite_url(settings.data_dir / "store.db")
    store = Store(url, Seal(key), is_durable=is_durable)
    try:
        if migrates:
            await migrate(store)
        yield store
    finally:
        await store.aclose()
