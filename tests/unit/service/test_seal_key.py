"""The seal key of the settings and the store it belongs to: compared, never made anew in silence, and exchanged."""

import asyncio
import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from cryptography.fernet import Fernet
from pydantic import SecretStr
from task_samples import make_spec
from typer.testing import CliRunner

from kit import postgresql
from streamferry.cli.commands import app
from streamferry.config import Settings
from streamferry.control.actions import Actions
from streamferry.control.callbacks import Callbacks
from streamferry.control.clock import SystemClock
from streamferry.media.url import MediaUrl
from streamferry.service.store_access import Purpose, open_store, prepare_data_dir, rotate_seal
from streamferry.store import Seal, Store, sealing, sqlite_url, timing, workers
from streamferry.store.digests import destination_digest
from streamferry.store.schema import metadata, seal_key, task, task_spec
from streamferry.tasks.model import TaskItem, TaskKind, TaskSpec
from streamferry.web.rest.rest_errors import RestError
from streamferry.web.rest.tokens import Tokens
from streamferry.worker.preview_passes import Passes


class Killed(BaseException):
    """What nothing catches."""


CALLBACK = "http://calls.example/hook?k=planted"


@pytest.fixture(params=["sqlite", "postgresql"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A store that is not there yet, of each database."""
    if request.param == "sqlite":
        return sqlite_url(tmp_path / "store.db")
    server: postgresql.PostgreSql = request.getfixturevalue("postgresql_server")
    return server.database()


@pytest.fixture
def settings(store_url: str, tmp_path: Path) -> Settings:
    """Of a service with its key in the data folder."""
    return settings_of(tmp_path / "one", store_url)


@pytest.fixture
def not_killed() -> Iterator[pytest.MonkeyPatch]:
    with pytest.MonkeyPatch.context() as patch:
        yield patch


def settings_of(folder: Path, store_url: str, key: str = "") -> Settings:
    made = Settings(data_dir=folder, store=SecretStr(store_url), seal_key=SecretStr(key))
    prepare_data_dir(made)
    return made


def a_spec() -> TaskSpec:
    now = datetime.now(UTC)
    return TaskSpec(
        kind=TaskKind.LIVE,
        items=(TaskItem(MediaUrl.parse("rtmp://camera.example/a/b?token=planted")),),
        destination=MediaUrl.parse("rtmp://push.example/live/planted"),
        start_at=now,
        end_at=now + timedelta(hours=1),
        callback_url=CALLBACK,
    )


async def fill(store: Store) -> tuple[str, str, str]:
    """A task with a receiver, a secret for it and an access key: the task's id, the secret and the key's id."""
    actions = Actions(store)
    task_id = await actions.create_task(a_spec())
    return task_id, await Callbacks(store).secret(), (await actions.create_key()).access_key_id


async def check(store: Store, made: tuple[str, str, str]) -> None:
    """All that was filled in opens, and digests are what they were."""
    task_id, secret, key_id = made
    actions = Actions(store)
    record = await actions.get_task(task_id)
    assert record.problem is None
    assert record.spec.callback_url == CALLBACK
    assert await Callbacks(store).secret() == secret
    assert await actions.find_key(key_id) is not None
    async with store.read() as connection:
        digest = (await connection.execute(sa.select(task.c.destination_digest))).scalar_one()
    assert destination_digest(store.seal, record.spec.destination) == digest


async def refusal(settings: Settings) -> str:
    with pytest.raises(ValueError, match="seal") as caught:
        async with open_store(settings, Purpose.SERVE):
            pass
    return str(caught.value)


def test_every_sealed_column_is_exchanged() -> None:
    """One that is added to the schema has to be added to the rotation."""
    named = {column for table in metadata.tables.values() for column in table.columns if "sealed" in column.name}
    assert named == {*sealing.SEALED, seal_key.c.sealed_digest_key}


async def test_a_second_machine_with_another_key_took_the_fleet_down(
    settings: Settings, store_url: str, tmp_path: Path
) -> None:
    """It is refused in words that tell the two keys apart, and leaves no key behind that would be used later."""
    async with open_store(settings, Purpose.SERVE) as store:
        made = await fill(store)
    # Without a key it makes none for a store that is in use.
    second = settings_of(tmp_path / "two", store_url)
    assert "is missing" in await refusal(second)
    assert os.listdir(second.data_dir) == []
    # With another one it is refused, as a setting and in the folder.
    other = Fernet.generate_key().decode()
    for wrong in (settings_of(tmp_path / "three", store_url, other), second):
        (second.data_dir / "seal.key").write_text(other)
        told = await refusal(wrong)
        assert "is sealed under key" in told
        assert other not in told
    done = await asyncio.to_thread(
        CliRunner().invoke, app, ["key", "create", "--data-dir", str(second.data_dir), "--store", store_url]
    )
    assert done.exit_code == 2
    assert "is sealed under key" in done.output
    async with open_store(settings, Purpose.SERVE) as store:
        await check(store, made)
        assert len(await Actions(store).list_keys()) == 1


async def test_a_worker_needs_the_key_of_its_service(settings: Settings, store_url: str, tmp_path: Path) -> None:
    """It makes none."""
    async with open_store(settings_of(tmp_path / "service", store_url), Purpose.SERVE):
        pass
    with pytest.raises(ValueError, match="none in"):
        async with open_store(settings):
            pass
    assert not (settings.data_dir / "seal.key").exists()


async def test_a_store_of_an_older_version_is_taken_over_by_its_own_key_only(
    settings: Settings, store_url: str, tmp_path: Path
) -> None:
    """The row is written when the key opens something, be it that much else is damaged."""
    async with open_store(settings, Purpose.SERVE) as store:
        made = await fill(store)
        async with store.write() as connection:
            await connection.execute(seal_key.delete())
            row = {"task_id": "spoiled", "sealed_spec": b"spoiled"}
            await connection.execute(task_spec.insert(), row)
    assert "under another key" in await refusal(
        settings_of(tmp_path / "two", store_url, Fernet.generate_key().decode())
    )
    assert "is missing" in await refusal(settings_of(tmp_path / "three", store_url))
    async with open_store(settings, Purpose.SERVE) as store:
        await check(store, made)
        async with store.read() as connection:
            assert (await connection.execute(sa.select(seal_key.c.fingerprint))).scalar_one() == store.seal.fingerprint


async def test_rotation_of_a_key_in_the_data_folder(settings: Settings, store_url: str, tmp_path: Path) -> None:
    """The old key opens nothing any more, the new one everything; what was damaged is counted and stays."""
    async with open_store(settings, Purpose.SERVE) as store:
        made = await fill(store)
        async with store.write() as connection:
            await connection.execute(task_spec.insert(), {"task_id": "spoiled", "sealed_spec": b"spoiled"})
    old = (settings.data_dir / "seal.key").read_text().strip()
    if os.geteuid() == 0:
        os.chown(settings.data_dir / "seal.key", 12345, 12345)
    owner = (settings.data_dir / "seal.key").stat()
    assert await rotate_seal(settings) == (4, 1)
    replaced = (settings.data_dir / "seal.key").stat()
    assert (replaced.st_uid, replaced.st_gid) == (owner.st_uid, owner.st_gid)
    assert (settings.data_dir / "seal.key").read_text().strip() != old
    assert os.listdir(settings.data_dir) == ["seal.key"]
    assert (settings.data_dir / "seal.key").stat().st_mode & 0o777 == 0o600
    assert "is sealed under key" in await refusal(settings_of(tmp_path / "old", store_url, old))
    async with open_store(settings, Purpose.SERVE) as store:
        await check(store, made)
    # Again, and the digests still hold.
    assert (await rotate_seal(settings))[0] == 4
    async with open_store(settings, Purpose.SERVE) as store:
        await check(store, made)


async def test_after_a_rotation_passes_still_open_no_spec(settings: Settings) -> None:
    """What they decide by is of the spec as it is sealed now: a spec that cannot be opened makes no difference."""
    async with open_store(settings, Purpose.SERVE) as store:
        await Actions(store).create_task(make_spec())
    await rotate_seal(settings)
    async with open_store(settings) as store, store.read() as connection:
        row = (await connection.execute(timing.WITH_TIMING)).mappings().one()
        assert timing.read(Seal(Fernet.generate_key().decode()), row).list.spans_ms == ((0, None),)


async def test_what_the_old_key_had_signed_was_good_for_ever(settings: Settings) -> None:
    """Tokens, passes to previews and marks are of the present key: who had the old one and the old store makes none."""
    address = MediaUrl.parse("rtmp://push.example/live/planted")
    async with open_store(settings, Purpose.SERVE) as store:
        actions = Actions(store)
        pair = await actions.create_key()
        token, _ = Tokens(actions, store.seal, SystemClock()).make(pair, timedelta(hours=1))
        assert (await Tokens(actions, store.seal, SystemClock()).prove(token)).access_key_id == pair.access_key_id
        given, shown = Passes(store.seal.sign).issue("a task"), address.redacted
        assert Passes(store.seal.sign).admits(given, "a task")
    await rotate_seal(settings)
    async with open_store(settings, Purpose.SERVE) as store:
        with pytest.raises(RestError, match="not valid"):
            await Tokens(Actions(store), store.seal, SystemClock()).prove(token)
        assert not Passes(store.seal.sign).admits(given, "a task")
        assert address.redacted != shown
        assert not address.is_shown_as(shown)


async def test_rotation_of_a_key_of_the_settings(store_url: str, tmp_path: Path) -> None:
    """The new one goes into a file that is named, from where it is put into the settings."""
    old = Fernet.generate_key().decode()
    settings = settings_of(tmp_path / "one", store_url, old)
    async with open_store(settings, Purpose.SERVE) as store:
        made = await fill(store)
    with pytest.raises(ValueError, match="--key-file"):
        await rotate_seal(settings)
    new_file = tmp_path / "new.key"
    await rotate_seal(settings, new_file)
    assert new_file.stat().st_mode & 0o777 == 0o600
    assert "is sealed under key" in await refusal(settings)
    async with open_store(
        settings_of(tmp_path / "one", store_url, new_file.read_text().strip()), Purpose.SERVE
    ) as store:
        await check(store, made)
    with pytest.raises(ValueError, match="present key"):
        await rotate_seal(settings_of(tmp_path / "one", store_url, new_file.read_text().strip()), new_file)


@pytest.mark.parametrize("moment", ["before", "within", "after"])
async def test_a_rotation_that_is_killed_has_happened_or_not(
    settings: Settings, moment: str, not_killed: pytest.MonkeyPatch
) -> None:
    """Before the commit nothing has changed; behind it the next start puts the new key in its place."""
    async with open_store(settings, Purpose.SERVE) as store:
        made = await fill(store)

    def killed(*_: object, **__: object) -> None:
        raise Killed

    place = {
        "before": "streamferry.store.sealing.rotate",
        "within": "streamferry.store.sealing._values",
        "after": "streamferry.service.store_access.os.replace",
    }[moment]
    with not_killed.context() as patch:
        patch.setattr(place, killed)
        with pytest.raises(Killed):
            await rotate_seal(settings)
    assert sorted(os.listdir(settings.data_dir)) == ["seal.key", "seal.key.next"]
    async with open_store(settings, Purpose.SERVE) as store:
        await check(store, made)
    assert os.listdir(settings.data_dir).count("seal.key.next") == (0 if moment == "after" else 1)
    assert (await rotate_seal(settings))[0] == 4
    async with open_store(settings, Purpose.SERVE) as store:
        await check(store, made)
    assert os.listdir(settings.data_dir) == ["seal.key"]


async def test_a_key_that_is_in_use_is_not_exchanged(settings: Settings) -> None:
    """As long as a worker of any machine has a lease; the service is to be stopped first."""
    async with open_store(settings, Purpose.SERVE) as store:
        made = await fill(store)
        async with store.write() as connection:
            await workers.register(connection, "far-away-1", 10)
    with pytest.raises(ValueError, match=r"workers run \(far-away-1\): stop the service"):
        await rotate_seal(settings)
    async with open_store(settings, Purpose.SERVE) as store:
        await check(store, made)
