"""Callbacks of a running service, from a real relay into nginx-rtmp to a receiver."""

import asyncio
import json
from collections.abc import Iterator

import pytest
from standardwebhooks import Webhook
from typer.testing import CliRunner

from kit import programs
from kit.callback_receiver import CallbackReceiver
from kit.clips import ClipFactory
from kit.nginx_rtmp import NginxRtmp
from kit.service_program import ServiceProgram
from kit.tasks import vod
from streamferry.cli.commands import app
from streamferry.media.url import MediaUrl
from streamferry.tasks.model import TaskItem

TOKEN = "planted-callback-token"


@pytest.fixture
def receiver() -> Iterator[CallbackReceiver]:
    """It takes everything, until a test says otherwise."""
    with CallbackReceiver() as one:
        yield one


@pytest.fixture
def service(shared_service: ServiceProgram) -> Iterator[ServiceProgram]:
    """It may not show the secret of an address."""
    yield shared_service
    assert TOKEN not in shared_service.errors + shared_service.output


def run(service: ServiceProgram, *words: str) -> str:
    """What ``streamferry callbacks`` prints."""
    done = programs.run_ours(["callbacks", *words, "--data-dir", service.data])
    assert done.returncode == 0, done.stderr
    return done.stdout


async def ask(service: ServiceProgram, *words: str) -> str:
    """The same in this process, because starting one takes long."""
    command = ["callbacks", *words, "--data-dir", str(service.data)]
    done = await asyncio.to_thread(CliRunner().invoke, app, command)
    assert done.exit_code == 0, done.output
    return done.stdout


async def test_a_list_is_told_from_its_start_to_its_end(
    service: ServiceProgram, nginx: NginxRtmp, clips: ClipFactory, receiver: CallbackReceiver
) -> None:
    """Each item, one that cannot be played, and the end with Final; signed, in order, and listed as delivered."""
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
    verifier = Webhook((await ask(service, "secret")).strip())
    for one in receiver.received:
        verifier.verify(one.body, one.headers)
    listed = json.loads(run(service, "list", "--json", "--task", task_id, "--size", "100"))
    assert [one["event_id"] for one in listed["callbacks"]] == [one["EventId"] for one in reversed(told)]
    assert {one["state"] for one in listed["callbacks"]} == {"delivered"}
    shown = json.loads(await ask(service, "show", told[-1]["EventId"], "--json"))
    assert shown["body"] == told[-1]
    count = len(told)
    await ask(service, "replay", told[0]["EventId"])
    receiver.wait_for("the replayed one", lambda got: len(got) > count)
    assert receiver.received[count].body == receiver.received[0].body
