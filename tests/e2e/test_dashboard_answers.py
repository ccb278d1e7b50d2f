"""What the service answers to who visits the dashboard, before a script has run: no browser is needed to see it."""

import json
import re
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

import httpx
import pytest
from typer.testing import CliRunner

from kit.clips import ClipFactory
from kit.service_program import ServiceProgram
from kit.shared_service import KEY_ID, SECRET
from kit.visitor import enter, visitor
from kit.waiting import wait_for
from streamferry.cli.commands import app
from streamferry.client import LiveService, RestService


@pytest.fixture
def member(shared_service: ServiceProgram) -> Iterator[httpx.Client]:
    """Somebody who is signed in."""
    with visitor(shared_service.url) as client:
        enter(client, KEY_ID, SECRET)
        yield client


@pytest.fixture
def task_id(shared_service: ServiceProgram, clips: ClipFactory) -> str:
    """A list that cannot be pushed."""
    now = int(datetime.now(UTC).timestamp())
    task = {
        "Type": 1,
        "SrcAddrS": [f"file://{clips('two_seconds')}"],
        "CycleMode": -1,
        "StartTime": now,
        "EndTime": now + 3600,
        "DstAddr": "rtmp://127.0.0.1:9/live/answered",
        "Title": "Answered",
    }
    with LiveService(shared_service.url, KEY_ID, SECRET) as client:
        return str(client.create_pull_to_push_task(task)["Result"]["TaskId"])


def test_a_page_was_sent_before_it_was_read(
    member: httpx.Client, shared_service: ServiceProgram, task_id: str, clips: ClipFactory
) -> None:
    """A page comes with what it shows. Sent half built, a list said "No tasks here", and "1-0 of 0" under its rows."""
    (shared_service.data / "library").mkdir(exist_ok=True)
    shutil.copy(clips("two_seconds"), shared_service.data / "library" / "周末 电影.mp4")
    for path, words in (
        ("", "tile-waiting"),
        ("tasks", task_id),
        (f"tasks/{task_id}", "127.0.0.1:9/live"),
        (f"tasks/{task_id}/edit", "two_seconds.mp4"),
        ("library", "周末 电影.mp4"),
    ):
        assert words in member.get(path).text, path


def test_who_may_only_read_changes_nothing(member: httpx.Client, shared_service: ServiceProgram, task_id: str) -> None:
    """There is no button for it, the form is closed, and an upload that is sent all the same is refused. Who has signed
    out sees no page any more."""
    command = ["key", "create", "--read-only", "--json", "--data-dir", str(shared_service.data)]
    made = CliRunner().invoke(app, command)
    assert made.exit_code == 0, made.output
    pair = json.loads(made.stdout)
    buttons = {name: f'"label":"{name}"' for name in ("Stop", "Continue", "Edit", "Create task", "New task")}
    with visitor(shared_service.url) as reader:
        enter(reader, pair["access_key_id"], pair["secret_access_key"])
        for path, names in (
            (f"tasks/{task_id}", ("Stop", "Continue", "Edit")),
            ("tasks", ("New task",)),
            ("new", ("Create task",)),
        ):
            seen, open_to_all = member.get(path).text, reader.get(path).text
            for name in names:
                assert buttons[name] in seen, name
                assert buttons[name] not in open_to_all, name
        assert "This key may only look." in reader.get("new").text
        assert "Answered" in reader.get(f"tasks/{task_id}").text
        assert reader.put("library/files/a.mp4", content=b"x").status_code == 403
        assert reader.post("sign-out").status_code == 303
        gone = reader.get("tasks")
        assert (gone.status_code, gone.headers["location"]) == (303, "/dashboard/sign-in?next=/dashboard/tasks")


def test_who_may_only_read_is_offered_no_switch(member: httpx.Client, shared_service: ServiceProgram) -> None:
    """Neither of inputs nor of destinations nor of workers, and no file to insert. For who may, each button says what
    it is for: three were called "Show".
    """
    now = int(datetime.now(UTC).timestamp())
    task = {
        "Type": 0,
        "SrcAddr": "rtmp://127.0.0.1:9/live/a",
        "Slate": {"Title": "Soon"},
        "StartTime": now,
        "EndTime": now + 3600,
        "Destinations": [{"DstAddr": f"rtmp://127.0.0.1:9/live/{name}", "Name": name} for name in ("One", "Two")],
        "Title": "Switched",
    }
    with LiveService(shared_service.url, KEY_ID, SECRET) as client:
        task_id = client.create_pull_to_push_task(task)["Result"]["TaskId"]
    with RestService(shared_service.url, KEY_ID, SECRET) as rest:
        rest.insert_file(task_id, "https://h.example/ad.mp4", at=datetime.now(UTC) + timedelta(minutes=30))
    command = ["key", "create", "--read-only", "--json", "--data-dir", str(shared_service.data)]
    pair = json.loads(CliRunner().invoke(app, command).stdout)
    deeds = {
        f"tasks/{task_id}": ("Show: The slate", "Show: By the", "Push to One", "Remove Two", "Do not play ad.mp4"),
        "workers": ("Cordon: ", "Drain: "),
    }
    wait_for("a worker", lambda: "worker-line" in member.get("workers").text)
    with visitor(shared_service.url) as reader:
        enter(reader, pair["access_key_id"], pair["secret_access_key"])
        for path, names in deeds.items():
            seen, open_to_all = member.get(path).text, reader.get(path).text
            for name in names:
                assert f'"aria-label":"{name}' in seen, name
                assert f'"aria-label":"{name}' not in open_to_all, name
            assert ("Insert a file" in seen, "ad.mp4" in open_to_all) == (path != "workers", path != "workers")
            assert "Insert a file" not in open_to_all


def test_what_is_not_there_is_said_in_the_frame(shared_service: ServiceProgram) -> None:
    """Status 404, in the reader's language, with a way back: for an address and for a task. It was the page
    framework's own page, and 200 for a task. Words of the address are not in it."""
    stranger = "<img/src=x/onerror=hit(1)>"
    with visitor(shared_service.url, language="zh-CN") as client:
        enter(client, KEY_ID, SECRET)
        for path, words in (
            ("nope", "没有此页面。"),
            (quote(stranger), "没有此页面。"),
            (f"tasks/{'0' * 32}", "没有此任务。"),
            (f"tasks/{quote(stranger)}", "没有此页面。"),
            (f"tasks/{quote(stranger.replace('/', ' '))}", "没有此任务。"),
            ("tasks/x/edit", "没有此任务。"),
        ):
            answer = client.get(path)
            assert answer.status_code == 404, path
            assert words in answer.text
            assert '"href":"/tasks"' in answer.text, answer.text
            assert "‹ 任务" in answer.text
            assert "hit(1)" not in answer.text
        asked = client.get("nope.js", headers={"accept": "*/*"})
        assert (asked.status_code, "<html" in asked.text) == (404, False)


def test_no_page_takes_scripts_in_its_markup(member: httpx.Client) -> None:
    """The policy of each page, and nonces that are used once."""
    nonces = set()
    for path in ("", "tasks", "new", "library", "nope", ""):
        answer = member.get(path)
        policy = dict(part.strip().split(" ", 1) for part in answer.headers["content-security-policy"].split(";"))
        found = re.fullmatch(r"'self' 'nonce-([\w-]{22})' 'unsafe-eval'", policy["script-src"])
        assert found, path
        nonces.add(found[1])
        assert f'<script nonce="{found[1]}"' in answer.text
    assert len(nonces) == 6
    form = member.get("sign-in")
    assert "script-src 'self';" in form.headers["content-security-policy"]
