"""A backup and its restore, between both databases and back."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from cryptography.fernet import Fernet
from task_samples import make_spec

from kit.claims import claim
from streamferry.control.actions import Actions
from streamferry.media.url import MediaUrl
from streamferry.relay import State
from streamferry.store import Seal, Store, migrate, sqlite_url, workers
from streamferry.store.dump import dump, load, read_head
from streamferry.store.records import Intent
from streamferry.store.schema import metadata, run, worker

KEY = Fernet.generate_key().decode()


@pytest.fixture(params=["sqlite", "postgresql"])
async def source(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    """A store in use: a group, keys, a task that a worker has and one that is disabled."""
    store = await new_store(request, request.param, tmp_path / "source.db")
    await migrate(store)
    actions = Actions(store)
    await actions.create_key()
    await actions.create_group("films", "default")
    await actions.create_task(make_spec(group="films"))
    async with store.write() as connection:
        await workers.register(connection, "one", 10)
        await claim(connection, store.seal, "one", load=0, room=1)
    other = MediaUrl.parse("rtmp://push.example/live/other?token=t0p")
    await actions.stop_task(await actions.create_task(make_spec(destination=other)))
    yield store
    await store.aclose()


@pytest.fixture(params=["sqlite", "postgresql"])
async def target(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    """A database in which there is nothing yet."""
    store = await new_store(request, request.param, tmp_path / "target.db")
    yield store
    await store.aclose()


async def new_store(request: pytest.FixtureRequest, kind: str, file: Path) -> Store:
    if kind == "sqlite":
        return Store(sqlite_url(file), Seal(KEY))
    return Store(request.getfixturevalue("postgresql_server").database(), Seal(KEY))


async def rows_of(store: Store) -> dict[str, list[tuple[object, ...]]]:
    async with store.read() as connection:
        return {
            table.name: [tuple(row) for row in await connection.execute(sa.select(table).order_by(*table.primary_key))]
            for table in metadata.sorted_tables
            if table is not worker
        }


async def test_everything_comes_back(source: Store, target: Store) -> None:
    """Row by row, except that no worker has a task; new tasks get new numbers behind the old ones."""
    lines = [line async for line in dump(source)]
    assert not any("t0p" in line for line in lines)
    rest = iter(lines)
    revision, key = read_head(rest)
    assert key == KEY
    assert await load(target, rest, revision) == len(lines) - 2
    before, after = await rows_of(source), await rows_of(target)
    # The task that was held was freed, which is an event of its own.
    assert len(after.pop("event")) == len(before.pop("event")) + 1
    before.pop("run")
    after.pop("run")
    assert after == before
    actions = Actions(target)
    running, stopped = reversed((await actions.list_tasks()).records)
    assert (running.state, running.worker_id, running.spec.group) == (State.WAITING, None, "films")
    assert stopped.spec.destination.reveal().endswith("token=t0p")
    third = await actions.create_task(make_spec(destination=MediaUrl.parse("rtmp://push.example/live/third")))
    assert (await actions.list_tasks()).records[0].task_id == third
    async with target.write() as connection:
        await workers.register(connection, "two", 10)
        assert (await claim(connection, target.seal, "two", load=0, room=10)).tasks == 2


async def test_a_restore_forgot_which_workers_take_no_tasks(source: Store, target: Store) -> None:
    """A machine that was cordoned for repair took tasks again; that it ran is not kept, nor those that take tasks."""
    async with source.write() as connection:
        for worker_id in ("broken", "leaves"):
            await workers.register(connection, worker_id, 10, "127.0.0.1:9", lease_s=3_600)
    actions = Actions(source)
    await actions.set_intent("broken", Intent.CORDONED)
    await actions.set_intent("leaves", Intent.DRAINING)
    lines = iter([line async for line in dump(source)])
    revision, _ = read_head(lines)
    await load(target, lines, revision)
    actions = Actions(target)
    assert {one.worker_id: (one.intent, one.is_alive) for one in await actions.list_workers()} == {
        "broken": (Intent.CORDONED, False),
        "leaves": (Intent.DRAINING, False),
    }
    # Whatever the clock of the old machine said.
    async with target.write() as connection:
        for worker_id in ("broken", "other"):
            await workers.register(connection, worker_id, 10)
    assert {one.worker_id: one.intent for one in await actions.list_workers()} == {
        "broken": Intent.CORDONED,
        "leaves": Intent.DRAINING,
        "other": Intent.OPEN,
    }


async def test_a_backup_of_an_older_schema_is_brought_to_this_one(source: Store, target: Store) -> None:
    """With rows in it: columns that are new since have a value in each."""
    newer = ("lost_ms", "rtt_ms", "retransmits", "delivery_kbps", "server_ack_s", "played_out_ms")
    lines = []
    async for line in dump(source):
        one = json.loads(line)
        if one.get("table") == "run":
            one["row"] = {name: value for name, value in one["row"].items() if name not in newer}
        lines.append(json.dumps(one))
    rest = iter(lines)
    read_head(rest)
    assert await load(target, rest, "0015") == len(lines) - 2
    assert (await Actions(target).list_tasks()).total == 2
    async with target.write() as connection:
        assert set((await connection.execute(sa.select(run.c.lost_ms))).scalars()) == {0}
        await workers.register(connection, "two", 10)
        assert (await claim(connection, target.seal, "two", load=0, room=10)).tasks == 1


async def test_a_cut_backup_is_refused_and_nothing_of_it_stays(source: Store, target: Store) -> None:
    """Whatever line is missing at the end; so is a line that is cut."""
    lines = [line async for line in dump(source)]
    for damaged in (lines[:-1], [*lines[:-2], lines[-2][:20]], [*lines[:4], *lines[5:]]):
        rest = iter(damaged)
        revision, _ = read_head(rest)
        with pytest.raises(ValueError, match="cut"):
            await load(target, rest, revision)
        assert (await Actions(target).list_tasks()).total == 0


async def test_a_store_in_use_is_not_overwritten(source: Store) -> None:
    """Its tasks are there after the refusal."""
    rest = iter([line async for line in dump(source)])
    revision, _ = read_head(rest)
    before = await rows_of(source)
    with pytest.raises(ValueError, match="in use"):
        await load(source, rest, revision)
    assert await rows_of(source) == before


@pytest.mark.parametrize("line", ["", "\n", "[]", '{"kind":"other"}', '{"kind":"streamferry backup","format":2}'])
def test_other_files_are_refused(line: str) -> None:
    """With a sentence."""
    with pytest.raises(ValueError, match="backup"):
        read_head(iter([line]))


async def test_a_backup_of_a_newer_schema_is_refused(target: Store) -> None:
    """It says that a newer streamferry is needed."""
    with pytest.raises(ValueError, match="newer"):
        await load(target, iter([]), "9999")
