"""Opens the store that the settings name: for the service, its workers and the commands."""

import contextlib
import os
from collections.abc import AsyncIterator
from enum import Enum, auto
from pathlib import Path

from cryptography.fernet import Fernet

from streamferry.media.redaction import use_marks
from streamferry.service.worker_settings import StoreSettings
from streamferry.store import (
    TROUBLE,
    Seal,
    SealBroken,
    Store,
    describe_trouble,
    load_or_make_key,
    migrate,
    require_schema,
    sealing,
    sqlite_file,
    sqlite_url,
)
from streamferry.store.database import CONNECTIONS

_SEAL_KEY = "seal.key"


def prepare_data_dir(settings: StoreSettings) -> None:
    """Make the data folder, for its owner only. Raises ValueError."""
    try:
        settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise ValueError(f"data-dir: {settings.data_dir} cannot be made: {error.strerror}") from None


def read_seal_key(settings: StoreSettings) -> str | None:
    """The key in the settings, or in the data folder; None if there is none. Raises OSError."""
    if given := settings.seal_key.get_secret_value():
        return given
    with contextlib.suppress(FileNotFoundError):
        return _key_file(settings).read_text().strip()
    return None


def adopt_seal_key(settings: StoreSettings, key: str) -> None:
    """Use the key of a backup from here on. Raises ValueError if another one is in use, OSError."""
    given = settings.seal_key.get_secret_value()
    if not given:
        given = load_or_make_key(_key_file(settings), key)
    if given != key:
        raise ValueError("seal-key: is not the one of the backup; restore into a new data folder or give that key")


def store_file(settings: StoreSettings) -> Path | None:
    """The file of a SQLite store; None for another database. Raises ValueError for an address that cannot be read."""
    return sqlite_file(_store_url(settings))


def _store_url(settings: StoreSettings) -> str:
    return settings.store.get_secret_value() or sqlite_url(settings.data_dir / "store.db")


class Purpose(Enum):
    """What a store is opened for."""

    #: To read it or add to it: it must exist and have this program's schema; the schema is not changed.
    USE = auto()
    #: To run its tasks: the same, but it may be of a newer program that this one may work beside.
    WORK = auto()
    #: To serve it: it is created if it does not exist, and brought to this program's schema, unless it is
    #: of a newer program that this one may work beside.
    SERVE = auto()
    #: To restore a backup into it: it is created if it does not exist.
    RESTORE = auto()


class StoreMissing(ValueError):
    """There is no store where the settings say; ``folder`` is where its file would be, None for a PostgreSQL."""

    def __init__(self, folder: Path | None) -> None:
        place = "in that database" if folder is None else f"in {folder}"
        super().__init__(f"no store {place}; where is the service's? (--data-dir or --store; serve makes a new one)")
        self.folder = folder


class StoreAway(ValueError):
    """The store may exist, but it cannot be reached now."""


@contextlib.asynccontextmanager
async def open_store(
    settings: StoreSettings,
    purpose: Purpose = Purpose.USE,
    *,
    is_durable: bool = True,
    connections: int = CONNECTIONS,
    answer_s: float | None = None,
) -> AsyncIterator[Store]:
    """The store of the settings, closed at the end. For the other arguments see ``Store``.

    Raises StoreMissing, StoreAway, SealBroken for one that is sealed under another key, ValueError for settings that
    cannot be used and for another schema, OSError.
    """
    file = store_file(settings)
    must_exist = purpose in (Purpose.USE, Purpose.WORK)
    if must_exist and file is not None and not file.is_file():
        raise StoreMissing(file.parent)
    key = read_seal_key(settings)
    if key is None and must_exist:
        raise ValueError(f"seal-key: there is none in {settings.data_dir}; all who share a store need the service's")
    if not must_exist and file is not None:
        _make_file(file)
    if key is None:
        key = await _make_key(settings, _store_url(settings))
    store = Store(_store_url(settings), Seal(key), is_durable=is_durable, connections=connections, answer_s=answer_s)
    try:
        try:
            if purpose is Purpose.SERVE:
                await migrate(store)
            elif must_exist and not await require_schema(store, may_be_newer=purpose is Purpose.WORK):
                raise StoreMissing(None if file is None else file.parent)
            if purpose is not Purpose.RESTORE:
                await _compare_key(settings, store)
                use_marks(store.seal.sign("marks of addresses"))
        except TROUBLE as error:
            raise StoreAway(f"store: cannot be opened: {describe_trouble(error)}") from None
        yield store
    finally:
        await store.aclose()


