"""SQLite, on which one writes at a time, while somebody writes for long."""

import asyncio

import pytest
from task_samples import make_spec

from streamferry.control.actions import Actions
from streamferry.store import Store

#: More than a store has connections.
WRITERS = 20


@pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
async def test_reads_waited_behind_writes_that_waited(store: Store) -> None:
    """However many writes wait for their turn, a read does not; and each of them is done in the end."""
    actions = Actions(store)
    async with asyncio.timeout(30), asyncio.TaskGroup() as group, store.write():
        for number in range(WRITERS):
            group.create_task(actions.create_group(f"g{number}", "default"))
        # They take what connections there are.
        for _ in range(WRITERS):
            await asyncio.sleep(0)
        async with asyncio.timeout(30):
            assert await actions.list_keys() == []
    assert (await actions.list_groups(size=100)).total == WRITERS + 1


@pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
async def test_a_dry_run_waits_for_no_write(store: Store) -> None:
    """Whether a task could be created is answered while somebody writes for long."""
    async with store.write(), asyncio.timeout(30):
        await Actions(store).check_decided(lambda _: make_spec())
