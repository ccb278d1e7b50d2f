"""A task is changed as it was read: a change that was made without the lock is never lost in silence."""

import pytest
from task_samples import make_spec

from streamferry.control.actions import Actions
from streamferry.store import Store, tasks


async def test_a_change_of_what_was_changed_meanwhile_is_a_mistake_and_commits_nothing(store: Store) -> None:
    """The results said so, and no action looked: it was safe because of the lock alone."""
    actions = Actions(store)
    task_id = await actions.create_task(make_spec(title="first"))
    async with store.read() as connection:
        stale = await tasks.lock(connection, task_id)
    assert stale is not None
    await actions.update_task(task_id, lambda _: make_spec(title="second"))
    with pytest.raises(RuntimeError, match="without the lock"):
        async with store.write() as connection:
            await tasks.replace(connection, store.seal, stale, make_spec(title="third"), finished=True)
    with pytest.raises(RuntimeError, match="without the lock"):
        async with store.write() as connection:
            await tasks.change(connection, stale, enabled=False)
    now = await actions.get_task(task_id)
    assert (now.spec.title, now.enabled, now.finished, now.version) == ("second", True, False, 2)
