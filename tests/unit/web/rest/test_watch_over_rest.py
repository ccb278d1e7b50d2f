"""What the content of a task is watched for, over REST; and what is found, from the worker's report to all who read."""

from typing import Any

import pytest
from rest_api import Rest

from streamferry.control.relay_specs import relay_spec_of
from streamferry.relay.eyes.judge import DEFAULTS, NOTHING, Rule, Watch
from streamferry.relay.status import START

pytestmark = pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)


async def watch_of(rest: Rest, task_id: str) -> Watch:
    """What its worker gets."""
    return relay_spec_of((await rest.actions.get_task(task_id)).spec, START).watch


async def test_what_is_watched_for_comes_to_the_relay_with_defaults(rest: Rest) -> None:
    """A change takes the place of all of it; what does not mention it leaves it; null ends it."""
    silent = {"threshold": -50.0, "duration_s": 5.0, "switches": True}
    made = await rest.create(watch={"black": {}, "silent": silent})
    path = f"/tasks/{made['task_id']}"
    assert made["watch"] == {
        "black": {"threshold": 0.98, "duration_s": 10.0, "switches": False},
        "silent": silent,
    }
    assert (made["run"]["found"], made["run"]["unseen"]) == ([], [])
    assert await watch_of(rest, made["task_id"]) == Watch(black=DEFAULTS.black, silent=Rule(-50.0, 5.0, switches=True))
    await rest.call("PATCH", path, {"title": "another"})
    assert (await watch_of(rest, made["task_id"])).silent == Rule(-50.0, 5.0, switches=True)
    changed = await rest.call("PATCH", path, {"watch": {"frozen": {"duration_s": 60.0}}})
    assert list(changed["watch"]) == ["frozen"]
    sample = await rest.call("GET", f"{path}/request")
    assert sample["rest_body"]["watch"] == {"frozen": {"threshold": 1.0, "duration_s": 60.0, "switches": False}}
    assert (await rest.call("PATCH", path, {"watch": None}))["watch"] == {}
    assert await watch_of(rest, made["task_id"]) == NOTHING


@pytest.mark.parametrize(
    ("watch", "field"),
    [
        ({"black": {"threshold": 0.2}}, "watch.black.threshold"),
        ({"silent": {"threshold": 3.0}}, "watch.silent.threshold"),
        ({"frozen": {"duration_s": 0.5}}, "watch.frozen.duration_s"),
        ({"keyframes_far_apart": {"threshold": 61.0}}, "watch.keyframes_far_apart.threshold"),
        ({"blue": {}}, "watch.blue"),
        ({"low_fps": {"duration_s": 30.0}}, "watch.low_fps.threshold"),
        ({"low_fps": {"threshold": 0.0}}, "watch.low_fps.threshold"),
        ({"low_fps": {"threshold": 10.0, "switches": True}}, "watch.low_fps.switches"),
        ({"low_bitrate": {"switches": True}}, "watch.low_bitrate.switches"),
        ({"keyframes_far_apart": {"switches": True}}, "watch.keyframes_far_apart.switches"),
        ({"black": {"switches": 1}}, "watch.black.switches"),
        ({"black": {"share": 1}}, "watch.black.share"),
        ({"black": {"threshold": "much"}}, "watch.black.threshold"),
    ],
)
async def test_what_cannot_be_watched_for_is_refused_by_name(rest: Rest, watch: dict[str, Any], field: str) -> None:
    """With a sentence."""
    made = await rest.create()
    error = await rest.refusal(422, "PATCH", f"/tasks/{made['task_id']}", {"watch": watch})
    assert error["field"].startswith(field)
    assert error["message"]
