"""Groups, access keys and usage, on SQLite and on PostgreSQL."""

from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
from task_samples import make_spec

from streamferry.control.actions import Actions
from streamferry.media.url import MediaUrl
from streamferry.relay import RelayStatus, State
from streamferry.store import Store, usage, workers
from streamferry.store.database import read_now_ms
from streamferry.store.records import GroupRecord, GroupTag, KeyPair
from streamferry.store.schema import run
from streamferry.store.schema import usage as usage_table
from streamferry.tasks.errors import GroupExists, GroupInUse, GroupNotFound, InvalidField, KeyNotFound
from streamferry.worker import Report, Usage

pytestmark = pytest.mark.both_databases

TAG = GroupTag("Custom", "team", "体育")


@pytest.fixture
def actions(store: Store) -> Actions:
    return Actions(store)


async def names(actions: Actions, *statuses: int) -> list[str]:
    return [group.name for group in (await actions.list_groups(statuses=statuses)).records]


async def test_the_preset_group_is_there_and_stays(actions: Actions) -> None:
    """Its project is the preset one; it cannot be deleted."""
    page = await actions.list_groups()
    assert page.records == (GroupRecord("default", "default", (), False),)
    with pytest.raises(GroupInUse):
        await actions.delete_group("default")


async def test_a_group_from_its_creation_to_its_end(actions: Actions) -> None:
    """Its tags can be changed; deleted it is listed apart, and its name may be taken again."""
    await actions.create_group("sport", "media", [TAG])
    with pytest.raises(GroupExists):
        await actions.create_group("sport", "media")
    await actions.update_group("sport", [TAG, TAG])
    assert (await actions.list_groups(size=1, page=2)).records == (GroupRecord("sport", "media", (TAG, TAG), False),)
    await actions.delete_group("sport")
    assert (await names(actions, 0), await names(actions, 1)) == (["default"], ["sport"])
    assert (await actions.list_groups(statuses=(0, 1))).total == 2
    for act in (actions.delete_group("sport"), actions.update_group("sport", [])):
        with pytest.raises(GroupNotFound):
            await act
    await actions.create_group("sport", "other")
    assert await names(actions, 1) == []


async def test_a_group_with_tasks_cannot_be_deleted(actions: Actions) -> None:
    """Until they are deleted themselves."""
    await actions.create_group("sport", "media")
    task_id = await actions.create_task(make_spec(group="sport"))
    with pytest.raises(GroupInUse):
        await actions.delete_group("sport")
    await actions.delete_task(task_id)
    await actions.delete_group("sport")


async def test_a_key_opens_until_it_is_disabled(actions: Actions) -> None:
    """Its secret is found, and is not once it is disabled; lists show neither."""
    pair = await actions.create_key()
    assert await actions.find_key(pair.access_key_id) == pair
    assert await actions.find_key(pair.access_key_id + "x") is None
    (listed,) = await actions.list_keys()
    assert (listed.access_key_id, listed.enabled) == (pair.access_key_id, True)
    assert pair.secret not in repr(pair) + repr(listed)
    await actions.disable_key(pair.access_key_id)
    assert await actions.find_key(pair.access_key_id) is None
    with pytest.raises(KeyNotFound):
        await actions.disable_key("unknown")


async def test_a_key_that_is_given_again_has_its_new_secret(actions: Actions) -> None:
    """One row, enabled."""
    for secret in ("old", "new"):
        await actions.import_key(KeyPair("AK", secret))
    assert await actions.find_key("AK") == KeyPair("AK", "new")
    assert len(await actions.list_keys()) == 1


def measured(task_id: str, streamed_ms: int, bytes_out: int) -> Report:
    return Report(task_id, 1, 1, RelayStatus(State.STREAMING), (), {}, Usage(streamed_ms, bytes_out), None)


async def test_usage_of_a_minute_adds_up(store: Store, actions: Actions) -> None:
    """By task inside, by group and by stream for who asks."""
    await actions.create_group("sport", "media")
    to = {name: MediaUrl.parse(f"rtmp://push.example/app/{name}?token=1") for name in ("one", "two")}
    one = await actions.create_task(make_spec(destination=to["one"]))
    two = await actions.create_task(make_spec(destination=to["two"], group="sport"))
    async with store.write() as connection:
        for report in (measured(one, 1_000, 10), measured(one, 2_000, 20), measured(two, 500, 5)):
            await usage.add(connection, [report], await read_now_ms(connection))
        await connection.execute(usage_table.update().values(minute_ms=0))
    begin, end = datetime(1970, 1, 1, tzinfo=UTC), datetime(1970, 1, 2, tzinfo=UTC)

    async def ask(**values: object) -> list[tuple[str | None, float, int]]:
        found = await actions.usage(begin, end, step_s=3600, **values)
        return [(bucket.group, bucket.streamed_s, bucket.bytes_out) for bucket in found]

    assert await ask() == [(None, 3.5, 35)]
    assert await ask(by_group=True) == [("default", 3.0, 30), ("sport", 0.5, 5)]
    assert await ask(groups=["sport"]) == [(None, 0.5, 5)]
    assert await ask(stream=("app", "one")) == [(None, 3.0, 30)]
    assert await ask(stream=("app", "three")) == []


