"""Opening the store of the settings."""

import contextlib
import os
import sqlite3
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from pydantic import SecretStr

from kit import postgresql
from streamferry.config import Settings
from streamferry.service.store_access import Purpose, StoreMissing, open_store, prepare_data_dir
from streamferry.store import TROUBLE, Seal, Store, describe_to_strangers, describe_trouble
from streamferry.store.migrate import OLDEST


async def refusal(settings: Settings) -> str:
    """What is said of a store that cannot be opened."""
    prepare_data_dir(settings)
    with pytest.raises(ValueError, match="store: cannot be opened") as caught:
        async with open_store(settings, Purpose.SERVE):
            pass
    return str(caught.value)


async def test_a_file_that_cannot_be_opened_was_a_traceback(tmp_path: Path) -> None:
    """It is a sentence, for every command that opens the store."""
    store = SecretStr(f"sqlite:///{tmp_path}/no/such/folder/store.db")
    assert (
        await refusal(Settings(data_dir=tmp_path, store=store))
        == "store: cannot be opened: unable to open database file"
    )


async def test_a_database_that_cannot_be_reached_is_named(tmp_path: Path) -> None:
    """As the store, without its address."""
    settings = Settings(data_dir=tmp_path, store=SecretStr("postgresql://me:planted@127.0.0.1:9/none"))
    assert await refusal(settings) == "store: cannot be opened: Connection refused"


@pytest.mark.e2e
async def test_a_database_that_is_not_there_is_told(tmp_path: Path, postgresql_server: postgresql.PostgreSql) -> None:
    """In the words of the server."""
    store = SecretStr(postgresql_server.database().rpartition("/")[0] + "/nosuch")
    words = await refusal(Settings(data_dir=tmp_path, store=store))
    assert 'database "nosuch" does not exist' in words


@pytest.mark.parametrize("purpose", [Purpose.SERVE, Purpose.RESTORE])
async def test_who_serves_or_restores_makes_a_store(tmp_path: Path, purpose: Purpose) -> None:
    """In an empty folder, with a key."""
    async with open_store(Settings(data_dir=tmp_path), purpose):
        pass
    assert (tmp_path / "seal.key").is_file()


async def test_a_command_that_looks_made_a_store(tmp_path: Path) -> None:
    """Beside a service whose folder is elsewhere: now it says where it looked, and leaves nothing there."""
    folder = tmp_path / "none"
    with pytest.raises(StoreMissing, match=f"no store in {folder}") as caught:
        async with open_store(Settings(data_dir=folder)):
            pass
    assert caught.value.folder == folder
    assert not folder.exists()


async def test_a_store_without_its_key_gets_no_new_one(tmp_path: Path) -> None:
    """Nothing in it could be opened with that."""
    async with open_store(Settings(data_dir=tmp_path), Purpose.SERVE):
        pass
    (tmp_path / "seal.key").unlink()
    with pytest.raises(ValueError, match="seal-key: there is none in"):
        async with open_store(Settings(data_dir=tmp_path)):
            pass
    assert not (tmp_path / "seal.key").exists()


@pytest.mark.parametrize(("revision", "words"), [("0001", "upgrade the service first"), ("9999", "newer streamferry")])
async def test_looking_changed_the_schema(tmp_path: Path, revision: str, words: str) -> None:
    """So that the version that served it could not go on: a store of another version is left as it is."""
    settings = Settings(data_dir=tmp_path)
    async with open_store(settings, Purpose.SERVE):
        pass
    with contextlib.closing(sqlite3.connect(tmp_path / "store.db", isolation_level=None)) as file:
        file.execute("UPDATE alembic_version SET version_num = ?", (revision,))
        with pytest.raises(ValueError, match=words):
            async with open_store(settings):
                pass
        assert file.execute("SELECT version_num FROM alembic_version").fetchall() == [(revision,)]


