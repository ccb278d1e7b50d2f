"""The official SDKs, unmodified from their indexes, do everything with our API that they do with the cloud's."""

import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import trustme
from sdks import run_node, run_python
from served import Served

from kit.clips import ClipFactory
from kit.front import front
from kit.nginx_rtmp import NginxRtmp
from streamferry.client import LiveService

# They need a package index.
pytestmark = pytest.mark.e2e

Run = Callable[[dict[str, Any]], dict[str, Any]]

SDKS: dict[str, Run] = {
    **{
        name: (lambda told, name=name: run_python(name, "python_sdk.py", told))
        for name in ("volcengine==1.0.112", "volcengine==1.0.150", "volcengine==1.0.190", "volcengine")
    },
    # What volcengine-python-sdk has its universal client from. The whole is 600 MB of clients of other services, which
    # take more than a minute to install.
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
    said = SDKS[sdk]({"host": served.host, "scheme": "http", "ak": served.ak, "sk": served.sk, "task": task})
    item = said["created"]["Result"]["List"][0]
    assert (item["TaskId"], item["Title"], item["SrcAddrS"]) == (said["task_id"], title, task["SrcAddrS"])
    assert item["DstAddr"].startswith(nginx.url("***·", app="rec"))
    shown = {key: item[key] for key in ("Type", "CycleMode", "PlayTimes", "OffsetS", "ContinueStrategy", "PreDownload")}
    assert list(shown.values()) == [1, -1, 0, [0.5, 0], 0, 1]
    assert (item["GroupName"], item["DstAddrType"]) == ("default", 2)
    assert item["CallbackURL"].startswith("http://127.0.0.1:1/?***·")
    assert [int(datetime.fromisoformat(item[name]).timestamp()) for name in ("StartTime", "EndTime")] == [
        task["StartTime"],
        task["EndTime"],
    ]
    for step, status in (("created", "生效中"), ("updated", "生效中"), ("stopped", "停用"), ("enabled", "生效中")):
        assert said[step]["Result"]["List"][0]["Status"] == status, step
    for step in {"created", "enabled", "relaunched"} & said.keys():
        assert said[step]["Result"]["List"][0]["Run"]["State"] == "streaming", step
    for step in {"update", "stop", "enable", "relaunch", "delete"} & said.keys():
        assert list(said[step]) == ["ResponseMetadata"]
    assert set(said.get("methods", [])) <= set(dir(LiveService))
    for other in {"grouped", "presigned", "temporary"} & said.keys():
        assert said[other]["Result"]["Pagination"]["TotalCount"] == 1
    assert said["deleted"]["Result"]["Pagination"]["TotalCount"] == 0
    nginx.wait_unpublished("sdk", app="rec")
    assert sum(path.stat().st_size for path in nginx.recordings("sdk")) > 10_000
    assert "SignatureDoesNotMatch" in said["errors"]["secret"]
    assert "InvalidActionOrVersion" in said["errors"]["action"]
    assert "Title" in said["errors"]["field"]


@pytest.mark.timeout(400)
def test_the_python_sdk_over_https(served: Served, tmp_path: Path) -> None:
    """Behind a front with a certificate of one's own authority, which REQUESTS_CA_BUNDLE names; our SDK likewise."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    with front(served.host, authority) as safe:
        host = f"127.0.0.1:{safe.port}"
        told = {"host": host, "scheme": "https", "ak": served.ak, "sk": served.sk}
        said = run_python("volcengine", "python_list.py", told, REQUESTS_CA_BUNDLE=str(tmp_path / "ca.pem"))
        assert said["Result"]["Pagination"]["PageCur"] == 1
        with LiveService(host, served.ak, served.sk, ca_file=tmp_path / "ca.pem") as service:
            assert service.list_pull_to_push_task()["Result"] == said["Result"]
