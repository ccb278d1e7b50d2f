"""A database that is used again is as a new one, and one that cannot be is not used again."""

import asyncpg

from kit.emptied import EmptiedDatabases
from kit.postgresql import PostgreSql

SCHEMA = (
    "CREATE TABLE alembic_version (version_num text); INSERT INTO alembic_version VALUES ('1');"
    "CREATE TABLE kept (id serial PRIMARY KEY, name text); INSERT INTO kept (name) VALUES ('default');"
    "CREATE TABLE other (kept_id integer REFERENCES kept)"
)


async def execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    await connection.execute(statement)
    await connection.close()


async def made(postgresql_server: PostgreSql) -> EmptiedDatabases:
    template = postgresql_server.database()
    await execute(template, SCHEMA)
    return EmptiedDatabases(postgresql_server, template)


async def test_what_a_test_wrote_is_gone(postgresql_server: PostgreSql) -> None:
    """Rows, those of the template that were changed, numbers given out, and who is still connected."""
    databases = await made(postgresql_server)
    url = await databases.take()
    await execute(url, "UPDATE kept SET name = 'changed'; INSERT INTO kept (name) VALUES ('b'), ('c')")
    left = await asyncpg.connect(url)
    await left.execute("BEGIN; INSERT INTO other VALUES (2)")
    await databases.give_back(url)
    assert await databases.take() == url
    connection = await asyncpg.connect(url)
    assert [tuple(row) for row in await connection.fetch("SELECT id, name FROM kept")] == [(1, "default")]
    assert await connection.fetch("SELECT * FROM other") == []
    assert await connection.fetchval("SELECT nextval('kept_id_seq')") == 2
    await connection.close()
    left.terminate()


async def test_a_database_whose_schema_was_changed_is_not_used_again(postgresql_server: PostgreSql) -> None:
    """Nor one that has grown, or one of another version."""
    for change in (
        "ALTER TABLE other ADD more text",
        "CREATE INDEX more ON other (kept_id)",
        "CREATE SCHEMA more",
        "ALTER TABLE kept ALTER name SET NOT NULL",
        "UPDATE alembic_version SET version_num = '2'",
        "INSERT INTO kept (name) SELECT repeat('x', 1000) FROM generate_series(1, 2000)",
    ):
        databases = await made(postgresql_server)
        url = await databases.take()
        await execute(url, change)
        await databases.give_back(url)
        assert await databases.take() != url, change
