"""The official SDKs, unmodified from their indexes, do everything with our API that they do with the cloud's."""

import time
from collections.abc import Callable
from typing import Any

import pytest
from sdks import run_node, run_python
from served import Served

from kit.clips import ClipFactory
from kit.nginx_rtmp import NginxRtmp

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
def test_a_task_lives_through_an_official_sdk(served: Served, nginx: NginxRtmp, clips: ClipFactory, sdk: str) -> None:
    """Create, list, update, stop, enable, delete, with a real stream behind it; and errors that name what is wrong."""
    now = int(time.time())
    title = f"任务{list(SDKS).index(sdk)}"
    address = f"file://{clips('h264_no_bframes')}"
    task = {
        "Title": title,
        "StartTime": now - 60,
        "EndTime": now + 3600,
        "Type": 1,
        "SrcAddrS": [address, address],
        "OffsetS": [0.5, 0],
        "CycleMode": -1,
        "DstAddr": nginx.url("sdk", app="rec"),
        "CallbackURL": "http://127.0.0.1:1/?a=b&c=d",
    }
    said = SDKS[sdk]({"host": served.host, "ak": served.ak, "sk": served.sk, "task": task})
    item = said["created"]["Result"]["List"][0]
    assert (item["TaskId"], item["Title"], item["SrcAddrS"]) == (said["task_id"], title, task["SrcAddrS"])
    assert item["DstAddr"] == nginx.url("***", app="rec")
    for step, status in (("created", "生效中"), ("updated", "生效中"), ("stopped", "停用"), ("enabled", "生效中")):
        assert said[step]["Result"]["List"][0]["Status"] == status, step
    for step in ("created", "enabled"):
        assert said[step]["Result"]["List"][0]["Run"]["State"] == "streaming", step
    for step in {"update", "stop", "enable", "delete"} & said.keys():
        assert list(said[step]) == ["ResponseMetadata"]
    for other in {"presigned", "temporary"} & said.keys():
        assert said[other]["Result"]["Pagination"]["TotalCount"] == 1
    assert said["deleted"]["Result"]["Pagination"]["TotalCount"] == 0
    nginx.wait_unpublished("sdk", app="rec")
    assert sum(path.stat().st_size for path in nginx.recordings("sdk")) > 10_000
    assert "SignatureDoesNotMatch" in said["errors"]["secret"]
    assert "InvalidActionOrVersion" in said["errors"]["action"]
    assert "Title" in said["errors"]["field"]
