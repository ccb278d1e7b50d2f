"""Several destinations over the compatible API: an addition under a name of its own, which old clients do not see."""

import json
import time
from typing import Any

import pytest
from signed_api import NO_LIMITS, Api, make_api

from streamferry.client import Destination, NewTask, TaskChange, TaskList
from streamferry.store import Store
from streamferry.web.compat.routes import ApiSettings

pytestmark = pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
KEY = "pl4nted-key"


def live(*destinations: Destination) -> dict[str, Any]:
    """A body of the SDK."""
    now = int(time.time())
    fields = {"type": 0, "src_addr": "rtmp://in.example/live/cam", "start_time": now, "end_time": now + 3600}
    return NewTask(**fields, destinations=list(destinations) or None).to_body()


async def listed(api: Api) -> TaskList:
    """The list, as the SDK reads it."""
    return TaskList.of({"Result": await api.call("ListPullToPushTask", {})})


async def test_destinations_come_are_changed_and_shown(store: Store) -> None:
    """By the SDK's models; the first is the one that old clients see, and no key is shown."""
    first = Destination(dst_addr=f"rtmp://a.example/live/{KEY}1")
    second = Destination(server="rtmp://b.example/live", key=f"{KEY}2", name="B", latency="low")
    api = await make_api(store, ApiSettings(rates=NO_LIMITS))
    async with api.client:
        made = await api.call(
            "CreatePullToPushTask", live(first, second, Destination(dst_addr="rtmp://c.example/live/c"))
        )
        assert KEY not in json.dumps(await api.call("ListPullToPushTask", {}))
        (task,) = (await listed(api)).tasks
        assert task.dst_addr == task.destinations[0].dst_addr == "rtmp://a.example/live/***"
        assert [(one.id, one.name, one.enabled, one.latency) for one in task.destinations] == [
            (1, "", 1, None),
            (2, "B", 1, "low"),
            (3, "", 1, None),
        ]
        # What was listed can be sent back, with one switched off and another order.
        kept = [task.destinations[1].model_copy(update={"enabled": 0}), task.destinations[0]]
        change = TaskChange(task_id=made["TaskId"], type=0, destinations=kept)
        await api.call("UpdatePullToPushTask", change.to_body())
        (task,) = (await listed(api)).tasks
        assert [(one.id, one.enabled) for one in task.destinations] == [(2, 0), (1, 1)]
        # Or whole, as an item has it: with the first one twice.
        (item,) = (await api.call("ListPullToPushTask", {}))["List"]
        await api.call(
            "UpdatePullToPushTask", {name: item[name] for name in ("TaskId", "Type", "DstAddr", "Destinations")}
        )
        (again,) = (await listed(api)).tasks
        assert again.destinations == task.destinations


async def test_a_task_with_one_is_as_it_was(store: Store) -> None:
    """Without the field; and what is wrong in one of several is named."""
    api = await make_api(store, ApiSettings(rates=NO_LIMITS))
    async with api.client:
        await api.call("CreatePullToPushTask", live(Destination(dst_addr="rtmp://a.example/live/one")))
        assert '"Destinations"' not in json.dumps(await api.call("ListPullToPushTask", {}))
        for wrong, name in (
            (Destination(dst_addr="ftp://x/y"), "Destinations[1].DstAddr"),
            (Destination(server="http://x/y", key="k"), "Destinations[1].Server"),
            (Destination(dst_addr="srt://x.example:1", backup_of=1), "Destinations[1].BackupOf"),
        ):
            body = live(Destination(dst_addr="rtmp://b.example/live/two"), wrong)
            refusal = await api.refusal("CreatePullToPushTask", body)
            assert refusal["Message"].startswith(f"{name}: "), refusal
