"""PostgreSQL that fails over, is reached through a pooler, or refuses: with real servers."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import sqlalchemy as sa
from cryptography.fernet import Fernet

from kit import programs
from kit.front import front
from kit.postgresql import PostgreSql, running
from kit.programs import Program
from kit.waiting import PATIENCE_S, accepts, free_ports, wait_for
from streamferry.control.actions import Actions
from streamferry.control.pulse import Pulse
from streamferry.control.store_ledger import StoreLedger
from streamferry.store import TROUBLE, Seal, Store, describe_trouble, migrate

SEAL_KEY = Fernet.generate_key().decode()


@pytest.fixture(scope="module")
def server() -> Iterator[PostgreSql]:
    """One of this module's own: its settings are changed."""
    with running() as one:
        yield one


@contextlib.asynccontextmanager
async def opened(url: str) -> AsyncIterator[Store]:
    store = Store(url, Seal(SEAL_KEY))
    try:
        yield store
    finally:
        await store.aclose()


async def migrated(server: PostgreSql) -> str:
    url = server.database()
    async with opened(url) as store:
        await migrate(store)
    return url


async def _write_until_refused(actions: Actions) -> None:
    """Each session of the server learns of a reload by a signal, in its own time."""
    while True:
        await actions.create_key()


async def test_a_pool_stayed_with_a_primary_that_became_a_standby(server: PostgreSql) -> None:
    """Reads went on, and every write failed for ever: the first that is refused throws all connections away."""
    url = await migrated(server)
    upstream, _, name = url.partition("@")[2].partition("/")
    with running() as promoted, front(upstream) as forwarder:
        other = await migrated(promoted)
        promoted.execute(f"ALTER DATABASE {other.rpartition('/')[2]} RENAME TO {name}_promoted")
        promoted.execute(f"ALTER DATABASE {name}_promoted RENAME TO {name}")
        async with opened(url.replace(upstream, f"127.0.0.1:{forwarder.port}")) as store:
            actions = Actions(store)
            await asyncio.gather(*(actions.create_key() for _ in range(4)))
            try:
                server.execute("ALTER SYSTEM SET default_transaction_read_only = on")
                server.execute("SELECT pg_reload_conf()")
                host, _, port = other.partition("@")[2].partition("/")[0].partition(":")
                forwarder.upstream = (host, int(port))
                with pytest.raises(TROUBLE) as caught:
                    await asyncio.wait_for(_write_until_refused(actions), timeout=10)
                assert "takes no writes now" in describe_trouble(caught.value)
                await asyncio.gather(*(actions.create_key() for _ in range(4)))
                assert len(await actions.list_keys()) == 4
            finally:
                server.execute("ALTER SYSTEM RESET default_transaction_read_only")
                server.execute("SELECT pg_reload_conf()")


async def test_a_restart_costs_no_call(server: PostgreSql) -> None:
    """The first one after it was an internal error: connections that the server has closed are not used."""
    async with opened(await migrated(server)) as store:
        actions = Actions(store)
        await asyncio.gather(*(actions.list_keys() for _ in range(4)))
        server.stop()
        with pytest.raises(TROUBLE):
            await actions.list_keys()
        server.start()
        assert await actions.list_keys() == []


async def test_too_many_connections_are_told(server: PostgreSql) -> None:
    """In PostgreSQL's words."""
    url = await migrated(server)
    server.execute("CREATE ROLE narrow LOGIN CONNECTION LIMIT 1")
    server.execute("GRANT ALL ON ALL TABLES IN SCHEMA public TO narrow", url)
    narrow = url.replace("tests@", "narrow@")
    async with opened(narrow) as first, opened(narrow) as second, first.read():
        with pytest.raises(TROUBLE) as caught:
            await Actions(second).list_keys()
        assert 'too many connections for role "narrow" (SQLSTATE 53300)' in describe_trouble(caught.value)


async def test_of_several_hosts_the_one_that_takes_writes_is_used(server: PostgreSql) -> None:
    """Whichever comes first, and one that is not there costs nothing but its refusal."""
    url = await migrated(server)
    place = url.partition("@")[2].partition("/")[0]
    dead = f"127.0.0.1:{free_ports(1)[0]}"
    async with opened(url.replace(place, f"{dead},{place}") + "?connect_timeout=2&application_name=sf") as store:
        assert await Actions(store).list_keys() == []


@dataclass(frozen=True)
class Pooler:
    """PgBouncer in front of an empty database. ``keeps``: whether it keeps prepared statements."""

    url: str
    keeps: bool


@pytest.fixture(params=[0, 100])
def pooler(request: pytest.FixtureRequest, server: PostgreSql, tmp_path: Path) -> Iterator[Pooler]:
    """In transaction mode with two sessions. Releases before 1.21 never keep statements, and do not know the setting.

    CI has the one of its distribution.
    """
    program_path = programs.need("pgbouncer")
    version = programs.run([program_path, "--version"]).stdout.split()[1]
    can_keep = tuple(map(int, version.split(".")[:2])) >= (1, 21)
    setting = f"max_prepared_statements = {request.param}\n" if can_keep else ""
    url = server.database()
    place, _, name = url.partition("@")[2].partition("/")
    host, _, port = place.partition(":")
    (mine,) = free_ports(1)
    users = tmp_path / "users.txt"
    users.write_text('"tests" ""\n')
    (tmp_path / "pgbouncer.ini").write_text(
        f"[databases]\n{name} = host={host} port={port} dbname={name}\n"
        f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {mine}\nauth_type = trust\nauth_file = {users}\n"
        "pool_mode = transaction\ndefault_pool_size = 2\nunix_socket_dir =\n" + setting
    )
    words: list[str | Path] = [program_path, tmp_path / "pgbouncer.ini"]
    if os.geteuid() == 0:
        tmp_path.chmod(0o755)
        for parent in tmp_path.parents:
            if parent.stat().st_uid == 0 and not parent.stat().st_mode & 0o001:
                parent.chmod(parent.stat().st_mode | 0o011)
        words = [*words[:1], "--user", "postgres", *words[1:]]
    with Program(words, tmp_path / "pgbouncer.log") as program:
        wait_for("PgBouncer", lambda: accepts(mine) or not program.is_running)
        assert program.is_running, program.output
        yield Pooler(f"postgresql://tests@127.0.0.1:{mine}/{name}", keeps=can_keep and request.param > 0)


async def test_a_pooler_in_transaction_mode_could_not_be_connected_to(pooler: Pooler) -> None:
    """Ten at once on two sessions: tasks, keys, leases, the pulse; nothing of one session is asked of another."""
    async with opened(pooler.url) as store:
        await migrate(store)
        actions = Actions(store)
        ledgers = [StoreLedger(store, f"worker{number}", capacity=9) for number in range(4)]
        pulse = Pulse(store)

        async def work(ledger: StoreLedger) -> None:
            await ledger.register()
            for _ in range(5):
                await ledger.poll(0, 9)
                await ledger.report([], 0, None)
                await actions.create_key()
                await actions.list_keys()
                await pulse.beat()

        await asyncio.gather(*(work(ledger) for ledger in ledgers))
        # In transaction mode another client would hear what this one asked for: it returns, and workers ask.
        await asyncio.wait_for(ledgers[0].listen(lambda _: None), PATIENCE_S)
        assert len(await actions.list_keys()) == 20
        assert pulse.trouble is None
        async with store.read() as connection:
            # A statement without a name would be replaced by the next one of whoever has the session then.
            names = (await connection.execute(sa.text("SELECT name FROM pg_prepared_statements"))).scalars().all()
        assert bool(names) is pooler.keeps
