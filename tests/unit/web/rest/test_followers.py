"""Streams that go on: one key cannot take all the places from the others."""

import asyncio
from contextlib import AsyncExitStack, aclosing

import pytest
from task_samples import make_spec

from streamferry.control.actions import Actions
from streamferry.control.previews import MAX_OF_KEY, Previews
from streamferry.store import Store
from streamferry.tasks.actor import Actor, ActorKind, acting_as
from streamferry.tasks.errors import PreviewUnavailable
from streamferry.web.reads import Reads
from streamferry.web.rest.event_stream import _MAX_OF_KEY, Follower
from streamferry.web.rest.rest_errors import RestError


async def test_one_key_took_all_followers(store: Store) -> None:
    """It is refused in words beyond its share, another is served, and a place that is left is free again."""
    follower = Follower(Reads(Actions(store)), asyncio.Event())
    async with AsyncExitStack() as stack:
        streams = []
        with acting_as(Actor(ActorKind.KEY, "AKGREEDY")):
            for _ in range(_MAX_OF_KEY):
                lines = await follower.follow(None, 0)
                streams.append(await stack.enter_async_context(aclosing(lines)))
                await anext(lines)
            with pytest.raises(RestError, match="with this key"):
                await follower.follow(None, 0)
        with acting_as(Actor(ActorKind.KEY, "AKMODEST")):
            other = await follower.follow(None, 0)
            assert "retry" in await anext(other)
            await other.aclose()
        await streams[0].aclose()
        with acting_as(Actor(ActorKind.KEY, "AKGREEDY")):
            again = await follower.follow(None, 0)
            assert "retry" in await anext(again)
            await again.aclose()


@pytest.mark.both_databases
async def test_a_preview_that_cannot_be_opened_keeps_no_place(store: Store) -> None:
    """However often somebody asks for one of a task that does not run."""
    task_id = await Actions(store).create_task(make_spec())
    async with Previews(store) as previews:
        for _ in range(MAX_OF_KEY + 1):
            with pytest.raises(PreviewUnavailable, match="not running"):
                await previews.open(task_id)
