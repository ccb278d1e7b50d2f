"""PostgreSQL databases that are used again: emptied after each test, which takes a tenth of making another one."""

import asyncpg

from kit.postgresql import PostgreSql

#: A table that a test has made larger is no longer like a new one: its pages stay, and so does what is known of them.
_MOST_BYTES = 1 << 20

#: All that makes the schema what it is; a test that changes anything of it has its database to itself.
_SCHEMA = """
SELECT md5(string_agg(part, ',' ORDER BY part)) FROM (
  SELECT 'schema ' || nspname FROM pg_namespace WHERE nspname NOT LIKE 'pg\\_%'
  UNION ALL SELECT concat_ws(' ', 'relation', oid, relname, relkind) FROM pg_class WHERE relnamespace >= 2200
  UNION ALL SELECT concat_ws(' ', 'column', attrelid, attnum, attname, atttypid, attnotnull, atthasdef)
    FROM pg_attribute WHERE attrelid >= 16384
  UNION ALL SELECT concat_ws(' ', 'constraint', oid, conname, convalidated) FROM pg_constraint WHERE oid >= 16384
  UNION ALL SELECT concat_ws(' ', 'trigger', oid, tgname, tgenabled) FROM pg_trigger WHERE oid >= 16384
  UNION ALL SELECT concat_ws(' ', 'function', oid, proname) FROM pg_proc WHERE oid >= 16384
  UNION ALL SELECT concat_ws(' ', 'setting', setdatabase, setconfig) FROM pg_db_role_setting
  UNION ALL SELECT concat_ws(' ', 'version', version_num) FROM alembic_version
) AS parts (part)
"""
_TABLES = """
SELECT relname, pg_relation_size(oid) FROM pg_class WHERE relkind = 'r' AND relname <> 'alembic_version'
  AND relnamespace = 'public'::regnamespace
"""
_SEQUENCES = "SELECT seqrelid::regclass::text, seqstart, pg_sequence_last_value(seqrelid) FROM pg_sequence"
_OTHERS = """
SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
  WHERE datname = current_database() AND pid <> pg_backend_pid()
"""


class EmptiedDatabases:
    """Copies of a template with few rows, each for one test at a time."""

    def __init__(self, server: PostgreSql, template: str) -> None:
        self._server = server
        self._template = template
        self._free: list[str] = []
        self._schemas: dict[str, str] = {}
        #: The rows of the template's tables that have some, as JSON.
        self._rows: dict[str, str] = {}
        #: Sequence -> its next number, as ``setval`` takes it.
        self._numbers: dict[str, tuple[int, bool]] = {}

    async def take(self) -> str:
        """The address of one that nobody uses."""
        if self._free:
            return self._free.pop()
        url = self._server.database(self._template)
        connection = await asyncpg.connect(url)
        try:
            self._schemas[url] = await connection.fetchval(_SCHEMA)
            if not self._numbers:
                for name, first, last in await connection.fetch(_SEQUENCES):
                    self._numbers[name] = (last or first, last is not None)
                names = [name for name, _ in await connection.fetch(_TABLES)]
                rows = {name: await connection.fetchval(f'SELECT json_agg(one) FROM "{name}" AS one') for name in names}
                self._rows = {name: found for name, found in rows.items() if found is not None}
        finally:
            await connection.close()
        return url

    async def give_back(self, url: str) -> None:
        """Make it like a new one for the next test, unless its schema is another one now; then it is left as it is."""
        try:
            connection = await asyncpg.connect(url)
        except (OSError, asyncpg.PostgresError):
            return
        try:
            await connection.execute(_OTHERS)
            tables: dict[str, int] = dict(await connection.fetch(_TABLES))
            if max(tables.values()) > _MOST_BYTES or await connection.fetchval(_SCHEMA) != self._schemas[url]:
                return
            # Without looking at what refers to what.
            deletions = [f'DELETE FROM "{name}"' for name in tables]
            await connection.execute(";".join(["SET session_replication_role = replica", *deletions]))
            for name, rows in self._rows.items():
                restore = f'INSERT INTO "{name}" SELECT * FROM json_populate_recordset(NULL::"{name}", $1)'
                await connection.execute(restore, rows)
            for name, (number, is_taken) in self._numbers.items():
                await connection.execute("SELECT setval($1::text::regclass, $2, $3)", name, number, is_taken)
        except asyncpg.PostgresError:
            return
        finally:
            await connection.close()
        self._free.append(url)
