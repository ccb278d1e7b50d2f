"""Groups and keys that several ask for at the same time."""

import asyncio

from task_samples import make_spec

from streamferry.control.actions import Actions
from streamferry.media.url import MediaUrl
from streamferry.store import Store
from streamferry.store.records import KeyPair
from streamferry.tasks.errors import GroupExists, GroupInUse, GroupNotFound


async def outcome(asked: object) -> object:
    """What came of it: None, or the kind of the refusal."""
    try:
        await asked  # type: ignore[misc]
    except (GroupExists, GroupInUse, GroupNotFound) as error:
        return type(error)
    return None


async def test_the_same_group_made_at_once_was_an_internal_error(store: Store) -> None:
    """One is made, and the others are told that it is there."""
    actions = Actions(store)
    found = await asyncio.gather(*(outcome(actions.create_group("one", "project")) for _ in range(4)))
    assert sorted(map(str, found)) == sorted(map(str, [None, GroupExists, GroupExists, GroupExists]))
    await actions.delete_group("one")
    assert await outcome(actions.create_group("one", "project")) is None


async def test_a_task_was_made_in_a_group_that_was_deleted(store: Store) -> None:
    """At the same time: either the group is in use, or it is not there."""
    actions = Actions(store)
    for number in range(6):
        name = f"group{number}"
        await actions.create_group(name, "project")
        destination = MediaUrl.parse(f"rtmp://push.example/live/{number}")
        made, deleted = await asyncio.gather(
            outcome(actions.create_task(make_spec(group=name, destination=destination))),
            outcome(actions.delete_group(name)),
        )
        assert (made, deleted) in [(None, GroupInUse), (GroupNotFound, None)]


async def test_the_same_key_taken_over_at_once(store: Store) -> None:
    """By two services that start together with the same settings."""
    actions = Actions(store)
    await asyncio.gather(*(actions.import_key(KeyPair("AKONE", "secret")) for _ in range(4)))
    assert [one.access_key_id for one in await actions.list_keys()] == ["AKONE"]
