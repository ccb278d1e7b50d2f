"""Tasks of a service, made and watched as a front end does."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

from kit.waiting import PATIENCE_S
from streamferry.control.actions import Actions
from streamferry.media.url import MediaUrl
from streamferry.relay import State
from streamferry.store.records import EventRecord
from streamferry.tasks.model import TaskItem, TaskKind, TaskSpec


def vod(clip: Path, to: str, **values: object) -> TaskSpec:
    """An endless list of one clip, from now on for an hour, but for what is given."""
    now = datetime.now(UTC)
    given: dict[str, object] = {
        "kind": TaskKind.VOD,
        "items": (TaskItem(MediaUrl.parse(f"file://{clip}")),),
        "destination": MediaUrl.parse(to),
        "start_at": now,
        "end_at": now + timedelta(hours=1),
        **values,
    }
    return TaskSpec(**given)  # type: ignore[arg-type]


async def wait_state(actions: Actions, task_id: str, state: State, seconds: float = PATIENCE_S) -> None:
    async with asyncio.timeout(seconds):
        while (await actions.get_task(task_id)).state is not state:  # noqa: ASYNC110 -- another process
            await asyncio.sleep(0.1)


async def wait_claims(actions: Actions, task_id: str, count: int, seconds: float = PATIENCE_S) -> EventRecord:
    """Wait until a worker has taken the task for the ``count``th time; what was told then."""
    async with asyncio.timeout(seconds):
        while True:
            claims = [event for event in await actions.list_feed(task_id) if event.kind == "claimed"]
            if len(claims) >= count:
                return claims[count - 1]
            await asyncio.sleep(0.1)
