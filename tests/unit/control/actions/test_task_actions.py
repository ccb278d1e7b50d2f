"""What can be done to tasks, on SQLite and on PostgreSQL."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from task_samples import make_spec

from kit.pictures import png
from kit.virtual_clock import VirtualClock
from streamferry.control.actions import ALLOWED, Action, Actions
from streamferry.media.url import MediaUrl
from streamferry.media.watermark import Watermark
from streamferry.relay import State
from streamferry.store import Store, tasks
from streamferry.store.spec_json import with_picture
from streamferry.tasks.errors import DestinationConflict, GroupNotFound, InvalidField, TaskNotFound, WrongState
from streamferry.tasks.model import (
    ApiStatus,
    ContinueStrategy,
    SourceForm,
    StoredMark,
    TaskItem,
    TaskKind,
    TaskSpec,
)

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def at(minutes: float) -> datetime:
    return NOON + minutes * MINUTE


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock(NOON)


@pytest.fixture
def actions(store: Store, clock: VirtualClock) -> Actions:
    return Actions(store, clock)


def spec_at(start: float, end: float, key: str = "key", **values: object) -> TaskSpec:
    return make_spec(
        start_at=at(start), end_at=at(end), destination=MediaUrl.parse(f"rtmp://push.example/live/{key}"), **values
    )


async def kinds(actions: Actions, task_id: str) -> list[str]:
    return [event.kind for event in await actions.list_feed(task_id)]


@pytest.mark.both_databases
async def test_what_was_created_is_read_back(actions: Actions) -> None:
    """Every field of a spec comes back as it was given, and the record says that nothing has happened yet."""
    spec = TaskSpec(
        kind=TaskKind.VOD,
        items=(
            TaskItem(MediaUrl.parse("https://user:pw@files.example/a.mp4?t=1"), 1.5, 9.25),
            TaskItem(MediaUrl.parse("file:///media/b%20c.mp4")),
        ),
        destination=MediaUrl.parse("rtmps://push.example:444/app/sub/key?sign=1"),
        start_at=at(-1),
        end_at=at(60),
        title="直播A1",
        source_form=SourceForm.RANGES,
        loops=3,
        cycle_mode=0,
        play_times=3,
        continue_strategy=ContinueStrategy.AT_BREAK_PLUS_ELAPSED,
        pre_download=False,
        callback_url="https://calls.example/?k=s",
        watermark=Watermark(png(), 0.1, 0.2, 0.25),
    )
    task_id = await actions.create_task(spec)
    record = await actions.get_task(task_id)
    mark = record.spec.watermark
    assert isinstance(mark, StoredMark)
    pictures = await actions.read_pictures([mark.digest])
    assert with_picture(record.spec, pictures) == spec
    assert [item.url.reveal() for item in record.spec.items] == [item.url.reveal() for item in spec.items]
    assert (record.enabled, record.finished, record.version, record.created_at) == (True, False, 1, NOON)
    assert (record.state, record.playhead, record.fault, record.worker_id) == (State.WAITING, None, None, None)
    assert len(task_id) == 32
    assert await kinds(actions, task_id) == ["created"]


@pytest.mark.parametrize("action", list(Action))
@pytest.mark.parametrize("status", list(ApiStatus))
async def test_an_action_is_allowed_as_its_table_says(
    actions: Actions, clock: VirtualClock, action: Action, status: ApiStatus
) -> None:
    """In each state each action is done or refused as ALLOWED has it, and a refused one changes nothing."""
    task_id = await actions.create_task(spec_at(10, 20))
    if status is ApiStatus.DISABLED:
        await actions.stop_task(task_id)
    clock.set({ApiStatus.ACTIVE: at(15), ApiStatus.ENDED: at(30)}.get(status, NOON))
    before = await actions.get_task(task_id)
    assert before.status(clock.now()) is status
    perform = {
        Action.UPDATE: lambda: actions.update_task(task_id, lambda _: before.spec),
        Action.STOP: lambda: actions.stop_task(task_id),
        Action.CONTINUE: lambda: actions.continue_task(task_id),
        Action.START_OVER: lambda: actions.relaunch_task(task_id),
        Action.DELETE: lambda: actions.delete_task(task_id),
    }[action]
    if status in ALLOWED[action]:
        await perform()
    else:
        with pytest.raises(WrongState):
            await perform()
        assert await actions.get_task(task_id) == before


async def test_stop_and_continue_are_remembered_in_order(actions: Actions) -> None:
    """Each action leaves an event, and the version counts changes of what is wanted."""
    task_id = await actions.create_task(spec_at(-1, 20))
    await actions.stop_task(task_id)
    assert not (await actions.get_task(task_id)).enabled
    await actions.continue_task(task_id)
    await actions.relaunch_task(task_id)
    record = await actions.get_task(task_id)
    assert record.enabled
    assert (record.version, record.epoch) == (4, 1)
    assert await kinds(actions, task_id) == ["created", "disabled", "stopped", "enabled", "relaunched"]
    told = await actions.list_feed(task_id)
    assert [event.seq for event in await actions.list_feed(task_id, after=told[2].id)] == [4, 5]


async def test_a_deleted_task_is_gone_and_its_events_are_not(actions: Actions) -> None:
    """No action finds it any more; what happened to it can still be read, and its destination is free."""
    task_id = await actions.create_task(spec_at(-1, 20))
    await actions.delete_task(task_id)
    for act in (actions.get_task, actions.stop_task, actions.continue_task, actions.relaunch_task, actions.delete_task):
        with pytest.raises(TaskNotFound):
            await act(task_id)
    assert await kinds(actions, task_id) == ["created", "deleted"]
    await actions.create_task(spec_at(-1, 20))


async def test_update_replaces_the_spec_but_not_the_group(actions: Actions) -> None:
    """The new spec is read back; another group is an error that names the field."""
    task_id = await actions.create_task(spec_at(-1, 20, title="old"))
    wanted = spec_at(-1, 30, "other", title="new", loops=2)
    await actions.update_task(task_id, lambda _: wanted)
    assert (await actions.get_task(task_id)).spec == wanted
    await actions.create_group("sport", "default")
    with pytest.raises(InvalidField) as refused:
        await actions.update_task(task_id, lambda _: replace(wanted, group="sport"))
    assert refused.value.field == "group"


async def test_a_task_needs_a_group_that_exists(actions: Actions) -> None:
    """The preset group is there; others must have been made and not deleted."""
    with pytest.raises(GroupNotFound):
        await actions.create_task(spec_at(-1, 20, group="sport"))
    await actions.create_group("sport", "default")
    await actions.create_task(spec_at(-1, 20, group="sport"))


@pytest.mark.parametrize(
    ("window", "conflicts"),
    [((10, 20), True), ((19, 30), True), ((0, 11), True), ((12, 13), True), ((20, 30), False), ((0, 10), False)],
)
async def test_one_destination_at_overlapping_times_is_refused(
    actions: Actions, window: tuple[int, int], conflicts: bool
) -> None:
    """Windows that only touch do not overlap; the refusal names the other task."""
    first = await actions.create_task(spec_at(10, 20))
    if not conflicts:
        await actions.create_task(spec_at(*window))
        return
    with pytest.raises(DestinationConflict) as refused:
        await actions.create_task(spec_at(*window))
    assert refused.value.other_task_id == first
    assert "/live/key" not in str(refused.value)
    assert (await actions.list_tasks()).total == 1


async def test_addresses_that_differ_in_their_query_are_two_destinations(actions: Actions) -> None:
    """It may name a virtual host or hold the stream key; the case of the host and a default port make no difference."""
    first = await actions.create_task(spec_at(10, 20))
    for query in ("?vhost=one.example", "?vhost=two.example"):
        await actions.create_task(spec_at(10, 20, f"key{query}"))
    same = MediaUrl.parse("rtmp://PUSH.example:1935/live/key")
    with pytest.raises(DestinationConflict) as refused:
        await actions.create_task(replace(spec_at(10, 20), destination=same))
    assert refused.value.other_task_id == first


@pytest.mark.both_databases
async def test_of_partial_updates_at_once_none_is_lost(actions: Actions) -> None:
    """What an update keeps is read under the lock under which it is written."""
    task_id = await actions.create_task(spec_at(-1, 20))
    changes: list[dict[str, Any]] = [{"title": "x"}, {"loops": 7}, {"pre_download": False}, {"play_times": 7}]
    await asyncio.gather(*(actions.update_task(task_id, partial(replace, **change)) for change in changes))
    spec = (await actions.get_task(task_id)).spec
    assert [getattr(spec, name) for change in changes for name in change] == ["x", 7, False, 7]


@pytest.mark.both_databases
async def test_a_stopped_task_claims_no_destination_until_it_is_continued(actions: Actions) -> None:
    """Stopping frees the destination; continuing, relaunching and updating ask for it again."""
    first = await actions.create_task(spec_at(10, 20))
    await actions.stop_task(first)
    second = await actions.create_task(spec_at(10, 20))
    for act in (actions.continue_task, actions.relaunch_task):
        with pytest.raises(DestinationConflict):
            await act(first)
    await actions.update_task(first, lambda _: spec_at(10, 20, title="still"))
    third = await actions.create_task(spec_at(10, 20, "third"))
    with pytest.raises(DestinationConflict):
        await actions.update_task(third, lambda _: spec_at(10, 20))
    await actions.delete_task(second)
    await actions.continue_task(first)


async def test_a_task_that_has_ended_claims_no_destination(actions: Actions, store: Store, clock: VirtualClock) -> None:
    """By its window, or because its list was played out: only what would make it push again asks for it."""
    over = await actions.create_task(spec_at(-1, 10))
    await actions.stop_task(over)
    played_out = await actions.create_task(spec_at(-1, 60, loops=2))
    async with store.write() as connection:
        await tasks.finish(connection, [played_out])
    pushes = await actions.create_task(spec_at(5, 60))
    clock.set(at(20))
    await actions.continue_task(over)
    for task_id in (over, played_out):
        await actions.update_task(task_id, partial(replace, title="renamed"))
        record = await actions.get_task(task_id)
        assert (record.status(clock.now()), record.spec.title) == (ApiStatus.ENDED, "renamed")
    for again in (
        actions.relaunch_task(played_out),
        actions.update_task(played_out, partial(replace, loops=3)),
        actions.update_task(over, partial(replace, end_at=at(60))),
    ):
        with pytest.raises(DestinationConflict) as refused:
            await again
        assert refused.value.other_task_id == pushes


async def test_a_setting_turns_the_conflict_into_a_warning(
    store: Store, clock: VirtualClock, caplog: pytest.LogCaptureFixture
) -> None:
    """Both tasks exist; the log names them and not the address."""
    actions = Actions(store, clock, refuses_conflicts=False)
    first = await actions.create_task(spec_at(10, 20))
    await actions.create_task(spec_at(10, 20))
    assert first in caplog.text
    assert "push.example" not in caplog.text


@pytest.mark.both_databases
async def test_of_ten_creations_at_once_with_one_destination_one_succeeds(actions: Actions) -> None:
    """The guard holds between transactions that run side by side."""
    outcomes = await asyncio.gather(*(actions.create_task(spec_at(10, 20)) for _ in range(10)), return_exceptions=True)
    assert sorted(type(one).__name__ for one in outcomes) == ["DestinationConflict"] * 9 + ["str"]


@pytest.mark.both_databases
async def test_of_ten_stops_at_once_one_succeeds(actions: Actions) -> None:
    """A state is judged and changed in one step: nine find it stopped."""
    task_id = await actions.create_task(spec_at(-1, 20))
    outcomes = await asyncio.gather(*(actions.stop_task(task_id) for _ in range(10)), return_exceptions=True)
    assert sorted(type(one).__name__ for one in outcomes) == ["NoneType"] + ["WrongState"] * 9
    assert await kinds(actions, task_id) == ["created", "disabled", "stopped"]


@pytest.mark.both_databases
async def test_lists_are_newest_first_and_paged(actions: Actions) -> None:
    """Each task is on exactly one page, and the total counts all."""
    made = [await actions.create_task(spec_at(-1, 20, str(number))) for number in range(5)]
    pages = [await actions.list_tasks(page=page, size=2) for page in (1, 2, 3, 4)]
    assert [record.task_id for page in pages for record in page.records] == made[::-1]
    assert {page.total for page in pages} == {5}


@pytest.mark.both_databases
async def test_titles_are_searched_in_any_case_and_literally(actions: Actions) -> None:
    """Part of a title is enough; a wildcard of SQL is only a character."""
    for number, title in enumerate(("Abc", "xABCx", "直播频道", "ab")):
        await actions.create_task(spec_at(-1, 20, str(number), title=title))

    async def titles(part: str) -> list[str]:
        return [record.spec.title for record in (await actions.list_tasks(title=part)).records]

    assert await titles("aBc") == ["xABCx", "Abc"]
    assert await titles("频道") == ["直播频道"]
    assert await titles("a%") == []
    assert await titles("_") == []


@pytest.mark.both_databases
async def test_lists_can_be_of_some_groups(actions: Actions) -> None:
    """Only tasks of the groups named are in the list."""
    await actions.create_group("sport", "default")
    await actions.create_task(spec_at(-1, 20, "1"))
    inside = await actions.create_task(spec_at(-1, 20, "2", group="sport"))
    page = await actions.list_tasks(groups=["sport"])
    assert [record.task_id for record in page.records] == [inside]
    assert page.total == 1
