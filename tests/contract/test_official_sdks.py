"""The official SDKs, unmodified from their indexes, do everything with our API that they do with the cloud's."""

import time
from collections.abc import Callable
from typing import Any

import pytest
from sdks import run_node, run_python
from served import Served

# They need a package index.
pytestmark = pytest.mark.e2e

Run = Callable[[dict[str, Any]], dict[str, Any]]

SDKS: dict[str, Run] = {
    **{
        name: (lambda told, name=name: run_python(name, "python_sdk.py", told))
        for name in ("volcengine==1.0.112", "volcengine==1.0.150", "volcengine==1.0.190", "volcengine")
    },
    "volcenginesdk-core": lambda told: run_python("volcenginesdk-core", "universal_sdk.py", told),
    "@volcengine/openapi": lambda told: run_node("@volcengine/openapi", "node_sdk.js", told),
}


@pytest.mark.timeout(400)
@pytest.mark.parametrize("sdk", SDKS)
def test_a_task_lives_through_an_official_sdk(served: Served, sdk: str) -> None:
    """Create, list, update, stop, enable, delete; and errors that name what is wrong."""
    now = int(time.time())
    title = f"任务{now % 1000}{len(sdk)}"
    task = {
        "Title": title,
        "StartTime": now + 600,
        "EndTime": now + 3600,
        "Type": 1,
        "SrcAddrS": ["https://src.example/a b.mp4".replace(" ", "%20"), "https://src.example/b.mp4"],
        "OffsetS": [1.5, 0],
        "CycleMode": -1,
        "DstAddr": f"rtmp://dst.example/live/{title.encode().hex()}",
        "CallbackURL": "http://callback.example/?a=b&c=d",
    }
    said = SDKS[sdk]({"host": served.host, "ak": served.ak, "sk": served.sk, "task": task})
    item = said["created"]["Result"]["List"][0]
    assert (item["TaskId"], item["Title"], item["SrcAddrS"]) == (said["task_id"], title, task["SrcAddrS"])
    assert item["DstAddr"] == "rtmp://dst.example/live/***"
    for step, status in (("created", "未开始"), ("updated", "未开始"), ("stopped", "停用"), ("enabled", "未开始")):
        assert said[step]["Result"]["List"][0]["Status"] == status, step
    for step in {"update", "stop", "enable", "delete"} & said.keys():
        assert list(said[step]) == ["ResponseMetadata"]
    for other in {"presigned", "temporary"} & said.keys():
        assert said[other]["Result"]["Pagination"]["TotalCount"] == 1
    assert said["deleted"]["Result"]["Pagination"]["TotalCount"] == 0
    assert "SignatureDoesNotMatch" in said["errors"]["secret"]
    assert "InvalidActionOrVersion" in said["errors"]["action"]
    assert "Title" in said["errors"]["field"]
