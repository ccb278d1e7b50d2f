"""Callbacks of a running service, from a real relay into nginx-rtmp to a receiver."""

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from standardwebhooks import Webhook

from kit.callback_receiver import CallbackReceiver
from kit.clips import ClipFactory
from kit.nginx_rtmp import NginxRtmp
from kit.relay_program import STREAMFERRY
from kit.service_program import ServiceProgram
from kit.tasks import vod
from streamferry.media.url import MediaUrl
from streamferry.tasks.model import TaskItem

TOKEN = "planted-callback-token"


@pytest.fixture
def receiver() -> Iterator[CallbackReceiver]:
    """It takes everything, until a test says otherwise."""
    with CallbackReceiver() as one:
        yield one


@pytest.fixture
def serve(tmp_path: Path, clips: ClipFactory) -> Iterator[Callable[[], ServiceProgram]]:
    """Starts a service over one folder. None may have shown a traceback, or the secret of an address."""
    started: list[ServiceProgram] = []

    def start() -> ServiceProgram:
        words = ("--egress", "any", "--files", clips.directory, "--workers", "1")
        started.append(ServiceProgram(tmp_path / "service", *words, environment={"STREAMFERRY_LOG_LEVEL": "debug"}))
        return started[-1].wait_ready()

    yield start
    for one in started:
        one.stop()
        assert "Traceback" not in one.errors
        assert TOKEN not in one.errors + one.output


def ask(service: ServiceProgram, *words: str) -> str:
    """What ``streamferry callbacks`` prints."""
    command = [STREAMFERRY, "callbacks", *words, "--data-dir", service.data]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=30).stdout


async def test_a_list_is_told_from_its_start_to_its_end(
    serve: Callable[[], ServiceProgram], nginx: NginxRtmp, clips: ClipFactory, receiver: CallbackReceiver
) -> None:
    """Each item, one that cannot be played, and the end with Final; signed, in order, and listed as delivered."""
    service = serve()
    clip = clips("two_seconds")
    async with service.actions() as actions:
        items = tuple(TaskItem(MediaUrl.parse(f"file://{one}")) for one in (clip, clips("not_media")))
        hook = receiver.url(f"/hook?token={TOKEN}")
        spec = vod(clip, nginx.url("told"), items=items, title="晚会", loops=2, callback_url=hook)
        task_id = await actions.create_task(spec)
    receiver.wait_for("the end", lambda got: got and got[-1].json["Final"])
    told = [one.json for one in receiver.received]
    assert [one["Sequence"] for one in told] == list(range(1, len(told) + 1))
    assert {(one["TaskId"], one["Title"]) for one in told} == {(task_id, "晚会")}
    assert (told[0]["Event"], told[0]["Attempt"], told[0]["Final"]) == ("starting", 0, False)
    assert (told[-1]["Event"], told[-1]["State"], told[-1]["Status"]) == ("ended", "ended", "已结束")
    assert [one["Final"] for one in told].count(True) == 1
    assert "streaming" in [one["Event"] for one in told]
    items = [
        (one["Event"], one["Playhead"]["Loop"], one["Playhead"]["Item"])
        for one in told
        if one["Event"].startswith("item_")
    ]
    played = [one for one in items if one[2] == 0]
    assert played == [(step, loop, 0) for loop in (0, 1) for step in ("item_started", "item_finished")]
    assert sorted(one for one in items if one[2] == 1) == [("item_failed", 0, 1), ("item_failed", 1, 1)]
    assert all(one["Fault"] == "user_source" and one["Reason"] for one in told if one["Event"] == "item_failed")
    verifier = Webhook(ask(service, "secret").strip())
    for one in receiver.received:
        verifier.verify(one.body, one.headers)
    listed = json.loads(ask(service, "list", "--json", "--task", task_id, "--size", "100"))
    assert [one["event_id"] for one in listed["callbacks"]] == [one["EventId"] for one in reversed(told)]
    assert {one["state"] for one in listed["callbacks"]} == {"delivered"}
    shown = json.loads(ask(service, "show", told[-1]["EventId"], "--json"))
    assert shown["body"] == told[-1]
    count = len(told)
    ask(service, "replay", told[0]["EventId"])
    receiver.wait_for("the replayed one", lambda got: len(got) > count)
    assert receiver.received[count].body == receiver.received[0].body