async def test_the_last_usage_of_a_deleted_task_is_kept(store: Store, actions: Actions) -> None:
    """Its worker tells it after the task has gone; one that nobody had leaves nothing behind."""
    await actions.create_group("sport", "media")
    held, idle = [
        await actions.create_task(make_spec(destination=MediaUrl.parse(f"rtmp://d/app/{name}"), group="sport"))
        for name in ("held", "idle")
    ]
    async with store.write() as connection:
        await workers.register(connection, "worker", 10)
        await connection.execute(run.update().where(run.c.task_id == held).values(worker_id="worker"))
    for task_id in (held, idle):
        await actions.delete_task(task_id)
    async with store.write() as connection:
        for report in (measured(held, 1_000, 10), measured(held, 2_000, 20), measured(idle, 5, 5)):
            await usage.add(connection, [report], await read_now_ms(connection))
    now = datetime.now(UTC)
    begin, end = now - timedelta(hours=1), now + timedelta(hours=1)
    found = await actions.usage(begin, end, step_s=7200, stream=("app", "held"), by_group=True)
    assert [(bucket.group, bucket.streamed_s, bucket.bytes_out) for bucket in found] == [("sport", 3.0, 30)]
    assert await actions.usage(begin, end, step_s=7200, stream=("app", "idle")) == []


async def test_usage_falls_into_steps_from_the_start(store: Store, actions: Actions) -> None:
    """A step begins where the question begins; the peak is that of the busiest five minutes in it."""
    task_id = await actions.create_task(make_spec())
    begin = datetime(2026, 3, 1, 0, 30, tzinfo=UTC)
    async with store.write() as connection:
        await usage.add(connection, [measured(task_id, 60_000, 3_000_000)], await read_now_ms(connection))
        row = (await connection.execute(sa.select(usage_table))).mappings().one()
        await connection.execute(usage_table.delete())
        for minute in (0, 1, 59, 60, 130):
            at_ms = int((begin + timedelta(minutes=minute)).timestamp() * 1000)
            await connection.execute(usage_table.insert(), {**row, "minute_ms": at_ms})
    found = await actions.usage(begin, begin + timedelta(hours=2), step_s=3600)
    assert [(bucket.begin_at - begin, bucket.streamed_s) for bucket in found] == [
        (timedelta(0), 180.0),
        (timedelta(hours=1), 60.0),
    ]
    assert [bucket.peak_bps for bucket in found] == [6_000_000 * 8 / 300, 3_000_000 * 8 / 300]


async def test_usage_of_too_much_at_once_is_refused_in_words(
    actions: Actions, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before it is summed: a range with more measured minutes than that, and an answer with more sums."""
    begin = datetime(2026, 1, 1, tzinfo=UTC)
    row = {"group_name": "g", "stream_digest": "", "streamed_ms": 60_000, "bytes_out": 75_000}
    minutes = [
        {**row, "minute_ms": int(begin.timestamp() + 60 * number) * 1000, "task_id": "t"} for number in range(20)
    ]
    async with store.write() as connection:
        await connection.execute(usage_table.insert(), minutes)

    async def ask(minutes: int, step_s: int = 60) -> int:
        return len(await actions.usage(begin, begin + timedelta(minutes=minutes), step_s=step_s))

    assert await ask(20) == 20
    monkeypatch.setattr(usage, "MAX_SUMS", 10)
    assert (await ask(10), await ask(20, 3600)) == (10, 1)
    with pytest.raises(InvalidField, match="end_at: the range has more than 10 sums: ask for a shorter one"):
        await ask(20)
    monkeypatch.setattr(usage, "MAX_MEASURED", 15)
    with pytest.raises(InvalidField, match="holds more than 15 measured minutes of tasks"):
        await ask(20, 3600)
    assert await ask(15, 3600) == 1
