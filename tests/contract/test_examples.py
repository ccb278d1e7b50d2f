"""The examples do what they say, and so do the samples of the official page with our SDK in place of theirs."""

import base64
import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from served import Served

from kit.clips import ClipFactory
from kit.forked import Forks
from kit.pictures import make_picture
from streamferry.client import LiveService, TaskList

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture(scope="module")
def forks() -> Iterator[Forks]:
    """Examples are forked from a process that has imported our SDK, which is most of what each costs."""
    with contextlib.closing(Forks("kit.script", "streamferry.client")) as one:
        yield one


def run(forks: Forks, served: Served, name: str, *arguments: object, typed: str = "") -> str:
    """What an example prints."""
    keys = {"STREAMFERRY_URL": f"http://{served.host}", "ACCESS_KEY_ID": served.ak, "ACCESS_KEY_SECRET": served.sk}
    words = [str(EXAMPLES / name), *map(str, arguments)]
    done = forks.run(words, text=typed, environment={**os.environ, **keys})
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_every_example_is_in_the_list_and_does_its_work(forks: Forks, served: Served, clips: ClipFactory) -> None:
    """From the first task to the last."""
    ran = set()

    def example(name: str, *arguments: object, typed: str = "") -> str:
        ran.add(name)
        return run(forks, served, name, *arguments, typed=typed)

    first = example("create_live_task.py", "http://127.0.0.1:1/live/a.flv", "rtmp://127.0.0.1:1/live/one")
    clip = f"file://{clips('h264_no_bframes')}"
    second = example("create_vod_channel.py", "rtmp://127.0.0.1:1/live/two", clip, clip)
    example("update_task.py", second, "renamed")
    listed = example("list_tasks.py")
    assert [line.split()[0] for line in listed.splitlines()] == [second, first]
    assert "renamed" in example("list_tasks.py", "RENAMED")
    assert "Enter" in example("stop_and_continue_task.py", second, typed="\n")
    for task_id in (first, second):
        example("delete_task.py", task_id)
    assert example("list_tasks.py") == ""
    assert ran == {path.name for path in EXAMPLES.glob("*.py")}
    documented = (EXAMPLES / "README.md").read_text()
    assert all(f"`{name}`" in documented for name in ran)


def test_the_official_create_sample_with_our_import(served: Served, tmp_path: Path) -> None:
    """All fields at once, nested as the page prints them; placeholders of time, strategy and picture filled in."""
    now = int(time.time())
    picture = base64.b64encode(make_picture(tmp_path / "mark.png", "60x30", "red").read_bytes()).decode()
    with LiveService(f"http://{served.host}", served.ak, served.sk) as service:
        body: dict[str, Any] = {
            "Title": "task001",
            "StartTime": now + 600,
            "EndTime": now + 4200,
            "CallbackURL": "http://example.mtime.cn/live/example/callbackapi",
            "Type": 0,
            "CycleMode": -1,
            "DstAddr": "rtmp://example.mtime.cn/Video/2022/02/04/mp4/190204084208765161.mp4",
            "SrcAddr": "http://example.mtime.cn/Video/2003/02/04/mp4/190204084208765161.mp4",
            "SrcAddrS": [["https://pull.example.com/live/stream-123"]],
            "PlayTimes": 3,
            "Domain": "example.mtime.cn",
            "App": "live",
            "Stream": "stream-123",
            "Watermark": {
                "Picture": f"data:image/png;base64,{picture}",
                "RelativePosX": 0.1,
                "RelativePosY": 0.1,
                "Ratio": 0.1,
            },
            "PreDownload": 1,
            "OffsetS": [["1.1"]],
            "ContinueStrategy": 0,
            "Offset": 30,
        }
        task_id = service.create_pull_to_push_task(body)["Result"]["TaskId"]
        service.update_pull_to_push_task({**body, "TaskId": task_id, "EndTime": now + 4300})
        shown = TaskList.of(service.list_pull_to_push_task({"Page": 1, "Size": 20, "Title": "TASK"})).tasks
        assert [task.task_id for task in shown] == [task_id]
        assert shown[0].watermark is not None
        assert shown[0].watermark.picture == body["Watermark"]["Picture"]
        service.stop_pull_to_push_task({"TaskId": task_id})
        service.restart_pull_to_push_task({"TaskId": task_id})
        service.delete_pull_to_push_task({"TaskId": task_id})