@pytest.mark.parametrize(("oldest", "begins"), [(OLDEST, True), ("9998", False), (None, False)])
async def test_the_program_before_could_not_begin_beside_a_newer_store(
    tmp_path: Path, oldest: str | None, begins: bool
) -> None:
    """A worker whose machine restarts amid an upgrade, a service that goes back: they may, where the store says so, and
    leave it as it is. What would have to know all that is in it, as a backup, may not.
    """
    settings = Settings(data_dir=tmp_path)
    async with open_store(settings, Purpose.SERVE):
        pass
    with contextlib.closing(sqlite3.connect(tmp_path / "store.db", isolation_level=None)) as file:
        file.execute("UPDATE alembic_version SET version_num = '9999'")
        file.execute(
            "UPDATE compatibility SET oldest = ?" if oldest else "DROP TABLE compatibility", (oldest,) * bool(oldest)
        )
        for purpose, is_told in ((Purpose.SERVE, not begins), (Purpose.WORK, not begins), (Purpose.USE, True)):
            with pytest.raises(ValueError, match="newer streamferry") if is_told else contextlib.nullcontext():
                async with open_store(settings, purpose):
                    pass
        assert file.execute("SELECT version_num FROM alembic_version").fetchall() == [("9999",)]


async def test_a_file_that_is_no_store_is_told(tmp_path: Path) -> None:
    """As one that cannot be opened."""
    (tmp_path / "store.db").write_bytes(b"This is a note and no database. " * 200)
    (tmp_path / "seal.key").write_text(Fernet.generate_key().decode())
    with pytest.raises(ValueError, match="store: cannot be opened: file is not a database"):
        async with open_store(Settings(data_dir=tmp_path)):
            pass


@pytest.mark.e2e
async def test_an_empty_database_holds_no_store(tmp_path: Path, postgresql_server: postgresql.PostgreSql) -> None:
    """And gets none by being looked at."""
    address = postgresql_server.database()
    settings = Settings(data_dir=tmp_path, store=SecretStr(address), seal_key=SecretStr(Fernet.generate_key().decode()))
    with pytest.raises(StoreMissing, match="no store in that database"):
        async with open_store(settings):
            pass
    assert (
        postgresql_server.execute(
            "SELECT count(*) FROM information_schema.tables WHERE table_schema = 'public'", address
        ).strip()
        == "0"
    )


async def test_postgresql_without_its_extra_was_a_traceback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sentence says how to install it."""
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    settings = Settings(data_dir=tmp_path, store=SecretStr("postgresql://me@127.0.0.1/x"))
    with pytest.raises(ValueError, match=r"pip install 'streamferry\[postgresql\]'"):
        async with open_store(settings, Purpose.SERVE):
            pass


@pytest.mark.parametrize(("part", "words"), [("database", "does not let the service in"), ("host", "Connection")])
async def test_a_stranger_learns_no_name_from_trouble(
    postgresql_server: postgresql.PostgreSql, part: str, words: str
) -> None:
    """The log has the server's own words, which name the database; who has no token yet learns what kind it is."""
    url = postgresql_server.database().rpartition("/")[0] if part == "database" else "postgresql://planted@127.0.0.1:9"
    other = Store(f"{url}/planted", Seal(Fernet.generate_key().decode()))
    with pytest.raises(TROUBLE) as raised:
        async with other.read():
            pass
    await other.aclose()
    told = describe_to_strangers(raised.value)
    assert words in told
    assert "planted" not in told
    assert ("planted" in describe_trouble(raised.value)) is (part == "database")


@pytest.mark.parametrize("purpose", [Purpose.SERVE, Purpose.RESTORE])
async def test_a_store_in_a_folder_that_others_may_read_was_theirs_to_read(tmp_path: Path, purpose: Purpose) -> None:
    """With SQLite's own files beside it; whatever the umask."""
    os.chmod(tmp_path, 0o755)
    before = os.umask(0o022)
    try:
        async with open_store(Settings(data_dir=tmp_path), purpose):
            with os.scandir(tmp_path) as found:
                modes = {entry.name: entry.stat().st_mode & 0o777 for entry in found}
    finally:
        os.umask(before)
    assert "store.db" in modes
    assert set(modes.values()) == {0o600}
