"""The migrations give exactly the schema that the code uses."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from cryptography.fernet import Fernet

from streamferry.store import Seal, Store, migrate, sqlite_url
from streamferry.store import schema as schema_module
from streamferry.store.migrate import OLDEST, read_revision
from streamferry.store.schema import metadata


async def test_migrations_and_schema_agree(store: Store) -> None:
    """A migrated store has every table, column and index of the schema and no other, on both databases."""

    def difference(connection: sa.Connection) -> object:
        return compare_metadata(MigrationContext.configure(connection, opts={"compare_type": True}), metadata)

    async with store.read() as connection:
        assert await connection.run_sync(difference) == []


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
async def test_a_new_store_is_what_the_migrations_make(
    tmp_path: Path, database: str, request: pytest.FixtureRequest
) -> None:
    """Made at once, or by each migration in turn: the same tables, columns, keys, indexes, triggers and rows."""
    newest = sorted(_versions())[-1].name[1:5]
    described = []
    for revision in ("head", newest):
        url = sqlite_url(tmp_path / f"{revision}.db")
        if database == "postgresql":
            url = request.getfixturevalue("postgresql_server").database()
        described.append(await _described(url, revision))
    made, migrated = described
    assert len(made) == len(metadata.tables) + 1 + (database == "postgresql")
    assert made == migrated


async def _described(url: str, revision: str) -> dict[str, object]:
    store = Store(url, Seal(Fernet.generate_key().decode()))
    await migrate(store, revision)

    def describe(connection: sa.Connection) -> dict[str, object]:
        found = sa.inspect(connection)
        beside: dict[str, object] = {}
        if not store.is_file:
            beside["beside the tables"] = [connection.execute(sa.text(one)).all() for one in _BESIDE]
        return beside | {
            name: {
                "columns": sorted(
                    (one["name"], str(one["type"]), one["nullable"], _default_of(one), one.get("primary_key"))
                    for one in found.get_columns(name)
                ),
                "key": found.get_pk_constraint(name),
                "indexes": found.get_indexes(name),
                "unique": found.get_unique_constraints(name),
                "foreign": found.get_foreign_keys(name),
                "checks": found.get_check_constraints(name),
                "rows": connection.execute(sa.text(f"SELECT * FROM {name}")).mappings().all(),
            }
            for name in found.get_table_names()
        }

    async with store.read() as connection:
        described = await connection.run_sync(describe)
    await store.aclose()
    return described


#: Triggers and functions of a store in PostgreSQL.
_BESIDE = (
    "SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal ORDER BY 1",
    "SELECT pg_get_functiondef(oid) FROM pg_proc WHERE pronamespace = 'public'::regnamespace ORDER BY 1",
)


def _default_of(column: Mapping[str, Any]) -> str:
    return str(column["default"]).strip("'")


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
            await migrate(store, "0001")
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


async def test_the_program_before_can_go_on_beside_a_newer_store(tmp_path: Path) -> None:
    """Since the schema that the store names, no migration takes anything away, and each fills in what an older program
    does not know of. If this fails, that is to be the newest: in the migration, and in ``OLDEST``.
    """
    newest = max(path.name[1:5] for path in _versions())
    tables = [await _described(sqlite_url(tmp_path / f"{one}.db"), one) for one in (OLDEST, newest)]
    for name, old in tables[0].items():
        assert name in tables[1], f"table {name} is gone"
        known = {column[0] for column in old["columns"]}  # type: ignore[index]
        found = {column[0]: column for column in tables[1][name]["columns"]}  # type: ignore[index]
        assert known <= found.keys(), f"{name} has lost a column"
        for column in found.keys() - known:
            _, _, is_nullable, default, _ = found[column]
            assert is_nullable or default != "None", f"{name}.{column} needs a default"


async def test_the_newest_migrations_can_be_taken_back(store: Store) -> None:
    """To the oldest that a newer program works with, and made again: the schema is the same. So a version that does
    not do can be left."""
    newest = max(path.name[1:5] for path in _versions())

    def difference(connection: sa.Connection) -> object:
        return compare_metadata(MigrationContext.configure(connection, opts={"compare_type": True}), metadata)

    await migrate(store, OLDEST, is_back=True)
    async with store.read() as connection:
        assert await connection.run_sync(read_revision) == OLDEST
        assert await connection.run_sync(difference) != []
    await migrate(store, newest)
    async with store.read() as connection:
        assert await connection.run_sync(difference) == []


def _versions() -> list[Path]:
    return list(Path(schema_module.__file__).parent.glob("migrations/versions/v[0-9]*.py"))
