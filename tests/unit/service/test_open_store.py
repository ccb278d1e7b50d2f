"""Opening the store of the settings."""

from pathlib import Path

import pytest
from pydantic import SecretStr

from kit import postgresql
from streamferry.config import Settings
from streamferry.service.store import open_store, prepare_data_dir


async def refusal(settings: Settings) -> str:
    """What is said of a store that cannot be opened."""
    prepare_data_dir(settings)
    with pytest.raises(ValueError, match="store: cannot be opened") as caught:
        async with open_store(settings, migrates=True):
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
