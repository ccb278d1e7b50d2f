"""Workers over REST, and where tasks are to run."""

import pytest
from rest_api import Rest, new_task

from streamferry.store import workers
from streamferry.store.workers import Traits


async def _start(rest: Rest, name: str, capacity: int = 5, **traits: object) -> None:
    async with rest.actions._store.write() as connection:
        await workers.register(connection, name, capacity, traits=Traits(**traits))  # type: ignore[arg-type]


async def test_a_task_keeps_what_it_asks_of_its_worker(rest: Rest) -> None:
    """Sorted; a change leaves out what it does not name, and clears what it gives as empty."""
    task = await rest.create(placement=["zone=b", "region=eu"], priority=7)
    assert (task["placement"], task["priority"]) == (["region=eu", "zone=b"], 7)
    task = await rest.call("PATCH", f"/tasks/{task['task_id']}", {"title": "Other"})
    assert (task["placement"], task["priority"]) == (["region=eu", "zone=b"], 7)
    for empty in ([], None):
        task = await rest.call("PATCH", f"/tasks/{task['task_id']}", {"placement": ["region=us"], "priority": -3})
        assert (task["placement"], task["priority"]) == (["region=us"], -3)
        task = await rest.call("PATCH", f"/tasks/{task['task_id']}", {"placement": empty, "priority": 0})
        assert (task["placement"], task["priority"]) == ([], 0)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"placement": ["region"]}, "placement"),
        ({"placement": [f"a{number}=b" for number in range(17)]}, "placement"),
        ({"placement": "region=eu"}, "placement"),
        ({"placement": ["region=[eu]"]}, "placement"),
        ({"priority": 101}, "priority"),
        ({"priority": 1.5}, "priority"),
    ],
)
async def test_what_cannot_be_asked(rest: Rest, body: dict[str, object], field: str) -> None:
    """The sentence names the field."""
    refused = await rest.refusal(422, "POST", "/tasks", new_task(**body))
    assert refused["field"].startswith(field)


async def test_a_worker_is_shown_as_it_is(rest: Rest) -> None:
    """Its labels, its limits, its version; without a limit there is nothing to count."""
    await _start(rest, "edge-1", labels=("region=eu",), max_kbps=9_000, max_encodes=0, version="9.8.7")
    await _start(rest, "edge-2")
    one, two = (await rest.call("GET", "/workers"))["workers"]
    assert (one["state"], one["labels"], one["version"]) == ("open", ["region=eu"], "9.8.7")
    assert (one["kbps"], one["capacity_kbps"], one["encodes"], one["capacity_encodes"]) == (0, 9_000, 0, 0)
    assert (two["labels"], two["kbps"], two["capacity_kbps"], two["capacity_encodes"]) == ([], None, None, None)


async def test_cordon_drain_and_back(rest: Rest) -> None:
    """Each tells what the worker is now, and since when; the overview counts no room of one that takes nothing."""
    await _start(rest, "edge.1_a")
    states = []
    for verb in ("cordon", "drain", "uncordon"):
        shown = await rest.call("POST", f"/workers/edge.1_a/{verb}")
        states.append((shown["state"], (await rest.call("GET", "/overview"))["room"]))
    assert states == [("cordoned", 0), ("drained", 0), ("open", 5)]


async def test_a_worker_that_is_not_there(rest: Rest) -> None:
    """And a verb that is none."""
    refused = await rest.refusal(404, "POST", "/workers/nobody/cordon")
    assert (refused["code"], refused["message"]) == ("worker_not_found", "there is no worker nobody")
    await _start(rest, "edge-1")
    await rest.refusal(422, "POST", "/workers/edge-1/shoot")
    await rest.refusal(
        403, "POST", "/workers/edge-1/cordon", headers={"authorization": f"Bearer {await rest.token(rest.reader)}"}
    )
