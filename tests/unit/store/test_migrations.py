"""The migrations give exactly the schema that the code uses."""

from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from cryptography.fernet import Fernet

from streamferry.store import Seal, Store, migrate, sqlite_url
from streamferry.store import schema as schema_module
from streamferry.store.schema import metadata


async def test_migrations_and_schema_agree(store: Store) -> None:
    """A migrated store has every table, column and index of the schema and no other, on both databases."""

    def difference(connection: sa.Connection) -> object:
        return compare_metadata(MigrationContext.configure(connection, opts={"compare_type": True}), metadata)

    async with store.read() as connection:
        assert await connection.run_sync(difference) == []


async def test_migrating_again_changes_nothing(store: Store) -> None:
    """An upgrade at each start is safe."""
    await migrate(store)
    async with store.read() as connection:
        assert (await connection.execute(sa.text("SELECT name FROM task_group"))).scalars().all() == ["default"]


async def test_a_broken_migration_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Migrating is one transaction: a crash in it leaves the store as it was."""
    store = Store(sqlite_url(tmp_path / "store.db"), Seal(Fernet.generate_key().decode()))

    def crash(*_: object) -> None:
        raise RuntimeError("crash")

    with monkeypatch.context() as patch:
        patch.setattr("alembic.operations.Operations.execute", crash)
        with pytest.raises(RuntimeError):
            await migrate(store)
    async with store.read() as connection:
        tables = await connection.run_sync(lambda sync: sa.inspect(sync).get_table_names())
    assert tables == []
    await migrate(store)
    await store.aclose()


def test_migrations_are_one_line() -> None:
    """Each has a number of its own and follows the one before it; a merge may bring two of one number."""
    files = sorted((Path(schema_module.__file__).parent / "migrations" / "versions").glob("v[0-9]*.py"))
    numbers = [file.name[1:5] for file in files]
    assert numbers == [f"{number:04}" for number in range(1, len(files) + 1)]
    for number, file in zip(numbers, files, strict=True):
        assert f'revision = "{number}"' in file.read_text()