async def rotate_seal(settings: StoreSettings, key_file: Path | None = None) -> tuple[int, int]:
    """Seal the store under a new key; returns how many values, and how many could not be opened.

    A key in the data folder is replaced by the new one, and ``key_file`` is not needed. If the key is a setting,
    the new one is written to ``key_file``, and has to be put into the settings of every machine.
    Raises ValueError, OSError. If it is killed, the change is complete or not made, and the key in use is not lost.
    """
    given = settings.seal_key.get_secret_value()
    if given and key_file is None:
        raise ValueError("seal-key: is a setting, so the new key needs a file of its own: --key-file FILE")
    if not given and key_file is not None:
        raise ValueError(
            "--key-file: is for a key that is a setting; this one is in the data folder and is replaced there"
        )
    async with open_store(settings) as store:
        next_file = key_file or _next_key_file(settings)
        key = load_or_make_key(next_file)
        new = Seal(key)
        if new.fingerprint == store.seal.fingerprint:
            raise ValueError(f"{next_file}: holds the present key; name a file that is not there yet")
        try:
            async with store.write_at_length() as connection:
                done = await sealing.rotate(connection, store.seal, new)
        except TROUBLE as error:
            raise StoreAway(f"store: cannot be opened: {describe_trouble(error)}") from None
    if not given:
        # Who may read the present one, as the service does, may read the next: the command may be root's.
        owner = _key_file(settings).stat()
        os.chown(next_file, owner.st_uid, owner.st_gid)
        os.replace(next_file, _key_file(settings))
    return done


def _make_file(file: Path) -> None:
    """Create the file for its owner only, whatever the folder's mode; SQLite gives its log the same mode. A failure is
    left for SQLite to report. An existing file is not opened: closing it would drop SQLite's locks of this process.
    """
    with contextlib.suppress(OSError):
        os.close(os.open(file, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))


def _key_file(settings: StoreSettings) -> Path:
    return settings.data_dir / _SEAL_KEY


def _next_key_file(settings: StoreSettings) -> Path:
    """The file with the next key while the store is being sealed under it."""
    return settings.data_dir / f"{_SEAL_KEY}.next"


async def _make_key(settings: StoreSettings, url: str) -> str:
    """The first key, of a store in which nothing is sealed yet. Raises ValueError for any other."""
    look = Store(url, Seal(Fernet.generate_key().decode()))
    try:
        async with look.read() as connection:
            is_sealed = await sealing.is_sealed(connection)
    except TROUBLE as error:
        raise StoreAway(f"store: cannot be opened: {describe_trouble(error)}") from None
    finally:
        await look.aclose()
    # Somebody else may have made both the key and the store meanwhile.
    if is_sealed and (key := read_seal_key(settings)) is not None:
        return key
    if is_sealed:
        raise ValueError(
            f"seal-key: is missing, and the store is sealed: put the service's key into {_key_file(settings)} or give "
            "it as the setting seal-key; without it a backup has to be restored into a new store"
        )
    return load_or_make_key(_key_file(settings))


async def _compare_key(settings: StoreSettings, store: Store) -> None:
    """Check that the key is the store's; if a rotation was cut off at its end, put its key in place."""
    try:
        async with store.write() as connection:
            await sealing.open_seal(connection, store.seal)
    except SealBroken as refused:
        following = _next_key_file(settings)
        if settings.seal_key.get_secret_value() or not following.exists():
            raise
        seal = Seal(following.read_text().strip())
        try:
            async with store.write() as connection:
                await sealing.open_seal(connection, seal)
        except SealBroken:
            raise refused from None
        os.replace(following, _key_file(settings))
        store.seal = seal
