"""The store as the settings have it: for the service, its workers and the commands beside them."""

import contextlib
from collections.abc import AsyncIterator
from enum import Enum, auto
from pathlib import Path

from streamferry.config import Settings
from streamferry.control.store import (
    TROUBLE,
    Seal,
    Store,
    describe_trouble,
    load_or_make_key,
    migrate,
    require_schema,
    sqlite_file,
    sqlite_url,
)
from streamferry.control.store.database import CONNECTIONS

_SEAL_KEY = "seal.key"


def prepare_data_dir(settings: Settings) -> None:
    """Make the data folder, for its owner only. Raises OSError."""
    settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)


def read_seal_key(settings: Settings, *, may_make: bool = False) -> str:
    """The key of the settings, or of the data folder, made there if there is none and that may be. Raises OSError,
    ValueError.
    """
    if given := settings.seal_key.get_secret_value():
        return given
    file = settings.data_dir / _SEAL_KEY
    if not may_make and not file.is_file():
        raise ValueError(f"seal-key: there is none in {settings.data_dir}; all who share a store need the service's")
    return load_or_make_key(file)


def adopt_seal_key(settings: Settings, key: str) -> None:
    """Use the key of a backup from here on. Raises ValueError if another one is in use, OSError."""
    given = settings.seal_key.get_secret_value()
    if not given:
        given = load_or_make_key(settings.data_dir / _SEAL_KEY, key)
    if given != key:
        raise ValueError("seal-key: is not the one of the backup; restore into a new data folder or give that key")


class Purpose(Enum):
    """What a store is opened for."""

    #: To be read or added to: it must be there, with the schema of this program, and nothing of that is changed.
    USE = auto()
    #: To be served: it is made if it is not there, and brought to the schema of this program.
    SERVE = auto()
    #: To have a backup put in: it is made if it is not there.
    RESTORE = auto()


class StoreMissing(ValueError):
    """There is no store where the settings say; ``folder`` is where its file would be, None for a PostgreSQL."""

    def __init__(self, folder: Path | None) -> None:
        place = "in that database" if folder is None else f"in {folder}"
        super().__init__(f"no store {place}; where is the service's? (--data-dir or --store; serve makes a new one)")
        self.folder = folder


class StoreAway(ValueError):
    """It may be there, but it cannot be asked now."""


@contextlib.asynccontextmanager
async def open_store(
    settings: Settings, purpose: Purpose = Purpose.USE, *, is_durable: bool = True, connections: int = CONNECTIONS
) -> AsyncIterator[Store]:
    """The store of the settings, closed at the end.

    Raises StoreMissing, StoreAway, ValueError for settings that cannot be used and for another schema, OSError.
    """
    url = settings.store.get_secret_value() or sqlite_url(settings.data_dir / "store.db")
    file = sqlite_file(url)
    if purpose is Purpose.USE and file is not None and not file.is_file():
        raise StoreMissing(file.parent)
    key = read_seal_key(settings, may_make=purpose is not Purpose.USE)
    store = Store(url, Seal(key), is_durable=is_durable, connections=connections)
    try:
        try:
            if purpose is Purpose.SERVE:
                await migrate(store)
            elif purpose is Purpose.USE and not await require_schema(store):
                raise StoreMissing(None if file is None else file.parent)
        except TROUBLE as error:
            raise StoreAway(f"store: cannot be opened: {describe_trouble(error)}") from None
        yield store
    finally:
        await store.aclose()
